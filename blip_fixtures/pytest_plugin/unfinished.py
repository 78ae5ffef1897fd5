"""A run that did not come to its end: what it left, why it ended, and what another run takes over from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.journal import NAME
from blip_fixtures.reasons import Reason
from blip_fixtures.record import RecordError, read_records
from blip_fixtures.record.lines import DamagedLineError
from blip_fixtures.whole_files import BadFileError, read_bytes, replace_file, why
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.journal import Journal
    from blip_fixtures.record import Record

_STATE = ".run.json"
# What the listener of the watchdog keeps.
LAST_WORDS = ".last_words.txt"
_MOST_STATE_BYTES = 2**20
_TIMED_OUT = "Timeout ("
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_VMSTAT = Path("/proc/vmstat")

# A finished case is known by its config hash, by whether it is a second timing, and by its process.
Key = tuple[str | None, bool, int]


class UnfinishedError(ValueError):
    """A run that cannot be gone on with; the message says why, and what to do."""


class Running(msgspec.Struct, frozen=True):
    """The case that is measured: its key, its id, and how many processes ended while they measured it."""

    config_hash: str
    again: bool
    case_id: str
    deaths: int = 0
    process: int = 1

    @property
    def key(self) -> Key:
        """By which its record would be known."""
        return self.config_hash, self.again, self.process


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of itself while it lasts. The file is gone when every planned case came to an end.

    `boot_id` and `oom_kills` are the machine's, by which a later run tells what ended this one.
    """

    planned: int
    running: Running | None = None
    timeout_s: float | None = None
    boot_id: str = ""
    oom_kills: int = 0


def key_of(record: Record) -> Key:
    """By which a record is known again."""
    return record.config_hash, record.again, record.process


class StateFile:
    """Writes the state of one run into its folder."""

    def __init__(self, folder: Path, planned: int, timeout_s: float | None, say: Callable[[str], None]) -> None:
        self._path = folder / _STATE
        self._say = say
        self._has_complained = False
        self._state = State(
            planned=planned, timeout_s=timeout_s, boot_id=_read(_BOOT_ID).strip(), oom_kills=_oom_kills()
        )

    def begins(self, running: Running) -> None:
        """A case is about to be measured."""
        self._write(msgspec.structs.replace(self._state, running=running, oom_kills=_oom_kills()))

    def rests(self) -> None:
        """No case is measured, and some are left."""
        self._write(self._state)

    def ends(self) -> None:
        """No case is left."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def _write(self, state: State) -> None:
        try:
            replace_file(self._path, msgspec.json.encode(state))
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Once: without it a run can be gone on with all the same."""
        if not self._has_complained:
            self._has_complained = True
            self._say(f"cannot write {self._path} ({why(error)}): if this process dies, nobody will know in which case")


def unfinished_run(folder: Path, resumed_by: str) -> str | None:
    """One sentence on an unfinished run in `folder`, if there is one; the command `resumed_by` goes on with it."""
    state, journal = _state_in(folder), folder / NAME
    if state is None or not journal.is_file():
        return None
    try:
        finished = sum(not record.is_further for record in read_records(journal, warn=lambda _message: None))
    except RecordError:
        return None
    return (
        f"an unfinished run of {finished} of {state.planned} cases is in {journal}; this run starts from the "
        f"beginning and keeps that file under its date. To go on with it instead: {resumed_by}"
    )


class Earlier:
    """What was taken over from the journal of an unfinished run: finished cases, and one that ended its process."""

    def __init__(self, records: Iterable[Record] = (), lost: tuple[Running, Reason | None] | None = None) -> None:
        self._records = {key_of(record): record for record in records}
        self._lost = lost

    @classmethod
    def read(cls, journal: Journal, warn: Callable[[str], None]) -> Earlier:
        """From the journal, which is appended to from now on. Raises `UnfinishedError`."""
        folder = journal.path.parent
        state = _state_in(folder)
        if not journal.path.exists():
            return cls(lost=_lost(folder, state))
        try:
            lines = journal.go_on()
            if lines.torn is not None:
                warn(f"{journal.path}, line {lines.torn} is torn and left out: the run ended while it was written")
            records = read_records(journal.path, warn=warn) if lines.plain else []
        except DamagedLineError as error:
            raise UnfinishedError(f"{journal.path}, {error}") from None
        except BadFileError as error:
            raise UnfinishedError(
                f"{journal.path} cannot be read: {error}; move it elsewhere to measure again"
            ) from None
        except OSError as error:
            raise UnfinishedError(
                f"cannot go on with {journal.path}: {why(error)}; move it elsewhere to measure again"
            ) from None
        except RecordError as error:
            raise UnfinishedError(str(error)) from None
        return cls(records, _lost(folder, state))

    def others(self, keys: Iterable[Key]) -> int:
        """How many of the cases are none of these."""
        wanted = {config_hash for config_hash, *_ in keys}
        known = {config_hash for config_hash, again, process in self._records if not again and process == 1}
        return len(known - wanted)

    def finished(self, key: Key, *, retry: bool) -> Record | None:
        """The record of a case; with `retry` not that of one that ended its process."""
        record = self._records.get(key)
        if (
            record is None
            or record.status == Status.UNAVAILABLE
            or (retry and record.reason is not None and record.reason.code in ENDED_ITS_PROCESS)
        ):
            return None
        return record

    def deaths(self, key: Key) -> int:
        """Processes that ended while they measured a case that is not finished."""
        running = self._lost[0] if self._lost is not None else None
        return running.deaths + 1 if running is not None and running.key == key else 0

    def why_lost(self, key: Key, *, retry: bool) -> Reason | None:
        """Why a case must not be measured again: it ended its process.

        Where nothing tells what ended it, which may be a power cut or somebody's ``kill -9``, it is measured once more.
        """
        deaths = self.deaths(key)
        if not deaths or retry or self._lost is None:
            return None
        reason = self._lost[1]
        if reason is not None:
            return reason
        return Reason.of("died_while_measuring", how=f"it ended {deaths} processes") if deaths > 1 else None


ENDED_ITS_PROCESS = ("died_while_measuring", "timed_out")


def _state_in(folder: Path) -> State | None:
    try:
        return msgspec.json.decode(read_bytes(folder / _STATE, most_bytes=_MOST_STATE_BYTES), type=State)
    except (OSError, BadFileError, msgspec.DecodeError, RecursionError):
        # Without it a run can be gone on with all the same: it says only which case was running.
        return None


def _lost(folder: Path, state: State | None) -> tuple[Running, Reason | None] | None:
    """The case that was running when the process ended, and what ended it where that is known."""
    if state is None or state.running is None:
        return None
    said = _read(folder / LAST_WORDS).strip()
    if said.startswith(_TIMED_OUT) and state.timeout_s is not None:
        return state.running, Reason.of("timed_out", seconds=state.timeout_s)
    if said:
        return state.running, Reason.of("died_while_measuring", how=said.splitlines()[0][:200])
    if state.boot_id != _read(_BOOT_ID).strip():
        return state.running, None
    if _oom_kills() > state.oom_kills:
        return state.running, Reason.of("died_while_measuring", how="the kernel ended processes for want of memory")
    return state.running, None


def _oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since it started; 0 where it does not count them."""
    for line in _read(_VMSTAT).splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.isdecimal():
            return int(count)
    return 0


def _read(path: Path) -> str:
    """Its text, or nothing where it cannot be read."""
    try:
        return read_bytes(path, most_bytes=_MOST_STATE_BYTES).decode(errors="replace")
    except (OSError, BadFileError):
        return ""
