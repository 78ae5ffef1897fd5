"""Will it fit: needs worked out on the meta device, what is free, and the sentence that refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.fit import (
    Estimator,
    Size,
    _peak_live_bytes,
    free_bytes,
    why_too_large,
    why_too_large_for_host,
)
from blip_fixtures.reasons import Reason

GIB = 2**30


@pytest.fixture(scope="module")
def estimator(checkpoint: Checkpoint) -> Estimator:
    return Estimator(checkpoint.config, "float32")


def test_weights_are_those_of_the_loaded_model(estimator: Estimator, loaded: LoadedModel) -> None:
    assert estimator.weights == loaded.weights_bytes


def test_full_size_weights() -> None:
    """4.023 B parameters, and flan-t5-xxl in fp32 above 24 GiB by far."""
    assert Estimator(CATALOG["Salesforce/instructblip-flan-t5-xl"], "bfloat16").weights == pytest.approx(
        8.05e9, rel=1e-3
    )
    assert Estimator(CATALOG["Salesforce/instructblip-flan-t5-xxl"], "float32").weights > 45 * GIB


def test_the_cache_is_as_large_as_a_real_one(estimator: Estimator, loaded: LoadedModel) -> None:
    batch, text, new = 2, 9, 5
    model = loaded.model
    positions = model.config.num_query_tokens + text
    result = model.language_model.generate(
        inputs_embeds=torch.randn(batch, positions, model.config.text_config.d_model),
        attention_mask=torch.ones(batch, positions),
        max_new_tokens=new,
        min_new_tokens=new,
        return_dict_in_generate=True,
    )
    cache = result.past_key_values
    tensors = [
        tensor
        for part in (cache.self_attention_cache, cache.cross_attention_cache)
        for layer in part.layers
        for tensor in (layer.keys, layer.values)
    ]
    need = estimator.need(Size(batch, 224, text, new))
    # The start token and all generated ones but the last, whose keys and values nobody reads.
    assert need.cache == sum(tensor.nbytes for tensor in tensors)


def test_activations_grow_with_the_batch_and_the_image(estimator: Estimator) -> None:
    small, wide, large = (estimator.need(Size(*axes, 50, 10)).activations for axes in ((1, 224), (4, 224), (1, 448)))
    assert wide == pytest.approx(4 * small, rel=0.1)
    assert large > 3 * small


def test_live_tensors_are_counted_and_freed_ones_are_not() -> None:
    def run() -> None:
        first = torch.empty(1000, dtype=torch.float32, device="meta")
        second = first + 1
        del first
        second.view(10, 100).add_(1)
        third = second * 2
        del second, third

    assert _peak_live_bytes(run) == 8000


def test_free_memory_is_some(tmp_path: Path) -> None:
    assert 2**28 < free_bytes("cpu", tmp_path) < 2**50


@pytest.mark.parametrize("names", [("memory.max", "memory.current", "memory.stat"), None])
def test_a_containers_limit_counts(tmp_path: Path, names: tuple[str, str, str] | None) -> None:
    limit, used, statistics = names or (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    )
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("100000000\n")
    (tmp_path / used).write_text("80000000\n")
    (tmp_path / statistics).write_text("anon 70000000\ninactive_file 6000000\nactive_file 4000000\n")
    assert free_bytes("cpu", tmp_path) == 30_000_000


def test_a_container_without_a_limit(tmp_path: Path) -> None:
    for name, text in (("memory.max", "max"), ("memory.current", "1"), ("memory.stat", "anon 1")):
        (tmp_path / name).write_text(text + "\n")
    assert free_bytes("cpu", tmp_path) > 2**28


def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7, 8) if device == "cuda:1" else (0, 0))
    assert free_bytes("cuda:1") == 7


class Fixed(Estimator):
    """Needs that are simple to add up: 8 GiB of weights a number of 4 bytes, and 1 GiB for each sample."""

    def __init__(self, itemsize: int) -> None:
        self.weights = 2 * itemsize * GIB
        self._vision = cache(lambda batch_size, _: 2 * batch_size * GIB // 3)
        self._qformer = self._language = cache(lambda *_: 0)
        self._cache = type("NoCache", (), {"bytes_held": lambda *_: 0})()


ESTIMATORS: dict[str, Callable[[], Estimator]] = {"fp32": partial(Fixed, 4), "fp16": partial(Fixed, 2)}


def refused(batch_size: int, free_gib: float, optimization: str = "fp32") -> Reason | None:
    return why_too_large(Size(batch_size, 224, 200, 50), optimization, "cpu", int(free_gib * GIB), ESTIMATORS)


def test_what_fits_is_not_refused() -> None:
    assert refused(4, 12.1) is None


def test_a_smaller_batch_and_another_dtype_are_named() -> None:
    reason = refused(16, 21)
    assert reason is not None
    assert reason.code == "too_large"
    assert reason.args["fitting"] == "batch 8 or fp16"
    assert str(reason) == (
        "fp32 at batch 16 needs about 24.0 GiB on cpu (weights 8.0 GiB, activations 16.0 GiB, cache 0.0 MiB) and "
        "21.0 GiB are free; batch 8 or fp16 would fit"
    )


def test_only_another_dtype() -> None:
    assert str(refused(1, 6)).endswith("and 6.0 GiB are free; fp16 would fit")


def test_nothing_fits() -> None:
    reason = refused(16, 3, "fp16")
    assert reason is not None
    assert reason.code == "too_large_for_anything"
    assert str(reason).endswith("nothing smaller fits either, so use another device")


def test_weights_pass_through_the_memory_of_the_host() -> None:
    assert why_too_large_for_host(Fixed(4), "fp32", "cuda:1", 8 * GIB) is None
    reason = why_too_large_for_host(Fixed(4), "fp32", "cuda:1", 8 * GIB - 1)
    assert str(reason) == (
        "fp32 on cuda:1 reads its weights through the memory of the host: they take 8.0 GiB and 8.0 GiB are free "
        "there; free some, or choose a dtype of fewer bytes"
    )
