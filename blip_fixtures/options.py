"""`--blip-*` options and their ini twins, frozen into one `Options` before anything is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from blip_fixtures.case import (
    AXES,
    DATA_ERRORS,
    DATASETS,
    ENERGY,
    FAIL,
    LATENCY,
    PASSES,
    PRESETS,
    RANDOM,
    TRAINED,
    WEIGHTS,
)
from blip_fixtures.rules import ALLOWABLE, MISSING, Rule, parse_rules

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES = ("en", "ru")
ENERGY_MODES = ("auto", "require", "off")
NOT_ASKED_FOR = "not measured: --blip-measure leaves it out"
DEFAULT_WARMUP_ROUNDS = 2
MIN_ROUNDS = 10
ALL_PASSES = "all"


# The device is chosen by an option of its own.
_BASELINE_AXES = tuple(axis for axis in AXES if axis != "device")


@dataclass(frozen=True)
class NewTokens:
    """The upper bound of generated tokens; `fixed` makes every row of a batch generate exactly `limit`."""

    limit: int
    fixed: bool = False

    def __str__(self) -> str:
        return f"fixed:{self.limit}" if self.fixed else str(self.limit)


@dataclass(frozen=True)
class Options:
    """What the command line and the ini file ask for. `None` means: as many as the suite thinks right."""

    model: str
    weights: str
    revision: str | None
    data: str
    data_errors: str
    datasets: dict[str, str]
    prompts: str
    devices: tuple[str, ...]
    baseline: dict[str, str | int]
    new_tokens: NewTokens
    rounds: int | None
    warmup_rounds: int
    limit: int | None
    measure: tuple[str, ...]
    energy: str
    rapl_root: Path
    report_dir: Path
    lang: str
    compare_fail: tuple[Rule, ...] = ()
    allow: tuple[str, ...] = ()
    missing: str = MISSING[0]
    accept: bool = False

    @classmethod
    def from_config(cls, config: pytest.Config) -> Options:
        """The options of one pytest run. Raises `pytest.UsageError` in one sentence for a value that cannot be."""
        options = cls(**{spec.dest: spec.resolve(config) for spec in SPECS})
        if options.weights == RANDOM:
            # Synthetic weights know no end token, so a limit alone would compare answers of chance lengths.
            options = replace(options, new_tokens=replace(options.new_tokens, fixed=True))
        if options.energy == "require" and ENERGY not in options.measure:
            raise pytest.UsageError("--blip-energy=require, and --blip-measure leaves energy out; add it, or drop one")
        return options

    @property
    def reads_energy(self) -> bool:
        """Whether energy counters are read at all."""
        return self.energy != "off" and ENERGY in self.measure


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise ValueError(f"give a whole number of at least {least}")
        return int(text)

    return parse


def _new_tokens(text: str) -> NewTokens:
    match = re.fullmatch(r"(fixed:)?(\d+)", text)
    if match is None or int(match[2]) < 1:
        raise ValueError("give a whole number of at least 1, or fixed:N for exactly N tokens in every row")
    return NewTokens(int(match[2]), fixed=match[1] is not None)


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"choose one of {', '.join(names)}")
        return text

    return parse


def _devices(values: list[str]) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("choose auto, cpu, cuda or cuda:N")
    if "auto" in values and len(set(values)) > 1:
        raise ValueError("auto stands for every device, so name either auto or single devices")
    return tuple(dict.fromkeys(values))


def _pairs(values: list[str], names: tuple[str, ...], form: str) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping, each name once."""
    chosen: dict[str, str] = {}
    for value in values:
        name, _, text = value.partition("=")
        if name not in names or not text:
            raise ValueError(f"give {form} with one of {', '.join(names)}")
        if name in chosen:
            raise ValueError(f"{name} is given twice")
        chosen[name] = text
    return chosen


def _baseline(values: list[str]) -> dict[str, str | int]:
    chosen = _pairs(values, _BASELINE_AXES, "AXIS=VALUE")
    return {
        axis: int(text) if axis.endswith(("_size", "_length")) and text.isdecimal() else text
        for axis, text in chosen.items()
    }


def _datasets(values: list[str]) -> dict[str, str]:
    return _pairs(values, DATASETS, "DATASET=ID_OR_PATH")


def _listed(values: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Names separated by commas, by spaces, or by both, as an ini file may have them."""
    names = tuple(name for value in values for name in re.split(r"[,\s]+", value) if name)
    for name in names or values:
        _one_of(known)(name)
    return names


def _conditions(values: list[str]) -> tuple[str, ...]:
    return _listed(values, ALLOWABLE)


def _passes(values: list[str]) -> tuple[str, ...]:
    names = _listed(values, (*PASSES, ALL_PASSES))
    return PASSES if ALL_PASSES in names else tuple(name for name in PASSES if name in (LATENCY, *names))


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; leave the option out for the default")
    return text


@dataclass(frozen=True)
class Spec:
    """One option: `--blip-<name>` on the command line, `blip_<name>` in the ini file."""

    name: str
    default: str
    parse: Callable[[Any], Any]
    metavar: str
    help: str
    field: str | None = None
    repeatable: bool = False
    is_switch: bool = False

    @property
    def flag(self) -> str:
        """The command line's name."""
        return f"--blip-{self.name}"

    @property
    def ini(self) -> str:
        """The ini file's name."""
        return f"blip_{self.name.replace('-', '_')}"

    @property
    def dest(self) -> str:
        """The field of `Options` that holds the value."""
        return self.field or self.name.replace("-", "_")

    def add(self, parser: pytest.Parser, group: pytest.OptionGroup) -> None:
        """Declare the option and its ini twin."""
        default = f" Default: {self.default}." if self.default else ""
        text = f"{self.help}{default} Ini: {self.ini}."
        if self.is_switch:
            group.addoption(self.flag, dest=self.ini, action="store_true", default=None, help=text)
            parser.addini(self.ini, f"ini twin of {self.flag}", type="bool", default=False)
            return
        group.addoption(
            self.flag,
            dest=self.ini,
            action="append" if self.repeatable else "store",
            metavar=self.metavar,
            default=None,
            help=text,
        )
        kind: Literal["args", "string"] = "args" if self.repeatable else "string"
        parser.addini(self.ini, f"ini twin of {self.flag}", type=kind, default=None)

    def resolve(self, config: pytest.Config) -> Any:
        """The parsed value: the command line's, else the ini file's, else the default."""
        given: Any = config.getoption(self.ini)
        where = self.flag
        if given is None:
            given, where = config.getini(self.ini), self.ini
        if self.is_switch:
            return bool(given)
        if given is None or given == []:
            if not self.default:
                return self.parse([]) if self.repeatable else None
            given = [self.default] if self.repeatable else self.default
        try:
            return self.parse(given)
        except ValueError as error:
            shown = " ".join(given) if self.repeatable else given
            raise pytest.UsageError(f"{where} cannot be {shown!r}: {error}") from None


SPECS = (
    Spec(
        "model",
        "instructblip-tiny",
        _some_text,
        "NAME",
        "The checkpoint to measure: instructblip-tiny (packaged, works offline), a hub id such as "
        "Salesforce/instructblip-flan-t5-xl, or a folder that save_pretrained wrote.",
    ),
    Spec(
        "weights",
        TRAINED,
        _one_of(WEIGHTS),
        "KIND",
        "checkpoint, or random: the model's architecture at full size with synthetic weights, without any download. "
        "Then every row generates exactly --blip-new-tokens tokens, and there is no quality.",
    ),
    Spec("revision", "", _some_text, "REV", "Branch, tag or commit of a hub id. Default: the hub's main branch."),
    Spec(
        "data",
        "sample",
        _some_text,
        "SOURCE",
        "Where questions and pictures come from: sample (64 packaged rows for each dataset), hub (the datasets' own "
        "splits), or a folder with textvqa/, coco/ and scienceqa/ parquet files in the hub's columns.",
    ),
    Spec(
        "dataset",
        "",
        _datasets,
        "DATASET=ID_OR_PATH[@REVISION]",
        "Take one dataset from elsewhere: a repository of the hub, a folder of parquet files, or one file. Repeatable.",
        field="datasets",
        repeatable=True,
    ),
    Spec(
        "data-errors",
        FAIL,
        _one_of(DATA_ERRORS),
        "MODE",
        "What to do with a row that is no good: fail (end the run, naming it, before anything is measured), skip "
        "(leave it out and count it), convert (as fail, but turn pictures of other modes into RGB).",
    ),
    Spec(
        "prompts",
        "paper",
        _some_text,
        "PRESET",
        f"How a question becomes a prompt, and an answer is generated: {', '.join(PRESETS)}, or a file of your own, "
        "FILE.toml, with tables [textvqa], [coco], [scienceqa]. Scores of different presets do not compare.",
    ),
    Spec(
        "device",
        "auto",
        _devices,
        "DEVICE",
        "Where to run: auto (the CPU, and the first CUDA device where there is one), cpu, cuda, cuda:N. Repeatable. "
        "The device sweep runs on all of them, the other sweeps on the last CUDA device named, else on the CPU.",
        field="devices",
        repeatable=True,
    ),
    Spec(
        "baseline",
        "",
        _baseline,
        "AXIS=VALUE",
        "Hold another value than conftest.py where a sweep does not vary the axis, such as optimization=bf16 or "
        f"batch_size=1. Axes: {', '.join(_BASELINE_AXES)}. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "new-tokens",
        "50",
        _new_tokens,
        "N",
        "At most N generated tokens for each sample; fixed:N makes every row generate exactly N.",
    ),
    Spec(
        "rounds",
        "",
        _count(1),
        "N",
        f"Timed rounds for each case. Default: one for every batch, at least {MIN_ROUNDS}.",
    ),
    Spec(
        "warmup-rounds",
        str(DEFAULT_WARMUP_ROUNDS),
        _count(0),
        "N",
        "Rounds for each case before the timed ones, thrown away.",
    ),
    Spec(
        "limit",
        "",
        _count(1),
        "N",
        "Use N samples of each dataset, drawn by a fixed seed, the same on every machine. Default: all of them.",
    ),
    Spec(
        "measure",
        ALL_PASSES,
        _passes,
        "NAMES",
        f"What to measure, separated by commas: {', '.join(PASSES)}; the first of them always is. What is left out "
        "takes no time and is `-` in the document. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "energy",
        "auto",
        _one_of(ENERGY_MODES),
        "MODE",
        "Reading energy counters: auto (those the machine has), require (end before a model loads when a row's own "
        "counter is missing), off.",
    ),
    Spec(
        "rapl-root",
        "/sys/class/powercap",
        lambda text: Path(_some_text(text)),
        "DIR",
        "The powercap tree that holds the processor's energy counters, for one mounted elsewhere in a container.",
    ),
    Spec(
        "report-dir",
        "reports/local",
        lambda text: Path(_some_text(text)),
        "DIR",
        "Everything a run writes lands in DIR/<checkpoint name>/: README.md, plots/, records.json, journal.jsonl.",
    ),
    Spec("lang", "en", _one_of(LANGUAGES), "LANG", f"Language of the document's prose: {', '.join(LANGUAGES)}."),
    Spec(
        "compare-fail",
        "",
        parse_rules,
        "METRIC:LIMIT",
        "Fail where a metric became worse than the baseline of --benchmark-compare by more than the limit and by more "
        "than noise explains: latency:7.5%%, energy:0.5J, memory:200MB, flops:0%%, quality:1 (points); "
        "latency:5%%@compile for cases that match as with -k. Repeatable. In an ini file it waits for "
        "--benchmark-compare.",
        repeatable=True,
    ),
    Spec(
        "allow",
        "",
        _conditions,
        "NAMES",
        "What may differ from the baseline's run, separated by commas: " + ", ".join(ALLOWABLE) + ". Repeatable.",
        repeatable=True,
    ),
    Spec(
        "missing",
        MISSING[0],
        _one_of(MISSING),
        "MODE",
        "What becomes of a case of the baseline that was asked for and is gone, renamed, skipped or failed: fail, "
        "warn.",
    ),
    Spec(
        "accept",
        "",
        bool,
        "",
        "Let regressions pass this once, and let the saved run become the baseline of the next.",
        is_switch=True,
    ),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin."""
    group = parser.getgroup("blip", "InstructBLIP benchmarks")
    for spec in SPECS:
        spec.add(parser, group)
