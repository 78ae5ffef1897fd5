"""The registry of optimizations: named ways to run the same checkpoint.

One file of this package is one optimization, or several of one kind. An entry says what it needs (`why_unavailable`),
how it is applied to the loaded model, and proves afterwards that it took effect; a row without proof is not published.
Entries combine by ``+``: ``bf16+compile+int8``. What packs weights is applied before what compiles, whatever their
order in the name. One from outside this package comes in by `register`.

Importing it loads no torch: entries import what they run where they run it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import cards_of
from blip_fixtures.optimizations.attention import (
    EAGER,
    SDPA,
    attention_of,
    note_backends,
)
from blip_fixtures.optimizations.compile import COMPILE
from blip_fixtures.optimizations.dtypes import BF16, DEFAULT_DTYPE, FP16, FP32, dtype_proof
from blip_fixtures.optimizations.entry import Entry, NotApplied, Probe
from blip_fixtures.optimizations.flash_attention import FLASH_ATTENTION_2
from blip_fixtures.optimizations.int8_dynamic import INT8_DYNAMIC
from blip_fixtures.optimizations.packed import INT4, INT8
from blip_fixtures.optimizations.process_wide import BEFORE, changed, process_wide_settings
from blip_fixtures.reasons import Reason
from blip_fixtures.spelling import did_you_mean
from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.data.prompts import Prompt
    from blip_fixtures.families import Family

__all__ = [
    "DTYPES",
    "OPTIMIZATIONS",
    "Entry",
    "NotApplied",
    "Optimization",
    "Probe",
    "find_optimization",
    "optimization_label",
    "register",
]

# In the order in which they are applied.
OPTIMIZATIONS: dict[str, Entry] = {
    entry.name: entry for entry in (FP16, FP32, BF16, EAGER, SDPA, FLASH_ATTENTION_2, INT4, INT8, INT8_DYNAMIC, COMPILE)
}
# The entries that stand for a dtype and nothing else.
DTYPES = tuple(entry.name for entry in (FP16, FP32, BF16))


def _why_not_greedy(name: str, protocol: Prompt) -> Reason | None:
    """What a protocol asks of decoding that the likeliest token each time is not."""
    if protocol.decoding == Decoding.RANK:
        return Reason.of("greedy_not_ranking", name=name)
    if protocol.num_beams > 1:
        return Reason.of("greedy_only", name=name, beams=protocol.num_beams)
    if protocol.repetition_penalty != 1:
        return Reason.of("greedy_without_penalty", name=name, penalty=protocol.repetition_penalty)
    return None


@dataclass(frozen=True)
class Optimization:
    """One entry or several, as the name of a case spells them. `entries` stand in the order of their application."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def dtype(self) -> str:
        """What the weights are loaded in: as said, else as an entry's kernels prefer it, else fp16."""
        said = [entry.dtype for entry in self.entries if entry.dtype]
        preferred = [entry.prefers for entry in self.entries if entry.prefers]
        return next(iter([*said, *preferred]), DEFAULT_DTYPE)

    def attention(self, device: str, family: Family) -> dict[str, str] | None:
        """What transformers is told about attention; `None` leaves the choice to it."""
        chosen = [entry.attention(device, family) for entry in self.entries if entry.attention is not None]
        return dict(chosen[0]) if chosen else None

    def why_unavailable(self, device: str, *, protocol: Prompt | None = None) -> Reason | None:
        """Why a case of this protocol, as it is for its family, cannot run so on `device`, or `None`."""
        if protocol is not None and (reason := self.why_against(protocol)):
            return reason
        on_one = (entry.name for entry in self.entries if entry.one_card)
        if len(cards_of(device)) > 1 and (name := next(on_one, None)):
            return Reason.of("one_card_only", name=name, device=device)
        for entry in self.entries:
            reason = entry.why_not_in(device, self.dtype) or entry.why_unavailable(device)
            if reason is not None:
                return reason
        return None

    def why_against(self, protocol: Prompt) -> Reason | None:
        """Why it cannot decode as the protocol says on any device, or `None`."""
        greedy = (entry.name for entry in self.entries if entry.greedy_only)
        return next(filter(None, (_why_not_greedy(name, protocol) for name in greedy)), None)

    def why_unfit(self, device: str, checkpoint: Checkpoint) -> Reason | None:
        """Why nothing of `checkpoint` could be run so on `device`, which can run others, or `None`."""
        return next(filter(None, (entry.why_unfit(device, checkpoint) for entry in self.entries)), None)

    def apply(self, loaded: LoadedModel) -> None:
        """Change the model that was loaded for it. Raises `NotApplied`."""
        loaded.applied[BEFORE] = process_wide_settings(loaded.device)
        for entry in self.entries:
            entry.apply(loaded)

    def prepare(self, loaded: LoadedModel, text_limit: int, probe: Probe) -> None:
        """What must be done before the passes of a case, outside of every timed region."""
        for entry in self.entries:
            entry.prepare(loaded, text_limit, probe)

    def proof(self, loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
        """What shows that every part took effect, for the record. Raises `NotApplied` when one did not."""
        facts: dict[str, Any] = {**dtype_proof(loaded, self.dtype), "attention": attention_of(loaded)}
        for entry in self.entries:
            facts |= entry.proof(loaded, probe)
        for name, (then, now) in changed(loaded.applied.get(BEFORE, {}), loaded.device).items():
            raise NotApplied(
                f"{self.name} changed torch's {name} from {then} to {now} for the whole process, so rows depend on "
                "their order; give it to this row alone"
            )
        return facts

    def notes(self, applied: Mapping[str, Any]) -> list[Reason]:
        """What a reader must know beside the figures, from the facts that `proof` returned; the last applied first."""
        of_entries = [note for entry in reversed(self.entries) for note in entry.notes(applied)]
        return [*of_entries, *note_backends(applied)]


def find_optimization(name: str) -> Optimization:
    """The entry called `name`, or the combination that it spells with ``+``.

    Raises `ValueError` naming the known ones, or the parts that exclude each other.
    """
    parts = name.split("+")
    unknown = [part for part in parts if part not in OPTIMIZATIONS]
    if unknown:
        raise _unknown(unknown[0])
    if len(set(parts)) < len(parts):
        raise ValueError(f"optimization {name!r} names a part twice; name it once")
    entries = tuple(entry for part, entry in OPTIMIZATIONS.items() if part in parts)
    for kind in ("dtype", "attention"):
        rivals = [entry.name for entry in entries if getattr(entry, kind) is not None]
        if len(rivals) > 1:
            raise ValueError(
                f"optimization {name!r} holds {' and '.join(rivals)}, which exclude each other; choose one"
            )
    return Optimization(name, entries)


def register(entry: Entry, *, before: str | None = None) -> Callable[[], None]:
    """Add an optimization, applied before the one called `before` or after all others; returns what takes it out again.

    Raises `ValueError` for a name that is taken or that no case could spell, for an entry that nothing proves, and for
    an unknown `before`.
    """
    if not entry.name or "+" in entry.name:
        raise ValueError(f"an optimization cannot be called {entry.name!r}; give it a name without +")
    if entry.name in OPTIMIZATIONS:
        raise ValueError(f"there is an optimization {entry.name!r} already; choose another name")
    if not entry.is_proven:
        raise ValueError(
            f"the optimization {entry.name!r} has no proof that it took effect; give it a proof that returns facts, or "
            "raises NotApplied"
        )
    if before is not None and before not in OPTIMIZATIONS:
        raise _unknown(before)
    names = list(OPTIMIZATIONS)
    behind = [] if before is None else [(name, OPTIMIZATIONS.pop(name)) for name in names[names.index(before) :]]
    OPTIMIZATIONS[entry.name] = entry
    OPTIMIZATIONS.update(behind)

    def take_out() -> None:
        del OPTIMIZATIONS[entry.name]

    return take_out


def optimization_label(name: str) -> str:
    """What documents call it: ``Flash Attention 2`` for ``flash_attention_2``.

    The parts of a combination stay joined by ``+``; names that the registry does not know stand as they are.
    """
    return "+".join((OPTIMIZATIONS[part].label or part) if part in OPTIMIZATIONS else part for part in name.split("+"))


def _unknown(name: str) -> ValueError:
    meant = did_you_mean(name.lower(), OPTIMIZATIONS)
    return ValueError(
        f"unknown optimization {name!r}; the suite knows {', '.join(OPTIMIZATIONS)}, and combinations by +{meant}"
    )
