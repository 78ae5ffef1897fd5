"""One run: the state between the first benchmark of a pytest session and its document."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures import meters
from blip_fixtures.baseline import Baseline, Gate, reject_saved, selection_of
from blip_fixtures.case import checkpoint_name
from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel, load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.devices import device_name, synchronizing_timer, why_unavailable
from blip_fixtures.gate.sides import Process
from blip_fixtures.inference import BatchMaker
from blip_fixtures.journal import Journal
from blip_fixtures.limits import measure_rates
from blip_fixtures.measurement.energy import measure_idle_watts
from blip_fixtures.measurement.environment import describe_machine, describe_moment
from blip_fixtures.measurement.measure import measure_again, measure_case
from blip_fixtures.measurement.workload import Workload
from blip_fixtures.meters import MeterError, own_domain
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.options import NOT_ASKED_FOR
from blip_fixtures.preflight import prepare
from blip_fixtures.progress import Progress
from blip_fixtures.record import SCHEMA_VERSION, Record, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.stats import Metadata

    from blip_fixtures.case import Case
    from blip_fixtures.collection import Plan
    from blip_fixtures.flops import FlopCounter
    from blip_fixtures.limits import Rates
    from blip_fixtures.measurement.latency import ReferenceKernel
    from blip_fixtures.measurement.measure import Measured
    from blip_fixtures.options import Options
    from blip_fixtures.preflight import Ready

_ENERGY_OFF = "measured with --blip-energy=off"


class Run:
    """Measures the planned cases, keeps their records, and writes them down."""

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        plan: Plan,
        ready: Ready,
        *,
        alone: bool = False,
        gate: Gate | None = None,
    ) -> None:
        self.options = options
        self.plan = plan
        self.gate = gate
        self.records: dict[Case, Record] = {}
        self.stats: list[Metadata] = []
        self.folder = options.report_dir / checkpoint_name(options.model)
        self._config = config
        self._checkpoint = ready.checkpoint
        self._samples = ready.samples
        self._unrunnable = ready.unrunnable
        self._meters = ready.meters
        self._idle_watts: dict[tuple[str, str], dict[str, float | MeterError]] = {}
        self._models = OneLiveModel(self._load)
        self._references: dict[str, ReferenceKernel] = {}
        self._rates: dict[tuple[str, str], Rates] = {}
        self.tell_junit: Callable[[str, object], None] = lambda _name, _value: None
        self._journal = Journal(self.folder / "journal.jsonl")
        self._progress = Progress(config, total=len(plan.cases) + len(plan.compared), alone=alone)

    @classmethod
    def start(cls, config: pytest.Config, options: Options, plan: Plan, *, alone: bool = False) -> Run:
        """Check everything that a run needs before anything is measured. Raises `pytest.UsageError` in one sentence.

        `alone` says that the session holds no other tests.
        """
        baseline = Baseline.load(config, options)
        # Disabled benchmarks measure nothing, so nobody waits for the counters' periods.
        ready = prepare(plan, options, with_meters=not config.getoption("benchmark_disable", False))
        gate = None if baseline is None else Gate(baseline, selection_of(config))
        run = cls(config, options, plan, ready, alone=alone, gate=gate)
        if baseline is not None:
            baseline.check(Process.of("this run", [run._planned(case) for case in plan.cases]))
        return run

    def measure(self, case: Case, benchmark: BenchmarkFixture) -> Record | None:
        """The record of `case`: an earlier one, or a new one from its passes, stored before this returns.

        Behind the last case of the plan the baselines are timed once more.

        `None` where pytest-benchmark is disabled. An error of the passes is stored as a record too, and raised, but a
        lack of memory is the answer of this machine: the next case starts with its model loaded anew.
        """
        if case in self.records:
            return self.records[case]
        record = self._measure_first(case, benchmark)
        if len(self.records) == len(self.plan.cases):
            for baseline, others in self.plan.compared.items():
                if any(self.records[other]["status"] == "ok" for other in others):
                    self._measure_again(baseline)
        return record

    def _measure_first(self, case: Case, benchmark: BenchmarkFixture) -> Record | None:
        self._progress.start(case.id)
        reason = self._unrunnable.get(case)
        if reason is not None:
            return self._store(case, self._record(case, status="unavailable", reason=reason), result=f"- {reason}")
        moment = describe_moment()
        exhausted = None
        try:
            measured = self._measured(case, benchmark)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".strip()
            if not _is_out_of_memory(error):
                self._store(case, self._record(case, status="failed", reason=reason, moment=moment), result="failed")
                raise
            exhausted = reason
        if exhausted is not None:
            # Only here, behind the handler, has the error let go of the frames that hold the model and its tensors.
            self._models.evict()
            record = self._record(case, status="out_of_memory", reason=exhausted, moment=moment)
            return self._store(case, record, result="out of memory")
        if measured is None:
            self._progress.finish("ran once, not measured: benchmarks are disabled")
            return None
        record = self._record(case, status="ok", measured=measured, moment=moment)
        self._store(case, record, result=f"{1e3 * (measured.latency['median_s'] or 0):.1f} ms a batch")
        benchmark.extra_info["blip"] = record
        assert benchmark.stats is not None
        self.stats.append(benchmark.stats)
        return record

    def _measure_again(self, case: Case) -> None:
        """Time a baseline behind the cases that are compared with it; its record says how far the machine drifted.

        Its model was freed for the others, so it is loaded once more.
        """
        record = self.records[case]
        latency = record["latency"]
        if latency is None:
            return
        self._progress.start(f"{case.id} again")
        again = measure_again(
            self._workload(case),
            self.options,
            reference=self._reference(case.device),
            on_round=self._progress.tick,
        )
        latency["again"] = again
        ratio = again["median_s"] / (latency["median_s"] or again["median_s"])
        record["notes"].append(
            f"latency: timed again at the end of the run it was {again['median_s']:.3f} s, {ratio:.2f} times the first"
        )
        self._store(case, record, result=f"{1e3 * again['median_s']:.1f} ms a batch, {ratio:.2f} times the first")

    @property
    def beside_benchmarks(self) -> dict[str, Any]:
        """What records.json holds besides pytest-benchmark's own list, which has only cases that ran to their end."""
        beside: dict[str, Any] = {
            "not_run": [record for record in self.records.values() if record["status"] != "ok"],
            "order": [record["case_id"] for record in self.records.values()],
            "selected": dataclasses.asdict(selection_of(self._config)),
        }
        if self.gate is not None and self.records:
            self.gate.conclude(self.records.values())
            beside["gate"] = self.gate.facts
        return beside

    def write(self) -> None:
        """Write records.json and the document, when a case came to an end."""
        if not self.records:
            return
        if self.gate is not None:
            self.gate.conclude(self.records.values())
            for name, value in self.gate.properties().items():
                self.tell_junit(name, value)
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

    def reject(self) -> None:
        """pytest-benchmark's own comparison failed: what it saved before must not become a baseline."""
        reject_saved(self._config)

    @property
    def exit_code(self) -> int:
        """What the gate says where every test passed."""
        return self.gate.exit_code if self.gate is not None and self.records else pytest.ExitCode.OK

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
        if self.gate is not None:
            terminal.section("gate")
            self.gate.report(self.folder, terminal.write_line)

    def _measured(self, case: Case, benchmark: BenchmarkFixture) -> Measured | None:
        workload = self._workload(case)
        measured = measure_case(
            workload,
            benchmark,
            self.options,
            reference=self._reference(case.device),
            flop_counter=self._flop_counter,
            rates=lambda: self._rates_of(workload.loaded),
            meters=self._meters.ready(case.device),
            idle_watts=lambda: self._idle(case),
            on_round=self._progress.tick,
        )
        if measured is not None:
            self._complete_energy(case, measured)
        return measured

    def _workload(self, case: Case) -> Workload:
        return Workload(
            case=case,
            loaded=self._models.get(case.device, case.optimization),
            processor=self._processor,
            samples=self._samples[case.dataset],
            maker=self._batch_maker,
            prompt=self.plan.prompts.of(case.dataset),
        )

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
        if not self.options.reads_energy:
            reason = NOT_ASKED_FOR if self.options.energy != "off" else _ENERGY_OFF
            absent = {own_domain(case.device): meters.absent("disabled", reason)}
        else:
            absent = {
                domain: meters.absent(error.status, error.reason)
                for domain, error in self._meters.absent(case.device).items()
            }
        measured.energy = {**absent, **measured.energy}

    def _rates_of(self, loaded: LoadedModel) -> Rates:
        """The rates of the model's device with its layers, measured before the first case that needs them."""
        key = (loaded.device, loaded.optimization)
        if key not in self._rates:
            dtype = find_optimization(loaded.optimization).dtype
            timer = synchronizing_timer(loaded.device)
            self._rates[key] = measure_rates(
                loaded.model, self._flop_counter.modules, loaded.device, dtype, timer=timer
            )
        return self._rates[key]

    def _load(self, device: str, optimization: str) -> LoadedModel:
        chosen = find_optimization(optimization)
        loaded = load_model(self._checkpoint, device, optimization, chosen.dtype, chosen.attention(device))
        chosen.apply(loaded)
        return loaded

    def _reference(self, device: str) -> ReferenceKernel:
        from blip_fixtures.measurement.latency import ReferenceKernel

        return self._references.setdefault(device, ReferenceKernel(device))

    @cached_property
    def _processor(self) -> Any:
        return load_processor(self._checkpoint)

    @cached_property
    def _batch_maker(self) -> BatchMaker:
        return BatchMaker(self._processor, self._checkpoint.image_token_id, self.plan.prompts)

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
        revision = {"checkpoint_revision": self._checkpoint.revision, "hub_revision": self._checkpoint.hub_revision}
        return {**describe_machine(self._commit_info), **revision}

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
        prompt = self.plan.prompts.of(case.dataset)
        parts = dataclasses.asdict(measured) if measured is not None else {}
        record: Record = {
            "schema_version": SCHEMA_VERSION,
            "case_id": case.id,
            "config_hash": case.config_hash(self._settings(case)),
            "sweeps": self.plan.sweeps_by_case[case],
            "case": {**dataclasses.asdict(case), "device_name": self._device_name(case)},  # type: ignore[typeddict-item]  # asdict has no field types
            "status": status,
            "reason": reason,
            "latency": parts.get("latency"),
            "phases": parts.get("phases"),
            "energy": parts.get("energy", {}),
            "flops": parts.get("flops"),
            "memory": parts.get("memory"),
            "quality": parts.get("quality", {}),
            "tokens": parts.get("tokens"),
            "limit": parts.get("limit"),
            "data": {
                "source": samples.source,
                "revision": samples.revision,
                "samples": len(samples),
                "batches": len(samples) // case.batch_size,
                "dropped": len(samples) % case.batch_size,
                "skipped": samples.skipped,
            },
            "generation": {
                "new_tokens": self.options.new_tokens.limit,
                "fixed": self.options.new_tokens.fixed,
                "num_beams": prompt.num_beams,
                "length_penalty": prompt.length_penalty,
                "prompt_parts": list(prompt.parts),
            },
            "environment": {**self._environment, **(moment or {})},
            "applied": parts.get("applied", {}),
            "notes": parts.get("notes", []),
            "missing": parts.get("missing", {}),
        }
        if measured is not None:
            record["model_load_s"] = measured.model_load_s
            if measured.predictions:
                record["predictions"] = measured.predictions
        return record

    def _planned(self, case: Case) -> Record:
        """What will be known of a case's conditions, before it is measured."""
        reason = self._unrunnable.get(case)
        return self._record(case, status="planned" if reason is None else "unavailable", reason=reason)

    def _settings(self, case: Case) -> dict[str, Any]:
        """Everything but the case that must be equal for two records to compare."""
        options = self.options
        return {
            "schema_version": SCHEMA_VERSION,
            "checkpoint": self._checkpoint.revision,
            "data": self._samples[case.dataset].revision,
            "limit": options.limit,
            "data_errors": options.data_errors,
            "prompt": dataclasses.asdict(self.plan.prompts.of(case.dataset)),
            "new_tokens": str(options.new_tokens),
            "rounds": options.rounds,
            "warmup_rounds": options.warmup_rounds,
        }

    def _device_name(self, case: Case) -> str | None:
        return device_name(case.device) if why_unavailable(case.device) is None else None


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # The CPU's allocator has no exception type of its own: torch raises a RuntimeError with this text.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator: can't allocate" in str(
        error
    )
