"""The table of `--blip-*` options: an option is one row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from blip_fixtures.case import DEFAULT_WARMUP_ROUNDS, MIN_ROUNDS, PRESETS
from blip_fixtures.gate.rules import ALLOWABLE, Missing, parse_rules
from blip_fixtures.pytest_plugin.parsing import (
    ALL_PASSES,
    BASELINE_AXES,
    also,
    baseline,
    conditions,
    count,
    datasets,
    devices,
    new_tokens,
    one_of,
    passes,
    seconds,
    some_text,
)
from blip_fixtures.words import LANGUAGES, DataErrors, EnergyMode, LockMode, PassName, Weights

if TYPE_CHECKING:
    from collections.abc import Callable


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
        some_text,
        "NAME",
        "The checkpoint to measure: instructblip-tiny (packaged, works offline), a hub id such as "
        "Salesforce/instructblip-flan-t5-xl, or a folder that save_pretrained wrote.",
    ),
    Spec(
        "weights",
        Weights.TRAINED,
        one_of(Weights),
        "KIND",
        "checkpoint, or random: the model's architecture at full size with synthetic weights, without any download. "
        "Then every row generates exactly --blip-new-tokens tokens, and there is no quality.",
    ),
    Spec("revision", "", some_text, "REV", "Branch, tag or commit of a hub id. Default: the hub's main branch."),
    Spec(
        "data",
        "sample",
        some_text,
        "SOURCE",
        "Where questions and pictures come from: sample (64 packaged rows for each dataset), hub (the datasets' own "
        "splits), or a folder with textvqa/, coco/ and scienceqa/ parquet files in the hub's columns.",
    ),
    Spec(
        "dataset",
        "",
        datasets,
        "DATASET=ID_OR_PATH[@REVISION]",
        "Take one dataset from elsewhere: a repository of the hub, a folder of parquet files, or one file. Repeatable.",
        field="datasets",
        repeatable=True,
    ),
    Spec(
        "data-errors",
        DataErrors.FAIL,
        one_of(DataErrors),
        "MODE",
        "What to do with an invalid row: fail (end the run, naming it, before anything is measured), skip "
        "(leave it out and count it), convert (as fail, but turn pictures of other modes into RGB).",
    ),
    Spec(
        "prompts",
        "paper",
        some_text,
        "PRESET",
        f"How a question becomes a prompt, and an answer is generated: {', '.join(PRESETS)}, or a file of your own, "
        "FILE.toml, with tables [textvqa], [coco], [scienceqa]. Scores of different presets do not compare.",
    ),
    Spec(
        "device",
        "auto",
        devices,
        "DEVICE",
        "Where to run: auto (the CPU, and the first CUDA device that torch can use), cpu, cuda, cuda:N. Repeatable. "
        "The device sweep runs on all of them, the other sweeps on the last CUDA device named, else on the CPU.",
        field="devices",
        repeatable=True,
    ),
    Spec(
        "baseline",
        "",
        baseline,
        "AXIS=VALUE",
        "Hold another value than conftest.py where a sweep does not vary the axis, such as optimization=bf16 or "
        f"batch_size=1. Axes: {', '.join(BASELINE_AXES)}. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "also",
        "",
        also,
        "AXIS=VALUE",
        "Add a value to the sweep that varies the axis, after those in its file, such as batch_size=64. Axes: "
        f"{', '.join(BASELINE_AXES)}. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "new-tokens",
        "50",
        new_tokens,
        "N",
        "At most N generated tokens for each sample; fixed:N makes every row generate exactly N.",
    ),
    Spec(
        "rounds",
        "",
        count(1),
        "N",
        f"Timed rounds for each case. Default: one for every batch, at least {MIN_ROUNDS}.",
    ),
    Spec(
        "warmup-rounds",
        str(DEFAULT_WARMUP_ROUNDS),
        count(0),
        "N",
        "Rounds for each case before the timed ones, thrown away.",
    ),
    Spec(
        "limit",
        "",
        count(1),
        "N",
        "Use N samples of each dataset, drawn by a fixed seed, the same on every machine. Default: all of them.",
    ),
    Spec(
        "measure",
        ALL_PASSES,
        passes,
        "NAMES",
        f"What to measure, separated by commas: {', '.join(PassName)}; the first of them always is. What is left out "
        "takes no time and is `-` in the document. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "energy",
        "auto",
        one_of(EnergyMode),
        "MODE",
        "Reading energy counters: auto (those the machine has), require (end before a model loads when a row's own "
        "counter is missing), off.",
    ),
    Spec(
        "rapl-root",
        "/sys/class/powercap",
        lambda text: Path(some_text(text)),
        "DIR",
        "The powercap tree that holds the processor's energy counters, for one mounted elsewhere in a container.",
    ),
    Spec(
        "report-dir",
        "reports/local",
        lambda text: Path(some_text(text)),
        "DIR",
        "Everything a run writes lands in DIR/<checkpoint name>/: README.md, plots/, records.json, journal.jsonl.",
    ),
    Spec(
        "resume",
        "",
        bool,
        "",
        "Go on with an unfinished run in the report folder: finished cases of its journal that were measured under the "
        "same conditions are taken over, the rest runs.",
        is_switch=True,
    ),
    Spec(
        "retry",
        "",
        bool,
        "",
        "With --blip-resume, measure a case once more that ended its process or timed out.",
        is_switch=True,
    ),
    Spec(
        "lock",
        LockMode.WAIT,
        one_of(LockMode),
        "MODE",
        "Where another run uses the report folder or a device: wait for it, fail (end before anything is measured), "
        "off (measure beside it: both take longer).",
    ),
    Spec(
        "case-timeout",
        "",
        seconds,
        "SECONDS",
        "End the run, with the stack of every thread, when a case takes longer. Default: never.",
    ),
    Spec("lang", "en", one_of(LANGUAGES), "LANG", f"Language of the document's prose: {', '.join(LANGUAGES)}."),
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
        conditions,
        "NAMES",
        "What may differ from the baseline's run, separated by commas: " + ", ".join(ALLOWABLE) + ". Repeatable.",
        repeatable=True,
    ),
    Spec(
        "missing",
        Missing.FAIL,
        one_of(Missing),
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
