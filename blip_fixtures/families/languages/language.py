"""What a language model is to a family: how it reads a prompt, where its answer stands, what it keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from blip_fixtures.families.bridges.bridge import Bridge
    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.families.family import PromptRoom, Step
    from blip_fixtures.families.ranking import Options
    from blip_fixtures.families.settings import Rules
    from blip_fixtures.words import Component, FamilyKind


class Language(ABC):
    """The other half of a family. An instance holds no state; torch and transformers are imported in methods.

    `text` is the ``text_config`` of a configuration, `rules` its settings. `padding_side` is where short prompts of a
    batch are filled up. `block_lists` and `hands_back` are as in `Family`: paths in the whole model.
    """

    model_type: ClassVar[str]
    kind: ClassVar[FamilyKind]
    padding_side: ClassVar[str]
    rules: ClassVar[Rules]
    block_lists: ClassVar[tuple[str, ...]]
    hands_back: ClassVar[tuple[str, ...]]
    # What stands between a prompt and an option after it, where the tokenizer does not put it there itself.
    option_begins: ClassVar[str] = ""
    # How often it runs where options are ranked.
    ranking_steps: ClassVar[int] = 1

    @abstractmethod
    def why_unfit(self, text: Mapping[str, Any]) -> str | None:
        """Which of its settings do not fit one another, as part of a sentence; `None` where all do."""

    @abstractmethod
    def prompt_room(self, text: Mapping[str, Any], beside: int) -> PromptRoom:
        """The longest prompt that it has positions for, with `beside` other positions."""

    @abstractmethod
    def cache_token_numbers(self, text: Mapping[str, Any]) -> int:
        """Numbers in one token's keys and values, in all layers."""

    @abstractmethod
    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """Where the answer stands in a row of what `generate` returned for `inputs`."""

    def end_as_tokenizer(self, settings: Any, tokenizer: Any) -> None:
        """Let answers end at the tokenizer's end token, where the model's own `settings` of generation err."""
        del settings, tokenizer

    @abstractmethod
    def penalty(self, factor: float, prompt_tokens: int) -> dict[str, Any]:
        """As `Family.penalty`, for a `factor` other than 1 and prompts of so many tokens, padding among them."""

    @abstractmethod
    def components(self, model: Any) -> dict[Component, Any]:
        """The modules of the language model that attend."""

    @abstractmethod
    def walk(self, model: Any, embeddings: Any, beams: int) -> Iterator[Step]:
        """As `Walk.language`; `embeddings` (batch, positions, width) are on the meta device."""

    @abstractmethod
    def ranking(self, model: Any, embeddings: Any, options: Options) -> Iterator[Step]:
        """As `Walk.ranking`."""

    @abstractmethod
    def rank(self, model: Any, embeddings: Any, mask: Any, input_ids: Any, options: Options) -> Any:
        """The log-likelihood of each option (options,).

        `embeddings` (batch, positions, width) are query vectors and prompt, `mask` and `input_ids` (batch, positions)
        what they were made of.
        """

    @abstractmethod
    def read_for_every_token(self, path: str) -> bool:
        """Whether the layer at `path` in the whole model is read in every decoder step."""

    @abstractmethod
    def compiled_runner(self, model: Any, bridge: Bridge, *, cuda: bool) -> CompiledRunner:
        """Compiled generation of a loaded model."""

    def complete(self, model: Any, text: Mapping[str, Any]) -> None:
        """As `Family.complete`."""
        del model, text

    @abstractmethod
    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """As `Family.synthetic_std`."""

    def synthetic_buffer(self, module: Any, leaf: str, device: str) -> Any | None:
        """The values of the buffer called `leaf` of one of its modules, or `None` where no rule fills it."""
        del module, leaf, device
        return None

    @abstractmethod
    def special_tokens(self, text: Mapping[str, Any]) -> dict[str, Any]:
        """Padding, end and start as settings of generation, for a model without a file of them."""
