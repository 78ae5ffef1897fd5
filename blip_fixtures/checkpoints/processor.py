"""The processor of a checkpoint, and a generic one for an architecture that comes without its tokenizers."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.fitting import TODO, check_processor, refusing
from blip_fixtures.checkpoints.foreign import ForeignError, read_object
from blip_fixtures.checkpoints.resolve import CheckpointError
from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.checkpoints.resolve import Checkpoint


def load_processor(checkpoint: Checkpoint) -> Any:
    """The checkpoint's processor, with the Pillow image processor, which needs no torchvision; it makes a batch.

    An architecture of the catalog has no files, so it gets generic tokenizers. Raises `CheckpointError`.
    """
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    family, config = checkpoint.family, checkpoint.config
    if checkpoint.folder is None:
        size = {"height": checkpoint.image_size, "width": checkpoint.image_size}
        tokenizers = {
            one.argument: generic_tokenizer(one.size, reserved=one.reserved, cls=one.cls, end=one.end)
            for one in family.vocabularies(config)
        }
        return family.processor(config, BlipImageProcessorPil(size=size), tokenizers)
    _check_image_tokens(checkpoint, checkpoint.folder / "processor_config.json")
    with refusing(f"cannot load the processor of {checkpoint.model!r}"):
        processor = _of_folder(checkpoint, str(checkpoint.folder))
    check_processor(checkpoint, processor)
    return processor


def _check_image_tokens(checkpoint: Checkpoint, path: Path) -> None:
    """Raises `CheckpointError` for a processor that fills a prompt with another number of image tokens than the model.

    Checkpoints without this file are older than the setting; they get the model's number.
    """
    if not path.exists():
        return
    try:
        found = read_object(path).get("num_query_tokens")
    except ForeignError as error:
        raise CheckpointError(f"{error}; {TODO}") from None
    if found is None:
        raise CheckpointError(
            f"{path} names no num_query_tokens, and a prompt of {checkpoint.model!r} needs {checkpoint.query_tokens} "
            "image tokens; add the number to the file, or give a newer revision of the checkpoint"
        )
    if found != checkpoint.query_tokens:
        raise CheckpointError(
            f"{path} fills a prompt with {shown(found)} image tokens (num_query_tokens) where the configuration of "
            f"{checkpoint.model!r} has {checkpoint.query_tokens}; give the processor that belongs to the checkpoint"
        )


def _of_folder(checkpoint: Checkpoint, folder: str) -> Any:
    from transformers import AutoTokenizer
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    family, config = checkpoint.family, checkpoint.config
    # Local files alone: those of the hub were fetched by commit (`hub.py`).
    image_processor = BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)  # nosec B615
    tokenizers = {
        one.argument: AutoTokenizer.from_pretrained(  # nosec B615
            folder, subfolder=one.subfolder, local_files_only=True, trust_remote_code=False
        )
        for one in family.vocabularies(config)
    }
    return family.processor(config, image_processor, tokenizers)


# A piece is a word of up to eight letters, the next eight of a longer one, up to three capitals, two digits, or one
# other sign: about what sentencepiece makes of English with T5's 32,000 pieces.
_PIECES = re.compile(r"[A-Z]?[a-z]{1,8}|[A-Z]{1,3}|\d{1,2}|[^\sA-Za-z0-9]")
_PAD, _END, _UNKNOWN, _CLS = 0, 1, 2, 3
_SPECIAL_TOKENS = 5


def generic_tokenizer(vocab_size: int, *, reserved: Sequence[int] = (), cls: bool = False, end: bool = True) -> Any:
    """A tokenizer without a vocabulary: pieces of about the length of T5's, numbered by a checksum of their letters.

    Ids are below `vocab_size` and never in `reserved`. Each text ends with an end token unless `end` is false; `cls`
    puts one before it too, as BERT does. The ids mean nothing, and no text can be had back from them: it serves weights
    that know no language.
    """
    from transformers import PreTrainedTokenizer

    class GenericTokenizer(PreTrainedTokenizer):
        model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012  # the name and type that transformers reads

        @property
        def vocab_size(self) -> int:
            return vocab_size

        def get_vocab(self) -> dict[str, int]:
            return {"<pad>": _PAD, "</s>": _END, "<unk>": _UNKNOWN, "<cls>": _CLS}

        def _tokenize(self, text: str, **_: Any) -> list[str]:
            return _PIECES.findall(text)

        def _convert_token_to_id(self, token: str) -> int:
            special = self.get_vocab().get(token)
            if special is not None:
                return special
            number = _SPECIAL_TOKENS + zlib.crc32(token.encode()) % (vocab_size - _SPECIAL_TOKENS - len(reserved))
            for taken in sorted(reserved):
                number += number >= taken
            return number

        def _convert_id_to_token(self, index: int) -> str:
            return f"<{index}>"

        def build_inputs_with_special_tokens(
            self, token_ids_0: list[int], token_ids_1: list[int] | None = None
        ) -> list[int]:
            return [*([_CLS] if cls else []), *token_ids_0, *(token_ids_1 or []), *([_END] if end else [])]

        def num_special_tokens_to_add(self, pair: bool = False) -> int:  # noqa: ARG002  # the library's signature
            return end + cls

    return GenericTokenizer(  # type: ignore[no-untyped-call]
        pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
