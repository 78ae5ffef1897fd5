"""What a session measures once and lends to the passes: references, rates, meters, idle watts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.case import cards_of
from blip_fixtures.engine.idle import measure_idle_watts
from blip_fixtures.engine.loop import ReferenceKernel
from blip_fixtures.engine.rates import Machine, ModelRates, rates_of_card
from blip_fixtures.engine.stock import checkpoint_key
from blip_fixtures.meters import MeterError, absent
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.words import Domain, EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.engine.flops import FlopCounter
    from blip_fixtures.engine.limits import Rates
    from blip_fixtures.engine.rates import SeenRates
    from blip_fixtures.engine.stock import Stock
    from blip_fixtures.engine.workload import Workload
    from blip_fixtures.job import Job
    from blip_fixtures.meters import Meter
    from blip_fixtures.meters.finding import Meters
    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Energy


class SharedTools:
    """The `Tools` of all jobs of one session. `timer` maps a device to a clock that waits for it."""

    def __init__(self, stock: Stock, timer: Callable[[str], Callable[[], float]], on_round: Callable[[], None]) -> None:
        self.timer = timer
        self.on_round = on_round
        self._stock = stock
        self._references: dict[str, Callable[[], float]] = {}
        self._machines: dict[str, Machine] = {}
        self._rates: dict[Any, ModelRates] = {}
        self._idle_watts: dict[Any, Mapping[Domain, float | MeterError]] = {}

    def reference(self, device: str) -> Callable[[], float]:
        """The reference product of `device`, made once."""
        if device not in self._references:
            self._references[device] = ReferenceKernel(device)
        return self._references[device]

    def flop_counter(self, job: Job) -> FlopCounter:
        """That of the checkpoint's architecture."""
        return self._stock.flop_counter(checkpoint_key(job))

    def rates(self, workload: Workload) -> SeenRates:
        """The best rates of the model's device, and those of the model's own layers.

        Measured before the first case that needs them.
        """
        job, model = workload.job, workload.loaded.model
        machine, modules = self._machine(job.case.device), self.flop_counter(job).modules
        key = _model_key(job)
        if key not in self._rates:
            self._rates[key] = ModelRates(machine, model, modules, find_optimization(job.case.optimization).dtype)
        return self._rates[key].seen(model, modules, job.case.batch_size * workload.prompt.num_beams)

    def rates_of_card(self, workload: Workload) -> Rates:
        """The best of the first card, for a model across several that are like it."""
        job = workload.job
        machine, modules = self._machine(cards_of(job.case.device)[0]), self.flop_counter(job).modules
        return rates_of_card(machine, workload.loaded.model, modules, find_optimization(job.case.optimization).dtype)

    def _machine(self, device: str) -> Machine:
        if device not in self._machines:
            self._machines[device] = Machine.of(device, self.timer(device))
        return self._machines[device]

    def meters(self, job: Job) -> Mapping[Domain, Meter]:
        """Those that can be read while the device works."""
        return self._found(job).ready(job.case.device)

    def absent_meters(self, job: Job) -> dict[Domain, Energy]:
        """The other domains, each with its reason."""
        errors = self._found(job).absent(job.case.device)
        return {domain: absent(error.status, error.reason) for domain, error in errors.items()}

    def idle_watts(self, job: Job) -> Mapping[Domain, float | MeterError]:
        """Of the model that is loaded now, measured before its first energy pass."""
        key = _model_key(job)
        if key not in self._idle_watts:
            self._idle_watts[key] = measure_idle_watts(self.meters(job))
        return self._idle_watts[key]

    def give_up(self, job: Job, domain: Domain, reason: Reason) -> None:
        """From now on the domain is absent: nobody waits again for a meter that was lost."""
        self._found(job).give_up(job.case.device, domain, MeterError(EnergyStatus.LOST, reason))

    def _found(self, job: Job) -> Meters:
        return self._stock.meters(job.rapl_root, [job.case.device])


def _model_key(job: Job) -> tuple[Any, ...]:
    return (*checkpoint_key(job), job.case.device, job.case.optimization)
