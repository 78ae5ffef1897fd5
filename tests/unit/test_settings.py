"""Settings: each of them tells in the digest, and none of a job is forgotten."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import msgspec
import pytest

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.data.prompts import Prompt, Variant
from blip_fixtures.job import Job, SampleSource
from blip_fixtures.settings import DeviceIdentity, Settings
from blip_fixtures.words import DataErrors, Decoding, EnergyMode, PassName, Weights

CASE = Case(
    model="instructblip-tiny",
    dataset="textvqa",
    device="cpu",
    optimization="fp16",
    batch_size=1,
    image_size=224,
    sequence_length=50,
)
JOB = Job.of(CASE)
DEVICE = DeviceIdentity(name="Some Processor", uuid=None, threads=2)


def settings(job: Job = JOB, **overrides: Any) -> Settings:
    conditions: dict[str, Any] = {
        "checkpoint_revision": "aaa",
        "checkpoint_files": "ccc",
        "data_revision": "bbb",
        "device": DEVICE,
        "versions": {"torch": "2.13.0", "pytest-blip": "0.1.0"},
        "python": "3.12.0",
    }
    return Settings.of(job, **{**conditions, **overrides})


# Another value for every field of the settings.
CHANGES: dict[str, Any] = {
    "case": msgspec.structs.replace(JOB, case=Case(**{**CASE.__dict__, "batch_size": 2})).case,
    "checkpoint_revision": "other",
    "checkpoint_files": "other",
    "data_revision": "other",
    "data_split": "karpathy-test",
    "data_errors": DataErrors.SKIP,
    "limit": 7,
    "prompt": type(JOB.prompt)(parts=("{question}",)),
    "new_tokens": NewTokens(50, fixed=True),
    "passes": (PassName.LATENCY,),
    "rounds": 3,
    "warmup_rounds": 0,
    "energy": EnergyMode.OFF,
    "device": DeviceIdentity(name="Another", uuid=None, threads=2),
    "versions": {"torch": "2.11.0", "pytest-blip": "0.1.0"},
    "python": "3.13.0",
    "schema_version": 3,
}


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Settings)])
def test_changing_any_field_changes_the_digest(name: str) -> None:
    first = settings()
    changed = msgspec.structs.replace(first, **{name: CHANGES[name]})
    assert getattr(changed, name) != getattr(first, name)
    assert changed.digest != first.digest


# Another value for every setting of a protocol.
OF_A_PROTOCOL: dict[str, Any] = {
    "parts": ("{question}",),
    "join": "|",
    "option": "{LETTER}",
    "option_join": "|",
    "ocr_limit": 7,
    "capitalize_question": True,
    "num_beams": 3,
    "length_penalty": -1.0,
    "decoding": Decoding.RANK,
    "repetition_penalty": 1.5,
    "min_new_tokens": 2,
    "max_new_tokens": 9,
    "ocr_source": "Tesseract 5",
    "variants": (Variant(("blip2",), (("num_beams", 5),)),),
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Prompt)])
def test_every_setting_of_a_protocol_tells_in_the_digest(name: str) -> None:
    other = dataclasses.replace(JOB.prompt, **{name: OF_A_PROTOCOL[name]})
    assert settings(msgspec.structs.replace(JOB, prompt=other)).digest != settings().digest


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(DeviceIdentity)])
def test_another_device_is_another_digest(name: str) -> None:
    other = {"name": "Another", "uuid": "GPU-1", "threads": 4, "host": "alpha"}[name]
    assert settings(device=msgspec.structs.replace(DEVICE, **{name: other})).digest != settings().digest


@pytest.mark.parametrize("name", list(CASE.__dict__))
def test_another_case_is_another_digest(name: str) -> None:
    value = getattr(CASE, name)
    other = value + 1 if isinstance(value, int) else {"dataset": "coco", "weights": Weights.RANDOM}.get(name, "other")
    job = msgspec.structs.replace(JOB, case=Case(**{**CASE.__dict__, name: other}))
    assert settings(job).digest != settings().digest


# Another value for every field of a job; those behind are no conditions of a measurement.
OF_A_JOB: dict[str, Any] = {name: CHANGES[name] for name in ("case", "prompt", "new_tokens", "passes", "rounds")} | {
    "warmup_rounds": 0,
    "energy": EnergyMode.OFF,
}
# What a name stands for tells through the revision of what was found; the others do not change a figure.
NO_CONDITION = {
    "limit_of_protocol": False,
    "hub_revision": "v1",
    "rapl_root": "/elsewhere",
    "sweeps": ("device",),
    "again": True,
    "process": 2,
    "turns_with": CASE,
}
OF_SAMPLES = {"limit": 7, "errors": DataErrors.SKIP}
SAMPLES_BY_REVISION = {"source": "folder", "override": "other"}


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Job)])
def test_every_field_of_a_job_is_a_condition_or_says_why_not(field: str) -> None:
    if field == "samples":
        for name, value in {**OF_SAMPLES, **SAMPLES_BY_REVISION}.items():
            job = msgspec.structs.replace(JOB, samples=msgspec.structs.replace(SampleSource(), **{name: value}))
            assert (settings(job).digest != settings().digest) == (name in OF_SAMPLES)
        assert {each.name for each in msgspec.structs.fields(SampleSource)} == {*OF_SAMPLES, *SAMPLES_BY_REVISION}
        return
    value = {**OF_A_JOB, **NO_CONDITION}[field]
    job = msgspec.structs.replace(JOB, **{field: value})
    assert (settings(job).digest != settings().digest) == (field in OF_A_JOB)


def test_the_digest_is_the_same_in_every_process() -> None:
    assert settings().digest == settings(versions={"pytest-blip": "0.1.0", "torch": "2.13.0"}).digest
    assert len(settings().digest) == 16


def test_a_job_is_plain_data() -> None:
    job = Job.of(CASE, rounds=3, passes=(PassName.ENERGY,), samples=SampleSource(limit=4, errors=DataErrors.CONVERT))
    assert pickle.loads(pickle.dumps(job)) == job
    assert Job.from_json(job.to_json()) == job
    assert hash(Job.from_json(job.to_json())) == hash(job)


LONG = Prompt(
    ("{question}",),
    min_new_tokens=2,
    max_new_tokens=10,
    variants=(Variant(("blip2",), (("max_new_tokens", 30), ("parts", ("A", "B")), ("length_penalty", 1.0))),),
)


def test_a_job_with_variants_is_plain_data() -> None:
    job = Job.of(CASE, prompt=LONG)
    assert Job.from_json(job.to_json()) == job
    assert Job.from_json(job.to_json()).of_family(("blip2",)) == job.of_family(("blip2",))
    assert hash(Job.from_json(job.to_json())) == hash(job)


@pytest.mark.parametrize(
    ("given", "here", "elsewhere"),
    [
        ({}, NewTokens(10), NewTokens(30)),
        ({"new_tokens": NewTokens(7)}, NewTokens(7), NewTokens(7)),
        ({"new_tokens": NewTokens(50)}, NewTokens(50), NewTokens(50)),
        ({"new_tokens": NewTokens(7, fixed=True)}, NewTokens(7, fixed=True), NewTokens(7, fixed=True)),
    ],
)
def test_the_protocol_says_how_long_an_answer_may_be_unless_somebody_does(
    given: dict[str, Any], here: NewTokens, elsewhere: NewTokens
) -> None:
    job = Job.of(CASE, prompt=LONG, **given)
    assert (job.new_tokens, job.of_family(("instructblip",)).new_tokens) == (here, here)
    assert job.of_family(("blip2", "decoder_only")).new_tokens == elsewhere


def test_without_a_number_anywhere_an_answer_has_at_most_fifty_tokens() -> None:
    assert JOB.of_family(("instructblip",)).new_tokens == NewTokens(50)
    random = Case(**{**CASE.__dict__, "weights": Weights.RANDOM})
    assert Job.of(random).of_family(("instructblip",)).new_tokens == NewTokens(50, fixed=True)


def test_a_protocol_that_cannot_be_is_no_job() -> None:
    with pytest.raises(ValueError, match="the prompt for textvqa decoding is rank and textvqa has no options to rank;"):
        Job.of(CASE, prompt=Prompt(("{question}",), decoding=Decoding.RANK))


def test_the_latency_is_always_measured_and_synthetic_weights_generate_a_fixed_number() -> None:
    assert Job.of(CASE, passes=("flops",)).passes == (PassName.LATENCY, PassName.FLOPS)
    random = Case(**{**CASE.__dict__, "weights": Weights.RANDOM})
    assert Job.of(random, new_tokens=NewTokens(7)).new_tokens == NewTokens(7, fixed=True)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"passes": ("qualty",)}, "unknown pass 'qualty'; there are latency, .*; did you mean quality?"),
        ({"passes": "quality"}, "passes of a job cannot be so: Expected `array`, got `str`"),
        ({"rounds": 0}, "rounds of a job cannot be so: Expected `int` >= 1"),
        ({"rounds": -1}, "rounds of a job cannot be so"),
        ({"rounds": "5"}, "rounds of a job cannot be so: Expected `int | null`, got `str`"),
        ({"warmup_rounds": -1}, "warmup_rounds of a job cannot be so: Expected `int` >= 0"),
        ({"samples": SampleSource(limit=0)}, "samples.limit of a job cannot be so"),
        ({"new_tokens": NewTokens(0)}, "new_tokens.limit is 0; give a whole number of at least 1"),
        ({"energy": "maybe"}, "energy of a job cannot be so: Invalid enum value 'maybe'"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("|", r"\|").replace("?", r"\?")):
        Job.of(CASE, **setting)


def test_a_second_timing_is_the_latency_alone() -> None:
    again = JOB.second_timing()
    assert (again.passes, again.again, again.case) == ((PassName.LATENCY,), True, CASE)


def test_rounds_cover_every_batch() -> None:
    assert (JOB.rounds_of(3), JOB.rounds_of(64), Job.of(CASE, rounds=2).rounds_of(64)) == (10, 64, 2)
