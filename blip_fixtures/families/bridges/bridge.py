"""What a bridge is: the vision encoder, the Q-Former and the projection of one kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.bounds import MOST_OF_AXIS
from blip_fixtures.families.family import PromptRoom, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.families.settings import Rules
    from blip_fixtures.words import FamilyKind

# Of a part that has no end of its own: as much as a case may ask for.
ANY_LENGTH = MOST_OF_AXIS["sequence_length"]


class Bridge(ABC):
    """One half of a family. An instance holds no state; torch and transformers are imported in methods.

    `model_type` is that of the whole model, `input_names` are the arguments of `generate` that its Q-Former reads the
    prompt from, `rules` its settings by part and `whole` those of the configuration as a whole.
    """

    model_type: ClassVar[str]
    # The name of transformers' class of the model, as a configuration holds it.
    architecture: ClassVar[str]
    kind: ClassVar[FamilyKind]
    input_names: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[Mapping[str, Rules]]
    whole: ClassVar[Rules] = {}

    @abstractmethod
    def config_class(self) -> Any:
        """Transformers' class of the configuration."""

    @abstractmethod
    def model_class(self) -> Any:
        """Transformers' class of the model."""

    @abstractmethod
    def processor_class(self) -> Any:
        """Transformers' class of the processor."""

    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        """The tokenizers that the Q-Former needs."""
        del config
        return ()

    def prompt_room(self, config: Mapping[str, Any]) -> PromptRoom:
        """The longest prompt that the Q-Former reads."""
        del config
        return PromptRoom(ANY_LENGTH, "the Q-Former")

    def read_prompts(self, processor: Any, texts: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
        """The Q-Former's inputs by the names `input_names`; `settings` are the tokenizer's."""
        del processor, texts, settings
        return {}

    def empty_prompts(self, batch_size: int, text_tokens: int, device: str) -> tuple[Any, ...]:
        """Inputs of that shape, in the order of `input_names`."""
        del batch_size, text_tokens, device
        return ()

    @abstractmethod
    def queries(self, model: Any, image: Any, *prompts: Any) -> Any:
        """Query vectors as the language model reads them (batch, query tokens, width of the language model).

        `image` are the vision encoder's features (batch, patches, width), `prompts` what `input_names` names.
        """
