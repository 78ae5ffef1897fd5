"""Mutations of a valid file of records, through the report and the gate: each must end in one sentence, or in a result.

``python -m tools.faults.hostile_records --count 15000 --seed 1`` prints how often each outcome came, and every
distinct fault with an example.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import re
import sys
import tempfile
import traceback
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from blip_fixtures.gate.__main__ import main as gate
from blip_fixtures.gate.arguments import EXIT_CRASH, EXIT_PASS, EXIT_REFUSAL, EXIT_REGRESSION
from blip_fixtures.report.__main__ import EXIT_BAD_INPUT, EXIT_NO_PLOTS
from blip_fixtures.report.__main__ import main as report
from blip_fixtures.report.plots import Drawn, draw_plots
from tools.faults import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
# One in the present schema, one in that before it.
SOURCES = (
    PUBLISHED / "instructblip-tiny" / "records.json",
    PUBLISHED / "optimizations" / "instructblip-flan-t5-xl" / "records.json",
)
CASES = 2
HOSTILE = (
    "x\n::error::injected\r::add-mask::y\n##[error]z <script>alert(1)</script><img src=x onerror=alert(1)> "
    "![i](http://x/i.png) [l](javascript:1) `c` **b** __u__ ~~s~~ | a | <http://x> https://x www.x.example &lt; $m$\n"
    "# h\n> q\n- b\n1. n\n```\ncode\n~~~\n---\n===\n"
    "\x1b[31mred\x1b]0;title\x07\u202eabc\u2066d\u2028e\u2029f\x00\x9b1m\u200f"
)


def nested(depth: int) -> Any:
    """Lists within each other."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


# What JSON as Python writes it cannot say stands for itself in the text.
_RAW = "\x02raw{}\x03"
RAWS = ("NaN", "-Infinity", "9" * 5000, '"\\ud800"', "[" * 50_000 + "]" * 50_000, "1e400")
VALUES: tuple[Any, ...] = (
    *("", None, -1, 10**40, 1e308, 5e-324, 0, [], {}, True, HOSTILE, "x" * 200_000),
    *(nested(200), {HOSTILE: HOSTILE}, [HOSTILE], {"a": None}),
    *(_RAW.format(number) for number in range(len(RAWS))),
)
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutation:
    """One place of a document that holds something else; a place that ends in `None` gets a further entry instead."""

    source: int
    path: Path_
    value: int

    def apply(self, documents: Sequence[Any]) -> str:
        """The document as JSON."""
        document = copy.deepcopy(documents[self.source])
        part = document
        for name in self.path[:-1]:
            part = part[name]
        part[self.path[-1]] = VALUES[self.value]
        return as_json(document)


def as_json(document: Any) -> str:
    """With those values that only a text can hold."""
    text = json.dumps(document)
    for number, raw in enumerate(RAWS):
        text = text.replace(json.dumps(_RAW.format(number)), raw)
    return text


def shortened(document: dict[str, Any], cases: int = CASES) -> dict[str, Any]:
    """The first cases, of those that two tests show one, with short lists of rounds and samples."""
    found = copy.deepcopy(document)
    found["benchmarks"] = found["benchmarks"][:cases]
    kept = {bench["extra_info"]["blip"]["case_id"] for bench in found["benchmarks"]}
    beside = found.get("blip", {})
    for name in ("not_run", "again"):
        beside[name] = [record for record in beside.get(name, []) if record["case_id"] in kept][:1]
    beside["order"] = sorted(kept)
    beside["selected"] = {"arguments": ["benchmarks"], "keyword": "textvqa", "marks": ""}
    beside["gate"] = {"regressed": False, "accepted": False, "rejected": False, "refusal": None}
    beside["interrupted"] = False
    found["blip"] = beside
    for bench in found["benchmarks"]:
        bench.pop("stats", None)
    return found


def places(part: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every value of a document, branches too; of a list of numbers the first two."""
    if path:
        yield path
    if isinstance(part, dict):
        for name, value in part.items():
            yield from places(value, (*path, name))
    elif isinstance(part, list):
        numbers = all(isinstance(value, (int, float)) for value in part)
        for index, value in enumerate(part[:2] if numbers else part):
            yield from places(value, (*path, index))


def mutations(documents: Sequence[Any]) -> list[Mutation]:
    """Every place with every value."""
    return [
        Mutation(source, path, value)
        for source, document in enumerate(documents)
        for path in places({name: document[name] for name in ("benchmarks", "blip")})
        for value in range(len(VALUES))
    ]


@dataclass
class Findings:
    """How often what came out, and the first example of each distinct fault."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def note(self, outcome: str, fault: str | None, example: str) -> None:
        """One run of one command."""
        self.outcomes[outcome if fault is None else f"{outcome}: FAULT"] += 1
        if fault is not None:
            self.faults.setdefault(fault, example)


# All are judged before the first that is refused; the others show what a rule alone shows.
_EVERY = (
    "latency:10%",
    "latency_p90:1ms",
    "time_to_first_token:10%",
    "energy:10%",
    "flops:0%",
    "memory:5%",
    "quality:1",
)
RULES = tuple([f"--fail={rule}" for rule in rules] for rules in (_EVERY, ("flops:0%",), ("latency:10%", "quality:1")))


class Trial:
    """Runs every command on one file in a folder of its own."""

    def __init__(self, folder: Path, good: Path, findings: Findings) -> None:
        self._folder = folder
        self._good = good
        self._findings = findings

    def run(self, bad: Path, example: str, *, plots: bool) -> None:
        """The report of the file, and the gate with it on either side."""
        out = self._folder / "out"
        drawing = draw_plots if plots else (lambda _selection, _prose: Drawn({}, {}))
        with mock.patch("blip_fixtures.report.document.draw_plots", drawing):
            self._one("report", report, [str(bad), f"--out={out}"], {0, EXIT_NO_PLOTS, EXIT_BAD_INPUT}, example)
        if plots:
            history = self._folder / "stored"
            history.mkdir(exist_ok=True)
            (history / "0001_bad.json").write_bytes(bad.read_bytes())
            (history / "0002_good.json").write_bytes(self._good.read_bytes())
            page = [str(bad), f"--out={out}", "--html", f"--history={history}"]
            self._one("page", report, page, {0, EXIT_NO_PLOTS, EXIT_BAD_INPUT}, example)
        exits = {EXIT_PASS, EXIT_REGRESSION, EXIT_REFUSAL}
        one, other = [str(bad)], [str(self._good)]
        for base, now, name in ((one, other, "gate, as the baseline"), (other, one, "gate, as the run")):
            for rules in RULES:
                sides = ["compare", "--base", *base, "--now", *now, *rules, f"--out={out}"]
                self._one(name, gate, sides, exits, example)
            # Several processes a side are judged otherwise than one.
            sides = ["compare", "--base", *base, *other, "--now", *now, *other, *RULES[0], "--history", *other]
            self._one(name, gate, sides, exits, example)

    def _one(
        self, name: str, command: Callable[[list[str]], int], arguments: list[str], exits: set[int], example: str
    ) -> None:
        said, errors = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
                code = command(arguments)
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:100]}"
            self._findings.note(f"{name}: traceback", fault, example)
            return
        self._findings.note(f"{name}: exit {code}", self._fault(code, exits, said, errors), example)

    def _fault(self, code: int, exits: set[int], said: io.StringIO, errors: io.StringIO) -> str | None:
        if code == EXIT_CRASH or code not in exits:
            return f"exit {code}: {errors.getvalue()[:300]}"
        for text in (said.getvalue(), errors.getvalue()):
            fault = fault_of_terminal(text)
            if fault is not None:
                return fault
        if len(errors.getvalue().splitlines()) > 1:
            return f"more than one line of errors: {errors.getvalue()[:200]!r}"
        strange = [path for path in self._folder.rglob("*") if path.is_file() and not self._is_own(path)]
        if strange:
            return f"a file that nobody should have written: {strange[0]}"
        for path in (self._folder / "out").glob("*.md"):
            fault = fault_of_characters(path.read_text(encoding="utf-8"))
            if fault is not None:
                return f"{path.name}: {fault}"
        return None

    def _is_own(self, path: Path) -> bool:
        within = path.relative_to(self._folder).parts
        return len(within) == 1 or within[0] in ("out", "stored")


def fault_of_terminal(text: str) -> str | None:
    """Lines that a runner would obey, and characters that a terminal would."""
    for line in text.splitlines():
        if line.lstrip().startswith("::") or re.search(r"##\w*\[", line):
            return f"a line that is a workflow command: {line[:80]!r}"
    return fault_of_characters(text)


def fault_of_characters(text: str) -> str | None:
    """Control characters and marks of direction."""
    for character in set(text) - {"\n"}:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            return f"the character U+{ord(character):04X}"
    return None


def trials(count: int | None, seed: int, findings: Findings, *, plot_every: int = 100) -> int:
    """Draw `count` mutations of all there are, or take every one; how many there are altogether."""
    documents = [shortened(json.loads(path.read_text(encoding="utf-8"))) for path in SOURCES]
    every = mutations(documents)
    chosen = every if count is None or count >= len(every) else random.Random(seed).sample(every, count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good, bad = folder / "good.json", folder / "bad.json"
        for number, mutation in enumerate(chosen):
            good.write_text(as_json(documents[mutation.source]))
            bad.write_text(mutation.apply(documents))
            where = re.sub(r"\s+", "", str(mutation.path))
            example = f"{where} = {str(VALUES[mutation.value])[:40]!r}"
            Trial(folder, good, findings).run(bad, example, plots=number % plot_every == 0)
    return len(every)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 where there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults.hostile_records", description=__doc__)
    parser.add_argument("--count", type=int, metavar="N", help="mutations, drawn by the seed (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets what was found")
    options = parser.parse_args(arguments)
    findings = Findings()
    print(f"seed {options.seed}")
    total = trials(options.count, options.seed, findings)
    print(f"{min(options.count or total, total)} of {total} mutations")
    for outcome, times in sorted(findings.outcomes.items()):
        print(f"{times:8d}  {outcome}")
    for fault, example in findings.faults.items():
        print(f"FAULT {fault}\n      {example}")
    print(f"{len(findings.faults)} distinct faults")
    found = {"inputs": min(options.count or total, total), "outcomes": findings.outcomes, "wrong": [*findings.faults]}
    facts.write({**found, "seed": options.seed}, "tools.faults.hostile_records", options.out)
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())
