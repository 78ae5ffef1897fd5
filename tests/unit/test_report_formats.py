from __future__ import annotations

import math
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures import formats

positive = st.floats(min_value=1e-6, max_value=1e20)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.299, "0.299"), (2.231, "2.231"), (1.1, "1.100"), (0.0154, "0.015"), (0.0005, "0.001"), (123.4567, "123.457")],
)
def test_latency_has_three_decimals(seconds: float, shown: str) -> None:
    assert formats.latency(seconds) == shown


@pytest.mark.parametrize(
    ("joules", "shown"),
    [
        (43.441, "43"),
        (22, "22"),
        (10, "10"),
        (9.96, "10"),
        (0.043, "0.043"),
        (0.0999, "0.10"),
        (1.04, "1.0"),
        (412.123, "410"),
        (0.00001, "0.000010"),
        (0, "0"),
    ],
)
def test_batch_energy_has_two_significant_digits(joules: float, shown: str) -> None:
    assert formats.energy_short(joules) == shown


@pytest.mark.parametrize(
    ("total", "shown"),
    [
        (801.5e9, "801.5 G"),
        (10.21e12, "10.21 T"),
        (1e9, "1.000 G"),
        (999.94e9, "999.9 G"),
        (999.95e9, "1.000 T"),
        (12345, "12.35 K"),
        (12.3e6, "12.30 M"),
        (2.5e15, "2.500 P"),
        (999, "999"),
        (0, "0"),
    ],
)
def test_flops_have_four_significant_digits_and_a_unit(total: float, shown: str) -> None:
    assert formats.flops(total) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(1, "100"), (1.098 / 1.1, "99.8"), (11.645 / 11.631, "100.1"), (0.5, "50"), (0.12345, "12.3"), (0, "0")],
)
def test_percent_drops_only_a_trailing_zero_decimal(ratio: float, shown: str) -> None:
    assert formats.percent(ratio) == shown


@pytest.mark.parametrize(
    "show",
    [
        formats.latency,
        formats.energy,
        formats.energy_short,
        formats.quality,
        formats.flops,
        formats.percent,
        formats.mebibytes,
        formats.gibibytes,
        formats.milliseconds,
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_missing_is_a_dash_and_never_zero(show, value) -> None:  # type: ignore[no-untyped-def]
    assert show(value) == "-"


def test_bytes_become_binary_units() -> None:
    assert formats.mebibytes(100 * 2**20) == "100.0"
    assert formats.gibibytes(256 * 2**30) == "256"


@pytest.mark.parametrize(
    ("quartiles", "shown"),
    [((0.0152, 0.0149, 0.0156), "15.20 [14.90, 15.60] ms"), ((2.231, 2.2, 2.3), "2.231 [2.200, 2.300] s")],
)
def test_interval_chooses_its_unit(quartiles: tuple[float, float, float], shown: str) -> None:
    assert formats.interval(*quartiles) == shown


def test_a_negative_number_that_rounds_to_zero_has_no_sign() -> None:
    assert formats.fixed(-0.0001, 3) == "0.000"
    assert formats.fixed(-0.5, 3) == "-0.500"


@given(positive, st.integers(1, 6))
def test_significant_keeps_the_digits_and_stays_close(value: float, digits: int) -> None:
    shown = formats.significant(value, digits)
    assert "e" not in shown.lower()
    assert math.isclose(float(shown), value, rel_tol=0.5 * 10 ** (1 - digits) * 1.0001)
    if "." in shown:
        assert len(shown.replace(".", "").lstrip("0")) == digits


@given(st.floats(min_value=1000, max_value=1e20))
def test_flops_read_back_to_four_digits(total: float) -> None:
    number, unit = formats.flops(total).split()
    assert 1 <= float(number) < 1000
    assert math.isclose(float(number) * 1000 ** formats.FLOPS_UNITS.index(unit), total, rel_tol=5.01e-4)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e3), min_size=2))
def test_quantile_agrees_with_the_standard_library(values: list[float]) -> None:
    assert math.isclose(formats.quantile(values, 0.5), median(values))
    assert math.isclose(formats.quantile(values, 0.9), quantiles(values, n=10, method="inclusive")[-1])


@given(st.floats(min_value=1e-6, max_value=1e3), st.integers(1, 30), st.floats(0, 1))
def test_quantile_of_equal_values_is_that_value(value: float, count: int, share: float) -> None:
    assert formats.quantile([value] * count, share) == value
