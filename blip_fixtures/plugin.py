"""The pytest hooks of the suite, each a few lines; what they do lives in the modules they call.

Those are imported where there is a benchmark: the plugin is loaded by every pytest run of its environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.case import EVERY_DEVICE, is_benchmark
from blip_fixtures.fixtures import RUN, case, measure
from blip_fixtures.options import Options, add_options

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["case", "measure"]

OPTIONS = pytest.StashKey[Options]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """First, since pytest-benchmark reads its baseline when it is configured."""
    config.stash[OPTIONS] = Options.from_config(config)
    if getattr(config.option, "benchmark_compare", None) is True:
        from blip_fixtures.baseline import skip_rejected

        skip_rejected(config)
    config.addinivalue_line("markers", f"{EVERY_DEVICE}: run the benchmark on every device of --blip-device.")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if is_benchmark(metafunc):
        from blip_fixtures.collection import hold_baseline, parametrize_device

        hold_baseline(metafunc, metafunc.config.stash[OPTIONS])
        parametrize_device(metafunc, metafunc.config.stash[OPTIONS])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(map(is_benchmark, items)):
        from blip_fixtures.collection import Plan, sort_items

        plan = Plan.of(items, config.stash[OPTIONS])
        sort_items(items, config.stash[OPTIONS])
        plan.mark_items(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if any(map(is_benchmark, session.items)) and not config.option.collectonly:
        from blip_fixtures.collection import Plan
        from blip_fixtures.run import Run

        plan = Plan.of(session.items, config.stash[OPTIONS])
        alone = len(plan.case_by_item) == len(session.items)
        config.stash[RUN] = Run.start(config, config.stash[OPTIONS], plan, alone=alone)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """No letter for a measured case: the progress line says it all."""
    run = config.stash.get(RUN, None)
    if run is None or report.when != "call" or report.nodeid not in run.plan.case_by_item:
        return None
    return report.outcome, "", report.outcome.upper()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """pytest-benchmark lists only what ran; the other records stand beside its list."""
    run = config.stash.get(RUN, None)
    if run is not None:
        output_json["blip"] = run.beside_benchmarks


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """First, since JUnit's file is written at the end of the session too."""
    run = session.config.stash.get(RUN, None)
    if run is not None:
        run.write()
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = run.exit_code


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """The tables come last, and also when pytest-benchmark ends its summary with a regression."""
    run = terminalreporter.config.stash.get(RUN, None)
    try:
        return (yield)
    except Exception as error:
        if run is not None and type(error).__name__ == "PerformanceRegression":
            run.reject()
        raise
    finally:
        if run is not None:
            run.print_tables(terminalreporter)
