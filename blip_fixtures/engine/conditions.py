"""What a record says of its conditions: the samples, and how answers came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.record import Data, Generation

if TYPE_CHECKING:
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.job import Job


def data_of(samples: SampleSet, batch_size: int) -> Data:
    """Where the samples came from, and how many full batches they make."""
    split = samples.split
    return Data(
        source=samples.source,
        revision=samples.revision,
        samples=len(samples),
        batches=len(samples) // batch_size,
        dropped=len(samples) % batch_size,
        skipped=samples.skipped,
        split=split.name if split else None,
        split_samples=split.samples if split else None,
    )


def generation_of(job: Job) -> Generation:
    """The protocol of a resolved job, and the number of new tokens that was used."""
    prompt = job.prompt
    return Generation(
        new_tokens=job.new_tokens.limit,
        fixed=job.new_tokens.fixed,
        num_beams=prompt.num_beams,
        length_penalty=prompt.length_penalty,
        prompt_parts=prompt.parts,
        decoding=prompt.decoding,
        repetition_penalty=prompt.repetition_penalty,
        min_new_tokens=prompt.min_new_tokens,
        ocr_limit=prompt.ocr_limit,
        ocr_source=prompt.ocr_source if prompt.ocr_limit else None,
    )
