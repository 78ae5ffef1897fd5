"""Compiled generation of a model of the BLIP family: what holds whatever its language model is.

For the same inputs it takes the tokens that `generate` takes. Lengths of prompts are dynamic in the graphs; keys and
values lie in buffers that hold the longest prompt, so that a decoder step has one shape for all prompts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from blip_fixtures.families.compiling import CompiledRunner, any_length
from blip_fixtures.families.family import end_tokens_of
from blip_fixtures.families.inputs import with_queries
from blip_fixtures.families.runner import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.families.bridges.bridge import Bridge

# Buffers end at a multiple of it, as vector instructions and tensor cores like.
_MULTIPLE = 8
# The loops of a step are so short that threads wait for each other longer than they work: these many numbers for each.
_STEP_ON_CPU = {"cpp.min_chunk_size": 32768}


class Buffers(Protocol):
    """What decoder steps work on, of one shape for every prompt."""

    @property
    def nbytes(self) -> int:
        """Of all tensors."""


class Greedy:
    """What a greedy choice goes by besides the scores, as tensors on the device: a graph takes no other values.

    `least` tokens come before the first that may end an answer.
    """

    def __init__(self, settings: Any, least: int, device: Any) -> None:
        self.least = least
        self.ends = torch.tensor(end_tokens_of(settings), device=device)
        # Without a token for padding transformers takes the first that ends an answer.
        padding = self.ends[0] if settings.pad_token_id is None else settings.pad_token_id
        self.padding = torch.as_tensor(padding, device=device)
        self._too_early, self._not_too_early = torch.tensor(True, device=device), torch.tensor(False, device=device)

    def ends_too_early(self, done: int) -> Any:
        """Whether an answer of `done` tokens may not end with the next one."""
        return self._too_early if done < self.least else self._not_too_early


@dataclass
class Begun:
    """Generation after the prefill: what `generate` returns so far (batch, tokens), and how many of it are answers.

    `token` (batch, 1) is what the next step reads, `unfinished` (batch,) says which rows go on.
    """

    returned: list[Any]
    token: Any
    unfinished: Any
    done: int
    buffers: Any


class CompiledBlip(CompiledRunner):
    """Graphs for the vision encoder and for the Q-Former with projection; those of the language model are below."""

    _vision: Callable[..., Any]
    _qformer: Callable[..., Any]
    _step: Callable[..., Any]

    def __init__(self, model: Any, bridge: Bridge, cuda: bool, *, layers_once: bool | None = None) -> None:
        super().__init__(model, cuda)
        self._bridge = bridge
        # On CUDA regions are untried.
        self._layers_once = not cuda if layers_once is None else layers_once
        self._buffers: dict[tuple[int, int], Buffers] = {}
        if not cuda:
            self.step_options |= _STEP_ON_CPU

    @abstractmethod
    def _prefill(self, embeddings: Any, input_ids: Any, mask: Any, limit: int, greedy: Greedy) -> Begun:
        """Read query vectors and prompt (batch, positions, width); `limit` is how many tokens an answer may have."""

    @torch.no_grad()
    def generate(
        self,
        *,
        pixel_values: Any,
        input_ids: Any,
        attention_mask: Any,
        interpolate_pos_encoding: bool,
        max_new_tokens: int,
        min_new_tokens: int | None,
        do_sample: bool,
        num_beams: int,
        length_penalty: float = 1.0,
        repetition_penalty: float = 1.0,
        **for_qformer: Any,
    ) -> Any:
        """As the model's own `generate`. Raises `ValueError` where anything but greedy decoding is asked for."""
        if do_sample or num_beams != 1 or length_penalty != 1:
            raise ValueError("compiled generation is greedy; choose another optimization for sampling or beams")
        if repetition_penalty != 1:
            raise ValueError("compiled generation has no repetition penalty; choose another optimization for one")
        image = self._vision(pixel_values, interpolate_pos_encoding)
        self._note(Part.VISION)
        prompts = (for_qformer[name] for name in self._bridge.input_names)
        features = self._qformer(image, *any_length(*prompts))
        self._note(Part.QFORMER)
        embeddings = with_queries(self._model, input_ids, features)
        greedy = Greedy(self._model.language_model.generation_config, min_new_tokens or 0, embeddings.device)
        begun = self._prefill(embeddings, input_ids, attention_mask, max_new_tokens, greedy)
        return self._decode(begun, max_new_tokens, greedy)

    def _decode(self, begun: Begun, limit: int, greedy: Greedy) -> Any:
        token, unfinished, done = begun.token, begun.unfinished, begun.done
        # The device is asked whether all rows have ended only where they may have.
        while done < limit and (done <= greedy.least or bool(unfinished.any())):
            if self._cuda:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch is typed in part
            ends_too_early = greedy.ends_too_early(done)
            token, unfinished = self._step(
                token, begun.buffers, ends_too_early, unfinished, greedy.ends, greedy.padding
            )
            if self._cuda:
                # A CUDA graph writes every step's results to the same place.
                token, unfinished = token.clone(), unfinished.clone()
            self._note(Part.STEP)
            begun.returned.append(token)
            done += 1
        return torch.cat(begun.returned, dim=1)

    def _room(self) -> int:
        """Positions of the longest prompt: longer than any, so that a part of the buffers is what each prompt fills."""
        room: int = self._text_limit + self.config.num_query_tokens + 1
        return -(-room // _MULTIPLE) * _MULTIPLE

    def _compile_parts(self) -> None:
        self._vision = self._compiled(self._vision_part)
        self._qformer = self._compiled(self._qformer_part)
        self._compile_language()
        self._step = self._compiled(self._step_part, cuda_graphs=self._cuda, options=self.step_options)

    @abstractmethod
    def _compile_language(self) -> None:
        """Compile the other parts of the language model than its step."""

    @abstractmethod
    def _step_part(
        self, token: Any, buffers: Any, ends_too_early: Any, unfinished: Any, ends: Any, padding: Any
    ) -> tuple[Any, Any]:
        """The next token of each row (batch, 1), padding after its end, and which rows go on."""

    def _forget(self) -> None:
        self._buffers.clear()

    @property
    def held_bytes(self) -> int:
        """Those of every batch size and limit that was asked for."""
        return sum(buffers.nbytes for buffers in self._buffers.values())

    def _vision_part(self, pixels: Any, interpolate: bool) -> Any:
        return self._model.vision_model(pixels, interpolate_pos_encoding=interpolate).last_hidden_state

    def _qformer_part(self, image: Any, *prompts: Any) -> Any:
        return self._bridge.queries(self._model, image, *prompts)


def chosen(scores: Any, ends_too_early: Any, unfinished: Any, ends: Any, padding: Any) -> tuple[Any, Any]:
    """The best token of each row (batch, 1), padding after its end, and which rows go on; `scores` (batch, words)."""
    scores = scores.float()
    is_end = _one_of(torch.arange(scores.shape[-1], device=scores.device), ends)
    scores = torch.where(is_end & ends_too_early, float("-inf"), scores)
    best = torch.where(unfinished, scores.argmax(dim=-1), padding)
    return best[:, None], unfinished & ~_one_of(best, ends)


def _one_of(tokens: Any, ends: Any) -> Any:
    """Which of `tokens` (count,) are among `ends`."""
    return (tokens[:, None] == ends).any(dim=1)


def bytes_of(cache: Any) -> int:
    """Bytes of a static cache's tensors."""
    return sum(
        int(tensor.nbytes) for layer in cache.layers for tensor in (layer.keys, layer.values, layer.cumulative_length)
    )
