"""The journal: nothing finished is lost, and no damage is passed over."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.journal import MOST_KEPT, Journal
from blip_fixtures.record import RecordError, read_records
from blip_fixtures.record.lines import DamagedLineError, read_lines, to_line
from tests.unit.records import make_record

RUSSIAN = "ответ: кот на крыше"


def test_journal_yields_what_was_appended_without_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(make_record())
    journal.append(make_record(batch_size=4, status="failed", reason="ValueError: naïve"))
    with journal.path.open("a") as file:
        file.write('{"schema_version": 1, "case')
    reasons = [record.reason and str(record.reason) for record in read_records(journal.path)]
    assert reasons == [None, "ValueError: naïve"]


def test_of_two_lines_for_a_case_the_later_one_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for notes in (["first"], ["second"]):
        journal.append(make_record(notes=notes))
    assert [[str(note) for note in record.notes] for record in read_records(journal.path)] == [["second"]]


def test_a_second_timing_does_not_replace_the_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for again in (False, True):
        journal.append(make_record(again=again))
    assert [record.again for record in read_records(journal.path)] == [False, True]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal.*.jsonl"))


def test_journals_of_the_runs_before_are_kept_under_their_dates(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").append(make_record())
    later = Journal(tmp_path / "journal.jsonl")
    assert len(read_records(later.path)) == 1, "a run without a finished case moves nothing"
    later.append(make_record(status="failed", reason="ValueError: no"))
    assert [record.status for record in read_records(later.path)] == ["failed"]
    # Restarted once more, all within one second.
    Journal(tmp_path / "journal.jsonl").append(make_record(batch_size=2))
    assert sorted(record.status for path in kept(tmp_path) for record in read_records(path)) == ["failed", "ok"]


def test_the_last_ten_are_kept(tmp_path: Path) -> None:
    for size in range(1, MOST_KEPT + 4):
        Journal(tmp_path / "journal.jsonl").append(make_record(batch_size=size))
        os.utime(tmp_path / "journal.jsonl", (size, size))
    (tmp_path / "journal.mine.jsonl").write_text("not the suite's")
    Journal(tmp_path / "journal.jsonl").append(make_record(batch_size=99))
    assert (tmp_path / "journal.mine.jsonl").exists(), "only what the suite itself kept is taken away"
    (tmp_path / "journal.mine.jsonl").unlink()
    sizes = [record.case.batch_size for path in kept(tmp_path) for record in read_records(path)]
    assert sizes == list(range(4, MOST_KEPT + 4))


def ids(path: Path) -> list[int]:
    return [record.case.batch_size for record in read_records(path, warn=lambda _message: None)]


def journal_of(path: Path, *sizes: int) -> Path:
    journal = Journal(path)
    for size in sizes:
        journal.append(make_record(batch_size=size, notes=[RUSSIAN]))
    return path


def test_a_cut_anywhere_costs_the_last_line_alone(tmp_path: Path) -> None:
    """Also inside of a character of several bytes."""
    path = journal_of(tmp_path / "journal.jsonl", 1, 2, 3)
    content = path.read_bytes()
    begins = content.rstrip(b"\n").rindex(b"\n") + 1
    chance = random.Random(0)
    for cut in [begins + 1, *(chance.randrange(begins + 1, len(content) - 1) for _ in range(200))]:
        path.write_bytes(content[:cut])
        said: list[str] = []
        assert [record.case.batch_size for record in read_records(path, warn=said.append)] == [1, 2]
        assert said == [f"{path}, line 3 is torn and left out: the run ended while it was written"]
    path.write_bytes(content[:-1])
    assert ids(path) == [1, 2, 3], "nothing is missing but the end of the line"


def test_any_other_damage_names_its_line(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "journal.jsonl", 1, 2, 3)
    content = path.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == 10]
    chance = random.Random(0)
    for _ in range(300):
        place = chance.randrange(len(content))
        if place in ends:
            continue
        changed = bytes([content[place] ^ (1 << chance.randrange(8))])
        if changed in (b"\n", content[place : place + 1]):
            continue
        path.write_bytes(content[:place] + changed + content[place + 1 :])
        number = 1 + sum(end < place for end in ends)
        with pytest.raises(RecordError, match=rf"journal.jsonl, line {number} is damaged: "):
            read_records(path)


def test_a_line_without_checksum_among_those_that_have_one_is_damaged() -> None:
    one, two = to_line(make_record(batch_size=1)), to_line(make_record(batch_size=2))
    bare = one[: one.rindex(b',"checksum"')] + b"}\n"
    assert len(read_lines(bare + bare).plain) == 2, "as older releases wrote them"
    with pytest.raises(DamagedLineError, match="line 2 is damaged: it has no checksum"):
        read_lines(two + bare)


class Faulty:
    """`os.write` and `os.fsync` that fail as often as they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = 0
        self.kind = errno.ENOSPC
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr("os.write", self.write)

    def write(self, descriptor: int, content: Any) -> int:
        if self.fails:
            self.fails -= 1
            self._write(descriptor, bytes(content)[: len(content) // 2])
            raise OSError(self.kind, os.strerror(self.kind))
        return self._write(descriptor, content)


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_line_that_cannot_be_written_is_cut_back_kept_elsewhere_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said: list[str] = []
    journal = Journal(tmp_path / "reports" / "journal.jsonl", said.append)
    journal.append(make_record(batch_size=1))
    faulty = Faulty(monkeypatch)
    faulty.fails, faulty.kind = 1, kind
    journal.append(make_record(batch_size=2))
    assert ids(journal.path) == [1]
    assert journal.path.read_bytes().endswith(b"}\n"), "nothing of the line is left"
    assert not journal.is_whole
    (sentence,) = said
    assert os.strerror(kind).lower() in sentence.lower()
    assert str(journal.elsewhere) in sentence
    assert ids(journal.elsewhere) == [2]
    journal.append(make_record(batch_size=3))
    assert ids(journal.path) == [1, 2, 3]
    assert journal.is_whole


def test_where_nothing_can_be_written_lines_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    said: list[str] = []
    journal = Journal(tmp_path / "journal.jsonl", said.append)
    Faulty(monkeypatch).fails = 1
    journal.append(make_record(batch_size=1))
    assert "kept in memory and tried again" in said[0]
    journal.catch_up()
    assert ids(journal.path) == [1]


def test_a_journal_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "reports" / "journal.jsonl", 7)
    journal = Journal(path)
    journal.append(make_record(batch_size=1))
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()
    journal.append(make_record(batch_size=2))
    assert ids(path) == [1, 2]


def test_no_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    said: list[str] = []
    journal = Journal(tmp_path / "journal.jsonl", said.append)
    journal.append(make_record(batch_size=1))
    journal.path.unlink()
    journal.path.symlink_to(victim)
    journal.append(make_record(batch_size=2))
    assert victim.read_text() == "mine"
    assert ids(journal.elsewhere) == [2] or ids(journal.path) == [1, 2]


def test_going_on_cuts_a_torn_line_off_and_gives_a_whole_one_its_end(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "journal.jsonl", 1, 2)
    content = path.read_bytes()
    for left, sizes in ((content[:-10], [1, 3]), (content[:-1], [1, 2, 3])):
        path.write_bytes(left)
        journal = Journal(path)
        lines = journal.go_on()
        assert (lines.torn is None) == (len(sizes) == 3)
        journal.append(make_record(batch_size=3))
        assert ids(path) == sizes
    assert not kept(tmp_path), "it was gone on with, so that nothing is kept under a date"
