"""A connection to a Ray cluster: made with a time limit, asked for its machines, and let go of."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess  # nosec B404  # this interpreter alone is started
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.executors.ray.nodes import ClusterError, Node, NodeFacts, package_folder, tell_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCAL = "local"
AUTO = "auto"
_CLIENT = "ray://"
# Seconds for a connection to a port, for Ray to answer there, and for a machine to start a process of ours.
_PORT_S = 5.0
_ANSWER_S = 30.0
PATIENCE_S = float(os.environ.get("BLIP_RAY_PATIENCE", "60"))
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Ray waits for two minutes where nobody answers as Ray does, and then ends the process: this one shall live.
_TRY = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"


@dataclass
class Cluster:
    """A connected cluster. `close` ends what it started, and with it every actor of this process."""

    address: str
    version: str
    is_open: bool = True

    def nodes(self) -> list[Node]:
        """The machines that are alive."""
        import ray

        return [Node.of(listed) for listed in ray.nodes() if listed.get("Alive")]

    def is_alive(self, node: Node) -> bool:
        """Whether Ray still counts the machine among those that are alive."""
        return any(other.id == node.id for other in self.nodes())

    def facts(self, nodes: Sequence[Node]) -> dict[Node, NodeFacts]:
        """What each machine tells of itself. Raises `ClusterError` for one that cannot, or does not in time."""
        import ray

        tell = ray.remote(tell_facts)
        asked = {
            node: tell.options(num_cpus=0, max_retries=0, scheduling_strategy=only_on(node)).remote() for node in nodes
        }
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=PATIENCE_S)
        return {node: msgspec.json.decode(_answer(node, ref), type=NodeFacts) for node, ref in asked.items()}

    def close(self) -> None:
        """Disconnect; of a cluster that was started here, end it."""
        if self.is_open:
            import ray

            self.is_open = False
            with signals_kept():
                ray.shutdown()


def connect(address: str) -> Cluster:
    """A connection to the cluster at `address`: ``auto``, ``local``, ``host:port`` or ``ray://host:port``.

    Raises `ClusterError` where there is none, soon.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(
            "--blip-ray needs Ray, which is not installed; pip install 'pytest-blip[ray]', or leave it out"
        )
    _check_port(address)
    # What Ray would tell its makers of a run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        raise ClusterError("this process is connected to a Ray cluster already; call ray.shutdown() before pytest")
    if address != LOCAL:
        _try(address)
    local = {"include_dashboard": False} if address == LOCAL else {}
    # This package travels to every process of ours, whether it is installed there or not.
    environment = {"py_modules": [str(package_folder())]}
    try:
        with signals_kept(), warnings.catch_warnings():
            # Of settings that Ray will change; they concern nobody who reads a benchmark.
            warnings.simplefilter("ignore")
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment, **local)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(_no_cluster(address, str(error))) from None
    return Cluster(address, ray.__version__)


def only_on(node: Node) -> Any:
    """Where Ray starts a process: there, or nowhere."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def said(error: BaseException) -> str:
    """What Ray said, in one line: the last of a traceback, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    is_traceback = any(line.startswith("Traceback") or line.startswith("File ") for line in lines)
    return (lines[-1] if is_traceback else lines[0]).rstrip(". ")[:300]


@contextmanager
def signals_kept() -> Iterator[None]:
    """Ray takes signals over when it starts; those of a run are the run's."""
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in found.items():
            # In another thread nobody can, and Ray has not either.
            with suppress(ValueError):
                signal.signal(number, handler)


def _answer(node: Node, ref: Any) -> bytes:
    import ray

    try:
        found: bytes = ray.get(ref, timeout=0)
    except ray.exceptions.GetTimeoutError:
        raise ClusterError(
            f"node {node} has not started a process within {PATIENCE_S:.0f} s; see `ray status` and its logs"
        ) from None
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"node {node} cannot run the suite: {said(error)}; install there what pytest-blip needs, in the "
            "environment that `ray start` runs in"
        ) from None
    return found


def _check_port(address: str) -> None:
    if address in (AUTO, LOCAL):
        return
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PORT_S).close()
    except OSError as error:
        raise ClusterError(_no_cluster(address, error.strerror or str(error))) from None


def _try(address: str) -> None:
    """Connect in a process of its own first, since Ray may end the one that tries."""
    try:
        done = subprocess.run(  # nosec B603  # fixed words and a checked address
            [sys.executable, "-c", _TRY, address], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(
            _no_cluster(address, f"nobody answered as Ray does within {_ANSWER_S:.0f} s; a token may be wanted")
        ) from None
    if done.returncode != 0 and "InvalidAuthToken" in done.stderr:
        raise ClusterError(
            f"--blip-ray={address}: the cluster wants a token and got none, or another; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token to that of its head"
        )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ClusterError(_no_cluster(address, lines[-1] if lines else f"exit code {done.returncode}"))


def _no_cluster(address: str, why: str) -> str:
    return (
        f"--blip-ray={address}: there is no Ray cluster ({' '.join(why.split())[:200]}); start one with "
        "`ray start --head`, give its address, or --blip-ray=local to start one here"
    )
