"""Reasons and notes as values: a code, its arguments, and the part of a record that it belongs to.

Modules tell each other codes. People read sentences, which are templates in English and Russian, beside each other in
the TOML files of this folder: one file for each subject, one table for each code.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import msgspec

from blip_fixtures.numerals import fill
from blip_fixtures.plain import MOST_ENTRIES, Argument, Key, fitting
from blip_fixtures.privacy import without_secrets
from blip_fixtures.words import LANGUAGES

# A text that is nobody's template: that of an exception, of a driver, or of a record that an older release wrote.
VERBATIM = "verbatim"


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a figure is missing or weaker than it looks, or what a reader must know beside it.

    `scope` is the field of the record, or the sweep, that it belongs to; without one it belongs to the whole record.
    """

    code: Key
    args: Annotated[Mapping[Key, Argument], msgspec.Meta(max_length=MOST_ENTRIES)] = {}
    scope: Key = ""

    @classmethod
    def of(cls, code: str, *, scope: str = "", **args: Any) -> Reason:
        """A reason with a known code. Raises `LookupError` or `TypeError` where no template fits code and arguments."""
        template = templates().get(code)
        if template is None:
            raise LookupError(f"no template for the reason {code!r}; add one to a file in blip_fixtures/reasons")
        if set(args) != template.fields:
            given, wanted = ", ".join(sorted(args)) or "none", ", ".join(sorted(template.fields)) or "none"
            raise TypeError(f"the reason {code!r} takes the arguments {wanted}, and got {given}")
        return cls(code, {name: _plain(value) for name, value in args.items()}, scope)

    @classmethod
    def verbatim(cls, text: str, *, scope: str = "") -> Reason:
        """A text from elsewhere, the same in every language."""
        return cls(VERBATIM, {"text": fitting(text)}, scope)

    def say(self, lang: str = "en") -> str:
        """The sentence.

        What this release has no sentence for is shown as it stands: a code that it does not know, and one with other
        arguments, as the records of other releases may have them.
        """
        template = templates().get(self.code)
        try:
            return template.say(self.args, lang) if template is not None else self._as_it_stands()
        except (KeyError, TypeError, ValueError):
            return self._as_it_stands()

    def _as_it_stands(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.code} ({shown})" if shown else self.code

    def __str__(self) -> str:
        return self.say()


@dataclass(frozen=True)
class Template:
    """The sentences of one code by language, and the English ones of older releases (`once`).

    `subject` is the file that has them, empty for one from outside.
    """

    sentences: Mapping[str, str]
    once: tuple[str, ...] = ()
    subject: str = ""

    @property
    def fields(self) -> set[str]:
        """The names of its arguments."""
        return fields_of(self.sentences["en"])

    def say(self, args: Mapping[str, Any], lang: str) -> str:
        """The sentence in `lang`; a list among the arguments is joined by commas."""
        return fill(self.sentences[lang], {name: _shown(value) for name, value in args.items()}, lang)


def fields_of(sentence: str) -> set[str]:
    """The names of the placeholders in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@cache
def _own() -> dict[str, Template]:
    found: dict[str, Template] = {}
    for file in sorted(files("blip_fixtures.reasons").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for code, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
                if code in found:
                    raise LookupError(f"the reason {code!r} stands twice in blip_fixtures/reasons; name one otherwise")
                sentences = {lang: entry[lang] for lang in LANGUAGES}
                subject = file.name.removesuffix(".toml")
                found[code] = Template(sentences, tuple(entry.get("once", ())), subject)
    return found


_ADDED: dict[str, Template] = {}


def templates() -> Mapping[str, Template]:
    """All templates by code."""
    return {**_own(), **_ADDED} if _ADDED else _own()


def add_template(code: str, *, en: str, ru: str | None = None) -> None:
    """A code of one's own, for an optimization, a dataset or a meter from outside the package.

    Raises `ValueError` for a code of the suite, and where the languages do not have the same arguments.
    """
    if code in _own():
        raise ValueError(f"the reason {code!r} is one of the suite's; give it another code")
    said = {"en": en, "ru": en if ru is None else ru}
    if fields_of(said["en"]) != fields_of(said["ru"]):
        raise ValueError(f"the sentences of the reason {code!r} have different arguments; give both the same")
    _ADDED[code] = Template(said)


def say_all(reasons: tuple[Reason, ...], lang: str = "en") -> str:
    """Several reasons in one line."""
    return "; ".join(reason.say(lang) for reason in reasons)


def _plain(value: Any) -> Any:
    """What JSON can hold and others may see: a text may be that of an exception."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return fitting(without_secrets(str(value)))


def _shown(value: Any) -> Any:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else value
