"""Will it fit? What a case needs, computed on the meta device, against what its device has free."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.device_errors import said_by
from blip_fixtures.engine.limits import CacheShape
from blip_fixtures.families import family_of
from blip_fixtures.families.runner import Part
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from blip_fixtures.families import Step

_CGROUPS = (
    # (limit, use, statistics) of cgroup 2 and 1; the kernel gives back file pages before it kills a process.
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


# The packaged checkpoint's real growth over its live tensors, at batches of 16 and 64, was 1.25 to 1.7 times: kernels
# take room for scratch, and allocators do not give back all they could.
_ALLOCATOR_SLACK = 1.5


@dataclass(frozen=True)
class Need:
    """Bytes of one case: the weights, the largest live set of activations with the allocator's slack, the key-value
    cache at its longest.
    """

    weights: int
    activations: int
    cache: int

    @property
    def total(self) -> int:
        """All of it at once."""
        return self.weights + self.activations + self.cache


@dataclass(frozen=True)
class Size:
    """What a case's memory depends on besides its dtype. `text_tokens` and `new_tokens` are upper limits; the decoder
    works on `beams` rows for each sample. Where `options` of a sample are ranked, each has up to `new_tokens`.
    """

    batch_size: int
    image_size: int
    text_tokens: int
    new_tokens: int
    beams: int = 1
    options: int = 0


class Estimator:
    """Needs of one architecture in one dtype, each size worked out once.

    Raises `ValueError` for a configuration that makes no model.
    """

    def __init__(self, config: Mapping[str, Any], dtype: str) -> None:
        import torch

        self.model = model = build_on_meta(config, dtype)
        self.family = family_of(config)
        walk = self.family.walk(model)
        self._cache = CacheShape.of(config, getattr(torch, dtype).itemsize)
        self.weights = weight_bytes(model)
        # A run through a phase takes some tenths of a second, and sweeps share most of them. The prefill holds the
        # first step of decoding; what later ones add is the cache.
        self._vision = cache(lambda *axes: _live_bytes(walk.vision(*axes)))
        self._qformer = cache(lambda *axes: _live_bytes(walk.qformer(*axes)))
        self._language = cache(lambda *axes: _live_bytes(next(walk.language(*axes))))
        self._ranking = cache(lambda *axes: max(_live_bytes(step) for step in walk.ranking(*axes)))

    def need(self, size: Size) -> Need:
        """The peak over the phases, each run on the meta device with its live tensors counted.

        Raises `ValueError` where a phase cannot run: its shapes do not fit one another.
        """
        activations = max(self.activations(size).values())
        rows = size.batch_size * max(size.beams, size.options)
        held = self._cache.bytes_held(rows, size.text_tokens, size.new_tokens)
        return Need(self.weights, activations, held)

    def activations(self, size: Size) -> dict[Part, int]:
        """By part of a call, with the allocator's slack. Raises `ValueError` as `need` does."""
        try:
            live = {
                Part.VISION: self._vision(size.batch_size, size.image_size),
                Part.QFORMER: self._qformer(size.batch_size, size.image_size, size.text_tokens),
                Part.STEP: self._of_language(size),
            }
        except (RuntimeError, TypeError, IndexError) as error:
            raise ValueError(f"its configuration makes no model that runs ({said_by(error)})") from error
        return {part: int(_ALLOCATOR_SLACK * count) for part, count in live.items()}

    def _of_language(self, size: Size) -> int:
        if size.options:
            return self._ranking(size.batch_size, size.text_tokens, size.batch_size * size.options, size.new_tokens)
        return self._language(size.batch_size, size.text_tokens, size.beams)


def _live_bytes(step: Step) -> int:
    return step.held_bytes + _peak_live_bytes(step.run)


def _peak_live_bytes(run: Callable[[], object]) -> int:
    """The most bytes of tensors made by `run` that were alive at once."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is typed in part
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.live = self.peak = 0
            self.seen: set[int] = set()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            given = {_address(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)}
            for leaf in tree_leaves(result):
                if torch.is_tensor(leaf):
                    storage = leaf.untyped_storage()
                    # A view or an in-place result shares the storage of what came in.
                    if _address(storage) not in given and _address(storage) not in self.seen:
                        self._watch(storage)
            self.peak = max(self.peak, self.live)
            return result

        def _watch(self, storage: Any) -> None:
            key, count = _address(storage), storage.nbytes()
            self.seen.add(key)
            self.live += count

            def freed() -> None:
                self.seen.discard(key)
                self.live -= count

            weakref.finalize(storage, freed).atexit = False

    class FusedAttention(TorchFunctionMode):
        """The devices' kernels never hold the matrix of scores; the meta device has none of them and would."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.nn.functional.scaled_dot_product_attention:
                query, value = args[0], args[2]
                return query.new_empty(*query.shape[:-1], value.shape[-1])
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), FusedAttention(), LiveTensors() as mode:
        run()
    return int(mode.peak)


def _address(storage: Any) -> int:
    # It has no public name, and on the meta device all storages have the data pointer 0.
    return int(storage._cdata)


def free_bytes(device: str, cgroup_root: Path = Path("/sys/fs/cgroup")) -> int:
    """What a new model may take on `device`: of the CPU's memory also no more than the container's limit leaves."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    available = psutil.virtual_memory().available
    for names in _CGROUPS:
        left = _left_in_cgroup(*(cgroup_root / name for name in names))
        if left is not None:
            available = min(available, left)
    return available


def _left_in_cgroup(limit: Path, used: Path, statistics: Path) -> int | None:
    """Bytes below the limit of a control group; `None` where it has none, or there is no such file."""
    try:
        most, now = limit.read_text().strip(), int(used.read_text())
        facts = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):
        return None
    if not most.isdigit():
        return None
    reclaimable = int(facts.get("inactive_file", 0)) + int(facts.get("active_file", 0))
    return max(int(most) - now + reclaimable, 0)


def why_too_large(
    size: Size,
    optimization: str,
    device: str,
    free: int,
    estimators: Mapping[str, Callable[[], Estimator]],
    wider: Callable[[Estimator, Size], str | None] = lambda _estimator, _size: None,
) -> Reason | None:
    """Why a case of `size` does not fit into the `free` bytes of `device`, and what would; `None` where it fits.

    `estimators` maps the optimizations that the device has to their estimators, that of the case among them; `wider`
    names cards which such a case fits together.
    """
    need = estimators[optimization]().need(size)
    if need.total <= free:
        return None

    def fits(name: str, other: Size) -> bool:
        estimator = estimators[name]()
        return estimator.weights <= free and estimator.need(other).total <= free

    cards = wider(estimators[optimization](), size)
    fitting = [*fitting_instead(size, optimization, estimators, fits), *([] if cards is None else [cards])]
    said = {"device": device, **said_of(size, optimization, need, free)}
    if not fitting:
        return Reason.of("too_large_for_anything", **said)
    return Reason.of("too_large", **said, fitting=" or ".join(fitting))


def fitting_instead(
    size: Size, optimization: str, estimators: Iterable[str], fits: Callable[[str, Size], bool]
) -> list[str]:
    """The largest half, quarter and so on of the batch that fits, and the other optimizations that do."""
    smaller = (replace(size, batch_size=size.batch_size >> shift) for shift in range(1, size.batch_size.bit_length()))
    fitting = [f"batch {other.batch_size}" for other in smaller if fits(optimization, other)][:1]
    return fitting + [name for name in estimators if name != optimization and fits(name, size)]


def said_of(size: Size, optimization: str, need: Need, free: int) -> dict[str, Any]:
    """The figures of a sentence that refuses a case."""
    return {
        "optimization": optimization,
        "batch_size": size.batch_size,
        "total": _gib(need.total),
        "weights": _gib(need.weights),
        "activations": _gib(need.activations),
        "cache": _gib(need.cache),
        "free": _gib(free),
    }


def why_too_large_for_host(estimator: Estimator, optimization: str, device: str, free: int) -> Reason | None:
    """Why weights cannot pass through the `free` bytes of the host on their way to `device`; `None` where they can."""
    if estimator.weights <= free:
        return None
    return Reason.of(
        "too_large_for_host",
        optimization=optimization,
        device=device,
        weights=_gib(estimator.weights),
        free=_gib(free),
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.1f} MiB"
