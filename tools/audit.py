"""``python -m tools.audit``: known vulnerabilities of the versions in `constraints.txt`, by pip-audit.

Exit code 1 where there is one, and where pip-audit cannot say although its database answers. Where the database cannot
be reached nothing is known: that is said, and exit code 0, or 1 with `--required`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
# One release as the database has it: an index that mirrors packages alone has no such page.
_KNOWN_RELEASE = "https://pypi.org/pypi/pip/25.0/json"
_PATIENCE_S = 20


def database_answers() -> bool:
    """Whether PyPI says of a release what is known against it."""
    try:
        with urllib.request.urlopen(_KNOWN_RELEASE, timeout=_PATIENCE_S) as answer:  # nosec B310  # a fixed address
            return "vulnerabilities" in json.load(answer)
    except (OSError, ValueError):
        # `urllib.error.URLError` is an OSError, a page that is no JSON a ValueError.
        return False


def pip_audit(constraints: Path) -> subprocess.CompletedProcess[str]:
    """What pip-audit finds for the pinned versions, without asking pip for others."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps", "--disable-pip"]
    return subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )


def main(
    arguments: Sequence[str] | None = None,
    *,
    answers: Callable[[], bool] = database_answers,
    audit: Callable[[Path], subprocess.CompletedProcess[str]] = pip_audit,
) -> int:
    """The exit code; what was found is printed."""
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=__doc__)
    parser.add_argument("--required", action="store_true", help="fail where the database cannot be reached")
    options = parser.parse_args(arguments)
    if not answers():
        print(f"not audited: {_KNOWN_RELEASE} does not answer, so nothing is known of the pinned versions")
        return int(options.required)
    done = audit(CONSTRAINTS)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(f"pip-audit ended with {done.returncode} and no result:\n{done.stderr}", file=sys.stderr)
        return 1
    return _judge(packages)


def _judge(packages: Sequence[dict[str, Any]]) -> int:
    asked = [package for package in packages if "skip_reason" not in package]
    for package in packages:
        if "skip_reason" in package:
            print(f"not audited: {package['name']}: {package['skip_reason']}")
    found = [(package, known) for package in asked for known in package["vulns"]]
    for package, known in found:
        mended = ", ".join(known["fix_versions"]) or "no release yet"
        print(f"{package['name']} {package['version']}: {known['id']}, mended in {mended}")
    print(f"{len(asked)} of {len(packages)} pinned versions audited, {len(found)} known vulnerabilities")
    return int(bool(found) or not asked)


if __name__ == "__main__":
    sys.exit(main())
