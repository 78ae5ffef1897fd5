"""torch's profiler, which leaves no trace in what is timed after it.

On CUDA its library kineto attaches CUPTI to the process and leaves it there: work after a profile was seen to be slower
by 10 to 20 % (pytorch issue 144455, pull request 146604). With TEARDOWN_CUPTI=1 in the environment kineto lets CUPTI go
at the next calls of CUDA after a profile, in a thread of its own. A profile that begins before that is over loses its
kernels or ends the process (kineto pull requests 1554 and 1169). So CUPTI stays for all profiles of one block, and goes
after an empty one at the end. All of this is read from the sources of kineto and torch: no card was at hand to see it.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from blip_fixtures.devices import synchronize

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEARDOWN = "TEARDOWN_CUPTI"
# Nobody tells when CUPTI is gone: for so long the device gets calls at which it can go.
_CALLS, _PAUSE_S = 20, 0.005


def profile_of(activity: str) -> Any:
    """A profile of the activity that torch calls `activity`, to be entered.

    It is of no other: to note what the host does takes time on the host.
    """
    from torch.profiler import ProfilerActivity, profile

    return profile(activities=[getattr(ProfilerActivity, activity)])


@contextlib.contextmanager
def attached(device: str) -> Iterator[None]:
    """Profiles may be taken inside, one after another; at the end CUPTI leaves the process, whatever happened inside.

    A profile of the host attaches it as well. Who has set TEARDOWN_CUPTI decides instead; torch itself does where CUDA
    graphs do not bear it.
    """
    if device == "cpu" or _TEARDOWN in os.environ:
        yield
        return
    try:
        with _teardown("0"):
            yield
    finally:
        with _teardown("1"):
            with profile_of("CUDA"):
                synchronize(device)
            for _ in range(_CALLS):
                synchronize(device)
                time.sleep(_PAUSE_S)


@contextlib.contextmanager
def _teardown(value: str) -> Iterator[None]:
    """Read by kineto when a profile begins, when it ends, and when CUPTI has gone."""
    os.environ[_TEARDOWN] = value
    try:
        yield
    finally:
        os.environ.pop(_TEARDOWN, None)
