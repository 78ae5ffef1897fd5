"""Pictures from outside: each format and mode decoded as a viewer shows it, and anything else refused in a sentence."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blip_fixtures.data.images import FORMATS, MOST_PIXELS, EncodedImage, ImageError, encoded_image
from blip_fixtures.data.places import RowError
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.device_errors import is_out_of_memory
from blip_fixtures.words import DataErrors
from tests.unit.test_sources import animation, write_textvqa

SEED, DAMAGED = 17, 300
GRADIENT = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)


def encode(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **settings)
    return buffer.getvalue()


def decode(content: bytes, *, convert: bool = True) -> Any:
    return np.asarray(EncodedImage(lambda: content, convert)())


def photograph() -> Image.Image:
    return Image.effect_noise((24, 24), 80).convert("RGB")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_of_the_list_is_decoded(kind: str) -> None:
    pixels = decode(encode(photograph(), kind))
    assert pixels.shape == (24, 24, 3)


@pytest.mark.parametrize("kind", ["DDS", "EPS", "ICO", "JPEG2000", "PCX", "PPM", "SGI", "TGA", "AVIF", "SPIDER"])
def test_every_other_format_is_refused(kind: str) -> None:
    picture = photograph().convert("F") if kind == "SPIDER" else photograph()
    with pytest.raises(
        ImageError, match=r"image is of no known format \(give one of JPEG, PNG, WEBP, GIF, BMP, TIFF\)"
    ):
        decode(encode(picture, kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_a_bad_picture_and_nothing_else(kind: str) -> None:
    draw, whole = random.Random(f"{SEED} {kind}"), encode(photograph(), kind)
    for _ in range(DAMAGED):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            place = draw.choice([draw.randrange(len(content)), draw.randrange(min(80, len(content)))])
            content[place] = draw.choice([0, 1, 127, 128, 255, content[place] ^ (1 << draw.randrange(8))])
        del content[draw.choice([len(content), draw.randrange(len(content))]) :]
        with contextlib.suppress(ImageError):
            decode(bytes(content))


@pytest.mark.parametrize(
    "error", [KeyError("a"), struct.error("x"), RuntimeError("\x1b[31m"), OverflowError(), IndexError()]
)
def test_whatever_a_decoder_raises_is_a_bad_picture(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    content = encode(photograph(), "PNG")
    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(ImageError, match=r"^image cannot be decoded \([ -~]+\)$"):
        decode(content)


def test_a_lack_of_memory_is_told_from_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> Any:
        raise MemoryError

    content = encode(photograph(), "PNG")
    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert is_out_of_memory(caught.value)


def huge_png(side: int) -> bytes:
    """A small file that says it has so many pixels a side."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_460, 12_000, 50_000, 2**31 - 1])
@pytest.mark.parametrize("lifted", [False, True])
def test_pixels_are_counted_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch, side: int, lifted: bool
) -> None:
    if lifted:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert side**2 > MOST_PIXELS
    with pytest.raises(ImageError, match=r"image has too many pixels \(.*at most 89,478,485 are decoded\)"):
        decode(huge_png(side))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_become_eight_and_not_white(kind: str, settings: dict[str, Any], order: str) -> None:
    pixels = decode(encode(Image.fromarray(GRADIENT.astype(order)), kind, **settings))
    assert (pixels[..., 0] == GRADIENT >> 8).all()


def test_twelve_bits_become_eight_and_not_black() -> None:
    """Pillow writes none: one strip of packed rows, as the TIFF specification has them."""
    values = np.linspace(0, 4095, 64).astype(int).tolist()
    packed = b"".join(
        bytes([one >> 4, (one & 15) << 4 | other >> 8, other & 255])
        for one, other in zip(values[::2], values[1::2], strict=True)
    )
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 8)]
    tags.append((279, 4, len(packed)))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    content = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)
    pixels = decode(content)
    assert pixels[..., 0].ravel().tolist() == [value >> 4 for value in values]


def test_a_picture_whose_smallest_number_is_white() -> None:
    pixels = decode(encode(Image.fromarray(GRADIENT), "TIFF", tiffinfo={262: 0}))
    assert (pixels[..., 0] == 255 - (GRADIENT >> 8)).all()


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_without_a_range_are_refused(kind: Any) -> None:
    with pytest.raises(ImageError, match="numbers that do not say what black and white are; save it with 8 bits"):
        decode(encode(Image.fromarray(GRADIENT.astype(kind)), "TIFF"))


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "settings", "seen"),
    [
        ("CMYK", (0, 255, 255, 0), "JPEG", {}, (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "TIFF", {}, (255, 0, 0)),
        ("1", 1, "PNG", {}, (255, 255, 255)),
        ("L", 90, "PNG", {}, (90, 90, 90)),
        ("L", 0, "PNG", {"transparency": 0}, (255, 255, 255)),
        ("LA", (0, 0), "PNG", {}, (255, 255, 255)),
        ("LA", (0, 255), "PNG", {}, (0, 0, 0)),
        ("P", 0, "PNG", {"transparency": 0}, (255, 255, 255)),
        ("P", 0, "GIF", {"transparency": 0}, (255, 255, 255)),
        ("P", 0, "BMP", {}, (0, 0, 0)),
        ("RGBA", (0, 0, 0, 0), "PNG", {}, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), "PNG", {}, (10, 20, 30)),
        ("RGBA", (0, 0, 0, 0), "WEBP", {"lossless": True}, (255, 255, 255)),
    ],
)
def test_other_modes_look_as_a_viewer_shows_them(
    mode: str, colour: Any, kind: str, settings: dict[str, Any], seen: tuple[int, ...]
) -> None:
    content = encode(Image.new(mode, (16, 16), colour), kind, **settings)
    assert np.abs(decode(content)[0, 0].astype(int) - seen).max() <= 1
    with pytest.raises(ImageError, match=r"image has the mode \w+ where RGB is needed"):
        decode(content, convert=False)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_taken_when_asked(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(decode(content)[0, 0].astype(int) - (255, 0, 0)).max() <= 2
    with pytest.raises(ImageError, match="image is animated, or has several pages"):
        decode(content, convert=False)


def test_a_still_gif_is_a_picture() -> None:
    assert decode(encode(photograph(), "GIF")).shape == (24, 24, 3)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../out.png", "https://example.org/a.png", "file:///etc/passwd", "a\0b", "a" * 5000, "link.png"],
)
def test_a_path_leads_to_a_file_of_its_folder_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "out.png").write_bytes(encode(photograph(), "PNG"))
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(ImageError, match=r"image names .*, which (lies outside|is not in|is no path)"):
        encoded_image({"bytes": None, "path": name}, folder, convert=True)


@pytest.mark.parametrize("value", [None, 5, "a.png", [], {"bytes": 5}, {"bytes": "text", "path": 3}, {"path": ["a"]}])
def test_what_holds_no_picture(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ImageError, match="image holds neither bytes nor a path"):
        encoded_image(value, tmp_path, convert=True)


def test_a_picture_that_is_damaged_after_the_check_is_named(tmp_path: Path) -> None:
    """Pictures are decoded again for their batch, when the file may be another one."""
    path = write_textvqa(tmp_path, image={"bytes": None, "path": "a.png"})
    (path.parent / "a.png").write_bytes(encode(photograph(), "PNG"))
    samples = load_samples("textvqa", str(tmp_path))
    (path.parent / "a.png").write_bytes(b"no picture")
    with pytest.raises(RowError, match=r"validation.parquet, row 2 \(counted from 0\): image is of no known format"):
        _ = samples[2].image
    sample = samples[2]
    (path.parent / "a.png").unlink()
    with pytest.raises(RowError, match=r"row 2 \(counted from 0\): image cannot be decoded \(.*No such file"):
        _ = sample.image
    with pytest.raises(RowError, match=r"row 2 \(counted from 0\): image names 'a.png', which is not in"):
        _ = samples[2]


@pytest.mark.parametrize("errors", list(DataErrors))
def test_skip_skips_what_convert_and_fail_refuse(tmp_path: Path, errors: DataErrors) -> None:
    write_textvqa(tmp_path, image={"bytes": huge_png(50_000), "path": None})
    if errors == DataErrors.SKIP:
        assert load_samples("textvqa", str(tmp_path), errors=errors).skipped == 1
        return
    with pytest.raises(DataError, match=r"row 2 \(counted from 0\): image has too many pixels .* mend the row"):
        load_samples("textvqa", str(tmp_path), errors=errors)


def test_convert_takes_an_animation(tmp_path: Path) -> None:
    write_textvqa(tmp_path, image=animation())
    assert load_samples("textvqa", str(tmp_path), errors=DataErrors.CONVERT)[2].image.size == (8, 8)
