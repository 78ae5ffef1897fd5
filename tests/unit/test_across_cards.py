"""A model across two cards: the tokens of one device, each block on its card, and what becomes of each optimization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from blip_fixtures.case import cards_of
from blip_fixtures.checkpoints import across
from blip_fixtures.checkpoints.across import device_of, dispatch, memory_shares, places_of
from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.devices import working_on
from blip_fixtures.engine import Session
from blip_fixtures.engine.inference import generate, rank, to_device
from blip_fixtures.engine.workload import load_for
from blip_fixtures.optimizations import OPTIMIZATIONS, find_optimization
from blip_fixtures.optimizations.kernels import force_flash_backend, unforced
from blip_fixtures.words import Component, Weights
from tests.unit.fake_cards import CARDS, GIB, Cards, cards_at_hand, fake_tensors
from tests.unit.test_placement import STOCK, TOKENS, devices_of, job_on, marks_of, mixed_devices, run
from tests.unit.test_twins_on_cards import batch_of
from tests.unit.twins import CONFIGS

DEVICE = "cuda:0+cuda:1"
# With the second, the language model of a twin is cut within its decoder.
SHARES = ((80 * GIB, 80 * GIB), (80 * GIB, 20 * GIB))


def twin(name: str) -> Checkpoint:
    return Checkpoint("m", None, "r", CONFIGS[name], weights=Weights.RANDOM)


def answers(loaded: LoadedModel, asked: Any, ranked: Any, device: str) -> list[Any]:
    """Of greedy decoding, of beam search with a penalty, of ranking."""
    inputs = to_device(asked, device, loaded.pixel_dtype)
    penalty = loaded.family.penalty(1.5, inputs)
    beams = generate(loaded.runner, inputs, TOKENS, num_beams=3, length_penalty=-1.0, penalty=penalty)
    scores = rank(loaded, to_device(ranked, device, loaded.pixel_dtype))
    return [run(loaded, inputs), beams, scores]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_answers_are_those_of_the_model_on_one_device(name: str) -> None:
    """Dispatched in pieces, with all that moves tensors between them, to one device that this machine has."""
    checkpoint = twin(name)
    asked, ranked = batch_of(checkpoint, "textvqa", "seed"), batch_of(checkpoint, "scienceqa", "published")
    loaded = load_model(checkpoint, "cpu", "fp32", "float32")
    plain = answers(loaded, asked, ranked, "cpu")
    dispatch(loaded.model, loaded.family, dict.fromkeys(loaded.family.device_map(loaded.model, [1, 1]), "cpu"), "cpu")
    for before, after in zip(plain, answers(loaded, asked, ranked, "cpu"), strict=True):
        assert torch.equal(before, after)


def test_weights_of_a_file_are_loaded_by_the_map(
    checkpoint: Checkpoint, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers is given it, so that no tensor waits in the memory of the host."""
    given: list[Any] = []
    kind = checkpoint.family.model_class()
    real = kind.from_pretrained

    def noting(*args: Any, **kwargs: Any) -> Any:
        given.append(kwargs.get("device_map"))
        return real(*args, **kwargs)

    monkeypatch.setattr(kind, "from_pretrained", noting)
    monkeypatch.setattr("blip_fixtures.checkpoints.loading.cards_of", lambda _device: ("cpu", "cpu"))
    monkeypatch.setattr(across, "memory_shares", lambda _cards: (1, 1))
    found = load_model(checkpoint, "cpu", "fp32", "float32")
    assert given == [found.places]
    assert set(found.places.values()) == {"cpu"}
    for (path, one), (_, other) in zip(loaded.model.named_parameters(), found.model.named_parameters(), strict=True):
        assert torch.equal(one, other), path


@pytest.fixture
def cards() -> Iterator[Cards]:
    with cards_at_hand() as found:
        yield found


@pytest.mark.parametrize("shares", SHARES, ids=["alike", "four to one"])
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.usefixtures("cards")
def test_every_block_is_on_its_card_and_answers_come_to_the_first(
    monkeypatch: pytest.MonkeyPatch, name: str, shares: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (GIB, shares[CARDS.index(card)]))
    checkpoint = twin(name)
    asked, ranked = batch_of(checkpoint, "textvqa", "seed"), batch_of(checkpoint, "scienceqa", "published")
    with fake_tensors(), working_on(DEVICE):
        loaded = load_for(checkpoint, DEVICE, "fp16")
        tensors = dict([*loaded.model.named_parameters(), *loaded.model.named_buffers()])
        assert {path: str(tensor.device) for path, tensor in tensors.items()} == {
            path: device_of(path, loaded.places) for path in tensors
        }
        assert devices_of(tensors.values()) == set(CARDS)
        assert list(loaded.stretches) == list(CARDS)
        assert devices_of(answers(loaded, asked, ranked, "cuda:0")) == {"cuda:0"}


@pytest.mark.usefixtures("cards")
def test_without_hooks_two_cards_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is worth what it catches."""
    monkeypatch.setattr("blip_fixtures.checkpoints.loading.dispatch", lambda *_: None)
    checkpoint = twin("instructblip-t5")
    asked = batch_of(checkpoint, "textvqa", "seed")
    with fake_tensors(), working_on(DEVICE):
        loaded = load_for(checkpoint, DEVICE, "fp16")
        with mixed_devices():
            run(loaded, to_device(asked, "cuda:0", loaded.pixel_dtype))


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in OPTIMIZATIONS])
@pytest.mark.usefixtures("cards")
def test_an_optimization_holds_across_cards_or_says_why_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("blip_fixtures.optimizations.compile.find_spec", lambda _: object())
    refused = {"compile": "one_card_only", "int8_dynamic": "integer_products_on_cuda"}
    chosen = find_optimization(name)
    reason = chosen.why_unavailable(DEVICE)
    assert (reason and reason.code) == refused.get(name)
    if reason is not None:
        return
    checkpoint = twin("instructblip-t5")
    asked = batch_of(checkpoint, "textvqa", "seed")
    with fake_tensors(), working_on(DEVICE):
        loaded = load_for(checkpoint, DEVICE, name)
        assert str(run(loaded, to_device(asked, "cuda:0", loaded.pixel_dtype)).device) == "cuda:0"


@pytest.mark.usefixtures("cards")
def test_what_forces_a_kernel_leaves_what_moves_tensors() -> None:
    with fake_tensors():
        vision = load_for(twin("blip2-opt"), DEVICE, "fp16").components[Component.VISION]
    moving = vision.forward
    with unforced(vision):
        assert vision.forward is moving
    force_flash_backend(vision)
    forced = vision.forward
    assert forced is not moving
    with unforced(vision):
        assert vision.forward is moving
    assert vision.forward is forced


@pytest.mark.usefixtures("cards")
def test_where_blocks_lie_depends_on_nobody_elses_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS["blip2-t5"]
    before = places_of(config, "float16", CARDS)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (GIB if card == "cuda:0" else 50 * GIB, 80 * GIB))
    assert (memory_shares(CARDS), places_of(config, "float16", CARDS)) == ((80 * GIB, 80 * GIB), before)


def test_a_device_of_one_card_is_itself() -> None:
    assert [cards_of(device) for device in ("cpu", "cuda:1", DEVICE)] == [("cpu",), ("cuda:1",), CARDS]


# `weights_bytes` tells shared tensors by their address, and fake ones have none.
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.usefixtures("cards")
def test_a_job_across_cards_is_measured_card_by_card(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda card=None: waited.append(str(card)))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda card=None: CARDS.index(str(card)) * GIB + GIB)
    monkeypatch.setattr("blip_fixtures.optimizations.Optimization.proof", lambda *_: {})
    monkeypatch.setattr("blip_fixtures.engine.passes.attention.attention_kernels", lambda *_: {})
    job = job_on(DEVICE, "bf16")
    session = Session(stock=STOCK)
    assert session.why_unavailable(job) is None
    with fake_tensors():
        outcome = session.attempt(job)
    assert outcome.error is None
    record = outcome.record
    assert (record.case.device, record.case.device_name) == (DEVICE, "no card + no card")
    assert set(waited) == set(CARDS)
    memory = record.memory
    assert memory is not None
    assert list(memory.by_card) == list(CARDS)
    assert (memory.reserved_bytes, [card.reserved_bytes for card in memory.by_card.values()]) == (
        3 * GIB,
        [GIB, 2 * GIB],
    )
    for name in ("weights_bytes", "peak_bytes"):
        parts = [getattr(card, name) for card in memory.by_card.values()]
        assert (sum(parts), min(parts) > 0) == (getattr(memory, name), True), name
    stretches = record.applied["cards"]
    assert stretches["cuda:0"]["first"] == "vision_model.encoder.layers.0"
    assert stretches["cuda:1"]["last"].startswith("language_model.decoder.block.")
    assert "across_cards" in [note.code for note in record.notes]
