"""Tiny twins of every family: random weights in the layout of the hub, with tokenizers like those of the originals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.utils import logging

from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.families import family_of

QUERIES, SIZE, WORDS = 5, 56, 300
# Words that the tokenizers are trained to have; what a processor adds comes after them.
_TRAINED = 290

_VISION = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIZE,
    "patch_size": 14,
}
_QFORMER = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "encoder_hidden_size": 24,
    "cross_attention_frequency": 2,
}
_T5 = {
    "model_type": "t5",
    "vocab_size": WORDS,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 3,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
}
# As the hub's Vicuna has them: none of its tokenizer's, whose end token is 2.
_LLAMA = {
    "model_type": "llama",
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": _TRAINED,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
_OPT = {
    "model_type": "opt",
    "vocab_size": WORDS,
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 4,
}


def _config(kind: str, text: Mapping[str, Any]) -> dict[str, Any]:
    part = kind.replace("-", "_")
    return {
        "model_type": kind,
        "image_token_index": _TRAINED + (text["model_type"] == "llama"),
        "num_query_tokens": QUERIES,
        "vision_config": {"model_type": f"{part}_vision_model", **_VISION},
        "qformer_config": {"model_type": f"{part}_qformer", **_QFORMER},
        "text_config": dict(text),
    }


CONFIGS = {
    "instructblip-t5": _config("instructblip", _T5),
    "instructblip-vicuna": _config("instructblip", _LLAMA),
    "blip2-t5": _config("blip-2", _T5),
    "blip2-opt": _config("blip-2", _OPT),
}
DECODER_ONLY = ("instructblip-vicuna", "blip2-opt")


def save_twin(name: str, folder: Path) -> None:
    """A checkpoint in the hub's layout, weights, generation settings, processor and all."""
    logging.disable_progress_bar()
    config = CONFIGS[name]
    family = family_of(config)
    model = build_random(config, "cpu", "float32")
    with torch.no_grad():
        for path, parameter in model.language_model.named_parameters():
            if path.endswith(("o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight")):
                # So that the prompt tells in the answer, and not the last token alone.
                parameter.mul_(8)
    text = config["text_config"]
    settings = GenerationConfig(**{key: value for key, value in text.items() if key.endswith("_token_id")})
    model.generation_config = model.language_model.generation_config = settings
    model.save_pretrained(folder)
    processor = family.processor(config, BlipImageProcessorPil(size={"height": SIZE, "width": SIZE}), _tokenizers(name))
    processor.save_pretrained(folder)


def _tokenizers(name: str) -> dict[str, Any]:
    specials = {
        "t5": ["<pad>", "</s>", "<unk>"],
        "vicuna": ["<unk>", "<s>", "</s>"],
        "opt": ["<s>", "<pad>", "</s>", "<unk>"],
    }[name.partition("-")[2]]
    own = _tokenizer(specials, ends=name.endswith("t5"), starts="<s>" if name.endswith("vicuna") else "</s>")
    own.add_tokens(["[PAD]"] if name.endswith("vicuna") else [])
    own.pad_token = "[PAD]" if name.endswith("vicuna") else "<pad>"
    if not name.startswith("instructblip"):
        return {"tokenizer": own}
    bert = _tokenizer(["[PAD]", "[CLS]", "[SEP]", "<unk>"], ends=True, starts="[CLS]", end="[SEP]")
    bert.pad_token = "[PAD]"
    return {"tokenizer": own, "qformer_tokenizer": bert}


def _tokenizer(specials: list[str], *, ends: bool, starts: str, end: str = "</s>") -> Any:
    """Bytes and a few merges; texts begin with `starts`, or end with `end` as T5's do."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    # A line feed comes first after the special tokens: OPT's answers end with it.
    trainer = trainers.BpeTrainer(
        vocab_size=_TRAINED,
        special_tokens=[*specials, "Ċ"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["what is written on the sign?", "a short image description."], trainer)
    template = f"$A {end}" if ends and starts != "[CLS]" else f"{starts} $A {end}" if ends else f"{starts} $A"
    named = [token for token in (starts, end) if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, tokenizer.token_to_id(token)) for token in named]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, unk_token="<unk>", model_input_names=["input_ids", "attention_mask"]
    )
