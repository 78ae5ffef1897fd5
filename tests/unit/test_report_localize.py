"""The suite's own reasons, said in Russian."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blip_fixtures.meters import MeterError
from blip_fixtures.meters.rapl import open_rapl
from blip_fixtures.options import NOT_ASKED_FOR
from blip_fixtures.report.localize import localized
from blip_fixtures.report.prose import load_prose
from tests.unit.records import make_energy, make_record

CYRILLIC = re.compile("[а-я]{3}")


def in_russian(text: str) -> str:
    (record,) = localized([make_record(status="unavailable", reason=text)], load_prose("ru"))
    return record["reason"] or ""


@pytest.mark.parametrize(
    "text",
    [
        "compile needs a compiler and g++ is not on the PATH; install it, or name one in CXX",
        "int4 on CUDA needs the package torchao; install it",
        "latency: compiling took 44.3 s before the first round and is not in it",
        "latency: flash attention ran in vision, qformer; the default attention of this device runs the same kernels",
        "latency: timed again at the end of the run it was 0.018 s, 0.86 times the first",
        "3 coco samples do not fill a batch of 16; raise --blip-limit or give more data",
        "energy: measured on the first 7 of 64 batches",
        NOT_ASKED_FOR,
    ],
)
def test_known_reasons_are_translated(text: str) -> None:
    assert CYRILLIC.search(in_russian(text))


def test_numbers_and_scopes_survive() -> None:
    record = make_record(notes=["latency: timed on the first 2 of 64 batches; quality uses all"])
    (translated,) = localized([record], load_prose("ru"))
    assert translated["notes"] == ["latency: по первым 2 из 64 батчей; качество — по всем"]


@pytest.mark.parametrize(
    "reason",
    [
        "measured with --blip-energy=off",
        *(entry.reason for entry in open_rapl(Path("/no/such/tree")).values() if isinstance(entry, MeterError)),
        "cannot read intel-rapl:0/energy_uj: permission denied; run as root, grant read access (chmod a+r /x/e), "
        "or pass --blip-energy=off",
        "intel-rapl:0, intel-rapl:1 under /sys/class/powercap cannot be looked into, as in most containers; mount the "
        "host's /sys/devices/virtual/powercap elsewhere and name it with --blip-rapl-root",
        "2 other compute processes were on the GPU",
        "1 other compute process was on the GPU",
        "a window of 0.5 s is shorter than 10 update periods of 0.1 s; measure longer",
        "the nvml counter of gpu did not move in 5 s; reload its driver, or pass --blip-energy=off",
        "257143 J in 1.2 s are 2.143e+05 W, more than the 300 W that the hardware can draw; the counter was reset or is"
        " broken",
    ],
)
def test_reasons_of_the_energy_pass_are_translated(reason: str) -> None:
    record = make_record(energy={"cpu_package": make_energy(None, status="lost", reason=reason)})
    (translated,) = localized([record], load_prose("ru"))
    assert CYRILLIC.search(translated["energy"]["cpu_package"]["reason"] or "")


def test_several_reasons_of_one_meter_are_translated_one_by_one() -> None:
    reason = (
        "other processes took 25 % of the busy processor time, and the counter sees them too; the fan was loud; the "
        "windows differ by more than 10 %: 1.5 and 1.8 J per sample"
    )
    record = make_record(energy={"cpu_package": make_energy(2.0, status="contended", reason=reason)})
    (translated,) = localized([record], load_prose("ru"))
    assert translated["energy"]["cpu_package"]["reason"] == (
        "другие процессы заняли 25 % занятого времени процессора, и счётчик видит их тоже; the fan was loud; "
        "окна расходятся больше чем на 10 %: 1.5 и 1.8 Дж на пример"
    )


def test_foreign_texts_stay() -> None:
    assert in_russian("RuntimeError: CUDA error") == "RuntimeError: CUDA error"


def test_english_changes_nothing() -> None:
    record = make_record(notes=["latency: timed on the first 2 of 64 batches; quality uses all"])
    assert localized([record], load_prose("en")) == [record]
