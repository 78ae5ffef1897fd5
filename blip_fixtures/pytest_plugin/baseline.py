"""The baseline of a pytest run: which stored runs it is compared with, and what they must have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures import foreign
from blip_fixtures.gate import show
from blip_fixtures.gate.crash import said_of
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import check_rules, judge
from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.sides import Process, Refusal, Selected, check_comparable, read_processes, with_further
from blip_fixtures.plain import fitting
from blip_fixtures.pytest_plugin.stored import NUMBERED, stored_runs, why_unreadable
from blip_fixtures.record import read_document
from blip_fixtures.whole_files import BadFileError, decode_json, read_bytes, replace_file, why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.record import Record

# Of the runs stored earlier, so many of the latest tell the spread between processes.
MOST_HISTORY = 20
_REJECTED = "the gate rejected it"
# Stored runs that cannot be a baseline, each with its reason: they are named as soon as there is a terminal.
_PASSED_OVER: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def choose_baseline(config: pytest.Config) -> None:
    """``--benchmark-compare`` without a name takes the last stored run that came to its end and no gate has rejected.

    pytest-benchmark saves a run before anything is compared, so the last run may be the one that failed. Raises
    `pytest.UsageError` where no stored run can be a baseline, and where a named one would end pytest-benchmark.
    """
    named = config.option.benchmark_compare
    if named is not True:
        for path in stored_runs(config, str(named)):
            unreadable = why_unreadable(path)
            if unreadable is not None:
                raise _refused(unreadable)
        return
    passed_over = config.stash.setdefault(_PASSED_OVER, {})
    stored = stored_runs(config, NUMBERED)
    whys = []
    for path in reversed(stored):
        unfit = _why_no_baseline(path)
        if unfit is None:
            config.option.benchmark_compare = str(path)
            return
        whys.append(unfit)
        if unfit != _REJECTED:
            passed_over[path] = unfit
    if stored and set(whys) == {_REJECTED}:
        raise _refused(
            f"the gate rejected all {len(stored)} stored runs, the last one {stored[-1].name}; "
            "name one of them, or let one pass with --blip-accept"
        )
    if stored:
        raise _refused(
            f"none of the {len(stored)} stored runs can be a baseline, the last one {stored[-1].name}: {whys[0]}; "
            "store another with pytest benchmarks --benchmark-save=base"
        )


def _refused(said: str) -> pytest.UsageError:
    return pytest.UsageError(foreign.terminal(f"--benchmark-compare: {said}"))


def _why_no_baseline(path: Path) -> str | None:
    """Why a stored run cannot be what others are compared with, or `None`."""
    unreadable = why_unreadable(path)
    if unreadable is not None:
        return unreadable
    beside = read_document(path).blip
    if beside.gate is not None and beside.gate.rejected:
        return _REJECTED
    return f"{path.name} was interrupted and lacks cases" if beside.interrupted else None


def reject_saved(config: pytest.Config) -> None:
    """Mark the run that this session stored: pytest-benchmark's own comparison failed after the saving."""
    if not (config.option.benchmark_save or config.option.benchmark_autosave) or config.option.blip_accept:
        return
    for path in stored_runs(config, NUMBERED)[-1:]:
        try:
            document = decode_json(read_bytes(path))
            document.setdefault("blip", {})["gate"] = {"rejected": True, "by": "--benchmark-compare-fail"}
            replace_file(path, json.dumps(document, indent=4).encode())
        except (OSError, BadFileError) as error:
            said = why(error) if isinstance(error, OSError) else error
            _tell(config, f"{path} cannot be marked as rejected ({said}); remove it, or the next run compares with it")


def _tell(config: pytest.Config, line: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(foreign.terminal(line))


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
        for unfit in config.stash.get(_PASSED_OVER, {}).values():
            _tell(config, f"--benchmark-compare passes over a stored run: {unfit}")
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
        paths = stored_runs(config, "" if named is True else str(named))
        if not paths:
            raise pytest.UsageError(
                f"--benchmark-compare finds no stored run{'' if named is True else f' called {named}'} of this machine "
                f"in {config.option.benchmark_storage}; store one with pytest benchmarks --benchmark-save=base"
            )
        try:
            processes = [process for path in paths for process in read_processes(path, options.show)]
            check_rules(processes, options.compare_fail)
        except Refusal as error:
            raise _refused(str(error)) from None
        return cls(processes, _history(config, paths), options)

    def check(self, planned: Process) -> list[str]:
        """What differs and may. Raises `pytest.UsageError` for what may not, before anything is measured."""
        try:
            return check_comparable(self.processes, [planned], self.options.allow)
        except Refusal as error:
            raise _refused(str(error)) from None

    def judge(self, now: Sequence[Process]) -> Judgement:
        """The verdicts on a finished run. Raises `Refusal`."""
        return judge(
            self.processes,
            now,
            self.options.compare_fail,
            history=self.history,
            allowed=self.options.allow,
            missing=self.options.missing,
        )


def _history(config: pytest.Config, baseline: Sequence[Path]) -> list[Process]:
    """Earlier runs of this machine that no gate rejected, those of the baseline included.

    A file that is no use is named and passed over; another suite's run in the same storage says nothing of the spread.
    """
    told = config.stash.setdefault(_PASSED_OVER, {})
    found: list[Process] = []
    for path in reversed(stored_runs(config, NUMBERED)):
        if len(found) == MOST_HISTORY:
            break
        try:
            unfit = _why_no_baseline(path)
            if unfit is None and any(bench.record is not None for bench in read_document(path).benchmarks):
                found += read_processes(path)
        except Refusal as error:
            if path in baseline:
                raise
            unfit = str(error)
        if unfit not in (None, _REJECTED) and path not in told:
            told[path] = unfit
            _tell(config, f"the gate's history passes over a stored run: {unfit}")
    return found


def selection_of(config: pytest.Config) -> Selected:
    """What pytest was asked to run, its paths as node ids have them: relative to the root folder."""
    arguments = []
    for argument in config.args:
        path, *rest = argument.split("::")
        place = (config.invocation_params.dir / path).resolve()
        if place.is_relative_to(config.rootpath):
            path = place.relative_to(config.rootpath).as_posix()
        arguments.append(fitting("::".join([path, *rest])))
    return Selected(tuple(arguments), fitting(config.option.keyword or ""), fitting(config.option.markexpr or ""))


class Gate:
    """The judgement of one pytest run, made once its cases have come to an end."""

    def __init__(self, baseline: Baseline, selected: Selected) -> None:
        self._baseline = baseline
        self._selected = selected
        self._accept = baseline.options.accept
        self.judgement: Judgement | None = None
        self.refusal: str | None = None

    def conclude(self, records: Sequence[Record]) -> None:
        """Judge the run's records, those of further processes too, the first time this is called."""
        if self.judgement is None and self.refusal is None:
            try:
                first = Process.of("this run", records, selected=self._selected)
                self.judgement = self._baseline.judge(with_further(first, records))
            except Refusal as error:
                self.refusal = str(error)
            except Exception as error:  # noqa: BLE001  # a fault of the gate's must not cost the run its records
                self.refusal = said_of(error)

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
            "refusal": None if self.refusal is None else fitting(self.refusal),
        }

    def properties(self) -> dict[str, str]:
        """For JUnit: the verdict, and every finding that did not pass."""
        if self.judgement is None:
            return {"blip.gate": foreign.terminal(self.refusal or "")}
        found = {
            foreign.terminal(
                f"blip.gate.{finding.case_id}.{finding.name}"
            ): f"{finding.verdict}: {show.change(finding)}"
            for finding in self.judgement.findings
            if finding.verdict != Verdict.PASS
        }
        return {"blip.gate": show.verdict(self.judgement), **found}

    def report(self, folder: Path, say: Callable[[str], None]) -> None:
        """The table on the terminal, `gate.md` and `gate.json` in `folder`, annotations where GitHub runs this."""
        if self.judgement is None:
            say(foreign.terminal(f"error: {self.refusal}"))
            return
        say(show.as_text(self.judgement))
        if self.judgement.regressed:
            say(
                "accepted (--blip-accept): this run may become a baseline"
                if self._accept
                else "a saved run of this session is marked as rejected: --benchmark-compare passes over it; "
                "--blip-accept accepts the change"
            )
        try:
            say(foreign.terminal(f"The gate: {show.write(self.judgement, folder).resolve()}"))
        except OSError as error:
            say(foreign.terminal(f"error: gate.md and gate.json cannot be written to {folder}: {why(error)}"))
        show.tell_github(self.judgement, say)
