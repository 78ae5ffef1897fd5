"""Which machines a name means: ``cpu@LABEL``, ``cuda@H100``, ``every``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.case import kind_of
from blip_fixtures.executors.ray.nodes import ClusterError
from blip_fixtures.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.executors.ray.nodes import Node

EVERY = "every"
_AUTO = "auto"
KINDS = ("cpu", "cuda")


def means_every(wanted: Iterable[str]) -> bool:
    """Whether no machine was named: one device of each kind is meant."""
    return bool({EVERY, _AUTO} & set(wanted))


def candidates(wanted: Sequence[str], nodes: Sequence[Node]) -> list[Node]:
    """The machines that may be meant, in one order for all runs. Raises `ClusterError` for a name that means none."""
    ordered = sorted((node for node in nodes if node.cpus >= 1), key=lambda node: (node.host, node.group, node.id))
    if not ordered:
        raise ClusterError("no node of the cluster has a processor to give; start one with --num-cpus of at least 1")
    if means_every(wanted):
        return ordered
    chosen = [node for device in wanted for node in _named(device, ordered)]
    return [node for node in ordered if node in chosen]


def resolve(
    wanted: Sequence[str], nodes: Sequence[Node], cpu_of: Callable[[Node], str], *, named: bool = True
) -> dict[str, tuple[Node, ...]]:
    """The machines of each device, which are all of one kind; `nodes` are the `candidates`.

    A kind of processor is its model and the machine's group (`cpu_of` tells the model), a kind of GPU is its type and
    the group. With `named` a machine without a group is called by its host, else by a number. Raises `ClusterError`
    where a name means machines of several kinds.
    """
    if means_every(wanted):
        return _every(nodes, cpu_of, named=named)
    found: dict[str, tuple[Node, ...]] = {}
    for device in wanted:
        alike = _named(device, nodes)
        kinds = {_hardware(kind_of(device), node, cpu_of): node for node in reversed(alike)}
        if len(kinds) > 1:
            (kind, node), (other_kind, other), *_ = reversed(kinds.items())
            raise ClusterError(
                f"--blip-device={device} means machines of several kinds: {node} has {kind[0]}, {other} has "
                f"{other_kind[0]}; name one of them ({', '.join(_telling(alike))})"
            )
        found[device] = tuple(alike)
    return found


def _telling(nodes: Sequence[Node]) -> list[str]:
    return list(dict.fromkeys(node.group or node.host for node in nodes))


def _named(device: str, nodes: Sequence[Node]) -> list[Node]:
    kind, _, label = device.partition("@")
    alike = [node for node in nodes if label in node.names]
    if not alike:
        known = list(dict.fromkeys(name for node in nodes for name in node.names))
        raise ClusterError(
            f"--blip-device={device}: no node of the cluster is called {label}; there are {', '.join(known)}"
            f"{did_you_mean(label, known)}"
        )
    if kind == "cpu":
        return alike
    with_gpu = [node for node in alike if node.gpus >= 1]
    if not with_gpu:
        raise ClusterError(
            f"--blip-device={device}: node {alike[0]} has no GPU that Ray knows of; start it with --num-gpus, or give "
            f"cpu@{label}"
        )
    return with_gpu


def _hardware(kind: str, node: Node, cpu_of: Callable[[Node], str]) -> tuple[str, ...]:
    """What tells one piece of hardware from another, to start with: an actor on it will tell more."""
    return (cpu_of(node),) if kind == "cpu" else (", ".join(node.accelerators) or "a GPU of unknown type",)


def _every(nodes: Sequence[Node], cpu_of: Callable[[Node], str], *, named: bool) -> dict[str, tuple[Node, ...]]:
    kinds: dict[tuple[str, ...], list[Node]] = {}
    for kind in KINDS:
        # A processor without GPUs beside it is not kept from them.
        for node in sorted(nodes, key=lambda node: kind == "cpu" and node.gpus > 0):
            if kind == "cpu" or node.gpus >= 1:
                kinds.setdefault((kind, node.group, *_hardware(kind, node, cpu_of)), []).append(node)
    return _without_clashes(kinds, named=named)


def _without_clashes(kinds: Mapping[tuple[str, ...], list[Node]], *, named: bool) -> dict[str, tuple[Node, ...]]:
    """A GPU is called by its type, a processor by its machine; where two kinds would share a name, by a number too."""
    found: dict[str, tuple[Node, ...]] = {}
    for number, ((kind, group, *_), nodes) in enumerate(kinds.items(), start=1):
        own = group or (nodes[0].host if named else f"node{number}")
        types = nodes[0].accelerators if kind == "cuda" else ()
        names = [f"{kind}@{name}" for name in (*types, own, f"{own}.{number}")]
        found[next(name for name in names if name not in found)] = tuple(nodes)
    return found
