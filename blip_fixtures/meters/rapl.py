"""RAPL through Linux's powercap tree: the energy of processor packages, memory and platform."""

from __future__ import annotations

import errno
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.meters import MACHINE, Conditions, MeterError, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_ROOT = Path("/sys/class/powercap")

_ZONE = re.compile(r"intel-rapl(-mmio)?(:\d+)+")
_PACKAGE = re.compile(r"package-(\d+)(-die-\d+)?")
_DOMAINS = ("cpu_package", "dram", "psys")
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
    def domain(self) -> str | None:
        """The domain that counts it; `None` for core and uncore, which are parts of a package already counted."""
        if _PACKAGE.fullmatch(self.name):
            return "cpu_package"
        return self.name if self.name in _DOMAINS else None

    @property
    def package(self) -> str:
        """What mirrored zones share: the package's number, or the name."""
        match = _PACKAGE.fullmatch(self.name)
        return match[1] if match else self.name


class PowercapMeter:
    """The counters of one domain, one for each of its zones, which are summed."""

    def __init__(
        self,
        domain: str,
        zones: tuple[Zone, ...],
        *,
        clock: Callable[[], float] = time.perf_counter,
        opener: Callable[[Path], str] = read_text,
    ) -> None:
        self.domain = domain
        self.source = "powercap"
        self.scope = MACHINE
        self.update_period_s = 0.0
        self.least_window_s = 1.0
        self.caveat: str | None = None
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
            if self._was_read and error.status == "masked":
                raise MeterError("lost", error.reason) from error
            raise


def open_rapl(
    root: Path, *, opener: Callable[[Path], str] = read_text, clock: Callable[[], float] = time.perf_counter
) -> dict[str, PowercapMeter | MeterError]:
    """A meter that was read once, or the error, for ``cpu_package`` and ``dram``; ``psys`` where the machine has it."""
    try:
        zones = find_zones(root, opener=opener)
    except MeterError as error:
        return {"cpu_package": error, "dram": error}
    found: dict[str, PowercapMeter | MeterError] = {}
    for domain in _DOMAINS:
        if domain not in zones:
            if domain != "psys":  # most machines have none, and nobody misses it
                found[domain] = MeterError(
                    "unsupported", f"this processor has no counter for {domain} under {root}; the other domains stand"
                )
            continue
        meter = PowercapMeter(domain, zones[domain], clock=clock, opener=opener)
        try:
            meter.open()
        except MeterError as error:
            found[domain] = error
        else:
            found[domain] = meter
    return found


def find_zones(root: Path, *, opener: Callable[[Path], str] = read_text) -> dict[str, tuple[Zone, ...]]:
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
        raise MeterError(
            "permission",
            f"cannot look for {error.filename}: permission denied; run as root, grant access to its folder "
            "(chmod a+rx), or pass --blip-energy=off",
        ) from error
    if not is_tree:
        raise MeterError(
            "unsupported",
            f"there is no powercap tree at {root}: not Linux, a virtual machine, or the module intel_rapl_msr is not "
            "loaded; run on bare metal, or name the tree with --blip-rapl-root",
        )
    if hidden:
        # What the others show would be a part of the machine under the name of the whole.
        raise MeterError(
            "masked",
            f"{', '.join(hidden)} under {root} cannot be looked into, as in most containers; mount the host's "
            "/sys/devices/virtual/powercap elsewhere and name it with --blip-rapl-root",
        )
    zones = [Zone(folder, _named(folder, opener)) for folder in folders]
    counted = _without_mirrors(_without_mmio_twins(zones), opener)
    found = {domain: tuple(zone for zone in counted if zone.domain == domain) for domain in _DOMAINS}
    if not any(found.values()):
        raise MeterError(
            "unsupported",
            f"{root} has no RAPL zone: the processor or the virtual machine offers none; run on bare metal, or name "
            "the tree with --blip-rapl-root",
        )
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
    raise MeterError(
        "driver_error",
        f"{shown} holds {text[:40]!r} where a number belongs; reload the driver, or pass --blip-energy=off",
    )


def _refusal(error: OSError, shown: str, path: Path) -> MeterError:
    if isinstance(error, PermissionError):
        return MeterError(
            "permission",
            f"cannot read {shown}: permission denied; run as root, grant read access (chmod a+r {path}), or pass "
            "--blip-energy=off",
        )
    if isinstance(error, FileNotFoundError) or error.errno == errno.ENODEV:
        return MeterError("masked", f"{shown} is not there; mount the whole powercap tree, or pass --blip-energy=off")
    return MeterError(
        "driver_error", f"cannot read {shown}: {error.strerror}; reload the driver, or pass --blip-energy=off"
    )


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
            other for other in kept if zone.domain == "cpu_package" == other.domain and other.package == zone.package
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
