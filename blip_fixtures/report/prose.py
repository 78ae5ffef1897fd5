"""The document's sentences in each language. Table contents and headers are not among them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from blip_fixtures.numerals import fill, numeral
from blip_fixtures.words import LANGUAGES

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason
    from blip_fixtures.words import EnergyStatus, Status


@dataclass(frozen=True)
class Prose:
    """One language's sentences, by key."""

    lang: str
    entries: dict[str, Any]

    def say(self, key: str, **values: object) -> str:
        """The sentence `key` with its placeholders filled. An unknown key is an error."""
        return fill(str(self.entries[key]), values, self.lang)

    def number(self, shown: str) -> str:
        """What a function of `formats` made of a number, as this language writes it: ``1.03`` or ``1,03``."""
        return numeral(shown, self.lang)

    def knows(self, key: str) -> bool:
        """Whether there is a sentence `key`: of what others add to the suite there is none."""
        return key in self.entries

    def say_reason(self, reason: Reason) -> str:
        """A record's reason or note in this language."""
        return reason.say(self.lang)

    def case_status(self, status: Status) -> str:
        """What became of a case: ``out of memory``."""
        return str(self.entries["case_status"][status])

    def energy_status(self, status: EnergyStatus) -> str:
        """What became of a meter's reading: ``no permission``."""
        return str(self.entries["energy_status"][status])

    def memory_kind(self, kind: str) -> str:
        """What the peak of the memory counts; a kind that is no `MemoryKind` is shown as it stands."""
        return str(self.entries["memory_kind"].get(kind, kind))

    def fact_name(self, name: str, *, inner: bool = False) -> str:
        """What a fact of a record's proof is called; a name that is not the suite's is shown as it stands.

        The words of the outer names are joined by underscores; `inner` ones may be names of something.
        """
        known = self.entries["facts"].get(name)
        return str(known or (name if inner else name.replace("_", " ")))

    def flop_counter(self, counter: str) -> str:
        """By what FLOPs were counted; a counter that is not the suite's is shown as it stands."""
        return str(self.entries["flop_counters"].get(counter, counter))

    def checkpoint(self, name: str) -> tuple[str, tuple[str, ...]]:
        """A sentence on the checkpoint called `name`, and a line on each of its parts."""
        known = self.entries["checkpoints"].get(name)
        if known is None:
            return self.say("checkpoint_unknown"), ()
        description = self.entries["descriptions"][known["description"]]
        return description["text"], tuple(
            part.format(language_model=known["language_model"]) for part in description["parts"]
        )


@cache
def load_prose(lang: str) -> Prose:
    """The sentences of `lang`, one of `LANGUAGES`."""
    if lang not in LANGUAGES:
        raise ValueError(f"unknown language {lang!r}; the document is written in {' or '.join(LANGUAGES)}")
    text = files("blip_fixtures.report").joinpath(f"prose.{lang}.toml").read_text(encoding="utf-8")
    return Prose(lang, tomllib.loads(text))
