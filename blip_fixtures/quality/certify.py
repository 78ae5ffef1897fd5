"""``python -m blip_fixtures.quality certify MODEL RECORDS...``: published scores beside those of a run."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from tabulate import tabulate

from blip_fixtures import foreign
from blip_fixtures.bounds import argument, name_or_path, path
from blip_fixtures.case import checkpoint_name
from blip_fixtures.quality.certificate import Row, certify
from blip_fixtures.quality.published import published_models
from blip_fixtures.record import RecordError, read_records
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.words import Certified, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Record

WORD = "certify"
EXIT_NOT_REPRODUCED, EXIT_BAD_INPUT = 1, 2
MISSING = "-"
HEADERS = ("dataset", "metric", "case", "published", "ours", "samples", "verdict")


class CertifyError(ValueError):
    """Records that no certificate can be made of; the message says why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0; 1 where a score is not reproduced; 2 with one sentence on stderr when the input is no use."""
    options = _parser().parse_args(arguments)
    try:
        records = [record for file in options.records for record in read_records(file)]
        own = _of_model(options.model, records)
    except (RecordError, CertifyError) as error:
        print(foreign.terminal(f"error: {error}"), file=sys.stderr)
        return EXIT_BAD_INPUT
    rows = certify(own, options.model)
    others = _names(
        [record for record in records if checkpoint_name(record.case.model) != checkpoint_name(options.model)]
    )
    if options.json:
        print(json.dumps(as_plain(options.model, rows, others)))
    else:
        print("\n".join(lines(options.model, rows, others)))
    is_other = any(row.verdict == Certified.NOT_REPRODUCED for row in rows)
    return EXIT_NOT_REPRODUCED if is_other else 0


def _of_model(model: str, records: Sequence[Record]) -> list[Record]:
    """Those of the checkpoint. Raises `CertifyError` where there are none, or none that holds quality."""
    own = [record for record in records if checkpoint_name(record.case.model) == checkpoint_name(model)]
    if not own:
        found = _names(records)
        known = [*published_models(), *found]
        raise CertifyError(
            f"the records are of {', '.join(map(shown, found[:3]))}, not of {shown(model)}; give those of one "
            f"checkpoint{did_you_mean(model, known)}"
        )
    # Of synthetic weights the certificate itself says why there is none.
    if not any(record.quality or record.case.weights == Weights.RANDOM for record in own):
        raise CertifyError(
            "the records hold no quality figures; measure with --blip-measure quality, or give other records"
        )
    return own


def _names(records: Sequence[Record]) -> list[str]:
    """The checkpoints that records name."""
    return list(dict.fromkeys(record.case.model for record in records))


def verdict_text(row: Row) -> str:
    """``not reproduced (-5.2)``: the verdict, and by how much or how many samples would do."""
    words = row.verdict.replace("_", " ")
    if row.judged is None or row.score is None or row.verdict == Certified.REPRODUCED:
        return words
    if row.judged.needed is not None:
        return f"{words} ({row.judged.needed:,} samples would do)"
    return f"{words} ({row.judged.difference * row.score.scale:+.{row.score.decimals}f})"


def ours_text(row: Row) -> str:
    """``68.7 [66.6, 70.7]``: ours as the source would print it, with its interval."""
    if row.value is None or row.score is None:
        return MISSING
    ends = "" if row.interval is None else f" [{', '.join(map(row.score.show, row.interval.ends))}]"
    return f"{row.score.show(row.value)}{ends}"


def published_text(row: Row) -> str:
    """``70.4``."""
    return MISSING if row.score is None else row.score.show(row.score.value)


def lines(model: str, rows: Sequence[Row], others: Sequence[str] = ()) -> list[str]:
    """The certificate for a terminal: what the records name, a table, and below it reasons, notes and sources.

    `others` are checkpoints whose records were left out.
    """
    names = ", ".join(dict.fromkeys(row.record.case.model for row in rows))
    groups = _gathered(rows)
    table = tabulate([_cells(group) for group in groups], HEADERS, tablefmt="github", disable_numparse=True)
    said = [f"Certificate of {model}, from records of {names}", *table.splitlines()]
    for group in groups:
        told = (*group[0].reasons, *group[0].notes)
        said += [f"{_name(group)}: {reason.say()}." for reason in told]
    for score in dict.fromkeys(row.score for row in rows if row.score is not None):
        sources = "; ".join(f"{source.text} ({source.url})" for source in score.sources)
        said.append(f"{score.dataset} {score.metric} {score.show(score.value)} is published in: {sources}.")
    if others:
        said.append(f"Records of other checkpoints are left out: {', '.join(others)}.")
    return [foreign.terminal(line) for line in said]


def _gathered(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows without a verdict that have the same reasons stand together, at the place of the first."""
    groups: dict[Any, list[Row]] = {}
    for number, row in enumerate(rows):
        alike = (row.record.case.dataset, row.score and row.score.metric, tuple(map(str, row.reasons)))
        groups.setdefault(alike if row.verdict == Certified.NO_VERDICT else number, []).append(row)
    return list(groups.values())


def _cells(group: Sequence[Row]) -> tuple[str, ...]:
    first = group[0]
    is_one = len(group) == 1
    metric = MISSING if first.score is None else first.score.metric
    cells = (
        first.record.case.dataset,
        metric,
        first.record.case_id if is_one and first.score is not None else f"{len(group)} cases",
        published_text(first),
        ours_text(first) if is_one else MISSING,
        f"{first.samples:,}" if is_one and first.samples else MISSING,
        verdict_text(first),
    )
    if first.verdict == Certified.NO_PUBLISHED_SCORE:
        cells = (*cells[:2], MISSING, *cells[3:])
    return tuple(map(foreign.terminal, cells))


def _name(group: Sequence[Row]) -> str:
    first = group[0]
    of = first.record.case_id if len(group) == 1 else f"{first.record.case.dataset}, {len(group)} cases"
    return f"{of}, {first.score.metric}" if first.score is not None else of


def as_plain(model: str, rows: Sequence[Row], others: Sequence[str] = ()) -> dict[str, Any]:
    """The certificate as JSON has it. `score` is in the units of its source, all else in those of a record.

    `others` as in `lines`.
    """
    names = list(dict.fromkeys(row.record.case.model for row in rows))
    return {"model": model, "records_of": names, "left_out": list(others), "rows": [_plain_row(row) for row in rows]}


def _plain_row(row: Row) -> dict[str, Any]:
    score, judged, interval = row.score, row.judged, row.interval
    published = None
    if score is not None:
        published = {
            "score": score.score,
            "value": score.value,
            "split": score.split.name,
            "samples": score.split.samples,
            "single": score.is_single,
            "sources": [{"text": source.text, "url": source.url} for source in score.sources],
        }
    return {
        "case": msgspec.to_builtins(row.record.case),
        "metric": None if score is None else score.metric,
        "verdict": row.verdict.value,
        "published": published,
        "ours": row.value,
        "interval": None if interval is None else list(interval.ends),
        "interval_method": None if interval is None else interval.method.value,
        "samples": row.samples,
        "difference": None if judged is None else judged.difference,
        "needed_samples": None if judged is None else judged.needed,
        "reasons": _plain_reasons(row.reasons),
        "notes": _plain_reasons(row.notes),
    }


def _plain_reasons(reasons: Sequence[Reason]) -> list[Any]:
    return [{**msgspec.to_builtins(reason), "text": reason.say()} for reason in reasons]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m blip_fixtures.quality {WORD}",
        description="Holds the published scores of a checkpoint against records. Exit code 0; 1 where a score is not "
        "reproduced; 2 for input that is no use.",
    )
    parser.add_argument(
        "model",
        type=argument(name_or_path),
        metavar="MODEL",
        help="the checkpoint whose published scores are held against the records; records of a folder with a copy fit "
        "where its name ends alike",
    )
    parser.add_argument(
        "records",
        nargs="+",
        type=argument(path),
        metavar="RECORDS",
        help="a records.json or journal.jsonl; of the same case on the same device in several files, the last wins",
    )
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    return parser
