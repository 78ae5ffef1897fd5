"""The one rule for comparing texts: which words does a text consist of?"""

from __future__ import annotations

import unicodedata


def words(text: str) -> list[str]:
    """The words of `text`: split at white space, case folded, punctuation at a word's edges removed.

    Inner punctuation stays, so ``5:41``, ``wi-fi`` and ``don't`` are words; a lone ``-`` is none.
    """
    stripped = (_strip_punctuation(word) for word in text.casefold().split())
    return [word for word in stripped if word]


def _strip_punctuation(word: str) -> str:
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start]).startswith("P"):
        start += 1
    while end > start and unicodedata.category(word[end - 1]).startswith("P"):
        end -= 1
    return word[start:end]
