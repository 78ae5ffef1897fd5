"""Number formats of the document. Every function renders a missing or non-finite value as ``-``."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MISSING = "-"
FLOPS_UNITS = ("", "K", "M", "G", "T", "P", "E")
# Room for all digits of any float.
_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
MIB = 2**20
GIB = 2**30


def is_known(value: float | None) -> bool:
    """Whether there is a finite number to print."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int) -> str:
    """`value` with exactly that many decimals."""
    if value is None or not math.isfinite(value):
        return MISSING
    # Half up on the shortest decimal that reads back as the float: 2.0005 prints as 2.001, as on paper.
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), context=_EXACT)
    return f"{abs(rounded) if rounded.is_zero() else rounded:f}"


def significant(value: float | None, digits: int) -> str:
    """`value` rounded to that many significant digits, in plain notation: 43, 410, 0.043."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), context=_EXACT)
    # 9.96 became 10.0, which has one digit too many.
    decimals = max(0, digits - 1 - rounded.adjusted())
    return f"{rounded.quantize(Decimal(1).scaleb(-decimals), context=_EXACT):f}"


def latency(seconds: float | None) -> str:
    """Seconds, 3 decimals."""
    return fixed(seconds, 3)


def energy(joules: float | None) -> str:
    """Joules, 3 decimals."""
    return fixed(joules, 3)


def energy_short(joules: float | None) -> str:
    """Joules, two significant digits: the batch table's format."""
    return significant(joules, 2)


def quality(value: float | None) -> str:
    """A word error rate or another ratio, 3 decimals."""
    return fixed(value, 3)


def flops(total: float | None) -> str:
    """FLOPs with 4 significant digits and a unit: ``801.5 G``, ``10.21 T``."""
    if total is None or not math.isfinite(total):
        return MISSING
    if abs(total) < 1000:
        return fixed(total, 0)
    exponent = min(Decimal(significant(total, 4)).adjusted() // 3, len(FLOPS_UNITS) - 1)
    return f"{significant(total / 1000**exponent, 4)} {FLOPS_UNITS[exponent]}"


def percent(ratio: float | None) -> str:
    """A ratio as percent, one decimal without a trailing ``.0``: 1.001 is ``100.1``, 1 is ``100``."""
    if ratio is None:
        return MISSING
    return fixed(ratio * 100, 1).removesuffix(".0")


def signed_percent(ratio: float | None) -> str:
    """A change as percent with its sign, one decimal: ``-86.8``, ``+104.2``; of 1000 % and more none."""
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    shown = fixed(ratio * 100, 1 if abs(ratio) < 10 else 0).removesuffix(".0")
    return shown if shown.startswith("-") else f"+{shown}"


def percent_up(ratio: float | None) -> str:
    """A bound as whole percent, rounded away from none: 0.021 is ``3``."""
    return MISSING if ratio is None else str(max(math.ceil(ratio * 100), 1))


def share(ratio: float | None) -> str:
    """A ratio as ``12.5 %``."""
    shown = percent(ratio)
    return shown if shown == MISSING else f"{shown} %"


def count(value: float | None) -> str:
    """A mean number of tokens, one decimal."""
    return fixed(value, 1)


def word(value: object) -> str:
    """A word or a whole number of the record as it stands."""
    return MISSING if value is None else str(value)


def mebibytes(size_bytes: float | None) -> str:
    """Bytes as MiB, one decimal."""
    return fixed(None if size_bytes is None else size_bytes / MIB, 1)


def gibibytes(size_bytes: float | None) -> str:
    """Bytes as GiB, no decimals."""
    return fixed(None if size_bytes is None else size_bytes / GIB, 0)


def milliseconds(seconds: float | None) -> str:
    """Seconds as a number of ms with 4 significant digits."""
    return significant(None if seconds is None else seconds * 1000, 4)


def rate(per_second: float | None) -> str:
    """A number per second, 4 significant digits."""
    return significant(per_second, 4)


def interval(middle_s: float, low_s: float, high_s: float) -> str:
    """A median between two quartiles with its unit, ms or s as fits: ``15.20 [14.90, 15.60] ms``."""
    scale, unit = (1.0, "s") if middle_s >= 1 else (1000.0, "ms")
    middle, low, high = (significant(value * scale, 4) for value in (middle_s, low_s, high_s))
    return f"{middle} [{low}, {high}] {unit}"


def quantile(values: Sequence[float], share: float) -> float:
    """The `share` quantile of at least one value, interpolated between neighbours."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    # Written as a sum of the lower value, so that equal neighbours give exactly that value.
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
