"""An error of the gate's own."""

from __future__ import annotations

import traceback
from pathlib import Path

from blip_fixtures import foreign


def said_of(error: Exception) -> str:
    """One line on an error of the gate's own: which one, and where it came up."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = foreign.terminal(f"{type(error).__name__}: {error}")
    return (
        f"the gate itself failed, so nothing was judged: {said} ({Path(place.filename).name}, line {place.lineno}); "
        "please report it with the files"
    )
