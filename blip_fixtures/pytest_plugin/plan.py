"""From collected pytest items to the plan of a run: which case each item measures, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.case import AXES, Case
from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.prompts import PromptsError, PromptSet, find_prompts
from blip_fixtures.devices import ChosenDevices, choose_devices, primary_device, synchronizing_timer, why_unavailable
from blip_fixtures.job import Job, SampleSource
from blip_fixtures.meters import nvml
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.pytest_plugin.items import EVERY_DEVICE, is_benchmark, sweep_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.reasons import Reason

_DEVICES = pytest.StashKey[ChosenDevices]()


def hold_baseline(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a benchmark the values of `--blip-baseline` for every axis that it does not parametrize itself."""
    varied = {name for mark in metafunc.definition.iter_markers("parametrize") for name in _names(mark)}
    for axis, value in options.baseline.items():
        if axis not in varied:
            # pytest then leaves the fixture's own params alone.
            metafunc.definition.add_marker(pytest.mark.parametrize(axis, [value]))


def parametrize_device(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a benchmark its `device`: every one with the mark `every_device`, else the primary one.

    A fixture of the user's own keeps its params, or gets these as its parameter.
    """
    marks = list(metafunc.definition.iter_markers("parametrize"))
    if any("device" in _names(mark) for mark in marks):
        return
    # pytest tells nobody else which fixtures a test will get; one of the user's own is called, and not replaced.
    own = metafunc._arg2fixturedefs.get("device", ())
    if any(fixture.params is not None for fixture in own):
        return
    devices = _chosen_devices(metafunc.config, options).names
    if metafunc.definition.get_closest_marker(EVERY_DEVICE) is None:
        devices = (primary_device(devices),)
    metafunc.parametrize("device", devices, indirect=bool(own))


def _chosen_devices(config: pytest.Config, options: Options) -> ChosenDevices:
    """Found once, since it may start CUDA: with ``auto``, on a machine with an NVIDIA card."""
    if options.ray is not None:
        from blip_fixtures.pytest_plugin.clusters import connected

        return ChosenDevices(tuple(connected(config, options).devices))
    if _DEVICES not in config.stash:
        config.stash[_DEVICES] = choose_devices(options.devices, nvml.nvidia_device_count, _why_not_on)
    return config.stash[_DEVICES]


def _why_not_on(device: str) -> Reason | None:
    from blip_fixtures.engine.preflight import PreflightError, check_libraries

    try:
        check_libraries([("torch", "Tensor")])
    except PreflightError:  # the run's own check, its first, says so with the remedy
        return None
    return why_unavailable(device)


def passed_over(config: pytest.Config) -> list[str]:
    """Why ``auto`` left out an NVIDIA card of this machine: a line for each, or the first alone where none is left."""
    chosen = config.stash.get(_DEVICES, None)
    if chosen is None or not chosen.passed_over:
        return []
    device = primary_device(chosen.names)
    if device == "cpu":
        return [f"--blip-device=auto measures on the CPU alone: {chosen.passed_over[0]}"]
    return [f"--blip-device=auto measures on {device}: {reason}" for reason in chosen.passed_over]


def _names(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs["argnames"]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


@dataclass
class Plan:
    """The case and the sweep of every benchmark item. A case that several items show is measured once.

    `prompts` is the preset of all of them, empty where there is no case.
    """

    options: Options
    prompts: PromptSet = field(default_factory=lambda: PromptSet("", {}))
    case_by_item: dict[str, Case] = field(default_factory=dict)
    sweep_by_item: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[pytest.Item], options: Options) -> Plan:
        """The plan for `items`, in their order. Raises `pytest.UsageError` for an item that names no possible case."""
        benchmarks = [item for item in items if is_benchmark(item)]
        if not benchmarks:
            return cls(options)
        try:
            plan = cls(options, find_prompts(options.prompts))
        except PromptsError as error:
            raise pytest.UsageError(f"--blip-prompts: {error}") from None
        for item in benchmarks:
            assert isinstance(item, pytest.Function)
            plan.case_by_item[item.nodeid] = plan.case_of(item.nodeid, _params(item))
            plan.sweep_by_item[item.nodeid] = sweep_of(item)
        return plan

    @property
    def cases(self) -> list[Case]:
        """Each case once, in the order of the items."""
        return list(dict.fromkeys(self.case_by_item.values()))

    def sweeps_of(self, case: Case) -> tuple[str, ...]:
        """The sweeps that show a case."""
        return tuple(
            dict.fromkeys(self.sweep_by_item[item] for item, other in self.case_by_item.items() if other == case)
        )

    @property
    def compared(self) -> dict[Case, list[Case]]:
        """The first case of every group whose cases differ in their optimization alone, and the rest of its group."""
        groups: dict[Case, list[Case]] = {}
        for case in self.cases:
            groups.setdefault(replace(case, optimization=""), []).append(case)
        return {group[0]: group[1:] for group in groups.values() if len(group) > 1}

    def first_of(self, case: Case) -> Case | None:
        """The case that it is compared with, where that is another one."""
        return next((first for first, others in self.compared.items() if case in others), None)

    def case_of(self, nodeid: str, values: Mapping[str, Any]) -> Case:
        """The case that these values of the axes spell.

        Raises `pytest.UsageError` where an axis is missing or impossible.
        """
        missing = [axis for axis in AXES if axis not in values]
        if missing:
            raise pytest.UsageError(
                f"{nodeid} has no value for {', '.join(missing)}; parametrize it, or give the fixture of that name "
                "in conftest.py its params"
            )
        try:
            case = Case(
                model=self.options.model,
                weights=self.options.weights,
                prompts=self.prompts.name,
                **{axis: values[axis] for axis in AXES},
            )
            find_dataset(case.dataset)
            find_optimization(case.optimization)
            self.prompts.of(case.dataset)
        except ValueError as error:
            raise pytest.UsageError(f"{nodeid}: {error}") from None
        return case

    def job(self, case: Case) -> Job:
        """The case with all that the options say of how to measure it."""
        options = self.options
        return Job.of(
            case,
            prompt=self.prompts.of(case.dataset),
            new_tokens=options.new_tokens,
            samples=SampleSource(options.data, options.datasets.get(case.dataset), options.limit, options.data_errors),
            passes=options.measure,
            rounds=options.rounds,
            warmup_rounds=options.warmup_rounds,
            energy=options.energy,
            rapl_root=str(options.rapl_root),
            hub_revision=options.revision,
            sweeps=self.sweeps_of(case),
            timed=options.times,
            turns_with=self.first_of(case) if options.times else None,
        )

    def mark_items(self, items: Iterable[pytest.Item]) -> None:
        """Tell pytest-benchmark each benchmark's clock and sweep."""
        for item in items:
            case = self.case_by_item.get(item.nodeid)
            if case is not None:
                # What another machine times is listed here, and not timed.
                timer = synchronizing_timer("cpu" if "@" in case.device else case.device)
                item.add_marker(pytest.mark.benchmark(timer=timer, group=self.sweep_by_item[item.nodeid]))


def _params(item: pytest.Item) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def check_baseline(items: Iterable[pytest.Item], options: Options) -> None:
    """Raise `pytest.UsageError` for a value of `--blip-baseline` that no benchmark holds: it would change nothing."""
    benchmarks = [item for item in items if is_benchmark(item)]
    for axis, value in options.baseline.items():
        found = {str(_params(item).get(axis)): None for item in benchmarks}
        if str(value) not in found:
            sweeps = dict.fromkeys(sweep_of(item) for item in benchmarks if isinstance(item, pytest.Function))
            raise pytest.UsageError(
                f"--blip-baseline {axis}={value} changes nothing: the benchmarks that were selected "
                f"({', '.join(f'test_{sweep}' for sweep in sweeps)}) set {axis} themselves, to {', '.join(found)}; "
                "choose others with -k, or leave it out"
            )


def unheld_baseline(items: Iterable[pytest.Item], options: Options) -> list[str]:
    """One sentence for each value of `--blip-baseline` that some of the benchmarks do not hold, since they set it."""
    said = []
    for axis, value in options.baseline.items():
        values: dict[str, dict[str, None]] = {}
        for item in items:
            if isinstance(item, pytest.Function) and is_benchmark(item):
                values.setdefault(f"test_{sweep_of(item)}", {})[str(_params(item).get(axis))] = None
        # In the sweep over it the optimization comes first, and is what the others are compared with.
        moved = axis == "optimization"
        others = {
            sweep: found
            for sweep, found in values.items()
            if (str(value) not in found if moved else set(found) != {str(value)})
        }
        if others:
            shown = "; ".join(f"{sweep}: {', '.join(found)}" for sweep, found in others.items())
            said.append(f"--blip-baseline {axis}={value} does not hold where a sweep sets {axis} itself ({shown})")
    return said


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
        params = _params(item)
        place = seen.setdefault((params.get("device"), params.get("optimization")), len(seen))
        return int(params.get("optimization") != baseline), place

    items.sort(key=key)
