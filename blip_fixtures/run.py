"""One run: the state between the first benchmark of a pytest session and its document."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures import meters
from blip_fixtures.case import checkpoint_name
from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel, load_model, load_processor
from blip_fixtures.checkpoints.resolve import CheckpointError, resolve_checkpoint
from blip_fixtures.collection import check_against_checkpoint
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.devices import device_name, why_unavailable
from blip_fixtures.inference import BatchMaker
from blip_fixtures.journal import Journal
from blip_fixtures.measurement.energy import measure_idle_watts
from blip_fixtures.measurement.environment import describe_machine, describe_moment
from blip_fixtures.measurement.measure import measure_case
from blip_fixtures.measurement.workload import Workload
from blip_fixtures.meters import MeterError, own_domain
from blip_fixtures.meters.finding import Meters, find_meters
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.progress import Progress
from blip_fixtures.record import SCHEMA_VERSION, Record, validate

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.stats import Metadata

    from blip_fixtures.case import Case
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.collection import Plan
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.flops import FlopCounter
    from blip_fixtures.measurement.latency import ReferenceKernel
    from blip_fixtures.measurement.measure import Measured
    from blip_fixtures.options import Options

_NOT_BUILT = "this release has no pass for it"
_ENERGY_OFF = "measured with --blip-energy=off"


class Run:
    """Measures the planned cases, keeps their records, and writes them down."""

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        plan: Plan,
        checkpoint: Checkpoint,
        samples: dict[str, SampleSet],
        energy: Meters,
        *,
        alone: bool = False,
    ) -> None:
        self.options = options
        self.plan = plan
        self.records: dict[Case, Record] = {}
        self.stats: list[Metadata] = []
        self.folder = options.report_dir / checkpoint_name(options.model)
        self._config = config
        self._checkpoint = checkpoint
        self._samples = samples
        self._meters = energy
        self._idle_watts: dict[tuple[str, str], dict[str, float | MeterError]] = {}
        self._models = OneLiveModel(self._load)
        self._references: dict[str, ReferenceKernel] = {}
        self._journal = Journal(self.folder / "journal.jsonl")
        self._progress = Progress(config, total=len(plan.cases), alone=alone)

    @classmethod
    def start(cls, config: pytest.Config, options: Options, plan: Plan, *, alone: bool = False) -> Run:
        """Check everything that a run needs before anything is measured. Raises `pytest.UsageError` in one sentence.

        `alone` says that the session holds no other tests.
        """
        if options.devices != ("auto",):
            for device in dict.fromkeys(case.device for case in plan.cases):
                reason = why_unavailable(device)
                if reason is not None:
                    raise pytest.UsageError(reason)
        try:
            checkpoint = resolve_checkpoint(options.model)
            check_against_checkpoint(plan, checkpoint)
            names = dict.fromkeys(case.dataset for case in plan.cases)
            samples = {name: load_samples(name, options.data, options.limit) for name in names}
        except (CheckpointError, DataError) as error:
            raise pytest.UsageError(str(error)) from None
        reasons = [_too_few_samples(case, samples[case.dataset]) for case in plan.cases]
        if all(reasons):
            raise pytest.UsageError(f"no case can run: {reasons[0]}")
        _check_writable(options.report_dir / checkpoint_name(options.model))
        # Disabled benchmarks measure nothing, so nobody waits for the counters' periods.
        energy = Meters() if config.getoption("benchmark_disable", False) else _find_meters(plan, options)
        return cls(config, options, plan, checkpoint, samples, energy, alone=alone)

    def measure(self, case: Case, benchmark: BenchmarkFixture) -> Record | None:
        """The record of `case`: an earlier one, or a new one from its passes, stored before this returns.

        `None` where pytest-benchmark is disabled. An error of the passes is stored as a record too, and raised.
        """
        if case in self.records:
            return self.records[case]
        self._progress.start(case.id)
        reason = self._why_unavailable(case)
        if reason is not None:
            return self._store(case, self._record(case, status="unavailable", reason=reason), result=f"- {reason}")
        moment = describe_moment()
        try:
            measured = self._measured(case, benchmark)
        except Exception as error:
            status = "out_of_memory" if _is_out_of_memory(error) else "failed"
            text = f"{type(error).__name__}: {error}".strip()
            self._store(case, self._record(case, status=status, reason=text, moment=moment), result=status)
            raise
        if measured is None:
            self._progress.finish("ran once, not measured: benchmarks are disabled")
            return None
        record = self._record(case, status="ok", measured=measured, moment=moment)
        self._store(case, record, result=f"{1e3 * (measured.latency['median_s'] or 0):.1f} ms a batch")
        benchmark.extra_info["blip"] = record
        assert benchmark.stats is not None
        self.stats.append(benchmark.stats)
        return record

    @property
    def beside_benchmarks(self) -> dict[str, Any]:
        """What records.json holds besides pytest-benchmark's own list, which has only cases that ran to their end."""
        return {
            "not_run": [record for record in self.records.values() if record["status"] != "ok"],
            "order": [record["case_id"] for record in self.records.values()],
        }

    def write(self) -> None:
        """Write records.json and the document, when a case came to an end."""
        if not self.records:
            return
        hook = self._config.hook
        document = hook.pytest_benchmark_generate_json(
            config=self._config,
            benchmarks=self.stats,
            include_data=True,
            machine_info=hook.pytest_benchmark_generate_machine_info(config=self._config),
            commit_info=self._commit_info,
        )
        hook.pytest_benchmark_update_json(config=self._config, benchmarks=self.stats, output_json=document)
        path = self.folder / "records.json"
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
        unfinished.replace(path)
        from blip_fixtures.report.document import write_document

        write_document(
            list(self.records.values()), self.folder, lang=self.options.lang, command=self._environment["command"]
        )

    def print_tables(self, terminal: pytest.TerminalReporter) -> None:
        """The document's tables, and where it lies."""
        if not self.records:
            return
        from blip_fixtures.report.tables import sweep_tables

        terminal.section(f"InstructBLIP benchmarks of {self.folder.name}")
        for table in sweep_tables(list(self.records.values())):
            terminal.write_line("\n".join(["", table.title, *table.held, "", table.markdown]))
            for footnote in table.footnotes:
                terminal.write_line(f"  {footnote}")
        for name, error in self._meters.all_absent().items():
            terminal.write_line(f"No energy of {name}: {error.reason} ({error.status})")
        terminal.write_line(f"\nThe document: {(self.folder / 'README.md').resolve()}")

    def _why_unavailable(self, case: Case) -> str | None:
        return (
            _too_few_samples(case, self._samples[case.dataset])
            or find_optimization(case.optimization).why_unavailable(case.device)
            or why_unavailable(case.device)
        )

    def _measured(self, case: Case, benchmark: BenchmarkFixture) -> Measured | None:
        workload = Workload(
            case=case,
            loaded=self._models.get(case.device, case.optimization),
            processor=self._processor,
            samples=self._samples[case.dataset],
            maker=self._batch_maker,
        )
        measured = measure_case(
            workload,
            benchmark,
            self.options,
            reference=self._reference(case.device),
            flop_counter=self._flop_counter,
            meters=self._meters.ready(case.device),
            idle_watts=lambda: self._idle(case),
            on_round=self._progress.tick,
        )
        if measured is not None:
            self._complete_energy(case, measured)
        return measured

    def _idle(self, case: Case) -> dict[str, float | MeterError]:
        """Idle watts of the model that is loaded now, measured before its first energy pass."""
        key = (case.device, case.optimization)
        if key not in self._idle_watts:
            self._idle_watts[key] = measure_idle_watts(self._meters.ready(case.device))
        return self._idle_watts[key]

    def _complete_energy(self, case: Case, measured: Measured) -> None:
        """Give up lost meters, and add the domains that had no meter with their reasons."""
        for domain, entry in measured.energy.items():
            if entry["status"] == "lost":
                self._meters.give_up(case.device, domain, MeterError("lost", entry["reason"] or ""))
        if self.options.energy == "off":
            absent = {own_domain(case.device): meters.absent("disabled", _ENERGY_OFF)}
        else:
            absent = {
                domain: meters.absent(error.status, error.reason)
                for domain, error in self._meters.absent(case.device).items()
            }
        measured.energy = {**absent, **measured.energy}

    def _load(self, device: str, optimization: str) -> LoadedModel:
        return load_model(self._checkpoint, device, optimization, find_optimization(optimization).dtype)

    def _reference(self, device: str) -> ReferenceKernel:
        from blip_fixtures.measurement.latency import ReferenceKernel

        return self._references.setdefault(device, ReferenceKernel(device))

    @cached_property
    def _processor(self) -> Any:
        return load_processor(self._checkpoint)

    @cached_property
    def _batch_maker(self) -> BatchMaker:
        return BatchMaker(self._processor, int(self._checkpoint.config["image_token_index"]), self.options.prompts)

    @cached_property
    def _flop_counter(self) -> FlopCounter:
        from blip_fixtures.flops import FlopCounter

        return FlopCounter(self._checkpoint)

    @cached_property
    def _commit_info(self) -> dict[str, Any]:
        info: dict[str, Any] = self._config.hook.pytest_benchmark_generate_commit_info(config=self._config)
        return info

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return describe_machine(self._commit_info)

    def _store(self, case: Case, record: Record, result: str) -> Record:
        self.records[case] = validate(record)
        self._journal.append(record)
        self._progress.finish(result)
        return record

    def _record(
        self,
        case: Case,
        *,
        status: str,
        reason: str | None = None,
        measured: Measured | None = None,
        moment: dict[str, Any] | None = None,
    ) -> Record:
        """The record of `case`. Without `measured` every part is null and `reason` stands for all of them."""
        samples = self._samples[case.dataset]
        parts = dataclasses.asdict(measured) if measured is not None else {}
        missing = {"phases": _NOT_BUILT, "limit": _NOT_BUILT, **parts.get("missing", {})} if measured else {}
        return {
            "schema_version": SCHEMA_VERSION,
            "case_id": case.id,
            "config_hash": case.config_hash(self._settings(case)),
            "sweeps": self.plan.sweeps_by_case[case],
            "case": {**dataclasses.asdict(case), "device_name": self._device_name(case)},  # type: ignore[typeddict-item]  # asdict has no field types
            "status": status,
            "reason": reason,
            "latency": parts.get("latency"),
            "phases": None,
            "energy": parts.get("energy", {}),
            "flops": parts.get("flops"),
            "memory": parts.get("memory"),
            "quality": parts.get("quality", {}),
            "tokens": parts.get("tokens"),
            "limit": None,
            "data": {
                "source": samples.source,
                "revision": samples.revision,
                "samples": len(samples),
                "batches": len(samples) // case.batch_size,
                "dropped": len(samples) % case.batch_size,
            },
            "generation": {"new_tokens": self.options.new_tokens.limit, "fixed": self.options.new_tokens.fixed},
            "environment": {**self._environment, **(moment or {})},
            "applied": parts.get("applied", {}),
            "notes": parts.get("notes", []),
            "missing": missing,
        }

    def _settings(self, case: Case) -> dict[str, Any]:
        """Everything but the case that must be equal for two records to compare."""
        options = self.options
        return {
            "schema_version": SCHEMA_VERSION,
            "checkpoint": self._checkpoint.revision,
            "data": self._samples[case.dataset].revision,
            "limit": options.limit,
            "new_tokens": str(options.new_tokens),
            "rounds": options.rounds,
            "warmup_rounds": options.warmup_rounds,
        }

    def _device_name(self, case: Case) -> str | None:
        return device_name(case.device) if why_unavailable(case.device) is None else None


def _find_meters(plan: Plan, options: Options) -> Meters:
    """The meters of the devices that will work. Raises `pytest.UsageError` where one is required and missing."""
    if options.energy == "off":
        return Meters()
    devices = [device for device in dict.fromkeys(case.device for case in plan.cases) if not why_unavailable(device)]
    found = find_meters(devices, options.rapl_root)
    if options.energy == "require" and any(own_domain(device) in found.absent(device) for device in devices):
        said = "; ".join(f"{name} ({error.status}): {error.reason}" for name, error in found.all_absent().items())
        raise pytest.UsageError(f"--blip-energy=require, and energy meters are missing: {said}")
    return found


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # The CPU's allocator has no exception type of its own: torch raises a RuntimeError with this text.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator: can't allocate" in str(
        error
    )


def _too_few_samples(case: Case, samples: SampleSet) -> str | None:
    if len(samples) >= case.batch_size:
        return None
    return (
        f"{len(samples)} {case.dataset} samples do not fill a batch of {case.batch_size}; "
        "raise --blip-limit or give more data"
    )


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"cannot write to the report folder {folder}: {error.strerror}; choose another with --blip-report-dir"
        ) from None
