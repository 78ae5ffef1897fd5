"""RAPL through Linux's powercap tree: the energy of processor packages, memory and platform."""

from __future__ import annotations

import errno
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.meters import HOST, Conditions, MeterError, Reading
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blip_fixtures.meters import Meter, Search

DEFAULT_ROOT = Path("/sys/class/powercap")

_ZONE = re.compile(r"intel-rapl(-mmio)?(:\d+)+")
_PACKAGE = re.compile(r"package-(\d+)(-die-\d+)?")
_DOMAINS = (Domain.CPU_PACKAGE, Domain.DRAM, Domain.PSYS)
# A file-backed tree may be seen in the middle of a rewrite; sysfs renders a value for each read.
_TRIES = 5
_BETWEEN_TRIES_S = 0.001
_MIRROR_TRIES = 3


def read_text(path: Path) -> str:
    """The content of a file of the tree."""
    return path.read_text(encoding="ascii", errors="replace")


@dataclass(frozen=True)
class Zone:
    """One folder of the tree with a counter of its own; `parent` is the name of the folder it belongs to."""

    folder: Path
    name: str

    @property
    def is_mmio(self) -> bool:
        """Whether it repeats a zone that is also read through a model-specific register."""
        return self.folder.name.startswith("intel-rapl-mmio")

    @property
    def parent(self) -> str:
        """The folder name of the zone above: ``intel-rapl:0`` of ``intel-rapl:0:1``."""
        return self.folder.name.rpartition(":")[0]

    @property
    def domain(self) -> Domain | None:
        """The domain that counts it; `None` for core and uncore, which are parts of a package already counted."""
        if _PACKAGE.fullmatch(self.name):
            return Domain.CPU_PACKAGE
        return Domain(self.name) if self.name in _DOMAINS else None

    @property
    def package(self) -> str:
        """What mirrored zones share: the package's number, or the name."""
        match = _PACKAGE.fullmatch(self.name)
        return match[1] if match else self.name


class PowercapMeter:
    """The counters of one domain, one for each of its zones, which are summed."""

    def __init__(
        self,
        domain: Domain,
        zones: tuple[Zone, ...],
        *,
        clock: Callable[[], float] = time.perf_counter,
        opener: Callable[[Path], str] = read_text,
    ) -> None:
        self.domain = domain
        self.source = "powercap"
        self.scope = Scope.MACHINE
        self.update_period_s = 0.0
        self.least_window_s = 1.0
        self.caveat: Reason | None = None
        self.zones = zones
        self.power_limits_w = tuple(_power_limit_w(zone, opener) for zone in zones)
        self._clock = clock
        self._opener = opener
        self._was_read = False

    def open(self) -> None:
        """Read the counters once. Raises `MeterError`."""
        self.read()

    def read(self) -> Reading:
        """Every zone's counter and range in microjoules. Raises `MeterError`."""
        before_s = self._clock()
        counters_uj = tuple(self._counter_uj(zone) for zone in self.zones)
        after_s = self._clock()
        self._was_read = True
        return Reading(counters_uj, tuple(_range_uj(zone, self._opener) for zone in self.zones), before_s, after_s)

    def conditions(self) -> Conditions:
        """RAPL has nothing to say about the processor's state."""
        return Conditions()

    def close(self) -> None:
        """Nothing is held between two readings."""

    def _counter_uj(self, zone: Zone) -> int:
        try:
            return read_counter_uj(zone, self._opener)
        except MeterError as error:
            if self._was_read and error.status == EnergyStatus.MASKED:
                raise MeterError(EnergyStatus.LOST, error.reason) from error
            raise


def meters_of(search: Search) -> dict[Domain, Meter | MeterError]:
    """The open meters of the host, or the errors; nothing for other devices."""
    return {**open_rapl(search.rapl_root, clock=search.clock)} if search.device == HOST else {}


def open_rapl(
    root: Path, *, opener: Callable[[Path], str] = read_text, clock: Callable[[], float] = time.perf_counter
) -> dict[Domain, PowercapMeter | MeterError]:
    """A meter that was read once, or the error, for ``cpu_package`` and ``dram``; ``psys`` where the machine has it."""
    try:
        zones = find_zones(root, opener=opener)
    except MeterError as error:
        return {Domain.CPU_PACKAGE: error, Domain.DRAM: error}
    found: dict[Domain, PowercapMeter | MeterError] = {}
    for domain in _DOMAINS:
        if domain not in zones:
            if domain != Domain.PSYS:  # most machines have none, and nobody misses it
                reason = Reason.of("powercap_no_counter", domain=domain, root=root)
                found[domain] = MeterError(EnergyStatus.UNSUPPORTED, reason)
            continue
        meter = PowercapMeter(domain, zones[domain], clock=clock, opener=opener)
        try:
            meter.open()
        except MeterError as error:
            found[domain] = error
        else:
            found[domain] = meter
    return found


def find_zones(root: Path, *, opener: Callable[[Path], str] = read_text) -> dict[Domain, tuple[Zone, ...]]:
    """The zones to sum for each domain. Raises `MeterError` where the tree has none.

    Zones are told apart by the content of ``name``: their numbers follow the order of registration. A zone of
    ``intel-rapl-mmio`` repeats the one of the same name in ``intel-rapl``, and dies of a package may repeat each
    other's counter; of such twins one is counted (Documentation/power/powercap/powercap.rst).
    """
    try:
        is_tree = root.is_dir()
        folders = list(_zone_folders(root))
        hidden = [folder.name for folder in folders if not _is_there(folder / "name")]
    except PermissionError as error:
        reason = Reason.of("powercap_folder_forbidden", path=error.filename)
        raise MeterError(EnergyStatus.PERMISSION, reason) from error
    if not is_tree:
        raise MeterError(EnergyStatus.UNSUPPORTED, Reason.of("powercap_no_tree", root=root))
    if hidden:
        # What the others show would be a part of the machine under the name of the whole.
        raise MeterError(EnergyStatus.MASKED, Reason.of("powercap_zones_hidden", zones=hidden, root=root))
    zones = [Zone(folder, _named(folder, opener)) for folder in folders]
    counted = _without_mirrors(_without_mmio_twins(zones), opener)
    found = {domain: tuple(zone for zone in counted if zone.domain == domain) for domain in _DOMAINS}
    if not any(found.values()):
        raise MeterError(EnergyStatus.UNSUPPORTED, Reason.of("powercap_no_zone", root=root))
    return {domain: members for domain, members in found.items() if members}


def read_counter_uj(zone: Zone, opener: Callable[[Path], str] = read_text) -> int:
    """The counter in microjoules. Raises `MeterError`."""
    path = zone.folder / "energy_uj"
    shown = f"{zone.folder.name}/energy_uj"
    text = ""
    for number in range(_TRIES):
        if number:
            time.sleep(_BETWEEN_TRIES_S)
        try:
            text = opener(path).strip()
        except OSError as error:
            raise _refusal(error, shown, path) from error
        if text.isascii() and text.isdigit():
            return int(text)
    reason = Reason.of("powercap_no_number", file=shown, found=repr(text[:40]))
    raise MeterError(EnergyStatus.DRIVER_ERROR, reason)


def _refusal(error: OSError, shown: str, path: Path) -> MeterError:
    if isinstance(error, PermissionError):
        return MeterError(EnergyStatus.PERMISSION, Reason.of("powercap_forbidden", file=shown, path=path))
    if isinstance(error, FileNotFoundError) or error.errno == errno.ENODEV:
        return MeterError(EnergyStatus.MASKED, Reason.of("powercap_file_missing", file=shown))
    return MeterError(EnergyStatus.DRIVER_ERROR, Reason.of("powercap_not_read", file=shown, error=error.strerror))


def _is_there(path: Path) -> bool:
    """Raises `PermissionError` where nobody may look, which `Path.exists` tells in some releases of Python only."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _zone_folders(root: Path) -> Iterator[Path]:
    """Every zone once: the class folder lists subzones beside their zones, the device tree has them below."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop(0)
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            is_zone = _ZONE.fullmatch(entry.name) is not None
            if entry.name in seen or not (is_zone or entry.name in {"intel-rapl", "intel-rapl-mmio"}):
                continue
            seen.add(entry.name)
            waiting.append(entry)
            if is_zone:
                yield entry


def _named(folder: Path, opener: Callable[[Path], str]) -> str:
    try:
        return opener(folder / "name").strip()
    except OSError as error:
        raise _refusal(error, f"{folder.name}/name", folder / "name") from error


def _without_mmio_twins(zones: list[Zone]) -> list[Zone]:
    by_register = {zone.name for zone in zones if not zone.is_mmio}
    twins = {zone.folder.name for zone in zones if zone.is_mmio and zone.name in by_register}
    return [zone for zone in zones if zone.folder.name not in twins and zone.parent not in twins]


def _without_mirrors(zones: list[Zone], opener: Callable[[Path], str]) -> list[Zone]:
    kept: list[Zone] = []
    dropped: set[str] = set()
    for zone in zones:
        if zone.parent in dropped:
            continue
        alike = [
            other
            for other in kept
            if zone.domain == Domain.CPU_PACKAGE == other.domain and other.package == zone.package
        ]
        if any(_is_mirror(other, zone, opener) for other in alike):
            dropped.add(zone.folder.name)
        else:
            kept.append(zone)
    return kept


def _is_mirror(one: Zone, other: Zone, opener: Callable[[Path], str]) -> bool:
    """Whether the counters are the same: the other's value always lies between two readings of the one."""
    for _ in range(_MIRROR_TRIES):
        try:
            first, middle, last = (read_counter_uj(zone, opener) for zone in (one, other, one))
        except MeterError:
            return False  # what cannot be read is reported when the meter opens
        if not first <= middle <= last:
            return False
    return True


def _range_uj(zone: Zone, opener: Callable[[Path], str]) -> int | None:
    text = _optional(zone.folder / "max_energy_range_uj", opener)
    return int(text) if text.isdigit() and int(text) > 0 else None


def _power_limit_w(zone: Zone, opener: Callable[[Path], str]) -> float | None:
    """The largest of the zone's limits in watts. A package may draw more than its long-term limit for a while."""
    limits_uw = [
        int(text)
        for pattern in ("constraint_*_power_limit_uw", "constraint_*_max_power_uw")
        for path in zone.folder.glob(pattern)
        if (text := _optional(path, opener)).isdigit()
    ]
    return max(limits_uw) / 1e6 if any(limits_uw) else None


def _optional(path: Path, opener: Callable[[Path], str]) -> str:
    """The text of a file that a zone need not have; empty where it does not."""
    try:
        return opener(path).strip()
    except OSError:
        return ""
