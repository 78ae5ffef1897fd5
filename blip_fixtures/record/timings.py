"""What the rounds of a case took: alone, and in turns with another case."""

from __future__ import annotations

import msgspec

from blip_fixtures.record.units import Amount, Conditions, Count, Name, Rounds, Seconds


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds per batch. Round i ran batch i modulo the number of batches.

    `reference_s` are those of the fixed matrix product just before each round, in the same order. `conditions` are what
    a GPU told of its clocks just after each round; a processor tells nothing.
    """

    mean_s: Seconds | None
    median_s: Seconds | None
    stddev_s: Seconds | None
    p90_s: Seconds | None
    rounds_s: Rounds
    reference_s: Rounds
    warmup_rounds: Count | None
    conditions: Conditions = ()


class Turns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds of rounds in turn with those of the case `first`, both of pair i on batch i modulo the number of batches.

    Even pairs began with the first row, odd ones with this one, so that what drifts falls on both.
    """

    first: Name
    first_s: Rounds
    own_s: Rounds


class Throughput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the timed rounds got done: all their samples, and all the tokens of their answers, over all their seconds.

    A round counts what its own batch has. Of an answer every token up to its end counts, the end token among them;
    with beams those of the answer that won.
    """

    samples_per_s: Amount | None
    tokens_per_s: Amount | None
