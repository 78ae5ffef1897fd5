"""Which block of a model lies on which card: stretches of whole blocks, as long as the memory of the cards."""

from __future__ import annotations

import itertools
import random

import pytest
from torch import nn

from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.families import family_of
from blip_fixtures.families.placing import Piece, bytes_on, pieces_of, spread
from tests.unit.twins import CONFIGS


def fullest(sizes: list[int], ends: tuple[int, ...], shares: list[float]) -> float:
    """How full the fullest card is where these stretches end so."""
    edges = [0, *ends, len(sizes)]
    return max(sum(sizes[a:b]) / share for (a, b), share in zip(itertools.pairwise(edges), shares, strict=True))


@pytest.mark.parametrize("cards", [1, 2, 3, 4])
def test_no_other_stretches_leave_more_room(cards: int) -> None:
    """Against all that there are."""
    chance = random.Random(cards)
    for _ in range(30):
        sizes = [chance.choice([0, 1, 5, 40, 1000]) for _ in range(chance.randint(1, 9))]
        shares = [chance.choice([1.0, 2.0, 80.0]) for _ in range(cards)]
        placed = spread([Piece(f"a.{number}", size) for number, size in enumerate(sizes)], shares)
        numbers = [placed[f"a.{number}"] for number in range(len(sizes))]
        assert numbers == sorted(numbers), "a card has one stretch"
        found = tuple(sum(number <= card for number in numbers) for card in range(cards - 1))
        every = itertools.combinations_with_replacement(range(len(sizes) + 1), cards - 1)
        assert fullest(sizes, found, shares) == min(fullest(sizes, ends, shares) for ends in every)


def test_a_shared_tensor_lies_once_where_it_comes_first() -> None:
    model = nn.ModuleDict({name: nn.Linear(4, 4, bias=False) for name in ("first", "second", "third")})
    holder = nn.ModuleDict({"parts": model})
    model["third"].weight = model["first"].weight
    pieces = pieces_of(holder, ["parts"])
    assert pieces == [Piece("parts.first", 64), Piece("parts.second", 64), Piece("parts.third", 0, "parts.first")]
    placed = spread(pieces, [1, 1])
    assert placed == {"parts.first": 0, "parts.second": 1, "parts.third": 0}
    assert bytes_on(pieces, placed, 2) == [64, 64]


@pytest.mark.parametrize("cards", [2, 3])
@pytest.mark.parametrize(
    "name", [*CONFIGS, "Salesforce/instructblip-vicuna-13b", "Salesforce/instructblip-flan-t5-xxl"]
)
def test_every_tensor_of_a_model_has_one_card(name: str, cards: int) -> None:
    config = CONFIGS.get(name) or CATALOG[name]
    family, model = family_of(config), build_on_meta(config, "bfloat16")
    shares = list(range(1, cards + 1))
    placed = family.device_map(model, shares)
    for path, _ in [*model.named_parameters(), *model.named_buffers()]:
        assert sum(path == each or path.startswith(f"{each}.") for each in placed) == 1, path
    for path in family.block_lists():
        blocks = model.get_submodule(path)
        assert [f"{path}.{number}" in placed for number in range(len(blocks))] == [True] * len(blocks)
    pieces = pieces_of(model, family.block_lists())
    on_cards = bytes_on(pieces, placed, cards)
    assert sum(on_cards) == weight_bytes(model)
    assert placed["query_tokens"] == 0
    # No card is fuller than its share by more than the largest piece.
    even = sum(on_cards) / sum(shares)
    largest = max(piece.nbytes for piece in pieces)
    assert all(found <= share * even + largest for found, share in zip(on_cards, shares, strict=True))
