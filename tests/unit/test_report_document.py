"""The whole document. `python -m tests.unit.test_report_document` writes the golden documents anew; read the diff."""

from __future__ import annotations

import re
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from blip_fixtures.data.datasets.base import Question
from blip_fixtures.quality import score
from blip_fixtures.reasons import Reason
from blip_fixtures.report.document import ReportError, write_document
from blip_fixtures.report.prose import load_prose
from blip_fixtures.words import LANGUAGES, EnergyStatus, MemoryKind, Status
from tests.unit.records import make_energy, make_metric, make_record, small_run

GOLDEN = Path(__file__).parent / "golden"


def document(tmp_path: Path, *records: Any, **options: Any) -> str:
    return write_document(records, tmp_path, **options).readme.read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands between a heading of the second level and the next."""
    return re.split(r"^## ", text.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_document_equals_the_golden_one(tmp_path: Path, lang: str) -> None:
    written = document(tmp_path, *small_run(), lang=lang)
    assert written == (GOLDEN / f"small_run.{lang}.md").read_text(encoding="utf-8")


def test_every_image_link_leads_to_a_file_and_every_file_is_linked(tmp_path: Path) -> None:
    text = document(tmp_path, *small_run())
    links = set(re.findall(r"\]\((plots/[^)]+)\)", text))
    assert links == {f"plots/{path.name}" for path in (tmp_path / "plots").iterdir()}
    names = ("latency_energy_plot.png", "latency_img_size_plot.png", "optimization_bar_plot.png")
    assert links == {f"plots/{name}" for name in names}


def test_a_plot_of_an_earlier_run_goes_when_its_sweep_does(tmp_path: Path) -> None:
    document(tmp_path, *small_run())
    text = document(tmp_path, make_record())
    assert list((tmp_path / "plots").iterdir()) == []
    assert "plots/" not in text


def test_a_sweep_that_was_not_run_says_how_to_run_it(tmp_path: Path) -> None:
    text = document(tmp_path, make_record())
    assert "`pytest benchmarks -k test_batch_size`" in section(text, "Batch Tests")
    assert "`pytest benchmarks -k test_sequence_length`" in section(text, "Sequence Length Tests")


def test_sections_stand_in_their_order(tmp_path: Path) -> None:
    headings = re.findall(r"^## (.*)$", document(tmp_path, make_record(sweeps=["beams", "device"])), re.MULTILINE)
    assert headings == [
        "Summary",
        "Device Tests",
        "Batch Tests",
        "Image Size Tests",
        "Sequence Length Tests",
        "Optimization Tests",
        "Beams Tests",
        "Parts",
        "Spread",
        "Quality",
        "Certificate",
        "Tokens",
        "FLOPS by part",
        "Memory",
        "Phases",
        "Distance to the limit",
        "Energy",
        "Environment",
        "How to reproduce",
    ]


def test_head_names_what_was_run_in_one_line(tmp_path: Path) -> None:
    text = document(tmp_path, make_record())
    (line,) = [line for line in text.splitlines() if line.startswith("**Run:**")]
    for part in ("checkpoint", "packaged samples", "32 TextVQA", "Platinum 8462Y+", "2026-01-02", "torch 2.8.0"):
        assert part in line
    assert text.startswith("# instructblip-tiny\n\n")
    assert "2.6 M parameters" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_synthetic_weights_are_announced_first(tmp_path: Path, lang: str) -> None:
    record = make_record(model="Salesforce/instructblip-flan-t5-xl", weights="random")
    lines = document(tmp_path, record, lang=lang).splitlines()
    assert lines[0] == "# Salesforce/instructblip-flan-t5-xl"
    assert "SYNTHETIC WEIGHTS" in lines[2]


def test_an_unknown_checkpoint_gets_a_general_description(tmp_path: Path) -> None:
    assert "BLIP family" in document(tmp_path, make_record(model="somebody/some-model"))


def test_different_checkpoints_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"different checkpoints \(blip2-opt-2.7b, instructblip-tiny\)"):
        write_document([make_record(), make_record(model="Salesforce/blip2-opt-2.7b")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_and_random_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"mix weights \(checkpoint, random\)"):
        write_document([make_record(), make_record(weights="random")], tmp_path)


def test_no_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no records"):
        write_document([], tmp_path)


def test_a_hub_id_and_a_folder_of_that_name_merge(tmp_path: Path) -> None:
    records = [make_record(model="Salesforce/x"), make_record(model="/models/x", device_name="another CPU")]
    text = document(tmp_path, *records)
    assert "Merged from records of Salesforce/x, /models/x" in text
    assert "CPU (another CPU)" in text


def test_unknown_language_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="written in en or ru"):
        write_document([make_record()], tmp_path, lang="de")


def test_no_temporary_files_stay_behind(tmp_path: Path) -> None:
    document(tmp_path, *small_run())
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_failed_write_leaves_the_old_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document(tmp_path, make_record())
    before = (tmp_path / "README.md").read_bytes()

    def fail(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("blip_fixtures.whole_files.os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_document(small_run(), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert (tmp_path / "README.md").read_bytes() == before


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_document(small_run(), tmp_path / name)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


# Sections behind the tables


def test_quality_is_percent_for_accuracies_only(tmp_path: Path) -> None:
    quality = {
        "wer": make_metric(0.75, higher_is_better=False),
        "vqa_accuracy": make_metric(0.466),
        "unparsed_share": make_metric(0.031, higher_is_better=False),
        "cider": make_metric(1.199),
    }
    text = section(document(tmp_path, make_record(quality=quality)), "Quality")
    assert re.search(r"\| 0\.750 \| 46\.6 % +\| 3\.1 % +\| 1\.199 \| 32 +\|", text)
    assert "Higher is better: vqa_accuracy, cider. Lower is better: wer, unparsed_share." in text


def test_intervals_stand_in_brackets(tmp_path: Path) -> None:
    quality = {
        "accuracy": make_metric(0.5, interval=(0.4, 0.605)),
        "wer": make_metric(0.4, higher_is_better=False, interval=(0.3, 0.5)),
    }
    text = section(document(tmp_path, make_record(quality=quality)), "Quality")
    assert "| 50 % [40, 60.5] | 0.400 [0.300, 0.500] |" in text
    assert "Intervals: bootstrap over the samples for accuracy, wer." in text


def test_no_interval_is_a_point_and_the_document_says_how_each_was_made(tmp_path: Path) -> None:
    """A run of today, and one of a release that resampled everything."""
    right = ["stop"] * 64
    questions = [Question(("stop",) * 10)] * 64
    shares = [1.0] * 64
    older = {
        "wer": make_metric(0, per_sample=[0.0] * 64, interval=(0, 0), higher_is_better=False),
        "vqa_accuracy": make_metric(1, per_sample=shares, interval=(1, 1)),
    }
    today = {"quality.wer.interval": Reason.of("no_interval_all_alike")}
    for quality, missing in ((score("textvqa", right, questions), today), (older, {})):
        text = section(document(tmp_path, make_record(quality=quality, missing=missing)), "Quality")
        assert "| 0.000 | 100 % [94.3, 100]" in text
        assert "Intervals: Wilson's score interval for vqa_accuracy." in text
        assert "- wer of CPU: resampling cannot tell an interval, since no sample differs from another." in text
        assert "so the interval is Wilson's, too wide rather than too narrow." in text


def test_answers_that_differ_from_the_first_row_are_counted(tmp_path: Path) -> None:
    records = [
        make_record(optimization=name, sweeps=["optimization"], predictions=answers)
        for name, answers in (("fp16", ["a", "b", "c", "d"]), ("bf16", ["a", "b", "c", "x"]), ("fp32", ["a"]))
    ]
    text = section(document(tmp_path, *records), "Quality")
    rows = [
        line.split("|")[-3].strip() for line in text.splitlines() if line.startswith("| fp") or line.startswith("| bf")
    ]
    assert rows == ["0 %", "25 %", "-"]
    assert "whose answer is not that of the first row, fp16." in text


def test_cases_without_quality_are_named_with_their_reason(tmp_path: Path) -> None:
    unscored = make_record(batch_size=4, quality={}, missing={"quality": "the dataset has no references"})
    text = section(document(tmp_path, make_record(), unscored), "Quality")
    assert "No row for batch 4: the dataset has no references." in text


@pytest.mark.parametrize(
    ("field", "heading"),
    [
        ("tokens", "Tokens"),
        ("flops", "FLOPS by part"),
        ("memory", "Memory"),
        ("phases", "Phases"),
        ("limit", "Distance to the limit"),
    ],
)
def test_a_field_that_no_record_has_is_one_line_with_the_reason(tmp_path: Path, field: str, heading: str) -> None:
    record = make_record(**{field: None}, missing={field: "nobody measured it"})
    text = section(document(tmp_path, record), heading)
    assert text.strip().endswith(": nobody measured it.")
    assert "|" not in text


def test_a_single_null_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    record = make_record(phases={"qformer_s": None}, missing={"phases.qformer_s": "the hook did not fire"})
    text = section(document(tmp_path, record), "Phases")
    assert "`-` for Q-Former (ms) of TextVQA: the hook did not fire." in text


NEW_LIMIT = {
    "share": 0.0213,
    "own_flops_per_s": {"vision": 1.7e10, "qformer": 1.9e10, "prefill": 1.7e10, "decode": 1.8e10},
    "own_bytes_per_s": {"vision": 2e9, "qformer": 2e9, "prefill": 2e9, "decode": 2e9},
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_machines_limit_and_the_kernels_share_stand_in_one_table(tmp_path: Path, lang: str) -> None:
    text = section(
        document(tmp_path, make_record(optimization="fp16", limit=NEW_LIMIT), lang=lang), "Distance to the limit"
    )
    assert re.search(r"\| limit \(ms\) +\| latency / limit +\| kernels' share +\| vision bound by ", text)
    assert re.search(r"\| 50\.00 +\| 4\.10 +\| 2\.1 % +\| arithmetic ", text)
    assert "device busy in decoding" not in text
    assert load_prose(lang).say("limit_of_machine") in text
    for rate in ("2.500 TFLOP/s", "17.00 G", "19.00 GFLOP/s"):
        assert load_prose(lang).number(rate) in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("recent", "said"),
    [((True,), "limit_rounds"), ((False,), "limit_median"), ((True, False), "limit_rounds_or_median")],
)
def test_what_the_ratio_is_of_is_said_for_records_with_a_share_and_without(
    tmp_path: Path, lang: str, recent: tuple[bool, ...], said: str
) -> None:
    records = [
        make_record(optimization=name, **({"limit": NEW_LIMIT} if has_share else {}))
        for name, has_share in zip(("fp32", "fp16"), recent, strict=False)
    ]
    text = section(document(tmp_path, *records, lang=lang), "Distance to the limit")
    assert f" {load_prose(lang).say(said)}" in text
    others = {"limit_rounds", "limit_median", "limit_rounds_or_median"} - {said}
    assert not [other for other in others if f"{load_prose(lang).say(other)}" in text]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_how_busy_a_device_is_stands_where_a_record_has_it(tmp_path: Path, lang: str) -> None:
    bound_by = {"vision": "arithmetic", "qformer": "memory", "prefill": "arithmetic", "decode": "host"}
    on_gpu = make_record(device="cuda:0", limit={**NEW_LIMIT, "busy_share": 0.12, "bound_by": bound_by})
    absent = {"limit.busy_share": Reason.of("no_host_beside")}
    on_cpu = make_record(limit=NEW_LIMIT, missing=absent)
    text = section(document(tmp_path, on_cpu, on_gpu, lang=lang), "Distance to the limit")
    assert re.search(r"\| memory +\| - +\|", text)
    assert re.search(r"\| host +\| 12 % +\|", text)
    assert absent["limit.busy_share"].say(lang) in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_records_without_a_share_say_what_they_said(tmp_path: Path, lang: str) -> None:
    text = section(document(tmp_path, make_record(), lang=lang), "Distance to the limit")
    for word in ("kernels' share", load_prose(lang).say("limit_of_machine"), "{more}", "device busy"):
        assert word not in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_kept_and_reserved_stands_where_a_record_has_it(tmp_path: Path, lang: str) -> None:
    plain = make_record(memory={"held_bytes": 0})
    text = section(document(tmp_path, plain, lang=lang), "Memory")
    assert "kept (MiB)" not in text
    assert "reserved (MiB)" not in text
    mib = 2**20
    figures = {"held_bytes": 20 * mib, "reserved_bytes": 300 * mib, "kind": "cuda_allocator"}
    compiled = make_record(optimization="compile", device="cuda:0", memory=figures)
    absent = {"memory.reserved_bytes": Reason.of("reserves_nothing")}
    both = make_record(memory={"held_bytes": 0}, missing=absent), compiled
    text = section(document(tmp_path, *both, lang=lang), "Memory")
    assert re.search(r"weights \(MiB\) \| kept \(MiB\) \| peak \(MiB\) \| reserved \(MiB\) \|", text)
    assert re.search(r"\| 8\.0 +\| 0\.0 +\| 100\.0 +\| - ", text)
    assert re.search(r"\| 8\.0 +\| 20\.0 +\| 100\.0 +\| 300\.0 ", text)
    assert Reason.of("reserves_nothing").say(lang) in text
    for word in ("`kept`", "`reserved`"):
        assert word in text


def test_a_part_that_ran_out_of_memory_says_so_in_its_section(tmp_path: Path) -> None:
    reason = Reason.of("pass_out_of_memory", name="energy", error="MemoryError")
    text = document(tmp_path, make_record(energy={}, missing={"energy": reason}))
    assert str(reason) in section(text, "Energy")


def test_energy_shows_gross_net_and_the_error_of_a_sample(tmp_path: Path) -> None:
    energy = {"cpu_package": make_energy(3.5), "dram": make_energy(0.35, scope="the machine's memory")}
    text = section(document(tmp_path, make_record(energy=energy)), "Energy")
    assert re.search(r"cpu_package \| 3\.500 +\| 2\.100 +\| 0\.350 +\| 0\.047 +\| 12\.0 +\| 6\.0 ", text)
    assert "the machine's memory" in text


def test_energy_without_a_number_is_one_line_with_the_reasons(tmp_path: Path) -> None:
    energy = {
        "cpu_package": make_energy(None, status="permission", reason="cannot read energy_uj"),
        "dram": make_energy(None, status="unsupported", reason="no such zone"),
    }
    text = section(document(tmp_path, make_record(energy=energy)), "Energy")
    reasons = "cpu_package: no permission; cannot read energy_uj. dram: not supported; no such zone."
    assert text.strip() == f"No energy figures: {reasons}"


def test_distinct_machines_have_blocks_of_their_own(tmp_path: Path) -> None:
    gpu = make_record(
        device="cuda:0",
        device_name="NVIDIA H200",
        environment={"gpus": ["NVIDIA H200"] * 8, "gpu_driver": "570.1", "dirty": True},
    )
    text = section(document(tmp_path, make_record(), make_record(batch_size=4), gpu), "Environment")
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["Machine 1", "Machine 2"]
    assert "8 x NVIDIA H200, driver 570.1" in text
    assert "with uncommitted changes" in text


def test_records_without_an_environment_render(tmp_path: Path) -> None:
    text = document(tmp_path, replace(make_record(), environment={}))
    assert "The records say nothing about the machine." in text
    assert "machine: not recorded; date: not recorded; versions: not recorded." in text


def test_the_measuring_command_is_shown(tmp_path: Path) -> None:
    assert "$ pytest benchmarks\n" in section(document(tmp_path, make_record()), "How to reproduce")
    given = section(document(tmp_path, make_record(), command="tox -e bench"), "How to reproduce")
    assert "$ tox -e bench\n" in given
    assert "$ pytest benchmarks\n" not in given


def test_proof_of_an_optimization_is_shown(tmp_path: Path) -> None:
    record = make_record(
        sweeps=["optimization"], applied={"compiled": {"graphs": 3, "fallbacks": 0}, "modules": ["a", "b"]}
    )
    text = section(document(tmp_path, record), "Proofs")
    assert "- fp32: compiled: graphs 3, fallbacks 0; modules: a, b" in text


# Languages


def placeholders(entries: dict[str, Any], prefix: str = "") -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for key, value in entries.items():
        if isinstance(value, dict):
            found |= placeholders(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found |= placeholders({str(number): item for number, item in enumerate(value)}, f"{prefix}{key}.")
        else:
            found[prefix + key] = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
    return found


def test_all_languages_have_the_same_sentences_and_placeholders() -> None:
    english, russian = (placeholders(load_prose(lang).entries) for lang in LANGUAGES)
    assert english == russian


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_of_a_record_has_words_of_the_document(lang: str) -> None:
    entries = load_prose(lang).entries
    # A planned case is never stored.
    assert set(entries["case_status"]) == set(Status) - {Status.OK, Status.PLANNED}
    assert set(entries["energy_status"]) == set(EnergyStatus) - {EnergyStatus.OK}
    assert set(entries["memory_kind"]) == set(MemoryKind)


@pytest.mark.parametrize(
    ("kind", "lang", "said"),
    [
        (MemoryKind.CUDA_ALLOCATOR, "en", "The peak counts: weights + growth of cuda_allocator during generate."),
        (MemoryKind.PROCESS_RSS, "ru", "веса + прирост памяти процесса (RSS) во время generate"),
        ("unique set size of the process", "ru", "unique set size of the process"),
    ],
)
def test_the_kind_of_memory_is_said_in_words_and_an_unknown_one_as_it_stands(
    tmp_path: Path, kind: str, lang: str, said: str
) -> None:
    record = make_record(memory={"kind": kind})
    assert said in section(document(tmp_path, record, lang=lang), "Memory")


def test_reports_load_neither_torch_nor_pytest() -> None:
    import subprocess

    code = (
        "import sys, blip_fixtures.report.document; "
        "print({'torch', 'transformers', 'datasets', 'pytest', 'matplotlib'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


if __name__ == "__main__":
    import tempfile

    for each in LANGUAGES:
        with tempfile.TemporaryDirectory() as folder:
            readme = write_document(small_run(), Path(folder), lang=each).readme
            (GOLDEN / f"small_run.{each}.md").write_bytes(readme.read_bytes())
