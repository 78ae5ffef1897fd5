"""FLOPs of one batch, counted on the meta device: exact, without weights, and without running anything.

FLOPs are 2 x multiply-accumulates over matrix products, convolutions and attention, as `torch.utils.flop_counter`
counts them. Attention is counted in its eager form, since the counter does not know every fused kernel. Masks change
no count, so none are passed (building one would read values, which meta tensors lack).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blip_fixtures.checkpoints.resolve import Checkpoint

COUNTER = "torch.utils.flop_counter on the meta device, eager attention"


@dataclass(frozen=True)
class BatchShape:
    """All that the FLOPs of a batch depend on. Token counts are padded lengths; `steps` are generated tokens."""

    batch_size: int
    image_size: int
    qformer_tokens: int
    text_tokens: int
    steps: int


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
    """Counts for one architecture. Results are kept, since batches of one shape cost the same."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, InstructBlipConfig

        config = InstructBlipConfig.from_dict(checkpoint.config)
        with torch.device("meta"):
            self._model = AutoModelForImageTextToText.from_config(
                config, dtype=torch.float32, attn_implementation="eager"
            ).eval()
        self._vision = lru_cache(maxsize=None)(self._count_vision)
        self._qformer = lru_cache(maxsize=None)(self._count_qformer)
        self._language = lru_cache(maxsize=None)(self._count_language)

    def count(self, shape: BatchShape) -> FlopCount:
        """FLOPs of one `generate` call on a batch of `shape`.

        A decoder step's cost grows linearly with its position (only self-attention sees it), so the second and third
        step give the slope and the series is summed.
        """
        prefill, second, slope = self._language(shape.batch_size, shape.text_tokens)
        later = max(shape.steps - 1, 0)
        return FlopCount(
            vision=self._vision(shape.batch_size, shape.image_size),
            qformer=self._qformer(shape.batch_size, shape.image_size, shape.qformer_tokens),
            prefill=prefill,
            decode=later * second + slope * later * (later - 1) / 2,
        )

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

    def _count_language(self, batch: int, text_tokens: int) -> tuple[int, int, int]:
        """(encoder and first decoder step, second step, growth from one step to the next)."""
        import torch

        language = self._model.language_model
        positions = self._model.config.num_query_tokens + text_tokens
        embeddings = torch.empty(batch, positions, self._model.config.text_config.hidden_size, device="meta")
        token = torch.zeros(batch, 1, dtype=torch.long, device="meta")
        state: dict[str, Any] = {}

        def step(**inputs: Any) -> int:
            def run() -> None:
                output = language(decoder_input_ids=token, use_cache=True, **inputs)
                state.update(
                    past_key_values=output.past_key_values, encoder_outputs=(output.encoder_last_hidden_state,)
                )

            return _count(run)

        prefill = step(inputs_embeds=embeddings)
        second, third = (step(**state) for _ in range(2))
        return prefill, second, third - second


def _count(run: Any) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return int(counter.get_total_flops())
