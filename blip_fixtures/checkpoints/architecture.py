"""An architecture on the meta device: every shape and dtype, and not one byte of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.device_errors import is_out_of_memory
from blip_fixtures.families import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def build_on_meta(
    config: Mapping[str, Any], dtype: str = "float32", *, attention: str | Mapping[str, str] | None = None
) -> Any:
    """The model of a ``config.json`` on the meta device, in evaluation mode, each tensor in the dtype that
    `from_pretrained` would give it under `dtype`. Raises `ValueError` for a configuration that makes no model.
    """
    import torch

    family = family_of(config)
    try:
        settings = family.config_class().from_dict(dict(config))
        with torch.device("meta"):
            # What `from_config` of the Auto classes calls; the model's class is known here and needs no Auto class.
            model: Any = family.model_class()._from_config(
                settings,
                dtype=getattr(torch, dtype),
                **({} if attention is None else {"attn_implementation": attention}),
            )
    except Exception as error:
        # A configuration from outside reaches code that expects its own, and that raises whatever comes of it.
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())
        raise ValueError(f"its configuration makes no model ({type(error).__name__}: {said[:200]})") from None
    family.complete(model, config)
    # Only `from_pretrained` asks transformers for this plan, and it has no public name. The names that it keeps in
    # another dtype are searched for anywhere in a parameter's name, as `from_pretrained` does.
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
