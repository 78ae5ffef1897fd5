"""Pictures of a row: encoded bytes, or a path beside its parquet file; decoded when asked for."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

LEAST_SIDE = 8


class ImageError(ValueError):
    """A picture that cannot be used; the message says why, and names the column."""


@dataclass(frozen=True)
class EncodedImage:
    """`encoded` gives the file's bytes. `convert` turns other modes than RGB into it, as image processors do."""

    encoded: Callable[[], bytes]
    convert: bool

    def __call__(self) -> Image:
        """The decoded RGB picture. Raises `ImageError`."""
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(self.encoded())) as picture:
                    self._check(picture)
                    picture.load()
                    return picture.convert("RGB")
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ImageError(f"image has too many pixels ({str(error).rstrip('.')})") from None
        except UnidentifiedImageError:
            raise ImageError("image is of no known format") from None
        except (OSError, SyntaxError) as error:  # SyntaxError: some broken PNG files
            raise ImageError(f"image cannot be decoded ({error})") from None

    def _check(self, picture: Image) -> None:
        width, height = picture.size
        if min(width, height) < LEAST_SIDE:
            raise ImageError(f"image has {width} x {height} pixels where at least {LEAST_SIDE} a side are needed")
        if getattr(picture, "n_frames", 1) > 1:
            raise ImageError(f"image is animated ({picture.n_frames} frames)")  # type: ignore[attr-defined]
        if picture.mode != "RGB" and not self.convert:
            raise ImageError(
                f"image has the mode {picture.mode} where RGB is needed (--blip-data-errors=convert converts it)"
            )


def encoded_image(value: Any, folder: Path, *, convert: bool) -> EncodedImage:
    """The picture in a row's column ``image``: its bytes, or a path inside `folder`. Raises `ImageError`."""
    found = value if isinstance(value, dict) else {}
    if found.get("bytes"):
        content: bytes = found["bytes"]
        return EncodedImage(lambda: content, convert)
    if not found.get("path"):
        raise ImageError("image holds neither bytes nor a path")
    path = (folder / str(found["path"])).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ImageError(f"image names {found['path']!r}, which lies outside {folder}")
    if not path.is_file():
        raise ImageError(f"image names {found['path']!r}, which is not in {folder}")
    return EncodedImage(path.read_bytes, convert)
