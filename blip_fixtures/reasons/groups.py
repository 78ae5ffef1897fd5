"""Codes that mean the same to whoever judges a record."""

from __future__ import annotations

# A device that had to slow down: its figures are not those of the code that ran on it.
THROTTLED = frozenset({"gpu_hw_slowdown", "gpu_sw_thermal", "gpu_hw_thermal", "gpu_hw_power_brake"})
