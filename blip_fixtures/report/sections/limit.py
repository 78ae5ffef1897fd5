"""How far the latency is from the least time that the hardware allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.case import cards_of
from blip_fixtures.report.blocks import Paragraph
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def _facts(shown: Sequence[Record], prose: Prose) -> dict[str, str]:
    """Whose rates the limit stands on, and what is divided by it.

    In records before the share they are the rates of the row's kernels, and the ratio is that of the median latency.
    """
    recent = [record.limit is not None and (record.limit.share is not None or _is_across(record)) for record in shown]
    how_far = "limit_rounds" if all(recent) else "limit_rounds_or_median" if any(recent) else "limit_median"
    return {
        "ratio": prose.say(how_far),
        "more": f" {prose.say('limit_of_machine')}" if any(recent) else "",
    }


def _is_across(record: Record) -> bool:
    """Whether its model lies across several cards, on which no share is measured."""
    return len(cards_of(record.case.device)) > 1


def _rates(shown: Sequence[Record], selection: Selection, prose: Prose) -> list[Block]:
    """The measured rates that the limits stand on, once for every device and optimization."""
    said = {}
    for record in shown:
        limit = record.limit
        if limit is not None and limit.flops_per_s is not None and limit.bytes_per_s:
            name = f"{selection.value(record.case, 'device')} {selection.value(record.case, 'optimization')}"
            said[name] = prose.say(
                "limit_rate",
                rows=name,
                flops=prose.number(formats.flops(limit.flops_per_s)),
                read=_range([rate / 1e9 for rate in limit.bytes_per_s.values()], _three_digits, prose),
            )
            if limit.own_flops_per_s and limit.own_bytes_per_s:
                said[name] += prose.say(
                    "limit_rate_own",
                    flops=_range(limit.own_flops_per_s.values(), formats.flops, prose),
                    read=_range([rate / 1e9 for rate in limit.own_bytes_per_s.values()], _three_digits, prose),
                )
    return [Paragraph(prose.say("limit_rates", rates="; ".join(said.values())))] if said else []


def _range(rates: Iterable[float], show: Callable[[float], str], prose: Prose) -> str:
    """The lowest and the highest, once where they look alike."""
    ordered = sorted(rates)
    low, high = prose.number(show(ordered[0])), prose.number(show(ordered[-1]))
    return low if low == high else prose.say("range", low=low, high=high)


def _three_digits(rate: float) -> str:
    return formats.significant(rate, 3)


def _whole_percent(share: float | None) -> str:
    """Two digits where there is less than a tenth of it."""
    return formats.MISSING if share is None else f"{formats.significant(100 * share, 2)} %"


LIMIT = FieldSection(
    field="limit",
    heading="Distance to the limit",
    columns=(
        FieldColumn("limit (ms)", "limit.seconds", formats.milliseconds, "s"),
        FieldColumn("latency / limit", "limit.ratio", lambda ratio: formats.significant(ratio, 3)),
        FieldColumn("kernels' share", "limit.share", _whole_percent, enough=False, optional=True),
        FieldColumn("vision bound by", "limit.bound_by.vision", formats.word),
        FieldColumn("Q-Former bound by", "limit.bound_by.qformer", formats.word),
        FieldColumn("prefill bound by", "limit.bound_by.prefill", formats.word),
        FieldColumn("decode bound by", "limit.bound_by.decode", formats.word),
        FieldColumn("device busy in decoding", "limit.busy_share", _whole_percent, enough=False, optional=True),
    ),
    facts=_facts,
    below=_rates,
).section
