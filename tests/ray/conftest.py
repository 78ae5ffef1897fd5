"""Clusters of several nodes on this machine. Without Ray nothing here is collected."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_*.py"]


def start_cluster(*nodes: dict[str, Any]) -> Any:
    """Nodes with one processor each; the first is the head."""
    from ray.cluster_utils import Cluster

    head, *others = [{"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False, **n} for n in nodes]
    # A node that is gone is missed after two seconds instead of fifteen.
    head["_system_config"] = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    started = Cluster(initialize_head=True, head_node_args=head)
    for node in others:
        node.pop("include_dashboard")
        started.add_node(**node)
    started.wait_for_nodes()
    return started


def labelled(name: str, **more: Any) -> dict[str, Any]:
    return {"labels": {"blip": name, "blip-stand-in": "cpu"}, **more}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """``a``, ``b``, and two of one kind, called ``pair`` by a resource; one of them has a GPU that is none."""
    pair = {"resources": {"pair": 1}}
    started = start_cluster(
        labelled("a"),
        labelled("b"),
        {**pair, "labels": {"blip-stand-in": "cpu"}, "num_gpus": 1},
        {**pair, "labels": {"blip-stand-in": "cpu"}},
    )
    yield started
    started.shutdown()
