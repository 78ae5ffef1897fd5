"""FLOPs of one batch, counted on the meta device: exact, without weights, and without running anything.

FLOPs are 2 x multiply-accumulates over matrix products, convolutions and attention, as `torch.utils.flop_counter`
counts them. Attention is counted in its eager form, since the counter does not know every fused kernel. Masks change
no count, so none are passed (building one would read values, which meta tensors lack).

``python -m blip_fixtures.flops MODEL --batch-size 1 --image-size 224 --text-tokens 13 --new-tokens 50`` prints it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import RANDOM, TRAINED
from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.resolve import PACKAGED, find_architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.checkpoints.resolve import Checkpoint

EXIT_BAD_INPUT = 2
PHASES = ("vision", "qformer", "prefill", "decode")
# Lengths of a prompt that are counted, in steps of one.
COUNTED_LENGTHS = (1, 2, 3)

COUNTER = "torch.utils.flop_counter on the meta device, eager attention"


@dataclass(frozen=True)
class BatchShape:
    """All that the FLOPs of a batch depend on. Token counts are padded lengths; `steps` are those of the decoder, each
    for `beams` candidates of every sample.
    """

    batch_size: int
    image_size: int
    qformer_tokens: int
    text_tokens: int
    steps: int
    beams: int = 1


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of one batch by phase; the Q-Former's include the projection, the prefill's the first decoder step."""

    vision: float
    qformer: float
    prefill: float
    decode: float

    @property
    def total(self) -> float:
        """All phases together."""
        return self.vision + self.qformer + self.prefill + self.decode


class Polynomial:
    """The polynomial of degree two through whole numbers at `COUNTED_LENGTHS`, in whole numbers (Newton's form)."""

    def __init__(self, values: Sequence[int]) -> None:
        first, second, third = values
        self._first, self._slope, self._bend = first, second - first, third - 2 * second + first

    def __call__(self, length: int) -> int:
        """Its value at a length of at least 1."""
        steps = length - COUNTED_LENGTHS[0]
        return self._first + steps * self._slope + steps * (steps - 1) // 2 * self._bend


def mean_count(counts: Iterable[FlopCount]) -> FlopCount:
    """The mean over batches, phase by phase."""
    rows = list(counts)
    return FlopCount(
        vision=sum(row.vision for row in rows) / len(rows),
        qformer=sum(row.qformer for row in rows) / len(rows),
        prefill=sum(row.prefill for row in rows) / len(rows),
        decode=sum(row.decode for row in rows) / len(rows),
    )


class FlopCounter:
    """Counts for one architecture. Results are kept, since batches of one shape cost the same.

    Over the length of a prompt FLOPs are a polynomial of degree two: matrix products grow linearly with it, attention
    by its square. So three lengths are counted, and every other one follows from them, to the last digit.

    Raises `ValueError` for a configuration that makes no model.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = build_on_meta(checkpoint.config, attention="eager")
        self._vision = lru_cache(maxsize=None)(self._count_vision)
        self._qformer = lru_cache(maxsize=None)(self._qformer_over_tokens)
        self._language = lru_cache(maxsize=None)(self._language_over_tokens)

    def count(self, shape: BatchShape) -> FlopCount:
        """FLOPs of one `generate` call on a batch of `shape`.

        A decoder step's cost grows linearly with its position (only self-attention sees it), so the second and third
        step give the slope and the series is summed.
        """
        prefill, second, slope = (
            over_tokens(shape.text_tokens) for over_tokens in self._language(shape.batch_size, shape.beams)
        )
        later = max(shape.steps - 1, 0)
        return FlopCount(
            vision=self._vision(shape.batch_size, shape.image_size),
            qformer=self._qformer(shape.batch_size, shape.image_size)(shape.qformer_tokens),
            prefill=prefill,
            decode=later * second + slope * later * (later - 1) / 2,
        )

    @cached_property
    def modules(self) -> dict[str, tuple[str, ...]]:
        """By phase, the paths of the modules whose parameters one forward of the phase reads in full.

        Those of ``decode`` are one later step's, which takes the image's keys and values from the cache. Of an
        embedding single rows are read, so none is listed.
        """
        from torch import nn

        seen: list[str] = []
        handles = [
            module.register_forward_pre_hook(lambda _module, _inputs, path=path: seen.append(path))
            for path, module in self._model.named_modules()
            if list(module.parameters(recurse=False)) and not isinstance(module, nn.Embedding)
        ]
        ran: dict[str, tuple[str, ...]] = {}

        def record(phase: str) -> None:
            ran[phase] = tuple(dict.fromkeys(seen))
            seen.clear()

        try:
            size = self._model.config.vision_config.image_size
            self._count_vision(1, size)
            record("vision")
            self._count_qformer(1, size, 1)
            record("qformer")
            self._count_language(1, 1, after_step=lambda step: record("prefill" if step == 0 else "decode"))
        finally:
            for handle in handles:
                handle.remove()
        return ran

    def _qformer_over_tokens(self, batch: int, image_size: int) -> Polynomial:
        return Polynomial([self._count_qformer(batch, image_size, tokens) for tokens in COUNTED_LENGTHS])

    def _language_over_tokens(self, batch: int, beams: int) -> tuple[Polynomial, ...]:
        counts = [self._count_language(batch, tokens, beams) for tokens in COUNTED_LENGTHS]
        return tuple(Polynomial(of_one) for of_one in zip(*counts, strict=True))

    def _count_vision(self, batch: int, image_size: int) -> int:
        import torch

        pixels = torch.empty(batch, 3, image_size, image_size, device="meta")
        interpolate = image_size != self._model.config.vision_config.image_size
        return _count(lambda: self._model.vision_model(pixels, interpolate_pos_encoding=interpolate))

    def _count_qformer(self, batch: int, image_size: int, tokens: int) -> int:
        import torch

        config = self._model.config
        patches = (image_size // config.vision_config.patch_size) ** 2 + 1
        queries = self._model.query_tokens.expand(batch, -1, -1)
        ids = torch.zeros(batch, tokens, dtype=torch.long, device="meta")
        features = torch.empty(batch, patches, config.vision_config.hidden_size, device="meta")

        def run() -> None:
            output = self._model.qformer(input_ids=ids, query_embeds=queries, encoder_hidden_states=features)
            self._model.language_projection(output.last_hidden_state[:, : config.num_query_tokens])

        return _count(run)

    def _count_language(
        self, batch: int, text_tokens: int, beams: int = 1, after_step: Callable[[int], None] = lambda _step: None
    ) -> tuple[int, int, int]:
        """(encoder and first decoder step, second step, growth from one step to the next).

        The encoder reads a prompt once, whatever the number of beams; the decoder works on each beam of its own.
        """
        import torch

        language = self._model.language_model
        positions = self._model.config.num_query_tokens + text_tokens
        embeddings = torch.empty(batch, positions, self._model.config.text_config.hidden_size, device="meta")
        token = torch.zeros(batch * beams, 1, dtype=torch.long, device="meta")
        state: dict[str, Any] = {}

        def encode() -> None:
            encoded = language.get_encoder()(inputs_embeds=embeddings).last_hidden_state
            state["encoder_outputs"] = (encoded.repeat_interleave(beams, dim=0),)

        def step() -> None:
            state["past_key_values"] = language(decoder_input_ids=token, use_cache=True, **state).past_key_values

        encoder = _count(encode)
        counts = []
        for number in range(3):
            counts.append(_count(step))
            after_step(number)
        first, second, third = counts
        return encoder + first, second, third - second


def _count(run: Callable[[], None]) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return int(counter.get_total_flops())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input is no use."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        # A hub id of the catalog needs no network; another one's configuration is fetched.
        weights = RANDOM if options.model in CATALOG and options.revision is None else TRAINED
        checkpoint = find_architecture(options.model, weights, options.revision)
        reason = checkpoint.why_impossible(options.image_size, options.qformer_tokens or options.text_tokens)
        counter = FlopCounter(checkpoint)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    if reason is not None:
        print(f"error: {reason}", file=sys.stderr)
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
        print(_table(options.model, shape, count))
    return 0


def _table(model: str, shape: BatchShape, count: FlopCount) -> str:
    said = (
        f"FLOPs of one batch of {model}: {shape.batch_size} x {shape.image_size} px, {shape.text_tokens} text tokens, "
        f"{shape.steps} new tokens{f', {shape.beams} beams' if shape.beams > 1 else ''}"
    )
    rows = [(phase, getattr(count, phase)) for phase in (*PHASES, "total")]
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
