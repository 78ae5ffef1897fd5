"""Writes reports/seed/instructblip-flan-t5-xl.json: a published document's figures as records, faults named.

The figures are those of the document whose table format this suite keeps. They were measured by another script on one
machine and published rounded, without single rounds. Run from the repository root: ``python tools/seed_records.py``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from blip_fixtures.case import Case
from blip_fixtures.reasons import Reason
from blip_fixtures.record import (
    CaseFields,
    Data,
    Energy,
    Flops,
    Generation,
    Latency,
    Metric,
    Record,
    as_plain,
    validated,
)
from blip_fixtures.words import Domain, EnergyStatus, Status

TARGET = Path("reports/seed/instructblip-flan-t5-xl.json")
MODEL = "Salesforce/instructblip-flan-t5-xl"
DEVICE_NAMES = {"cuda:0": "NVIDIA H100", "cpu": "Intel Xeon Platinum 8462Y+"}
NOT_PUBLISHED = Reason.verbatim("the source document does not give it")
FLOPS_COUNTER = "2 x multiply-accumulates over matrix products, convolutions and attention"

LATENCY_NOTE = Reason.verbatim(
    "no warm-up rounds, a profiler was active around the loop, and the partial last batch counts in the mean",
    scope="latency",
)
QUALITY_NOTE = Reason.verbatim(
    "scored against one reference only, after the first 10 characters of every answer had been cut off by mistake",
    scope="quality",
)
ENERGY_NOTE = Reason.verbatim("published with two significant digits only", scope="energy")
FLOPS_NOTE = Reason.verbatim("counted on the last batch, a partial one of 12 samples", scope="flops")
IMAGE_NOTE = Reason.verbatim(
    "the images were scaled down to a thumbnail and then resized to 224 pixels, so every row did the same work",
    scope="image_size",
)
SEQUENCE_NOTE = Reason.verbatim(
    "the limit only cuts prompts, and most are shorter than 50 tokens, so most rows did the same work",
    scope="sequence_length",
)
COMPILE_NOTE = Reason.verbatim(
    "the model was wrapped by torch.compile but generate() called the module inside the wrapper, so nothing compiled "
    "ran",
    scope="optimization",
)
FLASH_REASON = Reason.verbatim(
    "Flash Attention 2 was asked of all components at once, and T5's relative position bias has no such kernel; the "
    "vision encoder has one"
)
CPU_ENERGY_REASON = Reason.verbatim(
    "the GPU's counter was read while the CPU did the work, so these are not the CPU's joules"
)

# dataset -> size -> word error rate, seconds per batch of 16
IMAGE_SIZES = {
    "coco": {336: (0.874, 0.475), 448: (0.874, 0.460)},
    "scienceqa": {336: (9.746, 1.089), 448: (9.359, 1.082)},
    "textvqa": {336: (2.746, 1.014), 448: (2.755, 0.990)},
}
SEQUENCE_LENGTHS = {
    "coco": {100: (0.881, 0.493), 50: (0.881, 0.491)},
    "scienceqa": {100: (9.213, 1.099), 50: (8.193, 1.123)},
    "textvqa": {100: (2.918, 0.919), 50: (2.918, 0.927)},
}
TWO_DIGIT_ENERGIES = (22, 14, 10)
# The figures of a meter domain.
MEASURED = (
    "joules_per_sample",
    "joules_per_token",
    "joules",
    "window_s",
    "samples",
    "error_bound_j",
    "idle_watts",
    "net_joules_per_sample",
)
SIZES = ("image_size", "sequence_length")


def record(
    *sweeps: str,
    dataset: str = "textvqa",
    device: str = "cuda:0",
    optimization: str = "fp16",
    batch_size: int = 16,
    image_size: int = 224,
    sequence_length: int = 200,
    latency_s: float | None = None,
    joules_per_sample: float | None = None,
    flops: float | None = None,
    wer: float | None = None,
    reason: Reason | None = None,
    notes: tuple[Reason, ...] = (),
) -> Record:
    """One valid record; what the source does not give is null with a reason."""
    case = Case(
        model=MODEL,
        dataset=dataset,
        device=device,
        optimization=optimization,
        batch_size=batch_size,
        image_size=image_size,
        sequence_length=sequence_length,
        prompts="seed",
    )
    ran = reason is None
    found = [
        (LATENCY_NOTE, latency_s is not None),
        (ENERGY_NOTE, joules_per_sample in TWO_DIGIT_ENERGIES),
        (FLOPS_NOTE, flops is not None and batch_size == 16),
        (QUALITY_NOTE, wer is not None),
        (IMAGE_NOTE, "image_size" in sweeps),
        (SEQUENCE_NOTE, "sequence_length" in sweeps),
    ]
    made = Record(
        case_id=case.id,
        config_hash=None,
        sweeps=sweeps,
        case=CaseFields(**asdict(case), device_name=DEVICE_NAMES[device]),
        status=Status.OK if ran else Status.UNAVAILABLE,
        reason=reason,
        latency=_latency(latency_s) if ran else None,
        energy={} if joules_per_sample is None else _energy(device, joules_per_sample),
        flops=None if flops is None else _flops(flops),
        quality={} if wer is None else {"wer": Metric(value=wer, per_sample=(), higher_is_better=False)},
        data=Data(source="hub", revision=None, samples=300, batches=None, dropped=None),
        generation=Generation(new_tokens=50, fixed=False),
        environment=_environment(),
        notes=(*(note for note, applies in found if applies), *notes),
    )
    return validated(replace(made, missing=_missing(made)) if ran else made)


def _latency(mean_s: float | None) -> Latency:
    return Latency(
        mean_s=mean_s, median_s=None, stddev_s=None, p90_s=None, rounds_s=(), reference_s=(), warmup_rounds=0
    )


def _energy(device: str, joules_per_sample: float) -> dict[Domain, Energy]:
    """The domain that the row claims; a CPU row says that the counter was another's."""
    on_cpu = device == "cpu"
    entry = Energy(
        joules_per_sample=joules_per_sample,
        joules_per_token=None,
        joules=None,
        window_s=None,
        samples=None,
        error_bound_j=None,
        idle_watts=None,
        net_joules_per_sample=None,
        status=EnergyStatus.DEGRADED if on_cpu else EnergyStatus.OK,
        reason=CPU_ENERGY_REASON if on_cpu else None,
        source="the GPU's energy counter (the wrong one for this row)" if on_cpu else "the GPU's energy counter",
        scope="the whole GPU board",
    )
    return {Domain.CPU_PACKAGE if on_cpu else Domain.GPU: entry}


def _flops(total: float) -> Flops:
    return Flops(total=total, vision=None, qformer=None, prefill=None, decode=None, counter=FLOPS_COUNTER)


def _environment() -> dict[str, Any]:
    return {
        "cpu_model": "Intel Xeon Platinum 8462Y+",
        "gpus": ["NVIDIA H100"],
        "versions": {"torch": "2.8", "transformers": "4.57"},
    }


def _missing(made: Record) -> dict[str, Reason]:
    """A reason for everything the source leaves out."""
    absent = [key for key in ("phases", "flops", "memory", "tokens", "limit") if getattr(made, key) is None]
    absent += [key for key in ("energy", "quality") if not getattr(made, key)]
    reasons = dict.fromkeys(absent, NOT_PUBLISHED)
    reasons["latency.median_s"] = Reason.verbatim("the source document gives the mean only")
    for field in ("stddev_s", "p90_s"):
        reasons[f"latency.{field}"] = NOT_PUBLISHED
    if made.flops is not None:
        reasons |= {f"flops.{part}": NOT_PUBLISHED for part in ("vision", "qformer", "prefill", "decode")}
    for domain, entry in made.energy.items():
        reasons |= {f"energy.{domain}.{field}": NOT_PUBLISHED for field in MEASURED if getattr(entry, field) is None}
    return reasons


def records() -> list[Record]:
    """All cases of the source document, each once, the case that did not run last."""
    found = [
        record("device", "batch_size", batch_size=1, latency_s=0.299, joules_per_sample=43.441, flops=801.5e9),
        record("device", device="cpu", batch_size=1, latency_s=2.231, joules_per_sample=412.123, flops=801.5e9),
        record("batch_size", batch_size=4, latency_s=0.595, joules_per_sample=22),
        record("batch_size", batch_size=8, latency_s=0.744, joules_per_sample=14),
        record("batch_size", *SIZES, latency_s=0.922, joules_per_sample=10, wer=2.918),
        record(*SIZES, dataset="coco", latency_s=0.498, wer=0.881),
        record(
            *SIZES,
            "optimization",
            dataset="scienceqa",
            latency_s=1.100,
            joules_per_sample=11.631,
            flops=10.21e12,
            wer=9.213,
        ),
    ]
    for dataset, rows in IMAGE_SIZES.items():
        for size, (wer, latency_s) in rows.items():
            found.append(record("image_size", dataset=dataset, image_size=size, latency_s=latency_s, wer=wer))
    for dataset, rows in SEQUENCE_LENGTHS.items():
        for length, (wer, latency_s) in rows.items():
            found.append(
                record("sequence_length", dataset=dataset, sequence_length=length, latency_s=latency_s, wer=wer)
            )
    found.append(
        record(
            "optimization",
            dataset="scienceqa",
            optimization="compile",
            latency_s=1.098,
            joules_per_sample=11.645,
            flops=10.21e12,
            notes=(COMPILE_NOTE,),
        )
    )
    found.append(record("optimization", dataset="scienceqa", optimization="flash_attention_2", reason=FLASH_REASON))
    return found


def document() -> dict[str, Any]:
    """The records in the envelope of a pytest-benchmark file. No clock times: the source gives none."""
    ran = [made for made in records() if made.status == Status.OK]
    not_run = [made for made in records() if made.status != Status.OK]
    return {
        "machine_info": {"cpu": {"brand_raw": "Intel Xeon Platinum 8462Y+"}},
        "commit_info": {"id": None, "dirty": None},
        "benchmarks": [
            {
                "group": None,
                "name": f"test_{made.sweeps[0]}[{made.case_id}]",
                "fullname": f"benchmarks/test_{made.sweeps[0]}.py::test_{made.sweeps[0]}[{made.case_id}]",
                "params": None,
                "param": made.case_id,
                "extra_info": {"blip": as_plain(made)},
            }
            for made in ran
        ],
        "datetime": None,
        "version": None,
        "blip": {"not_run": [as_plain(made) for made in not_run]},
    }


def text() -> str:
    """The file's content."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
