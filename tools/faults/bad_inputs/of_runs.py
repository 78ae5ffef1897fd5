"""Bad inputs of pytest itself: options, ini values, values of axes, stored runs and rules, unfinished runs."""

from __future__ import annotations

from functools import partial

from tools.faults.bad_inputs.contents import GONE, document, journal, records
from tools.faults.bad_inputs.given import Content, Input

_running = partial(Input, "Running benchmarks")
_OPTIONS = (
    "--blip-rounds 0",
    "--blip-rounds many",
    "--blip-rounds 1000000000",
    "--blip-rounds",
    "--blip-warmup-rounds -1",
    "--blip-warmup-rounds 1.5",
    "--blip-limit 0",
    f"--blip-limit {'9' * 5000}",
    "--blip-new-tokens 0",
    "--blip-new-tokens fixed",
    "--blip-new-tokens fixed:1000000",
    "--blip-case-timeout 0",
    "--blip-case-timeout soon",
    "--blip-device tpu",
    "--blip-device gpu",
    "--blip-device cuda:99999999999999999999",
    "--blip-device auto --blip-device cpu",
    "--blip-device cuda:0+cpu",
    "--blip-device cuda+cuda:1",
    "--blip-device cuda:0+cuda:0",
    f"--blip-device {'+'.join(f'cuda:{number}' for number in range(20))}",
    "--blip-device every",
    "--blip-device cuda@H100",
    "--blip-device cpu@",
    "--blip-ray nowhere",
    "--blip-ray localhost:99999",
    "--blip-ray auto --blip-device cpu",
    "--blip-pool-alike",
    "--blip-weights zeros",
    "--blip-measure speed",
    "--blip-measure ''",
    "--blip-energy always",
    "--blip-energy require --blip-measure latency",
    "--blip-rapl-root ''",
    "--blip-processes 0",
    "--blip-processes many",
    "--blip-processes 2 --blip-ray local --blip-device every",
    "--blip-price-per-hour -2",
    "--blip-price-per-hour free",
    "--blip-lang de",
    "--blip-lock maybe",
    "--blip-missing ignore",
    "--blip-allow weather",
    "--blip-data-errors ignore",
    "--blip-baseline bf16",
    "--blip-baseline device=cpu",
    "--blip-baseline optimization=fp8",
    "--blip-baseline sequence_length=0",
    "--blip-baseline image_size=225",
    "--blip-baseline sequence_length=513",
    "--blip-baseline image_size=1000000000",
    "--blip-baseline batch_size=4",
    "--blip-baseline image_size=224 --blip-baseline image_size=448",
    "--blip-also batch_size",
    "--blip-also batch_size=0",
    "--blip-also batch_size=4",
    "--blip-report-dir ''",
    "--blip-report-dir 'a\nb'",
    "--blip-report-dir test_it.py",
    f"--blip-report-dir {'x' * 300}",
    "--blip-retry",
    "--blip-round 3",
    "--blip-anonymous=yes",
    "--blip-accept=yes",
)
_INI = {
    "blip_rounds = 0": "",
    "blip_device = 'cpu": "",
    "blip_resume = maybe": "",
    "blip_round = 3": "",
}
_BENCHMARK = (
    "import pytest\n\n\n@pytest.mark.parametrize({axis!r}, [{value!r}])\ndef test_it(measure):\n    measure()\n"
)
_WITHOUT_PARAMS = """\
import pytest


@pytest.fixture
def batch_size():
    return 1


def test_it(measure):
    measure()
"""
_VALUES = (
    ("batch_size", 0),
    ("batch_size", "two"),
    ("dataset", "vqa"),
    ("optimization", "fp8"),
    ("optimization", "int8_dynmic"),
    ("image_size", 225),
    ("sequence_length", 513),
    ("device", "tpu"),
)

RUNNING = (
    *(_running(f"pytest {option}") for option in _OPTIONS),
    *(_running("pytest", f"`pytest.ini` says `{line}`", {"pytest.ini": f"[pytest]\n{line}\n"}) for line in _INI),
    *(
        _running(
            "pytest --blip-device cpu",
            f"`test_it.py` has the {axis} `{value!r}`",
            {"test_it.py": _BENCHMARK.format(axis=axis, value=value)},
        )
        for axis, value in _VALUES
    ),
    _running("pytest", "the fixture `batch_size` has no `params`", {"test_it.py": _WITHOUT_PARAMS}),
)

_baseline = partial(Input, "Baselines and rules")
# Everything of a machine: what else differs is what these inputs are about.
_ANY_MACHINE = "--blip-allow machine,threads,torch,transformers,python,driver"
_COMPARE = f"pytest --benchmark-compare --blip-compare-fail latency:5% {_ANY_MACHINE}"
_FOLDER = ".benchmarks/Other-CPython-3.11-64bit"
_RULES = (
    "speed:10%",
    "latancy:10%",
    "latency",
    "latency:fast",
    "latency:-1%",
    "latency:5J",
    "latency:nan%",
    "quality:1%",
    "latency:5%@",
    "'latency:5%@(int8'",
    f"'latency:5%@{'(' * 500}int8'",
    f"latency:{'9' * 5000}%",
)


def _stored(content: Content, name: str = "0001_base.json") -> dict[str, Content]:
    return {f"{_FOLDER}/{name}": content}


def _of_stored(where: str, content: Content, command: str = f"{_COMPARE}=*/0001") -> Input:
    command = command.replace("--benchmark-compare --blip", "--benchmark-compare='Other*/0001' --blip")
    return _baseline(command.removesuffix("=*/0001"), where, _stored(content))


BASELINES = (
    *(_baseline(f"pytest --benchmark-compare --blip-compare-fail {rule}") for rule in _RULES),
    _baseline("pytest --benchmark-compare --blip-compare-fail latency:10% --blip-compare-fail latency:5ms"),
    _baseline("pytest --blip-compare-fail latency:10%"),
    _baseline("pytest --benchmark-compare --blip-compare-fail latency:10%", "no run is stored"),
    _baseline("pytest --benchmark-compare=0007 --blip-compare-fail latency:10%", "no run is stored"),
    _baseline("pytest --benchmark-compare --blip-measure latency --blip-compare-fail flops:0%"),
    _of_stored("the stored run is empty", ""),
    _of_stored("the stored run is cut off", records()[:-100]),
    _of_stored("the stored run is no object", "[]"),
    _of_stored("the stored run has no record of this suite", document(benchmarks__0__extra_info={})),
    _of_stored("the stored run is of schema version 99", records(schema_version=99)),
    _of_stored("a record of it has NaN FLOPs", records(flops__total=float("nan"))),
    _of_stored("a record of it has a text for rounds", records(latency__rounds_s="fast")),
    _of_stored("a record of it has no latency", records(latency=None)),
    _of_stored("it has another case alone", records(case__batch_size=2)),
    _of_stored("it was measured with other prompts", records(case__prompts="seed")),
    _of_stored("it was measured with another number of new tokens", records(generation__new_tokens=7)),
    _of_stored("it was measured on other data", records(data__revision="000000000000")),
    _of_stored(
        "it was measured with another torch",
        records(environment__versions__torch="0.1"),
        _COMPARE.replace("torch,", ""),
    ),
    _of_stored("no case of it matches", records(), f"{_COMPARE.replace('5%', '5%@compile')}"),
)

_resuming = partial(Input, "Resuming")
_JOURNAL = "reports/local/instructblip-tiny/journal.jsonl"
_ONE = journal({})


def _resumed(where: str, content: Content) -> Input:
    return _resuming("pytest --blip-resume", where, {_JOURNAL: content})


RESUMING = (
    _resumed("a character of the journal's first line is another", _ONE.replace(b'"status": "ok"', b'"status": "no"')),
    _resumed("the journal's first line of two has no end", _ONE[:500] + b"\n" + _ONE),
    _resumed("the journal's first line of two is no JSON", b"nonsense\n" + _ONE),
    _resumed("the journal's second line has no checksum", _ONE + b"{}\n" + _ONE),
    _resumed("a line of the journal has NaN FLOPs", journal({"flops__total": float("nan")})),
    _resumed("a line of the journal lacks its case", journal({"case": GONE})),
    _resumed("a line of the journal is of schema version 99", journal({"schema_version": 99})),
    _resumed("the journal is no text", b"\xff\xfe\n" + _ONE),
    _resumed("the journal is a folder", lambda path: path.mkdir()),
    _resuming(
        "pytest --blip-report-dir elsewhere",
        "`elsewhere` is a file",
        {"elsewhere": ""},
    ),
)
