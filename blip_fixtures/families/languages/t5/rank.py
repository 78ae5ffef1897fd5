"""Ranking with a T5: the decoder reads each option from the start token on, and scores its tokens in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.families.ranking import log_likelihood

if TYPE_CHECKING:
    from blip_fixtures.families.ranking import Options


def rank(language: Any, embeddings: Any, mask: Any, options: Options) -> Any:
    """As `Language.rank`. Without a `mask` everything counts, as on the meta device, where no value can be read."""
    states = language.get_encoder()(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
    start = torch.full_like(options.ids[:, :1], language.config.decoder_start_token_id)
    logits = language(
        encoder_outputs=(states.index_select(0, options.rows),),
        attention_mask=None if mask is None else mask.index_select(0, options.rows),
        # A token is scored by what was read before it; what fills short options comes after all of theirs.
        decoder_input_ids=torch.cat([start, options.ids[:, :-1]], dim=1),
        use_cache=False,
    ).logits
    return log_likelihood(logits, options)
