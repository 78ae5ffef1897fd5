"""Whether the parts of a checkpoint fit one another: its weights, its tokenizers and pictures, and its configuration.

What does not fit would end each case with an error of some library, after the others have run for hours.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.checkpoints.foreign import ForeignError, read_object
from blip_fixtures.checkpoints.resolve import CheckpointError, weight_files
from blip_fixtures.device_errors import is_out_of_memory
from blip_fixtures.spelling import shown
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.families import Vocabulary

# Of different lengths, so that the shorter ones are padded; the last has signs that no vocabulary of these models has.
_TEXTS = ("a", "what is written on the sign in the picture?", "\u2603 \U0001f5ff")
_TEXT_LIMIT = 12
_SIZES = ("size", "crop_size", "pad_size")
_MOST_PIXELS_A_SIDE = 8192
_MOST_CHARACTERS = 300
# What to do about a file that cannot be used.
TODO = "save the checkpoint again with save_pretrained"


def check_weights(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` where a tensor of the files has another shape than the configuration gives it.

    Only the headers are read. Tensors that an older release called otherwise are left to the library.
    """
    if checkpoint.weights == Weights.RANDOM or checkpoint.folder is None:
        return
    from safetensors import safe_open

    try:
        wanted = {name: tuple(tensor.shape) for name, tensor in build_on_meta(checkpoint.config).state_dict().items()}
    except ValueError as error:
        raise CheckpointError(
            f"cannot build checkpoint {checkpoint.model!r}: {error}; give a folder that save_pretrained wrote"
        ) from None
    for path in weight_files(checkpoint.model, checkpoint.folder):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  # it has no other way to tell them
                found = tuple(file.get_slice(name).get_shape())
                if wanted.get(name, found) != found:
                    raise CheckpointError(
                        f"the weights of {checkpoint.model!r} do not fit its configuration: {name} in {path.name} has "
                        f"the shape {found} where {wanted[name]} is needed; fetch or save the checkpoint again"
                    )


def check_processor(checkpoint: Checkpoint, processor: Any) -> None:
    """Make a tiny batch. Raises `CheckpointError` where that fails, or the model could not read it."""
    with refusing(f"the processor of {checkpoint.model!r} makes no batch"):
        problem = _why_unfit(checkpoint, processor)
    if problem is not None:
        raise CheckpointError(f"the processor of {checkpoint.model!r} {problem}; {TODO}")


def check_generation(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` for settings of generation that the model could not be loaded with."""
    from transformers import GenerationConfig

    path = checkpoint.folder / "generation_config.json" if checkpoint.folder is not None else None
    if path is None or not path.exists():
        return
    try:
        settings = read_object(path)
    except ForeignError as error:
        raise CheckpointError(f"{error}; {TODO}") from None
    for name, value in settings.items():
        ids = value if isinstance(value, list) and value else [value]
        if name.endswith("_token_id") and not all(each is None or type(each) is int for each in ids):
            raise CheckpointError(f"{path} has the {name} {shown(value)}, which is no token's number; {TODO}")
    with refusing(f"{path} cannot be used"):
        GenerationConfig.from_dict(dict(settings))


@contextlib.contextmanager
def refusing(said: str) -> Iterator[None]:
    """Raises `CheckpointError` for whatever a library raises over a file from outside, but not for a lack of memory."""
    try:
        yield
    except BaseException as error:
        # A panic of the tokenizers' Rust is no `Exception`, and its type can be had by its name alone.
        is_of_library = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if not is_of_library or is_out_of_memory(error):
            raise
        raise CheckpointError(f"{said} ({type(error).__name__}: {_line(error)}); {TODO}") from error


def _line(error: BaseException) -> str:
    line = " ".join(str(error).split())[:_MOST_CHARACTERS]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _why_unfit(checkpoint: Checkpoint, processor: Any) -> str | None:
    family, config = checkpoint.family, checkpoint.config
    for vocabulary in family.vocabularies(config):
        problem = _why_no_tokenizer(vocabulary, getattr(processor, vocabulary.argument))
        if problem is not None:
            return problem
    limit = min(_TEXT_LIMIT, checkpoint.max_text_tokens)
    prompts = family.tokenize(config, processor, _TEXTS, limit)
    if min(prompts.text_tokens) < 1:
        return "makes no tokens of a text"
    if not all(isinstance(text, str) for text in processor.tokenizer.batch_decode([[0, 1]], skip_special_tokens=True)):
        return "makes no text of tokens"
    return _why_no_pixels(checkpoint, processor.image_processor)


def _why_no_tokenizer(vocabulary: Vocabulary, tokenizer: Any) -> str | None:
    most = max(tokenizer.get_vocab().values(), default=-1)
    if most < 0:
        return f"has a {vocabulary.argument} without a vocabulary"
    if most >= vocabulary.size:
        return (
            f"has a {vocabulary.argument} with ids up to {most} where the model has embeddings for {vocabulary.size} "
            "only"
        )
    return None


def _why_no_pixels(checkpoint: Checkpoint, image_processor: Any) -> str | None:
    import torch
    from PIL import Image

    settings = image_processor.to_dict()
    for name in _SIZES:
        found = settings.get(name)
        for side in found.values() if isinstance(found, dict) else [found]:
            if isinstance(side, (int, float)) and side > _MOST_PIXELS_A_SIDE:
                return f"makes pictures of {side} pixels a side by its {name}"
    side = checkpoint.image_size
    pixels = image_processor(
        [Image.new("RGB", (10, 20), "red")], size={"height": side, "width": side}, return_tensors="pt"
    )["pixel_values"]
    if tuple(pixels.shape) != (1, 3, side, side):
        return f"makes pixels of the shape {tuple(pixels.shape)} where {(1, 3, side, side)} is needed"
    if not bool(torch.isfinite(pixels).all()):
        return "makes pixels that are no numbers"
    return None
