"""RAPL through perf's ``power`` events, for where powercap cannot be read.

The kernel accumulates the counts in 64 bits, so they do not wrap (perf_event_open(2)); their unit is the file
``events/*.scale``. One event is opened on each processor of ``cpumask``, which names one for each package.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.meters import HOST, Conditions, MeterError, Reading
from blip_fixtures.meters.rapl import DEFAULT_ROOT
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.meters import Meter, Search

PMU = Path("/sys/bus/event_source/devices/power")
EVENTS = {Domain.CPU_PACKAGE: "energy-pkg", Domain.DRAM: "energy-ram"}

_SYSCALL = {"x86_64": 298}  # arch/x86/entry/syscalls/syscall_64.tbl
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0, the part that every kernel knows
_CLOSE_ON_EXEC = 8  # PERF_FLAG_FD_CLOEXEC
_COUNT_BYTES = 8


class OtherProcessorError(OSError):
    """A processor on which the suite does not know how to open an event."""


def open_event(kind: int, config: int, cpu: int) -> int:
    """A file descriptor that counts event `config` of the unit `kind` on processor `cpu`. Raises `OSError`."""
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise OtherProcessorError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    # type, size, config; the rest is zero: count always, in kernel and user space, of every process.
    attribute = struct.pack("=IIQ", kind, _ATTRIBUTE_BYTES, config).ljust(_ATTRIBUTE_BYTES, b"\0")
    buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_BYTES)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(
        ctypes.c_long(number),
        buffer,
        ctypes.c_int(-1),
        ctypes.c_int(cpu),
        ctypes.c_int(-1),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(descriptor)


class PerfMeter:
    """The counts of one event on one processor of each package, which are summed."""

    def __init__(
        self,
        domain: Domain,
        *,
        pmu: Path = PMU,
        clock: Callable[[], float] = time.perf_counter,
        open_event: Callable[[int, int, int], int] = open_event,
    ) -> None:
        self.domain = domain
        self.source = "perf"
        self.scope = Scope.MACHINE
        self.update_period_s = 0.0
        self.least_window_s = 1.0
        self.caveat: Reason | None = None
        self._pmu = pmu
        self._clock = clock
        self._open_event = open_event
        self._descriptors: list[int] = []
        self._event = f"power/{EVENTS[domain]}/"
        event = f"events/{EVENTS[domain]}"
        if not (pmu / event).exists():
            raise MeterError(EnergyStatus.UNSUPPORTED, Reason.of("perf_no_event", event=self._event))
        self._kind = int(_number(pmu / "type", r"(\d+)"), 10)
        self._config = int(_number(pmu / event, r"event=0x([0-9a-f]+)"), 16)
        self._joules_a_count = float(_number(pmu / f"{event}.scale", r"([\d.e+-]+)"))
        self._cpus = _cpus(_number(pmu / "cpumask", r"([\d,-]+)"))
        self.power_limits_w: tuple[float | None, ...] = (None,) * len(self._cpus)

    def open(self) -> None:
        """Begin to count. Raises `MeterError`."""
        self.close()
        try:
            for cpu in self._cpus:
                self._descriptors.append(self._open_event(self._kind, self._config, cpu))
        except OSError as error:
            self.close()
            raise _refusal(error, self._event) from error
        try:
            self.read()
        except MeterError:
            self.close()
            raise

    def read(self) -> Reading:
        """Microjoules since `open`, one for each package. Raises `MeterError`."""
        if not self._descriptors:
            raise MeterError(EnergyStatus.LOST, Reason.of("perf_closed", event=self._event))
        before_s = self._clock()
        try:
            contents = [os.read(each, _COUNT_BYTES) for each in self._descriptors]
        except OSError as error:
            reason = Reason.of("perf_broke_off", event=self._event, error=error.strerror)
            raise MeterError(EnergyStatus.LOST, reason) from error
        after_s = self._clock()
        # An event in the error state reads as end-of-file (perf_event_open(2)): no count, which is not a count of 0.
        if any(len(content) < _COUNT_BYTES for content in contents):
            raise MeterError(EnergyStatus.LOST, Reason.of("perf_no_count", event=self._event))
        counts = [int.from_bytes(content, "little") for content in contents]
        counters_uj = tuple(round(count * self._joules_a_count * 1e6) for count in counts)
        return Reading(counters_uj, (None,) * len(counts), before_s, after_s)

    def conditions(self) -> Conditions:
        """RAPL has nothing to say about the processor's state."""
        return Conditions()

    def close(self) -> None:
        """Stop counting."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def meters_of(search: Search) -> dict[Domain, Meter | MeterError]:
    """What stands in for the system's own powercap; nothing for a root that somebody named, which is meant."""
    if search.device != HOST or search.rapl_root != DEFAULT_ROOT:
        return {}
    return {**open_perf(clock=search.clock)}


def open_perf(
    *,
    pmu: Path = PMU,
    clock: Callable[[], float] = time.perf_counter,
    open_event: Callable[[int, int, int], int] = open_event,
) -> dict[Domain, PerfMeter | MeterError]:
    """An open meter, or the error, for ``cpu_package`` and ``dram``."""
    found: dict[Domain, PerfMeter | MeterError] = {}
    for domain in EVENTS:
        try:
            meter = PerfMeter(domain, pmu=pmu, clock=clock, open_event=open_event)
            meter.open()
        except MeterError as error:
            found[domain] = error
        else:
            found[domain] = meter
    return found


def _refusal(error: OSError, event: str) -> MeterError:
    if isinstance(error, OtherProcessorError):
        reason = Reason.of("perf_other_processor", event=event, machine=platform.machine())
        return MeterError(EnergyStatus.UNSUPPORTED, reason)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MeterError(EnergyStatus.PERMISSION, Reason.of("perf_forbidden", event=event, error=error.strerror))
    if error.errno in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.ENOSYS}:
        return MeterError(EnergyStatus.UNSUPPORTED, Reason.of("perf_cannot_count", event=event, error=error.strerror))
    return MeterError(EnergyStatus.DRIVER_ERROR, Reason.of("perf_not_opened", event=event, error=error.strerror))


def _number(path: Path, pattern: str) -> str:
    """What `pattern` finds in a file of the unit's description. Raises `MeterError`."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        reason = Reason.of("perf_file_not_read", path=path, error=error.strerror)
        raise MeterError(EnergyStatus.DRIVER_ERROR, reason) from error
    match = re.fullmatch(pattern, text)
    if match is None:
        reason = Reason.of("perf_no_number", path=path, found=repr(text[:40]), pattern=pattern)
        raise MeterError(EnergyStatus.DRIVER_ERROR, reason)
    return match[1]


def _cpus(text: str) -> list[int]:
    """``0,18`` or ``0-1`` as numbers."""
    cpus: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        cpus += range(int(low), int(high or low) + 1)
    return cpus
