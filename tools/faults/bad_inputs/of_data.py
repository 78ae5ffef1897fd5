"""Bad inputs of pytest that lie in other files: datasets, pictures, prompts, checkpoints."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tools.faults.bad_inputs.contents import (
    GONE,
    checkpoint,
    configured,
    cut_off,
    empty_folder,
    encoded,
    in_place_of_the_end,
    picture,
    png_of,
    textvqa,
    two_frames,
)
from tools.faults.bad_inputs.given import Content, Input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_dataset = partial(Input, "Datasets")
_FILE = "data/textvqa/validation.parquet"


def _of_file(where: str, content: Content, options: str = "") -> Input:
    return _dataset(f"pytest --blip-data data{options}", where, {_FILE: content})


DATASETS = (
    _dataset("pytest --blip-data nowhere"),
    _dataset("pytest --blip-data test_it.py"),
    _dataset("pytest --blip-data ''"),
    _dataset(f"pytest --blip-data {'x' * 5000}"),
    _dataset("pytest --blip-data data", "`data/textvqa` has no files", {"data/textvqa": empty_folder}),
    _dataset("pytest --blip-data hub", "no network"),
    _dataset("pytest --blip-dataset textvqa"),
    _dataset("pytest --blip-dataset vqa=data"),
    _dataset("pytest --blip-dataset textvqa=nobody/nothing", "no network"),
    _dataset("pytest --blip-dataset textvqa=test_it.py"),
    _dataset("pytest --blip-dataset textvqa=hub:validatoin"),
    _of_file("the parquet file is no parquet", "nonsense"),
    _of_file("the parquet file is cut off", in_place_of_the_end(textvqa(), 100)),
    _of_file("the parquet file has no column `answers`", textvqa(without="answers")),
    _of_file("the parquet file has no column `image`", textvqa(without="image")),
    _of_file("the parquet file has no rows", textvqa(rows=0)),
    _of_file("a row has no question", textvqa(question=None)),
    _of_file("a row has a blank question", textvqa(question=" ")),
    _of_file("a row has `<image>` in its question", textvqa(question="what is <image>?")),
    _of_file("a row has nine answers", textvqa(answers=["tea"] * 9)),
    _of_file("a row has no answers", textvqa(answers=None)),
    _of_file("a row has an OCR token that is null", textvqa(ocr_tokens=["a", None])),
    _dataset(
        "pytest --blip-data data --blip-limit 4",
        "the benchmark has batches of 16",
        {_FILE: textvqa(), "test_it.py": "def test_device(measure):\n    measure()\n"},
    ),
)

_picture = partial(Input, "Pictures")


def _with_picture(where: str, image: Callable[[], bytes], options: str = "") -> Input:
    return _picture(f"pytest --blip-data data{options}", where, {_FILE: textvqa(image=encoded(image))})


def _with_path(where: str, path: str) -> Input:
    return _picture("pytest --blip-data data", where, {_FILE: textvqa(image={"bytes": None, "path": path})})


PICTURES = (
    _with_picture("a picture is a text", lambda: b"no picture"),
    _with_picture("a picture is cut off", cut_off),
    _with_picture("a picture is a PNG of 50,000 x 50,000 pixels", partial(png_of, 50_000, 50_000)),
    _with_picture("a picture has 1 x 1 pixels", partial(picture, size=(1, 1))),
    _with_picture("a picture is grey", partial(picture, "L")),
    _with_picture("a picture is transparent", partial(picture, "RGBA")),
    _with_picture("a picture is for print (CMYK)", partial(picture, "CMYK", kind="JPEG")),
    _with_picture("a picture has two frames", two_frames),
    _with_picture("a picture is an EPS", partial(picture, kind="EPS")),
    _with_picture("a picture is a DDS", partial(picture, kind="DDS")),
    _with_picture("a picture is a TIFF of floats", partial(picture, "F", kind="TIFF"), " --blip-data-errors convert"),
    _picture("pytest --blip-data data", "a picture is null", {_FILE: textvqa(image=None)}),
    _with_path("a picture is a path to no file", "none.png"),
    _with_path("a picture is a path out of the folder", "../../test_it.py"),
    _with_path("a picture is a path from the root", "/etc/hostname"),
    _with_path("a picture is an address", "http://localhost:9/a.png"),
)

_prompts = partial(Input, "Prompts")
_QUESTION = "parts = ['{question}']"
_TWELVE = "min_new_tokens = 12"


def _toml(where: str, text: Content) -> Input:
    return _prompts("pytest --blip-prompts mine.toml", where, {"mine.toml": text})


PROMPTS = (
    _prompts("pytest --blip-prompts mine"),
    _prompts("pytest --blip-prompts papr"),
    _prompts("pytest --blip-prompts ''"),
    _prompts("pytest --blip-prompts mine.toml", "no such file"),
    _toml("the file is empty", ""),
    _toml("the file is no TOML", "[textvqa"),
    _toml("the file is no text", b"\xff\xfe"),
    _toml("the file is a folder", empty_folder),
    _toml("it has a table `[vqav2]`", f"[vqav2]\n{_QUESTION}"),
    _toml("`textvqa` is a number", "textvqa = 1"),
    _toml("it has no table `[textvqa]`", "[coco]\nparts = ['A']"),
    _toml("its table has no parts", "[textvqa]"),
    _toml("its parts are a text", "[textvqa]\nparts = 'A'"),
    _toml("it has a setting `part`", "[textvqa]\npart = ['A']"),
    _toml("a part has the field `{query}`", "[textvqa]\nparts = ['{query}']"),
    _toml("a part has the field `{question!r}`", "[textvqa]\nparts = ['{question!r}']"),
    _toml("a part has a brace that is not closed", "[textvqa]\nparts = ['{question']"),
    _toml("all parts may be empty", "[textvqa]\nparts = ['{ocr_tokens}']"),
    _toml("`num_beams` is 0", f"[textvqa]\n{_QUESTION}\nnum_beams = 0"),
    _toml("`num_beams` has 5,000 digits", f"[textvqa]\n{_QUESTION}\nnum_beams = {'9' * 5000}"),
    _toml("`length_penalty` is nan", f"[textvqa]\n{_QUESTION}\nlength_penalty = nan"),
    _toml("`join` is a number", f"[textvqa]\n{_QUESTION}\njoin = 1"),
    _toml("`repetition_penalty` is 0", f"[textvqa]\n{_QUESTION}\nrepetition_penalty = 0"),
    _toml("`decoding` is `ranked`", f"[textvqa]\n{_QUESTION}\ndecoding = 'ranked'"),
    _toml("options are to be ranked, and the dataset has none", f"[textvqa]\n{_QUESTION}\ndecoding = 'rank'"),
    _toml("decoding is greedy and has five beams", f"[textvqa]\n{_QUESTION}\ndecoding = 'greedy'\nnum_beams = 5"),
    _toml("an answer has at least 12 and at most 10 tokens", f"[textvqa]\n{_QUESTION}\n{_TWELVE}\nmax_new_tokens = 10"),
    _toml("it has a table `[textvqa.blip3]`", f"[textvqa]\n{_QUESTION}\n[textvqa.blip3]\nnum_beams = 2"),
    _prompts(
        "pytest --blip-prompts mine.toml --blip-new-tokens 5",
        "an answer has at least 12 tokens",
        {"mine.toml": f"[textvqa]\n{_QUESTION}\n{_TWELVE}"},
    ),
    _prompts(
        "pytest --blip-prompts mine.toml --blip-baseline optimization=compile",
        "it has five beams, and nothing else is measured",
        {"mine.toml": f"[textvqa]\n{_QUESTION}\nnum_beams = 5"},
    ),
    _prompts(
        "pytest --blip-prompts mine.toml --blip-baseline optimization=compile",
        "it has a repetition penalty, and nothing else is measured",
        {"mine.toml": f"[textvqa]\n{_QUESTION}\nrepetition_penalty = 1.5"},
    ),
    _toml("a key has 1,000 parts", f"{'.'.join('a' * 1000)} = 1"),
)

_checkpoint = partial(Input, "Checkpoints")


def _mine(where: str, content: Content, options: str = "") -> Input:
    return _checkpoint(f"pytest --blip-model mine{options}", where, {"mine": content})


def _with_file(where: str, name: str, text: str) -> Input:
    return _mine(where, checkpoint(lambda folder: (folder / name).write_text(text, encoding="utf-8")))


def _without_end(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _index(weight_map: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        index = json.dumps({"weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")

    return spoil


CHECKPOINTS = (
    _checkpoint("pytest --blip-model instructblip-huge"),
    _checkpoint("pytest --blip-model instructblip-tny"),
    _checkpoint("pytest --blip-model ''"),
    _checkpoint("pytest --blip-model nobody/nothing", "no network"),
    _checkpoint("pytest --blip-model nobody/nothing --blip-weights random"),
    _checkpoint("pytest --blip-model https://someone:password@hub.example/a"),
    _checkpoint("pytest --blip-revision v1"),
    _checkpoint("pytest --blip-revision ''"),
    _mine("`mine` is empty", empty_folder),
    _with_file("its `config.json` is no JSON", "config.json", "{"),
    _with_file("its `config.json` is a list", "config.json", "[]"),
    _mine("its `config.json` is that of BLIP-2", configured(model_type="blip-2")),
    _mine("its language model is a GPT-2", configured(text_config__model_type="gpt2")),
    _mine("its weights are those of another language model", configured(text_config__model_type="llama")),
    _mine("its `config.json` has no `image_token_index`", configured(image_token_index=GONE)),
    _mine("its patches have 0 pixels", configured(vision_config__patch_size=0)),
    _mine("its attention has 0 heads", configured(vision_config__num_attention_heads=0)),
    _mine("its `config.json` has no `d_kv`", configured(text_config__d_kv=GONE)),
    _mine("its `config.json` has a million layers", configured(text_config__num_layers=1_000_000)),
    _mine("its `config.json` asks for code of its own", configured(auto_map={"AutoModel": "modeling.Model"})),
    _mine("its `config.json` asks for a kernel", configured(attn_implementation="somebody/kernel")),
    _mine("its weights are a pickle", checkpoint(_pickle_only)),
    _mine("its weights are cut off", checkpoint(_without_end)),
    _mine("it has no weights", checkpoint(lambda folder: (folder / "model.safetensors").unlink())),
    _mine("a file of its index is missing", checkpoint(_index({"a": "model-00001-of-00002.safetensors"}))),
    _mine("its index names a file elsewhere", checkpoint(_index({"a": "../../other.safetensors"}))),
    _mine("its index is a list", checkpoint(_index([]))),
    _with_file("it has an adapter", "adapter_config.json", '{"peft_type": "LORA"}'),
    _with_file("its tokenizer is broken", "qformer_tokenizer/tokenizer.json", "{"),
    _with_file("its processor is broken", "preprocessor_config.json", "{"),
)
