"""What a benchmark asks for: its case, and `measure`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from blip_fixtures.case import Case
    from blip_fixtures.pytest_plugin.run import Run
    from blip_fixtures.record import Record

# `run` imports everything that measures, so it is imported when there is something to measure.
RUN: pytest.StashKey[Run] = pytest.StashKey()
# The exit code of a run that a signal ended before it began to measure.
STOPPED_BY: pytest.StashKey[int] = pytest.StashKey()


def junit_properties(record: Record) -> list[tuple[str, object]]:
    """What JUnit's file tells of a case: its id, and its figures in the units of the record."""
    parts = (("latency", "median_s"), ("flops", "total"), ("memory", "weights_bytes"), ("memory", "peak_bytes"))
    found: dict[str, object] = {f"{part}.{name}": getattr(getattr(record, part), name, None) for part, name in parts}
    found |= {f"quality.{name}": metric.value for name, metric in record.quality.items()}
    known = [(f"blip.{name}", value) for name, value in found.items() if value is not None]
    return [("blip.case_id", record.case_id), *known]


@pytest.fixture
def case(
    request: pytest.FixtureRequest,
    dataset: str,
    device: str,
    optimization: str,
    batch_size: int,
    image_size: int,
    sequence_length: int,
) -> Case:
    """The point of the sweep that this test measures; an error where the fixtures of the axes return another one."""
    values = {
        "dataset": dataset,
        "device": device,
        "optimization": optimization,
        "batch_size": batch_size,
        "image_size": image_size,
        "sequence_length": sequence_length,
    }
    try:
        return request.config.stash[RUN].case_of(request.node.nodeid, values)
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def measure(
    request: pytest.FixtureRequest,
    case: Case,
    benchmark: BenchmarkFixture,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Callable[[], Record | None]]:
    """Call it once: it runs every pass of the case and returns the record.

    A case that an earlier test measured is not measured again; a case that this machine cannot run skips with its
    reason; with `--benchmark-disable` the case runs once, unmeasured, and there is no record.
    """
    run = request.config.stash[RUN]
    run.tell_junit = record_testsuite_property
    calls = 0

    def measure_once() -> Record | None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError("measure() was called twice; one test measures one case, so call it once")
        record = run.measure(case, benchmark)
        if record is not None:
            request.node.user_properties += junit_properties(record)
            if record.status != "ok":
                pytest.skip(f"{record.status}: {record.reason}")
        return record

    yield measure_once
    if calls == 0:
        pytest.fail("the test never called measure(); call it once, or drop the fixture", pytrace=False)
