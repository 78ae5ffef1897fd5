"""From samples to answers: processor inputs, `generate`, text."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from blip_fixtures.families.ranking import OPTION_IDS
from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.case import NewTokens
    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.data.prompts import Prompt
    from blip_fixtures.data.sources import SampleSet

# Few hundred pictures: enough for the packaged samples, and far below what a large data set would take.
DEFAULT_BATCH_BUDGET_BYTES = 256 * 2**20


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch without its tensors, so that the facts of a whole data set fit into memory.

    `text_tokens` counts each sample's text tokens for the language model, without query tokens and padding;
    `qformer_tokens` those of every row in the Q-Former, after padding, and is 0 where it reads no text; `truncated`
    says whose prompt was cut. Where options are ranked, `options` has those of each sample, and `option_tokens` is the
    number of tokens of every one after padding.
    """

    samples: range
    text_tokens: tuple[int, ...]
    qformer_tokens: int
    truncated: tuple[bool, ...]
    options: tuple[tuple[str, ...], ...] = ()
    option_tokens: int = 0

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
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The names of the inputs, each with its shape."""
        return tuple((name, tuple(tensor.shape)) for name, tensor in self.inputs.items())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.inputs.values())


class BatchMaker:
    """Prepares full batches of one checkpoint, each once: cases that differ in device or optimization alone share them.

    The batches used last are kept, up to a budget of bytes, so that memory does not grow with the data set.
    """

    def __init__(self, processor: Any, checkpoint: Checkpoint, budget_bytes: int = DEFAULT_BATCH_BUDGET_BYTES) -> None:
        self._processor = processor
        self._checkpoint = checkpoint
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[tuple[object, ...], Batch] = OrderedDict()
        self._kept_bytes = 0
        self._facts: dict[tuple[object, ...], BatchFacts] = {}

    def batch(
        self, samples: SampleSet, index: int, *, batch_size: int, image_size: int, text_limit: int, prompt: Prompt
    ) -> Batch:
        """Batch number `index`: images at `image_size` pixels a side, prompts of at most `text_limit` tokens.

        Raises `InputError` for prompts that the model would misread.
        """
        key = _key(samples, index, batch_size, image_size, text_limit, prompt)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        rows = range(index * batch_size, (index + 1) * batch_size)
        batch = self._kept[key] = self._prepare(samples, rows, image_size, text_limit, prompt)
        self._facts[key] = batch.facts
        self._kept_bytes += batch.nbytes
        while self._kept_bytes > self._budget_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return batch

    def facts(
        self, samples: SampleSet, index: int, *, batch_size: int, image_size: int, text_limit: int, prompt: Prompt
    ) -> BatchFacts:
        """Those of batch number `index`, which is prepared for them once, however few batches are kept."""
        key = _key(samples, index, batch_size, image_size, text_limit, prompt)
        if key not in self._facts:
            self.batch(
                samples, index, batch_size=batch_size, image_size=image_size, text_limit=text_limit, prompt=prompt
            )
        return self._facts[key]

    def _prepare(self, samples: SampleSet, numbers: range, image_size: int, text_limit: int, prompt: Prompt) -> Batch:
        family, config = self._checkpoint.family, self._checkpoint.config
        rows = [samples[number] for number in numbers]
        prompts = family.tokenize(config, self._processor, [prompt.render(row) for row in rows], text_limit)
        size = {"height": image_size, "width": image_size}
        images = self._processor.image_processor([row.image for row in rows], size=size, return_tensors="pt")
        found = {**prompts.inputs, **images}
        facts = BatchFacts(
            samples=numbers,
            text_tokens=prompts.text_tokens,
            qformer_tokens=prompts.qformer_tokens,
            truncated=prompts.truncated,
        )
        inputs = {name: found[name] for name in family.input_names}
        if prompt.decoding == Decoding.RANK:
            options = tuple(row.choices for row in rows)
            inputs |= family.tokenize_options(self._processor, options)
            facts = replace(facts, options=options, option_tokens=int(inputs[OPTION_IDS].shape[1]))
        return Batch(inputs, facts)


def _key(samples: SampleSet, *of_batch: object) -> tuple[object, ...]:
    """What tells a batch from all others of a checkpoint."""
    data = (samples.dataset, samples.source, samples.revision, len(samples), samples.skipped, samples.convert)
    return (*data, *of_batch)


def to_device(batch: Batch, device: str, dtype: Any) -> dict[str, Any]:
    """The batch's inputs on `device`, pixels in `dtype`; the copy is queued, so synchronize before timing."""
    return {
        name: tensor.to(device, dtype=dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in batch.inputs.items()
    }


def generate(
    model: Any,
    inputs: dict[str, Any],
    new_tokens: NewTokens,
    *,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    min_new_tokens: int = 0,
    penalty: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Token ids (batch, tokens) with the answers in them; greedy unless `num_beams` is above 1.

    No answer ends before `min_new_tokens`, unless the number of tokens is fixed. `penalty` are the arguments that
    punish repetition (`Family.penalty`).

    `model` is a loaded model's runner, or the model itself. `read` takes the answers alone. Positions are interpolated
    only where the pictures are not of the size that the checkpoint was made for.
    """
    native_size = model.config.vision_config.image_size
    beams = {"length_penalty": length_penalty} if num_beams > 1 else {}
    return model.generate(
        **inputs,
        interpolate_pos_encoding=inputs["pixel_values"].shape[-1] != native_size,
        max_new_tokens=new_tokens.limit,
        min_new_tokens=new_tokens.limit if new_tokens.fixed else min_new_tokens or None,
        do_sample=False,
        num_beams=num_beams,
        **beams,
        **penalty,
    )


def rank(loaded: LoadedModel, inputs: dict[str, Any]) -> Any:
    """The log-likelihoods of all options (samples, most options); what is missing in a row is minus infinity."""
    native_size = loaded.checkpoint.image_size
    interpolate = inputs["pixel_values"].shape[-1] != native_size
    return loaded.family.rank(loaded.model, inputs, interpolate_pos_encoding=interpolate)


def read_ranks(scores: Any, options: Sequence[Sequence[str]], steps: int) -> Answers:
    """The likeliest option of each sample, the first of equal ones. No token is generated in the `steps`."""
    best = scores.argmax(dim=1).tolist()
    texts = tuple(of_sample[number] for of_sample, number in zip(options, best, strict=True))
    return Answers(texts=texts, new_tokens=(0,) * len(texts), steps=steps)


@dataclass(frozen=True)
class Answers:
    """The texts of one batch, the tokens that each sample generated (end token counted), and the decoder's steps.

    With beams the steps may be more than the longest answer: what is longer may have lost.
    """

    texts: tuple[str, ...]
    new_tokens: tuple[int, ...]
    steps: int


def read(processor: Any, loaded: LoadedModel, generated: Any, steps: int | None = None) -> Answers:
    """Text and token counts of token ids (batch, tokens) that are the answers alone.

    Without `steps` the decoder took one for each token.
    """
    texts = processor.tokenizer.batch_decode(generated, skip_special_tokens=True)
    return Answers(
        texts=tuple(text.strip() for text in texts),
        new_tokens=count_tokens(loaded, generated),
        steps=steps or int(generated.shape[1]),
    )


def count_tokens(loaded: LoadedModel, generated: Any) -> tuple[int, ...]:
    """Of each answer among the token ids (batch, tokens), up to its end."""
    ends = set(loaded.family.end_tokens(loaded.model))
    return tuple(_count(row, ends) for row in generated.tolist())


def _count(row: list[int], ends: set[int]) -> int:
    """Tokens up to the first that ends an answer, this one among them."""
    return next((place for place, token in enumerate(row, start=1) if token in ends), len(row))
