"""Will it fit? What a case needs, computed on the meta device, against what its device has free."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.limits import CacheShape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    works on `beams` rows for each sample.
    """

    batch_size: int
    image_size: int
    text_tokens: int
    new_tokens: int
    beams: int = 1


class Estimator:
    """Needs of one architecture in one dtype, each size worked out once.

    Raises `ValueError` for a configuration that makes no model.
    """

    def __init__(self, config: Mapping[str, Any], dtype: str) -> None:
        import torch

        self._model = build_on_meta(config, dtype)
        self._cache = CacheShape.of(config, getattr(torch, dtype).itemsize)
        self.weights = weight_bytes(self._model)
        self._dtype = getattr(torch, dtype)
        # A run through a part takes some tenths of a second, and sweeps share most of them.
        self._vision, self._qformer, self._language = (
            cache(part) for part in (self._run_vision, self._run_qformer, self._run_language)
        )

    def need(self, size: Size) -> Need:
        """The peak over the phases, each run on the meta device with its live tensors counted."""
        live = (
            self._vision(size.batch_size, size.image_size),
            self._qformer(size.batch_size, size.image_size, size.text_tokens),
            self._language(size.batch_size, size.text_tokens, size.beams),
        )
        activations = int(_ALLOCATOR_SLACK * max(live))
        held = self._cache.bytes_held(size.batch_size * size.beams, size.text_tokens, size.new_tokens)
        return Need(self.weights, activations, held)

    def _run_vision(self, batch_size: int, image_size: int) -> int:
        import torch

        pixels = torch.empty(batch_size, 3, image_size, image_size, dtype=self._dtype, device="meta")
        return _peak_live_bytes(lambda: self._model.vision_model(pixels, interpolate_pos_encoding=True))

    def _run_qformer(self, batch_size: int, image_size: int, text_tokens: int) -> int:
        import torch

        config = self._model.config
        patches = (image_size // config.vision_config.patch_size) ** 2 + 1
        ids = torch.zeros(batch_size, text_tokens, dtype=torch.long, device="meta")
        features = torch.empty(batch_size, patches, config.vision_config.hidden_size, dtype=self._dtype, device="meta")
        queries = self._model.query_tokens.to(self._dtype).expand(batch_size, -1, -1)
        return features.nbytes + _peak_live_bytes(
            lambda: self._model.qformer(input_ids=ids, query_embeds=queries, encoder_hidden_states=features)
        )

    def _run_language(self, batch_size: int, text_tokens: int, beams: int) -> int:
        import torch

        positions = self._model.config.num_query_tokens + text_tokens
        width = self._model.config.text_config.hidden_size
        embeddings = torch.empty(batch_size, positions, width, dtype=self._dtype, device="meta")
        token = torch.zeros(batch_size * beams, 1, dtype=torch.long, device="meta")
        language = self._model.language_model

        def run() -> None:
            encoded = language.get_encoder()(inputs_embeds=embeddings).last_hidden_state
            states = encoded if beams == 1 else encoded.repeat_interleave(beams, dim=0)
            language(encoder_outputs=(states,), decoder_input_ids=token, use_cache=True)

        return _peak_live_bytes(run)


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
            given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)}
            for leaf in tree_leaves(result):
                if torch.is_tensor(leaf):
                    storage = leaf.untyped_storage()
                    # A view or an in-place result shares the storage of what came in.
                    if storage._cdata not in given and storage._cdata not in self.seen:
                        self._watch(storage)
            self.peak = max(self.peak, self.live)
            return result

        def _watch(self, storage: Any) -> None:
            key, count = storage._cdata, storage.nbytes()
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
    size: Size, optimization: str, device: str, free: int, estimators: Mapping[str, Callable[[], Estimator]]
) -> str | None:
    """Why a case of `size` does not fit into the `free` bytes of `device`, and what would; `None` where it fits.

    `estimators` maps the optimizations that the device has to their estimators, that of the case among them.
    """
    need = estimators[optimization]().need(size)
    if need.total <= free:
        return None

    def fits(name: str, other: Size) -> bool:
        estimator = estimators[name]()
        return estimator.weights <= free and estimator.need(other).total <= free

    smaller = (replace(size, batch_size=size.batch_size >> shift) for shift in range(1, size.batch_size.bit_length()))
    fitting = [f"batch {other.batch_size}" for other in smaller if fits(optimization, other)][:1]
    fitting += [name for name in estimators if name != optimization and fits(name, size)]
    advice = f"{' or '.join(fitting)} would fit" if fitting else "nothing smaller fits either, so use another device"
    return (
        f"{optimization} at batch {size.batch_size} needs about {_gib(need.total)} on {device} (weights "
        f"{_gib(need.weights)}, activations {_gib(need.activations)}, cache {_gib(need.cache)}) and {_gib(free)} are "
        f"free; {advice}"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.1f} MiB"
