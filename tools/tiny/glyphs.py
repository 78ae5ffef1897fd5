"""A bitmap font of 5 x 7 dots: capital letters and digits."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

CELL = 56
"""Width and height of one glyph's cell in pixels."""

_DOT = 8

# Seven rows of five dots, top to bottom, as the digits of a hexadecimal number: "0e" is .###.
_ROWS = {
    "a": "0e 11 11 1f 11 11 11",
    "b": "1e 11 11 1e 11 11 1e",
    "c": "0e 11 10 10 10 11 0e",
    "d": "1e 11 11 11 11 11 1e",
    "e": "1f 10 10 1e 10 10 1f",
    "f": "1f 10 10 1e 10 10 10",
    "g": "0e 11 10 17 11 11 0e",
    "h": "11 11 11 1f 11 11 11",
    "i": "0e 04 04 04 04 04 0e",
    "j": "07 02 02 02 02 12 0c",
    "k": "11 12 14 18 14 12 11",
    "l": "10 10 10 10 10 10 1f",
    "m": "11 1b 15 15 11 11 11",
    "n": "11 19 15 13 11 11 11",
    "o": "0e 11 11 11 11 11 0e",
    "p": "1e 11 11 1e 10 10 10",
    "q": "0e 11 11 11 15 12 0d",
    "r": "1e 11 11 1e 14 12 11",
    "s": "0f 10 10 0e 01 01 1e",
    "t": "1f 04 04 04 04 04 04",
    "u": "11 11 11 11 11 11 0e",
    "v": "11 11 11 11 11 0a 04",
    "w": "11 11 11 15 15 1b 11",
    "x": "11 11 0a 04 0a 11 11",
    "y": "11 11 0a 04 04 04 04",
    "z": "1f 01 02 04 08 10 1f",
    "0": "0e 13 15 15 15 19 0e",
    "1": "04 0c 04 04 04 04 0e",
    "2": "0e 11 01 06 08 10 1f",
    "3": "1e 01 01 0e 01 01 1e",
    "4": "02 06 0a 12 1f 02 02",
    "5": "1f 10 1e 01 01 11 0e",
    "6": "06 08 10 1e 11 11 0e",
    "7": "1f 01 02 04 08 08 08",
    "8": "0e 11 11 0e 11 11 0e",
    "9": "0e 11 11 0f 01 02 0c",
}
CHARACTERS = tuple(_ROWS)


@cache
def glyph_mask(character: str) -> Image.Image:
    """A `CELL` x `CELL` mask, 255 where the character inks and 0 elsewhere."""
    rows = [int(row, 16) for row in _ROWS[character].split()]
    dots = np.array([[row >> bit & 1 for bit in (4, 3, 2, 1, 0)] for row in rows], np.uint8)
    ink = Image.fromarray(np.kron(dots, np.full((_DOT, _DOT), 255, np.uint8)))
    cell = Image.new("L", (CELL, CELL))
    cell.paste(ink, ((CELL - ink.width) // 2, (CELL - ink.height) // 2))
    return cell
