"""What else a machine did while its energy was counted: a machine-wide counter sees that too."""

from __future__ import annotations

from typing import Any

import psutil


class OtherProcesses:
    """The processor time that others took since this was made."""

    def __init__(self) -> None:
        self._busy_s, self._own_s = _busy_s(), _own_s()

    def share(self) -> float:
        """Their part of all processor time that was used since."""
        busy_s, own_s = _busy_s() - self._busy_s, _own_s() - self._own_s
        return max(busy_s - own_s, 0.0) / busy_s if busy_s > 0 else 0.0


def machine_facts() -> dict[str, Any]:
    """What a machine-wide counter's figure depends on besides the work."""
    frequency = psutil.cpu_freq()
    return {
        "cpu_frequency_mhz": frequency.current if frequency is not None else "unknown",
        "load_average": list(psutil.getloadavg()),
    }


def _busy_s() -> float:
    times = psutil.cpu_times()
    # The kernel counts a guest's time as user time as well, and waiting for a disk is idling.
    not_busy = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(times) - sum(getattr(times, name, 0.0) for name in not_busy))


def _own_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
