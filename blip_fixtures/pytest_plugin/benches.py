"""What measures the jobs of a run: a session in this process, or the actors of a cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine.preflight import check_architectures, check_devices, check_libraries
from blip_fixtures.engine.session import Session
from blip_fixtures.plain import fitting
from blip_fixtures.privacy import command_line
from blip_fixtures.pytest_plugin.clusters import make_bench
from blip_fixtures.pytest_plugin.side_by_side import SideBySide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from blip_fixtures.executors.base import Bench
    from blip_fixtures.job import Job
    from blip_fixtures.pytest_plugin.files import RunFiles
    from blip_fixtures.pytest_plugin.guard import Guard
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.pytest_plugin.progress import Progress
    from blip_fixtures.record import Record


def facts_of(files: RunFiles) -> dict[str, Any]:
    """What pytest-benchmark found in the working folder, and how the run was started."""
    return {
        "commit": files.commit_info.get("id"),
        "dirty": files.commit_info.get("dirty"),
        "command": fitting(command_line(["pytest", *sys.argv[1:]], files.show)),
    }


def bench_of(
    config: pytest.Config,
    options: Options,
    files: RunFiles,
    progress: Progress,
    *,
    on_round: Callable[[], None],
    keep: Callable[[Record], None],
) -> Bench:
    """Of one run. `on_round` is called between rounds here, and while a cluster works; `keep` gets its records."""
    facts = facts_of(files)
    if not isinstance(progress, SideBySide):
        return Session(facts=facts, on_round=on_round, show=files.show)
    bench = make_bench(config, options, facts, on_wait=on_round, keep=keep, arrived=progress.arrived)
    progress.lanes = bench.lanes
    return bench


def check_here(jobs: Sequence[Job], bench: Bench, guard: Guard | None, *, named: bool) -> None:
    """Whether this machine is free and fit to measure, where it is the one that will.

    A device that was `named` must be there; one that ``auto`` found may turn out to be none. Locks come first: what
    follows would disturb a run that holds them. Raises `PreflightError`.
    """
    if not isinstance(bench, Session):
        return
    devices = dict.fromkeys(job.case.device for job in jobs)
    if guard is not None:
        guard.lock_devices(device for device in devices if device == "cpu")
    check_libraries()
    check_devices(devices if named else ())
    if guard is not None:
        guard.lock_devices(device for device in devices if device != "cpu")
    check_architectures(jobs, bench.stock)
