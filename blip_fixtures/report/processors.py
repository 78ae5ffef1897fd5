"""How a document calls a processor: by its name, and where that tells no model by what else is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.processor import names_a_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.report.prose import Prose

# By the flag of /proc/cpuinfo. One that others build on is said where none of them is there.
_SHOWN = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_tile": "AMX",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "asimd": "Advanced SIMD",
    "i8mm": "I8MM",
    "bf16": "BF16",
    "sve": "SVE",
}
_BUILT_ON = {"avx512f": "avx512_", "amx_tile": "amx_"}
_NUMBERS = {"cpu_family": "env_family", "cpu_model_number": "env_model", "cpu_stepping": "env_stepping"}


def processor_text(environment: Mapping[str, Any], prose: Prose) -> str:
    """``AMD EPYC (family 25, model 1, stepping 1; AVX2, AVX-512 VNNI)``; a full name alone; empty where unknown."""
    name = str(environment.get("cpu_model") or "")
    if name and names_a_model(name):
        return name
    numbers = [
        prose.say(key, number=number)
        for field, key in _NUMBERS.items()
        if (number := environment.get(field)) is not None
    ]
    vendor = str(environment.get("cpu_vendor") or "") if not name else ""
    sets = environment.get("cpu_instruction_sets") or []
    known = [text for flag, text in _SHOWN.items() if flag in sets and not _is_implied(flag, sets)]
    beside = "; ".join(part for part in (", ".join(numbers), ", ".join(known)) if part)
    return " ".join(part for part in (name or vendor, f"({beside})" if beside else "") if part)


def _is_implied(flag: str, sets: list[str]) -> bool:
    prefix = _BUILT_ON.get(flag)
    return prefix is not None and any(other != flag and other.startswith(prefix) for other in sets)
