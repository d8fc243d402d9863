"""Distributions of assumptions: percentiles hold, values stay possible, and families mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.catalog.assumptions import natural_range
from breakeven.economics.distributions import quantile
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from breakeven.catalog.assumptions import Assumption, Distribution
    from breakeven.quantities import Array

ASSUMPTIONS = load_book().assumptions
MIDDLES = (np.arange(20_000) + 0.5) / 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An assumption without what the distributions do not read."""

    low: float
    likely: float
    high: float
    distribution: Distribution
    unit: str = "USD"
    key: str = "some_figure"


def _at(row: Row | Assumption, *probabilities: float) -> Array:
    return quantile(row, np.array(probabilities))


def _density(row: Row, value: float) -> float:
    """Return the density at a value, from the share of a fine sample near it."""
    sample = quantile(row, MIDDLES)
    near = 0.01 * (row.high - row.low)
    return float(np.mean(np.abs(sample - value) < near))


@pytest.mark.parametrize("item", ASSUMPTIONS.values(), ids=lambda item: item.key)
def test_every_assumption_of_the_catalogue_keeps_its_percentiles_and_its_range(item: Assumption) -> None:
    sample = quantile(item, MIDDLES)
    width = item.high - item.low
    assert np.quantile(sample, [0.1, 0.9]) == pytest.approx([item.low, item.high], abs=1e-3 * width + 1e-12)
    least, greatest = natural_range(item.key, item.unit)
    assert least <= sample.min() <= sample.max() <= greatest
    if item.low > 0:
        assert sample.min() > 0, "the models divide by some of these"


three = st.lists(st.floats(1e-3, 1e6), min_size=3, max_size=3).map(sorted)


@given(values=three, family=st.sampled_from(["triangular", "lognormal"]))
def test_low_and_high_are_the_10th_and_90th_percentile(values: list[float], family: Distribution) -> None:
    low, likely, high = values
    row = Row(low=low, likely=likely, high=high, distribution=family)
    assert _at(row, 0.1, 0.9) == pytest.approx([low, high], rel=1e-9, abs=1e-9 * high)


@given(values=three)
def test_the_median_of_a_lognormal_number_is_its_likely_value(values: list[float]) -> None:
    low, likely, high = values
    assert _at(Row(low=low, likely=likely, high=high, distribution="lognormal"), 0.5) == pytest.approx(likely)


@settings(deadline=None)
@given(values=three, family=st.sampled_from(["triangular", "lognormal"]))
def test_values_rise_with_their_probability(values: list[float], family: Distribution) -> None:
    low, likely, high = values
    sample = quantile(Row(low=low, likely=likely, high=high, distribution=family), MIDDLES)
    assert np.all(np.diff(sample) >= -1e-9 * high)


def test_a_symmetric_triangle_by_hand() -> None:
    """Half the mass on each side: 10 % lies below start + w sqrt(0.05), so w = (high - low) / (1 - 2 sqrt(0.05))."""
    row = Row(low=100, likely=150, high=200, distribution="triangular")
    half = 100 / (1 - 2 * 0.05**0.5) / 2
    assert _at(row, 0, 0.5, 1) == pytest.approx([150 - half, 150, 150 + half])


@pytest.mark.parametrize("likely", [60, 75, 90])
def test_the_likely_value_of_a_triangle_is_where_values_crowd(likely: float) -> None:
    row = Row(low=50, likely=likely, high=100, distribution="triangular")
    crowd = _density(row, likely)
    assert crowd > 1.02 * max(_density(row, likely - 6), _density(row, likely + 6))


def test_a_likely_value_at_the_low_end_leaves_a_tenth_below_it() -> None:
    """The steep side of the triangle is the tenth below low: w = (high - low) / 0.6, as sqrt(0.1 x 0.9) = 0.3."""
    row = Row(low=50, likely=50, high=110, distribution="triangular")
    assert _at(row, 0, 0.1, 0.9, 1) == pytest.approx([40, 50, 110, 140])
    mirrored = Row(low=50, likely=110, high=110, distribution="triangular")
    assert _at(mirrored, 0, 0.1, 0.9, 1) == pytest.approx([20, 50, 110, 120])


def test_where_zero_is_the_10th_percentile_a_tenth_is_zero() -> None:
    sample = quantile(Row(low=0, likely=0, high=0.5, distribution="triangular", unit="fraction"), MIDDLES)
    assert np.mean(sample == 0) == pytest.approx(0.1, abs=1e-3)
    assert np.quantile(sample, 0.9) == pytest.approx(0.5, abs=1e-3)


def test_a_tail_that_would_leave_the_range_is_drawn_from_what_of_it_is_possible() -> None:
    """Nothing between the percentiles moves, and no value piles up at the end of the range."""
    free = Row(low=0.1, likely=0.8, high=0.97, distribution="triangular")
    share = Row(low=0.1, likely=0.8, high=0.97, distribution="triangular", unit="fraction")
    inside = np.linspace(0.1, 0.9, 50)
    assert quantile(share, inside) == pytest.approx(quantile(free, inside))
    assert quantile(free, MIDDLES).max() > 1
    sample = quantile(share, MIDDLES)
    assert 0 < sample.min() < sample.max() < 1


@settings(deadline=None)
@given(low=st.floats(0.001, 0.9), width=st.floats(0.001, 0.9), mode=st.floats(0, 1))
def test_a_beta_share_keeps_its_percentiles(low: float, width: float, mode: float) -> None:
    high = low + width * (0.999 - low)
    row = Row(low=low, likely=low + mode * (high - low), high=high, distribution="beta", unit="fraction")
    assert _at(row, 0.1, 0.9) == pytest.approx([low, high], rel=1e-6, abs=1e-6)
    assert 0 <= _at(row, 1e-5)[0] <= _at(row, 1 - 1e-5)[0] <= 1


def test_the_beta_distribution_of_a_known_case() -> None:
    """Beta(2, 1) has the distribution function x^2: its percentiles are square roots."""
    row = Row(low=0.1**0.5, likely=0.9, high=0.9**0.5, distribution="beta", unit="fraction")
    assert _at(row, 0.25, 0.5) == pytest.approx([0.5, 0.5**0.5])


@pytest.mark.parametrize("family", ["fixed", "triangular", "lognormal", "beta"])
def test_a_value_without_doubt_is_itself(family: Distribution) -> None:
    assert list(_at(Row(low=0.3, likely=0.3, high=0.3, distribution=family), 0.01, 0.5, 0.99)) == [0.3, 0.3, 0.3]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row(low=0.2, likely=0.1, high=0.3, distribution="triangular"), "low <= likely <= high"),
        (Row(low=-1, likely=0, high=1, distribution="triangular"), "0 <= low"),
        (Row(low=-1.1, likely=0, high=1, distribution="triangular", key="traffic_growth_per_month"), "-1 <= low"),
        (Row(low=0.5, likely=0.9, high=1.2, distribution="triangular", unit="fraction"), "high <= 1"),
        (Row(low=0.9, likely=1.2, high=1.3, distribution="triangular", key="pue_ratio"), "1 <= low"),
        (Row(low=0, likely=1, high=2, distribution="lognormal"), "above 0"),
        (Row(low=0, likely=0.5, high=0.9, distribution="beta", unit="fraction"), "inside 0 to 1"),
    ],
)
def test_figures_that_cannot_be_are_refused(row: Row, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        quantile(row, MIDDLES)
