"""Powercap trees in a folder, laid out the ways Linux and containers show them, and an opener that can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blip_fixtures.meters.rapl import read_text

RANGE_UJ = 262_143_328_850
Answer = str | OSError | Callable[[], str]


@dataclass(frozen=True)
class Planned:
    """A zone to write: its folder, the content of ``name``, its counter and range in microjoules, its limits in µW."""

    folder: str
    name: str
    energy_uj: int | None
    range_uj: int | None = RANGE_UJ
    limits_uw: dict[str, int] = field(default_factory=dict)

    @property
    def control_type(self) -> str:
        return self.folder.partition(":")[0]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(f"{self.name}\n")
        for file, value in (("energy_uj", self.energy_uj), ("max_energy_range_uj", self.range_uj)):
            if value is not None:
                (folder / file).write_text(f"{value}\n")
        for file, limit_uw in self.limits_uw.items():
            (folder / file).write_text(f"{limit_uw}\n")


PACKAGE = Planned("intel-rapl:0", "package-0", 1_000_000)
ONE_SOCKET = (
    PACKAGE,
    Planned("intel-rapl:0:0", "core", 300_000),
    Planned("intel-rapl:0:1", "uncore", 20_000),
    Planned("intel-rapl:0:2", "dram", 50_000),
)
# The second socket numbers its subzones otherwise, so whoever goes by number counts uncore as memory.
TWO_SOCKETS = (
    *ONE_SOCKET,
    Planned("intel-rapl:1", "package-1", 2_000_000),
    Planned("intel-rapl:1:0", "dram", 70_000),
    Planned("intel-rapl:1:1", "core", 900_000),
    Planned("intel-rapl:1:2", "uncore", 10_000),
)
AMD = (PACKAGE, Planned("intel-rapl:0:0", "core", 300_000))
PSYS = Planned("intel-rapl:1", "psys", 9_000_000)
MMIO = (
    Planned("intel-rapl-mmio:0", "package-0", 999_999),
    Planned("intel-rapl-mmio:0:0", "dram", 49_999),
)


def flat(root: Path, zones: Sequence[Planned]) -> None:
    """Every zone a folder of its own beside the others."""
    root.mkdir(exist_ok=True)
    for zone in zones:
        zone.write(root / zone.folder)


def nested(root: Path, zones: Sequence[Planned]) -> None:
    """Subzones inside their zones."""
    root.mkdir(exist_ok=True)
    for zone in zones:
        zone.write(_device(root, zone))


def device_tree(root: Path, zones: Sequence[Planned]) -> None:
    """As in /sys/devices/virtual/powercap: subzones inside zones inside their control type."""
    for zone in zones:
        zone.write(_device(root / zone.control_type, zone))


def class_folder(root: Path, zones: Sequence[Planned]) -> None:
    """As in /sys/class/powercap: links, side by side, to every folder of the device tree."""
    devices = root.parent / "devices"
    device_tree(devices, zones)
    _link(root, zones, devices)


def dangling(root: Path, zones: Sequence[Planned]) -> None:
    """The class folder of a container whose runtime hides the device tree."""
    devices = root.parent / "hidden"
    devices.mkdir()
    _link(root, zones, devices)


LAYOUTS = (flat, nested, device_tree, class_folder)


class ScriptedOpener:
    """Reads files, save for those with an answer: `answers["intel-rapl:0/energy_uj"]`, one a reading, the last stays.

    Root ignores file modes, so a test that wants a refusal has to say so here.
    """

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self.answers: dict[str, list[Answer]] = {name: list(each) for name, each in answers.items()}
        self.opened: list[str] = []

    def __call__(self, path: Path) -> str:
        name = f"{path.parent.name}/{path.name}"
        self.opened.append(name)
        answers = self.answers.get(name)
        if not answers:
            return read_text(path)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer if isinstance(answer, str) else answer()


def _device(folder: Path, zone: Planned) -> Path:
    numbers = zone.folder.split(":")
    for depth in range(2, len(numbers) + 1):
        folder /= ":".join(numbers[:depth])
    return folder


def _link(root: Path, zones: Sequence[Planned], devices: Path) -> None:
    root.mkdir()
    for control_type in dict.fromkeys(zone.control_type for zone in zones):
        (root / control_type).symlink_to(devices / control_type)
    for zone in zones:
        (root / zone.folder).symlink_to(_device(devices / zone.control_type, zone))
