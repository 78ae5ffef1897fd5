"""The baseline of a pytest run: which stored runs it is compared with, and what they must have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.gate import show
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import check_rules, judge
from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.sides import Process, Refusal, Selected, check_comparable, read_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.record import Record

# Of the runs stored earlier, so many of the latest tell the spread between processes.
MOST_HISTORY = 20
_NUMBERED = "[0-9][0-9][0-9][0-9]_"


def skip_rejected(config: pytest.Config) -> None:
    """``--benchmark-compare`` without a name takes the last stored run that no gate has rejected.

    pytest-benchmark saves a run before anything is compared, so the last run may be the one that failed. Raises
    `pytest.UsageError` where every stored run was rejected.
    """
    if getattr(config.option, "benchmark_compare", None) is not True:
        return
    stored = _stored(config, _NUMBERED)
    for path in reversed(stored):
        if not _was_rejected(path):
            config.option.benchmark_compare = str(path)
            return
    if stored:
        raise pytest.UsageError(
            f"--benchmark-compare: the gate rejected all {len(stored)} stored runs, the last one {stored[-1].name}; "
            "name one of them, or let one pass with --blip-accept"
        )


def _stored(config: pytest.Config, name: str) -> list[Path]:
    """Files of pytest-benchmark's storage, the oldest first; empty for a storage that is not made of files."""
    from pytest_benchmark.logger import Logger
    from pytest_benchmark.storage.file import FileStorage
    from pytest_benchmark.utils import get_machine_id, load_storage

    storage = load_storage(
        config.option.benchmark_storage,
        logger=Logger(Logger.QUIET, config=config),
        default_machine_id=get_machine_id(),
        netrc=config.option.benchmark_netrc,
    )
    return list(storage.query(name)) if isinstance(storage, FileStorage) else []


def _was_rejected(path: Path) -> bool:
    """Whether a gate said so; a file that cannot be read is for the comparison to refuse."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    gate = ((document.get("blip") or {}).get("gate") or {}) if isinstance(document, dict) else {}
    return bool(gate.get("rejected"))


def reject_saved(config: pytest.Config) -> None:
    """Mark the run that this session stored: pytest-benchmark's own comparison failed behind the saving."""
    if not (config.option.benchmark_save or config.option.benchmark_autosave) or config.option.blip_accept:
        return
    for path in _stored(config, _NUMBERED)[-1:]:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.setdefault("blip", {})["gate"] = {"rejected": True, "by": "--benchmark-compare-fail"}
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(document, indent=4), encoding="utf-8")
        unfinished.replace(path)


@dataclass(frozen=True)
class Baseline:
    """What a run is judged against, and by which rules."""

    processes: Sequence[Process]
    history: Sequence[Process]
    options: Options

    @classmethod
    def load(cls, config: pytest.Config, options: Options) -> Baseline | None:
        """The runs that ``--benchmark-compare`` names. `None` where nothing is to be judged.

        Raises `pytest.UsageError` in one sentence for rules without a baseline, and for a baseline that is no use.
        """
        if not options.compare_fail or config.getoption("benchmark_disable", False):
            return None
        named = getattr(config.option, "benchmark_compare", None)
        if not named:
            if config.getoption("blip_compare_fail") is None:
                return None  # the rules of an ini file wait for a run that compares
            raise pytest.UsageError(
                "--blip-compare-fail needs a baseline: add --benchmark-compare for the last stored run, or "
                "--benchmark-compare=0001 for a certain one; pytest benchmarks --benchmark-save=base stores one"
            )
        for rule in options.compare_fail:
            needed = find_metric(rule.metric).measured_by
            if needed is not None and needed not in options.measure:
                raise pytest.UsageError(
                    f"--blip-compare-fail={rule.text} judges what --blip-measure leaves out; add {needed} to it"
                )
        paths = _stored(config, "" if named is True else str(named))
        if not paths:
            raise pytest.UsageError(
                f"--benchmark-compare finds no stored run{'' if named is True else f' called {named}'} of this machine "
                f"in {config.option.benchmark_storage}; store one with pytest benchmarks --benchmark-save=base"
            )
        try:
            processes = [read_process(path, options.show) for path in paths]
            check_rules(processes, options.compare_fail)
        except Refusal as error:
            raise pytest.UsageError(f"--benchmark-compare: {error}") from None
        return cls(processes, _history(config, paths), options)

    def check(self, planned: Process) -> list[str]:
        """What differs and may. Raises `pytest.UsageError` for what may not, before anything is measured."""
        try:
            return check_comparable(self.processes, [planned], self.options.allow)
        except Refusal as error:
            raise pytest.UsageError(f"--benchmark-compare: {error}") from None

    def judge(self, now: Process) -> Judgement:
        """The verdicts on a finished run. Raises `Refusal`."""
        return judge(
            self.processes,
            [now],
            self.options.compare_fail,
            history=self.history,
            allowed=self.options.allow,
            missing=self.options.missing,
        )


def _history(config: pytest.Config, baseline: Sequence[Path]) -> list[Process]:
    """Earlier runs of this machine that no gate rejected, those of the baseline included."""
    found: list[Process] = []
    for path in reversed(_stored(config, _NUMBERED)):
        if len(found) == MOST_HISTORY:
            break
        if _was_rejected(path):
            continue
        try:
            found.append(read_process(path))
        except Refusal:
            # Another suite's run in the same storage, or a torn one: it says nothing of the spread.
            if path in baseline:
                raise
    return found


def selection_of(config: pytest.Config) -> Selected:
    """What pytest was asked to run, its paths as node ids have them: relative to the root folder."""
    arguments = []
    for argument in config.args:
        path, *rest = argument.split("::")
        place = (config.invocation_params.dir / path).resolve()
        if place.is_relative_to(config.rootpath):
            path = place.relative_to(config.rootpath).as_posix()
        arguments.append("::".join([path, *rest]))
    return Selected(tuple(arguments), config.option.keyword or "", config.option.markexpr or "")


class Gate:
    """The judgement of one pytest run, made once its cases have come to an end."""

    def __init__(self, baseline: Baseline, selected: Selected) -> None:
        self._baseline = baseline
        self._selected = selected
        self._accept = baseline.options.accept
        self.judgement: Judgement | None = None
        self.refusal: str | None = None

    def conclude(self, records: Iterable[Record]) -> None:
        """Judge the run's records, the first time this is called."""
        if self.judgement is None and self.refusal is None:
            try:
                self.judgement = self._baseline.judge(Process.of("this run", records, selected=self._selected))
            except Refusal as error:
                self.refusal = str(error)

    @property
    def exit_code(self) -> int:
        """0, 1 for a regression that nobody accepted, 4 where the run cannot be judged."""
        if self.refusal is not None:
            return pytest.ExitCode.USAGE_ERROR
        return pytest.ExitCode.TESTS_FAILED if self.facts["rejected"] else pytest.ExitCode.OK

    @property
    def facts(self) -> dict[str, Any]:
        """What the stored run says of itself; a rejected one is passed over when a baseline is looked up."""
        regressed = self.judgement is not None and self.judgement.regressed
        return {
            "regressed": regressed,
            "accepted": regressed and self._accept,
            "rejected": self.refusal is not None or (regressed and not self._accept),
            "refusal": self.refusal,
        }

    def properties(self) -> dict[str, str]:
        """For JUnit: the verdict, and every finding that did not pass."""
        if self.judgement is None:
            return {"blip.gate": self.refusal or ""}
        found = {
            f"blip.gate.{finding.case_id}.{finding.name}": f"{finding.verdict}: {show.change(finding)}"
            for finding in self.judgement.findings
            if finding.verdict != Verdict.PASS
        }
        return {"blip.gate": show.verdict(self.judgement), **found}

    def report(self, folder: Path, say: Callable[[str], None]) -> None:
        """The table on the terminal, `gate.md` and `gate.json` in `folder`, annotations where GitHub runs this."""
        if self.judgement is None:
            say(f"error: {self.refusal}")
            return
        say(show.as_text(self.judgement))
        if self.judgement.regressed:
            say(
                "accepted (--blip-accept): this run may become a baseline"
                if self._accept
                else "a saved run of this session is marked as rejected: --benchmark-compare passes over it; "
                "--blip-accept accepts the change"
            )
        say(f"The gate: {show.write(self.judgement, folder).resolve()}")
        show.tell_github(self.judgement, say)
