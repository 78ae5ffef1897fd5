"""The limit: the least time that the hardware allows for a case's FLOPs and bytes, phase by phase.

The roofline model (Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785): a phase takes at least its FLOPs
over the rate of matrix products and at least its bytes over the read bandwidth, whichever is more. Bytes are each
weight read once per forward of its part, and the key-value cache once per decoder step. Activations are left out, so
the figure stays below what a perfect program would need.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import stored_bytes
from blip_fixtures.families import family_of
from blip_fixtures.record import Limit
from blip_fixtures.words import Bound, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.engine.flops import BatchShape, FlopCount

# Long enough for matrix products to reach their full rate, short enough for many of them in a second.
_ROWS = {"cpu": 1024, "cuda": 8192}
# Twice the largest cache of a common processor: what is not larger is read from the cache in real calls as well.
_LARGEST_BUFFER_BYTES = 512 * 2**20
_SECONDS = 1.5
_LEAST_REPEATS = 2


@dataclass(frozen=True)
class Rates:
    """The best that was seen of a device in one dtype: FLOP/s of matrix products, bytes/s of reading, by phase.

    The bandwidth is that of a buffer as large as the phase's weights: a model that fits the caches is held to theirs.
    """

    flops_per_s: float
    bytes_per_s: Mapping[Phase, float]


def weights_read(model: Any, modules: Mapping[Phase, Sequence[str]]) -> dict[Phase, int]:
    """Bytes of the weights that one forward of each phase reads, from `FlopCounter.modules` and the loaded model."""
    return {phase: sum(stored_bytes(model.get_submodule(path)) for path in paths) for phase, paths in modules.items()}


def measure_rates(
    model: Any,
    modules: Mapping[Phase, Sequence[str]],
    device: str,
    dtype: str,
    timer: Callable[[], float] = time.perf_counter,
) -> Rates:
    """The rates of `device`, from products with the largest layer of each part of the model and reads of buffers.

    Takes about one and a half seconds, half of them for each kind. `timer` waits for the device before it reads the
    clock.
    """
    layers = [_largest_layer(model, modules[phase]) for phase in (Phase.VISION, Phase.QFORMER, Phase.PREFILL)]
    rows = _ROWS[device.partition(":")[0]]
    share_s = _SECONDS / 2 / len(layers)
    rate = max(_product_rate(layer, rows, device, dtype, timer, share_s) for layer in layers)
    read = weights_read(model, modules)
    sizes = {phase: min(max(count, 4096), _LARGEST_BUFFER_BYTES) for phase, count in read.items()}
    share_s = _SECONDS / 2 / len(set(sizes.values()))
    bandwidths = {size: _read_rate(size, device, timer, share_s) for size in sorted(set(sizes.values()))}
    return Rates(rate, {phase: bandwidths[size] for phase, size in sizes.items()})


def _largest_layer(model: Any, paths: Sequence[str]) -> Any:
    """The largest linear layer, packed or not, but the head, whose product is one of few rows."""
    layers = [model.get_submodule(path) for path in paths if not path.endswith("lm_head")]
    linear = [layer for layer in layers if hasattr(layer, "in_features")]
    return max(linear, key=lambda layer: layer.in_features * layer.out_features)


def _product_rate(layer: Any, rows: int, device: str, dtype: str, timer: Callable[[], float], share_s: float) -> float:
    import torch

    generator = torch.Generator().manual_seed(0)
    # A layer may be kept in another dtype than the model's.
    kept = layer.weight.dtype if layer.weight.is_floating_point() else getattr(torch, dtype)
    inputs = torch.randn(rows, layer.in_features, generator=generator).to(device, kept)
    with torch.no_grad():
        fastest_s = _fastest_s(lambda: layer(inputs), timer, share_s)
    return float(2 * rows * layer.in_features * layer.out_features / fastest_s)


def _read_rate(size: int, device: str, timer: Callable[[], float], share_s: float) -> float:
    import torch

    # A sum reads each number once and writes next to nothing.
    buffer = torch.ones(size // 4, dtype=torch.float32, device=device)
    return float(buffer.nbytes / _fastest_s(buffer.sum, timer, share_s))


def _fastest_s(run: Callable[[], object], timer: Callable[[], float], share_s: float) -> float:
    """The shortest of repeated runs: what others on the machine take is no limit of the hardware."""
    run()
    fastest_s = float("inf")
    begin_s = timer()
    repeats = 0
    while repeats < _LEAST_REPEATS or timer() - begin_s < share_s:
        start_s = timer()
        run()
        fastest_s = min(fastest_s, timer() - start_s)
        repeats += 1
    return fastest_s


@dataclass(frozen=True)
class CacheShape:
    """The key-value cache of a decoder: bytes of one token of one sample over all layers, and the query tokens before
    the prompt's own, whose keys and values the decoder reads as well.
    """

    token_bytes: int
    query_tokens: int

    @classmethod
    def of(cls, config: Mapping[str, Any], itemsize: int) -> CacheShape:
        """From a ``config.json``; `itemsize` is the bytes of one number of the cache."""
        family = family_of(config)
        return cls(family.cache_token_bytes(config, itemsize), family.query_tokens(config))

    def bytes_read(self, shape: BatchShape) -> int:
        """Over the steps behind the first: the prompt's part whole in each, the answer's as long as it has grown."""
        later = max(shape.steps - 1, 0)
        tokens = later * (self.query_tokens + shape.text_tokens) + later * (later + 1) // 2
        return shape.batch_size * shape.beams * self.token_bytes * tokens

    def bytes_held(self, rows: int, text_tokens: int, new_tokens: int) -> int:
        """When the last token has been generated in each of `rows` beams of all samples."""
        return rows * self.token_bytes * (self.query_tokens + text_tokens + new_tokens)


def floor(
    batches: Sequence[tuple[BatchShape, FlopCount]], weights: Mapping[Phase, int], cache: CacheShape, rates: Rates
) -> Limit:
    """The record's `limit` without its ratio: the least seconds, a mean over `batches`, and what binds each phase."""
    seconds = dict.fromkeys(Phase, 0.0)
    arithmetic = dict.fromkeys(Phase, 0.0)
    reading = dict.fromkeys(Phase, 0.0)
    for shape, count in batches:
        later = max(shape.steps - 1, 0)
        read = {**weights, Phase.DECODE: weights[Phase.DECODE] * later + cache.bytes_read(shape)}
        for phase in Phase:
            by_flops = getattr(count, phase) / rates.flops_per_s
            by_bytes = read[phase] / rates.bytes_per_s[phase]
            arithmetic[phase] += by_flops
            reading[phase] += by_bytes
            seconds[phase] += max(by_flops, by_bytes) / len(batches)
    return Limit(
        seconds=sum(seconds.values()),
        ratio=None,
        bound_by={
            phase: Bound.ARITHMETIC if arithmetic[phase] >= reading[phase] else Bound.MEMORY
            for phase in Phase
            if seconds[phase] > 0
        },
        phases_s=seconds,
        flops_per_s=rates.flops_per_s,
        bytes_per_s=dict(rates.bytes_per_s),
    )
