"""From samples to answers: processor inputs, `generate`, text."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.prompts import render_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.options import NewTokens

_PIXEL_CACHE_BYTES = 1 << 30


class InputError(RuntimeError):
    """Processor inputs that the model would silently misread."""


@dataclass(frozen=True)
class Batch:
    """One full batch, prepared on the host.

    `inputs` maps names of `generate`'s arguments to tensors: ``pixel_values`` (batch, 3, size, size) in fp32, and
    token ids and masks (batch, tokens). `text_tokens` counts each sample's text tokens for the language model, without
    query tokens and padding; `truncated` says whose prompt was cut.
    """

    inputs: dict[str, Any]
    samples: range
    text_tokens: tuple[int, ...]
    truncated: tuple[bool, ...]

    @property
    def padded_text_tokens(self) -> int:
        """Text tokens of every row after padding to the longest."""
        return max(self.text_tokens)

    @property
    def qformer_tokens(self) -> int:
        """Text tokens of every row in the Q-Former, after padding to the longest."""
        return int(self.inputs["qformer_input_ids"].shape[1])


class BatchMaker:
    """Prepares the full batches of one data set; pixels are decoded once for each (dataset, image size, sample)."""

    def __init__(self, processor: Any, image_token_id: int, preset: str) -> None:
        self._processor = processor
        self._image_token_id = image_token_id
        self._preset = preset
        self._pixels: OrderedDict[tuple[str, int, int], Any] = OrderedDict()
        self._pixel_bytes = 0

    def prepare(self, samples: SampleSet, index: int, batch_size: int, image_size: int, text_limit: int) -> Batch:
        """Batch number `index`: images at `image_size` pixels a side, prompts of at most `text_limit` tokens."""
        import torch

        numbers = range(index * batch_size, (index + 1) * batch_size)
        rows = [samples[number] for number in numbers]
        prompts = [render_prompt(row, samples.dataset, self._preset) for row in rows]
        inputs = self._tokenize(prompts, text_limit)
        inputs["pixel_values"] = torch.stack(
            [
                self._pixel_values((samples.dataset, image_size, number), row.open_image)
                for number, row in zip(numbers, rows, strict=True)
            ]
        )
        query_tokens = self._processor.num_query_tokens
        image_tokens = int((inputs["input_ids"] == self._image_token_id).sum())
        if image_tokens != batch_size * query_tokens:
            raise InputError(
                f"the prompts hold {image_tokens} image tokens where {batch_size} x {query_tokens} are needed, so "
                "generate would ignore the image; use the processor that belongs to the checkpoint"
            )
        lengths = self._processor.tokenizer(prompts).input_ids
        return Batch(
            inputs=inputs,
            samples=numbers,
            text_tokens=tuple((inputs["attention_mask"].sum(dim=1) - query_tokens).tolist()),
            truncated=tuple(len(ids) > text_limit for ids in lengths),
        )

    def _tokenize(self, prompts: list[str], text_limit: int) -> dict[str, Any]:
        """Token ids and masks under one limit for both tokenizers.

        The processor takes the query tokens off the language model's `max_length` alone, hence the two calls.
        """
        query_tokens = self._processor.num_query_tokens
        settings = {"padding": "longest", "truncation": True, "return_tensors": "pt"}
        for_qformer = self._processor(text=prompts, max_length=text_limit, **settings)
        language = self._processor.tokenizer(prompts, max_length=text_limit, **settings)
        import torch

        rows = len(prompts)
        image_ids = torch.full((rows, query_tokens), self._image_token_id, dtype=language.input_ids.dtype)
        return {
            "qformer_input_ids": for_qformer["qformer_input_ids"],
            "qformer_attention_mask": for_qformer["qformer_attention_mask"],
            "input_ids": torch.cat([image_ids, language.input_ids], dim=1),
            "attention_mask": torch.cat([torch.ones_like(image_ids), language.attention_mask], dim=1),
        }

    def _pixel_values(self, key: tuple[str, int, int], open_image: Callable[[], Any]) -> Any:
        """(3, size, size) in fp32, from the cache while it holds less than its budget."""
        if key in self._pixels:
            self._pixels.move_to_end(key)
            return self._pixels[key]
        size = {"height": key[1], "width": key[1]}
        pixels = self._processor.image_processor(open_image(), size=size, return_tensors="pt")["pixel_values"][0]
        self._pixels[key] = pixels
        self._pixel_bytes += pixels.nbytes
        while self._pixel_bytes > _PIXEL_CACHE_BYTES:
            self._pixel_bytes -= self._pixels.popitem(last=False)[1].nbytes
        return pixels


def to_device(batch: Batch, device: str, dtype: Any) -> dict[str, Any]:
    """The batch's inputs on `device`, pixels in `dtype`; the copy is queued, so synchronize before timing."""
    return {
        name: tensor.to(device, dtype=dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in batch.inputs.items()
    }


def generate(model: Any, inputs: dict[str, Any], new_tokens: NewTokens) -> Any:
    """Greedy answers as token ids (batch, 1 + steps), the decoder's start token first.

    Positions are interpolated only where the pictures are not of the size that the checkpoint was made for.
    """
    native_size = model.config.vision_config.image_size
    return model.generate(
        **inputs,
        interpolate_pos_encoding=inputs["pixel_values"].shape[-1] != native_size,
        max_new_tokens=new_tokens.limit,
        min_new_tokens=new_tokens.limit if new_tokens.fixed else None,
        do_sample=False,
        num_beams=1,
    )


@dataclass(frozen=True)
class Answers:
    """The texts of one batch, the tokens that each sample generated (end token counted), and the decoder's steps."""

    texts: tuple[str, ...]
    new_tokens: tuple[int, ...]
    steps: int


def decode(processor: Any, model: Any, token_ids: Any) -> Answers:
    """Text and token counts of what `generate` returned."""
    generated = token_ids[:, 1:]
    end_id = model.generation_config.eos_token_id
    counts = []
    for row in generated.tolist():
        counts.append(row.index(end_id) + 1 if end_id in row else len(row))
    texts = processor.tokenizer.batch_decode(generated, skip_special_tokens=True)
    return Answers(tuple(text.strip() for text in texts), tuple(counts), steps=int(generated.shape[1]))
