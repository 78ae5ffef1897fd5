"""The architecture, the tokenizers and the processor of `instructblip-tiny`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    PreTrainedTokenizerFast,
    T5Config,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from blip_fixtures.case import PRESETS
from blip_fixtures.data.prompts import find_prompts
from tools.tiny.questions import (
    CAPTION_QUESTION,
    COLOR_MEANINGS,
    COLOR_QUESTIONS,
    FACT_QUESTIONS,
    FACTS,
    FILLERS,
    READING_QUESTIONS,
    SHAPE_MEANINGS,
    SHAPE_QUESTIONS,
    captions,
)
from tools.tiny.world import BACKGROUNDS, COLORS, NUMBERS, SHAPES, WORDS, shape_scene

FOLDER = Path("blip_fixtures/checkpoints/instructblip-tiny")
QUERY_TOKENS = 16
HIDDEN = 128
IMAGE_SIZES = (224, 336, 448)
PATCH = 28
TEXT_LIMIT = 256
"""Longest text in tokens that the model was trained on."""

PAD, END, UNKNOWN, START, IMAGE = "<pad>", "</s>", "<unk>", "<s>", "<image>"
_SPECIAL = (PAD, END, UNKNOWN, START, IMAGE)


def vocabulary() -> dict[str, int]:
    """Every word that a prompt or an answer can hold, with its token id. Special tokens come first."""
    texts: list[str] = [CAPTION_QUESTION, *COLOR_QUESTIONS, *SHAPE_QUESTIONS, *FILLERS, *WORDS, *NUMBERS, *SHAPES]
    texts += [*COLORS, *BACKGROUNDS, *COLOR_MEANINGS.values(), *SHAPE_MEANINGS.values(), *FACT_QUESTIONS.values()]
    texts += [*FACTS, *(word for words in FACTS.values() for word in words)]
    texts += [question for questions in READING_QUESTIONS.values() for question in questions]
    rng = Random(0)
    texts += [caption for pair in (False, True) * 20 for caption in captions(shape_scene(rng, pair=pair))]
    texts += [part for preset in PRESETS for prompt in find_prompts(preset).prompts.values() for part in prompt.parts]
    texts += [*"abcde", *"01234", "( ) . , : ? ' -"]
    without_fields = (re.sub(r"{\w*}", " ", text.lower()) for text in texts)
    words = {word for text in without_fields for word in re.findall(r"\w+|[^\w\s]", text)}
    return {token: i for i, token in enumerate((*_SPECIAL, *sorted(words)))}


def build_tokenizer(prefix: str = "") -> PreTrainedTokenizerFast:
    """A word-level tokenizer; a text becomes `prefix` (if any), its lowercased words, and the end token."""
    words = vocabulary()
    tokenizer = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{prefix} $A {END}".strip(), special_tokens=[(token, words[token]) for token in (START, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        bos_token=START,
        model_max_length=512,
        padding_side="right",
        truncation_side="right",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def build_processor() -> InstructBlipProcessor:
    """Pictures to 224 x 224, texts for the Q-Former and for the language model."""
    return InstructBlipProcessor(
        image_processor=BlipImageProcessorPil(size={"height": 224, "width": 224}),
        tokenizer=build_tokenizer(),
        qformer_tokenizer=build_tokenizer(prefix=START),
        num_query_tokens=QUERY_TOKENS,
    )


def build_config() -> InstructBlipConfig:
    """Vision encoder of 3 layers, Q-Former of 2 layers, T5 of 2 + 2 layers, all 128 wide."""
    words = vocabulary()
    size = math.ceil(len(words) / 8) * 8
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            hidden_size=HIDDEN,
            intermediate_size=4 * HIDDEN,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=224,
            patch_size=PATCH,
            initializer_range=0.02,
        ),
        qformer_config=InstructBlipQFormerConfig(
            vocab_size=size,
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=3 * HIDDEN,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            cross_attention_frequency=1,
            max_position_embeddings=512,
        ),
        text_config=T5Config(
            vocab_size=size,
            d_model=HIDDEN,
            d_kv=32,
            d_ff=4 * HIDDEN,
            num_layers=2,
            num_decoder_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=words[PAD],
            eos_token_id=words[END],
        ),
        num_query_tokens=QUERY_TOKENS,
        image_token_index=words[IMAGE],
    )
    config.text_config.decoder_start_token_id = words[PAD]  # type: ignore[union-attr]
    return config


def build_model(seed: int = 0) -> InstructBlipForConditionalGeneration:
    """The untrained model, ready for training."""
    torch.manual_seed(seed)
    model = InstructBlipForConditionalGeneration(build_config())
    with torch.no_grad():
        # Queries start as zeros and have no positions: they would stay equal to each other.
        model.query_tokens.normal_(std=0.5)
        # Waves over the picture survive the interpolation to other image sizes; random vectors do not.
        model.vision_model.embeddings.position_embedding[:, 1:] = _wave_positions(224 // PATCH)
    return model


def _wave_positions(grid: int) -> torch.Tensor:
    """Sines and cosines of row and column, of shape (grid * grid, HIDDEN)."""
    where = (torch.arange(grid) + 0.5) / grid
    frequencies = math.pi * torch.logspace(-0.3, math.log10(grid / 2), HIDDEN // 4)
    waves = torch.cat([torch.sin(where[:, None] * frequencies), torch.cos(where[:, None] * frequencies)], dim=1)
    rows = waves[:, None, :].expand(grid, grid, -1)
    columns = waves[None, :, :].expand(grid, grid, -1)
    return 0.5 * torch.cat([rows, columns], dim=-1).reshape(grid * grid, HIDDEN)


def save(model: InstructBlipForConditionalGeneration, folder: Path) -> None:
    """Write model (in fp16) and processor in the layout of the Hugging Face hub."""
    folder.mkdir(parents=True, exist_ok=True)
    half = InstructBlipForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    build_processor().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
