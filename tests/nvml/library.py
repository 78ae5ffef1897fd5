"""Builds the fake libnvidia-ml.so.1 and writes what it plays; `fake_nvml.c` describes the script."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
SONAME = "libnvidia-ml.so.1"


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Compile the library into `folder` and return that, for LD_LIBRARY_PATH.

    `without` names the symbols that it shall lack, as an older driver does. Raises `RuntimeError` with what the
    compiler said.
    """
    cc = compiler()
    if cc is None:
        raise RuntimeError("no C compiler on PATH; install gcc or clang to run the fake NVML")
    folder.mkdir(parents=True, exist_ok=True)
    hidden = [f"-D{symbol}=hidden_{symbol}" for symbol in without]
    command = [cc, "-shared", "-fPIC", f"-Wl,-soname,{SONAME}", *hidden, "-o", str(folder / SONAME), str(SOURCE), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise RuntimeError(f"the fake NVML did not compile:\n{built.stderr}")
    return folder


def write_script(folder: Path, *lines: str) -> Path:
    """Write the lines that the library plays to a file in `folder`, and return it for FAKE_NVML_SCRIPT."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "nvml.script"
    script.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return script


def environment(library: Path, script: Path) -> dict[str, str]:
    """This process's environment, for a child that loads the library in folder `library` and plays `script`."""
    kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return {**kept, "LD_LIBRARY_PATH": str(library), "FAKE_NVML_SCRIPT": str(script)}
