"""The clocks of a GPU between the calls of a workload. No energy counter is opened for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from blip_fixtures.meters import Conditions, MeterError, own_domain
from blip_fixtures.meters.nvml import torch_device_uuid
from blip_fixtures.meters.nvml_device import find_device, initialized
from blip_fixtures.meters.nvml_state import GpuState, throttling
from blip_fixtures.words import Domain

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason


class Clocks:
    """A context in which `note` keeps what a GPU tells of itself now, in `readings`; of a processor it keeps nothing.

    `reason` is why a GPU tells nothing.
    """

    def __init__(self, device: str) -> None:
        self.readings: list[Conditions] = []
        self.reason: Reason | None = None
        self._device = device
        self._nvml: Any = None
        self._state: GpuState | None = None

    def __enter__(self) -> Self:
        if own_domain(self._device) == Domain.GPU:
            try:
                self._nvml = initialized()
                self._state = GpuState(self._nvml, find_device(self._nvml, torch_device_uuid(self._device)).handle)
            except MeterError as error:
                self.reason = error.reason
        return self

    def __exit__(self, *_: object) -> None:
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):  # a GPU that fell off may fail here once more
                self._nvml.nvmlShutdown()
        self._nvml = self._state = None

    def note(self) -> None:
        """Keep a reading."""
        if self._state is not None:
            facts = self._state.facts()
            self.readings.append(Conditions(facts, throttling(facts)))
