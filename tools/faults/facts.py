"""What a published finding comes with: the command, the machine, the versions."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PACKAGES = ("torch", "transformers", "pytest", "pytest-benchmark", "filelock", "msgspec")


def described(found: Mapping[str, Any], module: str) -> dict[str, Any]:
    """With them, as of this process, which runs `module`."""
    from blip_fixtures.devices import cpu_model

    return {
        **found,
        "command": shlex.join([*_variables(), "python", "-m", module, *_arguments()]),
        "machine": f"{cpu_model()}, {platform.platform()}",
        "versions": {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
    }


def write(found: Mapping[str, Any], module: str, out: Path | None) -> str:
    """As JSON, to `out` where there is one."""
    text = json.dumps(described(found, module), indent=1) + "\n"
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return text


def _variables() -> list[str]:
    """Those of the environment that change how fast a run is."""
    return [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS",) if name in os.environ]


def _arguments() -> list[str]:
    """Without the place of the file, which says nothing of what was run."""
    given = sys.argv[1:]
    if "--out" in given:
        place = given.index("--out")
        del given[place : place + 2]
    return given
