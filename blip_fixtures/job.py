"""A job: one case with all that measuring it needs, as plain data that can be pickled and written as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.case import DEFAULT_WARMUP_ROUNDS, MIN_ROUNDS, Case, NewTokens
from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.prompts import Prompt, find_prompts, why_impossible
from blip_fixtures.meters.rapl import DEFAULT_ROOT
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.record.units import AtLeastOne, Count
from blip_fixtures.spelling import did_you_mean
from blip_fixtures.words import DataErrors, Decoding, EnergyMode, PassName, Weights

if TYPE_CHECKING:
    from collections.abc import Collection

PACKAGED_SAMPLES = "sample"


class SampleSource(msgspec.Struct, frozen=True):
    """Where a dataset's samples come from.

    `source` is what `--blip-data` names and `override` what `--blip-dataset` does; `limit` is how many samples to take,
    `None` for all.
    """

    source: str = PACKAGED_SAMPLES
    override: str | None = None
    limit: AtLeastOne | None = None
    errors: DataErrors = DataErrors.FAIL


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What `Session.measure` measures. Make one with `Job.of`.

    `limit_of_protocol` says that nobody gave a number of new tokens, so that the protocol's holds where it has one.
    `rounds` of `None` are as many as the suite thinks right. `sweeps` are the sweeps that show the case. `again` makes
    it the second timing of a case that others are compared with; `process` is which of several processes times it.
    `turns_with` is the first row of the case's table: both are then timed in turns as well.
    """

    case: Case
    prompt: Prompt
    new_tokens: NewTokens = NewTokens()
    limit_of_protocol: bool = False
    samples: SampleSource = SampleSource()
    passes: tuple[PassName, ...] = tuple(PassName)
    rounds: AtLeastOne | None = None
    warmup_rounds: Count = DEFAULT_WARMUP_ROUNDS
    energy: EnergyMode = EnergyMode.AUTO
    rapl_root: str = str(DEFAULT_ROOT)
    hub_revision: str | None = None
    sweeps: tuple[str, ...] = ()
    again: bool = False
    process: AtLeastOne = 1
    turns_with: Case | None = None

    @classmethod
    def of(
        cls,
        case: Case,
        *,
        prompt: Prompt | None = None,
        new_tokens: NewTokens | None = None,
        timed: bool = True,
        **settings: Any,
    ) -> Job:
        """The job of a case, its prompt taken from the preset or file that the case names unless it is given.

        Without `new_tokens` answers are as long as the protocol allows, or as long as everybody's.
        Synthetic weights know no end token, so with them every row generates exactly as many tokens as are asked for:
        a limit alone would compare answers of chance lengths. The latency is always measured, unless the job is not
        `timed`: such a job has the pass of quality alone, whose samples several machines may share. Raises `ValueError`
        for prompts that cannot be, for a dataset or an optimization that nobody registered, and for other settings
        that cannot be.
        """
        find_dataset(case.dataset)
        find_optimization(case.optimization)
        chosen = find_prompts(case.prompts).of(case.dataset) if prompt is None else prompt
        problem = why_impossible(chosen, case.dataset)
        if problem is not None:
            raise ValueError(f"the prompt for {case.dataset} {problem}")
        limited = {"limit_of_protocol": True} if new_tokens is None else {"new_tokens": new_tokens}
        job = _checked(cls(case=case, prompt=chosen, **{**limited, **settings}))
        if not timed and set(job.passes) != {PassName.QUALITY}:
            raise ValueError(f"a job that is not timed measures {PassName.QUALITY} alone; leave the other passes out")
        always = (PassName.LATENCY,) if timed else ()
        passes = tuple(name for name in PassName if name in (*always, *job.passes))
        fixed = job.new_tokens.fixed or case.weights == Weights.RANDOM
        job = msgspec.structs.replace(job, passes=passes, new_tokens=NewTokens(job.new_tokens.limit, fixed))
        return job._as_long_as_its_protocol()

    def of_family(self, kinds: Collection[str]) -> Job:
        """As it is for a checkpoint of such a family: its protocol without variants, and the number of new tokens."""
        of_family = msgspec.structs.replace(self, prompt=self.prompt.of_family(kinds))
        if of_family.prompt.decoding == Decoding.RANK:
            # Nothing is generated, so that no number of tokens is asked for.
            of_family = msgspec.structs.replace(of_family, new_tokens=NewTokens(self.new_tokens.limit))
        return of_family._as_long_as_its_protocol()

    def _as_long_as_its_protocol(self) -> Job:
        limit = (self.prompt.max_new_tokens or NewTokens.limit) if self.limit_of_protocol else self.new_tokens.limit
        return msgspec.structs.replace(self, new_tokens=NewTokens(limit, self.new_tokens.fixed))

    @property
    def is_timed(self) -> bool:
        """Whether its rounds are timed."""
        return PassName.LATENCY in self.passes

    @property
    def reads_energy(self) -> bool:
        """Whether energy counters are read at all."""
        return self.energy != EnergyMode.OFF and PassName.ENERGY in self.passes

    def rounds_of(self, batches: int) -> int:
        """Timed rounds of a case with so many batches: every batch once, at least `MIN_ROUNDS`, unless it is said."""
        return self.rounds or max(MIN_ROUNDS, batches)

    def second_timing(self) -> Job:
        """The same latency once more, after the cases that are compared with this one."""
        return msgspec.structs.replace(self, passes=(PassName.LATENCY,), again=True, turns_with=None)

    def first_row(self) -> Job:
        """That of the first row of the case's table, measured as this one is."""
        assert self.turns_with is not None
        case = replace(self.turns_with, device=self.case.device)
        return msgspec.structs.replace(self, case=case, turns_with=None)

    def in_process(self, number: int) -> Job:
        """The same latency in a further process, the first of which is 2."""
        return msgspec.structs.replace(self, passes=(PassName.LATENCY,), process=number)

    def to_json(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> Job:
        """From `to_json`. Raises `msgspec.ValidationError`."""
        return msgspec.json.decode(text, type=cls)


def _checked(job: Job) -> Job:
    """The job, its settings of the types that they should have. Raises `ValueError`."""
    unknown = [] if isinstance(job.passes, str) else [name for name in job.passes if name not in list(PassName)]
    if unknown:
        hint = did_you_mean(str(unknown[0]), PassName)
        raise ValueError(f"unknown pass {unknown[0]!r}; there are {', '.join(PassName)}{hint}")
    if job.new_tokens.limit < 1:
        raise ValueError(f"new_tokens.limit is {job.new_tokens.limit}; give a whole number of at least 1")
    try:
        return msgspec.convert(msgspec.to_builtins(job), Job)
    except msgspec.ValidationError as error:
        said, _, field = str(error).partition(" - at `$.")
        raise ValueError(f"{field.rstrip('`')} of a job cannot be so: {said}; see the fields of Job") from None
