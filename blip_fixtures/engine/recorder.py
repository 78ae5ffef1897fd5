"""From what was found of a job to its record, with the conditions under which it was."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from blip_fixtures.devices import device_name, why_unavailable
from blip_fixtures.engine.conditions import data_of, generation_of
from blip_fixtures.engine.environment import describe_machine, device_identity
from blip_fixtures.engine.passes import Found
from blip_fixtures.record import CaseFields, Record, shown, validated
from blip_fixtures.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.engine.stock import Stock
    from blip_fixtures.job import Job
    from blip_fixtures.reasons import Reason
    from blip_fixtures.settings import DeviceIdentity
    from blip_fixtures.words import Status


class Recorder:
    """Makes the records of a session's jobs; `facts` and `show` are as the session has them.

    `is_lost` says whether a device answers no more.
    """

    def __init__(
        self, stock: Stock, facts: Mapping[str, Any], show: Callable[[str], str], is_lost: Callable[[str], bool]
    ) -> None:
        self._stock = stock
        self._facts = facts
        self._show = show
        self._is_lost = is_lost
        self._devices: dict[str, tuple[str | None, DeviceIdentity]] = {}

    def stored(self, job: Job, status: Status, **parts: Any) -> Record:
        """As `record`. Raises `RecordError` for what does not fit the schema."""
        return validated(self.record(job, status, **parts))

    def record(
        self,
        job: Job,
        status: Status,
        *,
        reason: Reason | None = None,
        found: Found | None = None,
        moment: Mapping[str, Any] | None = None,
    ) -> Record:
        """Without `found` every part is null and `reason` stands for all of them. The hash is of names as given."""
        case, found = job.case, found or Found()
        record = Record(
            case_id=case.id,
            config_hash=self.settings(job).digest,
            sweeps=job.sweeps,
            case=CaseFields(**{**asdict(case), "device_name": self.about(case.device)[0]}),
            status=status,
            reason=reason,
            again=job.again,
            process=job.process,
            latency=found.latency,
            throughput=found.throughput,
            turns=found.turns,
            phases=found.phases,
            energy=found.energy,
            flops=found.flops,
            memory=found.memory,
            quality=found.quality,
            predictions=found.predictions,
            sample_ids=found.sample_ids,
            model_load_s=found.model_load_s,
            tokens=found.tokens,
            limit=found.limit,
            data=data_of(self._stock.samples(job), case.batch_size),
            generation=generation_of(self._stock.resolved(job)),
            environment={**self._environment(job), **(moment or {})},
            applied=found.applied,
            notes=tuple(found.notes),
            missing=found.missing,
        )
        return shown(record, self._show)

    def settings(self, job: Job) -> Settings:
        """The conditions of the job's record."""
        samples = self._stock.samples(job)
        return Settings.of(
            self._stock.resolved(job),
            checkpoint_revision=self._stock.checkpoint(job).revision,
            data_revision=samples.revision,
            data_split=samples.split.name if samples.split else None,
            checkpoint_files=self._stock.checkpoint_files(job),
            device=self.about(job.case.device)[1],
            versions=self._machine["versions"],
            python=self._machine["python"],
        )

    def about(self, device: str) -> tuple[str | None, DeviceIdentity]:
        """Its name and what tells it from others; of a lost device what it said while it answered."""
        if device not in self._devices or not self._is_lost(device):
            name = device_name(device) if why_unavailable(device) is None else None
            self._devices[device] = (name, device_identity(device))
        return self._devices[device]

    @cached_property
    def _machine(self) -> dict[str, Any]:
        return describe_machine(self._facts)

    def _environment(self, job: Job) -> dict[str, Any]:
        found = self._stock.checkpoint(job)
        return {**self._machine, "checkpoint_revision": found.revision, "hub_revision": found.hub_revision}
