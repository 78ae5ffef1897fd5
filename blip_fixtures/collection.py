"""From collected pytest items to the plan of a run: which case each item measures, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.case import AXES, EVERY_DEVICE, Case, is_benchmark
from blip_fixtures.data.prompts import PromptsError, PromptSet, find_prompts
from blip_fixtures.devices import primary_device, requested_devices, synchronizing_timer
from blip_fixtures.meters import nvml
from blip_fixtures.optimizations import find_optimization

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.options import Options


def hold_baseline(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a benchmark the values of `--blip-baseline` for every axis that it does not parametrize itself."""
    varied = {name for mark in metafunc.definition.iter_markers("parametrize") for name in _names(mark)}
    for axis, value in options.baseline.items():
        if axis not in varied:
            # pytest then leaves the fixture's own params alone.
            metafunc.definition.add_marker(pytest.mark.parametrize(axis, [value]))


def parametrize_device(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a benchmark its `device`: every one with the mark `every_device`, else the primary one."""
    marks = list(metafunc.definition.iter_markers("parametrize"))
    if any("device" in _names(mark) for mark in marks):
        return
    devices = requested_devices(options.devices, nvml.nvidia_device_count)
    if metafunc.definition.get_closest_marker(EVERY_DEVICE) is None:
        devices = [primary_device(devices)]
    metafunc.parametrize("device", devices)


def _names(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs["argnames"]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


@dataclass
class Plan:
    """The case of every benchmark item and, for every case, the sweeps that show it. A case is measured once.

    `prompts` is the preset of all of them, empty where there is no case.
    """

    prompts: PromptSet = field(default_factory=lambda: PromptSet("", {}))
    case_by_item: dict[str, Case] = field(default_factory=dict)
    sweeps_by_case: dict[Case, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[pytest.Item], options: Options) -> Plan:
        """The plan for `items`, in their order. Raises `pytest.UsageError` for an item that names no possible case."""
        benchmarks = [item for item in items if is_benchmark(item)]
        if not benchmarks:
            return cls()
        try:
            plan = cls(find_prompts(options.prompts))
        except PromptsError as error:
            raise pytest.UsageError(f"--blip-prompts: {error}") from None
        for item in benchmarks:
            assert isinstance(item, pytest.Function)
            case = case_of(item, options, plan.prompts)
            plan.case_by_item[item.nodeid] = case
            sweeps = plan.sweeps_by_case.setdefault(case, [])
            sweep = item.originalname.removeprefix("test_")
            if sweep not in sweeps:
                sweeps.append(sweep)
        return plan

    @property
    def cases(self) -> list[Case]:
        """Each case once, in the order of the items."""
        return list(self.sweeps_by_case)

    @property
    def compared(self) -> dict[Case, list[Case]]:
        """The first case of every group whose cases differ in their optimization alone, and the rest of its group."""
        groups: dict[Case, list[Case]] = {}
        for case in self.cases:
            groups.setdefault(replace(case, optimization=""), []).append(case)
        return {group[0]: group[1:] for group in groups.values() if len(group) > 1}

    def mark_items(self, items: Iterable[pytest.Item]) -> None:
        """Tell pytest-benchmark each benchmark's clock and sweep, and that a case shown twice is measured once."""
        measured = set()
        for item in items:
            case = self.case_by_item.get(item.nodeid)
            if case is None:
                continue
            sweep = self.sweeps_by_case[case][0]
            item.add_marker(pytest.mark.benchmark(timer=synchronizing_timer(case.device), group=sweep))
            if case in measured:
                item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))
            measured.add(case)


def case_of(item: pytest.Function, options: Options, prompts: PromptSet) -> Case:
    """The case that an item's parameters spell. Raises `pytest.UsageError` where an axis is missing or impossible."""
    params: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    missing = [axis for axis in AXES if axis not in params]
    if missing:
        raise pytest.UsageError(
            f"{item.nodeid} has no value for {', '.join(missing)}; parametrize it, or give the fixture of that name "
            "in conftest.py its params"
        )
    try:
        case = Case(
            model=options.model,
            weights=options.weights,
            prompts=prompts.name,
            dataset=params["dataset"],
            device=params["device"],
            optimization=params["optimization"],
            batch_size=params["batch_size"],
            image_size=params["image_size"],
            sequence_length=params["sequence_length"],
        )
        find_optimization(case.optimization)
        prompts.of(case.dataset)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from None
    return case


def check_against_checkpoint(plan: Plan, checkpoint: Checkpoint) -> None:
    """Raise `pytest.UsageError` for the first case that this checkpoint's architecture cannot run."""
    for case in plan.cases:
        reason = checkpoint.why_impossible(case.image_size, case.sequence_length)
        if reason is not None:
            raise pytest.UsageError(f"{case.id}: {reason}")


def sort_items(items: list[pytest.Item], options: Options) -> None:
    """Benchmarks of one device and optimization side by side, in order of appearance, behind all other items.

    Each (device, optimization) is then loaded once, whatever order pytest gave the parameters. An optimization that
    `--blip-baseline` names comes first: it is what the others are compared with.
    """
    seen: dict[tuple[object, object], int] = {}
    baseline = options.baseline.get("optimization")

    def key(item: pytest.Item) -> tuple[int, int]:
        if not is_benchmark(item):
            return -1, 0
        params = item.callspec.params if hasattr(item, "callspec") else {}
        place = seen.setdefault((params.get("device"), params.get("optimization")), len(seen))
        return int(params.get("optimization") != baseline), place

    items.sort(key=key)
