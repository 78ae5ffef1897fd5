"""What is asked about a scene: one generator per dataset, with the answer the model shall give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures.data.samples import Sample
from tools.tiny.world import NUMBERS, WORDS, Scene, Shape, Sign, render, shape_scene, text_scene

if TYPE_CHECKING:
    from random import Random

DATASETS = ("textvqa", "coco", "scienceqa")

READING_QUESTIONS = {
    "word": (
        "what word is written on the sign?",
        "what is the word on the sign?",
        "which word can you read in the picture?",
    ),
    "number": (
        "what number is written on the sign?",
        "what is the number on the sign?",
        "which number can you read in the picture?",
    ),
}
CAPTION_QUESTION = "Provide a one-sentence caption for the provided image."

# Science knowledge: what a colour and what a shape stand for.
COLOR_MEANINGS = {
    "red": "fire",
    "green": "plants",
    "blue": "water",
    "yellow": "sunlight",
    "orange": "heat energy",
    "purple": "magnetism",
    "brown": "soil",
    "black": "coal",
}
SHAPE_MEANINGS = {
    "circle": "planet",
    "square": "solid",
    "triangle": "mountain",
    "star": "distant sun",
    "cross": "positive charge",
    "diamond": "crystal",
}
# Science facts: a sentence of the context names the answer.
# fmt: off
FACTS = {
    "the sample is made of {}.": (
        "iron", "copper", "wood", "glass", "paper", "rubber", "cotton", "clay", "silver", "wool",
    ),
    "the sample was found in the {}.": (
        "cave", "desert", "forest", "lake", "ocean", "river", "valley", "garden", "volcano", "swamp",
    ),
    "the sample was tested with the {}.": (
        "ruler", "scale", "thermometer", "microscope", "magnet", "compass", "telescope", "stopwatch", "prism", "funnel",
    ),
}
# fmt: on
FACT_QUESTIONS = dict(
    zip(
        FACTS,
        ("what is the sample made of?", "where was the sample found?", "what was the sample tested with?"),
        strict=True,
    )
)
COLOR_QUESTIONS = ("what does the color in the picture stand for?", "which option belongs to the color you see?")
SHAPE_QUESTIONS = ("what does the shape in the picture stand for?", "which option belongs to the shape you see?")
FILLERS = (
    "the students wrote every step in a notebook.",
    "it was a warm day and the sky was clear.",
    "the teacher asked the class to look closely.",
    "two groups worked at the same table.",
    "they washed their hands before they started.",
    "nobody was in a hurry that morning.",
    "a timer was set to ten minutes.",
    "the windows of the room were open.",
    "one group finished early and helped the others.",
    "after lunch they talked about what they had seen.",
    "the bell rang and everyone sat down.",
    "a picture was drawn on the board.",
    "the results were shared with the other class.",
    "they repeated the work three times to be sure.",
    "some of the notes were hard to read.",
    "the light in the room was turned on.",
)


@dataclass(frozen=True)
class Item:
    """One question about one scene; `target` is what the model learns to say."""

    scene: Scene
    sample: Sample
    target: str


def draw_scene(dataset: str, rng: Random) -> Scene:
    """A scene as `dataset` shows them."""
    if dataset == "textvqa":
        return text_scene(rng)
    return shape_scene(rng, pair=dataset == "coco" and rng.random() < 0.8)


def draw_item(dataset: str, scene: Scene, rng: Random, item_id: str = "") -> Item:
    """A question of `dataset` about `scene`."""
    match dataset:
        case "textvqa":
            return reading_item(scene, rng, item_id)
        case "coco":
            return caption_item(scene, item_id)
        case "scienceqa":
            return science_item(scene, rng, item_id)
        case _:
            raise ValueError(f"no questions for {dataset!r}; use one of {', '.join(DATASETS)}")


def reading_item(scene: Scene, rng: Random, item_id: str) -> Item:
    """Which word or which number is written on a sign."""
    text = rng.choice([item.text for item in scene.items if isinstance(item, Sign)])
    question = rng.choice(READING_QUESTIONS["word" if text in WORDS else "number"])
    # Ten annotators, one of whom may have read something else.
    answers = [text] * 10
    if rng.random() < 0.3:
        answers[rng.randrange(10)] = rng.choice([other for other in (*WORDS, *NUMBERS) if other != text])
    sample = Sample(item_id, partial(render, scene), question, tuple(answers))
    return Item(scene, sample, text)


def caption_item(scene: Scene, item_id: str) -> Item:
    """A caption; the first of the five references is the one the model learns."""
    references = captions(scene)
    return Item(scene, Sample(item_id, partial(render, scene), CAPTION_QUESTION, references), references[0])


def captions(scene: Scene) -> tuple[str, ...]:
    """Five captions of a scene of one or two shapes."""
    names = [f"a {item.color} {item.shape}" for item in scene.items if isinstance(item, Shape)]
    ground = f"on a {scene.background} background"
    if len(names) == 1:
        (one,) = names
        return (
            f"{one} {ground}",
            f"there is {one} {ground}",
            f"{one} alone {ground}",
            f"a picture of {one}",
            f"a {scene.background} background with {one}",
        )
    first, second = names
    shape = scene.items[0]
    relation, inverse = {"above": ("above", "below"), "left": ("left of", "right of")}[
        shape.place if isinstance(shape, Shape) else ""
    ]
    return (
        f"{first} {relation} {second} {ground}",
        f"{second} {inverse} {first} {ground}",
        f"there is {first} {relation} {second} {ground}",
        f"a picture of {first} {relation} {second}",
        f"{first} is {relation} {second} {ground}",
    )


def science_item(scene: Scene, rng: Random, item_id: str) -> Item:
    """Multiple choice: what the picture's colour or shape stands for, or a fact that the context names.

    The context always holds two facts, so that the question is needed to tell which answer is meant.
    """
    templates = rng.sample(sorted(FACTS), 2)
    facts = {template: rng.choice(FACTS[template]) for template in templates}
    shape = scene.items[0]
    if not isinstance(shape, Shape):
        raise TypeError(f"science questions are about shapes, not {shape}")
    kind = rng.random()
    if kind < 0.2:
        question, answer, pool = rng.choice(COLOR_QUESTIONS), COLOR_MEANINGS[shape.color], (*COLOR_MEANINGS.values(),)
    elif kind < 0.4:
        question, answer, pool = rng.choice(SHAPE_QUESTIONS), SHAPE_MEANINGS[shape.shape], (*SHAPE_MEANINGS.values(),)
    else:
        template = rng.choice(templates)
        question, answer, pool = FACT_QUESTIONS[template], facts[template], FACTS[template]
    wrong = [option for option in pool if option != answer]
    choices = [answer, *rng.sample(wrong, rng.randint(1, 4))]
    rng.shuffle(choices)
    sentences = [template.format(value) for template, value in facts.items()] + _fillers(rng)
    rng.shuffle(sentences)
    sample = Sample(
        item_id,
        partial(render, scene),
        question,
        (answer,),
        choices=tuple(choices),
        answer_index=choices.index(answer),
        context=" ".join(sentences),
    )
    return Item(scene, sample, answer)


def _fillers(rng: Random) -> list[str]:
    """Mostly a short context, sometimes one that takes the prompt beyond 100 or 200 tokens."""
    length = rng.random()
    count = rng.randint(0, 4) if length < 0.55 else rng.randint(5, 12) if length < 0.85 else rng.randint(15, 21)
    return [rng.choice(FILLERS) for _ in range(count)]


def is_picture_question(item: Item) -> bool:
    """Whether a science question needs the picture."""
    return item.sample.question in (*COLOR_QUESTIONS, *SHAPE_QUESTIONS)
