"""What tells how a process ended that was measuring a case, and what becomes of the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from blip_fixtures.journal import NAME, Journal
from blip_fixtures.pytest_plugin import unfinished
from blip_fixtures.pytest_plugin.unfinished import Earlier, Running, State, StateFile, unfinished_run
from blip_fixtures.record import Record
from tests.unit.records import make_record

KEY = ("0123456789abcdef", False, 1)
SEGFAULT = "Fatal Python error: Segmentation fault\n\nThread 0x1 (most recent call first):"


def left(folder: Path, said: str = "", deaths: int = 0, **state: Any) -> Earlier:
    """As a process left things that ended while it measured the case."""
    state_file = StateFile(folder, planned=3, timeout_s=None, say=print)
    state_file.begins(Running(*KEY[:2], "textvqa-cpu", deaths))
    path = folder / ".run.json"
    old = msgspec.json.decode(path.read_bytes(), type=State)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(old, **state)))
    if said:
        (folder / unfinished.LAST_WORDS).write_text(said)
    return Earlier.read(Journal(folder / NAME), print)


@pytest.mark.parametrize(
    ("said", "deaths", "state", "sentence"),
    [
        ("Timeout (0:00:05)!\nThread 0x1", 0, {"timeout_s": 5.0}, "timed out: it had not ended after 5 s"),
        ("Timeout (0:00:05)!\nThread 0x1", 0, {}, "died while measuring: Timeout (0:00:05)!"),
        (SEGFAULT, 0, {}, "died while measuring: Fatal Python error: Segmentation fault;"),
        ("", 0, {"oom_kills": -1}, "died while measuring: the kernel ended processes for want of memory"),
        ("", 1, {}, "died while measuring: it ended 2 processes"),
        ("", 0, {}, None),
        ("", 0, {"oom_kills": -1, "boot_id": "another"}, None),
    ],
    ids=["timed out", "timed out by another", "crash", "out of memory", "killed twice", "killed once", "power cut"],
)
def test_how_it_ended(tmp_path: Path, said: str, deaths: int, state: dict[str, Any], sentence: str | None) -> None:
    earlier = left(tmp_path, said, deaths, **state)
    reason = earlier.why_lost(KEY, retry=False)
    assert (reason is None) == (sentence is None)
    assert sentence is None or str(reason).startswith(sentence)
    assert earlier.why_lost(KEY, retry=True) is None
    assert earlier.why_lost(("another", False, 1), retry=False) is None
    assert earlier.deaths(KEY) == deaths + 1


def test_a_state_that_is_no_state_is_none(tmp_path: Path) -> None:
    for content in (b"", b"{", b"[" * 50_000, b"\xff", b'{"planned": "many"}'):
        (tmp_path / ".run.json").write_bytes(content)
        assert Earlier.read(Journal(tmp_path / NAME), print).why_lost(KEY, retry=False) is None
        assert unfinished_run(tmp_path, "pytest") is None


def test_what_is_finished_is_known_by_its_conditions(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME)
    records = [
        make_record(batch_size=1),
        make_record(batch_size=2, status="failed", reason="ValueError: no"),
        make_record(batch_size=4, status="unavailable", reason="no such card"),
    ]
    records = [msgspec.structs.replace(record, config_hash=f"{place:016x}") for place, record in enumerate(records)]
    for record in records:
        journal.append(record)
    earlier = Earlier.read(Journal(tmp_path / NAME), print)

    def finished(record: Record) -> Record | None:
        return earlier.finished((record.config_hash, False, 1), retry=False)

    assert [finished(record) == record for record in records] == [True, True, False], (
        "what cannot run is looked at again"
    )
    assert earlier.finished((records[0].config_hash, True, 1), retry=False) is None
    assert earlier.others([(records[0].config_hash, False, 1)]) == 2


def test_the_state_is_gone_when_nothing_is_left(tmp_path: Path) -> None:
    state_file = StateFile(tmp_path, planned=3, timeout_s=None, say=print)
    state_file.begins(Running(*KEY[:2], "textvqa-cpu"))
    state_file.ends()
    state_file.ends()
    assert not list(tmp_path.iterdir())


def test_a_state_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    state_file = StateFile(tmp_path / "gone", planned=3, timeout_s=None, say=said.append)
    for _ in range(3):
        state_file.begins(Running(*KEY[:2], "textvqa-cpu"))
    (line,) = said
    assert line.startswith("cannot write ")
