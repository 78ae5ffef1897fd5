"""What the jobs of a session share: checkpoints, samples, batches, FLOP counters, meters. Each is made once."""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.fitting import check_generation, check_weights
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import files_digest, find_architecture, with_weights
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.flops import FlopCounter
from blip_fixtures.engine.inference import BatchMaker
from blip_fixtures.meters.finding import Meters, find_meters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.data.prompts import Prompt
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.job import Job

# What names a checkpoint: model, weights, revision of the hub.
CheckpointKey = tuple[str, str, str | None]


def checkpoint_key(job: Job) -> CheckpointKey:
    """The checkpoint that a job names."""
    return job.case.model, job.case.weights, job.hub_revision


class Stock:
    """Everything by what names it. Nothing is fetched or read before it is asked for."""

    def __init__(self) -> None:
        self._found: dict[CheckpointKey, Checkpoint] = {}
        self._whole: dict[CheckpointKey, Checkpoint] = {}
        self._files: dict[CheckpointKey, str] = {}
        self._samples: dict[tuple[str, Any], SampleSet] = {}
        self._options: dict[tuple[str, Any], tuple[int, int]] = {}
        self._processors: dict[CheckpointKey, Any] = {}
        self._makers: dict[CheckpointKey, BatchMaker] = {}
        self._meters: dict[str, Meters] = {}
        self.flop_counter = cache(self._make_flop_counter)

    def architecture(self, job: Job) -> Checkpoint:
        """The configuration of the job's checkpoint. Raises `CheckpointError`."""
        key = checkpoint_key(job)
        if key not in self._found:
            self._found[key] = find_architecture(*key)
        return self._whole.get(key, self._found[key])

    def resolved(self, job: Job) -> Job:
        """The job with its family's protocol, and as many new tokens as that allows. Raises `CheckpointError`."""
        return job.of_family(self.architecture(job).family.kinds)

    def prompt(self, job: Job) -> Prompt:
        """The job's protocol, as it is for its checkpoint's family. Raises `CheckpointError`."""
        return self.resolved(job).prompt

    def checkpoint(self, job: Job) -> Checkpoint:
        """The job's checkpoint with its weights at hand, which fit it. Raises `CheckpointError`."""
        key = checkpoint_key(job)
        if key not in self._whole:
            whole = with_weights(self.architecture(job))
            check_weights(whole)
            check_generation(whole)
            self._whole[key] = whole
        return self._whole[key]

    def checkpoint_files(self, job: Job) -> str:
        """The digest of its configuration, processor and tokenizers."""
        key = checkpoint_key(job)
        if key not in self._files:
            self._files[key] = files_digest(self.checkpoint(job))
        return self._files[key]

    def samples(self, job: Job) -> SampleSet:
        """The job's samples, each row checked. Raises `DataError`."""
        wanted = job.samples
        key = (job.case.dataset, wanted)
        if key not in self._samples:
            self._samples[key] = load_samples(
                job.case.dataset, wanted.source, wanted.limit, override=wanted.override, errors=wanted.errors
            )
        return self._samples[key]

    def most_options(self, job: Job) -> tuple[int, int]:
        """(the most options of a sample of the job, the letters of the longest). Raises `DataError`."""
        key = (job.case.dataset, job.samples)
        if key not in self._options:
            found = [sample.choices for sample in self.samples(job)]
            self._options[key] = max(map(len, found)), max(map(len, chain(*found)))
        return self._options[key]

    def processor(self, job: Job) -> Any:
        """That of the job's checkpoint. Raises `CheckpointError`."""
        key = checkpoint_key(job)
        if key not in self._processors:
            self._processors[key] = load_processor(self.checkpoint(job))
        return self._processors[key]

    def batch_maker(self, job: Job) -> BatchMaker:
        """One for all jobs of a checkpoint, which share its batches."""
        key = checkpoint_key(job)
        if key not in self._makers:
            self._makers[key] = BatchMaker(self.processor(job), self.checkpoint(job))
        return self._makers[key]

    def meters(self, rapl_root: str, devices: Iterable[str]) -> Meters:
        """The meters of `devices`, their periods measured the first time."""
        wanted = list(devices)
        known = self._meters.get(rapl_root)
        if known is None:
            known = self._meters[rapl_root] = find_meters(wanted, Path(rapl_root))
        new = [device for device in wanted if device != "cpu" and device not in known.by_device]
        if new:
            known.by_device |= find_meters(new, Path(rapl_root)).by_device
        return known

    def known_meters(self) -> list[Meters]:
        """Those that were asked for."""
        return list(self._meters.values())

    def _make_flop_counter(self, key: CheckpointKey) -> FlopCounter:
        return FlopCounter(self._found[key])
