"""Folders that libraries keep below the home folder: elsewhere for this run, where home takes no files."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.whole_files import why

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

# `datasets` cannot read a file without its folder; the others end or complain where they have none.
ROWS = "HF_DATASETS_CACHE"


@dataclass(frozen=True)
class Cache:
    """The variable that names a library's folder, and where it is otherwise.

    Below the first of `homes` that is set, in `below`; else in `default`, from the home folder on.
    """

    variable: str
    homes: Sequence[tuple[str, str]]
    default: str

    def folder(self, environment: Mapping[str, str]) -> Path:
        """Where the library will keep its files. Not absolute where nobody knows the home folder."""
        if environment.get(self.variable):
            return Path(environment[self.variable])
        for home, below in self.homes:
            if environment.get(home):
                return Path(environment[home], below)
        return Path(_home(environment), self.default)


# huggingface.co/docs/datasets/cache, matplotlib.org/stable/install/environment_variables_faq.html, triton/knobs.py.
# Compiled code needs no place here: torch's is in the temporary folder. Nor do files of the hub: they are kept, and are
# not for the temporary folder; a run that fetches some is told to set HF_HOME.
CACHES = (
    Cache(ROWS, (("HF_HOME", "datasets"), ("XDG_CACHE_HOME", "huggingface/datasets")), ".cache/huggingface/datasets"),
    Cache("MPLCONFIGDIR", (("XDG_CONFIG_HOME", "matplotlib"),), ".config/matplotlib"),
    Cache("TRITON_CACHE_DIR", (("TRITON_HOME", ".triton/cache"),), ".triton/cache"),
)


def provide_caches(environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Name a temporary folder for each library whose own cannot be written to; what to tell about it, a line or none.

    What the user has set stays as it is.
    """
    lacking = {
        cache: problem
        for cache in CACHES
        if not environment.get(cache.variable) and (problem := why_unusable(cache.folder(environment)))
    }
    if not lacking:
        return []
    try:
        folder = Path(tempfile.mkdtemp(prefix="blip-caches-"))
    except OSError:
        # The rows' folder is asked for again before anything is read, and refused there.
        return []
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for cache in lacking:
        environment[cache.variable] = str(folder / cache.variable.lower())
        Path(environment[cache.variable]).mkdir()
    if ROWS in (cache.variable for cache in lacking):
        _tell_datasets(Path(environment[ROWS]))
    first, problem = next(iter(lacking.items()))
    return [
        f"{first.folder({**environment, first.variable: ''})} takes no files ({problem}): caches of this run are in "
        f"{folder}, which is removed at its end; set {', '.join(cache.variable for cache in lacking)} to keep them"
    ]


def why_no_rows(environment: Mapping[str, str] = os.environ) -> str | None:
    """Why no dataset can be read, in one sentence; `None` where the folder for its rows takes files."""
    folder = CACHES[0].folder(environment)
    problem = why_unusable(folder)
    if problem is None:
        return None
    return f"datasets cannot keep rows in {folder} ({problem}); set {ROWS} to a folder that can be written to"


def why_unusable(folder: Path) -> str | None:
    """Why `folder` cannot be made or takes no files; `None` where it does. Nothing is left of the attempt."""
    if not folder.is_absolute():
        # As where neither HOME nor the system's list of users says where home is: not for the working folder.
        return "there is no home folder"
    try:
        there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return why(error)


def _home(environment: Mapping[str, str]) -> str:
    """As the libraries find it; not absolute where there is none."""
    return environment["HOME"] if "HOME" in environment else os.path.expanduser("~")  # noqa: PTH111  # raises nothing


def _tell_datasets(folder: Path) -> None:
    """`datasets` reads its variables when it is imported, which a conftest.py may have done before."""
    loaded = sys.modules.get("datasets.config")
    if loaded is not None:
        loaded.HF_DATASETS_CACHE = folder  # type: ignore[attr-defined]  # a module's own name
