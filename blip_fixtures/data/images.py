"""Pictures of a row: encoded bytes, or a path beside its parquet file; decoded when asked for."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from blip_fixtures.inside import is_inside
from blip_fixtures.spelling import shown
from blip_fixtures.whole_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

LEAST_SIDE = 8
# A third of a gigabyte once decoded. Pillow's own limit is as high, and the process may have lifted it.
MOST_PIXELS = 2**30 // 12
# By Pillow's names. Its other decoders are not asked: one of them calls an interpreter, others are hardly ever tried.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Numbers whose black and white no file names.
_WITHOUT_RANGE = ("I", "F")
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
# Tags of a TIFF: bits of a channel; what its smallest number means, and 0 says white.
_BITS, _MEANING, _SMALLEST_IS_WHITE = 258, 262, 0


class ImageError(ValueError):
    """A picture that cannot be used; the message says why, and names the column."""


@dataclass(frozen=True)
class EncodedImage:
    """`encoded` gives the file's bytes. `convert` turns other modes than RGB into it and takes the first frame."""

    encoded: Callable[[], bytes]
    convert: bool

    def __call__(self) -> Image:
        """The decoded RGB picture. Raises `ImageError`, whatever a decoder raises."""
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                # Of tags that nobody reads; only the limit on pixels is of use.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(self.encoded()), formats=FORMATS) as picture:
                    self._check(picture)
                    picture.load()
                    return _rgb(picture)
        except ImageError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ImageError(f"image has too many pixels (at most {MOST_PIXELS:,} are decoded)") from None
        except UnidentifiedImageError:
            raise ImageError(f"image is of no known format (give one of {', '.join(FORMATS)})") from None
        except Exception as error:
            # A decoder raises anything at all for a file that is damaged. The cause tells a lack of memory.
            raise ImageError(f"image cannot be decoded ({_said(error)})") from error

    def _check(self, picture: Image) -> None:
        """Of what the file says of itself, before anything is decoded."""
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise ImageError(f"image has too many pixels ({width} x {height}, and at most {MOST_PIXELS:,} are decoded)")
        if min(width, height) < LEAST_SIDE:
            raise ImageError(f"image has {width} x {height} pixels where at least {LEAST_SIDE} a side are needed")
        if getattr(picture, "is_animated", False) and not self.convert:
            raise ImageError(
                "image is animated, or has several pages (--blip-data-errors=convert takes the first frame)"
            )
        if picture.mode != "RGB" and not self.convert:
            raise ImageError(
                f"image has the mode {picture.mode} where RGB is needed (--blip-data-errors=convert converts it)"
            )


def encoded_image(value: Any, folder: Path, *, convert: bool) -> EncodedImage:
    """The picture in a row's column ``image``: its bytes, or a path inside `folder`. Raises `ImageError`."""
    found = value if isinstance(value, dict) else {}
    content, name = found.get("bytes"), found.get("path")
    if content and isinstance(content, bytes):
        return EncodedImage(lambda: content, convert)
    if not name or not isinstance(name, str):
        raise ImageError("image holds neither bytes nor a path")
    try:
        path = folder / name
        if not is_inside(path, folder):
            raise ImageError(f"image names {shown(name)}, which lies outside {folder}")
        is_there = path.is_file()
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        # Too long, or with a byte that no path has.
        raise ImageError(f"image names {shown(name)}, which is no path") from None
    if not is_there:
        raise ImageError(f"image names {shown(name)}, which is not in {folder}")
    return EncodedImage(partial(read_bytes, path), convert)


def _rgb(picture: Image) -> Image:
    """The picture with three channels of eight bits, as a viewer shows it on white. Raises `ImageError`."""
    from PIL import Image

    if picture.mode in _WITHOUT_RANGE:
        raise ImageError(
            f"image has the mode {picture.mode}, numbers that do not say what black and white are; save it with 8 bits "
            "a channel"
        )
    if picture.mode.startswith("I;16"):
        return _eight_bits(picture).convert("RGB")
    if picture.mode in _WITH_ALPHA or ("transparency" in picture.info and picture.mode != "RGB"):
        # What a transparent pixel hides is anything, black as a rule: writing on it would vanish.
        seen = picture.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image) -> Image:
    """The upper eight bits of a grey picture, as Pillow takes them of a coloured one; its own `convert` saturates."""
    import numpy as np
    from PIL import Image

    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    grey = np.asarray(picture).astype(np.uint32) >> (bits - 8)
    found = np.minimum(grey, 255).astype(np.uint8)
    return Image.fromarray(255 - found if tags.get(_MEANING) == _SMALLEST_IS_WHITE else found)


def _said(error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".")
    return shown(said)[1:-1] if said else type(error).__name__
