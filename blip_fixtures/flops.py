"""FLOPs of one batch by phase, counted without weights and without running anything.

``python -m blip_fixtures.flops MODEL --batch-size 1 --image-size 224 --text-tokens 13 --new-tokens 50`` prints them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.resolve import PACKAGED, find_architecture
from blip_fixtures.engine.flops import COUNTER, BatchShape, FlopCounter
from blip_fixtures.words import Phase, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.engine.flops import FlopCount

EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input is no use."""
    foreign.speak_any_encoding()
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        # A hub id of the catalog needs no network; another one's configuration is fetched.
        in_catalog = options.model in CATALOG and options.revision is None
        weights = Weights.RANDOM if in_catalog else Weights.TRAINED
        checkpoint = find_architecture(options.model, weights, options.revision)
        reason = checkpoint.why_impossible(options.image_size, options.qformer_tokens or options.text_tokens)
        counter = FlopCounter(checkpoint)
    except ValueError as error:
        print(foreign.terminal(f"error: {error}"), file=sys.stderr)
        return EXIT_BAD_INPUT
    if reason is not None:
        print(foreign.terminal(f"error: {reason}"), file=sys.stderr)
        return EXIT_BAD_INPUT
    shape = BatchShape(
        batch_size=options.batch_size,
        image_size=options.image_size,
        qformer_tokens=options.qformer_tokens or options.text_tokens,
        text_tokens=options.text_tokens,
        steps=options.new_tokens,
        beams=options.beams,
    )
    count = counter.count(shape)
    if options.json:
        found = {"model": options.model, "shape": asdict(shape), "total": count.total, **asdict(count)}
        print(json.dumps({**found, "counter": COUNTER}, indent=1))
    else:
        print(_table(foreign.terminal(options.model), shape, count))
    return 0


def _table(model: str, shape: BatchShape, count: FlopCount) -> str:
    said = (
        f"FLOPs of one batch of {model}: {shape.batch_size} x {shape.image_size} px, {shape.text_tokens} text tokens, "
        f"{shape.steps} new tokens{f', {shape.beams} beams' if shape.beams > 1 else ''}"
    )
    rows = [(phase, getattr(count, phase)) for phase in (*Phase, "total")]
    lines = [f"{phase:<8} {value / 1e9:>12,.1f} G {value / count.total:>7.1%}" for phase, value in rows]
    return "\n".join([said, *lines, f"counted by {COUNTER}"])


def _check(options: argparse.Namespace) -> None:
    for name in ("batch_size", "image_size", "text_tokens", "new_tokens", "beams", "qformer_tokens"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {value}; give a whole number of at least 1")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blip_fixtures.flops",
        description="Counts the FLOPs of one batch by phase, without weights and without running anything.",
    )
    parser.add_argument("model", metavar="MODEL", help=f"{', '.join(CATALOG)}, {PACKAGED}, a folder, or a hub id")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="samples (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=224, metavar="N", help="pixels a side (default: %(default)s)")
    parser.add_argument(
        "--text-tokens", type=int, default=13, metavar="N", help="text tokens of the prompt (default: %(default)s)"
    )
    parser.add_argument(
        "--qformer-tokens", type=int, metavar="N", help="text tokens in the Q-Former (default: as --text-tokens)"
    )
    parser.add_argument("--new-tokens", type=int, default=50, metavar="N", help="generated (default: %(default)s)")
    parser.add_argument("--beams", type=int, default=1, metavar="N", help="of beam search (default: %(default)s)")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id outside the catalog")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
