"""Every option and its ini twin with hostile values: accepted, or refused in one sentence."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from blip_fixtures.bounds import MOST_NEW_TOKENS, MOST_OF_AXIS, MOST_OF_TEXT, MOST_ROUNDS, MOST_SAMPLES
from blip_fixtures.case import COUNTED_AXES, Case
from blip_fixtures.pytest_plugin.options import Options
from blip_fixtures.pytest_plugin.parsing import BASELINE_AXES
from blip_fixtures.pytest_plugin.spec import Spec
from blip_fixtures.pytest_plugin.specs import SPECS
from tests.hostile import TEXTS

SWITCHES = [spec for spec in SPECS if spec.is_switch]
WITH_VALUES = [spec for spec in SPECS if not spec.is_switch]


class Config:
    """As much of pytest's as options are read from: the command line's values, the ini file's, or its error."""

    def __init__(self, command_line: dict[str, Any] | None = None, ini: dict[str, Any] | None = None) -> None:
        self.command_line, self.ini = command_line or {}, ini or {}

    def getoption(self, name: str) -> Any:
        return self.command_line.get(name)

    def getini(self, name: str) -> Any:
        value = self.ini.get(name)
        if isinstance(value, Exception):
            raise value
        return value

    def options(self) -> Options:
        return Options.from_config(cast("pytest.Config", self))


def refusal(config: Config) -> str:
    """One sentence, or nothing where the value is taken. Any other error is a traceback to the user."""
    try:
        config.options()
    except pytest.UsageError as error:
        return str(error)
    return ""


def is_one_sentence(text: str) -> bool:
    is_short = len(text) < 2 * MOST_OF_TEXT
    return is_short and text.isprintable() and re.search(r"[:;,] |; ", text) is not None


def values_of(spec: Spec, text: str) -> list[str]:
    """The text alone, and as the value of each name that the option takes."""
    if spec.name in ("baseline", "also"):
        return [text, *(f"{axis}={text}" for axis in BASELINE_AXES)]
    if spec.name == "dataset":
        return [text, f"textvqa={text}"]
    if spec.name == "compare-fail":
        return [text, f"latency:{text}", f"latency:5%@{text}"]
    return [text, f"fixed:{text}", f"cuda:{text}"]


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("spec", WITH_VALUES, ids=lambda spec: spec.name)
def test_every_option_takes_a_text_or_refuses_it_in_one_sentence(spec: Spec, what: str) -> None:
    for value in values_of(spec, TEXTS[what]):
        given = [value] if spec.repeatable else value
        for config in (Config({spec.ini: given}), Config(ini={spec.ini: given})):
            said = refusal(config)
            assert not said or is_one_sentence(said), said
            assert not said or said.startswith((f"{spec.flag} cannot be ", f"{spec.ini} cannot be "))


@pytest.mark.parametrize("what", ["5,000 digits", "NUL", "a newline", "no UTF-8", "5,000 characters"])
@pytest.mark.parametrize("spec", WITH_VALUES, ids=lambda spec: spec.name)
def test_no_option_takes_these(spec: Spec, what: str) -> None:
    value = TEXTS[what]
    assert refusal(Config({spec.ini: [value] if spec.repeatable else value}))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    "error",
    [
        pytest.UsageError("No closing quotation"),
        ValueError("No closing quotation"),
        TypeError("expects a string, got int: 5"),
        ValueError("x" * 5_000),
    ],
)
def test_an_ini_value_that_pytest_cannot_read(spec: Spec, error: Exception) -> None:
    said = refusal(Config(ini={spec.ini: error}))
    assert said.startswith(f"{spec.ini} cannot be read from the ini file: ")
    assert is_one_sentence(said)


@pytest.mark.parametrize(
    ("name", "most"),
    [("rounds", MOST_ROUNDS), ("warmup-rounds", MOST_ROUNDS), ("limit", MOST_SAMPLES), ("new-tokens", MOST_NEW_TOKENS)],
)
def test_the_largest_is_taken_and_named(name: str, most: int) -> None:
    spec = next(spec for spec in SPECS if spec.name == name)
    assert not refusal(Config({spec.ini: str(most)}))
    assert not refusal(Config({spec.ini: f"{most:020}"}))
    assert f"at most {most:,}" in refusal(Config({spec.ini: str(most + 1)}))


@pytest.mark.parametrize("axis", COUNTED_AXES)
@pytest.mark.parametrize("name", ["baseline", "also"])
def test_the_largest_value_of_an_axis(name: str, axis: str) -> None:
    most = MOST_OF_AXIS[axis]
    assert not refusal(Config({f"blip_{name}": [f"{axis}={most}"]}))
    assert f"at most {most:,}" in refusal(Config({f"blip_{name}": [f"{axis}={most + 1}"]}))


@pytest.mark.parametrize("axis", COUNTED_AXES)
def test_a_sweep_has_the_same_bounds(axis: str) -> None:
    values: dict[str, Any] = {"batch_size": 1, "image_size": 224, "sequence_length": 50}
    with pytest.raises(ValueError, match=f"{axis} must be a whole number of at most {MOST_OF_AXIS[axis]:,}"):
        Case(model="m", dataset="d", device="cpu", optimization="o", **{**values, axis: MOST_OF_AXIS[axis] + 1})


def test_a_refusal_tells_no_secret() -> None:
    said = refusal(Config({"blip_weights": "https://someone:planted@hub.example"}))
    assert said.startswith("--blip-weights cannot be 'https://***@hub.example': ")
