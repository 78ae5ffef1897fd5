"""The family's architectures as data: what `--blip-weights random` builds and the FLOPs command counts, offline.

Adding a checkpoint is one entry in `CATALOG`: its hub id and its full configuration, in the layout of the hub's
``config.json``. The values are those of the published configurations: EVA-CLIP ViT-g/14, a BERT-base Q-Former with
cross-attention in every second layer, and Flan-T5, Vicuna 1.1 or OPT. BLIP-2 tuned on COCO captions (``-coco``) reads
larger images. There is no ``blip2-flan-t5-xxl-coco``.
"""

from __future__ import annotations

import copy
from typing import Any

_VISION: dict[str, Any] = {
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


def _vicuna(*, hidden_size: int, intermediate_size: int, layers: int, heads: int) -> dict[str, Any]:
    """Its end token 1 is none of its tokenizer's, whose end token is 2."""
    return {
        "model_type": "llama",
        "vocab_size": 32064,
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "use_cache": True,
        "pad_token_id": 32000,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": False,
    }


def _opt(*, hidden_size: int, ffn_dim: int) -> dict[str, Any]:
    """Its end token is a line feed."""
    return {
        "model_type": "opt",
        "vocab_size": 50304,
        "hidden_size": hidden_size,
        "ffn_dim": ffn_dim,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "word_embed_proj_dim": hidden_size,
        "activation_function": "relu",
        "max_position_embeddings": 2048,
        "do_layer_norm_before": True,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "layerdrop": 0.0,
        "init_std": 0.02,
        "use_cache": True,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 50118,
    }


def _instructblip(text_config: dict[str, Any], image_token_index: int) -> dict[str, Any]:
    return {
        "architectures": ["InstructBlipForConditionalGeneration"],
        "model_type": "instructblip",
        "image_token_index": image_token_index,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "num_query_tokens": 32,
        "vision_config": {"model_type": "instructblip_vision_model", **_VISION},
        "qformer_config": {"model_type": "instructblip_qformer", "vocab_size": 30523, **_QFORMER},
        "text_config": text_config,
        "use_decoder_only_language_model": text_config["model_type"] != "t5",
    }


def _blip2(text_config: dict[str, Any], image_token_index: int, *, image_size: int = 224) -> dict[str, Any]:
    return {
        "architectures": ["Blip2ForConditionalGeneration"],
        "model_type": "blip-2",
        "image_token_index": image_token_index,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "num_query_tokens": 32,
        "vision_config": {"model_type": "blip_2_vision_model", **_VISION, "image_size": image_size},
        "qformer_config": {"model_type": "blip_2_qformer", "vocab_size": 30522, **_QFORMER},
        "text_config": text_config,
        "use_decoder_only_language_model": text_config["model_type"] != "t5",
    }


_T5_XL, _T5_XXL = _flan_t5(d_model=2048, d_ff=5120, num_heads=32), _flan_t5(d_model=4096, d_ff=10240, num_heads=64)
_VICUNA_7B = _vicuna(hidden_size=4096, intermediate_size=11008, layers=32, heads=32)
_VICUNA_13B = _vicuna(hidden_size=5120, intermediate_size=13824, layers=40, heads=40)
_OPT_2_7B, _OPT_6_7B = _opt(hidden_size=2560, ffn_dim=10240), _opt(hidden_size=4096, ffn_dim=16384)
# The number of the processor's <image> token with each tokenizer.
_OF_T5, _OF_VICUNA, _OF_OPT = 32100, 32001, 50265
# Pixels a side of the images that the forms tuned on captions read.
_COCO = 364

CATALOG: dict[str, dict[str, Any]] = {
    "Salesforce/instructblip-flan-t5-xl": _instructblip(_T5_XL, _OF_T5),
    "Salesforce/instructblip-flan-t5-xxl": _instructblip(_T5_XXL, _OF_T5),
    "Salesforce/instructblip-vicuna-7b": _instructblip(_VICUNA_7B, _OF_VICUNA),
    "Salesforce/instructblip-vicuna-13b": _instructblip(_VICUNA_13B, _OF_VICUNA),
    "Salesforce/blip2-opt-2.7b": _blip2(_OPT_2_7B, _OF_OPT),
    "Salesforce/blip2-opt-6.7b": _blip2(_OPT_6_7B, _OF_OPT),
    "Salesforce/blip2-flan-t5-xl": _blip2(_T5_XL, _OF_T5),
    "Salesforce/blip2-flan-t5-xxl": _blip2(_T5_XXL, _OF_T5),
    "Salesforce/blip2-opt-2.7b-coco": _blip2(_OPT_2_7B, _OF_OPT, image_size=_COCO),
    "Salesforce/blip2-opt-6.7b-coco": _blip2(_OPT_6_7B, _OF_OPT, image_size=_COCO),
    "Salesforce/blip2-flan-t5-xl-coco": _blip2(_T5_XL, _OF_T5, image_size=_COCO),
}


def catalog_config(model: str) -> dict[str, Any] | None:
    """A copy of the configuration of the hub id `model`, or `None` where the catalog has no such entry."""
    config = CATALOG.get(model)
    return None if config is None else copy.deepcopy(config)
