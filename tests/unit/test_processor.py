"""What is known of a processor whose name says little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.engine.environment import describe_machine, device_identity
from blip_fixtures.processor import INSTRUCTION_SETS, names_a_model, processor_facts
from blip_fixtures.report.machine import facts
from blip_fixtures.report.processors import _SHOWN, processor_text
from blip_fixtures.report.prose import load_prose

if TYPE_CHECKING:
    from pathlib import Path

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu avx avx2 avx512f avx512_vnni avx512_bf16x

processor\t: 1
cpu family\t: 26
"""
SAPPHIRE = EPYC.replace("avx512_bf16x", "avx512_bf16 avx512_fp16 avx_vnni amx_tile amx_bf16 amx_int8")
GRAVITON = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes sve asimddp i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


def facts_of(text: str, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    return processor_facts(path)


def test_of_x86(tmp_path: Path) -> None:
    assert facts_of(EPYC, tmp_path) == {
        "cpu_vendor": "AuthenticAMD",
        "cpu_family": 25,
        "cpu_model_number": 1,
        "cpu_stepping": 1,
        "cpu_instruction_sets": ["avx2", "avx512f", "avx512_vnni"],
    }
    sets = facts_of(SAPPHIRE, tmp_path)["cpu_instruction_sets"]
    assert sets == [name for name in INSTRUCTION_SETS if name.startswith(("avx", "amx"))]


def test_of_arm(tmp_path: Path) -> None:
    assert facts_of(GRAVITON, tmp_path) == {
        "cpu_vendor": "0x41",
        "cpu_family": 8,
        "cpu_model_number": 0xD40,
        "cpu_stepping": 1,
        "cpu_instruction_sets": ["asimd", "i8mm", "bf16", "sve"],
    }


@pytest.mark.parametrize("text", ["", "model : unknown\nstepping\t: -", "no colon\n\x00\n: :"])
def test_what_is_not_said_is_null(text: str, tmp_path: Path) -> None:
    assert set(facts_of(text, tmp_path).values()) == {None}
    assert set(processor_facts(tmp_path / "absent").values()) == {None}


@pytest.mark.parametrize(
    ("name", "is_full"),
    [
        ("AMD EPYC", False),
        ("AMD EPYC 64-Core Processor", False),
        ("AMD EPYC-Milan Processor", False),
        ("Intel Xeon Processor", False),
        ("Intel(R) Xeon(R) CPU @ 2.30GHz", False),
        ("Intel(R) Xeon(R) Processor 2900 MHz", False),
        ("Intel Xeon Processor (Cascadelake)", False),
        ("QEMU Virtual CPU version 2.5+", False),
        ("unknown", False),
        ("AMD EPYC 7763 64-Core Processor", True),
        ("AMD EPYC 9R14", True),
        ("Intel(R) Xeon(R) Platinum 8462Y+", True),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", True),
        ("Intel(R) Core(TM) Ultra 7 155H", True),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", True),
    ],
)
def test_which_names_are_models(name: str, is_full: bool) -> None:
    assert names_a_model(name) is is_full


def shown(text: str, name: str | None, tmp_path: Path, lang: str = "en") -> str:
    return processor_text({"cpu_model": name, **facts_of(text, tmp_path)}, load_prose(lang))


def test_a_name_that_says_little_is_completed(tmp_path: Path) -> None:
    assert shown(EPYC, "AMD EPYC", tmp_path) == "AMD EPYC (family 25, model 1, stepping 1; AVX2, AVX-512 VNNI)"
    assert shown(SAPPHIRE, "Intel Xeon Processor", tmp_path) == (
        "Intel Xeon Processor (family 25, model 1, stepping 1; AVX2, AVX-VNNI, AVX-512 VNNI, AVX-512 BF16, "
        "AVX-512 FP16, AMX INT8, AMX BF16)"
    )
    assert shown(GRAVITON, None, tmp_path) == "0x41 (family 8, model 3392, stepping 1; Advanced SIMD, I8MM, BF16, SVE)"
    assert shown(EPYC, "AMD EPYC", tmp_path, "ru").startswith("AMD EPYC (семейство 25, модель 1, степпинг 1; ")


def test_a_full_name_and_an_old_record_stay_as_they_are(tmp_path: Path) -> None:
    assert shown(EPYC, "AMD EPYC 7763 64-Core Processor", tmp_path) == "AMD EPYC 7763 64-Core Processor"
    assert processor_text({"cpu_model": "AMD EPYC"}, load_prose("en")) == "AMD EPYC"
    assert processor_text({}, load_prose("en")) == ""


def test_every_instruction_set_has_a_name() -> None:
    assert set(_SHOWN) == set(INSTRUCTION_SETS)


def test_a_record_has_the_facts_and_its_device_keeps_its_name() -> None:
    machine = describe_machine({})
    assert {name: machine[name] for name in processor_facts()} == processor_facts()
    assert device_identity("cpu").name == machine["cpu_model"]
    told = dict(facts([machine], load_prose("en")))["Processor"]
    assert told.startswith(processor_text(machine, load_prose("en")))
