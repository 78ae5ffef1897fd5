"""Compiled generation: every part of the model is a compiled graph, decoding one graph over a static cache.

transformers' `generate` calls the parts of a model that was compiled as a whole without entering the compiled graph, so
greedy decoding is spelled out here: for the same inputs it takes the tokens that `generate` takes. Lengths of prompts
are dynamic in the graphs; the keys and values of the prompt lie in buffers as long as the longest prompt, so that a
decoder step has one shape for all prompts. Nothing is compiled anew once the first batch of a case has passed.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._dynamo.exc import TorchDynamoException as DynamoError
from torch._inductor.exc import InductorError
from transformers import StaticCache
from transformers.cache_utils import EncoderDecoderCache

from blip_fixtures.checkpoints.runner import QFORMER, STEP, VISION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Buffers end at a multiple of it, as vector instructions and tensor cores like.
_MULTIPLE = 8
# What makes code of the graphs.
BACKEND = "inductor"
# Of a compiler's message: enough for its cause, without the whole trace.
_SAID = 300


class CompileError(RuntimeError):
    """A part of the model that torch cannot compile into one graph."""


@dataclass(frozen=True)
class DynamoCounts:
    """What torch's compiler has done in this process so far."""

    graphs: int
    graph_breaks: int

    @classmethod
    def now(cls) -> DynamoCounts:
        """From dynamo's own counters."""
        from torch._dynamo.utils import counters

        return cls(int(counters["stats"]["unique_graphs"]), sum(counters["graph_break"].values()))

    def since(self, earlier: DynamoCounts) -> DynamoCounts:
        """The difference."""
        return DynamoCounts(self.graphs - earlier.graphs, self.graph_breaks - earlier.graph_breaks)


@dataclass
class _Buffers:
    """What a decoder step works on, of one shape for every prompt."""

    cache: Any
    mask: Any
    # The decoder asks for the encoder's states though their keys and values are in the cache; only the shape is read.
    states: Any


class CompiledRunner:
    """Greedy generation of one loaded model through compiled parts.

    `prepare` comes before the first batch of a case: what an earlier case compiled is thrown away, so that each case
    compiles its own shapes alone.
    """

    def __init__(self, model: Any, cuda: bool) -> None:
        self._model = model
        self._cuda = cuda
        self._note: Callable[[str], None] = lambda _part: None
        self._text_limit = 0
        self._prepared = self.compiled_first = DynamoCounts(0, 0)
        self.compile_s = 0.0
        self._buffers: dict[tuple[int, int], _Buffers] = {}

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self._model.config

    @property
    def compiled_later(self) -> DynamoCounts:
        """What was compiled since `prepare`; nothing, where all is well."""
        return DynamoCounts.now().since(self._prepared)

    def prepare(self, text_limit: int, call: Callable[[], object]) -> None:
        """Start anew for prompts of at most `text_limit` text tokens; `call` generates once, which compiles.

        Its seconds less those of a second call are the compile time. Raises `CompileError` where a part of the model
        cannot be compiled into one graph.
        """
        if torch._dynamo.config.disable:
            raise CompileError("torch's compiler is switched off; unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE")
        torch._dynamo.reset()
        before = DynamoCounts.now()
        self._text_limit = text_limit
        self._buffers.clear()
        self._vision = self._compiled(self._vision_part)
        self._qformer = self._compiled(self._qformer_part)
        self._encode = self._compiled(self._encoder_part)
        self._fill_cross = self._compiled(self._cross_part)
        self._step = self._compiled(self._step_part, cuda_graphs=self._cuda)
        try:
            with warnings.catch_warnings():
                # torch 2.13's compiler calls what torch 2.13 deprecates.
                warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
                first_s, second_s = _seconds(call), _seconds(call)
        except (DynamoError, InductorError) as error:
            said = " ".join(str(error).split())
            raise CompileError(f"torch could not compile the model ({type(error).__name__}: {said[:_SAID]})") from error
        self.compile_s = first_s - second_s
        self._prepared = DynamoCounts.now()
        self.compiled_first = self._prepared.since(before)

    def close(self) -> None:
        """Compiled code and its guards hold the model for as long as the process lives."""
        torch._dynamo.reset()
        self._buffers.clear()

    @contextlib.contextmanager
    def parts_ended(self, note: Callable[[str], None]) -> Iterator[None]:
        """Called from between the graphs, so that no graph changes."""
        self._note = note
        try:
            yield
        finally:
            self._note = lambda _part: None

    @torch.no_grad()
    def generate(
        self,
        *,
        pixel_values: Any,
        qformer_input_ids: Any,
        qformer_attention_mask: Any,
        input_ids: Any,
        attention_mask: Any,
        interpolate_pos_encoding: bool,
        max_new_tokens: int,
        min_new_tokens: int | None,
        do_sample: bool,
        num_beams: int,
        length_penalty: float = 1.0,
    ) -> Any:
        """Token ids (batch, 1 + tokens). Raises `ValueError` where anything but greedy decoding is asked for."""
        if do_sample or num_beams != 1 or length_penalty != 1:
            raise ValueError("compiled generation is greedy; choose another optimization for sampling or beams")
        image = self._vision(pixel_values, interpolate_pos_encoding)
        self._note(VISION)
        features = self._qformer(image, *_any_length(qformer_input_ids, qformer_attention_mask))
        self._note(QFORMER)
        states, buffers = self._prefill(features, input_ids, attention_mask, max_new_tokens)
        return self._decode(buffers, states.shape[0], max_new_tokens, min_new_tokens or 0)

    def _prefill(self, features: Any, input_ids: Any, attention_mask: Any, limit: int) -> tuple[Any, _Buffers]:
        """The encoder's states, and buffers with their keys and values and an empty cache of the answer."""
        embeddings = self._model.get_input_embeddings()(input_ids)
        places = (input_ids == self.config.image_token_index)[..., None]
        embeddings = embeddings.masked_scatter(places, features.to(embeddings.dtype))
        states = self._encode(*_any_length(embeddings, attention_mask.clone()))
        buffers = self._buffers_for(states, limit)
        cross = buffers.cache.cross_attention_cache.layers
        self._fill_cross(*_any_length(states), [layer.keys for layer in cross], [layer.values for layer in cross])
        buffers.mask.zero_()
        buffers.mask[:, : attention_mask.shape[1]] = attention_mask
        for layer in buffers.cache.self_attention_cache.layers:
            layer.cumulative_length.zero_()
        return states, buffers

    def _decode(self, buffers: _Buffers, batch: int, limit: int, least: int) -> Any:
        settings = self._model.generation_config
        device = buffers.mask.device
        end = torch.tensor(_first(settings.eos_token_id), device=device)
        padding = torch.tensor(settings.pad_token_id, device=device)
        token = torch.full((batch, 1), settings.decoder_start_token_id, dtype=torch.long, device=device)
        unfinished = torch.ones(batch, dtype=torch.bool, device=device)
        too_early, not_too_early = torch.tensor(True, device=device), torch.tensor(False, device=device)
        tokens = [token]
        for step in range(limit):
            if self._cuda:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch is typed in part
            ends_too_early = too_early if step < least else not_too_early
            token, unfinished = self._step(token, buffers, ends_too_early, unfinished, end, padding)
            if self._cuda:
                # A CUDA graph writes every step's results to the same place.
                token, unfinished = token.clone(), unfinished.clone()
            self._note(STEP)
            tokens.append(token)
            if least < step + 1 < limit and not unfinished.any():
                break
        return torch.cat(tokens, dim=1)

    def _buffers_for(self, states: Any, limit: int) -> _Buffers:
        batch = states.shape[0]
        if (batch, limit) not in self._buffers:
            text = self._model.language_model.config
            # Longer than any prompt, so that a part of it is what each prompt fills.
            room = self._text_limit + self.config.num_query_tokens + 1
            room = -(-room // _MULTIPLE) * _MULTIPLE
            caches = []
            for length in (limit, room):
                cache = StaticCache(config=self._model.language_model.decoder.config, max_cache_len=length)
                cache.early_initialization(
                    batch_size=batch,
                    num_heads=text.num_heads,
                    head_dim=text.d_kv,
                    dtype=states.dtype,
                    device=states.device,
                )
                caches.append(cache)
            both = EncoderDecoderCache(*caches)
            both.is_updated = dict.fromkeys(range(len(caches[0].layers)), True)
            self._buffers[batch, limit] = _Buffers(
                cache=both,
                mask=torch.zeros(batch, room, dtype=torch.long, device=states.device),
                states=torch.zeros(batch, room, text.d_model, dtype=states.dtype, device=states.device),
            )
        return self._buffers[batch, limit]

    def _compiled(self, part: Callable[..., Any], *, cuda_graphs: bool = False) -> Callable[..., Any]:
        """One graph without a break; what cannot be one raises."""
        options: dict[str, Any] | None = {"triton.cudagraphs": True} if cuda_graphs else None
        return torch.compile(part, fullgraph=True, dynamic=False, backend=BACKEND, options=options)

    def _vision_part(self, pixels: Any, interpolate: bool) -> Any:
        return self._model.vision_model(pixels, interpolate_pos_encoding=interpolate).last_hidden_state

    def _qformer_part(self, image: Any, ids: Any, mask: Any) -> Any:
        queries = self._model.query_tokens.expand(image.shape[0], -1, -1)
        mask = torch.cat([mask.new_ones(queries.shape[:-1]), mask], dim=1)
        output = self._model.qformer(
            input_ids=ids,
            attention_mask=mask,
            query_embeds=queries,
            encoder_hidden_states=image,
            encoder_attention_mask=mask.new_ones(image.shape[:-1]),
        )
        return self._model.language_projection(output.last_hidden_state[:, : queries.shape[1]])

    def _encoder_part(self, embeddings: Any, mask: Any) -> Any:
        encoder = self._model.language_model.encoder
        return encoder(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state

    def _cross_part(self, states: Any, keys: list[Any], values: list[Any]) -> None:
        """The keys and values of the prompt, into the static buffers (batch, heads, room, head size)."""
        length = states.shape[1]
        blocks = self._model.language_model.decoder.block
        for block, layer_keys, layer_values in zip(blocks, keys, values, strict=True):
            attention = block.layer[1].EncDecAttention
            shape = (*states.shape[:-1], -1, attention.key_value_proj_dim)
            layer_keys[:, :, :length].copy_(attention.k(states).view(shape).transpose(1, 2))
            layer_values[:, :, :length].copy_(attention.v(states).view(shape).transpose(1, 2))

    def _step_part(
        self, token: Any, buffers: _Buffers, ends_too_early: Any, unfinished: Any, end: Any, padding: Any
    ) -> tuple[Any, Any]:
        """The next token of each row (batch, 1), padding behind its end, and which rows go on."""
        language = self._model.language_model
        hidden = language.decoder(
            input_ids=token,
            encoder_hidden_states=buffers.states,
            encoder_attention_mask=buffers.mask,
            past_key_values=buffers.cache,
            use_cache=True,
        ).last_hidden_state
        if getattr(language.config, "scale_decoder_outputs", language.config.tie_word_embeddings):
            hidden = hidden * language.model_dim**-0.5
        scores = language.lm_head(hidden)[:, -1].float()
        is_end = torch.arange(scores.shape[-1], device=scores.device) == end
        scores = torch.where(is_end & ends_too_early, float("-inf"), scores)
        chosen = torch.where(unfinished, scores.argmax(dim=-1), padding)
        return chosen[:, None], unfinished & (chosen != end)


def _any_length(*tensors: Any) -> tuple[Any, ...]:
    """The same tensors, whose second dimension the graphs shall leave open."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 1)
    return tensors


def _seconds(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def skipped_cuda_graphs() -> int:
    """How many compiled graphs of this process could not be recorded as CUDA graphs."""
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["cudagraph_skips"])


def token_agreement(tokens: Any, others: Any) -> float:
    """The share of equal tokens of two results, the shorter one padded."""
    length = max(tokens.shape[1], others.shape[1])
    first, second = (torch.nn.functional.pad(one, (0, length - one.shape[1])) for one in (tokens, others))
    return float((first[:, 1:] == second[:, 1:]).double().mean())


def _first(token_id: int | list[int]) -> int:
    return token_id if isinstance(token_id, int) else token_id[0]
