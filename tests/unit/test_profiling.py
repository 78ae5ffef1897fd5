"""When CUPTI leaves the process: a fake profiler that notes what kineto would read from the environment."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures import profiling
from blip_fixtures.optimizations import kernels
from blip_fixtures.profiling import attached
from blip_fixtures.words import Component

TEARDOWN = "TEARDOWN_CUPTI"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Each profile and each call of CUDA, with what the environment said then."""
    seen: list[tuple[str, str | None]] = []

    class Profile:
        def __enter__(self) -> Profile:
            seen.append(("begin", os.environ.get(TEARDOWN)))
            return self

        def __exit__(self, *_: object) -> None:
            seen.append(("end", os.environ.get(TEARDOWN)))

        def events(self) -> list[Any]:
            return []

    monkeypatch.delenv(TEARDOWN, raising=False)
    monkeypatch.setattr(profiling, "_PAUSE_S", 0.0)
    monkeypatch.setattr(profiling, "profile_of", lambda _: Profile())
    monkeypatch.setattr(kernels, "profile_of", lambda _: Profile())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: seen.append(("call", os.environ.get(TEARDOWN))))
    return seen


LEAVING = [("begin", "1"), ("call", "1"), ("end", "1"), *[("call", "1")] * profiling._CALLS]


def profiles() -> None:
    """Two, one right after the other, in a block inside another."""
    with attached("cuda:0"), attached("cuda:0"):
        for _ in range(2):
            with profiling.profile_of("CUDA"):
                pass


def test_cupti_leaves_after_the_last_profile_of_a_block_and_not_between_them(
    seen: list[tuple[str, str | None]],
) -> None:
    profiles()
    assert seen == [*[("begin", "0"), ("end", "0")] * 2, *LEAVING]
    assert TEARDOWN not in os.environ


def test_cupti_leaves_after_an_error_as_well(seen: list[tuple[str, str | None]]) -> None:
    with pytest.raises(MemoryError), attached("cuda:0"):
        raise MemoryError
    assert seen == LEAVING
    assert TEARDOWN not in os.environ


@pytest.mark.parametrize("value", ["0", "1"])
def test_who_has_set_the_variable_decides(
    seen: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """torch sets it to 0 where CUDA graphs do not bear that CUPTI leaves."""
    monkeypatch.setenv(TEARDOWN, value)
    profiles()
    assert seen == [("begin", value), ("end", value)] * 2
    assert os.environ[TEARDOWN] == value


def test_a_cpu_has_no_cupti(seen: list[tuple[str, str | None]]) -> None:
    with attached("cpu"):
        assert TEARDOWN not in os.environ
    assert seen == []


class OnACard(nn.Module):
    """Says that it lies on a card."""

    def parameters(self, recurse: bool = True) -> Any:
        return iter([SimpleNamespace(device=torch.device("cuda:1"))])


@pytest.mark.parametrize("on_card", [False, True])
def test_a_look_at_attention_kernels_lets_cupti_go_as_well(seen: list[tuple[str, str | None]], on_card: bool) -> None:
    """kineto attaches it for a profile of the host too, on a machine with a card."""
    kernels.kernels_by_component({Component.VISION: OnACard() if on_card else nn.Linear(1, 1)}, lambda: None)
    value = "0" if on_card else None
    assert seen == [("begin", value), ("end", value), *(LEAVING if on_card else [])]
