"""The watch over a running case. How a hang and a crash end a run is in tools/faults/hang.py."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blip_fixtures.pytest_plugin import last_words, watchdog
from blip_fixtures.pytest_plugin.watchdog import Watchdog


def test_a_case_that_takes_ten_times_as_long_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watchdog, "_LEAST_SUSPICIOUS_S", 0.05)
    watch = Watchdog(tmp_path / "kept.txt", timeout_s=None, then="go on")
    watch.start()
    try:
        watch.case_begins("first")
        watch.case_ends()
        for name, waits_s in (("quick", 0.0), ("slow", 0.4)):
            watch.case_begins(name)
            time.sleep(waits_s)
            watch.case_ends()
        time.sleep(0.1)
    finally:
        watch.stop()
    said = capfd.readouterr().err
    assert "slow has run for" in said
    assert "--blip-case-timeout=" in said
    assert "quick has run for" not in said
    assert "go on" not in said, "nothing died"


def test_faulthandler_is_as_it_was(tmp_path: Path) -> None:
    was_enabled = faulthandler.is_enabled()
    watch = Watchdog(tmp_path / "kept.txt", timeout_s=60, then="go on")
    watch.start()
    watch.case_begins("a case")
    watch.case_ends()
    watch.stop()
    watch.stop()
    assert faulthandler.is_enabled() == was_enabled


def test_what_a_process_said_last_is_shown_and_kept(tmp_path: Path) -> None:
    kept, shown = tmp_path / "kept.txt", tmp_path / "shown.txt"
    for said, after in ((b"Fatal Python error: \xff", "\ngo on with: \\udcff\n"), (b"", "")):
        kept.unlink(missing_ok=True)
        with shown.open("wb") as terminal:
            listener = last_words.start(kept, terminal.fileno(), "go on with: \udcff")
        listener.communicate(said)
        assert kept.exists() == bool(said)
        assert shown.read_bytes() == said + after.encode()


def test_a_run_may_have_no_standard_error(tmp_path: Path) -> None:
    script = f"""
import os
from pathlib import Path
os.close(2)
from blip_fixtures.pytest_plugin.watchdog import Watchdog
watch = Watchdog(Path({str(tmp_path / "kept.txt")!r}), timeout_s=None, then="go on")
watch.start()
watch.say("nobody reads it")
watch.stop()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
