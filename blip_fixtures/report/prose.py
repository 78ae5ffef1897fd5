"""The document's sentences in each language. Table contents and headers are not among them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "ru")


@dataclass(frozen=True)
class Prose:
    """One language's sentences, by key."""

    lang: str
    entries: dict[str, Any]

    def say(self, key: str, **values: object) -> str:
        """The sentence `key` with its placeholders filled. An unknown key is an error."""
        return str(self.entries[key]).format(**values)

    @property
    def record_texts(self) -> list[tuple[str, str]]:
        """Patterns of texts that the suite writes into records, and what stands for them in this language."""
        return [(pattern, replacement) for pattern, replacement in self.entries.get("record_texts", [])]

    def case_status(self, status: str) -> str:
        """What became of a case: ``out of memory``."""
        return str(self.entries["case_status"][status])

    def energy_status(self, status: str) -> str:
        """What became of a meter's reading: ``no permission``."""
        return str(self.entries["energy_status"][status])

    def checkpoint(self, name: str) -> str:
        """A paragraph on the parts of the checkpoint called `name`."""
        known = self.entries["checkpoints"].get(name)
        if known is None:
            return self.say("checkpoint_unknown")
        return self.say(known["description"], language_model=known.get("language_model", ""))


@cache
def load_prose(lang: str) -> Prose:
    """The sentences of `lang`, one of `LANGUAGES`."""
    if lang not in LANGUAGES:
        raise ValueError(f"unknown language {lang!r}; the document is written in {' or '.join(LANGUAGES)}")
    text = files("blip_fixtures.report").joinpath(f"prose.{lang}.toml").read_text(encoding="utf-8")
    return Prose(lang, tomllib.loads(text))
