"""Energy of a GPU without an energy counter: its power, polled by a thread and integrated."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from blip_fixtures.meters import MeterError
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Callable

# NVML refreshes the power every 15 to 100 ms, depending on the GPU; polling faster than that gains nothing.
_POLL_S = 0.02


class PolledPower:
    """Integrates `read_watts` over `clock` (seconds) with the trapezoid rule, between `start` and `stop`.

    `read_watts` raises `MeterError` when the power cannot be read.
    """

    def __init__(self, read_watts: Callable[[], float], clock: Callable[[], float]) -> None:
        self._read_watts = read_watts
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, float] | None = None
        self._energy_uj = 0.0
        self._slack_uj = 0.0
        self._error: MeterError | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take the first sample here, so that its `MeterError` reaches the caller, then poll in the background."""
        self.poll()
        self._thread = threading.Thread(target=self._keep_polling, name="blip-nvml-power", daemon=True)
        self._thread.start()

    def poll(self) -> None:
        """Take one sample and add the interval since the one before it. Raises `MeterError`."""
        before_s = self._clock()
        watts = self._read_watts()
        now_s = (before_s + self._clock()) / 2
        with self._lock:
            if self._last is not None:
                last_s, last_watts = self._last
                elapsed_s = now_s - last_s
                self._energy_uj += (last_watts + watts) / 2 * elapsed_s * 1e6
                # A power that jumped just after the one sample, or just before the other, is off by this triangle.
                self._slack_uj += abs(watts - last_watts) / 2 * elapsed_s * 1e6
            self._last = now_s, watts

    def read(self) -> tuple[int, int]:
        """Microjoules up to the last sample, and what they may be wrong by; the error that ended the polling if any."""
        with self._lock:
            if self._error is not None:
                raise MeterError(EnergyStatus.LOST, self._error.reason) from self._error
            return int(self._energy_uj), math.ceil(self._slack_uj)

    def stop(self) -> None:
        """End the polling and wait for its thread; harmless when there is none."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _keep_polling(self) -> None:
        while not self._stopping.wait(_POLL_S):
            try:
                self.poll()
            except MeterError as error:
                with self._lock:
                    self._error = error
                return
