"""What `--blip-device` means on a machine with an NVIDIA card that torch cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blip_fixtures.record import Record
from blip_fixtures.words import Status
from tests.nvml import library as fake_nvml
from tests.plugin.conftest import TWO_SWEEPS, Suite

ROOT = Path(__file__).parents[2]
AUTO = "--blip-device=auto"
ALONE = "--blip-device=auto measures on the CPU alone: "


def devices_of(records: list[Record]) -> list[tuple[str, Status]]:
    return [(record.case.device, record.status) for record in records if not record.again]


def without_cuda(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return f"cuda:0 needs a CUDA build of torch and {torch.__version__} is not one; install one, or"


def not_starting(monkeypatch: pytest.MonkeyPatch) -> str:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", init)
    return "cuda:0 cannot be used, since CUDA does not start: The NVIDIA driver on your system is too old"


def rejected(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    stand_ins: dict[str, object] = {
        "device_count": lambda: 1,
        "init": lambda: None,
        "get_device_properties": lambda _device: None,
        "get_device_capability": lambda _device: (7, 0),
        "get_device_name": lambda _device: "Tesla V100",
        "get_arch_list": lambda: ["sm_75", "sm_90"],
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return "cuda:0 (Tesla V100) has compute capability 7.0 and torch"


def busy(monkeypatch: pytest.MonkeyPatch) -> str:
    def synchronize(_device: str) -> None:
        raise torch.AcceleratorError("CUDA error: all CUDA-capable devices are busy or unavailable")

    rejected(monkeypatch)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_70"])
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    return f"cuda:0 cannot be used, since CUDA does not start on it (torch {torch.__version__}): CUDA error: all CUDA-"


def hidden(monkeypatch: pytest.MonkeyPatch) -> str:
    """By a CUDA_VISIBLE_DEVICES that names none."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return (
        "cuda:0 is not on this machine: torch sees 0 CUDA devices; pass --blip-device=cpu, or check the driver and CUDA"
    )


@pytest.fixture(params=[without_cuda, not_starting, rejected, busy, hidden], ids=lambda made: made.__name__)
def why_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine where NVML counts one card; what is said of it."""
    monkeypatch.setattr("blip_fixtures.meters.nvml.nvidia_device_count", lambda: 1)
    said: str = request.param(monkeypatch)
    return said


def test_auto_measures_on_the_cpu_and_says_once_why_not_on_the_card(suite: Suite, why_not: str) -> None:
    result = suite.run(TWO_SWEEPS, AUTO)
    result.assert_outcomes(passed=3)
    assert devices_of(suite.records()) == [("cpu", Status.OK)] * 2
    lines = [line for line in result.outlines if ALONE in line]
    assert len(lines) == 1
    assert lines[0].startswith(ALONE + why_not)
    assert "pass --blip-device=cpu" in lines[0]
    assert result.outlines.index(lines[0]) < next(place for place, line in enumerate(result.outlines) if "[1/" in line)


def test_auto_takes_the_second_card_where_torch_is_not_built_for_the_first(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = rejected(monkeypatch)
    monkeypatch.setattr("blip_fixtures.meters.nvml.nvidia_device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    capabilities = {"cuda:0": (7, 0), "cuda:1": (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capabilities[device])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    listed = suite.run(TWO_SWEEPS, AUTO, "--collect-only", "-q")
    ids = [line.partition("[")[2].split("-")[0] for line in listed.outlines if "::" in line]
    assert ids == ["cuda:1", "cuda:1", "cuda:1", "cpu"]
    # There is no card to measure on: the first line of a run is all that is looked at.
    monkeypatch.setattr("blip_fixtures.pytest_plugin.run.Run.start", lambda *_args, **_more: pytest.exit("enough"))
    lines = [line for line in suite.run(TWO_SWEEPS, AUTO).outlines if "--blip-device=auto" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"--blip-device=auto measures on cuda:1: {said}")


def test_the_listing_has_the_cases_of_the_run(suite: Suite, why_not: str) -> None:
    listed = suite.run(TWO_SWEEPS, AUTO, "--collect-only", "-q")
    assert [line.partition("[")[2].split("-")[0] for line in listed.outlines if "::" in line] == ["cpu"] * 3
    listed.stdout.no_fnmatch_line(f"*{ALONE}*")


def test_a_card_that_is_named_is_refused(suite: Suite, why_not: str) -> None:
    for named in (["--blip-device=cuda"], ["--blip-device=cpu", "--blip-device=cuda:0"]):
        result = suite.run(TWO_SWEEPS, *named)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
        assert error.startswith(f"ERROR: {why_not}")
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert not list(suite.pytester.path.rglob("journal.jsonl"))


def test_the_cpu_alone_is_measured_without_a_word(suite: Suite, why_not: str) -> None:
    result = suite.run(TWO_SWEEPS, "-k", "batch02")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line(f"*{ALONE}*")
    (record,) = suite.records()
    sees_a_card = "V100" in why_not or "on it" in why_not
    assert record.environment["gpus"] == (["Tesla V100"] if sees_a_card else [])


def test_a_device_of_the_tests_own_is_no_matter_of_auto(suite: Suite, why_not: str) -> None:
    own = 'import pytest\n@pytest.mark.parametrize("device", ["cpu", "cuda:0"])\ndef test_it(measure):\n    measure()\n'
    result = suite.run(own, AUTO, "--blip-baseline=batch_size=1")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.no_fnmatch_line(f"*{ALONE}*")
    assert devices_of(suite.records()) == [("cpu", Status.OK), ("cuda:0", Status.UNAVAILABLE)]


def test_a_broken_torch_is_refused_with_its_own_remedy(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.meters.nvml.nvidia_device_count", lambda: 1)
    monkeypatch.delattr(torch, "Tensor")
    result = suite.run(TWO_SWEEPS, AUTO)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: torch is not the library but *, which shadows it; rename that file or folder"])


@pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler builds the stand-in for NVML")
def test_nvml_counts_a_card_and_cuda_does_not_start(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, where nvidia-ml-py and torch's own code ask the stand-in library."""
    folder = suite.pytester.path
    script = fake_nvml.write_script(folder, "device GPU-1 power_w 100")
    nvml = fake_nvml.environment(fake_nvml.build(folder / "nvml"), script)
    for name in ("LD_LIBRARY_PATH", "FAKE_NVML_SCRIPT"):
        monkeypatch.setenv(name, nvml[name])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CUDA_ERROR", "No CUDA GPUs are available")  # MIG is on, and there is no instance
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    args = ("-W", "error", "-p", "tests.cuda_build", "--blip-measure=latency", "-k", "batch01")
    for device in ("cpu", "auto"):
        result = suite.run_in_subprocess(TWO_SWEEPS, *args, f"--blip-device={device}")
        result.assert_outcomes(passed=2, deselected=1)
        assert sum(ALONE in line for line in result.outlines) == (device == "auto")
        assert devices_of(suite.records()) == [("cpu", Status.OK)]
    result = suite.run_in_subprocess(TWO_SWEEPS, *args, "--blip-device=cuda")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert error.startswith(
        "ERROR: cuda:0 cannot be used, since CUDA does not start: No CUDA GPUs are available; see in"
    )
