"""The family's architectures as data: what `--blip-weights random` builds and the FLOPs command counts, offline.

Adding a checkpoint is one entry in `CATALOG`: its hub id and its full configuration, in the layout of the hub's
``config.json``. The values are those of the published configurations (EVA-CLIP ViT-g/14, a BERT-base Q-Former with
cross-attention in every second layer, Flan-T5).
"""

from __future__ import annotations

import copy
from typing import Any

_VISION: dict[str, Any] = {
    "model_type": "instructblip_vision_model",
    "hidden_size": 1408,
    "intermediate_size": 6144,
    "num_hidden_layers": 39,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "attention_dropout": 0.0,
    "initializer_range": 1e-10,
    "qkv_bias": True,
}

_QFORMER: dict[str, Any] = {
    "model_type": "instructblip_qformer",
    "vocab_size": 30523,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "cross_attention_frequency": 2,
    "encoder_hidden_size": 1408,
}


def _flan_t5(*, d_model: int, d_ff: int, num_heads: int) -> dict[str, Any]:
    return {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": d_model,
        "d_kv": 64,
        "d_ff": d_ff,
        "num_layers": 24,
        "num_decoder_layers": 24,
        "num_heads": num_heads,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "feed_forward_proj": "gated-gelu",
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "tie_word_embeddings": False,
    }


def _instructblip(text_config: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["InstructBlipForConditionalGeneration"],
        "model_type": "instructblip",
        "image_token_index": 32100,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "num_query_tokens": 32,
        "vision_config": _VISION,
        "qformer_config": _QFORMER,
        "text_config": text_config,
        "use_decoder_only_language_model": False,
    }


CATALOG: dict[str, dict[str, Any]] = {
    "Salesforce/instructblip-flan-t5-xl": _instructblip(_flan_t5(d_model=2048, d_ff=5120, num_heads=32)),
    "Salesforce/instructblip-flan-t5-xxl": _instructblip(_flan_t5(d_model=4096, d_ff=10240, num_heads=64)),
}


def catalog_config(model: str) -> dict[str, Any] | None:
    """A copy of the configuration of the hub id `model`, or `None` where the catalog has no such entry."""
    config = CATALOG.get(model)
    return None if config is None else copy.deepcopy(config)
