"""The files of a checkpoint that somebody else wrote: what they may not ask for, told before a library reads them.

Libraries do a lot that a ``config.json`` asks for: fetch kernels, run code, read other weights, put an adapter or
quantized layers into the model. Nothing of this is in a record, so it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.inside import is_inside, leading_out
from blip_fixtures.spelling import shown
from blip_fixtures.whole_files import BadFileError, decode_json, read_bytes, why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# The largest published configuration has some kilobytes; an index names each tensor of the largest model.
_MOST_CONFIG_BYTES, _MOST_INDEX_BYTES = 2**20, 32 * 2**20
# Of a vocabulary, the largest file of text that a checkpoint has: some ten megabytes in the largest models.
_MOST_TEXT_BYTES = 256 * 2**20
_MOST_DEPTH = 16
# Those that the suite knows; another name may be that of a kernel in somebody's repository.
_ATTENTION = ("eager", "sdpa", "flash_attention_2")
_ATTENTION_SETTINGS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_REFUSED = {
    "auto_map": "code of its own, which is never run",
    "custom_pipelines": "code of its own, which is never run",
    "quantization_config": "quantized weights, and a record would not say so",
    "compression_config": "compressed weights, and a record would not say so",
    "transformers_weights": "a file of weights by another name than every checkpoint has",
    "fusion_config": "other layers in place of the model's, and a record would not say so",
    "kernel_config": "kernels from elsewhere, and a record would not say so",
    "distributed_config": "several devices, and a case has one",
    "experts_implementation": "kernels from elsewhere, and a record would not say so",
    "_experts_implementation": "kernels from elsewhere, and a record would not say so",
}
# Settings that describe code of theirs in other files than the configuration.
_OTHERS_WITH_CODE = ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
# Files beside the weights that change what is loaded, by pattern, with what they are and what to do.
_FOREIGN_FILES = {
    "adapter_config.json": "an adapter, which goes into the model where peft is installed: merge it into the weights",
    "shard-*-model-*.safetensors": "a part of a distributed checkpoint, which is read in place of the weights: save it "
    "again with save_pretrained",
}


class ForeignError(ValueError):
    """A file that cannot be used or asks for what is never done; the message names it, and says what and why."""


def read_object(path: Path, most_bytes: int = _MOST_CONFIG_BYTES) -> dict[str, Any]:
    """The JSON object in `path`. Raises `ForeignError`, and `FileNotFoundError` where there is no file."""
    if path.exists() and not path.is_file():
        raise ForeignError(f"cannot read {path}: it is no file")
    try:
        found = decode_json(read_bytes(path, most_bytes=most_bytes))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ForeignError(f"cannot read {path}: {why(error)}") from None
    except BadFileError as error:
        raise ForeignError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise ForeignError(f"cannot read {path}: it is no object")
    return found


def read_config(path: Path) -> dict[str, Any]:
    """The configuration in `path`, which asks for nothing that is never done. Raises as `read_object`."""
    config = read_object(path)
    for depth, key, value in _settings(config):
        if depth > _MOST_DEPTH:
            raise ForeignError(f"{path} is nested more than {_MOST_DEPTH} deep")
        if key in _REFUSED and value is not None:
            raise ForeignError(f"{path} asks by {key} for {_REFUSED[key]}")
        if key in _ATTENTION_SETTINGS:
            _check_attention(path, key, value)
    return config


def check_folder(folder: Path, texts: Sequence[str], weights: Sequence[str]) -> None:
    """Raises `ForeignError` for a file that leads out of `folder`, is too large, or changes what is loaded.

    `texts` are the patterns of the files that are read whole, `weights` those of the others.
    """
    stray = leading_out(folder, (*texts, *weights))
    if stray is not None:
        raise ForeignError(f"{stray} is no file of {folder}, or a link that leads out of it; put the file itself there")
    for path in sorted(path for pattern in texts for path in folder.rglob(pattern)):
        if path.stat().st_size > _MOST_TEXT_BYTES:
            raise ForeignError(f"{path} has more than {_MOST_TEXT_BYTES // 2**20} MiB, the most that is read")
    for pattern, what in _FOREIGN_FILES.items():
        for path in sorted(folder.glob(pattern)):
            raise ForeignError(f"{path} is {what}")
    for name in _OTHERS_WITH_CODE:
        for path in sorted(folder.rglob(name)):
            if read_object(path, _MOST_INDEX_BYTES).get("auto_map") is not None:
                raise ForeignError(f"{path} asks by auto_map for {_REFUSED['auto_map']}")


def shard_names(index: Path) -> list[str]:
    """The files that the index of some weights lists. Raises as `read_object`, and for one outside its folder."""
    weight_map = read_object(index, _MOST_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ForeignError(f"cannot read {index}: it has no weight_map from tensors to files")
    names: list[str] = sorted(set(weight_map.values()))
    for name in names:
        # transformers joins the name to the folder and opens whatever comes out.
        is_plain = name.endswith(".safetensors") and "/" not in name and "\\" not in name and "\0" not in name
        if not is_plain or not is_inside(index.parent / name, index.parent):
            raise ForeignError(f"{index} lists {shown(name)}, which is no safetensors file beside it")
    return names


def _check_attention(path: Path, key: str, value: Any) -> None:
    for name in value.values() if isinstance(value, dict) else [value]:
        if name is not None and name not in _ATTENTION:
            raise ForeignError(
                f"{path} asks by {key} for the attention {shown(name)}, and only {', '.join(_ATTENTION)} are known"
            )


def _settings(value: Any, depth: int = 1) -> Iterator[tuple[int, str, Any]]:
    """Every setting at any depth, with its depth, its name and its value; what is in a list has the name ``""``."""
    if depth > _MOST_DEPTH + 1:
        return
    pairs = value.items() if isinstance(value, dict) else (("", each) for each in value)
    for key, inner in pairs:
        yield depth, key, inner
        if isinstance(inner, (dict, list)):
            yield from _settings(inner, depth + 1)
