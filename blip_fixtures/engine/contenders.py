"""The kernels whose rates count: products and reads of buffers that torch has, and a model's own layers.

Nothing of them is timed here, but for the sizes of products: those that would take too long are never made. On a
processor without fp16 arithmetic a product in fp16 takes up to some hundred times as long as one in bf16. A kernel that
its device refuses to run is left out, and `refused` gets its name and the error; sizes that ran before still count.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import stored_bytes
from blip_fixtures.device_errors import is_lost, is_out_of_memory, said_by
from blip_fixtures.devices import synchronize
from blip_fixtures.engine.contest import Contender, one_thread, with_one_thread
from blip_fixtures.optimizations import find_optimization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from blip_fixtures.engine.contest import Watch
    from blip_fixtures.words import Phase

# The sides of square matrices, and the rows for a model's layers; each is tried unless it takes too long.
_SIDES = {"cpu": (128, 256, 512, 1024, 2048, 4096), "cuda": (1024, 2048, 4096, 8192)}
_ROWS = {"cpu": (16, 64, 256, 1024), "cuda": (512, 2048, 8192)}
_BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8}
_MM, _LINEAR, _INT_MM = "torch.mm", "linear", "torch._int_mm"
# The suite's own, where they are products of their own.
_BLOCKED_LAYER, _INT8_LAYER = "blocked layer", "int8_dynamic layer"
_INT8_SCALE, _INT8_MOST = 32.0, 127
# NVIDIA's tensor cores multiply integers from this compute capability on.
_INT8_SINCE = (7, 5)
# Of a matrix whose product with a vector is a way to read it.
_COLUMNS = 1024


def products(device: str, watch: Watch, longest_s: float, refused: dict[str, str]) -> list[Contender]:
    """Square products in every dtype that `device` computes in, with every kernel, in sizes by time."""
    found: list[Contender] = []
    operands = _Operands(device)
    with one_thread(device == "cpu"):
        for dtype, bits in _BITS.items():
            if _has(device, dtype):
                for kernel in _kernels(device, dtype):
                    found += _growing(operands, kernel, dtype, bits, watch, longest_s, refused)
    return with_one_thread(found) if device == "cpu" else found


def _has(device: str, dtype: str) -> bool:
    """Whether `device` computes in `dtype` by itself."""
    import torch

    if device == "cpu":
        # Integer products are oneDNN's here; torch computes in every floating dtype on every processor.
        return dtype != "int8" or find_optimization("int8_dynamic").why_unavailable(device) is None
    if dtype == "bfloat16":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return dtype != "int8" or torch.cuda.get_device_capability(device) >= _INT8_SINCE


def _kernels(device: str, dtype: str) -> tuple[str, ...]:
    if dtype == "int8":
        return (_INT_MM, _INT8_LAYER) if device == "cpu" else (_INT_MM,)
    return (_MM, _LINEAR, _BLOCKED_LAYER) if (device, dtype) == ("cpu", "bfloat16") else (_MM, _LINEAR)


def _growing(
    operands: _Operands, kernel: str, dtype: str, bits: int, watch: Watch, longest_s: float, refused: dict[str, str]
) -> Iterator[Contender]:
    """A kernel with matrices of growing sides, until the next product would take more than `longest_s`."""
    name, before, took_s = f"{dtype} {kernel}", 0, 0.0
    for side in _SIDES[_kind(operands.device)]:
        if before and took_s * (side / before) ** 3 > longest_s:
            return
        run = operands.product(kernel, side, dtype)
        if run is None or not _runs(name, run, operands.device, refused):
            return
        before, took_s = side, watch.shortest(run, 0).seconds
        yield Contender(name, "products", 2.0 * side**3, run, bits)


def _runs(name: str, run: Callable[[], object], device: str, refused: dict[str, str]) -> bool:
    """Whether `device` runs the kernel. A lack of memory and a lost device are no answers of the kernel's."""
    try:
        run()
        synchronize(device)
    except RuntimeError as error:
        if is_out_of_memory(error) or (device != "cpu" and is_lost(device)):
            raise
        refused[name] = said_by(error)
        return False
    return True


class _Operands:
    """Square matrices of random numbers, each made once: what numbers a product has changes what a GPU draws."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._made: dict[tuple[int, str], tuple[Any, Any]] = {}
        self._columns: dict[int, Any] = {}

    def product(self, kernel: str, side: int, dtype: str) -> Callable[[], object] | None:
        """One product of two matrices; `None` where the suite's layer of that kind cannot hold one."""
        import torch
        from torch import nn

        from blip_fixtures.optimizations.linear import BlockedLinear, Int8DynamicLinear

        left, right = self._pair(side, "float32" if kernel == _INT8_LAYER else dtype)
        if kernel == _INT_MM:
            by_columns = right if self.device == "cpu" else self._by_columns(side)
            # Private, and torch's only name for it.
            return lambda: torch._int_mm(left, by_columns)
        if kernel == _MM:
            return lambda: torch.mm(left, right)
        if kernel == _LINEAR:
            return lambda: nn.functional.linear(left, right)
        plain = nn.Linear(side, side, bias=False, dtype=right.dtype)
        packed = BlockedLinear if kernel == _BLOCKED_LAYER else Int8DynamicLinear
        if not packed.fits(plain):
            return None
        layer = packed(plain)
        return lambda: layer(left)

    def _by_columns(self, side: int) -> Any:
        """The right matrix of integers: some cards refuse two that are stored by rows (pytorch issue 169956)."""
        if side not in self._columns:
            _, right = self._pair(side, "int8")
            self._columns[side] = right.t().contiguous().t()
        return self._columns[side]

    def _pair(self, side: int, dtype: str) -> tuple[Any, Any]:
        import torch

        if (side, dtype) not in self._made:
            if dtype == "float32":
                generator = torch.Generator().manual_seed(0)
                made = [torch.randn(side, side, generator=generator).to(self.device) for _ in range(2)]
            else:
                scale = _INT8_SCALE if dtype == "int8" else 1.0
                plain = self._pair(side, "float32")
                made = [(matrix * scale).clamp(-_INT8_MOST, _INT8_MOST).to(getattr(torch, dtype)) for matrix in plain]
            self._made[side, dtype] = (made[0], made[1])
        return self._made[side, dtype]


def reads(device: str, sizes: Iterable[int], refused: dict[str, str]) -> list[Contender]:
    """Reading buffers of so many bytes with every kernel that reads each number once and writes next to nothing.

    All of them read parts of one buffer; the group of each is its size.
    """
    import torch

    ordered = sorted(sizes)
    whole = torch.ones(ordered[-1] // 4 if ordered else 0, dtype=torch.float32, device=device)
    vector = torch.ones(_COLUMNS, device=device)
    found: list[Contender] = []
    for size in ordered:
        part = whole[: size // 4]
        matrix = part[: part.numel() // _COLUMNS * _COLUMNS].view(-1, _COLUMNS)
        kernels: dict[str, tuple[Any, Callable[[], object]]] = {
            "sum": (part, part.sum),
            "amax": (part, part.amax),
            "norm": (part, part.norm),
            "mv": (matrix, partial(torch.mv, matrix, vector)),
        }
        found += [
            Contender(f"{name} {size}", size, float(read.nbytes), run)
            for name, (read, run) in kernels.items()
            if _runs(f"float32 {name}", run, device, refused)
        ]
    return with_one_thread(found) if device == "cpu" else found


def own_products(
    layers: Mapping[Phase, Mapping[str, Any]], device: str, dtype: str, watch: Watch, longest_s: float
) -> list[Contender]:
    """The largest layer of each phase with growing numbers of rows; the group of each is the phase.

    The head does not count, whose product is one of few rows.
    """
    found: list[Contender] = []
    with one_thread(device == "cpu"):
        for phase, of_phase in layers.items():
            found += _growing_rows(phase, of_phase, device, dtype, watch, longest_s)
    return with_one_thread(found) if device == "cpu" else found


def _growing_rows(
    phase: Phase, layers: Mapping[str, Any], device: str, dtype: str, watch: Watch, longest_s: float
) -> Iterator[Contender]:
    """The largest of these layers, until it would take more than `longest_s`."""
    bodies = [layer for path, layer in layers.items() if not path.endswith("lm_head")]
    layer = max(bodies, key=lambda layer: layer.in_features * layer.out_features)
    before, took_s = 0, 0.0
    for rows in _ROWS[_kind(device)]:
        if before and took_s * rows / before > longest_s:
            return
        run = _call([layer], rows, device, dtype)
        run()
        before, took_s = rows, watch.shortest(run, 0).seconds
        yield Contender(f"{phase} layer", phase, 2.0 * rows * layer.in_features * layer.out_features, run)


def own_reads(
    layers: Mapping[Phase, Mapping[str, Any]], rows: int, device: str, dtype: str, enough: int
) -> list[Contender]:
    """The layers of each phase one after another on so many rows, as many as store `enough` bytes.

    The group of each is the phase.
    """
    found: list[Contender] = []
    for phase, of_phase in layers.items():
        taken: list[Any] = []
        size = 0
        for layer in of_phase.values():
            if size < enough:
                taken.append(layer)
                size += stored_bytes(layer)
        run = _call(taken, rows, device, dtype)
        with one_thread(device == "cpu"):
            run()
        found.append(Contender(f"{phase} layers", phase, float(size), run))
    return with_one_thread(found) if device == "cpu" else found


def _call(layers: Sequence[Any], rows: int, device: str, dtype: str) -> Callable[[], object]:
    """A run of `layers`, each on rows of its own width."""
    import torch

    pairs = []
    inputs: dict[tuple[int, Any], Any] = {}
    for layer in layers:
        # A layer may be kept in another dtype than the model's.
        kept = layer.weight.dtype if layer.weight.is_floating_point() else getattr(torch, dtype)
        key = (layer.in_features, kept)
        if key not in inputs:
            generator = torch.Generator().manual_seed(0)
            inputs[key] = torch.randn(rows, layer.in_features, generator=generator).to(device, kept)
        pairs.append((layer, inputs[key]))

    @torch.no_grad()
    def run() -> None:
        for layer, rows_of_it in pairs:
            layer(rows_of_it)

    return run


def _kind(device: str) -> str:
    return device.partition(":")[0]
