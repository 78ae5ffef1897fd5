"""The files of a run: records.json in pytest-benchmark's own format, and the document."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import checkpoint_name
from blip_fixtures.engine.preflight import PreflightError
from blip_fixtures.privacy import commit_facts
from blip_fixtures.pytest_plugin.baseline import selection_of
from blip_fixtures.pytest_plugin.stored import NUMBERED, stored_runs
from blip_fixtures.record import as_plain
from blip_fixtures.whole_files import replace_file, why
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pytest
    from pytest_benchmark.stats import Metadata

    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.record import Record
    from blip_fixtures.report.course import Course


class RunFiles:
    """Writes into the folder of the run's checkpoint below `--blip-report-dir`."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.folder = options.report_dir / checkpoint_name(options.model)
        self._config = config
        self._lang = options.lang
        self._price = options.price_per_hour
        self._anonymous = options.anonymous
        self.show = options.show

    @cached_property
    def commit_info(self) -> dict[str, Any]:
        """What pytest-benchmark knows of the commit in the working folder, as far as others may."""
        hook = self._config.hook
        found: dict[str, Any] = hook.pytest_benchmark_generate_commit_info(config=self._config)
        hook.pytest_benchmark_update_commit_info(config=self._config, commit_info=found)
        return commit_facts(found, anonymous=self._anonymous)

    def beside_benchmarks(self, records: Iterable[Record], further: Iterable[Record]) -> dict[str, Any]:
        """The records that pytest-benchmark does not list: of cases that did not run or were not timed, of second
        timings and of further processes.
        """
        records, further = list(records), list(further)
        return {
            "not_run": [as_plain(record) for record in records if record.status != Status.OK],
            "untimed": [as_plain(record) for record in records if is_untimed(record)],
            "again": [as_plain(record) for record in further if record.again],
            "processes": [as_plain(record) for record in further if not record.again],
            "order": [record.case_id for record in records],
            "selected": dataclasses.asdict(selection_of(self._config)),
        }

    def write(
        self,
        records: Sequence[Record],
        stats: Sequence[Metadata],
        command: str,
        course: Course,
        *,
        elsewhere: Callable[[], Path],
    ) -> list[str]:
        """records.json first: the document is a function of it. Returns a sentence for what could not be written here.

        That goes to the folder `elsewhere`.
        """
        document = partial(self._write_document, records, command, course)
        return [
            *_written(self.folder, elsewhere, "records.json", partial(self._write_records, stats)),
            *_written(self.folder, elsewhere, "README.md", document),
            *_written(self.folder, elsewhere, "index.html", partial(self._write_page, records, course)),
        ]

    def _write_records(self, stats: Sequence[Metadata], folder: Path) -> list[str]:
        hook = self._config.hook
        machine_info = hook.pytest_benchmark_generate_machine_info(config=self._config)
        hook.pytest_benchmark_update_machine_info(config=self._config, machine_info=machine_info)
        document = hook.pytest_benchmark_generate_json(
            config=self._config,
            benchmarks=list(stats),
            include_data=True,
            machine_info=machine_info,
            commit_info=self.commit_info,
        )
        hook.pytest_benchmark_update_json(config=self._config, benchmarks=list(stats), output_json=document)
        text = json.dumps(_strict(document), indent=1, default=str, allow_nan=False) + "\n"
        replace_file(folder / "records.json", text.encode())
        return []

    def _write_document(self, records: Sequence[Record], command: str, course: Course, folder: Path) -> list[str]:
        from blip_fixtures.report.document import write_document

        written = write_document(
            list(records), folder, lang=self._lang, command=command, courses=[course], price=self._price
        )
        if written.without_plots is None:
            return []
        return [f"plots are missing from {written.readme}, they could not be drawn: {written.without_plots}"]

    def _write_page(self, records: Sequence[Record], course: Course, folder: Path) -> list[str]:
        """The history is that of this machine in pytest-benchmark's storage, which may hold anybody's files."""
        from blip_fixtures.report.page.history import anonymous, read_stored
        from blip_fixtures.report.page.page import write_page

        try:
            history = read_stored(stored_runs(self._config, NUMBERED), self.show)
            history = anonymous(history) if self._anonymous else history
            write_page(list(records), folder, lang=self._lang, courses=[course], history=history)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  # the run and its other files are worth more than a page of them
            return [f"{folder / 'index.html'} is missing, the page failed: {type(error).__name__}: {error}"]
        return []


def is_untimed(record: Record) -> bool:
    """Whether it ran to its end without a timing, as a case of a cluster may that is asked for quality alone."""
    return record.status == Status.OK and record.latency is None


def _written(folder: Path, elsewhere: Callable[[], Path], name: str, write: Callable[[Path], list[str]]) -> list[str]:
    """What `write` says, and one sentence where it had to write to the folder `elsewhere`, or nowhere."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write(folder)
    except OSError as error:
        failed = f"cannot write {folder / name} ({why(error)})"
    try:
        return [f"{failed}; it is in {elsewhere()}", *write(elsewhere())]
    except OSError as error:
        return [f"{failed}, nor in the temporary folder ({why(error)}); render the journal when there is room"]


def _strict(value: Any) -> Any:
    """What strict JSON has: pytest-benchmark's statistics may not be finite, and a command may hold any bytes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_strict(key): _strict(part) for key, part in value.items()}
    return [_strict(part) for part in value] if isinstance(value, (list, tuple)) else value


def check_writable(folder: Path) -> None:
    """Raise `PreflightError` where nothing can be written to `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PreflightError(
            f"cannot write to the report folder {folder}: {error.strerror}; choose another with --blip-report-dir"
        ) from None
