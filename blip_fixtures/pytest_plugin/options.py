"""`--blip-*` options and their ini twins, frozen into one `Options` before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from blip_fixtures.gate.rules import Missing, Rule
from blip_fixtures.pytest_plugin.specs import SPECS
from blip_fixtures.spelling import did_you_mean
from blip_fixtures.words import DataErrors, EnergyMode, LockMode, PassName, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blip_fixtures.case import NewTokens


@dataclass(frozen=True)
class Options:
    """What the command line and the ini file ask for. `None` means: as many as the suite thinks right."""

    model: str
    weights: Weights
    revision: str | None
    data: str
    data_errors: DataErrors
    datasets: dict[str, str]
    prompts: str
    devices: tuple[str, ...]
    baseline: dict[str, str | int]
    also: dict[str, tuple[str | int, ...]]
    new_tokens: NewTokens | None
    rounds: int | None
    warmup_rounds: int
    limit: int | None
    measure: tuple[PassName, ...]
    processes: int
    energy: EnergyMode
    rapl_root: Path
    report_dir: Path
    lang: str
    price_per_hour: float | None = None
    ray: str | None = None
    pool_alike: bool = False
    resume: bool = False
    retry: bool = False
    lock: LockMode = LockMode.WAIT
    case_timeout: float | None = None
    compare_fail: tuple[Rule, ...] = ()
    allow: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL
    accept: bool = False
    anonymous: bool = False

    @property
    def times(self) -> bool:
        """Whether cases are timed."""
        return PassName.LATENCY in self.measure

    @property
    def show(self) -> Callable[[str], str]:
        """What the files of this run may tell of a text."""
        # Its patterns take as long as loading the rest of the plugin.
        from blip_fixtures.privacy import anonymized, without_secrets

        return anonymized if self.anonymous else without_secrets

    @classmethod
    def from_config(cls, config: pytest.Config) -> Options:
        """The options of one pytest run. Raises `pytest.UsageError` in one sentence for a value that cannot be."""
        options = cls(**{spec.dest: spec.resolve(config) for spec in SPECS})
        if options.ray is None or options.measure != (PassName.QUALITY,):
            # Quality alone on a cluster is nobody's timing: its machines share the samples.
            options = replace(options, measure=tuple(dict.fromkeys((PassName.LATENCY, *options.measure))))
        if options.energy == EnergyMode.REQUIRE and PassName.ENERGY not in options.measure:
            raise pytest.UsageError("--blip-energy=require, and --blip-measure leaves energy out; add it, or drop one")
        if config.getoption("blip_retry") and not options.resume:
            raise pytest.UsageError("--blip-retry changes nothing without --blip-resume; add it, or leave both out")
        if options.processes > 1 and options.ray is not None:
            raise pytest.UsageError(
                "--blip-processes times cases in further processes of this machine, and --blip-ray measures on others; "
                "leave one of them out"
            )
        options._check_devices()
        if config.getoption("blip_pool_alike") and options.ray is None:
            raise pytest.UsageError("--blip-pool-alike changes nothing without --blip-ray; add it, or leave both out")
        return options

    def _check_devices(self) -> None:
        """Raise `pytest.UsageError` for a device of a cluster without one, and for one of this machine with one."""
        of_cluster = [device for device in self.devices if "@" in device or device == "every"]
        if of_cluster and self.ray is None:
            raise pytest.UsageError(
                f"--blip-device={of_cluster[0]} is a device of a cluster, and there is none; give --blip-ray its "
                "address, or name a device of this machine"
            )
        here = [device for device in self.devices if device not in (*of_cluster, "auto")]
        if here and self.ray is not None:
            kind = here[0].partition(":")[0]
            raise pytest.UsageError(
                f"--blip-device={here[0]} names no machine of the cluster; give {kind}@LABEL or every, or leave "
                "--blip-ray out to measure here"
            )


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin."""
    group = parser.getgroup("blip", "InstructBLIP benchmarks")
    for spec in SPECS:
        spec.add(parser, group)


def refuse_misspelt(config: pytest.Config, unknown: Sequence[str]) -> None:
    """Raise `pytest.UsageError` for an unknown `--blip-*` option or ini key that looks like one of the suite's.

    `unknown` are arguments that no plugin took.
    """
    flags, keys = [spec.flag for spec in SPECS], [spec.ini for spec in SPECS]
    for argument in unknown:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in flags and (hint := did_you_mean(flag, flags)):
            raise pytest.UsageError(f"there is no option {flag}{hint}")
    # pytest warns of unknown keys, with this list of its own; of the suite's one must not be overlooked.
    for key in sorted(config._get_unknown_ini_keys()):
        if key.startswith("blip_"):
            raise pytest.UsageError(
                f"there is no ini option {key}{did_you_mean(key, keys) or '; pytest --help lists those of the suite'}"
            )
