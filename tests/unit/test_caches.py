"""Where the libraries' files go, whatever is wrong with the home folder."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from blip_fixtures.engine.caches import CACHES, ROWS, provide_caches, why_no_rows, why_unusable
from blip_fixtures.engine.preflight import PreflightError, check_libraries

VARIABLES = [cache.variable for cache in CACHES]
SETTINGS = [(cache, home, below) for cache in CACHES for home, below in cache.homes]


@pytest.fixture(params=["missing", "a file", "below a file", "not writable", "empty", "a dangling link", "unset"])
def broken_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process without a home of use."""
    # `datasets` is a library of this process too, and must not be told of this test's folders.
    monkeypatch.setitem(sys.modules, "datasets.config", SimpleNamespace())
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    homes = {
        # Nobody can make a folder there, root neither.
        "missing": "/proc/none",
        "not writable": "/sys",
        "a file": str(tmp_path / "file"),
        "below a file": str(tmp_path / "file" / "home"),
        "empty": "",
        "a dangling link": str(tmp_path / "link"),
    }
    if request.param == "unset":
        # As where the system's list has no such user.
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
        return {}
    return {"HOME": homes[request.param]}


def test_each_library_gets_a_folder_that_takes_files(broken_home: dict[str, str]) -> None:
    given = dict(broken_home)
    (line,) = provide_caches(broken_home)
    assert " takes no files (" in line
    assert "; set HF_DATASETS_CACHE, MPLCONFIGDIR, TRITON_CACHE_DIR to keep them" in line
    assert {name: value for name, value in broken_home.items() if name not in VARIABLES} == given
    assert sorted(broken_home.keys() - given.keys()) == sorted(VARIABLES)
    for name in VARIABLES:
        (Path(broken_home[name]) / "file").write_text("")
    assert why_no_rows(broken_home) is None
    assert provide_caches(broken_home) == []


@pytest.mark.parametrize("cache", CACHES, ids=VARIABLES)
def test_what_the_user_has_set_stays(cache: object, broken_home: dict[str, str]) -> None:
    name = cache.variable  # type: ignore[attr-defined]  # parametrized
    environment = {**broken_home, name: "/proc/none/mine"}
    provide_caches(environment)
    assert environment[name] == "/proc/none/mine"


@pytest.mark.parametrize(("cache", "home", "below"), SETTINGS, ids=[home for _, home, _ in SETTINGS])
def test_a_home_of_the_librarys_own(
    cache: object, home: str, below: str, broken_home: dict[str, str], tmp_path: Path
) -> None:
    name = cache.variable  # type: ignore[attr-defined]  # parametrized
    own = tmp_path / "own"
    own.mkdir()
    environment = {**broken_home, home: str(own)}
    provide_caches(environment)
    assert name not in environment
    assert cache.folder(environment) == own / below  # type: ignore[attr-defined]  # parametrized
    # Read-only, as a folder of checkpoints that many share.
    shared = {**broken_home, home: "/proc/none"}
    provide_caches(shared)
    assert shared[home] == "/proc/none"
    assert why_unusable(Path(shared[name])) is None


def test_a_home_that_takes_files_gets_none(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert provide_caches(environment) == []
    assert environment == {"HOME": str(tmp_path)}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_ones_own_that_takes_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROWS, "/dev/null/rows")
    with pytest.raises(PreflightError) as caught:
        check_libraries()
    assert str(caught.value) == (
        "datasets cannot keep rows in /dev/null/rows (not a directory); set HF_DATASETS_CACHE to a folder that can be "
        "written to"
    )


def test_no_temporary_folder_either(broken_home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", none)
    assert provide_caches(broken_home) == []
    assert "; set HF_DATASETS_CACHE to a folder that can be written to" in str(why_no_rows(broken_home))


def test_datasets_that_was_imported_before_is_told(
    broken_home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SimpleNamespace(HF_DATASETS_CACHE=Path("/proc/none/.cache/huggingface/datasets"))
    monkeypatch.setitem(sys.modules, "datasets.config", config)
    provide_caches(broken_home)
    assert str(config.HF_DATASETS_CACHE) == broken_home[ROWS]


def test_the_folders_are_those_of_the_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the library that every run needs: asked in a process of its own, since it reads variables when imported."""
    import subprocess

    code = "import datasets.config as c; print(c.HF_DATASETS_CACHE)"
    for variables in ({}, {"XDG_CACHE_HOME": str(tmp_path / "x")}, {"HF_HOME": str(tmp_path / "h")}):
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **variables}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(CACHES[0].folder(environment))
