"""Everything that is checked before a run begins, so that bad input costs seconds and loses nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from blip_fixtures.case import checkpoint_name
from blip_fixtures.checkpoints.resolve import CheckpointError, find_architecture, with_weights
from blip_fixtures.collection import check_against_checkpoint
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.devices import why_unavailable
from blip_fixtures.fit import Estimator, Size, free_bytes, why_too_large
from blip_fixtures.meters import own_domain
from blip_fixtures.meters.finding import Meters, find_meters
from blip_fixtures.optimizations import DTYPES, find_optimization

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blip_fixtures.case import Case
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.collection import Plan
    from blip_fixtures.data.prompts import PromptSet
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.options import Options


@dataclass(frozen=True)
class Ready:
    """What a run works with. `unrunnable` maps the planned cases that this machine cannot run to their reasons."""

    checkpoint: Checkpoint
    samples: dict[str, SampleSet]
    meters: Meters
    unrunnable: dict[Case, str] = field(default_factory=dict)


def prepare(plan: Plan, options: Options, *, with_meters: bool = True) -> Ready:
    """Check everything that a run needs, in the order of what it costs. Raises `pytest.UsageError` in one sentence.

    Weights are fetched last, when it is known that a case can run with them.
    """
    _check_devices(plan, options)
    try:
        checkpoint = find_architecture(options.model, options.weights, options.revision)
        check_against_checkpoint(plan, checkpoint)
        _check_writable(options.report_dir / checkpoint_name(options.model))
        names = dict.fromkeys(case.dataset for case in plan.cases)
        samples = {name: _samples(name, options) for name in names}
        unrunnable = _unrunnable(plan, options, checkpoint, samples)
        meters = _find_meters(plan, options) if with_meters else Meters()
        checkpoint = with_weights(checkpoint)
    except (CheckpointError, DataError) as error:
        raise pytest.UsageError(str(error)) from None
    return Ready(checkpoint, samples, meters, unrunnable)


def _samples(dataset: str, options: Options) -> SampleSet:
    override = options.datasets.get(dataset)
    return load_samples(dataset, options.data, options.limit, override=override, errors=options.data_errors)


def _check_devices(plan: Plan, options: Options) -> None:
    """A device that was named must be there; one that ``auto`` found may turn out to be none."""
    if options.devices == ("auto",):
        return
    for device in dict.fromkeys(case.device for case in plan.cases):
        reason = why_unavailable(device)
        if reason is not None:
            raise pytest.UsageError(reason)


def _unrunnable(plan: Plan, options: Options, checkpoint: Checkpoint, samples: dict[str, SampleSet]) -> dict[Case, str]:
    """The reasons of the cases that cannot run.

    Raises `pytest.UsageError` where none can and what was asked for is the cause, rather than what the machine lacks.
    """
    lacking = {case: reason for case in plan.cases if (reason := _why_lacking(case, plan.prompts))}
    unfilled = {
        case: reason
        for case in plan.cases
        if case not in lacking and (reason := _too_few_samples(case, samples[case.dataset]))
    }
    left = [case for case in plan.cases if case not in lacking and case not in unfilled]
    asked_too_much = {**unfilled, **_too_large(left, options, checkpoint, plan.prompts)}
    if asked_too_much and len(lacking) + len(asked_too_much) == len(plan.cases):
        raise pytest.UsageError(f"no case can run: {next(iter(asked_too_much.values()))}")
    return {**lacking, **asked_too_much}


def _why_lacking(case: Case, prompts: PromptSet) -> str | None:
    """What the device lacks for a case, or that there is no such device."""
    optimization, beams = find_optimization(case.optimization), prompts.of(case.dataset).num_beams
    return why_unavailable(case.device) or optimization.why_unavailable(case.device, num_beams=beams)


def _too_few_samples(case: Case, samples: SampleSet) -> str | None:
    if len(samples) >= case.batch_size:
        return None
    return (
        f"{len(samples)} {case.dataset} samples do not fill a batch of {case.batch_size}; "
        "raise --blip-limit or give more data"
    )


def _too_large(cases: list[Case], options: Options, checkpoint: Checkpoint, prompts: PromptSet) -> dict[Case, str]:
    """The cases that do not fit into what their device has free, with what would."""
    make = cache(partial(Estimator, checkpoint.config))
    reasons: dict[Case, str] = {}
    try:
        for device in dict.fromkeys(case.device for case in cases):
            free = free_bytes(device)
            # What is planned, and what may be advised instead: another dtype.
            names = dict.fromkeys([*(case.optimization for case in cases), *DTYPES])
            estimators: dict[str, Callable[[], Estimator]] = {
                name: partial(make, find_optimization(name).dtype) for name in names
            }
            for optimization in dict.fromkeys(case.optimization for case in cases if case.device == device):
                alike = [case for case in cases if (case.device, case.optimization) == (device, optimization)]
                refuse = partial(why_too_large, optimization=optimization, device=device, free=free)
                # Where one as large as the largest of each axis fits, all do.
                if refuse(_largest(alike, options, prompts), estimators=estimators) is not None:
                    found = {case: refuse(_size(case, options, prompts), estimators=estimators) for case in alike}
                    reasons |= {case: reason for case, reason in found.items() if reason is not None}
    except ValueError as error:
        raise CheckpointError(
            f"cannot build checkpoint {options.model!r}: {error}; give a folder that save_pretrained wrote"
        ) from None
    return reasons


def _largest(cases: list[Case], options: Options, prompts: PromptSet) -> Size:
    return Size(
        max(case.batch_size for case in cases),
        max(case.image_size for case in cases),
        max(case.sequence_length for case in cases),
        options.new_tokens.limit,
        max(prompts.of(case.dataset).num_beams for case in cases),
    )


def _size(case: Case, options: Options, prompts: PromptSet) -> Size:
    beams = prompts.of(case.dataset).num_beams
    return Size(case.batch_size, case.image_size, case.sequence_length, options.new_tokens.limit, beams)


def _find_meters(plan: Plan, options: Options) -> Meters:
    """The meters of the devices that will work. Raises `pytest.UsageError` where one is required and missing."""
    if not options.reads_energy:
        return Meters()
    devices = [device for device in dict.fromkeys(case.device for case in plan.cases) if not why_unavailable(device)]
    found = find_meters(devices, options.rapl_root)
    if options.energy == "require" and any(own_domain(device) in found.absent(device) for device in devices):
        said = "; ".join(f"{name} ({error.status}): {error.reason}" for name, error in found.all_absent().items())
        raise pytest.UsageError(f"--blip-energy=require, and energy meters are missing: {said}")
    return found


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"cannot write to the report folder {folder}: {error.strerror}; choose another with --blip-report-dir"
        ) from None
