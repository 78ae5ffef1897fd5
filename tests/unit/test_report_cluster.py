"""A document of records that a cluster measured: a row and an environment for each machine, and what Ray did."""

from __future__ import annotations

from pathlib import Path

import pytest

from blip_fixtures.gate.sides import CONDITIONS
from blip_fixtures.record import Record
from blip_fixtures.report.document import write_document
from tests.unit.records import make_record

THROUGH = {"version": "2.60.0", "undone": ["niceness=15"], "left": ["memory_monitor"], "pooled": False}


def measured_on(host: str, **through: object) -> Record:
    environment = {"host": host, "ray": {**THROUGH, **through}}
    return make_record(
        device=f"cpu@{host}", device_name="Some Processor", sweeps=["device"], environment=environment, batch_size=1
    )


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "Measured through: Ray 2.60.0; undone: niceness=15; left as it was: memory_monitor"),
        ("ru", "Измерено через: Ray 2.60.0; отменено: niceness=15; оставлено как было: memory_monitor"),
    ],
)
def test_a_row_and_an_environment_for_each_host(tmp_path: Path, lang: str, said: str) -> None:
    write_document([measured_on("alpha"), measured_on("beta")], tmp_path, lang=lang)
    text = (tmp_path / "README.md").read_text(encoding="utf-8").replace("\\", "")
    for host in ("alpha", "beta"):
        assert f"CPU (Some Processor, cpu@{host})" in text
        assert f": {host}" in text
    assert text.count(said) == 2


def test_another_host_is_another_machine_unless_any_would_do() -> None:
    machine = CONDITIONS["machine"][1]
    alpha, beta = measured_on("alpha"), measured_on("beta")
    assert machine(alpha) != machine(beta)
    assert machine(measured_on("alpha", pooled=True)) == machine(measured_on("beta", pooled=True))
