"""Penn Treebank tokens of captions, as the COCO evaluation gets them from Stanford's PTBTokenizer, without Java.

Lower case; contractions apart (``is n't``, ``dog 's``); hyphens, slashes and full stops inside a word kept; brackets by
their names (``-lrb-``). The evaluation then drops a list of punctuation tokens. What was compared, and how far it
agrees: `tests/unit/test_ptb.py`.
"""

from __future__ import annotations

import re

# The evaluation's list. It names the brackets in capitals, and tokens are lower case, so brackets stay.
_DROPPED = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SAME = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "--",
        "\u2014": "--",
        "\u2026": "...",
        "\u00bc": "1/4",
        "\u00bd": "1/2",
        "\u00be": "3/4",
        "\u00a0": " ",
    }
)
_SPLIT = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "wanna": ("wan", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
    "'tis": ("'t", "is"),
    "'twas": ("'t", "was"),
    "y'all": ("y'", "all"),
}
# Their full stop belongs to them; that of "no." does before a number only.
_ABBREVIATIONS = (
    "mr|mrs|ms|dr|st|jr|sr|vs|etc|inc|co|corp|ltd|ave|blvd|rd|approx|"
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|no(?=\\.\\s*\\d)"
)
_NOT = re.compile(r"(?<=\w)n't(?!\w)")
_CLITIC = re.compile(r"(?<=\w)(?<!\sy)('(?:s|m|d|ll|re|ve)(?!\w))")
# Pictures such as emoji, which the tokenizer leaves out.
_PICTURES = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]")
_TOKEN = re.compile(
    rf"""
    [^\s@]+@\S+\.\w+ | www\.\S+ | </?[a-z][^<>\s]*>          # addresses, tags
  | '(?:s|m|d|ll|re|ve)(?!\w) | n't(?!\w)                # what was cut off a word
  | 't(?:is|was)\b | y'all\b | 'n'                       # words that have an apostrophe
  | (?:[a-z]\.){{2,}}(?!\w)                               # u.s., p.m.
  | (?:{_ABBREVIATIONS})\.(?!\w)
  | \w+(?:(?:[-/.]|(?<=[a-z])'(?=[a-z])|(?<=\d)[,:](?=\d))\w+)*   # words and numbers, with what may stand inside
  | \.{{3,}} | --+ | [!?]{{2,}} | \S
    """,
    re.VERBOSE,
)
_INITIAL = re.compile(r"(?<![\w.'])([A-Za-z])\.(?![\w.])")


def ptb_tokens(text: str) -> list[str]:
    """Every token of `text`, in lower case, quotation marks as ``''``."""
    plain = _PICTURES.sub(" ", text.translate(_SAME))
    # A lone letter keeps its full stop, as an initial; the marks carry that through what follows.
    plain = _INITIAL.sub("\\1\u2024", plain).lower()
    plain = _CLITIC.sub(r" \1", _NOT.sub(" n't", plain))
    tokens: list[str] = []
    for token in _TOKEN.findall(plain.replace("\u2024", ".\u2063")):
        if token == "\u2063":
            tokens[-2:] = ["".join(tokens[-2:])]
        else:
            tokens += _SPLIT.get(token, (_name(token),))
    return tokens


def _name(token: str) -> str:
    if token == '"':
        return "''"
    return _BRACKETS.get(token, token)


def caption_tokens(text: str) -> tuple[str, ...]:
    """The tokens of a caption that the metrics compare."""
    return tuple(token for token in ptb_tokens(text) if token not in _DROPPED and not token.startswith(("...", "--")))
