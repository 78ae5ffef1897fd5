"""The sweeps that the document knows, in its order: the five, then those of `register_sweep`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures.record import CaseFields
from blip_fixtures.report.columns import Column
from blip_fixtures.report.sweeps.batch_size import BATCH_SIZE
from blip_fixtures.report.sweeps.device import DEVICE
from blip_fixtures.report.sweeps.image_size import IMAGE_SIZE
from blip_fixtures.report.sweeps.optimization import OPTIMIZATION
from blip_fixtures.report.sweeps.sequence_length import SEQUENCE_LENGTH
from blip_fixtures.report.sweeps.sweep import Plot, PlotKind, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.record import Record

__all__ = [
    "SWEEPS",
    "Plot",
    "PlotKind",
    "Sweep",
    "axis_caption",
    "axis_header",
    "axis_in_row",
    "axis_phrase",
    "find_sweep",
    "register_sweep",
    "sweeps_of",
]

SWEEPS: dict[str, Sweep] = {
    sweep.name: sweep for sweep in (DEVICE, BATCH_SIZE, IMAGE_SIZE, SEQUENCE_LENGTH, OPTIMIZATION)
}
# Axes that no sweep of the suite varies.
_OTHER_HEADERS = {"dataset": "Dataset", "prompts": "Prompts"}


def register_sweep(sweep: Sweep) -> Callable[[], None]:
    """Give a sweep of one's own a title, columns, held lines and a plot, from a `conftest.py` for example.

    Its tables stand behind those of the five. What comes back undoes it. Raises `ValueError` for a name or a plot's
    file that another sweep has, for an axis that is no field of a case, and for a column that is none.
    """
    if sweep.name in SWEEPS:
        raise ValueError(f"the sweep {sweep.name!r} is known already; give yours another name")
    unknown = {sweep.axis, *sweep.shared, *(axis for _, axis in sweep.held)} - {"", *CaseFields.__struct_fields__}
    if unknown:
        raise ValueError(
            f"the sweep {sweep.name!r} names {', '.join(sorted(unknown))}; a case has "
            f"{', '.join(CaseFields.__struct_fields__)}"
        )
    strange = [column for column in sweep.columns if not isinstance(column, Column)]
    if strange:
        raise ValueError(
            f"the sweep {sweep.name!r} has the column {strange[0]!r}; give those of blip_fixtures.report.columns, such "
            "as LATENCY"
        )
    files = {other.plot.file: other.name for other in SWEEPS.values() if other.plot is not None}
    if sweep.plot is not None and sweep.plot.file in files:
        raise ValueError(
            f"the plot {sweep.plot.file!r} is that of the sweep {files[sweep.plot.file]!r}; give yours another file"
        )
    SWEEPS[sweep.name] = sweep
    return partial(_forget, sweep.name)


def _forget(name: str) -> None:
    SWEEPS.pop(name, None)


def find_sweep(name: str) -> Sweep:
    """The sweep of that name. One that nobody registered has a title made of its name, and every axis as a column."""
    return SWEEPS.get(name) or Sweep(name, f"{name.replace('_', ' ').strip().title()} Tests")


def sweeps_of(records: Iterable[Record]) -> list[Sweep]:
    """The known sweeps, then the others in the order in which the records first name them."""
    names = dict.fromkeys([*SWEEPS, *(name for record in records for name in record.sweeps)])
    return [find_sweep(name) for name in names]


def axis_header(axis: str) -> str:
    """What stands above the values of an axis."""
    sweep = _sweep_over(axis)
    return _OTHER_HEADERS[axis] if sweep is None else sweep.header


def axis_phrase(axis: str, value: str) -> str:
    """A value of an axis in a phrase: ``batch 4``."""
    sweep = _sweep_over(axis)
    return value if sweep is None else sweep.unit.format(value)


def axis_caption(axis: str, value: str) -> str:
    """A value of an axis in the caption of a plot: ``limit 200 tokens``."""
    sweep = _sweep_over(axis)
    return value if sweep is None else sweep.caption_unit.format(value)


def axis_in_row(axis: str, value: str) -> str:
    """A value of an axis as part of a row's name: ``batch_size 4``."""
    sweep = _sweep_over(axis)
    return value if sweep is None or not sweep.row_name else f"{sweep.row_name} {value}"


def _sweep_over(axis: str) -> Sweep | None:
    """The sweep that bears the axis's name and varies it."""
    sweep = SWEEPS.get(axis)
    return sweep if sweep is not None and sweep.axis == axis else None
