"""What stands in for torch.cuda takes what torch takes, so that a test fails where a machine with a GPU would."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from tests.acceptance.cuda_stand_in import ANSWERS
from tests.unit.fake_cards import Cards

STAND_INS = [*ANSWERS.items(), *Cards().answers.items()]
# Parameters that came after the oldest torch that the package allows.
LATER = {("memory_snapshot", "include_traces")}


def parameters(function: Any) -> list[tuple[str, Any, bool]]:
    """The name, kind and whether it may be left out, of each."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default is not each.empty) for each in found]


@pytest.mark.parametrize(("name", "stand_in"), STAND_INS, ids=[name for name, _ in STAND_INS])
def test_a_stand_in_has_torchs_own_parameters(name: str, stand_in: Any) -> None:
    own = [each for each in parameters(getattr(torch.cuda, name)) if (name, each[0]) not in LATER]
    assert parameters(stand_in) == own
