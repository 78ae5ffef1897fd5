"""`--blip-weights random`: an architecture without its checkpoint, from the catalog or a folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.resolve import PACKAGED, find_architecture
from blip_fixtures.reasons import Reason
from tests.plugin.conftest import TWO_SWEEPS, Suite

SMALL = "somebody/instructblip-small"


@pytest.fixture
def catalogued(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The catalog has one more entry, as small as the packaged checkpoint; no hub is asked."""
    config = copy.deepcopy(find_architecture(PACKAGED).config)
    config["image_token_index"] = 280
    monkeypatch.setitem(CATALOG, SMALL, config)
    monkeypatch.setattr("blip_fixtures.checkpoints.resolve.fetch", lambda *_: pytest.fail("the hub was asked"))
    suite.folder = suite.folder.with_name("instructblip-small")
    return suite


def test_a_catalogued_architecture_runs_without_a_download(catalogued: Suite) -> None:
    result = catalogued.run(TWO_SWEEPS, f"--blip-model={SMALL}", "--blip-weights=random")
    result.assert_outcomes(passed=3)
    record, _ = catalogued.records()
    assert record.case.weights == "random"
    assert record.generation is not None
    assert (record.generation.new_tokens, record.generation.fixed) == (4, True)
    assert record.tokens is not None
    assert (record.tokens.output_mean, record.tokens.output_max) == (4, 4)
    assert record.quality == {}
    assert record.missing["quality"].code == "synthetic_weights"
    assert str(record.environment["checkpoint_revision"]).startswith("synthetic-")
    assert Reason.of("generic_tokenizer", scope="tokens") in record.notes
    assert record.phases is not None
    assert record.limit is not None
    document = (catalogued.folder / "README.md").read_text()
    assert document.splitlines()[0] == f"# {SMALL}"
    assert document.splitlines()[2].startswith("**SYNTHETIC WEIGHTS.**")
    assert "No quality figures: the weights are synthetic, so the answers mean nothing." in document


def test_word_error_rates_are_gaps_with_that_reason(catalogued: Suite) -> None:
    benchmarks = (
        "import pytest\n"
        '@pytest.mark.parametrize("dataset", ["coco", "scienceqa", "textvqa"])\n'
        '@pytest.mark.parametrize("image_size", [224, 336])\n'
        '@pytest.mark.parametrize("batch_size", [2])\n'
        "def test_image_size(measure):\n    measure()\n"
    )
    catalogued.run(benchmarks, f"--blip-model={SMALL}", "--blip-weights=random").assert_outcomes(passed=6)
    document = (catalogued.folder / "README.md").read_text()
    assert "| 224        | -    | " in document
    assert "`-` for Word error rate of all rows: the weights are synthetic, so the answers mean nothing." in document


def test_the_packaged_architecture_keeps_its_own_tokenizer(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-weights=random", "-k", "batch02").assert_outcomes(passed=1)
    (record,) = suite.records()
    assert record.case.weights == "random"
    assert not [note for note in record.notes if note.scope == "tokens"]


def test_a_folder_needs_no_weights(suite: Suite) -> None:
    folder = suite.pytester.mkdir("mine")
    packaged = find_architecture(PACKAGED).folder
    assert packaged is not None
    for path in packaged.rglob("*.json"):
        target = folder / path.relative_to(packaged)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    suite.folder = suite.folder.with_name("mine")
    suite.run(TWO_SWEEPS, "--blip-model=mine", "--blip-weights=random", "-k", "batch02").assert_outcomes(passed=1)
    assert suite.records()[0].status == "ok"


def test_synthetic_and_trained_records_have_different_hashes(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "-k", "batch02")
    (trained,) = suite.records()
    suite.run(TWO_SWEEPS, "-k", "batch02", "--blip-weights=random")
    (random,) = suite.records()
    assert trained.config_hash != random.config_hash


def test_an_architecture_that_the_catalog_lacks(catalogued: Suite) -> None:
    result = catalogued.run(TWO_SWEEPS, "--blip-model=nobody/nothing", "--blip-weights=random")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: the catalog has no architecture of 'nobody/nothing'; with --blip-weights=random give "
            "instructblip-tiny, a folder with a config.json, or Salesforce/NAME, where NAME is instructblip-flan-t5-*"
        ]
    )


def test_a_folder_whose_configuration_makes_no_model(suite: Suite) -> None:
    folder = suite.pytester.mkdir("mine")
    config = copy.deepcopy(find_architecture(PACKAGED).config)
    config["text_config"]["feed_forward_proj"] = "nothing-known"
    Path(folder, "config.json").write_text(json.dumps(config))
    result = suite.run(TWO_SWEEPS, "--blip-model=mine", "--blip-weights=random")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cannot build checkpoint 'mine': *; give a folder that save_pretrained wrote"])
