"""One model across several cards of a machine: accelerate moves what a block reads to the block's card."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.families import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from blip_fixtures.families import Family


def memory_shares(cards: Sequence[str]) -> tuple[int, ...]:
    """Bytes that each card has in all. What is free changes from run to run, and with it would where blocks lie."""
    import torch

    return tuple(int(torch.cuda.mem_get_info(card)[1]) for card in cards)


def places_of(config: Mapping[str, Any], dtype: str, cards: Sequence[str]) -> dict[str, str]:
    """Path of each module that is kept whole, or of a single tensor -> its card."""
    numbers = family_of(config).device_map(build_on_meta(config, dtype), memory_shares(cards))
    return {path: cards[number] for path, number in numbers.items()}


def device_of(path: str, places: Mapping[str, str]) -> str:
    """Where the tensor at `path` belongs. Raises `LookupError` where `places` has no part that it is in."""
    found = path
    while found not in places:
        if not found:
            raise LookupError(f"no card is named for {path}")
        found = found.rpartition(".")[0]
    return places[found]


@contextlib.contextmanager
def names_of_tensors() -> Iterator[None]:
    """Inside, accelerate does not warn that query tokens are no module; it wants a place for them all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following device_map keys do not match any submodules", UserWarning)
        yield


def dispatch(model: Any, family: Family, places: Mapping[str, str], first: str) -> None:
    """Let each module of a model find its inputs on its own device, where its weights are or are moved to.

    Between two parts of the model all lies on the device `first`, as the inputs do, and so does the result of a call.
    """
    from accelerate import dispatch_model
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module

    # Those of `from_pretrained`, which takes any of the cards for the first.
    remove_hook_from_module(model, recurse=True)
    # A cache lies where its layers are, and stays there.
    apart = ["past_key_values"]
    with names_of_tensors():
        dispatch_model(model, dict(places), main_device=first, skip_keys=apart, force_hooks=True)
    for path in family.hands_back():
        module = model.get_submodule(path)
        if not hasattr(module, "_hf_hook"):
            add_hook_to_module(module, AlignDevicesHook(skip_keys=apart))
        # Private, as accelerate and transformers call it between them.
        module._hf_hook.io_same_device = True
    # With it transformers' `generate` warns at each call that it must do what these hooks do.
    del model.hf_device_map
