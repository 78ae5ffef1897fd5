"""What the plots of one document share: its records, its language, and which axes are logarithmic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from blip_fixtures.report.plots.quantities import shown_of
from blip_fixtures.report.plots.series import series_of
from blip_fixtures.report.sweeps import SWEEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.report.plots.quantities import Quantity
    from blip_fixtures.report.plots.series import Series
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection

# Above this ratio between two series, a linear axis flattens the small one onto zero.
LOG_RATIO = 10.0


@dataclass(frozen=True)
class Page:
    """Records whose texts are fit for plots, and the language of what stands in them."""

    selection: Selection
    prose: Prose

    @cached_property
    def logarithmic(self) -> frozenset[Quantity]:
        """The quantities whose series lie far apart in a plot: their axes are logarithmic in all plots, or in none."""
        found = set()
        for sweep in SWEEPS.values():
            groups = self.selection.groups(sweep)
            if sweep.plot is None or not groups:
                continue
            records = [record for group in groups for record in group.records]
            for quantity in shown_of(sweep.plot.kind, records, self.prose).quantities:
                if quantity.may_be_log and are_far_apart(series_of(groups, quantity, self.selection, self.prose)):
                    found.add(quantity)
        return frozenset(found)


def are_far_apart(all_series: Sequence[Series]) -> bool:
    """Whether the greatest value of one series is many times that of another, and no value is zero."""
    known = [[point.y for point in series.points if point.y is not None] for series in all_series]
    tops = [max(values) for values in known if values]
    return bool(tops) and min(min(values) for values in known if values) > 0 and max(tops) / min(tops) > LOG_RATIO
