"""From samples to answers: processor inputs, `generate`, text."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blip_fixtures.data.prompts import PromptSet
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.options import NewTokens

# Few hundred pictures: enough for the packaged samples, and far below what a large data set would take.
DEFAULT_BATCH_BUDGET_BYTES = 256 * 2**20


class InputError(RuntimeError):
    """Processor inputs that the model would silently misread."""


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch without its tensors, so that the facts of a whole data set fit into memory.

    `text_tokens` counts each sample's text tokens for the language model, without query tokens and padding;
    `qformer_tokens` those of every row in the Q-Former, after padding; `truncated` says whose prompt was cut.
    """

    samples: range
    text_tokens: tuple[int, ...]
    qformer_tokens: int
    truncated: tuple[bool, ...]

    @property
    def padded_text_tokens(self) -> int:
        """Text tokens of every row after padding to the longest."""
        return max(self.text_tokens)


@dataclass(frozen=True)
class Batch:
    """One full batch, prepared on the host.

    `inputs` maps names of `generate`'s arguments to tensors: ``pixel_values`` (batch, 3, size, size) in fp32, and
    token ids and masks (batch, tokens).
    """

    inputs: dict[str, Any]
    facts: BatchFacts

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.inputs.values())


class BatchMaker:
    """Prepares full batches, each once: cases that differ in device or optimization alone share them.

    The batches used last are kept, up to a budget of bytes, so that memory does not grow with the data set.
    """

    def __init__(
        self, processor: Any, image_token_id: int, prompts: PromptSet, budget_bytes: int = DEFAULT_BATCH_BUDGET_BYTES
    ) -> None:
        self._processor = processor
        self._image_token_id = image_token_id
        self._prompts = prompts
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[tuple[str, int, int, int, int], Batch] = OrderedDict()
        self._kept_bytes = 0

    def batch(self, samples: SampleSet, index: int, batch_size: int, image_size: int, text_limit: int) -> Batch:
        """Batch number `index`: images at `image_size` pixels a side, prompts of at most `text_limit` tokens."""
        key = (samples.dataset, index, batch_size, image_size, text_limit)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        batch = self._kept[key] = self._prepare(samples, index, batch_size, image_size, text_limit)
        self._kept_bytes += batch.nbytes
        while self._kept_bytes > self._budget_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return batch

    def _prepare(self, samples: SampleSet, index: int, batch_size: int, image_size: int, text_limit: int) -> Batch:
        numbers = range(index * batch_size, (index + 1) * batch_size)
        rows = [samples[number] for number in numbers]
        prompt = self._prompts.of(samples.dataset)
        prompts = [prompt.render(row) for row in rows]
        inputs = self._tokenize(prompts, text_limit)
        size = {"height": image_size, "width": image_size}
        images = [row.image for row in rows]
        inputs.update(self._processor.image_processor(images, size=size, return_tensors="pt"))
        query_tokens = self._processor.num_query_tokens
        image_tokens = int((inputs["input_ids"] == self._image_token_id).sum())
        if image_tokens != batch_size * query_tokens:
            raise InputError(
                f"the prompts hold {image_tokens} image tokens where {batch_size} x {query_tokens} are needed, so "
                "generate would ignore the image; use the processor that belongs to the checkpoint"
            )
        lengths = self._processor.tokenizer(prompts).input_ids
        facts = BatchFacts(
            samples=numbers,
            text_tokens=tuple((inputs["attention_mask"].sum(dim=1) - query_tokens).tolist()),
            qformer_tokens=int(inputs["qformer_input_ids"].shape[1]),
            truncated=tuple(len(ids) > text_limit for ids in lengths),
        )
        return Batch(inputs, facts)

    def _tokenize(self, prompts: list[str], text_limit: int) -> dict[str, Any]:
        """Token ids and masks under one limit for the Q-Former and the language model.

        The processor itself takes the query tokens off the language model's `max_length` alone, so its two tokenizers
        are called here, and the image tokens are put first as it does.
        """
        import torch

        settings = {"padding": "longest", "truncation": True, "max_length": text_limit, "return_tensors": "pt"}
        qformer = self._processor.qformer_tokenizer(prompts, **settings)
        language = self._processor.tokenizer(prompts, **settings)
        image_ids = torch.full(
            (len(prompts), self._processor.num_query_tokens), self._image_token_id, dtype=language.input_ids.dtype
        )
        return {
            "qformer_input_ids": qformer.input_ids,
            "qformer_attention_mask": qformer.attention_mask,
            "input_ids": torch.cat([image_ids, language.input_ids], dim=1),
            "attention_mask": torch.cat([torch.ones_like(image_ids), language.attention_mask], dim=1),
        }


def to_device(batch: Batch, device: str, dtype: Any) -> dict[str, Any]:
    """The batch's inputs on `device`, pixels in `dtype`; the copy is queued, so synchronize before timing."""
    return {
        name: tensor.to(device, dtype=dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in batch.inputs.items()
    }


def generate(
    model: Any, inputs: dict[str, Any], new_tokens: NewTokens, *, num_beams: int = 1, length_penalty: float = 1.0
) -> Any:
    """Answers as token ids (batch, 1 + tokens), the decoder's start token first; greedy unless `num_beams` is above 1.

    Positions are interpolated only where the pictures are not of the size that the checkpoint was made for.
    """
    native_size = model.config.vision_config.image_size
    beams = {"length_penalty": length_penalty} if num_beams > 1 else {}
    return model.generate(
        **inputs,
        interpolate_pos_encoding=inputs["pixel_values"].shape[-1] != native_size,
        max_new_tokens=new_tokens.limit,
        min_new_tokens=new_tokens.limit if new_tokens.fixed else None,
        do_sample=False,
        num_beams=num_beams,
        **beams,
    )


@dataclass(frozen=True)
class Answers:
    """The texts of one batch, the tokens that each sample generated (end token counted), and the decoder's steps.

    With beams the steps may be more than the longest answer: what is longer may have lost.
    """

    texts: tuple[str, ...]
    new_tokens: tuple[int, ...]
    steps: int


def decode(processor: Any, model: Any, token_ids: Any, steps: int | None = None) -> Answers:
    """Text and token counts of what `generate` returned; without `steps` the decoder took one for each token."""
    generated = token_ids[:, 1:]
    end_id = model.generation_config.eos_token_id
    counts = []
    for row in generated.tolist():
        counts.append(row.index(end_id) + 1 if end_id in row else len(row))
    texts = processor.tokenizer.batch_decode(generated, skip_special_tokens=True)
    return Answers(tuple(text.strip() for text in texts), tuple(counts), steps=steps or int(generated.shape[1]))
