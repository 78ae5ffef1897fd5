"""One question about one image, the same shape for every dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image


@dataclass(frozen=True)
class Sample:
    """One row of a dataset, as the prompts and the metrics see it.

    ``open_image`` decodes the image when it is called, so a list of samples holds encoded bytes only.
    ``references`` are the accepted answers (ten for TextVQA, five captions for COCO, the right option's text for
    ScienceQA). ``answer_index`` is the 0-based right option, ``None`` where the question has no options.
    """

    id: str
    open_image: Callable[[], Image]
    question: str
    references: tuple[str, ...]
    choices: tuple[str, ...] = ()
    answer_index: int | None = None
    context: str = ""
    ocr_tokens: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """The decoded RGB image."""
        return self.open_image()
