"""Expressions as for pytest's -k: the same words mean the same."""

from __future__ import annotations

import pytest
from _pytest.mark.expression import Expression  # what is compared with: pytest has no public name for it
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.gate.expressions import matches

CASE = "textvqa-cpu-fp16+compile-batch01-image0224-seq200"
TOKENS = ["and", "or", "not", "(", ")", "compile", "COMPILE", "int8", "fp16+compile", "a:b", "", "[x]", "!"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("TextVQA or (image and not batch16)", True),
        ("coco", False),
        ("not coco and compile", True),
        ("not (coco or compile)", False),
        ("coco or coco or seq200", True),
        ("", False),
    ],
)
def test_values(expression: str, expected: bool) -> None:
    assert matches(expression, [CASE]) is expected


def test_a_word_is_looked_for_in_every_name() -> None:
    assert matches("first and second", ["the first", "the second"])
    assert not matches("first", [])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(int8", "expected right parenthesis; got end of input"),
        ("int8)", "expected end of input; got right parenthesis"),
        ("int8 and", "expected not OR left parenthesis OR identifier; got end of input"),
        ("int8 fp16", "expected end of input; got identifier"),
        ("int8!", 'unexpected character "!"'),
        ("int8(bits=8)", "expected end of input; got left parenthesis"),
    ],
)
def test_what_is_no_expression(expression: str, message: str) -> None:
    with pytest.raises(SyntaxError) as raised:
        matches(expression, [CASE])
    assert message in str(raised.value)


@given(st.lists(st.sampled_from(TOKENS), max_size=9), st.sampled_from(["", " "]))
def test_pytest_reads_the_same(tokens: list[str], between: str) -> None:
    def of_pytest(expression: str) -> bool:
        def is_in_it(word: str, /, **arguments: str | int | bool | None) -> bool:
            return word.lower() in CASE

        return Expression.compile(expression).evaluate(is_in_it)

    expression = between.join(tokens)
    try:
        expected = of_pytest(expression)
    except SyntaxError:
        with pytest.raises(SyntaxError):
            matches(expression, [CASE])
    else:
        assert matches(expression, [CASE]) is expected
