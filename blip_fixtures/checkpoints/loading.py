"""Loading a checkpoint onto a device, and the cache that keeps one of them alive."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import cards_of
from blip_fixtures.checkpoints.across import dispatch, names_of_tensors, places_of
from blip_fixtures.checkpoints.architecture import plain_tensors
from blip_fixtures.checkpoints.resolve import Checkpoint, CheckpointError
from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.device_errors import is_device_error, is_out_of_memory
from blip_fixtures.devices import synchronize
from blip_fixtures.families.runner import EagerRunner, Runner
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.families import Family
    from blip_fixtures.words import Component


@dataclass
class LoadedModel:
    """A model on its device and in its dtype, ready to generate."""

    checkpoint: Checkpoint
    device: str
    optimization: str
    model: Any
    load_s: float
    runner: Runner = field(init=False)
    applied: dict[str, Any] = field(default_factory=dict)
    # Path of a module -> its card, of a model across several.
    places: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.runner = self.eager_runner

    @property
    def family(self) -> Family:
        """The checkpoint's."""
        return self.checkpoint.family

    @property
    def eager_runner(self) -> EagerRunner:
        """Transformers' own `generate` of the model, whatever `runner` is."""
        return EagerRunner(self.model, self.family)

    @property
    def components(self) -> dict[Component, Any]:
        """The modules that attend."""
        return self.family.components(self.model)

    @property
    def pixel_dtype(self) -> Any:
        """The dtype that the vision encoder computes in; `model.dtype` may be that of a tensor kept in fp32."""
        return self.family.pixel_dtype(self.model)

    @property
    def weights_bytes(self) -> int:
        """Bytes of every parameter and buffer, each shared tensor once, and of what packed layers store."""
        packed = sum(int(getattr(part, "packed_bytes", 0)) for part in self.model.modules())
        return sum(self._stored_by_device().values()) + packed

    @property
    def weights_by_card(self) -> dict[str, int]:
        """`weights_bytes` of each of the device's cards. No card has layers that are packed without a tensor."""
        stored = self._stored_by_device()
        return {card: stored.get(card, 0) for card in cards_of(self.device)}

    @property
    def stretches(self) -> dict[str, tuple[str, str]]:
        """Of a model across several cards, the first and the last block that each has, by their paths."""
        found: dict[str, tuple[str, str]] = {}
        lists = self.family.block_lists()
        for path, card in self.places.items():
            if path.rpartition(".")[0] in lists:
                found[card] = (found.get(card, (path, path))[0], path)
        return found

    def _stored_by_device(self) -> dict[str, int]:
        storages = {}
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            for plain in plain_tensors(tensor):
                storage = plain.untyped_storage()
                storages[str(plain.device), storage.data_ptr()] = storage.nbytes()
        found: dict[str, int] = {}
        for (device, _), count in storages.items():
            found[device] = found.get(device, 0) + count
        return found


def load_model(
    checkpoint: Checkpoint, device: str, optimization: str, dtype: str, attention: dict[str, str] | None = None
) -> LoadedModel:
    """The checkpoint's weights in `dtype` (``float16``, ...) on `device`, in evaluation mode; or across its cards.

    `attention` maps parts of the configuration to attention implementations, as transformers takes them; by default
    it chooses.

    The dtype is applied while loading: a cast afterwards would also cast the layers that the model keeps in fp32.
    Synthetic weights are made on the device. `load_s` ends when the device has them. Raises `CheckpointError`.
    """
    # The first import takes seconds, and is no part of loading a model.
    checkpoint.family.model_class()
    start_s = time.perf_counter()
    cards = cards_of(device)
    places = places_of(checkpoint.config, dtype, cards) if len(cards) > 1 else {}
    if checkpoint.weights == Weights.RANDOM:
        model = build_random(checkpoint.config, places or device, dtype, attention=attention)
    else:
        with names_of_tensors():
            model = _from_pretrained(checkpoint, dtype, attention, places)
        if not places:
            model.to(device)
        model.eval()
    if places:
        dispatch(model, checkpoint.family, places, cards[0])
    # Copies and fills are queued.
    synchronize(device)
    load_s = time.perf_counter() - start_s
    return LoadedModel(checkpoint, device, optimization, model, load_s=load_s, places=places)


def _from_pretrained(
    checkpoint: Checkpoint, dtype: str, attention: dict[str, str] | None, places: Mapping[str, str]
) -> Any:
    """In the memory of the host, or each tensor where `places` says."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, report = checkpoint.family.model_class().from_pretrained(
            str(checkpoint.folder),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation=attention,
            **({"device_map": dict(places)} if places else {}),
        )
    except Exception as error:
        # Files from outside make a library raise anything at all.
        if is_out_of_memory(error) or is_device_error(error):
            raise
        raise CheckpointError(
            f"cannot load the weights of {checkpoint.model!r}: {error}; fetch or save the checkpoint again"
        ) from error
    # transformers draws missing tensors at random and only warns.
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"the weights of {checkpoint.model!r} lack {len(missing)} tensors of its configuration, {missing[0]} among "
            "them; fetch or save the checkpoint again"
        )
    return model


class OneLiveModel:
    """Holds the last loaded model; another key first frees it, so that two never share the device's memory.

    A key is the checkpoint (its name, kind of weights and revision), the device and the optimization. `load` gets them
    as `get` does.
    """

    def __init__(self, load: Callable[[Checkpoint, str, str], LoadedModel]) -> None:
        self._load = load
        self._live: LoadedModel | None = None
        self._key: tuple[str, ...] | None = None
        # Of the last load, also where it failed half-way.
        self._device: str | None = None
        self._cuda_is_lost = False
        self.loads = 0

    def get(self, checkpoint: Checkpoint, device: str, optimization: str) -> LoadedModel:
        """The live model of that key, loaded when another one or none is alive."""
        key = (checkpoint.model, checkpoint.weights, checkpoint.revision, device, optimization)
        live = self._live
        if live is None or self._key != key:
            live = None
            self.evict()
            self._device = device
            live = self._live = self._load(checkpoint, device, optimization)
            self._key = key
            self.loads += 1
        return live

    @property
    def is_held(self) -> bool:
        """Whether a model is live."""
        return self._live is not None

    def held_bytes(self, card: str) -> int:
        """Weights of the live model on a device, one of several cards: what a next one finds free beside what is."""
        live = self._live
        if live is None or card not in cards_of(live.device):
            return 0
        return live.weights_bytes if live.device == card else live.weights_by_card[card]

    def give_cuda_up(self) -> None:
        """From now on nothing is freed on a CUDA device: it answers every call with an error."""
        self._cuda_is_lost = True

    def evict(self) -> None:
        """Free the live model, or what a load that failed has left, and what the device's allocator kept for it."""
        if self._device is None:
            return
        device, self._device = self._device, None
        is_lost = device != "cpu" and self._cuda_is_lost
        if self._live is not None and not is_lost:
            self._live.runner.close()
        self._live = None
        release_memory("cpu" if is_lost else device)


def release_memory(device: str) -> None:
    """Collect what nobody holds any more, and let the allocator of a CUDA device give back what it keeps unused."""
    gc.collect()
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()
