"""The pytest side: hooks, each a few lines. What they do lives in the modules they call.

Those are imported where there is a benchmark: the plugin is loaded by every pytest run of its environment.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.pytest_plugin.fixtures import RUN, STOPPED_BY, case, measure
from blip_fixtures.pytest_plugin.items import EVERY_DEVICE, ONLY_ON, is_benchmark, left_out, out_of_place
from blip_fixtures.pytest_plugin.options import Options, add_options, refuse_misspelt
from blip_fixtures.pytest_plugin.wide_tables import note_arguments, trim_tables

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

__all__ = ["case", "measure"]

OPTIONS = pytest.StashKey[Options]()
# The benchmarks that were selected and belong to another kind of device.
_ELSEWHERE: pytest.StashKey[Sequence[pytest.Item]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """After the conftest files, which may have options of their own."""
    result = yield
    note_arguments(early_config, args)
    ours = any(str(argument).startswith("--b") for argument in args)
    # Parsing once more takes as long as loading the plugin, so it is done where an option may be misspelt.
    unknown = parser.parse_known_and_unknown_args(args)[1] if ours else ()
    refuse_misspelt(early_config, unknown)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """First, since pytest-benchmark reads its baseline when it is configured."""
    config.stash[OPTIONS] = Options.from_config(config)
    if getattr(config.option, "benchmark_compare", None):
        from blip_fixtures.pytest_plugin.baseline import choose_baseline

        choose_baseline(config)
    config.addinivalue_line("markers", f"{EVERY_DEVICE}: run the benchmark on every device of --blip-device.")
    config.addinivalue_line("markers", f"{ONLY_ON}(kind): a value of a sweep for devices of this kind: cuda, cpu.")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Before it: an error while tests are collected would be theirs."""
    options = session.config.stash[OPTIONS]
    if options.ray is not None:
        from blip_fixtures.pytest_plugin.clusters import connected

        connected(session.config, options)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if is_benchmark(metafunc):
        from blip_fixtures.pytest_plugin.also import add_values
        from blip_fixtures.pytest_plugin.plan import hold_baseline, parametrize_device

        add_values(metafunc, metafunc.config.stash[OPTIONS])
        hold_baseline(metafunc, metafunc.config.stash[OPTIONS])
        parametrize_device(metafunc, metafunc.config.stash[OPTIONS])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Around all others: what they deselect is seen, what belongs elsewhere left out, and what is left sorted."""
    collected = [item for item in items if is_benchmark(item)]
    result = yield
    elsewhere = config.stash[_ELSEWHERE] = [item for item in items if out_of_place(item)]
    if elsewhere:
        items[:] = [item for item in items if not out_of_place(item)]
        config.hook.pytest_deselected(items=elsewhere)
    if any(map(is_benchmark, items)):
        from blip_fixtures.pytest_plugin.plan import sort_items

        sort_items(items, config.stash[OPTIONS])
    elif elsewhere:
        _tell(config, left_out(elsewhere))
    elif collected and not items:
        from blip_fixtures.pytest_plugin.items import why_none

        chosen = (("-k", config.option.keyword), ("-m", config.option.markexpr))
        _tell(config, [why_none(option, said, collected) for option, said in chosen if said])
    return result


def pytest_collection_finish(session: pytest.Session) -> None:
    config, options = session.config, session.config.stash[OPTIONS]
    if any(map(is_benchmark, session.items)):
        from blip_fixtures.pytest_plugin.plan import Plan, check_baseline, passed_over, unheld_baseline

        plan = Plan.of(session.items, options)
        plan.mark_items(session.items)
        if config.getoption("blip_baseline") is not None:
            # What an ini file holds waits for the benchmarks that it is for.
            check_baseline(session.items, options)
        if config.getoption("blip_also") is not None:
            from blip_fixtures.pytest_plugin.also import check_also

            check_also(session.items, options, config)
        if not config.option.collectonly:
            from blip_fixtures.engine.caches import provide_caches
            from blip_fixtures.pytest_plugin.run import Run

            elsewhere = left_out(config.stash.get(_ELSEWHERE, ()))
            _tell(
                config, [*provide_caches(), *passed_over(config), *elsewhere, *unheld_baseline(session.items, options)]
            )
            alone = len(plan.case_by_item) == len(session.items)
            config.stash[RUN] = Run.start(config, options, plan, alone=alone)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Locks and signals are let go of, whatever became of the run."""
    run = config.stash.get(RUN, None)
    try:
        if run is not None:
            # Elsewhere pytest was called by a program, which goes on.
            run.end(ends_process=list(config.invocation_params.args) == sys.argv[1:])
    finally:
        if OPTIONS in config.stash and config.stash[OPTIONS].ray is not None:
            from blip_fixtures.pytest_plugin.clusters import disconnect

            disconnect(config)


def _tell(config: pytest.Config, lines: Iterable[str]) -> None:
    """A line of its own for each, where there is a terminal to write to."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        return
    for line in lines:
        terminal.ensure_newline()
        terminal.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """After the last test, unless the run was broken off."""
    run = session.config.stash.get(RUN, None)
    try:
        result = yield
    except pytest.Session.Failed:
        # -x and --maxfail end the tests after a failure; a baseline that has run is timed again all the same.
        if run is not None:
            run.time_further()
        raise
    if run is not None:
        run.time_further()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Around all others, so that nobody is told what may be a secret."""
    report = yield
    run = item.config.stash.get(RUN, None)
    if run is not None and item.nodeid in run.plan.case_by_item:
        from blip_fixtures.pytest_plugin.reports import hide_credentials

        hide_credentials(report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """No letter for a measured case: the progress line says it all."""
    run = config.stash.get(RUN, None)
    if run is None or report.when != "call" or report.nodeid not in run.plan.case_by_item:
        return None
    return report.outcome, "", report.outcome.upper()


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """pytest-benchmark lists only what ran; the other records stand beside its list. Nothing of it tells a secret."""
    run = config.stash.get(RUN, None)
    if run is not None:
        from blip_fixtures.privacy import leaves

        output_json["blip"] = run.beside_benchmarks
        output_json.update(leaves(output_json, run.files.show))


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    if RUN in config.stash:
        from blip_fixtures.privacy import machine_facts

        machine_info.update(machine_facts(machine_info, anonymous=config.stash[OPTIONS].anonymous))


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    if RUN in config.stash:
        from blip_fixtures.privacy import commit_facts

        facts = commit_facts(commit_info, anonymous=config.stash[OPTIONS].anonymous)
        commit_info.clear()
        commit_info.update(facts)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """First, since JUnit's file is written at the end of the session too."""
    run, stopped_by = session.config.stash.get(RUN, None), session.config.stash.get(STOPPED_BY, None)
    if run is not None:
        run.conclude()
        stopped_by = run.stopped_by
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = run.exit_code
    if stopped_by is not None:
        session.exitstatus = stopped_by


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """The tables come last, and also when pytest-benchmark ends its summary with a regression."""
    config = terminalreporter.config
    run = config.stash.get(RUN, None)
    if run is not None:
        trim_tables(config, run.plan.case_by_item, is_judged=run.gate is not None)
    try:
        return (yield)
    except Exception as error:
        if run is not None and type(error).__name__ == "PerformanceRegression":
            from blip_fixtures.pytest_plugin.baseline import reject_saved

            reject_saved(config)
        raise
    finally:
        if run is not None:
            from blip_fixtures.pytest_plugin.summary import print_summary

            print_summary(run, terminalreporter)
