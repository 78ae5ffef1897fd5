"""How often is the certificate wrong? ``python -m tools.certificate_rates``, from the repository's root, in a second.

For a model whose true score differs from the published one by so many points: how often the rule says what, summed over
every number of right answers that may come out (a binomial count, each answer right or wrong by itself). A checkpoint
that answers the same split as its publication differs by less than that: both scores then are over the same samples.
"""

from __future__ import annotations

import math

from tabulate import tabulate

from blip_fixtures.quality.certificate import judged
from blip_fixtures.quality.intervals import wilson
from blip_fixtures.quality.published import Score, Source, Split
from blip_fixtures.words import Certified

# Published score in percent, and samples: the splits of the table, and a sample of one that nobody would certify.
SCORES = ((70.4, 2017), (60.5, 2017), (50.1, 5000), (70.4, 500))
# Points of 100 by which the model is better than what was published.
DIFFERENCES = (0.0, -1.0, -2.5, -5.0)
HEADERS = ("published", "samples", "true difference", "reproduced", "not reproduced", "cannot tell")


def published(score: float, samples: int) -> Score:
    """An accuracy, published for a split of so many samples."""
    split = Split("test", samples)
    sources = (Source("", ""),) * 2
    return Score(model="x", dataset="scienceqa", metric="accuracy", split=split, score=score, sources=sources)


def rates(score: Score, difference: float) -> dict[Certified, float]:
    """The probability of each verdict, where the true score is so many points of 100 above the published one."""
    count, share = score.split.samples, score.value + difference / 100
    found: dict[Certified, float] = dict.fromkeys(Certified, 0.0)
    for right in range(count + 1):
        verdict = judged(score, right / count, wilson(right / count, count), count).verdict
        ways = math.lgamma(count + 1) - math.lgamma(right + 1) - math.lgamma(count - right + 1)
        found[verdict] += math.exp(ways + right * math.log(share) + (count - right) * math.log(1 - share))
    return found


def table() -> str:
    """The table of `docs/certificate.md`."""
    rows = []
    for score, samples in SCORES:
        for difference in DIFFERENCES:
            found = rates(published(score, samples), difference)
            verdicts = (Certified.REPRODUCED, Certified.NOT_REPRODUCED, Certified.CANNOT_TELL)
            shown = [f"{100 * found[verdict]:.1f} %" for verdict in verdicts]
            rows.append((f"{score:.1f}", f"{samples:,}", f"{difference:+.1f}", *shown))
    return tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    print(table())
