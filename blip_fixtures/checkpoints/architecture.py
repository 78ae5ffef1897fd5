"""An architecture on the meta device: every shape and dtype, and not one byte of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def has_own_head(config: Mapping[str, Any]) -> bool:
    """Whether the language model's head is a tensor of its own rather than the word embeddings again.

    T5 1.1 and Flan-T5 publish ``tie_word_embeddings: false``; transformers 5 ties them all the same unless a loaded
    file holds two different tensors, and writes the fact as ``scale_decoder_outputs: false``.
    """
    text = config["text_config"]
    return text.get("tie_word_embeddings") is False or text.get("scale_decoder_outputs") is False


def build_on_meta(
    config: Mapping[str, Any], dtype: str = "float32", *, attention: str | Mapping[str, str] | None = None
) -> Any:
    """The model of a ``config.json`` on the meta device, in evaluation mode, each tensor in the dtype that
    `from_pretrained` would give it under `dtype`. Raises `ValueError` for a configuration that makes no model.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from torch import nn
    from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

    try:
        settings = InstructBlipConfig.from_dict(dict(config))
        with torch.device("meta"):
            model: Any = InstructBlipForConditionalGeneration._from_config(
                settings,
                dtype=getattr(torch, dtype),
                **({} if attention is None else {"attn_implementation": attention}),
            )
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, StrictDataclassError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"its configuration makes no model ({type(error).__name__}: {said})") from None
    language = model.language_model
    if has_own_head(config):
        language.lm_head.weight = nn.Parameter(torch.empty_like(language.lm_head.weight), requires_grad=False)
    # The names that transformers keeps in another dtype are searched for anywhere in a parameter's name, as it does.
    plan = model._get_dtype_plan(getattr(torch, dtype))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(False)
        for part, kept in plan.items():
            if part in name:
                parameter.data = parameter.data.to(kept)
    return model.eval()


def weight_bytes(model: Any) -> int:
    """Bytes of every parameter and buffer, a shared tensor once."""
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return sum(tensor.nbytes for tensor in tensors.values())


def stored_bytes(module: Any) -> int:
    """Bytes that a module itself stores, those below it not counted."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    named: int = sum(plain.nbytes for tensor in tensors for plain in plain_tensors(tensor))
    return named + int(getattr(module, "packed_bytes", 0))


def plain_tensors(tensor: Any) -> list[Any]:
    """The tensors that a tensor consists of: itself, or the inner ones of a subclass that wraps them."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [plain for name in names for plain in plain_tensors(getattr(tensor, name))]
