"""Files that stay in their folder: no name and no symbolic link of a foreign folder leads out of it.

The hub's cache keeps each file once and links to it, from ``snapshots/COMMIT/`` to ``blobs/HASH`` beside it; that link
alone may leave its folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"
# What the hub calls a blob: its git or SHA-256 hash.
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_inside(path: Path, folder: Path) -> bool:
    """Whether `path` is what it seems, a place in `folder`, links followed."""
    # Of a loop of links `Path.resolve` makes an error of a kind of its own; here it leads nowhere.
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return real.is_relative_to(home) or _is_blob(real, home)


def leading_out(folder: Path, patterns: Iterable[str]) -> Path | None:
    """The first file or folder at any depth whose link leads out of `folder`; of files those that match a pattern.

    A link to a folder counts whatever its name is, since a reader looks into it for a file of any name. A file of a
    pattern that is none, such as a pipe, counts too: opening it might never end.
    """
    wanted = tuple(patterns)
    for root, folders, files in os.walk(folder):
        here = Path(root)
        for name in sorted(folders):
            if (here / name).is_symlink() and not is_inside(here / name, folder):
                return here / name
        for name in sorted(files):
            path = here / name
            if any(path.match(pattern) for pattern in wanted) and not (path.is_file() and is_inside(path, folder)):
                return path
    return None


def _is_blob(real: Path, home: Path) -> bool:
    """Whether `real` is a blob of the repository of which `home` is a snapshot, or a folder in one."""
    for place in (home, *home.parents):
        if place.parent.name == _SNAPSHOTS:
            return real.parent == place.parent.parent / _BLOBS and _HASH.fullmatch(real.name) is not None
    return False
