"""What an optimization is made of: one `Entry`, with its need, application, preparation, proof, notes and label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.families import Family
    from blip_fixtures.reasons import Reason


Found = TypeVar("Found")


class NotApplied(RuntimeError):
    """An optimization that was asked for and did not take effect."""


@dataclass(frozen=True)
class Probe:
    """Untimed calls on the first batch of a case, for entries whose proof takes one.

    `run` is the case's own way to generate, `run_eager` transformers' on the same model. Both generate as the
    case does, with its tokens and beams, so that nothing is compiled for them.
    """

    run: Callable[[], Any]
    run_eager: Callable[[], Any]


def unless_out_of_memory(look: Callable[[], Found]) -> Found | None:
    """What `look` finds; `None` where there is no memory for it: what is left is no less true."""
    from blip_fixtures.device_errors import is_out_of_memory

    try:
        return look()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def _needs_nothing(_device: str) -> Reason | None:
    return None


def _takes_any_dtype(_device: str, _dtype: str) -> Reason | None:
    return None


def _fits_all(_device: str, _checkpoint: Checkpoint) -> Reason | None:
    return None


def _changes_nothing(_loaded: LoadedModel) -> None:
    return None


def _no_preparation(_loaded: LoadedModel, _text_limit: int, _probe: Probe) -> None:
    return None


def _no_facts(_loaded: LoadedModel, _probe: Probe) -> Mapping[str, Any]:
    return {}


def _no_notes(_applied: Mapping[str, Any]) -> Sequence[Reason]:
    return ()


@dataclass(frozen=True)
class Entry:
    """One name of the registry.

    `label` is what documents call it, by default its name. `dtype` is the one it stands for, `prefers` the one that its
    kernels are made for; without either the weights are fp16. `greedy_only` says that it takes the likeliest token each
    time and nothing else: no beams, no repetition penalty, no ranking; `one_card` that it takes no model across several
    cards, whose device is ``cuda:0+cuda:1`` (`case.cards_of`). `attention` maps a device and a family to the
    attention implementations of the configuration's parts, as transformers takes them. `why_unavailable` maps a device
    to a reason or `None`, `why_not_in` a device and the dtype of the weights, `why_unfit` a device and a checkpoint:
    all are asked before a model is loaded. `apply` changes a model once, `prepare` comes before each of its cases (with
    the limit on text tokens), `proof` after the passes of each: it returns facts for the record or raises `NotApplied`.
    `notes` is what a reader must know beside the figures, from the facts of all the proofs of a case.
    """

    name: str
    label: str | None = None
    dtype: str | None = None
    prefers: str | None = None
    attention: Callable[[str, Family], Mapping[str, str]] | None = None
    greedy_only: bool = False
    one_card: bool = False
    why_unavailable: Callable[[str], Reason | None] = _needs_nothing
    why_not_in: Callable[[str, str], Reason | None] = _takes_any_dtype
    why_unfit: Callable[[str, Checkpoint], Reason | None] = _fits_all
    apply: Callable[[LoadedModel], None] = _changes_nothing
    prepare: Callable[[LoadedModel, int, Probe], None] = _no_preparation
    proof: Callable[[LoadedModel, Probe], Mapping[str, Any]] = _no_facts
    notes: Callable[[Mapping[str, Any]], Sequence[Reason]] = _no_notes

    @property
    def is_proven(self) -> bool:
        """Whether something shows that it took effect: a proof of its own or, where it is nothing else, the dtype."""
        does_more = self.apply is not _changes_nothing or self.attention is not None
        return self.proof is not _no_facts or (self.dtype is not None and not does_more)
