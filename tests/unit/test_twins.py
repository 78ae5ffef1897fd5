"""Each family as a whole: tokens are those of transformers, alone and padded, eager and compiled; FLOPs are real."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import Checkpoint, resolve_checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.fit import Estimator, Size
from blip_fixtures.engine.flops import BatchShape, FlopCounter
from blip_fixtures.engine.inference import BatchMaker, generate, read, to_device
from blip_fixtures.engine.limits import weights_read
from blip_fixtures.families.runner import Part
from blip_fixtures.words import Component, Phase
from tests.unit.twins import CONFIGS, DECODER_ONLY, SIZE, save_twin

LIMIT, TOKENS = 40, NewTokens(8)
BATCH = 4


class Twin:
    """A saved twin, loaded as a run loads it."""

    def __init__(self, name: str, folder: Path) -> None:
        save_twin(name, folder)
        self.name = name
        self.checkpoint: Checkpoint = resolve_checkpoint(str(folder))
        self.family = self.checkpoint.family
        self.processor = load_processor(self.checkpoint)
        self.loaded: LoadedModel = load_model(self.checkpoint, "cpu", "fp32", "float32")
        self.family.end_as_tokenizer(self.loaded.model, self.processor)
        self.samples = load_samples("textvqa", "sample", BATCH)
        self.prompt = find_prompts("seed").of("textvqa")
        self._maker = BatchMaker(self.processor, self.checkpoint)

    @cached_property
    def with_eager_attention(self) -> Any:
        """Every product of it is counted."""
        model = self.family.model_class().from_pretrained(
            self.checkpoint.folder, dtype=torch.float32, attn_implementation="eager"
        )
        return model.eval().requires_grad_(False)

    @cached_property
    def counter(self) -> FlopCounter:
        return FlopCounter(self.checkpoint)

    def inputs(self, number: int, batch_size: int) -> dict[str, Any]:
        batch = self._maker.batch(
            self.samples, number, batch_size=batch_size, image_size=SIZE, text_limit=LIMIT, prompt=self.prompt
        )
        return to_device(batch, "cpu", torch.float32)

    def answers(self, model: Any, number: int, batch_size: int) -> list[list[int]]:
        inputs = self.inputs(number, batch_size)
        found: list[list[int]] = generate(model, inputs, TOKENS)[:, self.family.answer(inputs)].tolist()
        return found


@pytest.fixture(scope="module", params=list(CONFIGS))
def twin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return Twin(request.param, tmp_path_factory.mktemp(request.param) / request.param)


def of_transformers(twin: Twin, batch_size: int) -> Any:
    """Its own processor on texts and pictures, its own `generate`."""
    rows = [twin.samples[number] for number in range(batch_size)]
    processor = twin.processor
    if twin.name in DECODER_ONLY:
        processor.tokenizer.padding_side = "left"
    inputs = processor(
        images=[row.image for row in rows],
        text=[twin.prompt.render(row) for row in rows],
        padding="longest",
        return_tensors="pt",
    )
    end = processor.tokenizer.eos_token_id if twin.name == "instructblip-vicuna" else None
    with torch.no_grad():
        return inputs, twin.loaded.model.generate(
            **inputs,
            max_new_tokens=TOKENS.limit,
            do_sample=False,
            **({} if end is None else {"eos_token_id": end}),
        )


@pytest.mark.parametrize("batch_size", [1, BATCH])
def test_inputs_and_tokens_are_those_of_transformers(twin: Twin, batch_size: int) -> None:
    inputs, expected = of_transformers(twin, batch_size)
    own = twin.inputs(0, batch_size)
    assert own.keys() == inputs.keys()
    for name, tensor in own.items():
        assert torch.equal(tensor, inputs[name]), name
    assert torch.equal(generate(twin.loaded.runner, own, TOKENS), expected)


def test_a_padded_batch_has_the_answers_of_each_alone(twin: Twin) -> None:
    together = twin.answers(twin.loaded.runner, 0, BATCH)
    assert len({len(row) for row in (twin.inputs(number, 1)["input_ids"][0] for number in range(BATCH))}) > 1
    for number, answer in enumerate(together):
        alone = twin.answers(twin.loaded.runner, number, 1)[0]
        assert answer[: len(alone)] == alone
    assert len({tuple(answer) for answer in together}) > 1, "the prompts tell"


def test_padding_of_a_decoder_stands_between_image_and_text(twin: Twin) -> None:
    inputs = twin.inputs(0, BATCH)
    queries = twin.checkpoint.query_tokens
    assert (inputs["input_ids"][:, :queries] == twin.checkpoint.image_token_id).all()
    masks = inputs["attention_mask"][:, queries:].tolist()
    is_left = twin.name in DECODER_ONLY
    assert masks == [sorted(mask, reverse=not is_left) for mask in masks]
    assert min(map(sum, masks)) < len(masks[0])


def test_the_prompt_is_no_part_of_the_answer(twin: Twin) -> None:
    inputs = twin.inputs(0, BATCH)
    generated = generate(twin.loaded.runner, inputs, NewTokens(5, fixed=True))
    found = read(twin.processor, twin.loaded, generated[:, twin.family.answer(inputs)])
    assert generated[:, twin.family.answer(inputs)].shape == (BATCH, 5)
    assert found.steps == 5
    for text, row in zip(found.texts, range(BATCH), strict=True):
        assert twin.samples[row].question not in text


def test_answers_end_at_the_tokenizers_end_where_the_configuration_errs(twin: Twin) -> None:
    """Vicuna's configuration names what begins a text; OPT's a line feed, which its tokenizer calls no end."""
    ends = {"instructblip-vicuna": (2,), "blip2-opt": (4,)}.get(twin.name, (1,))
    assert twin.family.end_tokens(twin.loaded.model) == ends


SHAPES = [
    BatchShape(batch_size=1, image_size=SIZE, qformer_tokens=7, text_tokens=7, steps=1),
    BatchShape(batch_size=2, image_size=SIZE, qformer_tokens=9, text_tokens=4, steps=6),
    BatchShape(batch_size=3, image_size=2 * SIZE, qformer_tokens=12, text_tokens=12, steps=9),
    BatchShape(batch_size=2, image_size=SIZE, qformer_tokens=9, text_tokens=4, steps=6, beams=3),
]


@pytest.mark.parametrize("shape", SHAPES, ids=["one step", "two rows", "larger images", "beams"])
def test_flops_by_phase_are_those_of_real_generation(twin: Twin, shape: BatchShape) -> None:
    config = twin.checkpoint.config
    model, counter = twin.with_eager_attention, twin.counter
    image_ids = torch.full((shape.batch_size, twin.checkpoint.query_tokens), config["image_token_index"])
    inputs: dict[str, Any] = {
        "pixel_values": torch.zeros(shape.batch_size, 3, shape.image_size, shape.image_size),
        "input_ids": torch.cat([image_ids, torch.full((shape.batch_size, shape.text_tokens), 10)], dim=1),
    }
    if twin.name.startswith("instructblip"):
        inputs["qformer_input_ids"] = torch.full((shape.batch_size, shape.qformer_tokens), 10)
    spent: list[int] = []
    with FlopCounterMode(display=False) as real:
        parts = twin.family.parts(model)
        handles = [
            module.register_forward_hook(lambda *_: spent.append(real.get_total_flops())) for module in parts.values()
        ]
        model.generate(
            **inputs,
            interpolate_pos_encoding=True,
            max_new_tokens=shape.steps,
            min_new_tokens=shape.steps,
            do_sample=False,
            num_beams=shape.beams,
        )
    for handle in handles:
        handle.remove()
    vision, qformer, first, last = spent[0], spent[1], spent[2], real.get_total_flops()
    count = counter.count(shape)
    assert (count.vision, count.qformer) == (vision, qformer - vision)
    assert (count.prefill, count.decode) == (first - qformer, last - first)


def test_what_is_needed_is_known_before_loading(twin: Twin) -> None:
    for dtype in ("float16", "bfloat16"):
        loaded = load_model(twin.checkpoint, "cpu", dtype, dtype)
        built = build_on_meta(twin.checkpoint.config, dtype)
        assert {name: tensor.dtype for name, tensor in built.named_parameters()} == {
            name: tensor.dtype for name, tensor in loaded.model.named_parameters()
        }
        assert weight_bytes(built) == loaded.weights_bytes
        need = Estimator(twin.checkpoint.config, dtype).need(Size(2, SIZE, 10, 8))
        assert need.weights == loaded.weights_bytes
        assert need.activations > 0
        assert need.cache > 0


def test_transformers_keeps_the_q_former_of_blip_2_in_fp32_where_the_rest_is_fp16(twin: Twin) -> None:
    loaded = load_model(twin.checkpoint, "cpu", "fp16", "float16")
    expected = torch.float32 if twin.name.startswith("blip2") else torch.float16
    assert {tensor.dtype for tensor in loaded.model.qformer.encoder.parameters()} == {expected}
    assert loaded.pixel_dtype == torch.float16
    inputs = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in twin.inputs(0, 2).items()
    }
    assert generate(loaded.runner, inputs, NewTokens(3, fixed=True)).shape[0] == 2


def test_the_cache_is_as_large_as_estimated(twin: Twin) -> None:
    """Bytes of one token: of T5 the answer's, which are as many as the prompt's."""
    inputs = twin.inputs(0, 1)
    output = twin.loaded.model.generate(
        **inputs, max_new_tokens=4, min_new_tokens=4, do_sample=False, return_dict_in_generate=True
    )
    cache = output.past_key_values
    layers = getattr(cache, "self_attention_cache", cache).layers
    tokens = layers[0].keys.shape[2]
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    assert held == tokens * twin.family.cache_token_bytes(twin.checkpoint.config, 4)


def test_weights_of_each_phase_are_read(twin: Twin) -> None:
    read_in = weights_read(twin.loaded.model, twin.counter.modules)
    assert all(read_in[phase] > 0 for phase in Phase)
    paths = [path for path, module in twin.loaded.model.named_modules() if isinstance(module, torch.nn.Linear)]
    every_token = [path for path in paths if twin.family.read_for_every_token(path)]
    assert every_token
    assert all(path.startswith("language_model.") for path in every_token)


def test_a_decoder_has_no_language_encoder(twin: Twin) -> None:
    expected = [Component.VISION, Component.QFORMER, Component.LANGUAGE_ENCODER, Component.LANGUAGE_DECODER]
    if twin.name in DECODER_ONLY:
        expected.remove(Component.LANGUAGE_ENCODER)
    assert list(twin.loaded.components) == expected


def test_parts_end_in_order(twin: Twin) -> None:
    ended: list[Part] = []
    with twin.loaded.runner.parts_ended(ended.append):
        generate(twin.loaded.runner, twin.inputs(0, 2), NewTokens(3, fixed=True))
    assert ended == [Part.VISION, Part.QFORMER, *[Part.STEP] * 3]


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiled by dynamo into graphs that run as they are: no code is written, which takes most of the time."""
    monkeypatch.setattr("blip_fixtures.families.compiling.BACKEND", "eager")
    with warnings.catch_warnings():
        # torch 2.13's compiler calls what torch 2.13 deprecates.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        yield
    torch.compiler.reset()


@pytest.mark.usefixtures("compiling")
def test_compiled_generation_takes_the_same_tokens_without_a_recompile(twin: Twin) -> None:
    runner = twin.family.compiled_runner(twin.loaded.model, cuda=False)
    runner.prepare(LIMIT, lambda: generate(runner, twin.inputs(0, 2), TOKENS))
    try:
        for number in range(2):
            inputs = twin.inputs(number, 2)
            for tokens in (TOKENS, NewTokens(TOKENS.limit, fixed=True)):
                assert torch.equal(generate(runner, inputs, tokens), generate(twin.loaded.model, inputs, tokens))
        ended: list[Part] = []
        with runner.parts_ended(ended.append):
            generate(runner, twin.inputs(0, 2), NewTokens(TOKENS.limit, fixed=True))
        assert ended == [Part.VISION, Part.QFORMER, *[Part.STEP] * TOKENS.limit]
        assert runner.compiled_first.graphs == (4 if twin.name in DECODER_ONLY else 5)
        assert (runner.compiled_later.graphs, runner.compiled_later.graph_breaks) == (0, 0)
        assert runner.held_bytes > 0
    finally:
        runner.close()
