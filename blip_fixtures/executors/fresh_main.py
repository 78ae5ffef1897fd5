"""The process of `fresh.FreshProcess`: a setup and then jobs come in, a line each; a line goes out for each job."""

from __future__ import annotations

import importlib.util
import os
import sys

import msgspec

from blip_fixtures.engine.session import Session
from blip_fixtures.executors.fresh import Setup
from blip_fixtures.job import Job
from blip_fixtures.privacy import anonymized, without_secrets


def main() -> None:
    """Until nothing comes in any more: the process that asked has ended then, or is done."""
    # What libraries print is no answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
    for number, path in enumerate(setup.conftests):
        _load(f"conftest_{number}", path)
    with Session(facts=setup.facts, show=anonymized if setup.anonymous else without_secrets) as session:
        for line in sys.stdin.buffer:
            record = session.measure(Job.from_json(line))
            answers.write(msgspec.json.encode(record) + b"\n")
            answers.flush()


def _load(name: str, path: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "__main__":
    main()
