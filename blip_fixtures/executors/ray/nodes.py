"""The machines of a cluster as Ray lists them, and what each tells of itself."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.devices import cpu_model
from blip_fixtures.engine.preflight import PreflightError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The label that names a machine for this suite: `ray start --labels blip=NAME`.
LABEL = "blip"
# With the value `cpu` a machine's GPUs are the processor: for tests of clusters where there is no GPU.
STAND_IN_LABEL = "blip-stand-in"
# Ray's own names of a node's accelerator type (Ray, "Accelerator support" and "Labels").
_TYPE_RESOURCE = "accelerator_type:"
_TYPE_LABEL = "ray.io/accelerator-type"
_RAYS_OWN = re.compile(r"CPU|GPU|TPU|memory|object_store_memory|node:.*|accelerator_type:.*|.*_group_.*")
COMPARED = ("torch", "transformers")


class ClusterError(PreflightError):
    """A cluster that cannot measure what was asked for; the message says what, why, and what to do."""


@dataclass(frozen=True)
class Node:
    """One machine: its id in Ray, its host's name, what it has, and by which names it may be called.

    `label` is the one given for this suite. `stands_in` is the torch device that its GPUs really are, in tests.
    """

    id: str
    host: str
    cpus: float
    gpus: float
    label: str = ""
    accelerators: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    stands_in: str = ""

    @classmethod
    def of(cls, listed: Mapping[str, Any]) -> Node:
        """One entry of `ray.nodes()`."""
        resources, labels = listed.get("Resources") or {}, listed.get("Labels") or {}
        typed = [name.removeprefix(_TYPE_RESOURCE) for name in resources if name.startswith(_TYPE_RESOURCE)]
        return cls(
            id=listed["NodeID"],
            host=listed.get("NodeManagerHostname") or listed.get("NodeManagerAddress") or listed["NodeID"],
            cpus=float(resources.get("CPU", 0)),
            gpus=float(resources.get("GPU", 0)),
            label=labels.get(LABEL, ""),
            accelerators=tuple(dict.fromkeys([*filter(None, [labels.get(_TYPE_LABEL)]), *typed])),
            resources=tuple(sorted(name for name in resources if not _RAYS_OWN.fullmatch(name))),
            stands_in=labels.get(STAND_IN_LABEL, ""),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What may stand after the ``@`` of a device."""
        return tuple(dict.fromkeys(filter(None, (self.label, *self.accelerators, *self.resources, self.host))))

    @property
    def group(self) -> str:
        """What somebody called it when it was started: its label, else a resource of its own; maybe nothing."""
        return self.label or next(iter(self.resources), "")

    def __str__(self) -> str:
        """As messages call it."""
        return f"{self.host} ({self.group})" if self.group and self.group != self.host else self.host

    def torch_device(self, kind: str) -> str:
        """What a process on it calls the device: ``cpu``, or the first card that Ray gives it."""
        return "cpu" if kind == "cpu" else self.stands_in or "cuda:0"


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether a machine measures as others do: its processor, Python, libraries, and the suite's files."""

    cpu: str
    python: str
    versions: dict[str, str | None]
    package: str


def facts_here() -> NodeFacts:
    """Of the machine and the process that calls it. It imports neither torch nor transformers."""
    return NodeFacts(
        cpu=cpu_model(),
        python=platform.python_version(),
        versions={name: _version(name) for name in COMPARED},
        package=package_digest(),
    )


def tell_facts() -> bytes:
    """`facts_here` for another machine, as JSON."""
    return msgspec.json.encode(facts_here())


def package_folder() -> Path:
    """Where this package's files are."""
    return Path(__file__).parents[2]


def package_digest(folder: Path | None = None) -> str:
    """Of the suite's source files, here or in `folder`: equal where the same code measures."""
    digest = hashlib.sha256()
    folder = folder or package_folder()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        # What stands after a `+` names the build: a driver without a GPU has another one than a machine with some.
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None
