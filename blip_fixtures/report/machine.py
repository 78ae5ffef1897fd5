"""What the records say about where and how they were measured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from blip_fixtures import formats
from blip_fixtures.report.processors import processor_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose

# What tells two machines apart; versions, commits and times may differ between runs on one machine.
MACHINE_KEYS = ("host", "cpu_model", "cpu_cores_physical", "cpu_cores_logical", "memory_bytes", "gpus", "platform")
COMMIT_DIGITS = 12


def distinct_machines(records: Sequence[Record]) -> list[list[Mapping[str, Any]]]:
    """The environments that say anything, grouped by machine in file order."""
    machines: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        if record.environment:
            key = repr([record.environment.get(name) for name in MACHINE_KEYS])
            machines.setdefault(key, []).append(record.environment)
    return list(machines.values())


def machine_name(environments: Sequence[Mapping[str, Any]]) -> str:
    """``Intel Xeon ..., 2 x NVIDIA H100`` of one machine; empty when the records name neither."""
    environment = environments[0]
    parts = [environment.get("cpu_model"), _gpus(environment)]
    return ", ".join(str(part) for part in parts if part)


def versions_text(environments: Iterable[Mapping[str, Any]]) -> str:
    """``torch 2.8.0, transformers 4.57.0``; several versions of one package are joined by ``/``."""
    found: dict[str, dict[str, None]] = {}
    for environment in environments:
        for package, version in (environment.get("versions") or {}).items():
            if version:
                found.setdefault(package, {})[str(version)] = None
    return ", ".join(f"{package} {' / '.join(versions)}" for package, versions in found.items())


def dates_text(environments: Sequence[Mapping[str, Any]], prose: Prose) -> str:
    """The days of the measurements, ISO 8601, first and last; empty when unknown."""
    days = sorted(
        {str(environment["started_at"])[:10] for environment in environments if environment.get("started_at")}
    )
    if not days:
        return ""
    return days[0] if len(days) == 1 else prose.say("range", low=days[0], high=days[-1])


def commands(records: Sequence[Record]) -> list[str]:
    """The distinct commands that measured the records."""
    return list(dict.fromkeys(text for record in records if (text := record.environment.get("command"))))


def facts(environments: Sequence[Mapping[str, Any]], prose: Prose) -> list[tuple[str, str]]:
    """What one machine's environments say, as (name, text), the text empty where they do not."""
    first = environments[0]
    return [
        (prose.say("env_host"), str(first.get("host") or "")),
        (prose.say("env_machine"), _processor(environments, prose)),
        (
            prose.say("env_memory"),
            f"{formats.gibibytes(first['memory_bytes'])} GiB" if first.get("memory_bytes") else "",
        ),
        (prose.say("env_gpu"), _gpu_and_driver(environments, prose)),
        (prose.say("env_platform"), str(first.get("platform") or "")),
        (prose.say("env_versions"), _python_and_versions(environments)),
        (prose.say("env_ray"), _through_ray(environments, prose)),
        (prose.say("env_commit"), _commits(environments, prose)),
        (prose.say("env_started"), dates_text(environments, prose)),
        (prose.say("env_load"), _span([(e.get("load_average") or [None])[0] for e in environments], 1, prose)),
        (
            prose.say("env_frequency"),
            _with_unit(_span([e.get("cpu_frequency_mhz") for e in environments], 0, prose), prose.say("unit_mhz")),
        ),
    ]


def _processor(environments: Sequence[Mapping[str, Any]], prose: Prose) -> str:
    first = environments[0]
    parts = [processor_text(first, prose)]
    if first.get("cpu_cores_physical") or first.get("cpu_cores_logical"):
        physical, logical = first.get("cpu_cores_physical"), first.get("cpu_cores_logical")
        parts.append(prose.say("env_cores", physical=physical or "?", logical=logical or "?"))
    threads = sorted({environment["torch_threads"] for environment in environments if environment.get("torch_threads")})
    if threads:
        parts.append(prose.say("env_torch_threads", threads=" / ".join(map(str, threads))))
    return ", ".join(part for part in parts if part)


def _gpus(environment: Mapping[str, Any]) -> str:
    counted = Counter(environment.get("gpus") or [])
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counted.items())


def _gpu_and_driver(environments: Sequence[Mapping[str, Any]], prose: Prose) -> str:
    gpus = _gpus(environments[0])
    drivers = dict.fromkeys(str(e["gpu_driver"]) for e in environments if e.get("gpu_driver"))
    if not gpus or not drivers:
        return gpus
    return f"{gpus}, {prose.say('env_driver', driver=' / '.join(drivers))}"


def _python_and_versions(environments: Sequence[Mapping[str, Any]]) -> str:
    pythons = dict.fromkeys(f"Python {e['python']}" for e in environments if e.get("python"))
    return ", ".join(part for part in (*pythons, versions_text(environments)) if part)


def _through_ray(environments: Sequence[Mapping[str, Any]], prose: Prose) -> str:
    """What a cluster's software does to the processes that measured, and what of it was undone."""
    found = [through for each in environments if isinstance(through := each.get("ray"), dict)]
    versions = dict.fromkeys(f"Ray {through.get('version') or '?'}" for through in found)
    said = []
    for name in ("undone", "left"):
        listed = [through.get(name) for through in found]
        names = dict.fromkeys(str(item) for each in listed if isinstance(each, list) for item in each)
        if names:
            said.append(prose.say(f"env_ray_{name}", names=", ".join(names)))
    return "; ".join([" / ".join(versions), *said]) if found else ""


def _commits(environments: Sequence[Mapping[str, Any]], prose: Prose) -> str:
    found: dict[str, None] = {}
    for environment in environments:
        if environment.get("commit"):
            dirty = f" ({prose.say('env_dirty')})" if environment.get("dirty") else ""
            found[str(environment["commit"])[:COMMIT_DIGITS] + dirty] = None
    return ", ".join(found)


def _span(values: Iterable[float | None], decimals: int, prose: Prose) -> str:
    """The least and the greatest of the known values; empty when there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = (prose.number(formats.fixed(end, decimals)) for end in (min(known), max(known)))
    return low if low == high else prose.say("range", low=low, high=high)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if text else ""
