"""The energy pass: windows of back-to-back calls over a case's batches, each as long as the slowest counter needs."""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.engine.machine_load import OtherProcesses, machine_facts
from blip_fixtures.engine.window import Span, energy_window
from blip_fixtures.meters import MeterError, absent
from blip_fixtures.meters.joined import JoinedMeter
from blip_fixtures.reasons import Reason
from blip_fixtures.record import CardEnergy, Energy, EnergyWindow
from blip_fixtures.words import Domain, EnergyStatus, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from blip_fixtures.engine.window import WindowEnergy
    from blip_fixtures.meters import Conditions, Meter

WINDOWS = 2
# A counter must move so often within a window that one move more or less hardly matters.
PERIODS_A_WINDOW = 50
# Windows of one case that differ by more than their bounds and this share of their mean are named.
SPREAD = 0.1
# Other processes with more than this share of the busy processor time are named.
OTHERS_SHARE = 0.1


@dataclass(frozen=True)
class Call:
    """One ``generate`` call of the pass, and how many samples and generated tokens it stands for."""

    run: Callable[[], object]
    samples: int
    tokens: int


@dataclass(frozen=True)
class Timing:
    """Where the pass takes its time from, so that a test can give it another."""

    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    random_share: Callable[[], float] = random.random


@dataclass
class EnergyFound:
    """The record's `energy` by domain, why single fields of it are null, and what a reader must know besides."""

    energy: dict[Domain, Energy] = field(default_factory=dict)
    missing: dict[str, Reason] = field(default_factory=dict)
    notes: list[Reason] = field(default_factory=list)


@dataclass(frozen=True)
class _Window:
    spans: dict[Domain, Span]
    samples: int
    tokens: int
    others_share: float
    machine: tuple[dict[str, Any], dict[str, Any]]


def energy_pass(
    meters: Mapping[Domain, Meter],
    calls: Sequence[Call],
    idle_watts: Mapping[Domain, float | MeterError],
    synchronize: Callable[[], None],
    *,
    timing: Timing | None = None,
) -> EnergyFound:
    """Gross and net joules per sample and joules per token for every domain in `meters`.

    Each window holds whole calls, `calls` over and over, for as long as its slowest counter needs; the second begins
    after a random gap, so that no rhythm of the counter can hide in both. A meter that fails keeps its domain's
    reason; the others are not affected. What a call raises is raised.
    """
    timing = timing or Timing()
    with opened(meters) as (ready, failed):
        found = EnergyFound({domain: _failure(meters[domain], error) for domain, error in failed.items()})
        windows: list[_Window] = []
        turn = 0
        for number in range(WINDOWS if ready else 0):
            if number:
                timing.sleep(timing.random_share() * max(meter.update_period_s for meter in ready.values()))
            window, turn = _measured_window(ready, calls, turn, synchronize, timing)
            windows.append(window)
    for domain, meter in ready.items():
        entry, missing = _entry(domain, meter, windows, idle_watts.get(domain))
        found.energy[domain] = entry
        found.missing |= {f"energy.{domain}.{name}": reason for name, reason in missing.items()}
    found.energy = {domain: found.energy[domain] for domain in meters}
    return found


@contextlib.contextmanager
def opened(meters: Mapping[Domain, Meter]) -> Iterator[tuple[dict[Domain, Meter], dict[Domain, MeterError]]]:
    """The meters that open, and the errors of those that do not. No other pass has a meter open beside it."""
    ready: dict[Domain, Meter] = {}
    failed: dict[Domain, MeterError] = {}
    with contextlib.ExitStack() as stack:
        for domain, meter in meters.items():
            try:
                meter.open()
            except MeterError as error:
                failed[domain] = error
            else:
                stack.callback(meter.close)
                ready[domain] = meter
        yield ready, failed


def window_s(meters: Mapping[Domain, Meter]) -> float:
    """Seconds that the most demanding of the meters needs."""
    return max(max(meter.least_window_s, PERIODS_A_WINDOW * meter.update_period_s) for meter in meters.values())


def _measured_window(
    meters: Mapping[Domain, Meter], calls: Sequence[Call], turn: int, synchronize: Callable[[], None], timing: Timing
) -> tuple[_Window, int]:
    """One window that begins with call `turn`, and the turn of the next."""
    samples = tokens = 0
    least_s = window_s(meters)
    synchronize()
    before = machine_facts()
    others = OtherProcesses()
    with energy_window(list(meters.values())) as spans:
        start_s = timing.clock()
        while timing.clock() - start_s < least_s:
            call = calls[turn % len(calls)]
            call.run()
            samples, tokens, turn = samples + call.samples, tokens + call.tokens, turn + 1
        synchronize()
    share = others.share()
    watched = dict(zip(meters, spans, strict=True))
    return _Window(watched, samples, tokens, share, (before, machine_facts())), turn


def _failure(meter: Meter, error: MeterError) -> Energy:
    return absent(error.status, error.reason, source=meter.source, scope=meter.scope)


def _entry(
    domain: Domain, meter: Meter, windows: Sequence[_Window], idle: float | MeterError | None
) -> tuple[Energy, dict[str, Reason]]:
    """The domain's part of the record, and why single fields of it are null."""
    try:
        energies = [window.spans[domain].energy() for window in windows]
    except MeterError as error:
        # What the device said of itself holds for the other passes too, with a number or without.
        seen = [condition for window in windows for condition in window.spans[domain].conditions]
        said = _once_each([reason for each in seen for reason in (*each.contended, *each.degraded)])
        return msgspec.structs.replace(_failure(meter, error), further_reasons=tuple(said)), {}
    joules = sum(energy.joules for energy in energies)
    total_s = sum(energy.window_s for energy in energies)
    samples, tokens = sum(window.samples for window in windows), sum(window.tokens for window in windows)
    parts = tuple(
        EnergyWindow(
            joules=energy.joules,
            error_bound_j=energy.error_bound_j,
            window_s=energy.window_s,
            samples=window.samples,
            tokens=window.tokens,
        )
        for energy, window in zip(energies, windows, strict=True)
    )
    conditions = [condition for window in windows for condition in window.spans[domain].conditions]
    status, reasons = _doubts(meter, windows, parts, conditions)
    is_own = meter.scope != Scope.PARENT_GPU
    idle_watts = idle if isinstance(idle, float) else None
    return Energy(
        joules_per_sample=joules / samples if is_own else None,
        joules_per_token=joules / tokens if is_own and tokens else None,
        joules=joules,
        window_s=total_s,
        samples=samples,
        error_bound_j=sum(energy.error_bound_j for energy in energies),
        idle_watts=idle_watts,
        net_joules_per_sample=(joules - idle_watts * total_s) / samples if is_own and idle_watts is not None else None,
        status=status,
        reason=reasons[0] if reasons else None,
        further_reasons=reasons[1:],
        source=meter.source,
        scope=meter.scope,
        update_period_s=meter.update_period_s,
        windows=parts,
        by_card=_by_card(meter, energies, samples if is_own else None),
        conditions=tuple(facts for window in windows for facts in window.machine)
        if meter.scope == Scope.MACHINE
        else tuple(condition.facts for condition in conditions),
    ), _missing(idle, tokens)


def _by_card(meter: Meter, energies: Sequence[WindowEnergy], samples: int | None) -> dict[str, CardEnergy]:
    """Of a meter over several cards, each one's sums; without `samples` the counter also saw other work."""
    if not isinstance(meter, JoinedMeter):
        return {}
    found = {}
    for place, card in enumerate(meter.by_card):
        joules, bound_j = (sum(energy.zones[place][which] for energy in energies) for which in (0, 1))
        found[card] = CardEnergy(
            joules=joules, error_bound_j=bound_j, joules_per_sample=joules / samples if samples else None
        )
    return found


def _missing(idle: float | MeterError | None, tokens: int) -> dict[str, Reason]:
    """Why fields are null though the domain has a number."""
    missing: dict[str, Reason] = {}
    if not isinstance(idle, float):
        why = idle.reason if isinstance(idle, MeterError) else Reason.of("idle_not_measured")
        missing = {"idle_watts": why, "net_joules_per_sample": why}
    if not tokens:
        missing["joules_per_token"] = Reason.of("no_token")
    return missing


def _doubts(
    meter: Meter, windows: Sequence[_Window], parts: Sequence[EnergyWindow], conditions: Sequence[Conditions]
) -> tuple[EnergyStatus, tuple[Reason, ...]]:
    """The status of a domain that has numbers, and every reason not to trust them."""
    contended = [reason for condition in conditions for reason in condition.contended]
    if meter.scope == Scope.MACHINE:
        share = max(window.others_share for window in windows)
        if share > OTHERS_SHARE:
            contended.append(Reason.of("others_took_processor_time", percent=100 * share))
    degraded = [reason for condition in conditions for reason in condition.degraded]
    if meter.caveat is not None:
        degraded.append(meter.caveat)
    if meter.scope == Scope.PARENT_GPU:
        degraded.append(Reason.of("mig_shares_counter"))
    spread = _spread(parts)
    if spread is not None:
        degraded.append(spread)
    status = EnergyStatus.CONTENDED if contended else EnergyStatus.DEGRADED if degraded else EnergyStatus.OK
    return status, _once_each([*contended, *degraded])


def _once_each(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    found: list[Reason] = []
    for reason in reasons:
        if reason not in found:
            found.append(reason)
    return tuple(found)


def _spread(parts: Sequence[EnergyWindow]) -> Reason | None:
    """Windows of the same work that differ by more than their bounds explain."""
    each = [part.joules / part.samples for part in parts]
    bound = max(part.error_bound_j / part.samples for part in parts)
    mean = sum(each) / len(each)
    if max(each) - min(each) <= 2 * bound + SPREAD * mean:
        return None
    first, second = each
    return Reason.of("windows_differ", percent=100 * SPREAD, first=first, second=second)
