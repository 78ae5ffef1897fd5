"""Writes reports/seed/instructblip-flan-t5-xl.json: a published document's figures as records, faults named.

The figures are those of the document whose table format this suite keeps. They were measured by another script on one
machine and published rounded, without single rounds. Run from the repository root: ``python tools/seed_records.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blip_fixtures.case import Case
from blip_fixtures.record import SCHEMA_VERSION, validate

TARGET = Path("reports/seed/instructblip-flan-t5-xl.json")
MODEL = "Salesforce/instructblip-flan-t5-xl"
DEVICE_NAMES = {"cuda:0": "NVIDIA H100", "cpu": "Intel Xeon Platinum 8462Y+"}
NOT_PUBLISHED = "the source document does not give it"
FLOPS_COUNTER = "2 x multiply-accumulates over matrix products, convolutions and attention"

LATENCY_NOTE = (
    "latency: no warm-up rounds, a profiler was active around the loop, and the partial last batch counts in the mean"
)
QUALITY_NOTE = (
    "quality: scored against one reference only, after the first 10 characters of every answer had been cut off by "
    "mistake"
)
ENERGY_NOTE = "energy: published with two significant digits only"
FLOPS_NOTE = "flops: counted on the last batch, a partial one of 12 samples"
IMAGE_NOTE = (
    "image_size: the images were scaled down to a thumbnail and then resized to 224 pixels, so every row did the same "
    "work"
)
SEQUENCE_NOTE = (
    "sequence_length: the limit only cuts prompts, and most are shorter than 50 tokens, so most rows did the same work"
)
COMPILE_NOTE = (
    "optimization: the model was wrapped by torch.compile but generate() called the module inside the wrapper, so "
    "nothing compiled ran"
)
FLASH_REASON = (
    "Flash Attention 2 was asked of all components at once, and T5's relative position bias has no such kernel; the "
    "vision encoder has one"
)
CPU_ENERGY_REASON = "the GPU's counter was read while the CPU did the work, so these are not the CPU's joules"

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
SIZES = ["image_size", "sequence_length"]


def record(
    sweeps: list[str],
    *,
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
    reason: str | None = None,
    notes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """One schema-valid record; what the source does not give is null with a reason."""
    case = Case(MODEL, "checkpoint", dataset, device, optimization, batch_size, image_size, sequence_length, "seed")
    ran = reason is None
    found = [
        (LATENCY_NOTE, latency_s is not None),
        (ENERGY_NOTE, joules_per_sample in TWO_DIGIT_ENERGIES),
        (FLOPS_NOTE, flops is not None and batch_size == 16),
        (QUALITY_NOTE, wer is not None),
        (IMAGE_NOTE, "image_size" in sweeps),
        (SEQUENCE_NOTE, "sequence_length" in sweeps),
    ]
    made = {
        "schema_version": SCHEMA_VERSION,
        "case_id": case.id,
        "config_hash": None,
        "sweeps": sweeps,
        "case": {
            "model": MODEL,
            "weights": "checkpoint",
            "device": device,
            "device_name": DEVICE_NAMES[device],
            "optimization": optimization,
            "dataset": dataset,
            "batch_size": batch_size,
            "image_size": image_size,
            "sequence_length": sequence_length,
            "prompts": "seed",
        },
        "status": "ok" if ran else "unavailable",
        "reason": reason,
        "latency": _latency(latency_s) if ran else None,
        "phases": None,
        "energy": {} if joules_per_sample is None else _energy(device, joules_per_sample),
        "flops": None if flops is None else _flops(flops),
        "memory": None,
        "quality": {} if wer is None else {"wer": {"value": wer, "per_sample": [], "higher_is_better": False}},
        "tokens": None,
        "limit": None,
        "data": {"source": "hub", "revision": None, "samples": 300, "batches": None, "dropped": None},
        "generation": {"new_tokens": 50, "fixed": False},
        "environment": _environment(),
        "applied": {},
        "notes": [note for note, applies in found if applies] + list(notes),
        "missing": {},
    }
    if ran:
        made["missing"] = _missing(made)
    validate(made)
    return made


def _latency(mean_s: float | None) -> dict[str, Any]:
    return {
        "mean_s": mean_s,
        "median_s": None,
        "stddev_s": None,
        "p90_s": None,
        "rounds_s": [],
        "reference_s": [],
        "warmup_rounds": 0,
    }


def _energy(device: str, joules_per_sample: float) -> dict[str, Any]:
    """The domain that the row claims; a CPU row says that the counter was another's."""
    on_cpu = device == "cpu"
    entry = {
        "joules_per_sample": joules_per_sample,
        "joules_per_token": None,
        "joules": None,
        "window_s": None,
        "samples": None,
        "error_bound_j": None,
        "idle_watts": None,
        "net_joules_per_sample": None,
        "status": "degraded" if on_cpu else "ok",
        "reason": CPU_ENERGY_REASON if on_cpu else None,
        "source": "the GPU's energy counter (the wrong one for this row)" if on_cpu else "the GPU's energy counter",
        "scope": "the whole GPU board",
    }
    return {"cpu_package" if on_cpu else "gpu": entry}


def _flops(total: float) -> dict[str, Any]:
    parts = dict.fromkeys(("vision", "qformer", "prefill", "decode"))
    return {"total": total, **parts, "counter": FLOPS_COUNTER}


def _environment() -> dict[str, Any]:
    return {
        "cpu_model": "Intel Xeon Platinum 8462Y+",
        "gpus": ["NVIDIA H100"],
        "versions": {"torch": "2.8", "transformers": "4.57"},
    }


def _missing(made: dict[str, Any]) -> dict[str, str]:
    """A reason for everything the source leaves out."""
    absent = [key for key in ("phases", "flops", "memory", "tokens", "limit") if made[key] is None]
    absent += [key for key in ("energy", "quality") if not made[key]]
    reasons = dict.fromkeys(absent, NOT_PUBLISHED)
    reasons["latency.median_s"] = "the source document gives the mean only"
    for field in ("stddev_s", "p90_s"):
        reasons[f"latency.{field}"] = NOT_PUBLISHED
    if made["flops"] is not None:
        reasons |= {f"flops.{part}": NOT_PUBLISHED for part in ("vision", "qformer", "prefill", "decode")}
    for domain, entry in made["energy"].items():
        reasons |= {f"energy.{domain}.{field}": NOT_PUBLISHED for field, value in entry.items() if value is None}
        reasons.pop(f"energy.{domain}.reason", None)
    return reasons


def records() -> list[dict[str, Any]]:
    """All cases of the source document, each once, the case that did not run last."""
    found = [
        record(["device", "batch_size"], batch_size=1, latency_s=0.299, joules_per_sample=43.441, flops=801.5e9),
        record(["device"], device="cpu", batch_size=1, latency_s=2.231, joules_per_sample=412.123, flops=801.5e9),
        record(["batch_size"], batch_size=4, latency_s=0.595, joules_per_sample=22),
        record(["batch_size"], batch_size=8, latency_s=0.744, joules_per_sample=14),
        record(["batch_size", *SIZES], latency_s=0.922, joules_per_sample=10, wer=2.918),
        record(SIZES, dataset="coco", latency_s=0.498, wer=0.881),
        record(
            [*SIZES, "optimization"],
            dataset="scienceqa",
            latency_s=1.100,
            joules_per_sample=11.631,
            flops=10.21e12,
            wer=9.213,
        ),
    ]
    for dataset, rows in IMAGE_SIZES.items():
        for size, (wer, latency_s) in rows.items():
            found.append(record(["image_size"], dataset=dataset, image_size=size, latency_s=latency_s, wer=wer))
    for dataset, rows in SEQUENCE_LENGTHS.items():
        for length, (wer, latency_s) in rows.items():
            found.append(
                record(["sequence_length"], dataset=dataset, sequence_length=length, latency_s=latency_s, wer=wer)
            )
    found.append(
        record(
            ["optimization"],
            dataset="scienceqa",
            optimization="compile",
            latency_s=1.098,
            joules_per_sample=11.645,
            flops=10.21e12,
            notes=(COMPILE_NOTE,),
        )
    )
    found.append(record(["optimization"], dataset="scienceqa", optimization="flash_attention_2", reason=FLASH_REASON))
    return found


def document() -> dict[str, Any]:
    """The records in the envelope of a pytest-benchmark file. No clock times: the source gives none."""
    ran = [made for made in records() if made["status"] == "ok"]
    not_run = [made for made in records() if made["status"] != "ok"]
    return {
        "machine_info": {"cpu": {"brand_raw": "Intel Xeon Platinum 8462Y+"}},
        "commit_info": {"id": None, "dirty": None},
        "benchmarks": [
            {
                "group": None,
                "name": f"test_{made['sweeps'][0]}[{made['case_id']}]",
                "fullname": f"benchmarks/test_{made['sweeps'][0]}.py::test_{made['sweeps'][0]}[{made['case_id']}]",
                "params": None,
                "param": made["case_id"],
                "extra_info": {"blip": made},
            }
            for made in ran
        ],
        "datetime": None,
        "version": None,
        "blip": {"not_run": not_run},
    }


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}")
