"""Texts of others: each kind of place shows them, and nothing in them acts."""

from __future__ import annotations

import io
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from blip_fixtures import foreign
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status
from tests.unit.hostile import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it.token import Token

HARMLESS = [
    "fp16_eager",
    "Intel(R) Xeon(R) Platinum 8462Y+",
    "2.13.0+cpu",
    "Linux-6.18.44-x86_64-with-glibc2.36",
    "cuda:0",
    "a < b & c",
    "C:\\Users",
    "-5",
    "Привет, это наш ответ",
    "Salesforce/instructblip-flan-t5-xl",
]
PLACES: list[Callable[[str], str]] = [
    foreign.plain,
    foreign.terminal,
    foreign.markdown,
    foreign.cell,
    foreign.code,
    foreign.code_span,
    foreign.html,
    foreign.plot,
    foreign.command_message,
    foreign.command_property,
]
GITHUB = MarkdownIt("gfm-like", {"linkify": False})
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\\`*_[]()<>&#|~$!-+=.:;\n\t\x1b0123abc ")), max_size=60)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    for place in (foreign.plain, foreign.terminal, foreign.markdown, foreign.cell, foreign.code, foreign.plot):
        assert place(text) == text
    assert foreign.code_span(text) == f"`{text}`"


@given(TEXTS)
@example(HOSTILE)
@example("\udcff \ud800")
def test_every_place_gets_one_line_without_what_is_not_seen(text: str) -> None:
    for place in PLACES:
        shown = place(text)
        kinds = {unicodedata.category(character) for character in shown} - {"Zs"}
        assert not kinds & {"Cc", "Zl", "Zp", "Cs"}
        assert not {character for character in shown if unicodedata.category(character) == "Cf"} - {"\u200c", "\u200d"}
        shown.encode()


def read(text: str) -> tuple[str, list[str]]:
    """What a reader of the Markdown sees, and the kinds of its tokens."""
    tokens: list[Token] = [
        inner for token in GITHUB.parse(text) for inner in (token.children if token.children is not None else [token])
    ]
    return "".join(token.content for token in tokens), [token.type for token in tokens]


@given(TEXTS)
@example(HOSTILE)
@example("1. one")
@example("a\\")
@example("__init__ *a* ~b~ ~~c~~")
@example("&lt; &#60; <b> <!-- c --> <?x?>")
def test_markdown_shows_the_text_literally_at_the_start_of_a_line_and_within_one(text: str) -> None:
    expected = " ".join(foreign.plain(text).split())
    for before, after in (("", ""), ("Said: ", " (and more)."), ("- ", ""), ("**Run:** ", ";")):
        shown, kinds = read(f"{before}{foreign.markdown(text)}{after}")
        allowed = {"paragraph_open", "paragraph_close", "text", "text_special", "strong_open", "strong_close"}
        allowed |= {"bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"}
        assert set(kinds) <= allowed
        assert kinds.count("strong_open") == before.count("**") // 2
        assert kinds.count("list_item_open") == before.startswith("- ")
        seen = " ".join(shown.split())
        assert expected in seen or not expected


@given(TEXTS)
@example("a|b\\|c\\")
def test_a_cell_stays_one_cell(text: str) -> None:
    _, kinds = read(f"| a | b |\n|---|---|\n| {foreign.cell(text)} | {foreign.cell(text)} |\n")
    assert kinds.count("td_open") == 2
    assert not set(kinds) & {"html_inline", "html_block", "link_open", "image", "em_open", "code_inline"}


@given(TEXTS)
def test_a_span_of_code_holds_the_whole_text(text: str) -> None:
    _, kinds = read(f"a {foreign.code_span(text)} b")
    assert kinds.count("code_inline") == 1 or not foreign.plain(text).strip()
    assert not set(kinds) & {"html_inline", "link_open", "image"}


@pytest.mark.parametrize("blanks", ["", " ", "\t", "\u00a0", "\u2028", "\x1b[0m", "\u202e"])
@pytest.mark.parametrize(
    "command", ["::error::x", "::add-mask::x", "##[error]x", "##[add-mask]y", "##vso[task.x]", "##teamcity[x]"]
)
def test_no_line_of_a_terminal_is_a_workflow_command(blanks: str, command: str) -> None:
    for text in (f"{blanks}{command}", f"a\n{blanks}{command}", f"a {command}"):
        shown = foreign.terminal(text)
        assert not shown.lstrip().startswith("::")
        assert re.search(r"##\w*\[", shown) is None
    assert foreign.terminal("tests/test_a.py::test_b[c]") == "tests/test_a.py::test_b[c]"


def test_workflow_commands_are_escaped_as_the_runner_reads_them() -> None:
    assert foreign.command_message("50 %\r\nof: a, b\x1b[1m") == "50 %25%0Aof: a, b"
    assert foreign.command_property("50 %: a, b\n::error::") == "50 %25%3A a%2C b%0A%3A%3Aerror%3A%3A"


def test_html_and_plots() -> None:
    assert foreign.html("<img src=\"x\" onerror='y'>&") == "&lt;img src=&quot;x&quot; onerror=&#x27;y&#x27;&gt;&amp;"
    assert foreign.plot("$\\frac{1}$") == r"\$\frac{1}\$"
    assert len(foreign.plot("x" * 1000)) == foreign.MOST_IN_A_PLOT


def test_written_reaches_every_text_and_no_enum() -> None:
    reason = Reason("a", {"b": ["c", 1, None], "d": "e"}, "f")
    assert foreign.written(reason, str.upper) == Reason("A", {"B": ["C", 1, None], "D": "E"}, "F")
    assert foreign.written((Status.OK, 1.5, True), str.upper) == (Status.OK, 1.5, True)


def test_any_encoding_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii"))
    foreign.speak_any_encoding()
    print("Отчёт \udcff", flush=True)
    assert kept.getvalue() == b"\\u041e\\u0442\\u0447\\u0451\\u0442 \\udcff\n"
