"""What a processor is beside its name, which virtual machines hide or shorten: /proc/cpuinfo on Linux."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

# The instruction sets that decide how fast the kernels can be, as /proc/cpuinfo has them on x86-64 and aarch64.
INSTRUCTION_SETS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "i8mm",
    "bf16",
    "sve",
)
_CPUINFO = Path("/proc/cpuinfo")
# Fields of x86-64 and of aarch64.
_NUMBERS = {
    "cpu_family": ("cpu family", "CPU architecture"),
    "cpu_model_number": ("model", "CPU part"),
    "cpu_stepping": ("stepping", "CPU revision"),
}
_VENDOR = ("vendor_id", "CPU implementer")
_FLAGS = ("flags", "Features")
_LETTERS_OF_A_MODEL = 4


def processor_facts(cpuinfo: Path = _CPUINFO) -> dict[str, Any]:
    """Vendor, family, model, stepping and instruction sets by the names of a record's environment.

    `None` is what the file does not say; everything where there is no such file.
    """
    fields = _fields(cpuinfo)
    flags = _first(fields, _FLAGS)
    known = None if flags is None else set(flags.split())
    return {
        "cpu_vendor": _first(fields, _VENDOR),
        **{name: _number(_first(fields, names)) for name, names in _NUMBERS.items()},
        "cpu_instruction_sets": None if known is None else [name for name in INSTRUCTION_SETS if name in known],
    }


def names_a_model(name: str) -> bool:
    """Whether a processor's name says which one it is: ``AMD EPYC 7763``, not ``AMD EPYC`` nor ``... CPU @ 2.30GHz``.

    A model is a word of at least four letters with a digit among them, or a number of at least three.
    """
    words = re.findall(r"[^\W_]+", re.sub(r"@.*|\d+(?:\.\d+)?\s*[GM]Hz", "", name))
    return any(
        re.search(r"\d", word) is not None and (len(word) >= _LETTERS_OF_A_MODEL or re.fullmatch(r"\d{3}", word))
        for word in words
    )


def _fields(cpuinfo: Path) -> dict[str, str]:
    """Those of the first processor."""
    with contextlib.suppress(OSError):
        first, _, _ = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        pairs = (line.partition(":") for line in first.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}
    return {}


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if fields.get(name)), None)


def _number(text: str | None) -> int | None:
    """``0xd0c`` and ``26`` alike."""
    with contextlib.suppress(ValueError):
        return None if text is None else int(text, 0)
    return None
