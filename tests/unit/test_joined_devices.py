"""Cards joined by ``+``: how they are named, what is asked of each, what they are called and locked by."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case
from blip_fixtures.device_errors import is_lost
from blip_fixtures.devices import device_name, primary_device, synchronize, why_unavailable, working_on
from blip_fixtures.engine.environment import device_identity
from blip_fixtures.engine.loop import ReferenceKernel
from blip_fixtures.pytest_plugin.guard import Guard
from blip_fixtures.pytest_plugin.parsing import devices
from tests.unit.fake_cards import Cards, cards_at_hand, properties

DEVICE = "cuda:1+cuda:0"


@pytest.fixture
def cards() -> Iterator[Cards]:
    with cards_at_hand() as found:
        yield found


@pytest.mark.parametrize("given", [["cuda:0+cuda:1"], ["cpu", "cuda:3+cuda:0+cuda:12"]])
def test_cards_are_joined(given: list[str]) -> None:
    assert devices(given) == tuple(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cuda:0+cpu", "only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not 'cpu'"),
        ("cuda+cuda:1", "only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not 'cuda'"),
        ("auto+cuda:1", "only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not 'auto'"),
        ("cuda:0+", "only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not ''"),
        ("cuda:0+cuda:01", "only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not 'cuda:01'"),
        ("cuda:0+cuda:1+cuda:0", "a card can hold its part of a model once; name different cards"),
        ("+".join(f"cuda:{number}" for number in range(17)), "at most 16 cards are joined"),
    ],
)
def test_what_is_no_device_is_refused_in_one_sentence(given: str, said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole sentence is compared
        devices([given])
    assert str(error.value) == said


def test_it_is_a_cuda_device_as_others_are() -> None:
    assert primary_device(["cpu", "cuda:0", DEVICE]) == DEVICE
    values: dict[str, Any] = {"dataset": "textvqa", "batch_size": 1, "image_size": 224, "sequence_length": 200}
    assert Case(model="m", device=DEVICE, optimization="fp16", **values).id.startswith("textvqa-cuda:1+cuda:0-fp16-")


@pytest.mark.usefixtures("cards")
def test_each_card_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_unavailable(DEVICE) is None
    reason = why_unavailable("cuda:0+cuda:2")
    assert (reason and reason.code, reason and reason.args["device"]) == ("no_such_device", "cuda:2")
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda card=None: waited.append(card))
    synchronize(DEVICE)
    assert waited == ["cuda:1", "cuda:0"]
    assert not is_lost(DEVICE)
    assert waited[2:] == ["cuda:1", "cuda:0"]
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda card: f"card {card}")
    assert device_name(DEVICE) == "card cuda:1 + card cuda:0"
    identity = device_identity(DEVICE)
    assert (identity.name, identity.uuid) == (
        "card cuda:1 + card cuda:0",
        f"{properties('cuda:1').uuid}+{properties('cuda:0').uuid}",
    )


@pytest.mark.usefixtures("cards")
def test_a_card_that_is_lost_loses_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(card: str) -> None:
        if card == "cuda:0":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", failing)
    assert (is_lost("cuda:1"), is_lost(DEVICE)) == (False, True)


@pytest.mark.parametrize(
    ("version", "code"), [(None, "no_accelerate"), ("0.34.2", "accelerate_too_old"), ("1.0.0", None)]
)
@pytest.mark.usefixtures("cards")
def test_accelerate_is_needed_for_several_cards_alone(
    monkeypatch: pytest.MonkeyPatch, version: str | None, code: str | None
) -> None:
    def installed(package: str) -> str:
        assert package == "accelerate"
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert why_unavailable("cuda:0") is None
    reason = why_unavailable(DEVICE)
    assert (reason and reason.code) == code
    said = [reason.say(lang) for lang in ("en", "ru")] if reason else []
    assert all("pip install 'pytest-blip[cards]'" in sentence for sentence in said)


def test_the_first_card_is_the_current_one(cards: Cards) -> None:
    with working_on(DEVICE):
        assert cards.current == 1
    assert cards.current == 0


def test_every_card_is_locked_once_in_the_order_of_all_runs(cards: Cards) -> None:
    taken: list[str] = []

    class Locks:
        def take_device(self, identity: str) -> None:
            taken.append(identity)

    guard = Guard.__new__(Guard)
    guard._locks = Locks()  # type: ignore[assignment]  # private: no run is started for it
    guard.lock_devices([DEVICE, "cuda:1"])
    assert taken == [properties("cuda:0").uuid, properties("cuda:1").uuid]


def test_the_reference_runs_on_every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def moved(tensor: Any, device: str) -> Any:
        made.append(device)
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", moved)
    monkeypatch.setattr("blip_fixtures.engine.loop._REFERENCE", {"cuda": (8, 2)})
    monkeypatch.setattr("blip_fixtures.engine.loop.synchronizing_timer", lambda device: lambda: float(len(device)))
    assert ReferenceKernel(DEVICE)() == 0.0
    assert made == ["cuda:1", "cuda:0"]
