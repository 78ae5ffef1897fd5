"""What stands around the measuring of a run: locks, signals, the watch over a case, room on the disk."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.engine.environment import device_identity
from blip_fixtures.engine.preflight import PreflightError
from blip_fixtures.locks import LockedError, Locks
from blip_fixtures.pytest_plugin.signals import Signals
from blip_fixtures.pytest_plugin.unfinished import LAST_WORDS, Running, StateFile
from blip_fixtures.pytest_plugin.watchdog import Watchdog
from blip_fixtures.room import Reserve, bytes_of_last_write, bytes_of_records, free_bytes
from blip_fixtures.whole_files import remove_unfinished, why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from blip_fixtures.pytest_plugin.options import Options

_MB = 10**6


class Guard:
    """Of one run that measures. `say` writes a line to the terminal; `resumed_by` is the command that goes on."""

    def __init__(
        self, folder: Path, options: Options, planned: int, *, say: Callable[[str], None], resumed_by: str
    ) -> None:
        self._folder = folder
        self._say = say
        self._has_timeout = options.case_timeout is not None
        then = f"The case did not end; finished cases are in {folder / 'journal.jsonl'}. Go on with: {resumed_by}"
        self._watchdog = Watchdog(folder / LAST_WORDS, timeout_s=options.case_timeout, then=then)
        self._state_file = StateFile(folder, planned, options.case_timeout, say)
        self._locks = Locks(options.lock, say)
        self._reserve: Reserve | None = None
        self.signals = Signals(self._watchdog.say, self._clean)
        self.signals.install()

    def lock_folder(self) -> None:
        """And remove what a killed process left half-written in it. Raises `PreflightError`."""
        try:
            is_alone = self._locks.take_folder(self._folder)
        except LockedError as error:
            raise PreflightError(str(error)) from None
        if is_alone:
            remove_unfinished(self._folder)

    def lock_devices(self, devices: Iterable[str]) -> None:
        """Each card, in one order for all runs, so that no two wait for each other. Raises `PreflightError`."""
        cards = dict.fromkeys(card for device in devices for card in cards_of(device))
        found = {card: "cpu" if card == "cpu" else device_identity(card).uuid for card in cards}
        try:
            for identity in sorted({uuid or device for device, uuid in found.items()}):
                self._locks.take_device(identity)
        except LockedError as error:
            raise PreflightError(str(error)) from None

    def reserve_room(self, samples: Sequence[int]) -> None:
        """For cases with so many samples each. Raises `PreflightError` where there is too little."""
        last = bytes_of_last_write(samples)
        needed = last + bytes_of_records(samples)
        free = free_bytes(self._folder)
        if free < needed:
            raise PreflightError(
                f"the report folder {self._folder} has {free / _MB:.1f} MB left, and this run writes about "
                f"{needed / _MB:.1f} MB; make room there, or choose another with --blip-report-dir"
            )
        self._reserve = Reserve(self._folder, last)
        try:
            self._reserve.take()
        except OSError as error:
            raise PreflightError(
                f"the report folder {self._folder} does not take the {last / _MB:.1f} MB that this run writes at "
                f"its end ({why(error)}); make room there, or choose another with --blip-report-dir"
            ) from None

    def start(self) -> None:
        """Begin to listen for a crash, when everything else has been checked. Raises `PreflightError`."""
        try:
            self._watchdog.start()
        except OSError as error:
            said = f"no process can be started that watches over the cases ({why(error)})"
            if self._has_timeout:
                raise PreflightError(f"{said}, and --blip-case-timeout needs it; free some, or leave it out") from None
            self._say(f"{said}: after a crash nobody will know what it said")

    @contextmanager
    def measuring(self, running: Running) -> Iterator[None]:
        """Around one case: a signal waits for the end of a round, and the clock of `--blip-case-timeout` runs.

        One that comes after the last round waits for the next case, so that this one is kept.
        """
        self.signals.hold()
        self._state_file.begins(running)
        self._watchdog.case_begins(running.case_id)
        try:
            yield
        finally:
            self._watchdog.case_ends()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a case that another process measures: if this one dies, no case is what ended it."""
        self.signals.hold()
        self._state_file.rests()
        yield

    @contextmanager
    def writing(self, *, is_done: bool) -> Iterator[None]:
        """Around the last write, for which the room was kept. `is_done`: every planned case came to its end."""
        self.signals.hold()
        if self._reserve is not None:
            self._reserve.release()
        yield
        if is_done:
            self._state_file.ends()
        else:
            self._state_file.rests()

    def end(self, *, ends_process: bool = False) -> None:
        """Let go of everything. `ends_process` says that the process is about to end, too."""
        if self._reserve is not None:
            self._reserve.release()
        self._watchdog.stop()
        if ends_process:
            self.signals.be_over()
        else:
            self.signals.restore()
        self._locks.release()

    def _clean(self) -> None:
        """Before a second signal ends the process: nothing half-written is left."""
        if self._reserve is not None:
            self._reserve.release()
        remove_unfinished(self._folder)
