"""FLOPs of one batch by phase, counted without weights and without running anything.

``python -m blip_fixtures.flops MODEL --batch-size 1 --image-size 224 --text-tokens 13 --new-tokens 50`` prints them;
``catalog`` in place of MODEL stands for a line for each checkpoint of the catalog.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from blip_fixtures import foreign
from blip_fixtures.bounds import (
    MOST_BEAMS,
    MOST_NEW_TOKENS,
    MOST_OF_AXIS,
    argument,
    name_or_path,
    shortened,
    whole_number,
)
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.resolve import PACKAGED, find_architecture
from blip_fixtures.engine.flops import COUNTER, BatchShape, FlopCounter
from blip_fixtures.privacy import without_credentials
from blip_fixtures.words import FamilyKind, Phase, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.engine.flops import FlopCount
    from blip_fixtures.families import Family

EXIT_BAD_INPUT = 2
# In place of one model: all of the catalog.
_EVERY = "catalog"
_MOST = {
    "batch_size": MOST_OF_AXIS["batch_size"],
    "image_size": MOST_OF_AXIS["image_size"],
    "text_tokens": MOST_OF_AXIS["sequence_length"],
    "qformer_tokens": MOST_OF_AXIS["sequence_length"],
    "new_tokens": MOST_NEW_TOKENS,
    "beams": MOST_BEAMS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input is no use."""
    foreign.speak_any_encoding()
    options = _parser().parse_args(arguments)
    names = list(CATALOG) if options.model == _EVERY else [options.model]
    try:
        sizes = {name: _counted(name, getattr(options, name), most) for name, most in _MOST.items()}
        counted = [(name, *_count(name, options.revision, sizes)) for name in names]
    except ValueError as error:
        print(foreign.terminal(f"error: {without_credentials(str(error))}"), file=sys.stderr)
        return EXIT_BAD_INPUT
    if options.json:
        found = [_plain(*one) for one in counted]
        print(json.dumps(found if options.model == _EVERY else found[0], indent=1))
    elif options.model == _EVERY:
        print(_overview(counted))
    else:
        print(_table(foreign.terminal(options.model), *counted[0][1:]))
    return 0


def _count(name: str, revision: str | None, sizes: Mapping[str, int]) -> tuple[BatchShape, FlopCount]:
    """Raises `ValueError` for a name that leads to no checkpoint, and for sizes that it cannot have."""
    # A hub id of the catalog needs no network; another one's configuration is fetched.
    in_catalog = name in CATALOG and revision is None
    checkpoint = find_architecture(name, Weights.RANDOM if in_catalog else Weights.TRAINED, revision)
    shape = _shape(sizes, checkpoint)
    reason = checkpoint.why_impossible(shape.image_size, _longest(checkpoint.family, shape), shape.steps)
    if reason is not None:
        raise ValueError(reason)
    return shape, FlopCounter(checkpoint).count(shape)


def _plain(name: str, shape: BatchShape, count: FlopCount) -> dict[str, Any]:
    """As JSON has it; nothing is ranked here."""
    said = {field: value for field, value in asdict(shape).items() if not field.startswith("option")}
    return {"model": name, "shape": said, "total": count.total, **asdict(count), "counter": COUNTER}


def _overview(counted: Sequence[tuple[str, BatchShape, FlopCount]]) -> str:
    """One line for each checkpoint."""
    shape = counted[0][1]
    said = f"GFLOPs of one batch of {shape.batch_size}: {shape.text_tokens} text tokens, {shape.steps} new tokens"
    said += f", {shape.beams} beams" if shape.beams > 1 else ""
    widest = max(len(name) for name, _, _ in counted)
    head = f"{'':<{widest}} {'pixels':>6}" + "".join(f"{phase:>10}" for phase in (*Phase, "total"))
    lines = [
        f"{name:<{widest}} {shape.image_size:>6}"
        + "".join(f"{getattr(count, phase) / 1e9:>10,.1f}" for phase in (*Phase, "total"))
        for name, shape, count in counted
    ]
    return "\n".join([said, head, *lines, f"counted by {COUNTER}"])


def _table(model: str, shape: BatchShape, count: FlopCount) -> str:
    said = (
        f"FLOPs of one batch of {model}: {shape.batch_size} x {shape.image_size} px, {shape.text_tokens} text tokens, "
        f"{shape.steps} new tokens{f', {shape.beams} beams' if shape.beams > 1 else ''}"
    )
    rows = [(phase, getattr(count, phase)) for phase in (*Phase, "total")]
    lines = [f"{phase:<8} {value / 1e9:>12,.1f} G {value / count.total:>7.1%}" for phase, value in rows]
    return "\n".join([said, *lines, f"counted by {COUNTER}"])


def _shape(found: Mapping[str, int], checkpoint: Checkpoint) -> BatchShape:
    """Of sizes that were given, 0 for the others: images are then of the size that the checkpoint was made for.

    A Q-Former that reads no text has no tokens.
    """
    reads_text = any("qformer" in name for name in checkpoint.family.input_names)
    tokens = found["qformer_tokens"] or found["text_tokens"]
    return BatchShape(
        batch_size=found["batch_size"],
        image_size=found["image_size"] or checkpoint.image_size,
        qformer_tokens=tokens if reads_text else 0,
        text_tokens=found["text_tokens"],
        steps=found["new_tokens"],
        beams=found["beams"],
    )


def _longest(family: Family, shape: BatchShape) -> int:
    """The tokens that positions limit: an encoder's have no end, a decoder's and those of a Q-Former have."""
    return max(shape.qformer_tokens, shape.text_tokens if FamilyKind.DECODER_ONLY in family.kinds else 0)


def _counted(name: str, text: str | None, most: int) -> int:
    if text is None:
        return 0
    try:
        return whole_number(text, 1, most)
    except ValueError as error:
        raise ValueError(f"--{name.replace('_', '-')} is {ascii(shortened(text))[1:-1]}; {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blip_fixtures.flops",
        description="Counts the FLOPs of one batch by phase, without weights and without running anything.",
    )
    parser.add_argument(
        "model",
        type=argument(name_or_path),
        metavar="MODEL",
        help=f"{', '.join(CATALOG)}, {PACKAGED}, a folder, or a hub id; {_EVERY} for a line for each of the catalog",
    )
    parser.add_argument("--batch-size", default="1", metavar="N", help="samples (default: %(default)s)")
    parser.add_argument("--image-size", metavar="N", help="pixels a side (default: the checkpoint's own)")
    parser.add_argument(
        "--text-tokens", default="13", metavar="N", help="text tokens of the prompt (default: %(default)s)"
    )
    parser.add_argument("--qformer-tokens", metavar="N", help="text tokens in the Q-Former (default: as --text-tokens)")
    parser.add_argument("--new-tokens", default="50", metavar="N", help="generated (default: %(default)s)")
    parser.add_argument("--beams", default="1", metavar="N", help="of beam search (default: %(default)s)")
    parser.add_argument(
        "--revision",
        type=argument(name_or_path),
        metavar="REV",
        help="branch, tag or commit of a hub id outside the catalog",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
