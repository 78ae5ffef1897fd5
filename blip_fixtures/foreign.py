"""Texts of others, made fit for the place where they are shown: a file of records may come from anybody.

One function for each kind of place. What a text says stays readable; nothing in it acts: no markup, no escape sequence
of a terminal, no workflow command, no mark that turns the order of the letters around.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Escape = Callable[[str], str]

T = TypeVar("T")

# Sequences that a terminal obeys: CSI and OSC with their arguments, and those of two characters (ECMA-48).
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -~]"
)
_BREAKS = re.compile("(?:\r\n|[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029])+")
# Joiners that letters of many scripts and emoji need; every other invisible character goes.
_JOINERS = "\u200c\u200d"
_INVISIBLE = {"Cc", "Cf"}
# Bytes of a file name that were no text, as Python carries them.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
# What a runner takes for a command. GitHub's: `::` at the start of a line, blanks before it or not, and `##[` anywhere;
# those of Azure and TeamCity have a name before the bracket.
_COMMAND = re.compile(r"^(\s*:)(?=:)|(##)(?=\w*\[)")
MOST_IN_A_PLOT = 300


def plain(text: str) -> str:
    """One line without control characters, escape sequences, and marks that are not seen or change the direction."""
    text = _BREAKS.sub(" ", _SEQUENCE.sub("", text))
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cs":
        number = ord(character)
        is_byte = _FIRST_BYTE <= number <= _LAST_BYTE
        return f"\\x{number - 0xDC00:02x}" if is_byte else f"\\u{number:04x}"
    return "" if kind in _INVISIBLE and character not in _JOINERS else character


def terminal(text: str) -> str:
    """For a line of a terminal or a log: no runner takes it for a command, also where it opens the line."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", plain(text))


# What begins or ends something in Markdown wherever it stands. `|` is the table's own to escape.
_MARKS = re.compile(
    r"""[`*\[\]~$]
    | \\(?=[!-/:-@\[-`{-~]|$)   # it would escape what follows it, here or in the text around
    | &(?=\#?\w+;)               # an entity
    | <(?=[A-Za-z/!?]|$)          # a tag
    | :(?=//) | (?<=\bwww)\.      # an address, which GitHub turns into a link
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNDERSCORES = re.compile("_+")
# What opens a block where it opens a line: a heading, a quotation, a list, a rule, the line below a heading.
_OPENS = re.compile(r"[#>]|[-+](?=\s|$)|(?=[-=]+\s*$|-(?:\s*-)+\s*$).|(?<=\d)[.)](?=\s|$)")


def markdown(text: str) -> str:
    """For running text in Markdown, a cell of a table too: GitHub and CommonMark show it as it stands.

    What no Markdown would take for markup stays as it is, such as the underscores within `fp16_eager`.
    """
    text = plain(text).lstrip()
    places = {found.start() for found in _MARKS.finditer(text)}
    for run in _UNDERSCORES.finditer(text):
        within = text[max(run.start() - 1, 0) : run.start()].isalnum() and text[run.end() : run.end() + 1].isalnum()
        places.update(() if within else range(run.start(), run.end()))
    number = re.match(r"\d{1,9}", text)
    opens = _OPENS.match(text, number.end() if number else 0)
    if opens is not None and (number is None or opens[0] in ".)"):
        places.add(opens.start())
    return "".join(f"\\{character}" if place in places else character for place, character in enumerate(text))


def cell(text: str) -> str:
    """As `markdown`, for a cell of a table that nobody escapes after this."""
    return markdown(text).replace("|", "\\|")


def code(text: str) -> str:
    """For a line within a fenced block, which nothing but a line of its own can end."""
    return plain(text)


def code_span(text: str) -> str:
    """As `code` within running text, fenced by more backticks than it has itself."""
    text = plain(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    if not longest and text.strip():
        return f"`{text}`"
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}"


def html(text: str) -> str:
    """For the text of an element and for an attribute's value in quotes."""
    from html import escape

    return escape(plain(text))


def plot(text: str) -> str:
    """For matplotlib, to which a pair of dollars is a formula; what is too long for a picture ends in dots."""
    text = plain(text)
    shown = text if len(text) <= MOST_IN_A_PLOT else f"{text[: MOST_IN_A_PLOT - 3]}..."
    return shown.replace("$", r"\$")


def command_message(text: str) -> str:
    """For the message of a GitHub workflow command, whose lines stay lines.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return "%0A".join(plain(line).replace("%", "%25") for line in text.splitlines())


def command_property(text: str) -> str:
    """For a property of one."""
    return command_message(text).replace(":", "%3A").replace(",", "%2C")


def written(value: T, escape: Escape) -> T:
    """`value` with each text within it as `escape` makes it, keys of mappings too; members of enums stay.

    It walks over structs, mappings, lists and tuples, so that no field can be forgotten.
    """
    found: Any = value
    if found is None or isinstance(found, (bool, int, float, Enum)):
        return value
    if isinstance(found, str):
        found = escape(found)
    elif isinstance(found, Mapping):
        found = {written(key, escape): written(item, escape) for key, item in found.items()}
    elif isinstance(found, (list, tuple)):
        found = type(found)(written(item, escape) for item in found)
    else:
        import msgspec

        fields = {name: written(getattr(found, name), escape) for name in found.__struct_fields__}
        found = msgspec.structs.replace(found, **fields)
    return found  # type: ignore[no-any-return]  # of the same type, as each branch makes it


def speak_any_encoding() -> None:
    """Let standard output and error show what their encoding lacks as escapes: no message ends a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
