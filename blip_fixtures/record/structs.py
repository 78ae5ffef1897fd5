"""The one definition of a record, version 2. Types, validation and `record.schema.json` come from it.

`units.py` has the bounds of its numbers and texts, `timings.py` what the rounds took, `environment.py` what is known of
its environment, `conditions.py` where its samples came from and how answers were generated.

Missing is null with a reason under `missing`, never 0. After a change here, write the schema again:
``python -m tools.record_schema``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from blip_fixtures.bounds import MOST_SAMPLES
from blip_fixtures.plain import Facts
from blip_fixtures.reasons import Reason
from blip_fixtures.record.cards import CardEnergy, CardMemory
from blip_fixtures.record.conditions import Data, Generation
from blip_fixtures.record.timings import Latency, Throughput, Turns
from blip_fixtures.record.units import (
    Amount,
    AtLeastOne,
    BatchSeconds,
    Bytes,
    Conditions,
    Count,
    Few,
    Joules,
    Key,
    Model,
    Name,
    NetJoules,
    Ratio,
    Score,
    Seconds,
    Share,
    Text,
    Watts,
    Word,
)
from blip_fixtures.words import Bound, Domain, EnergyStatus, IntervalMethod, Phase, Status, Weights

SCHEMA_VERSION = 2

Reasons = Annotated[tuple[Reason, ...], Few]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a record: plain, frozen, without fields that it does not name."""


class CaseFields(Part, frozen=True, kw_only=True):
    """The case, with the device's marketing name beside its torch name."""

    model: Model
    weights: Weights
    device: Annotated[Word, Meta(description="A torch device: cpu, cuda:0; cuda:0+cuda:1 across two cards; cuda@H100.")]
    device_name: Word | None
    optimization: Word
    dataset: Name
    batch_size: AtLeastOne
    image_size: AtLeastOne
    sequence_length: AtLeastOne
    prompts: Word | None


class Phases(Part, frozen=True, kw_only=True):
    """Seconds per batch and phase, means over the pass of their own.

    The time to the first token is the first three together. `sum_s` is the whole call, `latency_ratio` its share of the
    latency pass's mean over the same rounds.
    """

    vision_s: Seconds | None
    qformer_s: Seconds | None
    prefill_s: Seconds | None
    decode_per_token_s: Seconds | None
    time_to_first_token_s: Seconds | None
    decode_s: Seconds | None = None
    sum_s: Seconds | None = None
    rounds: AtLeastOne | None = None
    latency_ratio: Ratio | None = None

    @property
    def same_rounds_s(self) -> float | None:
        """The latency pass's mean over the same rounds, seconds per batch."""
        return self.sum_s / self.latency_ratio if self.sum_s is not None and self.latency_ratio else None


class EnergyWindow(Part, frozen=True, kw_only=True):
    """One window of the energy pass: `joules` within `error_bound_j` of the truth."""

    joules: Joules
    error_bound_j: Joules
    window_s: Seconds
    samples: Count
    tokens: Count


class Energy(Part, frozen=True, kw_only=True):
    """What one meter domain saw. `status` is ``ok`` or names why there is no number, or a weaker one.

    `joules`, `error_bound_j`, `window_s` and `samples` are sums over `windows`. `conditions` are the device's own facts
    before and after each window. `further_reasons` stand beside `reason` where there are several. A device of several
    cards has the sum over them, and each card's part in `by_card`.
    """

    joules_per_sample: Joules | None
    joules_per_token: Joules | None
    joules: Joules | None
    window_s: Seconds | None
    samples: Count | None
    error_bound_j: Joules | None
    idle_watts: Watts | None
    net_joules_per_sample: NetJoules | None
    status: EnergyStatus
    reason: Reason | None
    source: Word | None
    scope: Annotated[Word, Meta(description="machine, board or parent_gpu.")] | None
    further_reasons: Reasons = ()
    update_period_s: Seconds | None = None
    windows: Annotated[tuple[EnergyWindow, ...], Few] = ()
    by_card: Annotated[Mapping[Key, CardEnergy], Few] = {}
    conditions: Conditions = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All of them, the first one first."""
        return (*(() if self.reason is None else (self.reason,)), *self.further_reasons)


class Flops(Part, frozen=True, kw_only=True):
    """Floating-point operations per batch, 2 x multiply-accumulates, the mean over the batches."""

    total: Amount | None
    vision: Amount | None
    qformer: Amount | None
    prefill: Amount | None
    decode: Amount | None
    counter: Word | None


class Memory(Part, frozen=True, kw_only=True):
    """Bytes. `kind` says what grew by the peak: ``process_rss`` or ``cuda_allocator``.

    The peak is the weights, what the model keeps between calls, and what a call adds. `held_bytes` is the second of
    them: static caches, buffers and the memory of CUDA graphs. `reserved_bytes` is the most that CUDA's allocator took
    of the device meanwhile, for whatever purpose, with what it kept unused. Of several cards each field is the sum, and
    each card's part is in `by_card`; their peaks need not be at the same moment.
    """

    weights_bytes: Bytes | None
    peak_bytes: Bytes | None
    kind: Word | None
    held_bytes: Bytes | None = None
    reserved_bytes: Bytes | None = None
    by_card: Annotated[Mapping[Key, CardMemory], Few] = {}


class Metric(Part, frozen=True, kw_only=True):
    """A metric over the whole dataset and its value for each sample; `interval` holds 95 %.

    In records that do not name the method it is the bootstrap's, and may be a point: `quality.intervals.interval_of`.
    """

    value: Score | None
    per_sample: Annotated[tuple[Score | None, ...], Meta(max_length=MOST_SAMPLES)]
    higher_is_better: bool
    interval: tuple[Score, Score] | None = None
    interval_method: IntervalMethod | None = None


class Tokens(Part, frozen=True, kw_only=True):
    """Text tokens per sample; query tokens are not counted."""

    input_mean: Amount | None
    input_max: Count | None
    truncated_share: Share | None
    output_mean: Amount | None
    output_max: Count | None


class Limit(Part, frozen=True, kw_only=True):
    """The least time this machine allows, and how many times longer the rounds took.

    `seconds`, `phases_s` and the rates are the machine's: of the fastest kernels that were seen on it at the row's
    precision or a higher one (`products_per_s`: FLOP/s by kernel), or of the row's own where those are faster. `ratio`
    is the median over the rounds, each over the least time of its own batch (`batches_s`, round i ran batch i modulo
    their number); `phases_ratio` is that of the phase pass. `share` is what the row's own kernels reach of the limit,
    the least time over that at `own_flops_per_s` and `own_bytes_per_s`. `bound_by` says of each phase what binds it,
    `busy_share` for how much of decoding a GPU is busy. In records before them `ratio` is the median latency over the
    mean least time, at the rates of the row's own kernels.
    """

    seconds: Seconds | None
    ratio: Ratio | None
    bound_by: Mapping[Phase, Bound] | None
    phases_s: Mapping[Phase, Seconds] | None = None
    flops_per_s: Amount | None = None
    bytes_per_s: Mapping[Phase, Amount] | None = None
    share: Share | None = None
    phases_share: Mapping[Phase, Share] | None = None
    phases_ratio: Mapping[Phase, Ratio] | None = None
    batches_s: BatchSeconds = ()
    own_flops_per_s: Mapping[Phase, Amount] | None = None
    own_bytes_per_s: Mapping[Phase, Amount] | None = None
    products_per_s: Annotated[Mapping[Key, Amount], Few] | None = None
    busy_share: Share | None = None


class Record(Part, frozen=True, kw_only=True):
    """Everything one case produced. Stands in extra_info["blip"] of pytest-benchmark's JSON.

    `config_hash` is the digest of the settings: equal for two records that measured the same thing the same way.
    `again` marks the second timing of a case that others are compared with, at the end of the run: a record of its own
    with a latency alone. So is that of each further `process` that timed the case; they are numbered from 1.
    `sample_ids` are what the dataset calls the samples of `predictions`, in the same order.
    """

    schema_version: Literal[2] = 2
    case_id: Annotated[Name, Meta(description="Such as textvqa-cpu-fp16-batch01-image0224-seq200.")]
    config_hash: Word | None
    sweeps: Annotated[tuple[Name, ...], Few]
    case: CaseFields
    status: Status
    reason: Reason | None = None
    again: bool = False
    process: AtLeastOne = 1
    latency: Latency | None = None
    throughput: Throughput | None = None
    turns: Turns | None = None
    phases: Phases | None = None
    energy: Mapping[Domain, Energy] = {}
    flops: Flops | None = None
    memory: Memory | None = None
    quality: Annotated[Mapping[Key, Metric], Few] = {}
    predictions: Annotated[tuple[Text, ...], Meta(max_length=MOST_SAMPLES)] = ()
    sample_ids: Annotated[tuple[Word, ...], Meta(max_length=MOST_SAMPLES)] = ()
    model_load_s: Seconds | None = None
    tokens: Tokens | None = None
    limit: Limit | None = None
    data: Data | None = None
    generation: Generation | None = None
    environment: Facts = {}
    applied: Facts = {}
    notes: Reasons = ()
    missing: Annotated[Mapping[Key, Reason], Few] = {}

    @property
    def is_further(self) -> bool:
        """Whether it times a case once more that has a record of its own."""
        return self.again or self.process > 1

    def to_json(self, *, indent: int = 1) -> str:
        """The record as a text of JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=indent).decode()


def as_plain(record: Record) -> dict[str, Any]:
    """The record as JSON has it: dicts, lists, texts and numbers."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return plain
