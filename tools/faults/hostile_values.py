"""Values and texts that nobody who means well would write, and files that have them in place of what was there."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

# A value of every type, at its bounds and beyond.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 26, 10**9, 2**63, -(2**64), 10**40, 0.5, -0.0, 1e308, 5e-324),
    *(
        "",
        " ",
        "0",
        "a",
        "A.",
        "(b)",
        "...",
        "é" * 300,
        "x" * 9_999,
        "x" * 10_001,
        "a " * 4_900,
        "@" * 9_000,
        "1," * 4_000,
    ),
    *(
        "<image>",
        "the <image> of",
        "</s>",
        "<pad>",
        "<extra_id_0>",
        "{question}",
        "{question.__class__}",
        "{0}",
        "{",
        "%s",
    ),
    *("\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffe", "\U0001f600", "٣", "ſ", "İ", "ß" * 50),
    *("\n::error::x", "::add-mask::x", "<script>", "| a | b |", "[a](javascript:b)", "../../etc/passwd", "/dev/zero"),
    *(
        [],
        [None],
        [1],
        [""],
        ["a"],
        ["a"] * 10,
        ["a"] * 27,
        ["a", None],
        [["a"]],
        [{}],
        ["<image>"],
        ["\0"],
        ["a"] * 5_001,
    ),
    *({}, {"a": 1}, {"bytes": "a"}, {"path": "../a.png"}),
)
# What stands in a file of JSON where a value was, as text, since no writer writes it.
RAW: tuple[str, ...] = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "01", "1_000", "'a'", "tru", "undefined", ""),
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x00"', '"a', '"\u2028\u2029\x85"', '"\ufeff"', '"\t"'),
    *("[" * 50_000, "[" * 900 + "]" * 900, '{"a":' * 5_000, "9" * 5_000, "-" + "9" * 400, "0." + "1" * 5_000),
)


def mutated(value: Any, draw: Random) -> Any:
    """A copy of `value` with one to three leaves, lists or objects in it replaced, removed, repeated or renamed."""
    found = copy.deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        found = _mutated_once(found, draw)
    return found


def damaged_json(value: Any, draw: Random) -> bytes:
    """`value` as JSON, changed as a value, in its text, or in its bytes."""
    text = json.dumps(mutated(value, draw), ensure_ascii=draw.random() < 0.5)
    kind = draw.randrange(4)
    if kind == 0:
        return text.encode("utf-8", "surrogatepass")
    if kind == 1:
        # Where a value begins and where it ends is not looked for: what comes out is mostly no JSON at all.
        place = draw.choice([text.rfind(":") + 1, text.find(":") + 1, draw.randrange(len(text) + 1)])
        rest = text[place:] if draw.random() < 0.3 else "}"
        return (text[:place] + draw.choice(RAW) + rest).encode("utf-8", "surrogatepass")
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    return damaged(bytes(content), draw) if kind == 2 else b"\xef\xbb\xbf" + bytes(content)


def damaged(content: bytes, draw: Random) -> bytes:
    """The bytes with some changed, some left out, or the end cut off."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        if not found:
            break
        place = draw.randrange(len(found))
        if draw.random() < 0.6:
            found[place] = draw.choice([0, 10, 13, 34, 92, 127, 128, 192, 255, found[place] ^ (1 << draw.randrange(8))])
        elif draw.random() < 0.5:
            del found[place : place + draw.randint(1, 9)]
        else:
            del found[place:]
    return bytes(found)


def _mutated_once(value: Any, draw: Random) -> Any:
    holders = [holder for holder in _holders(value) if len(holder)]
    if not holders or draw.random() < 0.02:
        return draw.choice(VALUES)
    holder = draw.choice(holders)
    key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    action = draw.random()
    if action < 0.8:
        holder[key] = copy.deepcopy(draw.choice(VALUES))
    elif action < 0.9:
        del holder[key]
    elif isinstance(holder, dict):
        holder[draw.choice(["a", "", "\0", "x" * 2_000, "question"])] = holder.pop(key)
    else:
        holder.append(holder[key])
    return value


def _holders(value: Any) -> list[Any]:
    """Every list and object in `value`, itself among them."""
    if isinstance(value, dict):
        return [value, *(inner for each in value.values() for inner in _holders(each))]
    if isinstance(value, list):
        return [value, *(inner for each in value for inner in _holders(each))]
    return []
