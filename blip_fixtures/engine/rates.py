"""The rates of a device: what any kernel of it was seen to reach, and what the kernels of one loaded model reach.

The machine's limit stands on the former: products in 32, 16 and 8 bits are measured once for each device, with every
kernel that torch and the suite have for them there, and so is reading a buffer of each size. A row whose arithmetic has
so many bits may use the best kernel of as many bits or more. A model's own kernels count for its own rows only, where
they are faster: the rows measured before it could not know of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine.contenders import own_products, own_reads, products, reads
from blip_fixtures.engine.contest import EventWatch, KernelWatch, WallWatch, best_rates
from blip_fixtures.engine.limits import Rates, weights_read
from blip_fixtures.words import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.engine.contest import Contender, Rate, Watch

# Products once for a device; what is new of each model, half of it for its products, half for reading.
PRODUCTS_S = 1.8
MODEL_S = 0.4
# Twice the largest cache of a common processor: what is not larger is read from the cache in real calls as well.
LARGEST_BUFFER_BYTES = 512 * 2**20
# A GPU's memory reaches its rate with larger ones.
LARGEST_BUFFER_BYTES_CUDA = 2 * 2**30
_SMALLEST_BUFFER_BYTES = 4096


@dataclass(frozen=True)
class SeenRates:
    """`machine` is the best of the device for a row, `own` that of the row's kernels, nowhere above it.

    `products` has the best of each kernel of products that was tried on the device, and of the row's layers, in FLOP/s:
    where these are the fastest, the device has a kernel that was not tried. `refused` has the errors of kernels that
    the device does not run. `has_gaps` means that `own` counts the time between kernels as well.
    """

    machine: Rates
    own: Rates
    products: Mapping[str, float]
    refused: Mapping[str, str] = field(default_factory=dict)
    has_gaps: bool = False


def buffer_bytes(device: str, weights: int) -> int:
    """The size of the buffer whose reading stands for that of `weights` bytes.

    What fits into a cache is read from the cache. What does not is read from memory: on a GPU with a buffer of 2 GiB,
    or half of what is free.
    """
    if device == "cpu":
        return min(max(weights, _SMALLEST_BUFFER_BYTES), LARGEST_BUFFER_BYTES)
    import torch

    if weights <= torch.cuda.get_device_properties(device).L2_cache_size:
        return max(weights, _SMALLEST_BUFFER_BYTES)
    free, _ = torch.cuda.mem_get_info(device)
    return min(LARGEST_BUFFER_BYTES_CUDA, free // 2)


@dataclass
class Machine:
    """What kernels that belong to no model reach on one device, each measured once in a session.

    `layer_watch` times a model's layers one after another: on a GPU without the gaps between them, in which the device
    waits for the host.
    """

    device: str
    watch: Watch
    layer_watch: Watch
    # (bits of the operands, FLOP/s) by kernel; bytes/s by the size of the buffer.
    _products: dict[str, tuple[int, float]] = field(default_factory=dict)
    _reads: dict[int, float] = field(default_factory=dict)
    # What it said of kernels that it does not run, by their names.
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, device: str, timer: Callable[[], float]) -> Machine:
        """`timer` waits for the device before it reads the clock."""
        if device == "cpu":
            watch = WallWatch(timer)
            return cls(device, watch, watch)
        events = EventWatch(device, timer)
        return cls(device, events, KernelWatch(device, events))

    @property
    def products(self) -> dict[str, float]:
        """The best FLOP/s of each kernel."""
        return {name: rate for name, (_, rate) in self._products.items()}

    def flops_per_s(self, bits: int) -> float:
        """Of the best kernel whose operands have as many bits or more; 0 where the device ran none."""
        return max((rate for of_kernel, rate in self._products.values() if of_kernel >= bits), default=0.0)

    def bytes_per_s(self, size: int) -> float:
        """Of a buffer of exactly `size` bytes; 0 where the device ran no kernel that reads one."""
        return self._reads.get(size, 0.0)

    def measure_products(self) -> None:
        """Every kernel of products in every dtype, once."""
        if not self._products:
            found = products(self.device, self.watch, longest_s=PRODUCTS_S / 60, refused=self.refused)
            for contender, rate in zip(found, best_rates(found, self.watch, PRODUCTS_S), strict=True):
                self.note_product(contender.name, contender.bits, rate.per_s)

    def measure_reads(self, sizes: Iterable[int]) -> None:
        """Buffers of those sizes that nothing has read yet."""
        found = reads(self.device, {size for size in sizes if size not in self._reads}, self.refused)
        for contender, rate in zip(found, best_rates(found, self.watch, MODEL_S / 2), strict=True):
            self.note_read(int(contender.group), rate.per_s)

    def note_product(self, name: str, bits: int, rate: float) -> None:
        """A kernel called `name` was seen to reach `rate` FLOP/s."""
        self._products[name] = (bits, max(rate, self._products.get(name, (bits, 0.0))[1]))

    def note_read(self, size: int, rate: float) -> None:
        """A kernel was seen to read `size` bytes at `rate` bytes/s."""
        self._reads[size] = max(rate, self._reads.get(size, 0.0))


def rates_of_card(machine: Machine, model: Any, modules: Mapping[Phase, Sequence[str]], dtype: str) -> Rates:
    """The best of one card for a row whose model lies across several that are like it.

    Its own layers are not among them: some of them lie on other cards.
    """
    sizes = {phase: buffer_bytes(machine.device, count) for phase, count in weights_read(model, modules).items()}
    machine.measure_products()
    machine.measure_reads(sizes.values())
    seen = {size: machine.bytes_per_s(size) for size in sizes.values()}
    return Rates(
        dict.fromkeys(sizes, machine.flops_per_s(_bits(model, dtype))),
        {phase: max(rate for read, rate in seen.items() if read >= size) for phase, size in sizes.items()},
    )


class ModelRates:
    """The rates of one loaded model on a machine; `modules` are the paths of what each phase reads."""

    def __init__(self, machine: Machine, model: Any, modules: Mapping[Phase, Sequence[str]], dtype: str) -> None:
        self._machine = machine
        self._dtype = dtype
        self._bits = _bits(model, dtype)
        self._sizes = {
            phase: buffer_bytes(machine.device, count) for phase, count in weights_read(model, modules).items()
        }
        self._flops_per_s: dict[Phase, float] = {}
        self._bytes_per_s: dict[int, dict[Phase, float]] = {}
        # The numbers of rows at which the time between kernels counts.
        self._gaps: set[int] = set()

    def seen(self, model: Any, modules: Mapping[Phase, Sequence[str]], rows: int) -> SeenRates:
        """Both rates, where a decoder step works on `rows`; what was measured before is not measured again.

        The model is not kept: it may be loaded again.
        """
        machine = self._machine
        machine.measure_products()
        layers = {phase: _linear_layers(model, paths) for phase, paths in modules.items()}
        if not self._flops_per_s:
            self._flops_per_s = self._own_products(layers)
        if rows not in self._bytes_per_s:
            machine.measure_reads(self._sizes.values())
            self._bytes_per_s[rows] = self._own_reads(layers, rows)
        own = Rates(self._flops_per_s, self._bytes_per_s[rows])
        fastest = max(own.flops_per_s.values())
        return SeenRates(
            self._best(own),
            own,
            {**machine.products, f"layers in {self._bits} bits": fastest},
            refused=dict(machine.refused),
            has_gaps=rows in self._gaps,
        )

    def _best(self, own: Rates) -> Rates:
        """The machine's rates for this row, or its own kernels' where those are faster.

        A buffer is read at least as fast as a larger one of the same model, which lies no nearer.
        """
        machine = self._machine
        flops_per_s = max(machine.flops_per_s(self._bits), *own.flops_per_s.values())
        seen = [(size, max(machine.bytes_per_s(size), own.bytes_per_s[phase])) for phase, size in self._sizes.items()]
        return Rates(
            dict.fromkeys(self._sizes, flops_per_s),
            {phase: max(rate for read, rate in seen if read >= size) for phase, size in self._sizes.items()},
        )

    def _own_products(self, layers: Mapping[Phase, Mapping[str, Any]]) -> dict[Phase, float]:
        """FLOP/s of the largest layer of each phase."""
        machine = self._machine
        found = own_products(layers, machine.device, self._dtype, machine.watch, longest_s=MODEL_S / 60)
        return _best_of_phases(found, best_rates(found, machine.watch, MODEL_S / 2))

    def _own_reads(self, layers: Mapping[Phase, Mapping[str, Any]], rows: int) -> dict[Phase, float]:
        """Bytes/s at which the layers of each phase read their weights."""
        machine = self._machine
        found = own_reads(layers, rows, machine.device, self._dtype, LARGEST_BUFFER_BYTES)
        rates = best_rates(found, machine.layer_watch, MODEL_S / 2)
        if any(rate.has_gaps for rate in rates):
            self._gaps.add(rows)
        return _best_of_phases(found, rates)


def _best_of_phases(contenders: Sequence[Contender], rates: Sequence[Rate]) -> dict[Phase, float]:
    """The best rate of each group, which is a phase."""
    best: dict[Phase, float] = {}
    for contender, rate in zip(contenders, rates, strict=True):
        phase = Phase(str(contender.group))
        best[phase] = max(rate.per_s, best.get(phase, 0.0))
    return best


def _linear_layers(model: Any, paths: Sequence[str]) -> dict[str, Any]:
    """Those at `paths`, packed or not."""
    modules = {path: model.get_submodule(path) for path in paths}
    return {path: layer for path, layer in modules.items() if hasattr(layer, "in_features")}


def _bits(model: Any, dtype: str) -> int:
    """Of the arithmetic of a model in `dtype`: 8 where a layer multiplies integers. Weights alone change nothing."""
    import torch

    from blip_fixtures.optimizations.linear import Int8DynamicLinear

    if any(isinstance(module, Int8DynamicLinear) for module in model.modules()):
        return 8
    return int(getattr(torch, dtype).itemsize) * 8
