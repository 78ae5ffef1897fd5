"""What NVML says of a GPU at one moment: its clocks, its temperature, and why it runs no faster."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "unknown"

_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal",
    0x040: "hw_thermal",
    0x080: "hw_power_brake",
    0x100: "display_clocks",
    0x200: "board_limit",
    0x400: "reliability",
}
# A power cap is how a busy GPU runs within its rating, so it is a fact; these four say that something was wrong.
THROTTLING = {
    "hw_slowdown": "gpu_hw_slowdown",
    "sw_thermal": "gpu_sw_thermal",
    "hw_thermal": "gpu_hw_thermal",
    "hw_power_brake": "gpu_hw_power_brake",
}


@dataclass(frozen=True)
class GpuState:
    """The GPU behind `handle`, as `nvml`, the pynvml module, answers; without a handle nothing is known of it."""

    nvml: Any
    handle: Any

    def facts(self) -> dict[str, Any]:
        """Clocks (MHz), temperature (C) and what holds the clocks down; ``unknown`` where the GPU does not tell."""
        found = {
            "sm_clock_mhz": self.ask("nvmlDeviceGetClockInfo", constant="NVML_CLOCK_SM"),
            "memory_clock_mhz": self.ask("nvmlDeviceGetClockInfo", constant="NVML_CLOCK_MEM"),
            "temperature_c": self.ask(
                "nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV", constant="NVML_TEMPERATURE_GPU"
            ),
            "throttle_reasons": self._throttle_reasons(),
        }
        return {name: UNKNOWN if value is None else value for name, value in found.items()}

    def ask(self, *functions: str, constant: str | None = None) -> Any:
        """What pynvml answers; `None` where none of `functions`, a call's name over the years, can tell."""
        if self.handle is None:
            return None
        arguments = [] if constant is None else [getattr(self.nvml, constant)]
        for function in functions:
            call = getattr(self.nvml, function, None)
            if call is not None:
                with contextlib.suppress(self.nvml.NVMLError):
                    return call(self.handle, *arguments)
        return None

    def _throttle_reasons(self) -> list[str] | None:
        mask = self.ask("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        if mask is None:
            return None
        bits = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
        return [_REASONS.get(bit, f"{bit:#x}") for bit in bits]


def throttling(facts: Mapping[str, Any]) -> tuple[Reason, ...]:
    """What was wrong when these facts were told."""
    told = facts["throttle_reasons"]
    return () if told == UNKNOWN else tuple(Reason.of(THROTTLING[name]) for name in told if name in THROTTLING)
