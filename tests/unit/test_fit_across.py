"""Will it fit across several cards: what each of them needs, which of them is named, and when cards are advised."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case
from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.engine import Job, Session
from blip_fixtures.engine.fit import Estimator, Size, why_too_large
from blip_fixtures.engine.fit_across import Across, cards_that_fit, why_too_large_across
from blip_fixtures.words import Weights
from tests.unit.fake_cards import GIB, cards_at_hand
from tests.unit.test_placement import STOCK
from tests.unit.twins import CONFIGS

VICUNA = "Salesforce/instructblip-vicuna-13b"
SIZE = Size(2, 56, 20, 10)


@pytest.fixture(scope="module")
def twin() -> Estimator:
    return Estimator(CONFIGS["instructblip-t5"], "float32")


@pytest.fixture(scope="module")
def vicuna() -> Estimator:
    return Estimator(CATALOG[VICUNA], "bfloat16")


@pytest.mark.parametrize("shares", [(1, 1), (3, 1), (1, 1, 1)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_parts_are_the_whole(name: str, shares: tuple[int, ...]) -> None:
    estimator = Estimator(CONFIGS[name], "float32")
    whole, needs = estimator.need(SIZE), Across(estimator, shares).needs(SIZE)
    assert sum(need.weights for need in needs) == weight_bytes(build_on_meta(CONFIGS[name], "float32"))
    assert sum(need.cache for need in needs) == pytest.approx(whole.cache, abs=len(shares))
    # Inputs and results of every phase lie on the first.
    assert needs[0].activations == whole.activations == max(need.activations for need in needs)


def test_a_card_is_charged_with_the_phases_that_it_works_in(vicuna: Estimator) -> None:
    """Many large pictures are the vision encoder's matter, which is on the first card alone."""
    many = Size(32, 672, 1, 10)
    first, second = Across(vicuna, (1, 1)).needs(many)
    assert second.activations < first.activations / 2
    # 40 layers, each with a cache: the second card has more of them, since the vision encoder is on the first.
    assert 0.5 < second.cache / (first.cache + second.cache) < 0.65


def test_the_card_that_lacks_the_most_is_named(twin: Estimator) -> None:
    first, second = Across(twin, (1, 1)).needs(SIZE)
    estimators = {"fp32": lambda: twin}
    refused = partial(why_too_large_across, SIZE, "fp32", shares=(1, 1), estimators=estimators)
    assert refused({"cuda:0": first.total, "cuda:1": second.total}) is None
    reason = refused({"cuda:0": first.total - 1, "cuda:1": second.total // 2})
    assert reason is not None
    assert (reason.args["card"], reason.args["device"]) == ("cuda:1", "cuda:0+cuda:1")
    assert reason.code == "too_large_for_any_card"
    for said in (reason.say("en"), reason.say("ru")):
        assert "fp32" in said
        assert said.count("cuda:1") == 2, "of the joined name, and the card"


def test_what_would_fit_is_said(twin: Estimator) -> None:
    estimators: dict[str, Callable[[], Estimator]] = {
        "fp32": lambda: twin,
        "bf16": partial(Estimator, CONFIGS["instructblip-t5"], "bfloat16"),
    }
    large = Size(64, 56, 20, 10)
    free = [int(1.2 * need.total) for need in Across(twin, (1, 1)).needs(Size(32, 56, 20, 10))]
    reason = why_too_large_across(large, "fp32", dict(zip(("cuda:2", "cuda:0"), free, strict=True)), (1, 1), estimators)
    assert reason is not None
    assert (reason.code, reason.args["fitting"]) == ("too_large_for_card", "batch 32 or bf16")


def test_the_fewest_cards_that_hold_it_are_advised(vicuna: Estimator) -> None:
    """26.4 GiB of weights: on two cards of 24 GiB, or four of 8."""
    size = Size(1, 224, 50, 10)

    def advised(gib: int, cards: int, card: str = "cuda:0") -> str | None:
        each = dict.fromkeys([f"cuda:{number}" for number in range(cards)], gib * GIB)
        return cards_that_fit(vicuna, size, card, each, each)

    assert advised(24, 1) is None
    assert advised(24, 4) == "cuda:0+cuda:1"
    assert advised(24, 2, card="cuda:1") == "cuda:1+cuda:0"
    assert advised(8, 3) is None
    assert advised(8, 5) == "cuda:0+cuda:1+cuda:2+cuda:3"
    reason = why_too_large(size, "bf16", "cuda:0", 24 * GIB, {"bf16": lambda: vicuna}, lambda *_: "cuda:0+cuda:1")
    assert str(reason).endswith("and 24.0 GiB are free; cuda:0+cuda:1 would fit")


def job_of(device: str) -> Job:
    case: dict[str, Any] = {"dataset": "textvqa", "batch_size": 1, "image_size": 224, "sequence_length": 50}
    return Job.of(Case(model=VICUNA, device=device, optimization="bf16", weights=Weights.RANDOM, **case))


@pytest.mark.parametrize(
    ("device", "free_gib", "code", "part"),
    [
        ("cuda:0", (24, 24), "too_large", "cuda:0+cuda:1 would fit"),
        ("cuda:0", (24, 1), "too_large_for_anything", "use another device"),
        ("cuda:0+cuda:1", (24, 24), None, ""),
        ("cuda:0+cuda:1", (24, 3), "too_large_for_any_card", "on cuda:1 (weights"),
    ],
)
def test_a_session_asks_each_card(
    monkeypatch: pytest.MonkeyPatch, device: str, free_gib: tuple[int, int], code: str | None, part: str
) -> None:
    with cards_at_hand():
        memory = {f"cuda:{number}": (gib * GIB, 24 * GIB) for number, gib in enumerate(free_gib)}
        monkeypatch.setattr(torch.cuda, "mem_get_info", memory.get)
        reason = Session(stock=STOCK).why_unavailable(job_of(device))
    assert (reason and reason.code) == code
    assert part in str(reason or "")


def test_the_live_model_gives_each_card_back_what_it_has_there() -> None:
    from blip_fixtures.checkpoints.loading import OneLiveModel

    by_card = {"cuda:0": 30, "cuda:1": 12}
    live: Any = SimpleNamespace(device="cuda:0+cuda:1", weights_bytes=42, weights_by_card=by_card)
    checkpoint: Any = SimpleNamespace(model="m", weights="random", revision="r")
    models = OneLiveModel(lambda *_: live)
    models.get(checkpoint, "cuda:0+cuda:1", "fp16")
    assert [models.held_bytes(card) for card in ("cuda:0", "cuda:1", "cuda:2", "cpu")] == [30, 12, 0, 0]
