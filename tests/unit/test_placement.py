"""Where tensors lie: a model, its batches and its caches are on one device, on the first card and on the second.

There is no GPU here. Fake tensors know their device, and mixing two raises (`fake_cards`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.devices import working_on
from blip_fixtures.engine import Job, SampleSource, Session
from blip_fixtures.engine.inference import Batch, BatchMaker, generate, to_device
from blip_fixtures.engine.loop import ReferenceKernel
from blip_fixtures.engine.stock import Stock
from blip_fixtures.engine.workload import Workload, load_for
from blip_fixtures.families.compiling import CompiledRunner
from blip_fixtures.families.languages.t5.compiled import CompiledT5
from blip_fixtures.families.runner import EagerRunner, Part
from blip_fixtures.optimizations import OPTIMIZATIONS
from blip_fixtures.words import EnergyMode, PassName, Status, Weights
from tests.unit.fake_cards import CARDS, Cards, cards_at_hand, fake_tensors

TOKENS = NewTokens(3, fixed=True)
TEXT_LIMIT = 50
TOGETHER = ("bf16+compile", "bf16+compile+int8", "bf16+compile+int4", "fp16+compile+flash_attention_2")

STOCK = Stock()


def on_cuda() -> list[Any]:
    """Every entry of the registry that CUDA can have, and some together."""
    refused = "integer_products_on_cuda"
    with cards_at_hand():  # what this machine has is not the question
        names = [
            name
            for name, entry in OPTIMIZATIONS.items()
            if (reason := entry.why_unavailable("cuda:0")) is None or reason.code != refused
        ]
    assert "int8_dynamic" not in names
    return [pytest.param(name, marks=marks_of(name)) for name in (*names, *TOGETHER)]


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    parts = name.split("+")
    if "int8" not in parts and "int4" not in parts:
        return []
    return [pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed")]


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """Parts run as they are: a compiler has nothing to work on here, and where their tensors lie is the same."""
    monkeypatch.setattr(CompiledRunner, "_compiled", lambda _runner, part, **_: part)
    with cards_at_hand() as found:
        yield found


@pytest.fixture(scope="module")
def synthetic(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint("m", None, "r", checkpoint.config, weights=Weights.RANDOM)


@pytest.fixture(scope="module")
def batch(checkpoint: Checkpoint, processor: Any) -> Batch:
    """Pictures of another size than the model's, whose positions are interpolated."""
    samples, prompt = load_samples("textvqa", "sample", 2), find_prompts("paper").of("textvqa")
    return BatchMaker(processor, checkpoint).batch(
        samples, 0, batch_size=2, image_size=336, text_limit=TEXT_LIMIT, prompt=prompt
    )


def run(loaded: LoadedModel, inputs: dict[str, Any]) -> Any:
    """One call as the passes make it, with its parts in order."""
    if isinstance(loaded.runner, CompiledRunner):
        loaded.runner.prepare(TEXT_LIMIT, lambda: generate(loaded.runner, inputs, TOKENS))
    parts: list[Part] = []
    with loaded.runner.parts_ended(parts.append):
        tokens = generate(loaded.runner, inputs, TOKENS)
    assert parts == [Part.VISION, Part.QFORMER, *[Part.STEP] * TOKENS.limit]
    return tokens


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("name", ["fp16", "fp32", "bf16", "eager"])
@pytest.mark.usefixtures("cards")
def test_beams_are_on_the_card(synthetic: Checkpoint, batch: Batch, name: str, device: str) -> None:
    with fake_tensors(), working_on(device):
        loaded = load_for(synthetic, device, name)
        inputs = to_device(batch, device, loaded.pixel_dtype)
        parts: list[Part] = []
        with loaded.runner.parts_ended(parts.append):
            tokens = generate(loaded.runner, inputs, TOKENS, num_beams=3, length_penalty=-1.0)
        assert str(tokens.device) == device
        assert parts.count(Part.STEP) == TOKENS.limit, "the cache is reordered between two steps"


def devices_of(tensors: Any) -> set[str]:
    return {str(tensor.device) for tensor in tensors}


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("name", on_cuda())
@pytest.mark.usefixtures("cards")
def test_a_model_its_batch_and_its_answer_are_on_one_card(
    synthetic: Checkpoint, batch: Batch, name: str, device: str
) -> None:
    with fake_tensors(), working_on(device):
        loaded = load_for(synthetic, device, name)
        assert devices_of([*loaded.model.parameters(), *loaded.model.buffers()]) == {device}
        inputs = to_device(batch, device, loaded.pixel_dtype)
        assert devices_of(inputs.values()) == {device}
        tokens = run(loaded, inputs)
        assert (str(tokens.device), tokens.shape) == (device, (2, 1 + TOKENS.limit))


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.usefixtures("cards")
def test_weights_of_a_file_arrive_on_the_card(checkpoint: Checkpoint, batch: Batch, device: str) -> None:
    with fake_tensors(), working_on(device):
        loaded = load_for(checkpoint, device, "bf16")
        assert devices_of([*loaded.model.parameters(), *loaded.model.buffers()]) == {device}
        assert str(run(loaded, to_device(batch, device, loaded.pixel_dtype)).device) == device


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.usefixtures("cards")
def test_what_a_compiled_model_keeps_is_on_the_card(synthetic: Checkpoint, batch: Batch, device: str) -> None:
    with fake_tensors(), working_on(device):
        loaded = load_for(synthetic, device, "bf16+compile")
        assert loaded.runner.held_bytes == 0
        run(loaded, to_device(batch, device, loaded.pixel_dtype))
        assert loaded.runner.held_bytes > 0
        assert isinstance(loaded.runner, CompiledT5)
        # Private, because nobody else may touch them.
        buffers: Any
        (buffers,) = loaded.runner._buffers.values()
        layers = [*buffers.cache.self_attention_cache.layers, *buffers.cache.cross_attention_cache.layers]
        kept = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
        assert devices_of([*kept, buffers.mask, buffers.states]) == {device}


def job_on(device: str, optimization: str) -> Job:
    """A small one, whose batches are prepared: on the host, from real pictures and texts."""
    case = Case(
        model="instructblip-tiny",
        dataset="textvqa",
        device=device,
        optimization=optimization,
        batch_size=2,
        image_size=224,
        sequence_length=TEXT_LIMIT,
        weights=Weights.RANDOM,
    )
    job = Job.of(
        case,
        samples=SampleSource(limit=4),
        rounds=2,
        warmup_rounds=1,
        energy=EnergyMode.OFF,
        new_tokens=TOKENS,
        passes=(PassName.LATENCY, PassName.PHASES, PassName.MEMORY),
    )
    not_loaded: Any = None
    prepared = Workload(
        STOCK.resolved(job), not_loaded, STOCK.processor(job), STOCK.samples(job), STOCK.batch_maker(job)
    )
    for number in range(prepared.batches):
        prepared.batch(number)
    return job


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("name", ["bf16", "bf16+compile"])
# `weights_bytes` tells shared tensors by their address, and fake ones have none.
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_a_job_is_measured_with_its_card_as_the_current_one(
    cards: Cards, monkeypatch: pytest.MonkeyPatch, name: str, device: str
) -> None:
    """Loading, every call, the reference and the memory's own call; afterwards the current card is as it was."""
    seen: dict[str, set[int]] = {"load": set(), "generate": set(), "reference": set()}

    def noting(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            seen[what].add(cards.current)
            return real(*args, **kwargs)

        return noted

    monkeypatch.setattr(EagerRunner, "generate", noting("generate", EagerRunner.generate))
    monkeypatch.setattr(CompiledT5, "generate", noting("generate", CompiledT5.generate))
    monkeypatch.setattr(ReferenceKernel, "__call__", noting("reference", ReferenceKernel.__call__))
    # Whether it took effect cannot be proven without a compiler, and fake cards have no profiler.
    proof = {"compile_s": 0.0, "token_agreement_with_uncompiled": 1.0}
    monkeypatch.setattr("blip_fixtures.optimizations.Optimization.proof", lambda *_: proof)
    monkeypatch.setattr("blip_fixtures.engine.passes.attention.attention_kernels", lambda *_: {})
    monkeypatch.setattr("blip_fixtures.optimizations.compile.find_spec", lambda _: object())
    job = job_on(device, name)
    session = Session(stock=STOCK, load=noting("load", load_for))
    assert session.why_unavailable(job) is None
    with fake_tensors():
        outcome = session.attempt(job)
    assert outcome.error is None
    assert outcome.record.status == Status.OK
    index = torch.device(device).index
    assert seen == {"load": {index}, "generate": {index}, "reference": {index}}
    assert cards.current == 0


class TestMistakes:
    """The tests above are worth what they catch: a tensor on the host, or on the other card."""

    @pytest.mark.parametrize("elsewhere", ["cpu", "cuda:0"])
    @pytest.mark.parametrize("name", ["pixel_values", "qformer_input_ids", "input_ids"])
    @pytest.mark.parametrize("optimization", ["bf16", "bf16+compile"])
    @pytest.mark.usefixtures("cards")
    def test_an_input_elsewhere(
        self, synthetic: Checkpoint, batch: Batch, optimization: str, name: str, elsewhere: str
    ) -> None:
        with fake_tensors(), working_on("cuda:1"):
            loaded = load_for(synthetic, "cuda:1", optimization)
            inputs = to_device(batch, "cuda:1", loaded.pixel_dtype)
            inputs[name] = inputs[name].to(elsewhere)
            with mixed_devices():
                run(loaded, inputs)

    @pytest.mark.parametrize("elsewhere", ["cpu", "cuda:0"])
    @pytest.mark.parametrize(
        "path",
        [
            # Not the first layer's: a fake convolution asks for the device of its input alone.
            "vision_model.embeddings.position_embedding",
            "vision_model.encoder.layers.0.self_attn.qkv.weight",
            "query_tokens",
            "qformer.encoder.layer.0.attention.attention.query.weight",
            "language_projection.weight",
            "language_model.encoder.block.0.layer.0.SelfAttention.q.weight",
            "language_model.decoder.block.0.layer.1.EncDecAttention.k.weight",
            "language_model.lm_head.weight",
        ],
    )
    @pytest.mark.usefixtures("cards")
    def test_a_weight_elsewhere(self, synthetic: Checkpoint, batch: Batch, path: str, elsewhere: str) -> None:
        with fake_tensors(), working_on("cuda:1"):
            loaded = load_for(synthetic, "cuda:1", "bf16")
            module, _, leaf = path.rpartition(".")
            owner = loaded.model.get_submodule(module)
            moved = torch.nn.Parameter(getattr(owner, leaf).detach().to(elsewhere), requires_grad=False)
            setattr(owner, leaf, moved)
            with mixed_devices():
                run(loaded, to_device(batch, "cuda:1", loaded.pixel_dtype))

    @pytest.mark.parametrize("elsewhere", ["cpu", "cuda:0"])
    @pytest.mark.parametrize("field", ["mask", "cache"])
    @pytest.mark.usefixtures("cards")
    def test_a_buffer_elsewhere(
        self, synthetic: Checkpoint, batch: Batch, monkeypatch: pytest.MonkeyPatch, field: str, elsewhere: str
    ) -> None:
        real = CompiledT5._buffers_for

        def moved(runner: CompiledT5, states: Any, limit: int) -> Any:
            buffers = real(runner, states, limit)
            if field == "cache":
                for layer in buffers.cache.cross_attention_cache.layers:
                    layer.keys = layer.keys.to(elsewhere)
            else:
                buffers.mask = buffers.mask.to(elsewhere)
            return buffers

        monkeypatch.setattr(CompiledT5, "_buffers_for", moved)
        with fake_tensors(), working_on("cuda:1"):
            loaded = load_for(synthetic, "cuda:1", "bf16+compile")
            with mixed_devices():
                run(loaded, to_device(batch, "cuda:1", loaded.pixel_dtype))


def mixed_devices() -> contextlib.AbstractContextManager[Any]:
    return pytest.raises(RuntimeError, match=r"[Uu]nhandled FakeTensor Device Propagation|the same device")
