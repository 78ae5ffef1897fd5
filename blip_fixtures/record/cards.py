"""What a record says of each card of a device that is several: ``cuda:0`` and ``cuda:1`` of ``cuda:0+cuda:1``."""

from __future__ import annotations

import msgspec

from blip_fixtures.record.units import Bytes, Joules


class CardEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One card's part of the sums over all windows: `joules` within `error_bound_j` of the truth."""

    joules: Joules
    error_bound_j: Joules
    joules_per_sample: Joules | None


class CardMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One card's part of each field of the memory."""

    weights_bytes: Bytes
    peak_bytes: Bytes
    reserved_bytes: Bytes
