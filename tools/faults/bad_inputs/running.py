"""Bad inputs are run, each in a process and a folder of its own, and what came of them is checked."""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tools.faults.runs import end_with, tracebacks

if TYPE_CHECKING:
    from tools.faults.bad_inputs.given import Input

MOST_OF_A_MESSAGE = 400
_MOST_S = 120.0
# What no input may find: a graphics card, a hub, another run that measures, plugins and settings of whoever runs this.
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "-p benchmark -p blip -p no:cacheprovider --assert=plain --blip-lock=off",
    "COLUMNS": "80",
}
_FOREIGN = ("BLIP_", "GITHUB_", "HF_", "HUGGINGFACE_", "PYTEST_", "TRANSFORMERS_", "XDG_")
_ERROR = re.compile(r"(?:ERROR: |error: |(?:pytest|python -m [\w.]+(?: \w[\w-]*)*): error: )")
# In a process that pytest did not start it calls itself so.
_PROGRAM = (("pytest.main(): ", "pytest: error: "), ("pytest.main()", "pytest"))
# Lines of others: of pytest itself after a wrong argument, and what pytest-benchmark tells along the way.
_OF_OTHERS = re.compile(
    r"  (?:inifile|rootdir): |Comparing against benchmarks from: |\S+: PytestBenchmarkWarning: |  warner\(PytestBench"
)
_USAGE = re.compile(r"(?:ERROR: )?usage: ")
_IMPORTED = (
    *("PIL.Image", "PIL.PngImagePlugin", "pyarrow.parquet", "safetensors", "msgspec", "pytest_benchmark.plugin"),
    *("blip_fixtures.pytest_plugin.run", "blip_fixtures.pytest_plugin.plan", "blip_fixtures.pytest_plugin.also"),
    *(f"blip_fixtures.{name}.__main__" for name in ("report", "gate", "quality", "data")),
    "blip_fixtures.flops",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")


@dataclass(frozen=True)
class Outcome:
    """What an input came to: exit code, both outputs with machine and folder left out, and what it should not do."""

    code: int
    said: str
    shown: str
    written_outside: tuple[str, ...] = ()
    has_measured: bool = False

    @property
    def sentences(self) -> list[str]:
        """What standard error says, without the usage that argparse puts before, and the word for an error."""
        lines = [line for line in self.said.splitlines() if line.strip() and not _OF_OTHERS.match(line)]
        if lines and _USAGE.match(lines[0]):
            errors = [place for place, line in enumerate(lines) if _ERROR.match(line) and not _USAGE.match(line)]
            lines = lines[errors[0] :] if errors else lines
        return [_ERROR.sub("", line, count=1) for line in lines]


def faults_of(given: Input, outcome: Outcome) -> list[str]:
    """What is wrong with the way in which an input was refused."""
    sentences = outcome.sentences
    message = sentences[0] if sentences else ""
    faults = {
        f"exit code {outcome.code} in place of {given.exit_code}": outcome.code != given.exit_code,
        f"{len(sentences)} lines in place of one": len(sentences) != 1,
        "a traceback": tracebacks(outcome.said + outcome.shown) > 0,
        "a control character": not outcome.said.replace("\n", "").isprintable(),
        "one part alone, which cannot say what to do": re.search(r"[;:,] ", message) is None,
        f"{len(message)} characters": len(message) > MOST_OF_A_MESSAGE,
        f"files outside the folder: {', '.join(outcome.written_outside)}": bool(outcome.written_outside),
        "a case was measured": outcome.has_measured,
    }
    return [fault for fault, is_there in faults.items() if is_there]


def prepare(caches: Path) -> None:
    """Set the environment of all inputs and import what takes seconds. Once in a process, and before anything else.

    `caches` is an empty folder for those of the libraries.
    """
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            del os.environ[name]
    os.environ.update({**ENVIRONMENT, "HF_HOME": str(caches.resolve())})
    from tools.faults.runs import warm_up

    warm_up()
    for name in _IMPORTED:
        importlib.import_module(name)
    # Pytest collects at its end, again and again: not what a fork has from its parent.
    gc.collect()
    gc.freeze()


def run(given: Input) -> Outcome:
    """What an input comes to in a fork of this process."""
    place = Path(tempfile.mkdtemp(prefix="bad-input-")).resolve()
    try:
        for name in ("folder", "home", "temporary"):
            (place / name).mkdir()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _act(given, place)
        code = _wait(pid)
        return _outcome(place, code)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _wait(pid: int) -> int:
    end_s = time.monotonic() + _MOST_S
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end_s:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _outcome(place: Path, code: int) -> Outcome:
    said, shown = (_same_everywhere(place, (place / name).read_bytes()) for name in ("stderr", "stdout"))
    left = [path for name in ("home", "temporary") for path in (place / name).rglob("*") if not path.is_dir()]
    outside = (place / "outside").read_text(encoding="utf-8").splitlines()
    found = dict.fromkeys([*outside, *(str(path.relative_to(place)) for path in left)])
    return Outcome(code, said, shown, tuple(found), (place / "measured").exists())


def _same_everywhere(place: Path, output: bytes) -> str:
    """The output without what another machine or moment would change."""
    from pytest_benchmark.utils import get_machine_id

    text = output.decode("utf-8", errors="replace")
    of_here = (
        (str(place / "folder"), "FOLDER"),
        (str(place), "ELSEWHERE"),
        (get_machine_id(), "MACHINE"),
        (version("torch"), "VERSION"),
    )
    for found, word in (*of_here, *_PROGRAM):
        text = text.replace(found, word)
    # argparse puts the names that it knows into quotes, or does not, by its release.
    return re.sub(
        r"(?<=\(choose from )[^)]*(?=\))", lambda found: re.sub(r"'([^',]*)'", r"\1", found[0]), text, flags=re.DOTALL
    )


def _act(given: Input, place: Path) -> NoReturn:
    """In the fork: make the folder, run the command there, and end the process."""

    def work() -> int:
        for name, number in (("stdout", 1), ("stderr", 2)):
            descriptor = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, number)
        os.environ.update({"HOME": str(place / "home"), "TMPDIR": str(place / "temporary")})
        tempfile.tempdir = None
        os.chdir(place / "folder")
        given.make(place / "folder")
        journals = _journals(place)
        _watch(place)
        code = _run_pytest(given) if given.is_run else _run_module(given)
        if _journals(place) != journals:
            (place / "measured").touch()
        return code

    end_with(work)


def _run_pytest(given: Input) -> int:
    import pytest

    sys.argv = given.words
    return int(pytest.main(given.words[1:]))


def _run_module(given: Input) -> int:
    name = given.module
    package = find_spec(name)
    assert package is not None, name
    inner = f"{name}.__main__" if package.submodule_search_locations else name
    sys.argv = [name, *given.words[3:]]
    return int(importlib.import_module(inner).main(given.words[3:]))


def _journals(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (place / "folder").rglob("journal.jsonl") if path.is_file()}


def _watch(place: Path) -> None:
    """From now on write down each path elsewhere that this process changes, by what Python tells of it.

    The caches of libraries may grow, and so may Python's own.
    """
    seen = os.open(place / "outside", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # What is left in the other folders of `place` is looked for when the process has ended.
    allowed = (str(place), os.environ["HF_HOME"], "/dev/", "/proc/self/")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
        elif event in _CHANGES:
            path = arguments[1 if event in ("os.rename", "os.link", "os.symlink") else 0]
        else:
            return
        if isinstance(path, int) or path is None:
            return
        whole = os.path.realpath(os.fsdecode(path))
        if not whole.startswith(allowed) and "__pycache__" not in whole:
            os.write(seen, f"{whole}\n".encode(errors="backslashreplace"))

    sys.addaudithook(hook)
