"""Records to all that the page shows, as plain JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures import foreign
from blip_fixtures.report.blocks import Heading
from blip_fixtures.report.course import Course, course_blocks
from blip_fixtures.report.head import head
from blip_fixtures.report.labels import dataset_rank, device_rank
from blip_fixtures.report.page.charts import PARETO_AXES, charts
from blip_fixtures.report.page.glance import glance
from blip_fixtures.report.page.history import History, StoredRun, history_of, in_order
from blip_fixtures.report.page.pareto import Candidate, dominators
from blip_fixtures.report.page.points import TimeUnit, points_of
from blip_fixtures.report.page.sharing import share_alike
from blip_fixtures.report.selection import case_key, select
from blip_fixtures.report.sweeps import sweeps_of
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.page.points import Plain, Shown
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection

    Point = tuple[Record, dict[str, Shown], Plain]

# The strings of the page: those of the prose that begin so.
PREFIX = "page_"
MOST_UNREAD = 3


@dataclass(frozen=True)
class Content:
    """What the template writes, and what the script reads (`data`).

    `notices` are what a reader must know before anything else, `run` says what was run, `about` what the checkpoint is.
    """

    title: str
    notices: tuple[Block, ...]
    run: Block
    about: tuple[Block, ...]
    glance: tuple[Plain, ...]
    data: Plain


def content(
    records: Sequence[Record], prose: Prose, *, courses: Sequence[Course] = (), history: History | None = None
) -> Content:
    """Of records of one checkpoint. `history` are the machine's stored runs, and `None` where nobody looked for any."""
    selection = select(records, foreign.plain)
    unit = TimeUnit.of(selection.records)
    points = points_of(selection, unit, prose)
    _mark_beaten(points)
    shown = {case_key(record): figures for record, figures, _ in points}
    data: Plain = {
        "lang": prose.lang,
        "unit": unit.name,
        "strings": {name: text for name, text in prose.entries.items() if name.startswith(PREFIX)},
        "charts": charts(unit, prose),
        "views": _views(selection, points, prose),
        "filters": _filters(points),
        "points": [plain for _, _, plain in points],
        **share_alike([plain for _, _, plain in points]),
        "left_out": [],
        "history": _history(records, history, points, unit, prose),
    }
    title, *about, run = head(selection.records, prose)
    assert isinstance(title, Heading)
    is_synthetic = selection.records[0].case.weights == Weights.RANDOM
    notices = [*(about[:1] if is_synthetic else []), *course_blocks(courses, prose)]
    return Content(
        title=title.text,
        notices=tuple(notices),
        run=run,
        about=tuple(about[1:] if is_synthetic else about),
        glance=tuple(glance(selection, shown, prose)),
        data=data,
    )


def _mark_beaten(points: Sequence[Point]) -> None:
    """Write into each point by which others it is dominated on each chart."""
    for chart, (x, y) in PARETO_AXES.items():
        beaten: dict[str, tuple[str, ...]] = {}
        for is_higher in (True, False):
            candidates = [
                Candidate(plain["id"], _same_work(record, plain, y), figures[x].span, figures[y].span)  # type: ignore[arg-type]
                for record, figures, plain in points
                if figures[x].span is not None and figures[y].span is not None and _is_higher(plain, y) == is_higher
            ]
            beaten |= dominators(candidates, lower_y=not is_higher)
        for _, _, plain in points:
            plain.setdefault("beaten", {})[chart] = list(beaten.get(plain["id"], ()))


def _is_higher(plain: Plain, y: str) -> bool:
    """Whether more is better on the y axis."""
    return y == "quality" and bool(plain["higher"])


def _same_work(record: Record, plain: Plain, y: str) -> tuple[Any, ...]:
    """Cases are rivals where they answer the same questions in batches of one size; quality pays for finer images."""
    case = record.case
    samples = record.data.samples if record.data is not None else None
    same = (case.dataset, case.batch_size, case.prompts, samples)
    return (*same, plain["metric"]) if y == "quality" else (*same, case.image_size, case.sequence_length)


def _views(selection: Selection, points: Sequence[Point], prose: Prose) -> list[list[str]]:
    """(name, title) of each sweep that has cases, the one over optimizations first, and of all cases together."""
    named = [name for _, _, plain in points for name in plain["sweeps"]]
    found = []
    for sweep in sweeps_of(selection.records):
        title = prose.entries.get(f"page_axis_of_{sweep.name}", sweep.title)
        found += [(sweep.name, str(title))] if sweep.name in named else []
    ordered = sorted(found, key=lambda view: (named.count(view[0]) < 2, view[0] != "optimization"))
    return [*map(list, ordered), ["all", prose.say("page_view_all")]]


def _filters(points: Sequence[Point]) -> list[Plain]:
    """The values of each axis that a reader may choose from, in the document's order."""
    ranks: dict[str, Any] = {
        "dataset": lambda case: dataset_rank(case.dataset),
        "device": lambda case: device_rank(case.device),
        "optimization": lambda _case: 0,
        "batch_size": lambda case: case.batch_size,
    }
    found = []
    for axis, rank in ranks.items():
        ordered = sorted(points, key=lambda point: rank(point[0].case))
        values = list(dict.fromkeys(plain["axes"][axis] for _, _, plain in ordered))
        found.append({"axis": axis, "values": values})
    return found


def _history(
    records: Sequence[Record],
    history: History | None,
    points: Sequence[Point],
    unit: TimeUnit,
    prose: Prose,
) -> Plain:
    if history is None:
        return {"runs": [], "series": {}, "pairs": [], "sentence": prose.say("page_history_unknown"), "unread": []}
    now = StoredRun(prose.say("page_history_now"), tuple(records))
    runs = in_order(history.runs, now)
    ids = {case_key(record): plain["id"] for record, _, plain in points}
    found = history_of(runs, ids, unit, prose)
    if len(runs) == 1:
        return {**found, "pairs": [], "sentence": prose.say("page_history_none"), "unread": _plain(history.unread)}
    from blip_fixtures.report.page.verdicts import pairs_of

    return {**found, "pairs": pairs_of(runs, list(ids.values()), prose), "unread": _plain(history.unread)}


def _plain(texts: Sequence[str]) -> list[str]:
    """The first few; a storage may hold any number of such files."""
    return list(map(foreign.plain, texts[:MOST_UNREAD]))
