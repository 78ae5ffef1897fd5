"""The table of `--blip-*` options: an option is one row."""

from __future__ import annotations

from blip_fixtures.bounds import MOST_PROCESSES, MOST_ROUNDS, MOST_SAMPLES, money, name_or_path, path, some_text
from blip_fixtures.case import DEFAULT_WARMUP_ROUNDS, MIN_ROUNDS, PRESETS, NewTokens
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
    ray_address,
    seconds,
)
from blip_fixtures.pytest_plugin.spec import Spec
from blip_fixtures.words import LANGUAGES, DataErrors, EnergyMode, LockMode, PassName, Weights

SPECS = (
    Spec(
        "model",
        "instructblip-tiny",
        name_or_path,
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
        "Then every row generates exactly as many tokens as it may, and there is no quality.",
    ),
    Spec("revision", "", some_text, "REV", "Branch, tag or commit of a hub id. Default: the hub's main branch."),
    Spec(
        "data",
        "sample",
        name_or_path,
        "SOURCE",
        "Where questions and pictures come from: sample (64 packaged rows for each dataset), hub (the datasets' own "
        "splits), or a folder with textvqa/, coco/ and scienceqa/ parquet files in the hub's columns.",
    ),
    Spec(
        "dataset",
        "",
        datasets,
        "DATASET=ID_OR_PATH[@REVISION][:SPLIT]",
        "Take one dataset from elsewhere: a repository of the hub, a folder of parquet files, or one file; hub:SPLIT "
        "is another of its own splits, such as coco=hub:karpathy-test. Repeatable.",
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
        name_or_path,
        "PRESET",
        f"How a question becomes a prompt, and an answer is generated: {', '.join(PRESETS)}, or a file of your own, "
        "FILE.toml, with tables [textvqa], [coco], [scienceqa]. Scores of different presets do not compare.",
    ),
    Spec(
        "device",
        "auto",
        devices,
        "DEVICE",
        "Where to run: auto (the CPU, and the first CUDA device that torch can use), cpu, cuda, cuda:N, or cards with "
        "one model across them, cuda:0+cuda:1. Repeatable. The device sweep runs on all of them, the other sweeps on "
        "the last CUDA device named, else on the CPU. With --blip-ray: every (one device of each kind in the cluster, "
        "as auto is then), cpu@LABEL, cuda@LABEL, where LABEL is a node's label blip, its type of accelerator "
        "(cuda@H100), a resource of its own, or its host.",
        field="devices",
        repeatable=True,
    ),
    Spec(
        "ray",
        "",
        ray_address,
        "ADDRESS",
        "Measure on a Ray cluster, one case at a time on each machine: auto (the cluster of this machine), host:port, "
        "ray://host:port, local (start one here). Default: measure here.",
    ),
    Spec(
        "pool-alike",
        "",
        bool,
        "",
        "With --blip-ray, let every machine of a device's kind measure its cases, and show them as one device.",
        is_switch=True,
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
        "",
        new_tokens,
        "N",
        "At most N generated tokens for each sample; fixed:N makes every row generate exactly N. Default: as many as "
        f"the prompts say for the dataset, else {NewTokens.limit}.",
    ),
    Spec(
        "rounds",
        "",
        count(1, MOST_ROUNDS),
        "N",
        f"Timed rounds for each case. Default: one for every batch, at least {MIN_ROUNDS}.",
    ),
    Spec(
        "warmup-rounds",
        str(DEFAULT_WARMUP_ROUNDS),
        count(0, MOST_ROUNDS),
        "N",
        "Rounds for each case before the timed ones, thrown away.",
    ),
    Spec(
        "limit",
        "",
        count(1, MOST_SAMPLES),
        "N",
        "Use N samples of each dataset, drawn by a fixed seed, the same on every machine. Default: all of them.",
    ),
    Spec(
        "measure",
        ALL_PASSES,
        passes,
        "NAMES",
        f"What to measure, separated by commas: {', '.join(PassName)}; the first of them always is, unless --blip-ray "
        "measures quality alone: then the machines of a device's kind share the samples of a case. What is left out "
        "takes no time and is `-` in the document. Repeatable.",
        repeatable=True,
    ),
    Spec(
        "processes",
        "1",
        count(1, MOST_PROCESSES),
        "N",
        "Time every case in N processes in turn, the first with all that is measured, the others new and for latency "
        "alone. Processes of one code differ by more than their rounds say, so only several tell how sure a "
        "comparison is.",
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
        path,
        "DIR",
        "The powercap tree that holds the processor's energy counters, for one mounted elsewhere in a container.",
    ),
    Spec(
        "report-dir",
        "reports/local",
        path,
        "DIR",
        "Everything a run writes lands in DIR/<checkpoint name>/: README.md, plots/, index.html, records.json, "
        "journal.jsonl.",
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
    Spec(
        "price-per-hour",
        "",
        money,
        "MONEY",
        "What an hour of this machine costs, such as 2.5: the document then says what a thousand samples cost.",
    ),
    Spec("lang", "en", one_of(LANGUAGES), "LANG", f"Language of the document's prose: {', '.join(LANGUAGES)}."),
    Spec(
        "compare-fail",
        "",
        parse_rules,
        "METRIC:LIMIT",
        "Fail where a metric became worse than the baseline of --benchmark-compare by more than the limit and by more "
        "than noise explains: latency:7.5%%, energy:0.5J, memory:200MB, flops:0%%, quality:1 (points); "
        "latency:5%%@compile for cases that match as with -k; ci for rules that suit a pull request. "
        "Repeatable. In an ini file it waits for --benchmark-compare.",
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
    Spec(
        "anonymous",
        "",
        bool,
        "",
        "Leave out of every file what tells who measured where: the host's name, the commit with its project and "
        "branch, and all of a path but its last part. Secrets and the user's name are left out anyway.",
        is_switch=True,
    ),
)
