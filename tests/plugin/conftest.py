"""A small suite of benchmarks in a folder of its own, run by pytest inside pytest."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import blip_fixtures.pytest_plugin.run  # noqa: F401  # imported here, so that tests patch the module that runs use
from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.loading import load_model
from blip_fixtures.checkpoints.processor import generic_tokenizer, load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, Checkpoint, resolve_checkpoint
from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.data.datasets.base import Question
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.environment import describe_machine
from blip_fixtures.engine.fit import Estimator, Size
from blip_fixtures.engine.flops import BatchShape, FlopCounter
from blip_fixtures.engine.inference import BatchMaker, generate, read, to_device
from blip_fixtures.engine.rates import Machine, ModelRates
from blip_fixtures.quality import score
from blip_fixtures.record import Record, read_records
from blip_fixtures.report.document import write_document
from blip_fixtures.report.page.history import History, StoredRun
from blip_fixtures.report.page.page import write_page
from blip_fixtures.report.plots import Drawn
from tests.unit.records import make_record

OPERATING_POINT = (Path(__file__).parents[2] / "conftest.py").read_text(encoding="utf-8")
# No locks: tests of other processes may measure at the same time.
QUICK = (
    "--blip-limit=4",
    "--blip-rounds=2",
    "--blip-warmup-rounds=1",
    "--blip-new-tokens=4",
    "--blip-lock=off",
    "-p",
    "no:cacheprovider",
)

# Without a device named, a run means the machine's GPU too, where there is one.
ON_CPU = "--blip-device=cpu"

TWO_SWEEPS = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_size(measure):
    measure()

@pytest.mark.every_device
@pytest.mark.parametrize("batch_size", [1])
def test_device(measure):
    measure()
"""


class Suite:
    """A folder with the suite's conftest.py and one file of benchmarks."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.folder = pytester.path / "reports" / "local" / "instructblip-tiny"
        pytester.makeconftest(OPERATING_POINT)

    def run(self, benchmarks: str, *args: str) -> pytest.RunResult:
        """Write `benchmarks` to test_it.py and run it with few samples, rounds and tokens, on the CPU unless told."""
        self.pytester.makepyfile(test_it=benchmarks)
        return self.pytester.runpytest_inprocess(*QUICK, *_on_cpu(args), *args)

    def run_in_subprocess(self, benchmarks: str, *args: str) -> pytest.RunResult:
        """The same in a process of its own, for runs that would take this one down."""
        self.pytester.makepyfile(test_it=benchmarks)
        return self.pytester.runpytest_subprocess(*QUICK, *_on_cpu(args), *args)

    def records(self) -> list[Record]:
        return read_records(self.folder / "records.json")

    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "records.json").read_text())
        return loaded


def _on_cpu(args: tuple[str, ...]) -> tuple[str, ...]:
    return () if any(arg.startswith("--blip-device=") for arg in args) else (ON_CPU,)


_COUNTERS: dict[str, FlopCounter] = {}
_ESTIMATORS: dict[tuple[str, str], Estimator] = {}


def _counter(checkpoint: Checkpoint) -> FlopCounter:
    key = json.dumps(checkpoint.config, sort_keys=True)
    if key not in _COUNTERS:
        _COUNTERS[key] = FlopCounter(checkpoint)
    return _COUNTERS[key]


def _estimator(config: dict[str, Any], dtype: str) -> Estimator:
    key = json.dumps(config, sort_keys=True), dtype
    if key not in _ESTIMATORS:
        _ESTIMATORS[key] = Estimator(config, dtype)
    return _ESTIMATORS[key]


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Everything that a run imports on its way.

    pytester takes modules that a run imported out of `sys.modules` again, and numpy and torch cannot be imported twice.
    So the way is walked once before.
    """
    checkpoint = resolve_checkpoint(PACKAGED)
    processor = load_processor(checkpoint)
    loaded = load_model(checkpoint, "cpu", "fp16", "float16")
    maker = BatchMaker(processor, checkpoint)
    prompt = find_prompts("paper").of("textvqa")
    batch = maker.batch(
        load_samples("textvqa", "sample"), 0, batch_size=1, image_size=336, text_limit=50, prompt=prompt
    )
    inputs = to_device(batch, "cpu", loaded.pixel_dtype)
    token_ids = generate(loaded.runner, inputs, NewTokens(2))
    score(
        "textvqa",
        read(processor, loaded, token_ids[:, loaded.family.answer(inputs)]).texts,
        [Question(("answer",) * 10)],
    )
    counter = FlopCounter(checkpoint)
    counter.count(BatchShape(1, 336, 5, 5, 2))
    with pytest.MonkeyPatch.context() as patch:
        be_quick(patch)
        machine = Machine.of("cpu", time.perf_counter)
        ModelRates(machine, loaded.model, counter.modules, "float16").seen(loaded.model, counter.modules, 1)
    Estimator(checkpoint.config, "float16").need(Size(1, 336, 5, 2))
    build_random(checkpoint.config, "cpu", "float16")
    generic_tokenizer(100)
    write_document([make_record()], tmp_path_factory.mktemp("document"))
    write_page([make_record()], tmp_path_factory.mktemp("page"), history=History((StoredRun("one", (make_record(),)),)))
    describe_machine({})


def be_quick(patch: pytest.MonkeyPatch) -> None:
    """Measure the machine's rates with a thousandth of the usual patience, which is enough to see it."""
    for patience in ("PRODUCTS_S", "MODEL_S"):
        patch.setattr(f"blip_fixtures.engine.rates.{patience}", 0.002)


@pytest.fixture
def suite(pytester: pytest.Pytester, imported: None, monkeypatch: pytest.MonkeyPatch) -> Suite:
    # Each run measures its machine's rates. Plots are drawn where a test asks for them. FLOPs and the need for memory
    # are an architecture's, so runs share them.
    be_quick(monkeypatch)
    monkeypatch.setattr("blip_fixtures.report.document.draw_plots", lambda _selection, _prose: Drawn({}, {}))
    monkeypatch.setattr("blip_fixtures.engine.stock.FlopCounter", _counter)
    monkeypatch.setattr("blip_fixtures.engine.preflight.Estimator", _estimator)
    return Suite(pytester)
