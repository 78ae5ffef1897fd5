"""Bad input: one clear sentence, exit code 4, and nothing measured.

Most of it stands in the table that tests/acceptance/test_bad_inputs.py runs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
from tests.plugin.conftest import TWO_SWEEPS, Suite


def test_auto_excludes_other_devices(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--blip-device=auto", "--blip-device=cpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*auto stands for every device, so name either auto or single devices"])


def test_ini_twin_and_command_line(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_rounds = 0\n")
    result = suite.pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: blip_rounds cannot be '0': give a whole number of at least 1 and at most *"])
    suite.run(TWO_SWEEPS, "--blip-rounds=1", "-k", "batch02").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("blip_device = 'cpu", "blip_device cannot be read from the ini file: No closing quotation; mend it there"),
        ("blip_accept = maybe", "blip_accept cannot be read from the ini file: invalid truth value 'maybe'; mend it"),
        ("blip_rounds = 1000000000", "blip_rounds cannot be '1000000000': give a whole number of at least 1 and at m"),
    ],
)
def test_a_bad_ini_value(suite: Suite, line: str, complaint: str) -> None:
    suite.pytester.makeini(f"[pytest]\n{line}\n")
    result = suite.pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {complaint}" in result.stderr.str()
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_bytes_that_are_no_text_on_a_real_command_line(suite: Suite) -> None:
    result = suite.run_in_subprocess(TWO_SWEEPS, os.fsdecode(b"--blip-report-dir=a\xffb"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert "character 2 is no text (U+DCFF)" in error


def test_ini_devices_are_a_list(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_device = cpu mps\n")
    result = suite.pytester.runpytest_inprocess()
    said = "choose auto, cpu, cuda, cuda:N or cuda:N+cuda:M, or with"
    result.stderr.fnmatch_lines([f"ERROR: blip_device cannot be 'cpu mps': {said} *"])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("batch_size=0", "batch_size must be a whole number of at least 1, not 0"),
        ("batch_size=two", "batch_size must be a whole number of at least 1, not 'two'"),
        ("sequence_length=0", "sequence_length must be a whole number of at least 1, not 0"),
        ("image_size=225", "image size 225 is not a multiple of the 28 pixel patches"),
        ("optimization=fp8", "unknown optimization 'fp8'; the suite knows fp16"),
    ],
)
def test_bad_baseline(suite: Suite, value: str, complaint: str) -> None:
    result = suite.run("def test_it(measure):\n    measure()\n", f"--blip-baseline={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *: {complaint}*"])


@pytest.mark.parametrize(
    ("axis", "values", "complaint"),
    [
        ("batch_size", "[0]", "batch_size must be a whole number of at least 1, not 0"),
        ("dataset", "['vqa']", "unknown dataset 'vqa'; the suite knows textvqa, coco, scienceqa"),
        ("optimization", "['fp8']", "unknown optimization 'fp8'; the suite knows fp16"),
        ("image_size", "[225]", "image size 225 is not a multiple of the"),
        ("sequence_length", "[0]", "sequence_length must be a whole number of at least 1, not 0"),
        ("sequence_length", "[513]", "sequence length 513 is above the 512 positions of the Q-Former"),
    ],
)
def test_bad_axis_value(suite: Suite, axis: str, values: str, complaint: str) -> None:
    result = suite.run(
        f"import pytest\n@pytest.mark.parametrize('{axis}', {values})\ndef test_it(measure):\n    measure()\n"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *: {complaint}*"])


def test_an_axis_without_a_value(suite: Suite) -> None:
    result = suite.run(
        "import pytest\n@pytest.fixture\ndef batch_size():\n    return 1\ndef test_it(measure):\n    measure()\n"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *test_it* has no value for batch_size; parametrize it, or give the fixture*"])


@pytest.mark.skipif(os.geteuid() != 0, reason="as another user chmod tests the same")
def test_a_report_folder_under_a_file(suite: Suite) -> None:
    Path("file").write_text("")
    result = suite.run(TWO_SWEEPS, "--blip-report-dir=file/below")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cannot write to the report folder file/below/*; choose another with*"])


def test_measure_must_be_called(suite: Suite) -> None:
    result = suite.run("import pytest\n@pytest.mark.parametrize('batch_size', [1])\ndef test_it(measure):\n    pass\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test never called measure(); call it once, or drop the fixture"])


def test_measure_is_called_once(suite: Suite) -> None:
    result = suite.run(
        "import pytest\n@pytest.mark.parametrize('batch_size', [1])\n"
        "def test_it(measure):\n    measure()\n    measure()\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*measure() was called twice; one test measures one case, so call it once"])


def test_help_explains_every_option(suite: Suite) -> None:
    from blip_fixtures.pytest_plugin.specs import SPECS

    text = suite.pytester.runpytest_inprocess("--help").stdout.str()
    assert "InstructBLIP benchmarks:" in text
    for spec in SPECS:
        assert spec.flag in text
        assert spec.ini in text


def packaged_copy(suite: Suite) -> Path:
    """A writable copy of the packaged checkpoint, as the folder `mine`."""
    folder = resolve_checkpoint(PACKAGED).folder
    assert folder is not None
    return Path(shutil.copytree(folder, suite.pytester.path / "mine"))


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def another_type(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "instructblip"', '"model_type": "blip"'))


def no_image_token(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"image_token_index": 4,', ""))


def another_language_model(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "t5"', '"model_type": "gpt2"'))


def no_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            truncate,
            "the weights of checkpoint 'mine' are broken: model.safetensors in mine is cut off or no safetensors",
        ),
        (pickle_only, "checkpoint 'mine' has its weights as pickle only (pytorch_model.bin) in mine; a pickle can run"),
        (another_type, "checkpoint 'mine' is of model type 'blip' and the suite measures 'instructblip' and 'blip-"),
        (no_image_token, "the config.json of checkpoint 'mine' names no image_token_index, and without it generate ig"),
        (
            another_language_model,
            "the language model of checkpoint 'mine' is of type 'gpt2' and the suite measures 't5' and 'lla",
        ),
        (no_shard, "checkpoint 'mine' lacks model-00001-of-00002.safetensors of its index in mine; fetch or save"),
    ],
)
def test_a_spoiled_checkpoint_is_refused_before_it_loads(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(packaged_copy(suite))
    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", lambda *_: pytest.fail("a model was loaded"))
    result = suite.run(TWO_SWEEPS, "--blip-model=mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert error.startswith(f"ERROR: {complaint}")
    assert not list(suite.pytester.path.rglob("journal.jsonl"))


def test_a_run_in_which_no_case_can_run(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "-k", "batch02", "--blip-limit=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no case can run: 1 textvqa samples do not fill a batch of 2; raise*"])


def test_a_bad_row_is_refused_before_anything_is_measured(suite: Suite) -> None:
    from tests.unit.test_sources import write_textvqa

    write_textvqa(suite.pytester.path / "data", question=None)
    result = suite.run(TWO_SWEEPS, "--blip-data=data", "--blip-limit=5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *validation.parquet, row 2 (counted from 0): question is None where a text*"])
