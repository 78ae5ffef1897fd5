"""The interface of a family: everything that is true of one architecture and not of every checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.families.placing import pieces_of, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.families.runner import Part
    from blip_fixtures.words import Component, Phase


class InputError(RuntimeError):
    """Processor inputs that the model would silently misread."""


@dataclass(frozen=True)
class Vocabulary:
    """One tokenizer of a processor: the processor's argument for it and its folder in a checkpoint.

    The rest is what a generic one must keep to where a checkpoint has none: the number of its ids, those that stand for
    something else, and whether a text begins and ends with a token of its own.
    """

    argument: str
    subfolder: str
    size: int
    reserved: tuple[int, ...] = ()
    cls: bool = False
    end: bool = True


@dataclass(frozen=True)
class TokenizedPrompts:
    """The prompts of one batch as the model reads them.

    `inputs` maps names of `generate`'s arguments to token ids and masks (batch, tokens). `text_tokens` counts each
    prompt's tokens for the language model, without query tokens and padding; `qformer_tokens` those of every row in the
    Q-Former, after padding, and is 0 where it reads no text; `truncated` says whose prompt was cut.
    """

    inputs: dict[str, Any]
    text_tokens: tuple[int, ...]
    qformer_tokens: int
    truncated: tuple[bool, ...]


@dataclass(frozen=True)
class Step:
    """A part of a walk: `run` does on the meta device what a real call does in `phase`.

    `held_bytes` are those of an earlier phase's result that stays alive while it runs.
    """

    phase: Phase
    run: Callable[[], object]
    held_bytes: int = 0


class Walk(ABC):
    """One `generate` call on the meta device, phase by phase. Token counts are padded lengths.

    Nothing runs before a step's `run` is called, so that whoever counts can watch it.
    """

    @abstractmethod
    def vision(self, batch_size: int, image_size: int) -> Step:
        """The vision encoder on images of `image_size` pixels a side."""

    @abstractmethod
    def qformer(self, batch_size: int, image_size: int, text_tokens: int) -> Step:
        """The Q-Former and the projection behind it; `text_tokens` are those that the Q-Former reads."""

    @abstractmethod
    def language(self, batch_size: int, text_tokens: int, beams: int = 1) -> Iterator[Step]:
        """The prefill with the first token, then one step for each later token, without end.

        Each must run before the next is asked for. `text_tokens` do not count the query tokens.
        """

    @abstractmethod
    def ranking(self, batch_size: int, text_tokens: int, options: int, option_tokens: int) -> Iterator[Step]:
        """What takes the place of `language` where options are ranked: so many in the whole batch, padded so long."""


@dataclass(frozen=True)
class PromptRoom:
    """The longest prompt that a model takes: its text tokens, and the part whose positions end there."""

    text_tokens: int
    part: str


class Family(ABC):
    """What is true of one architecture. An instance holds no state; torch and transformers are imported in methods."""

    # How often the language model runs where options are ranked.
    ranking_steps: int
    # What tells it from others where a protocol differs: members of `FamilyKind`.
    kinds: tuple[str, ...]
    # The parts of the configuration whose attention can be chosen; "" is the whole.
    attention_parts: tuple[str, ...]
    # The names of `generate`'s arguments that a batch fills.
    input_names: tuple[str, ...]

    @abstractmethod
    def is_of(self, config: Mapping[str, Any]) -> bool:
        """Whether a ``config.json`` names the types of this family's model and language model."""

    @abstractmethod
    def why_not(self, config: Mapping[str, Any], named: str) -> str | None:
        """Why no model can be made of a ``config.json`` of this family, or `None`.

        The sentence calls the checkpoint `named`.
        """

    @abstractmethod
    def config_class(self) -> Any:
        """Transformers' class of the configuration."""

    @abstractmethod
    def model_class(self) -> Any:
        """Transformers' class of the model."""

    @abstractmethod
    def query_tokens(self, config: Mapping[str, Any]) -> int:
        """Query vectors that the Q-Former hands to the language model: the image tokens of a prompt."""

    @abstractmethod
    def image_token_id(self, config: Mapping[str, Any]) -> int:
        """The token that stands for a query vector in a prompt."""

    @abstractmethod
    def prompt_room(self, config: Mapping[str, Any], new_tokens: int = 1) -> PromptRoom:
        """The longest prompt that there are positions for, with `new_tokens` of an answer after it."""

    @abstractmethod
    def cache_token_bytes(self, config: Mapping[str, Any], itemsize: int) -> int:
        """Bytes of one token's keys and values in all layers; `itemsize` is the bytes of one number."""

    @abstractmethod
    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        """The tokenizers of the processor."""

    @abstractmethod
    def processor(self, config: Mapping[str, Any], image_processor: Any, tokenizers: Mapping[str, Any]) -> Any:
        """The processor, from its parts; `tokenizers` has the arguments that `vocabularies` names."""

    @abstractmethod
    def tokenize(
        self, config: Mapping[str, Any], processor: Any, texts: Sequence[str], text_limit: int
    ) -> TokenizedPrompts:
        """Token ids and masks of one batch, padded to its longest prompt, with the image tokens in their place.

        No prompt has more than `text_limit` text tokens, whoever reads it. Raises `InputError`.
        """

    @abstractmethod
    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """Where the answer stands in a row of what `generate` returned for `inputs`."""

    @abstractmethod
    def penalty(self, factor: float, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `generate` that punish repetition within an answer by `factor`; none for a factor of 1."""

    @abstractmethod
    def tokenize_options(self, processor: Any, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
        """The options of each sample as inputs of `rank` (`ranking.NAMES`). Raises `ValueError` for an empty one."""

    @abstractmethod
    def rank(self, model: Any, inputs: Mapping[str, Any], *, interpolate_pos_encoding: bool) -> Any:
        """The log-likelihood of each option (samples, most options), by the rules of `ranking.py`.

        `inputs` are those of `generate` and of `tokenize_options`.
        """

    @abstractmethod
    def generation_config(self, model: Any) -> Any:
        """The generation settings that `model` follows; of a model within a model both have some."""

    def end_as_tokenizer(self, model: Any, processor: Any) -> None:
        """Let the answers of a loaded model end where its processor's tokenizer says, where its configuration errs."""
        del model, processor

    def end_tokens(self, model: Any) -> tuple[int, ...]:
        """The tokens that end an answer: one or several."""
        return end_tokens_of(self.generation_config(model))

    @abstractmethod
    def components(self, model: Any) -> dict[Component, Any]:
        """The modules of `model` that attend, those that it has."""

    @abstractmethod
    def parts(self, model: Any) -> dict[Part, Any]:
        """The modules of `model` whose end marks the end of a part."""

    @abstractmethod
    def block_lists(self) -> Sequence[str]:
        """The paths of the lists of blocks in a model, which several cards share; the last one's blocks have a cache.

        A block is never taken apart.
        """

    @abstractmethod
    def hands_back(self) -> Sequence[str]:
        """The paths of the modules whose results are put together: on several cards each returns its to the first."""

    @abstractmethod
    def part_of(self, path: str) -> Part:
        """The part of a call in which the module or tensor at `path` works."""

    def device_map(self, model: Any, shares: Sequence[float]) -> dict[str, int]:
        """Path of a module or tensor of `model`, which may be on the meta device -> number of its card.

        `shares` are as the memory of the cards. Every tensor is in one of them.
        """
        return spread(pieces_of(model, self.block_lists()), shares)

    @abstractmethod
    def pixel_dtype(self, model: Any) -> Any:
        """The torch dtype that the vision encoder of `model` computes in."""

    @abstractmethod
    def walk(self, model: Any) -> Walk:
        """A walk over the phases of `model`, which is on the meta device."""

    @abstractmethod
    def read_for_every_token(self, path: str) -> bool:
        """Whether the layer at `path` in the model is read in every decoder step."""

    @abstractmethod
    def compiled_runner(self, model: Any, *, cuda: bool) -> CompiledRunner:
        """Compiled generation of a loaded model."""

    @abstractmethod
    def complete(self, model: Any, config: Mapping[str, Any]) -> None:
        """Give a model that was built from `config` on the meta device what only loading its weights would give it."""

    @abstractmethod
    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """The standard deviation of the synthetic weights at path `name`; `None` for that of every family."""

    @abstractmethod
    def synthetic_buffer(self, model: Any, name: str, device: str) -> Any | None:
        """The values of the buffer at path `name` of `model` on `device`, or `None` where no rule fills it."""

    @abstractmethod
    def set_generation(self, model: Any, config: Mapping[str, Any]) -> None:
        """Give a model with synthetic weights the generation settings of `config`, which no file brings."""


def end_tokens_of(settings: Any) -> tuple[int, ...]:
    """The tokens that end an answer by settings of generation, which hold one or several."""
    found = settings.eos_token_id
    return (found,) if isinstance(found, int) else tuple(found)
