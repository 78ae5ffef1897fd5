"""What must be the same on every machine of a run, checked before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.executors.ray.nodes import COMPARED, ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from blip_fixtures.executors.ray.nodes import Node, NodeFacts
    from blip_fixtures.job import Job
    from blip_fixtures.settings import Settings

_NOT_IN_A_FOLDER = ("sample", "hub")


def check_facts(own: NodeFacts, facts: Mapping[Node, NodeFacts]) -> None:
    """Raise `ClusterError` for the first machine with another Python, library or suite than this process."""
    for node, found in facts.items():
        if found.python != own.python:
            raise ClusterError(
                f"node {node} has Python {found.python} and this process {own.python}; use the same on both"
            )
        for name in COMPARED:
            here, there = own.versions.get(name), found.versions.get(name)
            if there is None:
                raise ClusterError(f"node {node} has no {name}; install {name} {here} there, as it is here")
            if there != here:
                raise ClusterError(
                    f"node {node} has {name} {there} and this process {here}; install the same version on both"
                )
        if found.package != own.package:
            raise ClusterError(
                f"node {node} runs another pytest-blip than this process: its own copy hides the one that is sent; "
                "uninstall it there, and take it out of PYTHONPATH"
            )


def local_folders(jobs: Iterable[Job]) -> list[str]:
    """The files and folders of this machine that the jobs name: each must be on every machine that measures them."""
    named: dict[str, None] = {}
    for job in jobs:
        samples = job.samples
        if samples.source not in _NOT_IN_A_FOLDER:
            named[samples.source] = None
        # A path, maybe with a revision and a split after it.
        override = samples.override or ""
        parts = (override, override.partition("@")[0], override.rpartition(":")[0])
        named |= dict.fromkeys((job.case.model, *parts))
    return [str(Path(name).absolute()) for name in named if name and Path(name).exists()]


def check_alike(found: Sequence[tuple[str, Settings]]) -> None:
    """Raise `ClusterError` where two machines would measure a checkpoint or a dataset with other files.

    `found` has the conditions of jobs, each with the machine that tells them.
    """
    seen: dict[tuple[str, ...], tuple[str, tuple[str | None, ...]]] = {}
    for where, settings in found:
        case = settings.case
        checkpoint = (settings.checkpoint_revision, settings.checkpoint_files)
        data = (settings.data_revision, settings.data_split)
        for key, files, what in (
            (("checkpoint", case.model, case.weights), checkpoint, f"checkpoint {case.model!r}"),
            (("data", case.dataset), data, f"dataset {case.dataset}"),
        ):
            first, theirs = seen.setdefault(key, (where, files))
            if files != theirs:
                raise ClusterError(
                    f"{where} has other files of the {what} than {first}; copy the same to both, or use a file system "
                    "that they share"
                )
