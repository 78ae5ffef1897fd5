"""What a signal does before a run measures, while it measures, and at its end."""

from __future__ import annotations

import os
import signal
import time
import weakref

import pytest

from blip_fixtures.pytest_plugin.signals import EXIT_CODES, Signals, Stopped


@pytest.fixture
def signals() -> Signals:
    return Signals(said.append, lambda: said.append("cleaned"))


said: list[str] = []


@pytest.mark.parametrize("number", EXIT_CODES)
def test_before_anything_is_measured_it_is_raised_at_once(signals: Signals, number: signal.Signals) -> None:
    signals.install()
    try:
        with pytest.raises(Stopped, match=number.name):
            os.kill(os.getpid(), number)
    finally:
        signals.restore()
    assert signals.exit_code == EXIT_CODES[number]


@pytest.mark.parametrize("number", EXIT_CODES)
def test_while_a_case_is_measured_it_waits_for_a_check(signals: Signals, number: signal.Signals) -> None:
    said.clear()
    signals.install()
    signals.hold()
    try:
        os.kill(os.getpid(), number)
        assert said == [f"{number.name}: the run ends after the running round; once more stops it at once"]
        with pytest.raises(Stopped):
            signals.check()
    finally:
        signals.restore()


class Gone:
    """Weakly referred to."""


def test_where_python_ignores_what_is_raised_it_comes_again(signals: Signals) -> None:
    """A callback of a weak reference, where a traceback would be printed and the signal forgotten."""

    def callback(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)

    signals.install()
    try:
        things = [Gone()]
        reference = weakref.ref(things[0], callback)
        things.clear()
        assert reference() is None
        with pytest.raises(Stopped):
            time.sleep(2)
    finally:
        signals.restore()


@pytest.mark.parametrize("chosen", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "a handler of somebody's"])
def test_what_somebody_chose_is_left_alone(signals: Signals, chosen: object) -> None:
    before = signal.signal(signal.SIGHUP, chosen)  # type: ignore[arg-type]
    try:
        signals.install()
        assert signal.getsignal(signal.SIGHUP) is chosen
    finally:
        signals.restore()
        signal.signal(signal.SIGHUP, before)
