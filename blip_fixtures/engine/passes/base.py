"""What a pass is, what it gets, and where it puts what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from blip_fixtures.optimizations import find_optimization
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, PassName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from blip_fixtures.engine.flops import BatchShape, FlopCount, FlopCounter
    from blip_fixtures.engine.limits import Rates
    from blip_fixtures.engine.loop import Loop
    from blip_fixtures.engine.peak_memory import PeakMemory
    from blip_fixtures.engine.rates import SeenRates
    from blip_fixtures.engine.workload import BatchAnswers, Workload
    from blip_fixtures.job import Job
    from blip_fixtures.meters import Meter, MeterError
    from blip_fixtures.optimizations import Optimization
    from blip_fixtures.record import Energy, Flops, Latency, Limit, Memory, Metric, Phases, Throughput, Tokens, Turns


class Tools(Protocol):
    """What a session measures once and lends to the passes of all its jobs."""

    def reference(self, device: str) -> Callable[[], float]:
        """The reference product of `device`: seconds that it takes now."""

    @property
    def timer(self) -> Callable[[str], Callable[[], float]]:
        """Device -> a clock in seconds that waits for it."""

    @property
    def on_round(self) -> Callable[[], None]:
        """To be called when a round begins."""

    def flop_counter(self, job: Job) -> FlopCounter:
        """That of the checkpoint's architecture."""

    def rates(self, workload: Workload) -> SeenRates:
        """The best of the loaded model's device, and those of its own layers."""

    def rates_of_card(self, workload: Workload) -> Rates:
        """The best of the first card, for a model across several that are like it."""

    def meters(self, job: Job) -> Mapping[Domain, Meter]:
        """Energy meters by domain, the device's own first."""

    def absent_meters(self, job: Job) -> Mapping[Domain, Energy]:
        """Domains without a meter, each with its reason."""

    def idle_watts(self, job: Job) -> Mapping[Domain, float | MeterError]:
        """Watts of the loaded model while it does nothing, by domain."""

    def give_up(self, job: Job, domain: Domain, reason: Reason) -> None:
        """From now on the domain is absent."""


@dataclass(frozen=True)
class Peak:
    """One watched call, and what the model kept of the calls before it."""

    memory: PeakMemory
    held_bytes: int


@dataclass
class Found:
    """What the passes of one job found: parts of its record."""

    latency: Latency | None = None
    throughput: Throughput | None = None
    turns: Turns | None = None
    # By number, the batches of a job that is not timed, which several processes may have answered.
    answered: Mapping[int, BatchAnswers] = field(default_factory=dict)
    # Token ids (batch, tokens) of each round's answers, on the device; empty where a loop hands none back.
    generated: list[Any] = field(default_factory=list)
    # The decoder's steps by batch, of those that were watched.
    steps: dict[int, int] = field(default_factory=dict)
    peak: Peak | None = None
    phases: Phases | None = None
    walked: list[BatchAnswers] = field(default_factory=list)
    tokens: Tokens | None = None
    predictions: tuple[str, ...] = ()
    sample_ids: tuple[str, ...] = ()
    quality: dict[str, Metric] = field(default_factory=dict)
    energy: dict[Domain, Energy] = field(default_factory=dict)
    memory: Memory | None = None
    counted: list[tuple[BatchShape, FlopCount]] = field(default_factory=list)
    flops: Flops | None = None
    limit: Limit | None = None
    model_load_s: float | None = None
    applied: dict[str, Any] = field(default_factory=dict)
    notes: list[Reason] = field(default_factory=list)
    missing: dict[str, Reason] = field(default_factory=dict)
    # Whether a pass ran out of memory: the next job must not find the model as that pass left it.
    exhausted: bool = False

    def copy(self) -> Found:
        """The same parts in containers of its own, so that what is added to one of them is not in the other."""
        return replace(
            self,
            generated=list(self.generated),
            steps=dict(self.steps),
            walked=list(self.walked),
            quality=dict(self.quality),
            energy=dict(self.energy),
            counted=list(self.counted),
            applied=dict(self.applied),
            notes=list(self.notes),
            missing=dict(self.missing),
        )


@dataclass
class Context:
    """One job on its way through the passes."""

    job: Job
    workload: Workload
    loop: Loop
    tools: Tools
    found: Found = field(default_factory=Found)
    # The first row of the job's table, where it is to be timed in turns with it, or why it cannot be at hand.
    first_row: Callable[[], Workload | Reason] | None = None
    # The passes that run: those that were asked for, and what they need.
    running: tuple[Pass, ...] = ()
    _shapes_seen: set[tuple[Any, ...]] = field(default_factory=set)

    @property
    def rounds(self) -> int:
        """Timed rounds of the job."""
        return self.job.rounds_of(self.workload.batches)

    @cached_property
    def optimization(self) -> Optimization:
        """The case's own."""
        return find_optimization(self.job.case.optimization)

    @property
    def needs_answers(self) -> bool:
        """Whether every batch must be answered: for what the model says, or for how many tokens that takes."""
        return any(
            each.reads_answers and (each.name == PassName.QUALITY or not self.job.new_tokens.fixed)
            for each in self.running
        )

    @property
    def needs_steps(self) -> bool:
        """Whether the decoder's steps on the timed batches must be known."""
        return not self.job.new_tokens.fixed and any(each.reads_steps for each in self.running)

    def steps_of(self, number: int, generated: Any) -> int | None:
        """The decoder's steps that made these answers of batch `number`; with beams known of a watched batch alone."""
        if self.workload.ranks:
            return self.workload.loaded.family.ranking_steps
        return self.found.steps.get(number, int(generated.shape[1]) if self.workload.prompt.num_beams == 1 else None)

    def latency(self) -> Latency:
        """What the latency pass found; it always comes first."""
        assert self.found.latency is not None
        return self.found.latency

    def inputs_in_turn(self, numbers: Iterable[int]) -> Callable[[], dict[str, Any]]:
        """Each call prepares the next of these batches; batch 0 where a loop asks for one more."""
        turn = iter(numbers)

        def next_inputs() -> dict[str, Any]:
            self.tools.on_round()
            return self.workload.inputs(next(turn, 0))

        return next_inputs

    def meet_shapes(self, numbers: Iterable[int]) -> None:
        """On CUDA, one untimed call for each shape of inputs among these batches that no call before has had.

        Its libraries choose a kernel, or build a plan, when they meet a shape for the first time (cuDNN's attention on
        Hopper and later). The call takes as many tokens as the job allows, for each step has a shape of its own.
        """
        if self.job.case.device == "cpu":
            return
        for number in numbers:
            shapes = self.workload.batch(number).shapes
            if shapes not in self._shapes_seen:
                self._shapes_seen.add(shapes)
                self.workload.generate(self.workload.inputs(number), replace(self.job.new_tokens, fixed=True))


class Pass(ABC):
    """One walk over a case's batches for one purpose.

    `name` is what `--blip-measure` calls it, or that of a preparation that others need and nobody asks for. `needs`
    names what must have run before. `reads_answers` says that it looks at the answers of all batches, or at how many
    tokens they have; `reads_steps` that it looks at the decoder's steps on the timed ones.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    reads_answers: ClassVar[bool] = False
    reads_steps: ClassVar[bool] = False

    @abstractmethod
    def run(self, context: Context) -> None:
        """Measure, and put what was found into `context.found`."""

    def give_up(self, context: Context, reason: Reason) -> None:
        """Say why the record has no such part: it, or a pass that it needs, ran out of memory."""
        context.found.missing[self.name] = reason

    def leave_out(self, context: Context) -> None:
        """Say why the record has no such part: nobody asked for it."""
        if self.name in PassName.__members__.values():
            context.found.missing[self.name] = Reason.of("not_asked_for")
