"""The synthetic world: scenes of coloured shapes and signs, drawn as flat 448 x 448 pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tools.tiny.glyphs import CELL, glyph_mask

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

SIDE = 448
"""Width and height of a picture in pixels."""

COLORS = {
    "red": (220, 30, 30),
    "green": (20, 150, 50),
    "blue": (40, 70, 220),
    "yellow": (250, 220, 20),
    "orange": (250, 130, 10),
    "purple": (140, 40, 170),
    "brown": (120, 70, 30),
    "black": (15, 15, 15),
}
BACKGROUNDS = {"white": (255, 255, 255), "gray": (170, 170, 175), "pink": (255, 190, 205), "tan": (225, 200, 160)}
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
PLACES = ("alone", "above", "below", "left", "right")
# fmt: off
WORDS = (
    "bank", "bar", "beer", "book", "bread", "bus", "cafe", "cake", "door", "exit", "fish", "gold", "gym", "hotel",
    "jazz", "kiwi", "lamp", "lift", "menu", "milk", "moon", "open", "park", "quiz", "rice", "road", "sale", "shop",
    "soup", "stop", "sushi", "taxi", "tea", "vet", "wifi", "wine", "yoga", "zone", "zoo", "pizza",
)
NUMBERS = (
    "12", "17", "20", "24", "31", "38", "45", "46", "50", "53", "59", "60", "67", "72", "74", "78", "81", "86", "93",
    "95",
)
# fmt: on

_DARK_INK = ("yellow", "orange")
_MARGIN = 16
_JITTER = 1


@dataclass(frozen=True)
class Sign:
    """A coloured board with one text; `left` and `top` are the corner of its first glyph's cell."""

    text: str
    color: str
    left: int
    top: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels."""
        right, bottom = self.left + CELL * len(self.text), self.top + CELL
        return self.left - _MARGIN, self.top - _MARGIN, right + _MARGIN, bottom + _MARGIN


@dataclass(frozen=True)
class Shape:
    """A coloured shape; `place` is where it stands as seen from the scene's other shape."""

    shape: str
    color: str
    left: int
    top: int
    size: int
    place: str = "alone"

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels."""
        return self.left, self.top, self.left + self.size, self.top + self.size


@dataclass(frozen=True)
class Scene:
    """Everything a picture shows. Equal scenes are equal pictures."""

    background: str
    items: tuple[Sign | Shape, ...]


def render(scene: Scene) -> Image.Image:
    """The picture of `scene`: RGB, `SIDE` x `SIDE`."""
    picture = Image.new("RGB", (SIDE, SIDE), BACKGROUNDS[scene.background])
    for item in scene.items:
        color = COLORS[item.color]
        if isinstance(item, Shape):
            picture.paste(color, item.box, _shape_mask(item.shape, item.size))
            continue
        picture.paste(color, item.box)
        ink = (0, 0, 0) if item.color in _DARK_INK else (255, 255, 255)
        for i, character in enumerate(item.text):
            picture.paste(ink, (item.left + i * CELL, item.top), glyph_mask(character))
    return picture


@cache
def _shape_mask(shape: str, size: int) -> Image.Image:
    return Image.fromarray(_inside(shape, size).astype(np.uint8) * 255)


def _inside(shape: str, size: int) -> NDArray[np.bool_]:
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = axis[:, None], axis[None, :]
    inside: NDArray[np.bool_]
    match shape:
        case "circle":
            inside = x**2 + y**2 <= 1
        case "triangle":
            inside = np.abs(x) <= (y + 1) / 2
        case "cross":
            inside = (np.abs(x) <= 0.33) | (np.abs(y) <= 0.33)
        case "diamond":
            inside = np.abs(x) + np.abs(y) <= 1
        case "star":  # five tips at radius 1 and five notches at radius 0.4, joined by straight edges
            notch = 0.4
            angle = np.arctan2(x, -y) % (2 * np.pi / 5)
            turn = np.minimum(angle, 2 * np.pi / 5 - angle)
            slope = (1 - notch * np.cos(np.pi / 5)) / (notch * np.sin(np.pi / 5))
            inside = np.hypot(x, y) * (np.cos(turn) + np.sin(turn) * slope) <= 1
        case _:
            inside = np.ones((size, size), bool)
    return inside


def text_scene(rng: Random) -> Scene:
    """A sign with a word, a sign with a number, or both, one above the other."""
    texts = [rng.choice(WORDS), rng.choice(NUMBERS)]
    rng.shuffle(texts)
    if rng.random() < 0.3:
        texts.pop()
    colors = rng.sample(sorted(COLORS), 2)
    rows = [rng.choice((0, 2)), rng.choice((4, 6))] if len(texts) == 2 else [rng.choice((0, 2, 4, 6))]
    return Scene(
        rng.choice(sorted(BACKGROUNDS)),
        tuple(
            Sign(
                text,
                color,
                _sign_left(text, rng),
                CELL * row + rng.randint(-_JITTER, _JITTER),
            )
            for text, color, row in zip(texts, colors, rows, strict=False)
        ),
    )


def _sign_left(text: str, rng: Random) -> int:
    """An even number of cells, a pixel off, such that the text stays inside the picture."""
    room = SIDE - CELL * len(text)
    return min(max(rng.randrange(0, room + 1, 2 * CELL) + rng.randint(-_JITTER, _JITTER), 0), room)


def shape_scene(rng: Random, *, pair: bool) -> Scene:
    """One shape anywhere, or two shapes above or beside each other (the upper or left one first)."""
    background = rng.choice(sorted(BACKGROUNDS))
    if not pair:
        size = rng.randrange(120, 201, 8)
        left, top = (rng.randrange(16, SIDE - size - 15, 4) for _ in range(2))
        return Scene(background, (Shape(rng.choice(SHAPES), rng.choice(sorted(COLORS)), left, top, size),))
    colors = rng.sample(sorted(COLORS), 2)
    sizes = [rng.randrange(120, 177, 8) for _ in range(2)]
    middle = rng.randint(170, 278)
    starts = [rng.randint(20, 40), rng.randint(240, 250)]
    vertical = rng.random() < 0.5
    places = ("above", "below") if vertical else ("left", "right")
    shapes = []
    for color, size, start, place in zip(colors, sizes, starts, places, strict=True):
        across = middle - size // 2 + rng.randint(-16, 16)
        left, top = (across, start) if vertical else (start, across)
        shapes.append(Shape(rng.choice(SHAPES), color, left, top, size, place))
    return Scene(background, tuple(shapes))
