"""Reasons: every code has its sentence in every language, and every sentence is a code's."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures import reasons
from blip_fixtures.meters import nvml_device, nvml_state
from blip_fixtures.reasons import Reason, add_template, fields_of, say_all, templates
from blip_fixtures.words import LANGUAGES

PACKAGE = Path(reasons.__file__).parents[1]
# Made by `Reason.verbatim`, and by old files alone.
NOT_MADE_BY_OF = {"verbatim", "no_pass"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every ``Reason.of(...)`` of the package, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "of"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "Reason"
            ):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def strings() -> set[str]:
    """Every text literal of the package."""
    return {
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


CALLS = list(calls())


def test_the_walk_finds_the_calls() -> None:
    assert len(CALLS) > 30


# Codes that a call looks up: where they are called, and the tables that hold them.
ACTIONS = ("LOAD", "VERSION", "LIST", "FIND", "COUNTER", "POWER")
LOOKED_UP: dict[str, list[Mapping[Any, str]]] = {
    "meters/nvml_device.py": [getattr(nvml_device, name) for name in ACTIONS],
    "meters/nvml_state.py": [nvml_state.THROTTLING],
}


def codes_of(place: str, code: ast.expr) -> list[str]:
    """The codes that an expression can be: a text, one of two, or those of the tables it is looked up in."""
    match code:
        case ast.Constant(str(text)):
            return [text]
        case ast.IfExp():
            return [*codes_of(place, code.body), *codes_of(place, code.orelse)]
    tables = LOOKED_UP.get(place.partition(":")[0])
    assert tables is not None, f"{place}: the code is no text; write it out, or name its table in LOOKED_UP"
    return [text for table in tables for text in table.values()]


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[place for place, _ in CALLS])
def test_every_call_names_a_code_and_its_arguments(place: str, call: ast.Call) -> None:
    spread = any(keyword.arg is None for keyword in call.keywords)
    given = {keyword.arg for keyword in call.keywords} - {"scope", None}
    for code in codes_of(place, call.args[0]):
        assert code in templates(), f"{place}: no template for {code!r}"
        wanted = templates()[code].fields
        assert given <= wanted if spread else given == wanted, f"{place}: {code}"


def test_a_code_without_a_template_and_one_that_is_computed_are_found() -> None:
    call = ast.parse("Reason.of('a' if x == 'b' else 'c')", mode="eval").body
    assert isinstance(call, ast.Call)
    assert codes_of("engine/x.py:1", call.args[0]) == ["a", "c"]
    computed = ast.parse("Reason.of(code)", mode="eval").body
    assert isinstance(computed, ast.Call)
    with pytest.raises(AssertionError, match="the code is no text"):
        codes_of("engine/x.py:1", computed.args[0])


OWN = sorted(code for code, template in templates().items() if template.subject)


@pytest.mark.parametrize("code", sorted(set(OWN) - NOT_MADE_BY_OF))
def test_every_code_is_made_somewhere(code: str) -> None:
    assert code in strings()


@pytest.mark.parametrize("code", OWN)
def test_every_code_has_every_language_with_the_same_arguments(code: str) -> None:
    template = templates()[code]
    assert set(template.sentences) == set(LANGUAGES)
    for sentence in (*template.sentences.values(), *template.once):
        assert sentence.strip()
        assert fields_of(sentence) == template.fields


def test_a_code_or_argument_that_is_no_template_is_refused() -> None:
    with pytest.raises(LookupError, match="no template for the reason 'no_such_code'"):
        Reason.of("no_such_code")
    with pytest.raises(TypeError, match="the reason 'no_compiler' takes the arguments command, variable, and got none"):
        Reason.of("no_compiler")


def test_sentences_in_both_languages() -> None:
    reason = Reason.of("compile_time", scope="latency", seconds=44.26)
    assert reason.say("en") == str(reason) == "compiling took 44.3 s before the first round and is not in it"
    assert reason.say("ru").startswith("компиляция заняла 44,3 с")
    assert Reason.of("flash_attention_ran", parts=["vision", "qformer"]).say() == (
        "flash attention ran in vision, qformer"
    )
    assert say_all((reason, Reason.verbatim("the fan was loud"))).endswith("in it; the fan was loud")


def test_a_code_from_a_newer_release_is_shown_as_it_stands() -> None:
    assert Reason("too_windy", {"knots": 9}).say() == "too_windy (knots=9)"
    assert Reason("too_windy").say("ru") == "too_windy"


def test_a_code_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "_ADDED", {})
    add_template("no_luck", en="{name} had no luck", ru="{name}: не повезло")
    assert Reason.of("no_luck", name="it").say("ru") == "it: не повезло"
    with pytest.raises(ValueError, match="is one of the suite's"):
        add_template("compile_time", en="x")
    with pytest.raises(ValueError, match="have different arguments"):
        add_template("other", en="{a}", ru="{b}")
