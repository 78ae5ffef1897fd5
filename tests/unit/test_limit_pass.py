"""The limit pass on rates and rounds that are made up: what goes into the record, and what it says beside it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.flops import BatchShape, FlopCount
from blip_fixtures.engine.limits import Rates
from blip_fixtures.engine.passes import limit as limit_pass
from blip_fixtures.engine.passes.base import Found
from blip_fixtures.engine.passes.latency import summarize
from blip_fixtures.engine.passes.limit import LimitPass
from blip_fixtures.engine.rates import SeenRates
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Limit, Phases
from blip_fixtures.words import Bound, Phase

MACHINE = Rates(dict.fromkeys(Phase, 100.0), dict.fromkeys(Phase, 10.0))
OWN = Rates(dict.fromkeys(Phase, 25.0), dict.fromkeys(Phase, 5.0))
# Without weights and decoding, a batch takes its FLOPs over the rate: one second, and ten.
LIGHT, HEAVY = FlopCount(50, 25, 25, 0), FlopCount(500, 250, 250, 0)


def context(
    checkpoint: Checkpoint, counts: list[FlopCount], rounds_s: list[float], *, steps: int = 1, device: str = "cpu"
) -> Any:
    """Stands in for `Context`, with what the pass asks it."""
    shape = BatchShape(batch_size=1, image_size=224, qformer_tokens=5, text_tokens=5, steps=steps)
    found = Found(latency=summarize(rounds_s, rounds_s, 0), counted=[(shape, count) for count in counts])
    dtype = SimpleNamespace(itemsize=2)
    loaded = SimpleNamespace(model=None, checkpoint=checkpoint, pixel_dtype=dtype, runner=None)
    tools = SimpleNamespace(
        rates=lambda _: SeenRates(MACHINE, OWN, {"float32 linear": 100.0}),
        flop_counter=lambda _: SimpleNamespace(modules=dict.fromkeys(Phase, ())),
        timer=lambda _: lambda: 0.0,
    )
    job = SimpleNamespace(case=SimpleNamespace(device=device))
    return SimpleNamespace(
        job=job,
        workload=SimpleNamespace(loaded=loaded, ranks=False),
        tools=tools,
        found=found,
        latency=lambda: found.latency,
    )


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("device", "steps"), [("cuda:0", 1), ("cuda:0", 3), ("cpu", 1)])
def test_every_record_whose_own_rates_have_gaps_says_so(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, device: str, steps: int, gaps: bool
) -> None:
    """With and without a known share of decoding, and without decoding."""
    monkeypatch.setattr(limit_pass, "decoding_busy_share", lambda *_: 0.9)
    given = context(checkpoint, [LIGHT], [1e6], steps=steps, device=device)
    given.tools.rates = lambda _: SeenRates(MACHINE, OWN, {}, has_gaps=gaps)
    limit_of(given)
    assert given.found.notes == ([Reason.of("gaps_in_own_rates", scope="limit")] if gaps else [])


def test_every_record_names_the_kernels_that_the_device_refused(checkpoint: Checkpoint) -> None:
    given = context(checkpoint, [LIGHT], [3.0])
    refused = {"int8 torch._int_mm": "RuntimeError: not supported", "float32 mv": "RuntimeError: no"}
    given.tools.rates = lambda _: SeenRates(MACHINE, OWN, {}, refused=refused)
    limit_of(given)
    assert given.found.notes == [
        Reason.of("kernel_refused", scope="limit", kernel=kernel, error=error) for kernel, error in refused.items()
    ]


@pytest.mark.parametrize(("steps", "longest"), [((1, 5), 1), ((5, 1), 0), ((2, 5, 5), 1)])
def test_the_busy_share_is_that_of_the_batch_with_the_most_steps(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...], longest: int
) -> None:
    given = context(checkpoint, [LIGHT] * len(steps), [3.0], device="cuda:0")
    given.found.counted = [
        (replace(shape, steps=count), flops) for (shape, flops), count in zip(given.found.counted, steps, strict=True)
    ]
    ran: list[int] = []
    given.workload.inputs = lambda number: number
    given.workload.generate = ran.append

    def share(_runner: Any, generate: Any, *_: Any) -> float:
        generate()
        return 0.75

    monkeypatch.setattr(limit_pass, "decoding_busy_share", share)
    assert limit_of(given).busy_share == 0.75
    assert ran == [longest]


def limit_of(given: Any) -> Limit:
    LimitPass().run(given)
    assert given.found.limit is not None
    return given.found.limit  # type: ignore[no-any-return]  # of a stand-in


def test_every_field_of_the_limit_is_filled_or_has_its_reason(checkpoint: Checkpoint) -> None:
    given = context(checkpoint, [LIGHT], [3.0], steps=3)
    found = limit_of(given)
    for name in msgspec.structs.fields(Limit):
        value = getattr(found, name.name)
        assert value or f"limit.{name.name}" in given.found.missing, name.name


def test_ratio_and_share_stand_on_their_own_rates(checkpoint: Checkpoint) -> None:
    found = limit_of(context(checkpoint, [LIGHT], [3.0, 4.0, 5.0]))
    assert (found.seconds, found.ratio, found.share) == (1.0, 4.0, 0.25)
    assert (found.flops_per_s, found.own_flops_per_s) == (100.0, OWN.flops_per_s)
    assert found.phases_share == {Phase.VISION: 0.25, Phase.QFORMER: 0.25, Phase.PREFILL: 0.25}


def test_uneven_batches_give_no_ratio_below_one_and_no_note(checkpoint: Checkpoint) -> None:
    """Each round takes exactly its own least time; the median latency is 1 s and the mean floor 4 s."""
    given = context(checkpoint, [LIGHT, HEAVY, LIGHT], [1.0, 10.0, 1.0])
    found = limit_of(given)
    assert (found.ratio, found.batches_s) == (1.0, (1.0, 10.0, 1.0))
    assert given.found.notes == []


@pytest.mark.parametrize(
    ("rounds_s", "noted"),
    [([0.9, 0.9, 0.9, 0.9], True), ([0.9, 0.9, 0.9, 1.5], False), ([0.99, 0.98, 1.01, 1.02], False), ([1.5], False)],
)
def test_what_is_below_by_more_than_the_spread_gets_a_note(
    checkpoint: Checkpoint, rounds_s: list[float], noted: bool
) -> None:
    given = context(checkpoint, [LIGHT], rounds_s)
    limit_of(given)
    note = Reason.of("faster_than_measured", scope="limit", percent=90.0)
    assert given.found.notes == ([note] if noted else [])


@pytest.mark.parametrize(
    ("busy", "bound", "reason"),
    [(0.1, Bound.HOST, None), (0.9, Bound.MEMORY, None), (None, Bound.MEMORY, Reason.of("kernels_not_seen"))],
)
def test_on_cuda_decoding_is_the_hosts_where_the_device_waits(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, busy: float | None, bound: Bound, reason: Reason | None
) -> None:
    asked: list[str] = []

    def share(_runner: Any, _generate: Any, device: str, _timer: Any) -> float | None:
        asked.append(device)
        return busy

    monkeypatch.setattr(limit_pass, "decoding_busy_share", share)
    given = context(checkpoint, [LIGHT], [3.0], steps=3, device="cuda:0")
    found = limit_of(given)
    assert asked == ["cuda:0"]
    assert found.busy_share == busy
    assert (found.bound_by or {})[Phase.DECODE] == bound
    assert given.found.missing.get("limit.busy_share") == reason


@pytest.mark.parametrize(
    ("device", "steps", "code"),
    [("cpu", 3, "no_host_beside"), ("cpu", 1, "no_host_beside"), ("cuda:0", 1, "one_token")],
)
def test_nobody_asks_how_busy_a_device_is_that_has_no_host_or_does_not_decode(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, device: str, steps: int, code: str
) -> None:
    monkeypatch.setattr(limit_pass, "decoding_busy_share", None)
    given = context(checkpoint, [LIGHT], [3.0], steps=steps, device=device)
    assert limit_of(given).busy_share is None
    assert given.found.missing["limit.busy_share"].code == code


def test_the_phases_are_held_against_the_batches_that_their_pass_took(checkpoint: Checkpoint) -> None:
    phases = Phases(
        vision_s=11.0,
        qformer_s=5.5,
        prefill_s=2.75,
        decode_per_token_s=None,
        time_to_first_token_s=None,
        decode_s=0.0,
        rounds=2,
    )
    given = context(checkpoint, [LIGHT, HEAVY, HEAVY], [3.0])
    given.found.phases = phases
    # Of the first two batches 0.5 and 5 s, 0.25 and 2.5 s, 0.25 and 2.5 s.
    assert limit_of(given).phases_ratio == {Phase.VISION: 4.0, Phase.QFORMER: 4.0, Phase.PREFILL: 2.0}
    assert "limit.phases_ratio" not in given.found.missing


@pytest.mark.parametrize("names", [("H", "H"), ("H", "L")])
def test_cards_that_are_alike_have_a_limit_together(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    """At the rates of one of them; what cards of two kinds can do together is not known."""
    monkeypatch.setattr(limit_pass, "decoding_busy_share", lambda *_: 0.9)
    monkeypatch.setattr(limit_pass, "device_name", dict(zip(("cuda:0", "cuda:1"), names, strict=True)).get)
    given = context(checkpoint, [LIGHT], [3.0], device="cuda:0+cuda:1")
    given.tools.rates_of_card = lambda _: MACHINE
    del given.tools.rates
    if names[0] != names[1]:
        LimitPass().run(given)
        assert given.found.limit is None
        reason = given.found.missing["limit"]
        assert (reason.code, reason.args["names"]) == ("cards_differ", ["H", "L"])
        return
    found = limit_of(given)
    assert (found.seconds, found.ratio, found.share) == (1.0, 3.0, None)
    assert given.found.missing["limit.share"].code == "own_rates_on_one_card"
    assert [note.code for note in given.found.notes] == ["limit_of_alike_cards"]
