"""Secrets and personal names that a run meets on its way, and where they must not be afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# By the place where each is planted. None of them is real.
VARIABLES = {
    "HF_TOKEN": "hf_planted0value0of0the0hub",
    "MY_SERVICE_PASSWORD": 'planted hunter\'2 "quoted"',
    "AWS_SECRET_ACCESS_KEY": "planted/secret+access/key==",
    "PIP_INDEX_URL": "https://indexuser:planted-index-pw@index.example/simple",
    "HF_ENDPOINT": "https://huser:planted-endpoint-pw@hub.example",
}
PASSWORDS = ("planted-index-pw", "planted-endpoint-pw")
ARGUMENTS = {
    "--some-token": "planted-by-flag",
    "--password=": "planted by sign",
    "-k": "batch01 and not hf_planted0on0the0command0line",
}
REMOTE = "https://gituser:planted-remote-pw@git.example"
USER = "zoeplanted"
TOKENS = (
    "hf_abcdefghijklmnopqrstuvwxyz01234567",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij0123456789",
    "sk-abcdefghijklmnopqrstuvwxyz012345",
    "sk-proj-abc_def-ghijklmnopqrstuvwxyz012345",
    "xoxb-0123456789-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
)


def secrets() -> list[str]:
    """Every text that no file may have."""
    flags = [value.split()[-1] if name == "-k" else value for name, value in ARGUMENTS.items()]
    return [*VARIABLES.values(), *PASSWORDS, *flags, "planted-remote-pw"]


def files_below(folder: Path) -> Iterator[Path]:
    """All of them but git's own."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
