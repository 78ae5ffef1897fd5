"""The Ray cluster of a run, where it has one: connected before tests are collected, since devices are named by it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.privacy import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.executors.ray.bench import ClusterBench
    from blip_fixtures.executors.ray.cluster import Cluster
    from blip_fixtures.executors.ray.nodes import Node
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.record import Record


@dataclass(frozen=True)
class Connected:
    """A cluster, and the machines of each device that the run names."""

    cluster: Cluster
    devices: Mapping[str, Sequence[Node]]


_CONNECTED: pytest.StashKey[Connected] = pytest.StashKey()


def connected(config: pytest.Config, options: Options) -> Connected:
    """The cluster of `--blip-ray`, connected once. Raises `pytest.UsageError` in one sentence."""
    if _CONNECTED not in config.stash:
        from blip_fixtures.engine.preflight import PreflightError

        try:
            config.stash[_CONNECTED] = _connect(options)
        except PreflightError as error:
            raise pytest.UsageError(without_credentials(str(error))) from None
    return config.stash[_CONNECTED]


def disconnect(config: pytest.Config) -> None:
    """Where there is a cluster."""
    found = config.stash.get(_CONNECTED, None)
    if found is not None:
        found.cluster.close()


def _connect(options: Options) -> Connected:
    from blip_fixtures.executors.ray.checks import check_facts
    from blip_fixtures.executors.ray.cluster import connect
    from blip_fixtures.executors.ray.naming import candidates, resolve
    from blip_fixtures.executors.ray.nodes import facts_here

    assert options.ray is not None
    cluster = connect(options.ray)
    try:
        nodes = candidates(options.devices, cluster.nodes())
        facts = cluster.facts(nodes)
        check_facts(facts_here(), facts)
        named = not options.anonymous
        return Connected(cluster, resolve(options.devices, nodes, lambda node: facts[node].cpu, named=named))
    except BaseException:
        cluster.close()
        raise


def make_bench(
    config: pytest.Config,
    options: Options,
    facts: Mapping[str, Any],
    *,
    on_wait: Callable[[], None],
    keep: Callable[[Record], None],
    arrived: Callable[[Record], None],
) -> ClusterBench:
    """What measures the run's jobs on its cluster."""
    import importlib.metadata

    from blip_fixtures.executors.ray.bench import ClusterBench, Terms
    from blip_fixtures.executors.ray.measurer import Given

    found = connected(config, options)
    given = Given(
        host="",
        devices={},
        # The package travels, so its version is this one's.
        facts={**facts, "versions": {"pytest-blip": importlib.metadata.version("pytest-blip")}},
        version=found.cluster.version,
        cwd=os.getcwd(),  # noqa: PTH109  # a text
        lock=options.lock,
        pooled=options.pool_alike,
        anonymous=options.anonymous,
    )
    terms = Terms(
        given=given,
        show=options.show,
        timeout_s=options.case_timeout,
        on_wait=on_wait,
        keep=keep,
        arrived=arrived,
    )
    return ClusterBench(found.cluster, found.devices, terms)
