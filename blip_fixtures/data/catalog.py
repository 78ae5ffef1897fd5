"""The datasets on the hub: repositories that hold them as parquet, tried in order, and the split that is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """The parquet files of one split of a repository: those that match ``config/split-*.parquet``."""

    repository: str
    config: str
    split: str

    @property
    def pattern(self) -> str:
        """Which files of the repository hold the split."""
        return f"{self.config}/{self.split}-*.parquet"


HUB: dict[str, tuple[Split, ...]] = {
    # 5,000 questions; licence of the dataset: CC BY 4.0.
    "textvqa": (
        Split("lmms-lab-encoder/textvqa", "data", "validation"),
        Split("lmms-lab/textvqa", "data", "validation"),
    ),
    # 5,000 images with five captions and more; licence of the annotations: CC BY 4.0.
    "coco": (
        Split("lmms-lab-encoder/COCO-Caption", "data", "val"),
        Split("lmms-lab/COCO-Caption2017", "data", "val"),
    ),
    # 2,017 questions with an image; licence: CC BY-NC-SA 4.0.
    "scienceqa": (
        Split("lmms-lab-encoder/ScienceQA", "ScienceQA-IMG", "test"),
        Split("lmms-lab/ScienceQA", "ScienceQA-IMG", "test"),
    ),
}
