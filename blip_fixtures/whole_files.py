"""Files that are read and written whole: within bounds, as strict UTF-8 and JSON, and replaced in one step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a file of records, predictions or settings may have at most; the largest published one has 2 MB.
MOST_BYTES = 200 * 2**20
MOST_LINE_BYTES = 10 * 2**20
# The end of the name of a file that is being written; the beginning is that of the file that it will be.
UNFINISHED = ".unfinished"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadFileError(ValueError):
    """A file that is too large, no text or no JSON; the message says what is wrong with it, without its name."""


def read_bytes(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content, without a byte order mark. Raises `BadFileError` for a file of more than `most_bytes`, or `OSError`.

    Only so much is read, whatever the file system says of its length: a pipe or a device says nothing.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise BadFileError(f"it has more than {most_bytes // 2**20} MiB, the most that is read")
    return content.removeprefix(_BYTE_ORDER_MARK)


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """The content as text. Raises `BadFileError` or `OSError`."""
    return as_text(read_bytes(path, most_bytes=most_bytes))


def as_text(content: bytes) -> str:
    """Strict UTF-8. Raises `BadFileError`."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadFileError(f"it is not UTF-8 text (byte {error.start})") from None


def decode_json(content: bytes | str) -> Any:
    """The value of strict JSON: no NaN or Infinity, no lone surrogates, no number that a float cannot hold.

    Raises `BadFileError`, also for what is nested too deeply.
    """
    import msgspec

    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise BadFileError(f"it is no JSON ({_lowered(str(error))})") from None
    except UnicodeError:
        # A text that was made elsewhere; bytes are checked while they are decoded.
        raise BadFileError("it is not UTF-8 text") from None
    except RecursionError:
        raise BadFileError("it is nested too deeply") from None


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename, so that a reader sees the old file or the new one, never a part.

    The name beside it cannot be guessed and the file is made anew, so that nobody can plant a link there; a link at
    `path` is replaced, and what it names is left alone. The disk has the content before the name changes. Raises
    `OSError`; then nothing is left beside it.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # As any file that the process makes; `mkstemp` gives it to its owner alone.
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105  # `name` is a text, as `mkstemp` gives it
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108  # as above
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left in `folder`. For who alone writes there."""
    for path in unfinished(folder):
        path.unlink(missing_ok=True)


def unfinished(folder: Path) -> Iterator[Path]:
    """Files in `folder` whose writing has not ended."""
    return folder.glob(f".*{UNFINISHED}")


def why(error: OSError) -> str:
    """What the system says of an error, as part of a sentence."""
    return _lowered(error.strerror or str(error))


def _lowered(text: str) -> str:
    """For the middle of a sentence; a word of capitals alone stays."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
