"""A dataset, an optimization, a sweep and a metric from outside the package: run, shown and judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import OPERATING_POINT, Suite
from tests.unit import shop_signs

REGISTERS = """
import dataclasses

from blip_fixtures.data.datasets import register_dataset
from blip_fixtures.gate.judging import exact
from blip_fixtures.gate.metrics import BYTES, Metric, register_metric
from blip_fixtures.optimizations import Entry, register
from blip_fixtures.reasons import Reason, add_template
from blip_fixtures.report.columns import LATENCY, WORD_ERROR_RATE
from blip_fixtures.report.sweeps import Sweep, register_sweep
from blip_fixtures.words import PassName
from shop_signs import SHOP_SIGNS

register_dataset(SHOP_SIGNS)
add_template("did_nothing", en="{name} did nothing, and says so", ru="{name}: ничего не сделано")
register(
    Entry(
        "nothing",
        label="Nothing at All",
        dtype="float32",
        proof=lambda _loaded, _probe: {"did": "nothing"},
        notes=lambda _applied: [Reason.of("did_nothing", scope="latency", name="nothing")],
    )
)
register_sweep(
    Sweep(
        name="signs",
        title="Shop Sign Tests",
        axis="batch_size",
        header="signs",
        row_name="signs",
        held=(("Data: ", "dataset"), ("Way: ", "optimization")),
        shared=frozenset({"batch_size"}),
        order=lambda case: -case.batch_size,
        columns=(LATENCY, WORD_ERROR_RATE),
    )
)
register_metric(
    Metric(
        name="weights",
        unit=BYTES,
        read=lambda record: record.memory and record.memory.weights_bytes,
        judged=exact,
        measured_by=PassName.MEMORY,
    )
)
"""

SIGNS = """
import pytest

@pytest.mark.parametrize("dataset", ["shop_signs"])
@pytest.mark.parametrize("optimization", ["nothing"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_signs(measure):
    measure()
"""


@pytest.fixture
def outside(suite: Suite) -> Suite:
    suite.pytester.makeconftest(OPERATING_POINT + REGISTERS)
    suite.pytester.makepyfile(shop_signs=Path(shop_signs.__file__).read_text())
    shop_signs.write_signs(suite.pytester.path / "signs")
    return suite


def test_all_of_them_run_and_are_rendered_and_judged(outside: Suite) -> None:
    """In processes of their own: what a conftest registers stays for as long as a process lives."""
    options = ("--blip-dataset=shop_signs=signs", "--blip-measure=quality,memory")
    first = outside.run_in_subprocess(SIGNS, *options, "--benchmark-save=base")
    first.assert_outcomes(passed=2)
    document = (outside.folder / "README.md").read_text()
    # The sweep's title, held lines and order; the labels of the dataset and the optimization.
    shown = document.partition("## Shop Sign Tests\n")[2].partition("\n## ")[0]
    assert shown.lstrip().startswith("Data: Shop Signs\nWay: Nothing at All\n")
    assert shown.index("\n| 2 ") < shown.index("\n| 1 ")
    # The dataset's metric and note, the optimization's note and proof.
    assert "right_price" in document
    assert "only 4 signs were read" in document
    assert "nothing did nothing, and says so" in shown
    assert {record.applied["did"] for record in outside.records()} == {"nothing"}
    second = outside.run_in_subprocess(SIGNS, *options, "--benchmark-compare", "--blip-compare-fail=weights:0%")
    second.assert_outcomes(passed=2)
    findings = json.loads((outside.folder / "gate.json").read_text())["findings"]
    assert {(finding["metric"], finding["verdict"]) for finding in findings} == {("weights", "pass")}
    second.stdout.fnmatch_lines(["*shop_signs-cpu-nothing-batch01-*weights*MiB*pass"])
