"""What a tool measured, with everything behind it: the printed sentences, the raw values, machine and versions."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine.environment import describe_machine

if TYPE_CHECKING:
    from pathlib import Path


class RawFigures:
    """Prints each figure, and keeps it with the values that it was made of."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []

    def add(self, sentence: str, **raw: Any) -> None:
        """One figure as a sentence; `raw` are its values, in seconds or bytes."""
        print(sentence, flush=True)
        self._found.append({"figure": sentence, **raw})

    def write(self, path: Path | None) -> None:
        """As JSON to `path`; nothing where there is none."""
        if path is None:
            return
        from pytest_benchmark.utils import get_commit_info

        commit = get_commit_info()
        command = shlex.join(["python", *sys.orig_argv[1:]])
        machine = describe_machine({"commit": commit.get("id"), "dirty": commit.get("dirty"), "command": command})
        document = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "figures": self._found}
        path.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
