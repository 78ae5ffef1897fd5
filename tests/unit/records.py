"""Hand-made records for tests: `make_record` fills in everything a test does not care about."""

from __future__ import annotations

from statistics import mean, median, quantiles, stdev
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from blip_fixtures.case import AXES, axis_id
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Energy, Latency, Metric, Record, as_plain
from blip_fixtures.words import PassName, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

CASE_FIELDS = (
    "model",
    "weights",
    "device",
    "device_name",
    "optimization",
    "dataset",
    "batch_size",
    "image_size",
    "sequence_length",
    "prompts",
)
MERGED_FIELDS = ("case", "environment", "phases", "flops", "memory", "tokens", "limit", "data", "generation")
EMPTY_PARTS = ("latency", "phases", "flops", "memory", "tokens", "limit")
SCOPES = {*PassName, "tokens", *AXES}
ROUNDS_S = (0.210, 0.200, 0.205, 0.198, 0.240)
Converted = TypeVar("Converted")


def make_latency(rounds_s: Sequence[float] = ROUNDS_S, /, **overrides: Any) -> Latency:
    """The `latency` of a record, every statistic derived from the rounds (seconds per batch) unless overridden."""
    latency = {
        "mean_s": mean(rounds_s),
        "median_s": median(rounds_s),
        "stddev_s": stdev(rounds_s) if len(rounds_s) > 1 else None,
        "p90_s": quantiles(rounds_s, n=10, method="inclusive")[-1] if len(rounds_s) > 1 else None,
        "rounds_s": rounds_s,
        "reference_s": [0.002] * len(rounds_s),
        "warmup_rounds": 2,
    }
    return msgspec.convert({**latency, **overrides}, Latency)


def make_energy(joules_per_sample: float | None = 3.5, **overrides: Any) -> Energy:
    """One meter domain of a record; with `joules_per_sample=None` give a `status` and a `reason` as well."""
    known = joules_per_sample is not None
    energy = {
        "joules_per_sample": joules_per_sample,
        "joules_per_token": joules_per_sample / 10 if joules_per_sample is not None else None,
        "joules": joules_per_sample * 32 if joules_per_sample is not None else None,
        "window_s": 6.0 if known else None,
        "samples": 32 if known else None,
        "error_bound_j": 1.5 if known else None,
        "idle_watts": 12.0 if known else None,
        "net_joules_per_sample": joules_per_sample * 0.6 if joules_per_sample is not None else None,
        "status": "ok",
        "reason": None,
        "source": "intel-rapl package-0",
        "scope": "machine",
    }
    return _converted(_energy_reasons({**energy, **overrides}), Energy)


def make_metric(
    value: float | None,
    *,
    higher_is_better: bool = True,
    per_sample: Sequence[float | None] = (),
    interval: tuple[float, float] | None = None,
) -> Metric:
    """One quality metric of a record."""
    return Metric(value=value, per_sample=tuple(per_sample), higher_is_better=higher_is_better, interval=interval)


def _converted(value: Any, kind: type[Converted]) -> Converted:
    """A struct from dicts and structs in any mix."""
    return msgspec.convert(msgspec.to_builtins(value), kind)


def _reason(value: Reason | str | None) -> Reason | None:
    return Reason.verbatim(value) if isinstance(value, str) else value


def _note(value: Reason | str) -> Reason:
    """A note from a text: ``latency: slow`` belongs to the latency."""
    if isinstance(value, Reason):
        return value
    scope, colon, text = value.partition(": ")
    return Reason.verbatim(text, scope=scope) if colon and scope in SCOPES else Reason.verbatim(value)


def _energy_reasons(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "reason": _reason(entry["reason"])}


def _defaults() -> dict[str, Any]:
    return {
        "config_hash": "0123456789abcdef",
        "sweeps": ["device"],
        "case": {
            "model": "instructblip-tiny",
            "weights": "checkpoint",
            "device": "cpu",
            "device_name": "Intel(R) Xeon(R) Platinum 8462Y+",
            "optimization": "fp32",
            "dataset": "textvqa",
            "batch_size": 1,
            "image_size": 224,
            "sequence_length": 200,
            "prompts": "paper",
        },
        "status": "ok",
        "reason": None,
        "latency": make_latency(),
        "phases": {
            "vision_s": 0.02,
            "qformer_s": 0.01,
            "prefill_s": 0.03,
            "decode_per_token_s": 0.014,
            "time_to_first_token_s": 0.06,
            "sum_s": 0.2,
            "latency_ratio": 0.95,
        },
        "energy": {"cpu_package": make_energy()},
        "flops": {
            "total": 4.0e9,
            "vision": 2.0e9,
            "qformer": 0.5e9,
            "prefill": 0.5e9,
            "decode": 1.0e9,
            "counter": "torch.utils.flop_counter",
        },
        "memory": {"weights_bytes": 8 * 2**20, "peak_bytes": 100 * 2**20, "kind": "resident set size of the process"},
        "quality": {
            "wer": make_metric(0.75, higher_is_better=False),
            "vqa_accuracy": make_metric(0.466),
        },
        "tokens": {
            "input_mean": 12.5,
            "input_max": 20,
            "truncated_share": 0.0,
            "output_mean": 10.0,
            "output_max": 10,
        },
        "limit": {
            "seconds": 0.05,
            "ratio": 4.1,
            "bound_by": {"vision": "arithmetic", "qformer": "arithmetic", "prefill": "arithmetic", "decode": "memory"},
            "flops_per_s": 2.5e12,
            "bytes_per_s": {"vision": 2e11, "qformer": 3e11, "prefill": 2e11, "decode": 2e11},
        },
        "data": {"source": "sample", "revision": None, "samples": 32, "batches": 32, "dropped": 0},
        "generation": {"new_tokens": 50, "fixed": False},
        "environment": {
            "cpu_model": "Intel(R) Xeon(R) Platinum 8462Y+",
            "cpu_cores_physical": 32,
            "cpu_cores_logical": 64,
            "torch_threads": 32,
            "memory_bytes": 256 * 2**30,
            "gpus": [],
            "gpu_driver": None,
            "platform": "Linux-6.8.0-x86_64",
            "python": "3.11.9",
            "versions": {"torch": "2.8.0", "transformers": "4.57.0", "pytest": "9.2.0", "pytest-blip": "0.1.0"},
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "started_at": "2026-01-02T03:04:05+00:00",
            "load_average": [1.0, 1.0, 1.0],
            "cpu_frequency_mhz": 3600.0,
            "command": "pytest benchmarks",
        },
        "applied": {},
        "notes": [],
        "missing": {},
    }


def make_record(**overrides: Any) -> Record:
    """A valid `Record`.

    Keywords are the record's own fields and, for short, the fields of its case:
    ``make_record(batch_size=4, sweeps=["batch_size"], latency=make_latency([0.3, 0.31]))``. A dict given for `case`,
    `environment`, `phases`, `flops`, `memory`, `tokens`, `limit`, `data`, `generation` changes just the keys it names;
    every other value replaces the default. Reasons and notes may be texts (``"latency: slow"`` is a note on the
    latency). A field set to null gets a reason under `missing` if the caller gives none. Raises
    `msgspec.ValidationError` when the result breaks the schema.
    """
    record: dict[str, Any] = _defaults()
    case_overrides = {key: overrides.pop(key) for key in CASE_FIELDS if key in overrides}
    for key, value in overrides.items():
        merges = isinstance(value, dict) and isinstance(record.get(key), dict)
        if merges and key in MERGED_FIELDS:
            record[key] = {**record[key], **value}
        else:
            record[key] = value
    record["case"] = {**record["case"], **case_overrides}
    for key in EMPTY_PARTS:
        if record[key] is None and record["status"] == Status.OK:
            record["missing"] = {key: f"{key} left out of the test record", **record["missing"]}
    if "case_id" not in record:
        record["case_id"] = "-".join(axis_id(axis, record["case"][axis]) for axis in AXES)
    record["reason"] = _reason(record["reason"])
    record["notes"] = [_note(note) for note in record["notes"]]
    record["missing"] = {path: _reason(reason) for path, reason in record["missing"].items()}
    record["energy"] = {
        domain: _energy_reasons(entry) if isinstance(entry, dict) else entry
        for domain, entry in record["energy"].items()
    }
    return _converted(record, Record)


def make_not_run(
    status: str = "unavailable", reason: Reason | str = "no such device on this machine", **overrides: Any
) -> Record:
    """A record of a case that did not run: no figures, one reason."""
    empty: dict[str, Any] = dict.fromkeys(EMPTY_PARTS)
    return make_record(status=status, reason=reason, **{**empty, "energy": {}, "quality": {}, **overrides})


def make_again(record: Record, latency: Latency) -> Record:
    """The second timing of `record`'s case, at the end of the run."""
    empty: dict[str, Any] = dict.fromkeys(EMPTY_PARTS)
    answers: dict[str, Any] = {"quality": {}, "predictions": (), "sample_ids": ()}
    changes = {**empty, **answers, "energy": {}, "notes": (), "missing": {}, "applied": {}}
    return msgspec.structs.replace(record, **{**changes, "latency": latency, "again": True})


def small_run() -> list[Record]:
    """Seven cases of `instructblip-tiny` on one CPU: three sweeps, one case that did not run, energy not readable."""
    no_energy = {
        "cpu_package": make_energy(
            None,
            status="permission",
            reason="cannot read intel-rapl:0/energy_uj: permission denied; run as root, or pass --blip-energy=off",
            source=None,
            scope=None,
        )
    }
    rounds = {1: [0.0150, 0.0152, 0.0149, 0.0151], 4: [0.031, 0.030, 0.0305, 0.033]}
    device, four = (
        make_record(
            sweeps=sweeps,
            batch_size=size,
            latency=make_latency(rounds[size]),
            energy=no_energy,
            data={"samples": 30 // size * size, "batches": 30 // size, "dropped": 30 % size},
        )
        for size, sweeps in ((1, ["device", "batch_size"]), (4, ["batch_size"]))
    )
    images = [
        make_record(
            sweeps=["image_size"],
            batch_size=8,
            image_size=size,
            latency=make_latency([second * (size / 224) ** 2 for second in rounds[4]]),
            energy=no_energy,
            flops={"total": 4.0e9 * (size / 224) ** 2, "vision": 2.0e9 * (size / 224) ** 2},
            quality={
                "wer": make_metric(wer, higher_is_better=False),
                "vqa_accuracy": make_metric(0.625, per_sample=[1, 1, 0.3, 1, 0, 1, 0, 0.7]),
            },
        )
        for size, wer in ((224, 0.5), (448, 0.625))
    ]
    optimized = [
        make_record(
            sweeps=["optimization"],
            batch_size=4,
            dataset="scienceqa",
            optimization=optimization,
            latency=make_latency([second * factor for second in rounds[4]]),
            energy=no_energy,
            quality={"wer": make_metric(0.25, higher_is_better=False), "accuracy": make_metric(0.7)},
            applied={"dtype": "torch.float32"} | ({"graphs": 3} if optimization == "compile" else {}),
            notes=["the first round compiled the model and is left out"] if optimization == "compile" else [],
        )
        for optimization, factor in (("fp32", 1.0), ("compile", 0.8))
    ]
    missing = make_not_run(
        reason="Flash Attention 2 has no CPU kernel; measure it on a GPU",
        sweeps=["optimization"],
        batch_size=4,
        dataset="scienceqa",
        optimization="flash_attention_2",
    )
    return [device, four, *images, *optimized, missing]


def envelope(records: Sequence[Record]) -> dict[str, Any]:
    """`records` in the JSON that a run leaves: pytest-benchmark's list, and the cases that did not run beside it."""
    return {
        "machine_info": {},
        "commit_info": {},
        "benchmarks": [
            {"name": record.case_id, "extra_info": {"blip": as_plain(record)}}
            for record in records
            if record.status == Status.OK and not record.again
        ],
        "datetime": "2026-01-02T03:04:05+00:00",
        "version": "5.3.1",
        "blip": {
            "not_run": [as_plain(record) for record in records if record.status != Status.OK],
            "again": [as_plain(record) for record in records if record.again],
        },
    }
