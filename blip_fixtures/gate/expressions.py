"""Words joined by ``and``, ``or``, ``not`` and parentheses, as pytest's ``-k`` reads them.

Pytest has no public function for it, and the gate's command runs without pytest.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TOKEN = re.compile(r"(?P<blank>[ \t]+)|(?P<sign>[()=,])|(?P<word>(:?\w|:|\+|-|\.|\[|\]|\\|/)+)")
_OPERATORS = ("and", "or", "not")
_WORD, _END = "identifier", "end of input"
# As messages call a token.
_NAMES = {"(": "left parenthesis", ")": "right parenthesis"}
_SOURCE = "<pytest match expression>"
# Parentheses and `not` within each other: far more than anybody writes, far fewer than Python can call.
MOST_NESTED = 50


def matches(expression: str, names: Iterable[str]) -> bool:
    """Whether the expression is true where each word stands for "is inside one of `names`", in any case.

    An empty one is false. Raises `SyntaxError` for what is no expression.
    """
    lowered = [name.lower() for name in names]
    return _Parser(expression, lambda word: any(word.lower() in name for name in lowered)).value()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


class _Parser:
    """expression: or?; or: and ('or' and)*; and: not ('and' not)*; not: 'not' not | '(' or ')' | word."""

    def __init__(self, expression: str, is_true: Callable[[str], bool]) -> None:
        self._expression = expression
        self._is_true = is_true
        self._tokens = self._read()
        self._token = next(self._tokens)
        self._depth = 0

    def value(self) -> bool:
        """The value of the whole expression. Raises `SyntaxError`."""
        if self._take(_END):
            return False
        found = self._or()
        self._demand(_END)
        return found

    def _read(self) -> Iterator[_Token]:
        place = 0
        while place < len(self._expression):
            match = _TOKEN.match(self._expression, place)
            if match is None:
                raise self._error(f'unexpected character "{self._expression[place]}"', place)
            text = match[0]
            if match["sign"]:
                yield _Token(_NAMES.get(text, text), text, place)
            elif match["word"]:
                yield _Token(text if text in _OPERATORS else _WORD, text, place)
            place = match.end()
        yield _Token(_END, "", place)

    def _or(self) -> bool:
        found = self._and()
        while self._take("or"):
            # Both sides are read, whatever the first one is.
            found = self._and() or found
        return found

    def _and(self) -> bool:
        found = self._not()
        while self._take("and"):
            found = self._not() and found
        return found

    def _not(self) -> bool:
        if self._take("not"):
            with self._deeper():
                return not self._not()
        if self._take("left parenthesis"):
            with self._deeper():
                found = self._or()
            self._demand("right parenthesis")
            return found
        word = self._token
        self._demand("not", "left parenthesis", _WORD)
        return self._is_true(word.text)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise self._error(f"more than {MOST_NESTED} parentheses and nots within each other", self._token.place)
        yield
        self._depth -= 1

    def _take(self, kind: str) -> bool:
        if self._token.kind != kind:
            return False
        if kind != _END:
            self._token = next(self._tokens)
        return True

    def _demand(self, *kinds: str) -> None:
        """The last of `kinds`; the message names them all."""
        if not self._take(kinds[-1]):
            raise self._error(f"expected {' OR '.join(kinds)}; got {self._token.kind}", self._token.place)

    def _error(self, message: str, place: int) -> SyntaxError:
        return SyntaxError(message, (_SOURCE, 1, place + 1, self._expression))
