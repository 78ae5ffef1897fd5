"""The conditions of a record: where its samples came from, and how its answers were generated."""

from __future__ import annotations

from typing import Annotated

import msgspec

from blip_fixtures.record.units import AtLeastOne, Batches, Count, Few, Score, Text, Word
from blip_fixtures.words import Decoding


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the samples came from and how many the passes used; `skipped` rows of the source were invalid.

    `split` is the split of the hub that they are from, where they came from the hub or somebody said so, and
    `split_samples` how many it has in all.
    """

    source: Text
    revision: Word | None
    samples: Count | None
    batches: Batches | None
    dropped: Count | None
    skipped: Count = 0
    split: Word | None = None
    split_samples: Count | None = None


class Generation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fixed` means that every row generated exactly `new_tokens`, else it is an upper bound.

    The rest is what the preset says of the dataset and the checkpoint's family. `length_penalty` has an effect with
    more than one beam, `min_new_tokens` where the number is not fixed. `ocr_source` says where the OCR tokens come
    from, of which a prompt has the first `ocr_limit`. In records before them `decoding` is null and follows from the
    beams.
    """

    new_tokens: AtLeastOne
    fixed: bool
    num_beams: AtLeastOne = 1
    length_penalty: Score = 1.0
    prompt_parts: Annotated[tuple[Text, ...], Few] | None = None
    decoding: Decoding | None = None
    repetition_penalty: Score = 1.0
    min_new_tokens: Count = 0
    ocr_limit: Count | None = None
    ocr_source: Word | None = None
