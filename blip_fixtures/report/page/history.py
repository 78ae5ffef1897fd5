"""Stored runs over time: a series for each case and figure, its changes, and what it spreads between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from blip_fixtures import foreign, formats
from blip_fixtures.privacy import without_secrets
from blip_fixtures.record import RecordError, read_document, read_run
from blip_fixtures.report.machine import COMMIT_DIGITS
from blip_fixtures.report.page.changes import FEWEST_RUNS, Changes, find_changes
from blip_fixtures.report.page.points import short, shown_figures
from blip_fixtures.report.selection import case_key, select
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Document, Record
    from blip_fixtures.report.page.points import Plain, TimeUnit
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Key

# What an anonymous run leaves out of its records.
_TELLING = frozenset({"host", "commit", "dirty", "command"})
# pytest-benchmark numbers what it stores.
NUMBERED = "[0-9][0-9][0-9][0-9]_*.json"
# The latest that a page shows.
MOST_RUNS = 100
# The figures that have a history, and how the axis calls them.
FIGURES = ("latency", "quality", "energy", "memory", "throughput")
# Of the processes of a stretch the band leaves so large a share out at each end.
_OUTSIDE = 0.1


@dataclass(frozen=True)
class StoredRun:
    """One process: what its file is called, and its records as they were read."""

    name: str
    records: tuple[Record, ...]

    @property
    def started_at(self) -> str:
        """ISO 8601; empty where no record says so."""
        return min((str(each["started_at"]) for each in self._environments if each.get("started_at")), default="")

    @property
    def commit(self) -> str:
        """Shortened, with a mark where the working folder had changes."""
        for each in self._environments:
            if each.get("commit"):
                return str(each["commit"])[:COMMIT_DIGITS] + ("+" if each.get("dirty") else "")
        return ""

    @property
    def _environments(self) -> list[Any]:
        return [record.environment for record in self.records if record.environment]


@dataclass(frozen=True)
class History:
    """Stored runs, and a sentence for each file that is no use."""

    runs: tuple[StoredRun, ...] = ()
    unread: tuple[str, ...] = ()


def read_history(folder: Path) -> History:
    """All stored runs below `folder`, which is pytest-benchmark's storage or that of one machine in it."""
    return read_stored(sorted(folder.rglob(NUMBERED), key=lambda path: path.name))


def read_stored(paths: Sequence[Path], show: Callable[[str], str] = without_secrets) -> History:
    """These files. One that is no use is passed over and named, and a run of another suite passed over alone.

    `show` says what the page may tell of a file's name.
    """
    runs, unread = [], []
    for path in paths[-MOST_RUNS:]:
        try:
            if _is_of_the_suite(read_document(path)):
                runs.append(StoredRun(show(path.stem), tuple(read_run(path).records)))
        except (RecordError, OSError) as error:
            unread.append(show(str(error)))
    return History(tuple(runs), tuple(unread))


def _is_of_the_suite(document: Document) -> bool:
    beside = document.blip
    return any(bench.record is not None for bench in document.benchmarks) or bool(beside.not_run or beside.untimed)


def anonymous(history: History) -> History:
    """Without what tells who measured where, which earlier runs may have kept; `--benchmark-autosave` names commits."""
    runs = [StoredRun(run.name.partition("_")[0], tuple(map(_anonymous, run.records))) for run in history.runs]
    return History(tuple(runs), history.unread)


def _anonymous(record: Record) -> Record:
    environment = {name: value for name, value in record.environment.items() if name not in _TELLING}
    return replace(record, environment=environment)


def in_order(stored: Sequence[StoredRun], now: StoredRun) -> list[StoredRun]:
    """All runs by the time when they started, each once: `now` may be stored already. `now` stays the last one."""
    others = [run for run in stored if not (run.started_at and run.started_at == now.started_at)]
    return [*sorted(others, key=lambda run: run.started_at), now]


def history_of(runs: Sequence[StoredRun], ids: Mapping[Key, str], unit: TimeUnit, prose: Prose) -> Plain:
    """The runs and, for each case of `ids` that several have, a series for each figure.

    `ids` are the page's names of the cases; the last of `runs` is the one that the page is of.
    """
    found = [_figures_by_case(run, unit, prose) for run in runs]
    series: dict[str, Any] = {}
    for key, name in ids.items():
        of_case = {figure: _series([run.get(key, {}).get(figure) for run in found], prose) for figure in FIGURES}
        known = {figure: each for figure, each in of_case.items() if each is not None}
        if known:
            series[name] = known
    return {
        "runs": [
            {
                "name": foreign.plain(run.name),
                "commit": foreign.plain(run.commit),
                "started": foreign.plain(run.started_at)[:19].replace("T", " "),
            }
            for run in runs
        ],
        "series": series,
        "sentence": ""
        if len(runs) >= FEWEST_RUNS
        else prose.say("page_history_few", runs=len(runs), least=FEWEST_RUNS),
        "band": prose.say("page_history_band", low=round(100 * _OUTSIDE), high=round(100 * (1 - _OUTSIDE))),
    }


def _figures_by_case(run: StoredRun, unit: TimeUnit, prose: Prose) -> dict[Key, dict[str, float]]:
    found: dict[Key, dict[str, float]] = {}
    for record in select(run.records, foreign.plain).cases():
        if record.status == Status.OK:
            shown = shown_figures(record, unit, prose)
            found[case_key(record)] = {
                name: shown[name].span.value  # type: ignore[union-attr]  # only those that have one
                for name in FIGURES
                if shown[name].span is not None
            }
    return found


def _series(values: Sequence[float | None], prose: Prose) -> Plain | None:
    """The values by run, the stretches between changes with their bands, and what is said of the changes."""
    places = [place for place, value in enumerate(values) if value is not None]
    if len(places) < 2:  # one run has no history
        return None
    known = [value for value in values if value is not None]
    changes = find_changes(known)
    bounds = [0, *changes.places, len(known)]
    bands = []
    for first, end in pairwise(bounds):
        part = known[first:end]
        low, middle, high = (formats.quantile(part, share) for share in (_OUTSIDE, 0.5, 1 - _OUTSIDE))
        bands.append([places[first], places[end - 1], short(low), short(middle), short(high)])
    return {
        "values": [None if value is None else short(value) for value in values],
        "bands": bands,
        "changes": [places[place] for place in changes.places],
        "said": _said(changes, len(known), bands, prose),
    }


def _said(changes: Changes, runs: int, bands: Sequence[Any], prose: Prose) -> str:
    if changes.why is not None:
        return prose.say(f"page_changes_{changes.why}", runs=runs, least=FEWEST_RUNS)
    if not changes.places:
        return prose.say("page_changes_none", runs=runs)
    steps = [
        prose.say("page_change", run=bands[number][0] + 1, percent=_percent(bands[number - 1][3], bands[number][3]))
        for number in range(1, len(bands))
    ]
    return prose.say("page_changes_some", steps=", ".join(steps))


def _percent(before: float, after: float) -> str:
    return formats.MISSING if not before else f"{100 * (after / before - 1):+.1f}"
