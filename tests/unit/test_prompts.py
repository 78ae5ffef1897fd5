"""Prompts: what each preset makes of a row."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blip_fixtures.case import PRESETS
from blip_fixtures.data.datasets import dataset_names
from blip_fixtures.data.prompts import Prompt, PromptsError, find_prompts, preset_names
from blip_fixtures.data.prompts.checking import prompts_of
from blip_fixtures.data.samples import Sample
from blip_fixtures.words import Decoding

T5 = ("instructblip", "encoder_decoder")
VICUNA = ("instructblip", "decoder_only")
OPT = ("blip2", "decoder_only")

HOSTILE = [
    ("[coco]\nparts = ['A']\nmin_new_tokens = 0x" + "f" * 500, "min_new_tokens is a number of more than 20 digits"),
    (
        "[coco]\nparts = ['A']\nocr_source = '" + "x" * 201 + "'",
        "say in at most 200 characters where the OCR tokens come from",
    ),
    ('[coco]\nparts = ["A"]\nocr_source = "\\u0000"', "give it without control characters"),
    (
        "[coco]\nparts = ['A']\nrepetition_penalty = inf",
        "repetition_penalty is inf; give a number above 0 and up to 100",
    ),
    ("[coco]\nparts = ['A']\n[coco.blip2.blip2.blip2.blip2.x]\na = 1", "[coco.blip2.blip2.blip2.blip2] has the table"),
    ("a" + ".a" * 100_000 + " = 1", "are no TOML: it has a key of more than 16 parts; mend the file"),
    ("[" + "a." * 30_000 + "a]", "are no TOML: it has a key of more than 16 parts; mend the file"),
    ('[coco]\n"a" . ' + "'b' . " * 20 + "c = 1", "are no TOML: it has a key of more than 16 parts; mend the file"),
    ("  a" + " . a" * 20 + " = 1", "are no TOML: it has a key of more than 16 parts; mend the file"),
    ("a = " + "[" * 5_000, "are no TOML: it is nested too deeply; mend the file"),
    ("a = " + "{a=" * 5_000, "are no TOML: it is nested too deeply; mend the file"),
    (
        "[coco]\nparts = ['A']\nnum_beams = " + "9" * 5_000,
        "are no TOML: it has a number of some thousands of digits, or a",
    ),
    (
        "[coco]\nparts = ['A']\nnum_beams = 0x" + "f" * 5_000,
        "num_beams is a number of more than 20 digits; give a whole",
    ),
    ("[coco]\nparts = ['A']\nnum_beams = 65", "num_beams is 65; give a whole number of at least 1 and at most 64"),
    (
        "[coco]\nparts = ['A']\nocr_limit = 5001",
        "ocr_limit is 5001; give a whole number of at least 0 and at most 5,000",
    ),
    ("[coco]\nparts = ['A']\nlength_penalty = inf", "length_penalty is inf; give a number from -100 to 100"),
    ("[coco]\nparts = ['A']\nlength_penalty = 0x" + "f" * 500, "length_penalty is a number of more than 20 digits"),
    ("[coco]\nparts = ['A']\nlength_penalty = 1e300", "length_penalty is 1e+300; give a number from -100 to 100"),
    ("[textvqa]\nparts = ['{question.__class__}']", "with nothing else in their braces"),
    ("[textvqa]\nparts = ['{question[0]}']", "with nothing else in their braces"),
    ("[textvqa]\nparts = ['{0}']", "with nothing else in their braces"),
    ("[textvqa]\nparts = ['{question:{context}}']", "with nothing else in their braces"),
    ("[textvqa]\nparts = ['{question:>999999999}']", "with nothing else in their braces"),
    ("[textvqa]\nparts = ['<image> {question}']", "leave <image> out, the picture comes first in every prompt"),
    ("[textvqa]\nparts = ['{question}']\njoin = '<image>'", "leave <image> out, the picture comes first in every"),
    ('[coco]\nparts = ["\\u0000"]', "give it without control characters"),
    ('[coco]\nparts = ["\\ud800"]', "are no TOML: "),
    ("[coco]\nparts = ['" + "x" * 10_001 + "']", "give at most 10,000 characters"),
    ("[coco]\nparts = [" + "'x'," * 101 + "]", "give at most 100 texts"),
    ("[coco]\nparts = ['A']\njoin = [[[[[[1]]]]]]", "join is [[[[...]]]]; give a text"),
    ("[" + "x" * 9_000 + "]", "it has 'xxxxx"),
    ("# " + "x" * 2**20, "are no TOML: it has more than 1 MiB, the most that is read; mend the file"),
    ("d = 2026-13-45", "are no TOML: "),
]

SAMPLE = Sample(
    id="1",
    open_image=lambda: Image.new("RGB", (8, 8)),
    question="what {is} it?",
    references=("tea",),
    choices=("a cat", "a dog"),
    answer_index=1,
    context="It barks.",
    ocr_tokens=tuple(f"t{i}" for i in range(40)),
)


def test_the_table_holds_every_preset_for_every_dataset() -> None:
    found = {preset: tuple(find_prompts(preset).prompts) for preset in preset_names()}
    assert found == dict.fromkeys(preset_names(), dataset_names())


def test_the_presets_named_in_help_texts_are_those_of_the_table() -> None:
    assert preset_names() == PRESETS


@pytest.mark.parametrize("table", ["", "num_beams = 3\nlength_penalty = -1\nocr_limit = 2"])
def test_a_prompt_is_plain_data(tmp_path: Path, table: str) -> None:
    prompt = find_prompts(write(tmp_path, f"[textvqa]\nparts = ['{{question}}', 'Short answer:']\n{table}")).of(
        "textvqa"
    )
    assert pickle.loads(pickle.dumps(prompt)) == prompt
    text = msgspec.json.encode(prompt)
    again = msgspec.json.decode(text, type=Prompt)
    assert again == prompt
    assert msgspec.json.encode(again) == text
    assert json.loads(text) == {**dataclasses.asdict(prompt), "parts": list(prompt.parts), "variants": []}


@pytest.mark.parametrize(
    ("preset", "dataset", "prompt"),
    [
        ("paper", "coco", "A short image description."),
        (
            "paper",
            "scienceqa",
            "Context: It barks. Question: what {is} it? Options: (a) a cat (b) a dog. Answer:",
        ),
        ("lmms-eval", "textvqa", "What {is} it?\nAnswer the question using a single word or phrase."),
        ("lmms-eval", "coco", "Provide a one-sentence caption for the provided image."),
        (
            "lmms-eval",
            "scienceqa",
            "Context: It barks.\nwhat {is} it?\nA. a cat\nB. a dog\n"
            "Answer with the option's letter from the given choices directly.",
        ),
        ("seed", "textvqa", "what {is} it?"),
        ("seed", "coco", "Describe this image"),
        ("seed", "scienceqa", "what {is} it?\n0. a cat\n1. a dog"),
    ],
)
def test_prompt(preset: str, dataset: str, prompt: str) -> None:
    assert find_prompts(preset).of(dataset).render(SAMPLE) == prompt


def test_paper_prompt_names_at_most_30_ocr_tokens() -> None:
    prompt = find_prompts("paper").of("textvqa").render(SAMPLE)
    assert prompt.startswith("OCR tokens: t0, t1, ")
    assert "t29. Question: what {is} it? Short answer:" in prompt


def test_a_part_without_content_is_left_out() -> None:
    bare = dataclasses.replace(SAMPLE, ocr_tokens=(), context="")
    assert find_prompts("paper").of("textvqa").render(bare) == "Question: what {is} it? Short answer:"
    assert not find_prompts("paper").of("scienceqa").render(bare).startswith("Context")


def test_every_preset_but_that_of_the_authors_is_greedy() -> None:
    greedy = [preset for preset in PRESETS if preset != "published"]
    found = {find_prompts(preset).of(name).of_family(T5).decoding for preset in greedy for name in dataset_names()}
    assert found == {Decoding.GREEDY}


# LAVIS's figures; docs/protocols.md says where they stand. Beams, length penalty, repetition penalty, tokens.
PUBLISHED = [
    ("textvqa", T5, (5, -1, 1.5, 1, 10)),
    ("textvqa", VICUNA, (5, 0, 1.5, 1, 10)),
    ("textvqa", ("blip2", "encoder_decoder"), (5, -1, 1, 1, 10)),
    ("textvqa", OPT, (5, 0, 1, 1, 10)),
    ("coco", T5, (5, 1, 1.15, 10, 80)),
    ("coco", VICUNA, (5, 1, 1.15, 10, 80)),
    ("coco", OPT, (5, 1, 1, 8, 30)),
]


@pytest.mark.parametrize(("dataset", "kinds", "figures"), PUBLISHED)
def test_how_the_authors_generate(dataset: str, kinds: tuple[str, ...], figures: tuple[float, ...]) -> None:
    found = find_prompts("published").of(dataset).of_family(kinds)
    assert figures == (
        found.num_beams,
        found.length_penalty,
        found.repetition_penalty,
        found.min_new_tokens,
        found.max_new_tokens,
    )
    assert (found.decoding, found.variants) == (Decoding.BEAM, ())


@pytest.mark.parametrize("kinds", [T5, VICUNA, OPT])
def test_the_authors_rank_options(kinds: tuple[str, ...]) -> None:
    found = find_prompts("published").of("scienceqa").of_family(kinds)
    assert found.decoding == Decoding.RANK
    assert found.render(SAMPLE).startswith("Context: It barks. Question: what {is} it? Options: (a) a cat (b) a dog. ")


@pytest.mark.parametrize(
    ("kinds", "textvqa", "coco"),
    [
        (T5, "t29. Question: what {is} it? Short answer:", "A short image caption."),
        (("blip2", "encoder_decoder"), "Question: what {is} it? Short answer:", "a photo of"),
        (OPT, "Question: what {is} it? Answer:", "a photo of"),
    ],
)
def test_what_the_authors_ask(kinds: tuple[str, ...], textvqa: str, coco: str) -> None:
    prompts = find_prompts("published")
    asked = prompts.of("textvqa").of_family(kinds).render(SAMPLE)
    assert asked.endswith(textvqa)
    assert asked.startswith("OCR tokens: t0, t1, ") == (kinds == T5)
    assert prompts.of("coco").of_family(kinds).render(SAMPLE) == coco


VARIANTS = """
    [coco]
    parts = ["A"]
    num_beams = 2
    [coco.decoder_only]
    num_beams = 3
    [coco.blip2.decoder_only]
    num_beams = 4
    [coco.blip2]
    num_beams = 5
    length_penalty = 2
    [coco.encoder_decoder]
    num_beams = 1
    length_penalty = 1
"""


@pytest.mark.parametrize(
    ("kinds", "beams", "decoding"),
    [
        ((), 2, Decoding.BEAM),
        (("instructblip",), 2, Decoding.BEAM),
        (("instructblip", "decoder_only"), 3, Decoding.BEAM),
        (("decoder_only", "blip2"), 4, Decoding.BEAM),
        (("blip2",), 5, Decoding.BEAM),
        (("blip2", "encoder_decoder"), 1, Decoding.GREEDY),
        (("another",), 2, Decoding.BEAM),
    ],
)
def test_what_differs_for_a_family(tmp_path: Path, kinds: tuple[str, ...], beams: int, decoding: Decoding) -> None:
    prompt = find_prompts(write(tmp_path, VARIANTS)).of("coco")
    found = prompt.of_family(kinds)
    assert (found.num_beams, found.decoding, found.variants) == (beams, decoding, ())
    assert found.of_family(kinds) == found
    assert msgspec.json.decode(msgspec.json.encode(prompt), type=Prompt).of_family(kinds) == found


def test_only_the_seed_preset_numbers_options_from_zero() -> None:
    assert [preset for preset in PRESETS if find_prompts(preset).of("scienceqa").digits_from_zero] == ["seed"]


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_prompts_of_a_file(tmp_path: Path) -> None:
    table = """
        [textvqa]
        parts = ["Q: {question}", "Text in the picture: {ocr_tokens}", "{{}}"]
        join = "|"
        ocr_limit = 2
        num_beams = 3
        length_penalty = -1
    """
    prompts = find_prompts(write(tmp_path, table))
    assert prompts.of("textvqa").render(SAMPLE) == "Q: what {is} it?|Text in the picture: t0, t1|{}"
    assert prompts.of("textvqa") == Prompt(
        ("Q: {question}", "Text in the picture: {ocr_tokens}", "{{}}"), "|", ocr_limit=2, num_beams=3, length_penalty=-1
    )
    with pytest.raises(PromptsError, match=r"have no table \[coco\]; add one, or choose other benchmarks with -k"):
        prompts.of("coco")


def test_the_name_of_a_file_follows_what_it_says_and_not_how(tmp_path: Path) -> None:
    def name(text: str) -> str:
        return find_prompts(write(tmp_path, text)).name

    first = name('[coco]\nparts = ["A picture of"]')
    assert first.startswith("mine@")
    assert name('# the same\n[coco]\nparts = [\n"A picture of",\n]') == first
    assert name('[coco]\nparts = ["A photo of"]') != first


def test_a_file_keeps_the_name_of_older_releases(tmp_path: Path) -> None:
    table = '[coco]\nparts = ["A picture of"]\nnum_beams = 5\nlength_penalty = -1\n[scienceqa]\nparts = ["{choices}"]'
    assert find_prompts(write(tmp_path, table)).name == "mine@e3da334a"
    for setting in ("repetition_penalty = 1.5", "max_new_tokens = 9", "[scienceqa.blip2]\nnum_beams = 2"):
        assert find_prompts(write(tmp_path, f"{table}\n{setting}")).name != "mine@e3da334a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it is empty; give tables [textvqa], [coco], [scienceqa]"),
        ("[vqav2]\nparts = ['{question}']", "it has 'vqav2'; give tables [textvqa], [coco], [scienceqa]"),
        ("[cocoa]\nparts = ['A']", "it has 'cocoa'; give tables [textvqa], [coco], [scienceqa]; did you mean coco?"),
        ("[coco]\npart = ['A']", "max_new_tokens, ocr_source; did you mean parts?"),
        ("[coco]\nparts = ['A']\nvariants = []", "[coco] has 'variants'; the settings are parts,"),
        (
            "[coco]\nparts = ['A']\ndecoding = 'ranks'",
            "decoding is 'ranks'; choose one of greedy, beam, rank; did you mean",
        ),
        ("[coco]\nparts = ['A']\ndecoding = 1", "decoding is 1; choose one of greedy, beam, rank"),
        ("[coco]\nparts = ['A']\ndecoding = 'rank'", "[coco] decoding is rank and coco has no options to rank; choose"),
        ("[coco]\nparts = ['A']\ndecoding = 'beam'", "decoding is beam and there is one beam; set num_beams above 1"),
        ("[coco]\nparts = ['A']\ndecoding = 'greedy'\nnum_beams = 5", "is greedy and num_beams is 5; leave one of"),
        (
            "[scienceqa]\nparts = ['{question}']\ndecoding = 'rank'\nmax_new_tokens = 5",
            "[scienceqa] max_new_tokens changes nothing where options are ranked; leave it out",
        ),
        (
            "[coco]\nparts = ['A']\nrepetition_penalty = 0",
            "repetition_penalty is 0; give a number above 0 and up to 100",
        ),
        ("[coco]\nparts = ['A']\nmax_new_tokens = 0", "max_new_tokens is 0; give a whole number of at least 1"),
        (
            "[coco]\nparts = ['A']\nmin_new_tokens = 12\nmax_new_tokens = 10",
            "[coco] min_new_tokens is 12 and max_new_tokens is 10; give a minimum that is no more than the maximum",
        ),
        ("[coco]\nparts = ['A']\nocr_source = ''", "ocr_source is ''; say in at most 200 characters where the"),
        (
            "[coco]\nparts = ['A']\n[coco.blip3]\nnum_beams = 2",
            "[coco] has the table 'blip3'; one in it is called by a kind of family, instructblip, blip2, "
            "encoder_decoder, decoder_only; did you mean blip2?",
        ),
        ("[coco]\nparts = ['A']\nblip2 = 1", "[coco] blip2 is 1; write [coco.blip2] above what differs"),
        ("[coco]\nparts = ['A']\n[coco.blip2]\nnum_beams = 0", "[coco.blip2] num_beams is 0; give a whole number"),
        ("[coco]\nparts = ['A']\n[coco.blip2]\nlength_penalty = 2", "with blip2 and encoder_decoder: length_penalty"),
        ("coco = 1", "'coco' is no table; write [coco] above its settings"),
        ("[coco]", "[coco] has no parts; give the prompt's parts, such as parts = ['{question}']"),
        ("[coco]\nparts = []", "[coco] parts is []; give a list of texts"),
        ("[coco]\nparts = 'A picture'", "[coco] parts is 'A picture'; give a list of texts"),
        ("[coco]\nparts = ['A']\ntemperature = 1", "[coco] has 'temperature'; the settings are parts, join, option,"),
        ("[coco]\nparts = ['A']\njoin = 1", "[coco] join is 1; give a text"),
        ("[coco]\nparts = ['A']\nnum_beams = 0", "[coco] num_beams is 0; give a whole number of at least 1"),
        ("[coco]\nparts = ['A']\nnum_beams = true", "[coco] num_beams is True; give a whole number of at least 1"),
        ("[coco]\nparts = ['A']\nocr_limit = -1", "[coco] ocr_limit is -1; give a whole number of at least 0"),
        ("[coco]\nparts = ['A']\nlength_penalty = nan", "[coco] length_penalty is nan; give a number"),
        ("[coco]\nparts = ['A']\nlength_penalty = 2", "length_penalty changes nothing without beams; set num_beams"),
        ("[coco]\nparts = ['A']\ncapitalize_question = 1", "[coco] capitalize_question is 1; give true or false"),
        (
            "[textvqa]\nparts = ['{query}']",
            "the fields are {question}, {context}, {ocr_tokens}, {choices}, with nothing",
        ),
        ("[textvqa]\nparts = ['{question!r}']", "with nothing else in their braces"),
        ("[textvqa]\nparts = ['{question.x}']", "with nothing else in their braces"),
        ("[textvqa]\nparts = ['{}']", "with nothing else in their braces"),
        ("[textvqa]\nparts = ['{question']", "a brace is not closed; write {{ and }} for braces"),
        (
            "[textvqa]\nparts = ['{question}']\noption = '{choice}'",
            "the fields are {letter}, {LETTER}, {index}, {text}",
        ),
        ("[textvqa]\nparts = ['{ocr_tokens}']", "would be an empty prompt for some rows; give a part without fields"),
        ("[coco", "are no TOML: "),
        *HOSTILE,
    ],
)
def test_a_file_that_says_what_no_preset_can(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PromptsError) as caught:
        find_prompts(path)
    assert str(caught.value).startswith(f"the prompts {path}")
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["a." * 40, "Wait" + "." * 40, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19"])
@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "'''\n{}'''", '"""{}"""'])
def test_dots_in_a_text_are_no_key(tmp_path: Path, text: str, quoted: str) -> None:
    said = quoted.format(text)
    table = f"# {text}\n[coco]\nparts = [{said}, {said}] # {text}\njoin = ' . . . . . . . . . . . . . . . . . . '\n"
    assert find_prompts(write(tmp_path, table)).of("coco").parts == (text, text)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf[coco]\nparts = ['A']\n")
    assert find_prompts(str(path)).of("coco").parts == ("A",)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[coco]\nparts = ['\xff']", b"\0"])
def test_bytes_that_are_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(PromptsError, match=r"are no TOML: .*; mend the file$"):
        find_prompts(str(path))


@pytest.mark.parametrize("text", ["x" * 2**19, "a b " * 2**17, "." * 2**19, "-" * 2**19, " " * 2**19, "'" * 2**19])
def test_a_megabyte_of_anything_takes_no_time(tmp_path: Path, text: str) -> None:
    start_s = time.perf_counter()
    with pytest.raises(PromptsError):
        find_prompts(write(tmp_path, text))
    assert time.perf_counter() - start_s < 10


TOML_VALUES = st.recursive(
    st.one_of(
        st.integers(), st.floats(), st.booleans(), st.text(max_size=9), st.sampled_from(["{question}", "{", "{0.a}"])
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    entry=st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Prompt)]), TOML_VALUES, min_size=1, max_size=4
    )
)
@settings(max_examples=300, deadline=None)
def test_any_values_make_a_prompt_or_a_sentence(entry: dict[str, object]) -> None:
    try:
        prompts = prompts_of({"textvqa": {"parts": ["{question}"], **entry}})
    except ValueError as error:
        said = str(error)
    else:
        said = prompts["textvqa"].render(SAMPLE)
    assert said is not None


def test_a_preset_that_is_misspelt() -> None:
    with pytest.raises(PromptsError) as caught:
        find_prompts("papr")
    assert str(caught.value) == (
        "unknown prompts 'papr'; choose one of paper, published, lmms-eval, seed, or give a file FILE.toml; "
        "did you mean paper?"
    )


def test_prompts_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match=r"unknown prompts 'mine'; .*, or give a file FILE\.toml$"):
        find_prompts("mine")
    with pytest.raises(PromptsError, match=r"cannot read the prompts .*: No such file or directory; give a TOML file"):
        find_prompts(str(tmp_path / "absent.toml"))
