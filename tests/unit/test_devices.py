"""Devices: which are asked for, and why one is not there."""

from __future__ import annotations

import warnings

import pytest
import torch

from blip_fixtures.devices import ChosenDevices, choose_devices, gpu_names, primary_device, why_unavailable
from blip_fixtures.engine import environment
from blip_fixtures.reasons import Reason


def never_asked(device: str) -> Reason | None:
    raise AssertionError(f"{device}: torch is imported where nobody needs it")


@pytest.mark.parametrize(
    ("wanted", "gpus", "expected"),
    [
        (("auto",), 0, ("cpu",)),
        (("cuda",), 0, ("cuda:0",)),
        (("cuda:1", "cpu", "cuda:1"), 2, ("cuda:1", "cpu")),
    ],
)
def test_chosen_without_torch(wanted: tuple[str, ...], gpus: int, expected: tuple[str, ...]) -> None:
    assert choose_devices(wanted, lambda: gpus, never_asked) == ChosenDevices(expected)


def test_auto_takes_the_first_card_that_works() -> None:
    assert choose_devices(("auto",), lambda: 2, lambda _device: None) == ChosenDevices(("cpu", "cuda:0"))


@pytest.mark.parametrize("cards", [1, 2, 3])
def test_auto_leaves_out_cards_that_do_not(cards: int) -> None:
    reasons = {f"cuda:{index}": Reason.verbatim(f"CUDA rejects {index}") for index in range(cards)}
    assert choose_devices(("auto",), lambda: cards, reasons.get) == ChosenDevices(("cpu",), (*reasons.values(),))
    for index in range(cards):
        working = {name: reason for name, reason in reasons.items() if int(name[-1]) < index}
        expected = ChosenDevices(("cpu", f"cuda:{index}"), (*working.values(),))
        assert choose_devices(("auto",), lambda: cards, working.get) == expected


@pytest.mark.parametrize(
    ("named", "primary"), [(["cpu"], "cpu"), (["cpu", "cuda:0"], "cuda:0"), (["cuda:1", "cuda:0", "cpu"], "cuda:0")]
)
def test_primary(named: list[str], primary: str) -> None:
    assert primary_device(named) == primary


def test_the_cpu_is_always_there() -> None:
    assert why_unavailable("cpu") is None


def test_a_build_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "needs a CUDA build of torch and" in str(why_unavailable("cuda:0"))


class Card:
    """What torch is told of a card, and what CUDA is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.count = 1
        self.capability = 9, 0
        self.built = ["sm_90"]

    def ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.errors:
            raise self.errors[what]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    stand_ins: dict[str, object] = {
        "device_count": lambda: card.count,
        "init": lambda: card.ask("init"),
        "get_device_properties": lambda device: card.ask(f"properties of {device}"),
        "synchronize": lambda device: card.ask(f"work on {device}"),
        "get_device_capability": lambda _device: card.capability,
        "get_device_name": lambda device: f"card {device}",
        "get_arch_list": lambda: card.built,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return card


def code_of(device: str) -> str | None:
    reason = why_unavailable(device)
    return None if reason is None else reason.code


def test_a_device_is_started_once_a_process(card: Card) -> None:
    assert [why_unavailable(device) for device in ("cuda:0", "cuda:0")] == [None, None]
    assert gpu_names() == ["card cuda:0"]
    assert card.asked == ["init", "properties of cuda:0", "work on cuda:0"]


def test_each_device_is_started_on_its_own(card: Card) -> None:
    card.count = 2
    card.errors["work on cuda:1"] = torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered")
    assert [code_of("cuda:0"), code_of("cuda:1"), code_of("cuda:1")] == [
        None,
        "device_not_started",
        "device_not_started",
    ]
    assert card.asked.count("init") == card.asked.count("work on cuda:1") == 1


def test_an_absent_device_is_named_with_what_there_is(card: Card) -> None:
    assert why_unavailable("cuda:0") is None
    assert str(why_unavailable("cuda:3")).startswith("cuda:3 is not on this machine: torch sees 1 CUDA device;")
    card.count = 2
    assert str(why_unavailable("cuda:3")).startswith("cuda:3 is not on this machine: torch sees 2 CUDA devices;")


def test_a_machine_without_a_driver_starts_nothing(card: Card) -> None:
    card.count = 0
    assert (code_of("cuda:0"), gpu_names(), card.asked) == ("no_such_device", [], [])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted."),
        AssertionError("libcudart functions unavailable. It looks like you have a broken build?"),
        torch.AcceleratorError("CUDA error: initialization error\nCUDA kernel errors might be reported later.\n"),
        torch.cuda.DeferredCudaCallError("CUDA call failed lazily at initialization\n\noriginally invoked at:"),
        RuntimeError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("init", "cuda_not_started_least"),
        ("properties of cuda:0", "device_not_started"),
        ("work on cuda:0", "device_not_started"),
    ],
)
def test_whatever_cuda_says_is_a_reason_in_one_line(card: Card, what: str, code: str, error: Exception) -> None:
    card.errors[what] = error
    reason = why_unavailable("cuda:0")
    assert reason is not None
    assert reason.code == code
    assert reason.args["error"] == (str(error).split("\n")[0].rstrip(".") or "RuntimeError")
    for said in (reason.say("en"), reason.say("ru")):
        assert "\n" not in said
        assert "--blip-device=cpu" in said
    assert gpu_names() == {"init": [], "work on cuda:0": ["card cuda:0"]}.get(what, ["cuda:0"])


@pytest.mark.parametrize(
    ("cuda", "driver"), [("11.8", 450), ("12.6", 525), ("13.0", 580), ("13.2", 580), ("14.1", None)]
)
def test_the_least_driver_of_a_build_is_named(
    card: Card, monkeypatch: pytest.MonkeyPatch, cuda: str, driver: int | None
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    card.errors["init"] = RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")
    said = str(why_unavailable("cuda:0"))
    assert f"(CUDA {cuda})" in said
    assert "MIG mode is off or has an instance" in said
    assert (f"whether the driver is {driver} or newer" in said) == (driver is not None)


def test_warnings_of_torch_are_no_errors(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    def warning(result: object) -> object:
        warnings.warn("of another card, or of NVML", UserWarning, stacklevel=2)
        return result

    monkeypatch.setattr(torch.cuda, "init", lambda: warning(None))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: warning(1))
    assert why_unavailable("cuda:0") is None


WHEELS = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(
    ("built", "capability", "runs"),
    [
        # The wheels of CUDA 13: from Turing on.
        *((WHEELS, capability, True) for capability in ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (10, 3))),
        *((WHEELS, capability, True) for capability in ((12, 0), (12, 1))),
        *((WHEELS, capability, False) for capability in ((6, 1), (7, 0), (11, 0), (13, 0))),
        # Those of CUDA 12.6.
        *((["sm_50", "sm_60", "sm_70", "sm_75"], capability, True) for capability in ((5, 2), (6, 1), (7, 0))),
        (["sm_70"], (7, 5), True),
        (["sm_75"], (7, 0), False),
        # A Tegra has binaries of its own.
        (["sm_80", "sm_86"], (8, 7), False),
        (["sm_87"], (8, 7), True),
        (["sm_87"], (8, 9), False),
        (["sm_70"], (7, 2), False),
        # PTX is compiled for what came later.
        (["sm_75", "compute_90"], (9, 0), True),
        (["sm_75", "compute_90"], (12, 0), True),
        (["sm_75", "compute_90"], (8, 6), False),
        (["compute_80"], (8, 7), True),
        # For one card alone, or for its family.
        (["sm_90a"], (9, 0), True),
        (["sm_100a"], (10, 3), False),
        (["compute_90a"], (10, 0), False),
        (["sm_100f"], (10, 3), True),
        (["compute_100f"], (12, 0), False),
        # Nothing is said, so nothing is refused; what is not understood is for nobody.
        ([], (7, 0), True),
        (["gfx942"], (9, 4), False),
    ],
)
def test_what_a_build_runs_on(card: Card, built: list[str], capability: tuple[int, int], runs: bool) -> None:
    card.built, card.capability = built, capability
    assert code_of("cuda:0") == (None if runs else "card_not_in_build")
    assert "work on cuda:0" in card.asked or not runs, "no kernel is tried that is not there"


def test_the_rule_of_binaries_is_torchs_own(card: Card) -> None:
    """Of every card that torch knows, for every single binary."""
    rule = torch.cuda.DEVICE_REQUIREMENT
    # CUDA 13 calls 10.1 11.0, by which a build for the one name runs on the other: no wheel has the old name.
    codes = [code for code in rule if code != 101]
    for code in codes:
        for card_code in codes:
            card.built, card.capability = [f"sm_{code}"], divmod(card_code, 10)
            assert (code_of("cuda:0") is None) == (card_code in rule[code]), (code, card_code)


def test_the_environment_of_a_card(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torchao": "0.18.0", "flash-attn": "2.8.3", "torch": "2.13.0"}
    monkeypatch.setattr(environment, "_version", installed.get)
    monkeypatch.setattr(environment, "driver_version", lambda: "580.65.06")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91900)
    found = environment.describe_machine({})
    assert (found["gpus"], found["gpu_driver"]) == (["card cuda:0"], "580.65.06")
    versions = {name: version for name, version in found["versions"].items() if version is not None}
    assert versions == {**installed, "cuda": "13.0", "cudnn": "9.19.0"}


def test_a_cudnn_that_refuses_a_card_is_told(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    def version() -> int:
        raise RuntimeError("cuDNN version 91900 is not compatible with devices with SM < 7.5. \nPlease install")

    monkeypatch.setattr(environment, "driver_version", lambda: "580.65.06")
    monkeypatch.setattr(torch.backends.cudnn, "version", version)
    assert environment.describe_machine({})["versions"]["cudnn"] == (
        "unknown (cuDNN version 91900 is not compatible with devices with SM < 7.5)"
    )


def test_the_environment_of_a_cpu_run_is_as_before(card: Card) -> None:
    """Neither on a machine without a card, nor where CUDA does not start."""
    card.errors["init"] = RuntimeError("CUDA driver initialization failed")
    failing = environment.describe_machine({})
    card.count = 0
    assert failing == environment.describe_machine({})
    assert (failing["gpus"], failing["gpu_driver"]) == ([], None)
    assert not {"cuda", "cudnn"} & set(failing["versions"])
