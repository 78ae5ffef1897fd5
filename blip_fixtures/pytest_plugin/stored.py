"""pytest-benchmark's storage: its files, and what it needs of one; with something else it ends the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from blip_fixtures.record import RecordError, read_document
from blip_fixtures.whole_files import decode_json, read_bytes, why

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# How pytest-benchmark begins the name of a file that it stores.
NUMBERED = "[0-9][0-9][0-9][0-9]_"
_Number = Annotated[float, Meta(ge=-1e30, le=1e30)]


class _Stats(TypedDict):
    """What its tables show and reckon with; it reckons `ops` itself where a file of an old release has none."""

    min: _Number
    max: _Number
    mean: _Number
    stddev: _Number
    median: _Number
    iqr: _Number
    ops: NotRequired[_Number]
    rounds: _Number
    iterations: _Number
    outliers: str


class _Benchmark(msgspec.Struct, frozen=True):
    fullname: str
    stats: _Stats


class _File(msgspec.Struct, frozen=True):
    benchmarks: list[_Benchmark]
    machine_info: dict[str, Any]


def stored_runs(config: pytest.Config, name: str) -> list[Path]:
    """Files of this machine in the storage, the oldest first; empty for a storage that is not made of files."""
    from pytest_benchmark.logger import Logger
    from pytest_benchmark.storage.file import FileStorage
    from pytest_benchmark.utils import get_machine_id, load_storage

    storage = load_storage(
        config.option.benchmark_storage,
        logger=Logger(Logger.QUIET, config=config),
        default_machine_id=get_machine_id(),
        netrc=config.option.benchmark_netrc,
    )
    return list(storage.query(name)) if isinstance(storage, FileStorage) else []


def why_unreadable(path: Path) -> str | None:
    """Why a stored run is no use to anybody, in one sentence, or `None`."""
    try:
        read_document(path)
        msgspec.convert(decode_json(read_bytes(path)), _File)
    except RecordError as error:
        return str(error)
    except msgspec.ValidationError as error:
        return f"{path} is not a pytest-benchmark file: {error}"
    except OSError as error:
        return f"{path} cannot be read: {why(error)}"
    return None
