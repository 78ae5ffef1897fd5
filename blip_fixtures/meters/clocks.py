"""The clocks of a GPU between the calls of a workload. No energy counter is opened for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from blip_fixtures.case import cards_of
from blip_fixtures.meters import Conditions, MeterError, own_domain
from blip_fixtures.meters.nvml import torch_device_uuid
from blip_fixtures.meters.nvml_device import find_device, initialized
from blip_fixtures.meters.nvml_state import GpuState, throttling
from blip_fixtures.words import Domain

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason


class Clocks:
    """A context in which `note` keeps what a GPU tells of itself now, in `readings`; of a processor it keeps nothing.

    Of several cards a reading has the facts of each by its name.

    `reason` is why a GPU tells nothing.
    """

    def __init__(self, device: str) -> None:
        self.readings: list[Conditions] = []
        self.reason: Reason | None = None
        self._device = device
        self._nvml: Any = None
        self._states: dict[str, GpuState] = {}

    def __enter__(self) -> Self:
        if own_domain(self._device) == Domain.GPU:
            try:
                self._nvml = initialized()
                self._states = {card: self._found(card) for card in cards_of(self._device)}
            except MeterError as error:
                self.reason = error.reason
        return self

    def __exit__(self, *_: object) -> None:
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):  # a GPU that fell off may fail here once more
                self._nvml.nvmlShutdown()
        self._nvml, self._states = None, {}

    def note(self) -> None:
        """Keep a reading."""
        found = {card: state.facts() for card, state in self._states.items()}
        if found:
            facts = found if len(found) > 1 else found[self._device]
            degraded = tuple(reason for each in found.values() for reason in throttling(each))
            self.readings.append(Conditions(facts, degraded))

    def _found(self, card: str) -> GpuState:
        return GpuState(self._nvml, find_device(self._nvml, torch_device_uuid(card)).handle)
