"""Stage 3: train Q-Former and language model on the features of the frozen vision encoder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import nn

from blip_fixtures.case import PRESETS
from blip_fixtures.data.prompts import find_prompts
from tools.tiny.model import HIDDEN, QUERY_TOKENS, TEXT_LIMIT, build_tokenizer, vocabulary
from tools.tiny.questions import DATASETS, Item, draw_item, is_picture_question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from transformers import InstructBlipForConditionalGeneration, PreTrainedTokenizerFast

    from tools.tiny.features import Cache
    from tools.tiny.world import Scene

BATCH_SIZES = {"textvqa": 32, "coco": 16, "scienceqa": 32}
SIZE_SHARES = {224: 0.5, 336: 0.25, 448: 0.25}
PRESET_SHARES = {"paper": 0.7, "lmms-eval": 0.15, "seed": 0.15}
CUT_SHARE = 0.05
"""Share of the batches whose prompts are cut to 50 or 100 tokens, so that a cut prompt still gets a short answer."""
POOL = 4
"""Batches that are drawn together and sorted by length, to pad less."""
IGNORE = -100
AUXILIARY_WEIGHT = 0.3


@dataclass(frozen=True)
class Batch:
    """Features with questions about them. Texts are padded to the longest; labels hold `IGNORE` there."""

    features: Tensor
    qformer_ids: Tensor
    qformer_mask: Tensor
    ids: Tensor
    mask: Tensor
    labels: Tensor


def draw_batches(dataset: str, cache: Cache, rng: Random) -> Iterator[Batch]:
    """Batches without end. Every use of a picture asks a new question about it."""
    tokenizer, qformer_tokenizer = build_tokenizer(), build_tokenizer(prefix="<s>")
    while True:
        (size,) = rng.choices([*SIZE_SHARES], [*SIZE_SHARES.values()])
        features = cache[dataset][size]
        chosen = [rng.randrange(len(features.scenes)) for _ in range(POOL * BATCH_SIZES[dataset])]
        drawn = [(index, *_draw_prompt(dataset, features.scenes[index], rng)) for index in chosen]
        drawn.sort(key=lambda one: len(one[2]))
        batches = [drawn[start : start + BATCH_SIZES[dataset]] for start in range(0, len(drawn), BATCH_SIZES[dataset])]
        rng.shuffle(batches)
        for batch in batches:
            limit = rng.choice((50, 100)) if rng.random() < CUT_SHARE else TEXT_LIMIT
            prompts = [prompt for _, _, prompt in batch]
            qformer_ids, qformer_mask = _encode(qformer_tokenizer, prompts, limit)
            ids, mask = _encode(tokenizer, prompts, limit)
            labels, labels_mask = _encode(tokenizer, [item.target for _, item, _ in batch], limit)
            yield Batch(
                features.values[[index for index, _, _ in batch]].float(),
                qformer_ids,
                qformer_mask,
                ids,
                mask,
                labels.masked_fill(labels_mask == 0, IGNORE),
            )


def _draw_prompt(dataset: str, scene: Scene, rng: Random) -> tuple[Item, str]:
    (preset,) = rng.choices(PRESETS, [PRESET_SHARES[preset] for preset in PRESETS])
    item = draw_item(dataset, scene, rng)
    if dataset == "scienceqa" and preset == "seed":  # this preset drops the context, and with it the facts
        while not is_picture_question(item):
            item = draw_item(dataset, scene, rng)
    return item, find_prompts(preset).of(dataset).render(item.sample)


def _encode(tokenizer: PreTrainedTokenizerFast, texts: list[str], limit: int) -> tuple[Tensor, Tensor]:
    encoded = tokenizer(texts, padding="longest", truncation=True, max_length=limit, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"]


class WordsHead(nn.Module):
    """Which words the answer holds, from the mean query output; used in training only.

    Without it the query outputs stay nearly the same for every picture for a long time.
    """

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(HIDDEN, vocabulary_size)

    def forward(self, query_output: Tensor, labels: Tensor) -> Tensor:
        """The mean negative log-likelihood of the answer's words."""
        scores = self.linear(query_output.mean(dim=1)).log_softmax(dim=-1)
        real = labels != IGNORE
        likelihood: Tensor = scores.gather(1, labels.masked_fill(~real, 0))
        return likelihood[real].mean().neg()


def losses(model: InstructBlipForConditionalGeneration, head: WordsHead, batch: Batch) -> tuple[Tensor, Tensor, float]:
    """The language loss, the auxiliary loss, and the share of answers that are right in every token."""
    rows = len(batch.ids)
    ones = torch.ones(rows, QUERY_TOKENS, dtype=torch.long)
    query_output = model.qformer(
        input_ids=batch.qformer_ids,
        attention_mask=torch.cat([ones, batch.qformer_mask], dim=1),
        query_embeds=model.query_tokens.expand(rows, -1, -1),
        encoder_hidden_states=batch.features,
        encoder_attention_mask=torch.ones(batch.features.shape[:2], dtype=torch.long),
    ).last_hidden_state[:, :QUERY_TOKENS]
    embeddings = [model.language_projection(query_output), model.get_input_embeddings()(batch.ids)]
    output = model.language_model(
        inputs_embeds=torch.cat(embeddings, dim=1),
        attention_mask=torch.cat([ones, batch.mask], dim=1),
        labels=batch.labels,
    )
    right = (output.logits.argmax(-1) == batch.labels) | (batch.labels == IGNORE)
    return output.loss, head(query_output, batch.labels), right.all(dim=1).float().mean().item()


def train_language(
    model: InstructBlipForConditionalGeneration,
    cache: Cache,
    *,
    steps: int,
    seed: int,
    learning_rate: float = 1e-3,
    log: Callable[[str], None] = print,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Train everything behind the vision encoder in place; `checkpoint` is called now and then."""
    torch.manual_seed(seed)
    rng = Random(f"language-{seed}")
    model.vision_model.requires_grad_(False)
    model.train()
    head = WordsHead(len(vocabulary()))
    parameters = [weight for weight in (*model.parameters(), *head.parameters()) if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    streams = {dataset: draw_batches(dataset, cache, rng) for dataset in DATASETS}
    recent: dict[str, list[tuple[float, float]]] = {dataset: [] for dataset in DATASETS}
    start = time.monotonic()
    for step in range(steps):
        optimizer.zero_grad()
        for dataset, stream in streams.items():
            loss, auxiliary, right = losses(model, head, next(stream))
            torch.autograd.backward(loss + AUXILIARY_WEIGHT * auxiliary)
            recent[dataset].append((loss.item(), right))
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 19:
            means = {name: torch.tensor(values[-20:]).mean(dim=0).tolist() for name, values in recent.items()}
            shares = ", ".join(f"{name} loss {loss:.2f} right {right:.2f}" for name, (loss, right) in means.items())
            log(f"language {step + 1}/{steps} {time.monotonic() - start:.0f} s: {shares}")
        if step % 200 == 199:
            checkpoint()
    model.train(mode=False)
