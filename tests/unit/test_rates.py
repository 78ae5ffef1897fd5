"""What a machine and a model's kernels are seen to reach: on clocks that tests turn, on stand-ins for CUDA, here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.devices import working_on
from blip_fixtures.engine import contenders, contest, rates
from blip_fixtures.engine.busy import Busy
from blip_fixtures.engine.contest import Contender, EventWatch, KernelWatch, Rate, WallWatch, best_rates, one_thread
from blip_fixtures.engine.flops import FlopCounter
from blip_fixtures.engine.limits import Rates, weights_read
from blip_fixtures.engine.rates import Machine, ModelRates, SeenRates, buffer_bytes, rates_of_card
from blip_fixtures.engine.workload import load_for
from blip_fixtures.optimizations import OPTIMIZATIONS
from blip_fixtures.words import Phase, Weights
from tests.unit.fake_cards import CARDS, cards_at_hand, fake_tensors

MIB = 2**20


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PRODUCTS_S", 0.02)
    monkeypatch.setattr(rates, "MODEL_S", 0.02)


@pytest.fixture(scope="module")
def counter(checkpoint: Checkpoint) -> FlopCounter:
    return FlopCounter(checkpoint)


@pytest.fixture(scope="module")
def machine() -> Machine:
    """This one, measured by the first test that asks it."""
    return Machine.of("cpu", time.perf_counter)


@dataclass
class Turned:
    """A clock that a run turns by the next of its `seconds`, then by the last of them again and again."""

    now_s: float = 0.0
    ran: list[str] = field(default_factory=list)

    def run(self, name: str, *seconds: float) -> Callable[[], None]:
        left = list(seconds)

        def run() -> None:
            self.ran.append(name)
            self.now_s += left.pop(0) if len(left) > 1 else left[0]

        return run

    def watch(self) -> WallWatch:
        return WallWatch(lambda: self.now_s)


def test_the_best_of_what_was_seen_counts() -> None:
    clock = Turned()
    found = [Contender("a", "g", 8.0, clock.run("a", 4, 2, 4)), Contender("b", "g", 8.0, clock.run("b", 8, 8, 1, 8))]
    assert best_rates(found, clock.watch(), 100.0) == [Rate(4.0), Rate(8.0)]


def test_the_kernels_take_turns_and_hopeless_ones_are_left_out() -> None:
    clock = Turned()
    found = [Contender("slow", "g", 1.0, clock.run("slow", 5)), Contender("fast", "g", 1.0, clock.run("fast", 1))]
    assert best_rates(found, clock.watch(), 0.0) == [Rate(0.2), Rate(1.0)]
    assert clock.ran == ["slow", "fast"]
    clock.ran.clear()
    best_rates(found, clock.watch(), 7.0)
    assert clock.ran == ["slow", "fast", "slow", "fast"]
    clock.ran.clear()
    best_rates(found, clock.watch(), 50.0)
    assert clock.ran.count("fast") > 10
    assert clock.ran.count("slow") <= 2


@pytest.mark.parametrize(
    ("slow", "fast", "left_out"), [(16, 16, True), (16, 32, True), (32, 16, False), (32, 8, False), (8, 32, True)]
)
def test_a_kernel_competes_with_those_of_as_many_bits_or_more(slow: int, fast: int, left_out: bool) -> None:
    """A fast one of few bits is no reason not to look at one of many."""
    clock = Turned()
    found = [
        Contender("slow", "g", 1.0, clock.run("slow", 5), slow),
        Contender("fast", "g", 1.0, clock.run("fast", 1), fast),
    ]
    best_rates(found, clock.watch(), 200.0)
    # Three runs in each of the first two turns.
    assert (clock.ran.count("slow") == 6) is left_out


def test_nothing_to_measure_takes_no_time() -> None:
    assert best_rates([], WallWatch(), 0.0) == []


def test_on_the_cpu_each_kernel_also_runs_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = [6]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    seen: list[int] = []
    found = contest.with_one_thread([Contender("a", "g", 1.0, lambda: seen.append(threads[-1]))])
    assert len(best_rates(found, WallWatch(), 0.0)) == 2
    assert set(seen) == {1, 6}
    assert threads[-1] == 6
    with pytest.raises(RuntimeError), one_thread():
        raise RuntimeError
    assert threads[-1] == 6


@dataclass
class Event:
    """A stand-in for `torch.cuda.Event` on a clock of the device."""

    device: Turned
    at_s: float = 0.0

    def record(self) -> None:
        self.at_s = self.device.now_s

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return 1000 * (end.at_s - self.at_s)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Turned:
    """A stand-in for CUDA whose clock a kernel turns; `ran` has the current device of each call that chooses one."""
    clock = Turned()

    def device(name: str) -> Any:
        clock.ran.append(name)
        return contextlib.nullcontext()

    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: Event(clock))
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=50 * MIB))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (40 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    return clock


def test_on_cuda_one_reading_has_many_launches_between_two_events(cuda: Turned) -> None:
    # The first launch takes longer: the host is not ahead of the device yet.
    run = cuda.run("kernel", 0.5, 0.25)
    assert EventWatch("cuda:1", lambda: cuda.now_s).shortest(run, 10.0).seconds == 0.25
    assert cuda.ran == ["cuda:1", *["kernel"] * 21]


def test_on_cuda_the_number_of_launches_is_bounded_and_at_least_one(cuda: Turned) -> None:
    watch = EventWatch("cuda:0", lambda: cuda.now_s)
    watch.shortest(cuda.run("short", 1e-6), 10.0)
    assert cuda.ran.count("short") == 257
    watch.shortest(cuda.run("long", 20.0), 10.0)
    assert cuda.ran.count("long") == 1
    # However little time there is, a reading has many, or it is none but a look at how long one takes.
    watch.shortest(cuda.run("millisecond", 2**-10), 1e-6)
    assert cuda.ran.count("millisecond") == 21
    watch.shortest(cuda.run("look", 0.001), 0)
    assert cuda.ran.count("look") == 1


def test_a_models_layers_are_timed_without_the_gaps_between_them(cuda: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    events = EventWatch("cuda:0", lambda: cuda.now_s)
    seen = iter([Busy(0.125, 3), Busy(0.0, 0)])
    monkeypatch.setattr(contest, "kernel_seconds", lambda run, device: next(seen))
    watch = KernelWatch("cuda:0", events)
    run = cuda.run("layers", 0.5)
    assert watch.shortest(run, 0.0)[::2] == (False, 0.125)
    # Where the profiler may not look, the gaps count, and the reading says so.
    assert watch.shortest(run, 0.0)[::2] == (True, 0.5)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("profiles", "rate"),
    [
        # The shortest profile has lost one of three kernels.
        ([Busy(0.5, 3), Busy(0.25, 2)], Rate(2.0)),
        ([Busy(0.25, 2), Busy(0.5, 3)], Rate(2.0)),
        ([Busy(0.5, 3), Busy(0.25, 3)], Rate(4.0)),
        ([Busy(0.0, 0), Busy(0.5, 3)], Rate(2.0)),
        ([Busy(0.0, 0), Busy(0.0, 0)], Rate(1.0, has_gaps=True)),
    ],
)
def test_of_several_profiles_those_with_the_most_kernels_count(
    monkeypatch: pytest.MonkeyPatch, cuda: Turned, profiles: list[Busy], rate: Rate
) -> None:
    left = list(profiles)
    devices: list[str] = []

    @contextlib.contextmanager
    def attached(device: str) -> Iterator[None]:
        devices.append(device)
        yield

    monkeypatch.setattr(contest, "kernel_seconds", lambda *_: left.pop(0) if left else profiles[-1])
    monkeypatch.setattr(contest, "attached", attached)
    watch = KernelWatch("cuda:0", EventWatch("cuda:0", lambda: cuda.now_s))
    cuda.now_s = 0.0
    ticks = iter(range(1000))
    watch.now = lambda: float(next(ticks))
    assert best_rates([Contender("a", "g", 1.0, cuda.run("a", 1.0))], watch, 8.0) == [rate]
    # All profiles of one contest are of one block.
    assert devices == ["cuda:0"]
    assert not left


@pytest.mark.parametrize(
    ("weights", "free", "size"),
    [
        (10 * MIB, 40 * 2**30, 10 * MIB),
        (50 * MIB, 40 * 2**30, 50 * MIB),
        (51 * MIB, 40 * 2**30, 2 * 2**30),
        (6 * 2**30, 40 * 2**30, 2 * 2**30),
        (6 * 2**30, 3 * 2**30, 3 * 2**29),
        (1, 40 * 2**30, 4096),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_on_cuda_what_a_cache_does_not_hold_is_read_from_2_gib_where_they_fit(
    monkeypatch: pytest.MonkeyPatch, weights: int, free: int, size: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * 2**30))
    assert buffer_bytes("cuda:0", weights) == size


@pytest.mark.parametrize(("weights", "size"), [(1, 4096), (MIB, MIB), (2**33, 512 * MIB)])
def test_on_the_cpu_a_buffer_is_as_large_as_the_weights_up_to_512_mib(weights: int, size: int) -> None:
    assert buffer_bytes("cpu", weights) == size


@pytest.mark.parametrize(
    ("bf16", "capability", "dtypes"),
    [
        (True, (9, 0), {"float32", "float16", "bfloat16", "int8"}),
        (False, (7, 5), {"float32", "float16", "int8"}),
        (False, (7, 0), {"float32", "float16"}),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_a_dtype_that_a_card_does_not_compute_in_is_left_out(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: tuple[int, int], dtypes: set[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    made: list[str] = []

    def note(_operands: Any, kernel: str, dtype: str, *_: Any) -> list[Contender]:
        made.append(f"{dtype} {kernel}")
        return []

    monkeypatch.setattr(contenders, "_growing", note)
    assert contenders.products("cuda:0", WallWatch(), 1.0, {}) == []
    assert {name.partition(" ")[0] for name in made} == dtypes
    assert {name.partition(" ")[2] for name in made} <= {"torch.mm", "linear", "torch._int_mm"}


def test_sizes_grow_until_the_next_would_take_too_long() -> None:
    """A product in fp16 on a processor without such arithmetic must not take minutes."""
    clock = Turned()

    class Operands:
        device = "cpu"

        def product(self, _kernel: str, side: int, _dtype: str) -> Callable[[], None]:
            return clock.run(str(side), side**3 / 256**3)

    found = list(contenders._growing(Operands(), "torch.mm", "float16", 16, clock.watch(), 10.0, {}))  # type: ignore[arg-type]
    assert [each.amount for each in found] == [2.0 * side**3 for side in (128, 256, 512)]
    assert {(each.name, each.bits) for each in found} == {("float16 torch.mm", 16)}


REFUSAL = RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmul`\nmore of it")


@pytest.mark.parametrize("left_out", ["products", "reads"])
def test_a_kernel_that_the_device_refuses_is_no_contender_and_is_named(
    monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    def refuse(*_: Any) -> None:
        raise REFUSAL

    monkeypatch.setattr(torch, "_int_mm", refuse)
    monkeypatch.setattr(torch, "mv", refuse)
    refused: dict[str, str] = {}
    if left_out == "products":
        found = contenders.products("cpu", WallWatch(), 0.0, refused)
    else:
        found = contenders.reads("cpu", {4096}, refused)
    name = {"products": "int8 torch._int_mm", "reads": "float32 mv"}[left_out]
    if left_out == "reads" or OPTIMIZATIONS["int8_dynamic"].why_unavailable("cpu") is None:
        said = "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmul`"
        assert refused == {name: said}
    assert found
    assert not [each for each in found if "_int_mm" in each.name or each.name.startswith("mv")]


@pytest.mark.parametrize(
    ("device", "error", "lost"),
    [
        ("cpu", MemoryError(), False),
        ("cpu", torch.OutOfMemoryError("CUDA out of memory"), False),
        ("cpu", ValueError("a fault of ours"), False),
        ("cuda:0", RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), False),
        ("cuda:0", RuntimeError("CUDA error: an illegal memory access was encountered"), True),
    ],
)
def test_no_memory_and_a_lost_device_are_no_refusal(
    monkeypatch: pytest.MonkeyPatch, device: str, error: Exception, lost: bool
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(contenders, "is_lost", lambda _: lost)
    with pytest.raises(type(error)):
        contenders._runs("a", fail, device, {})


@pytest.mark.parametrize(("device", "strides"), [("cpu", (8, 1)), ("cuda:0", (1, 8))])
def test_on_cuda_the_right_matrix_of_integers_lies_by_columns(
    monkeypatch: pytest.MonkeyPatch, device: str, strides: tuple[int, int]
) -> None:
    """No card is at hand, so the matrices are on the host."""
    given: list[torch.Tensor] = []
    multiply = torch._int_mm

    def note(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        given.append(right)
        return multiply(left, right)

    monkeypatch.setattr(torch, "_int_mm", note)
    operands = contenders._Operands("cpu")
    left, right = operands._pair(8, "int8")
    operands.device = device
    run = operands.product("torch._int_mm", 8, "int8")
    assert run is not None
    assert torch.equal(run(), multiply(left, right))  # type: ignore[arg-type]  # it is a tensor
    run()
    assert [each.stride() for each in given] == [strides, strides]
    # Made once.
    assert given[0] is given[1]


def test_every_dtype_and_kernel_of_this_machine_is_tried(machine: Machine) -> None:
    machine.measure_products()
    bf16 = [f"bfloat16 {kernel}" for kernel in ("torch.mm", "linear", "blocked layer")]
    plain = [f"{dtype} {kernel}" for dtype in ("float32", "float16") for kernel in ("torch.mm", "linear")]
    int8 = ["int8 torch._int_mm", "int8 int8_dynamic layer"]
    known = OPTIMIZATIONS["int8_dynamic"].why_unavailable("cpu") is None
    assert set(machine.products) - {"bfloat16 blocked layer"} == {*plain, *bf16, *(int8 if known else ())} - {
        "bfloat16 blocked layer"
    }
    assert all(rate > 1e6 for rate in machine.products.values())
    before = machine.products
    machine.measure_products()
    assert machine.products == before


def made_up() -> Machine:
    watch = WallWatch()
    machine = Machine("cpu", watch, watch)
    for name, bits, rate in (("fp32", 32, 2.0), ("fp16", 16, 1.0), ("bf16", 16, 8.0), ("int8", 8, 4.0)):
        machine.note_product(name, bits, rate)
    return machine


@pytest.mark.parametrize(("bits", "rate"), [(32, 2.0), (16, 8.0), (8, 8.0)])
def test_a_row_may_use_the_best_kernel_of_its_precision_or_better(bits: int, rate: float) -> None:
    assert made_up().flops_per_s(bits) == rate


def test_what_was_seen_is_never_forgotten_and_never_grows_worse() -> None:
    machine = made_up()
    machine.note_product("bf16", 16, 3.0)
    assert machine.flops_per_s(16) == 8.0
    machine.note_product("layers in 16 bits", 16, 9.0)
    assert machine.flops_per_s(16) == 9.0
    assert machine.flops_per_s(32) == 2.0


def test_a_device_that_ran_no_kernel_has_no_rates() -> None:
    machine = Machine("cpu", WallWatch(), WallWatch())
    assert (machine.flops_per_s(16), machine.bytes_per_s(4096)) == (0.0, 0.0)


def test_a_small_buffer_is_read_at_least_as_fast_as_a_larger_one_of_the_same_model(
    counter: FlopCounter, loaded: LoadedModel
) -> None:
    machine = made_up()
    of_model = ModelRates(machine, loaded.model, counter.modules, "float32")
    of_model._sizes = dict(zip(Phase, (10, 100, 1000, 10), strict=True))
    for size, rate in ((10, 1.0), (100, 5.0), (1000, 2.0), (10_000, 9.0)):
        machine.note_read(size, rate)
    own = Rates(dict.fromkeys(Phase, 0.5), dict(zip(Phase, (0.5, 0.5, 3.0, 0.5), strict=True)))
    assert list(of_model._best(own).bytes_per_s.values()) == [5.0, 5.0, 3.0, 5.0]


def test_reading_takes_each_size_once_with_every_kernel() -> None:
    found = contenders.reads("cpu", {4096, 40_000}, {})
    assert {each.group for each in found} == {4096, 40_000}
    assert {each.name.partition(" ")[0] for each in found} == {"sum", "amax", "norm", "mv"}
    for each in found:
        assert 0.9 * int(each.group) <= each.amount <= int(each.group)
    assert contenders.reads("cpu", set(), {}) == []


ROWS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 16, "int4": 16, "int8_dynamic": 8, "bf16+int8+int8_dynamic": 8}


@pytest.mark.parametrize(("optimization", "bits"), ROWS.items())
def test_no_row_of_this_machine_is_above_what_was_seen_of_it(
    checkpoint: Checkpoint, counter: FlopCounter, machine: Machine, optimization: str, bits: int
) -> None:
    if "int8_dynamic" in optimization and OPTIMIZATIONS["int8_dynamic"].why_unavailable("cpu") is not None:
        pytest.skip("this build of torch has no integer products")
    loaded = load_for(checkpoint, "cpu", optimization)
    dtype = {"fp32": "float32", "fp16": "float16"}.get(optimization, "bfloat16")
    of_model = ModelRates(machine, loaded.model, counter.modules, dtype)
    seen = of_model.seen(loaded.model, counter.modules, 2)
    assert f"layers in {bits} bits" in seen.products
    for phase in Phase:
        assert 0 < seen.own.flops_per_s[phase] <= seen.machine.flops_per_s[phase]
        assert 0 < seen.own.bytes_per_s[phase] <= seen.machine.bytes_per_s[phase]
    # The second time everything is known; another number of rows is another reading.
    again = of_model.seen(loaded.model, counter.modules, 2)
    assert (again.own, again.products) == (seen.own, seen.products)
    more = of_model.seen(loaded.model, counter.modules, 3)
    assert more.own.flops_per_s == seen.own.flops_per_s
    assert more.own.bytes_per_s != seen.own.bytes_per_s


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_machines_rates_do_not_depend_on_the_models_before(
    counter: FlopCounter, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
    """One model's layers are faster than every kernel of the contest, the other's are not."""
    machine = made_up()
    of_model = [ModelRates(machine, loaded.model, counter.modules, "float32") for _ in order]
    for each, sizes in zip(of_model, ((10, 100, 100, 10), (100, 1000, 1000, 10)), strict=True):
        each._sizes = dict(zip(Phase, sizes, strict=True))
    contest_of_sizes = {10: 4.0, 100: 3.0, 1000: 2.0}
    now: list[int] = []

    def rates_of(found: Sequence[Contender], *_: Any) -> list[Rate]:
        own = {0: 1.0, 1: 50.0}[now[-1]]
        return [Rate(contest_of_sizes.get(each.group, own)) for each in found]  # type: ignore[arg-type]  # or a phase

    monkeypatch.setattr(rates, "best_rates", rates_of)
    seen: dict[int, SeenRates] = {}
    for number in order:
        now.append(number)
        seen[number] = of_model[number].seen(loaded.model, counter.modules, 1)
    assert set(seen[0].machine.flops_per_s.values()) == {2.0}
    assert list(seen[0].machine.bytes_per_s.values()) == [4.0, 3.0, 3.0, 4.0]
    # The faster one's own rates are its limit, and that the contest lacks a kernel can be read from its record.
    assert set(seen[1].machine.flops_per_s.values()) == {50.0}
    assert seen[1].products["layers in 32 bits"] > max(
        rate for name, rate in seen[1].products.items() if "layers" not in name
    )
    assert machine.flops_per_s(32) == 2.0
    assert not [name for name in machine.products if "layers" in name]


@pytest.mark.parametrize("gaps", [False, True])
def test_a_row_knows_whether_its_own_rates_have_gaps(
    counter: FlopCounter, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, gaps: bool
) -> None:
    """The second number of rows, and what is asked a second time, as well."""
    machine = made_up()
    monkeypatch.setattr(rates, "best_rates", lambda found, *_: [Rate(1.0, has_gaps=gaps)] * len(found))
    of_model = ModelRates(machine, loaded.model, counter.modules, "float32")
    for rows in (1, 2, 1):
        assert of_model.seen(loaded.model, counter.modules, rows).has_gaps is gaps


def test_a_models_own_kernels_count_among_what_the_machine_can(
    counter: FlopCounter, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is faster than every kernel that was tried is not below its own limit."""
    machine = made_up()
    of_model = ModelRates(machine, loaded.model, counter.modules, "float32")
    monkeypatch.setattr(rates, "best_rates", lambda found, *_: [Rate(100.0 + number) for number, _ in enumerate(found)])
    seen = of_model.seen(loaded.model, counter.modules, 1)
    assert set(seen.machine.flops_per_s.values()) == {max(seen.own.flops_per_s.values())}
    assert all(seen.machine.bytes_per_s[phase] >= seen.own.bytes_per_s[phase] for phase in Phase)


def test_the_head_is_no_product_of_many_rows(counter: FlopCounter, loaded: LoadedModel) -> None:
    modules = {path: loaded.model.get_submodule(path) for path in counter.modules[Phase.DECODE]}
    linear = {path: module for path, module in modules.items() if isinstance(module, nn.Linear)}
    (head,) = [path for path in linear if path.endswith("lm_head")]
    largest = max(layer.in_features * layer.out_features for path, layer in linear.items() if path != head)
    dtype = str(loaded.pixel_dtype).removeprefix("torch.")
    found = contenders.own_products({Phase.DECODE: linear}, "cpu", dtype, WallWatch(), 1.0)
    assert {each.amount / 2 / rows for each, rows in zip(found, (16, 64, 256, 1024), strict=False)} == {largest}
    # Its weights are read, though.
    (read,) = {each.amount for each in contenders.own_reads({Phase.DECODE: linear}, 1, "cpu", dtype, 2**40)}
    assert read >= linear[head].weight.nbytes
    assert read <= weights_read(loaded.model, counter.modules)[Phase.DECODE]


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_every_kernel_works_on_the_models_own_card(
    checkpoint: Checkpoint, counter: FlopCounter, monkeypatch: pytest.MonkeyPatch, card: str
) -> None:
    """Fake tensors raise where two devices meet, and the rates of a card are none where a matrix lies on the host."""
    synthetic = Checkpoint("m", None, "r", checkpoint.config, weights=Weights.RANDOM)
    devices: set[str] = set()

    def noting(found: Sequence[Contender], *_: Any) -> list[Rate]:
        for each in found:
            made = each.run()
            devices.update({str(made.device)} if isinstance(made, torch.Tensor) else ())
        return [Rate(1.0)] * len(found)

    with cards_at_hand(), monkeypatch.context() as patch, fake_tensors(), working_on(card):
        patch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=50 * MIB))
        patch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
        patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
        patch.setattr(rates, "best_rates", noting)
        loaded = load_for(synthetic, card, "bf16")
        machine = Machine(card, WallWatch(), WallWatch())
        seen = ModelRates(machine, loaded.model, counter.modules, "bfloat16").seen(loaded.model, counter.modules, 2)
    assert devices == {card}
    tried = {f"{dtype} {kernel}" for dtype in ("float32", "float16", "bfloat16") for kernel in ("torch.mm", "linear")}
    assert set(seen.products) == {*tried, "int8 torch._int_mm", "layers in 16 bits"}


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_of_several_cards_one_is_measured_and_no_layer_of_the_model(
    checkpoint: Checkpoint, counter: FlopCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic = Checkpoint("m", None, "r", checkpoint.config, weights=Weights.RANDOM)
    devices: set[str] = set()

    def noting(found: Sequence[Contender], *_: Any) -> list[Rate]:
        for each in found:
            made = each.run()
            devices.update({str(made.device)} if isinstance(made, torch.Tensor) else ())
        return [Rate(1.0 + number) for number, _ in enumerate(found)]

    with cards_at_hand(), monkeypatch.context() as patch, fake_tensors(), working_on("+".join(CARDS)):
        patch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=50 * MIB))
        patch.setattr(rates, "best_rates", noting)
        loaded = load_for(synthetic, "+".join(CARDS), "bf16")
        machine = Machine(CARDS[0], WallWatch(), WallWatch())
        found = rates_of_card(machine, loaded.model, counter.modules, "bfloat16")
    assert devices == {CARDS[0]}
    assert set(found.flops_per_s.values()) == {machine.flops_per_s(16)}
    assert min(found.bytes_per_s.values()) > 0
