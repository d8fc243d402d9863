"""Paired intervals: Student's by an independent implementation, ratios by their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from breakeven.evidence.paired import by_task, mean_difference, ratio_of_means, t_quantile

value = st.floats(0, 1e4)
pairs = st.lists(st.tuples(value, value), min_size=2, max_size=40)


@pytest.mark.parametrize("probability", [0.9, 0.95, 0.975, 0.995])
@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 30, 1000])
def test_quantiles_of_student_are_scipys(probability: float, degrees: int) -> None:
    tolerance = 0.011 if degrees < 10 else 1e-4
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=tolerance)
    assert t_quantile(1 - probability, degrees) == pytest.approx(-t_quantile(probability, degrees))


def test_a_mean_difference_is_the_paired_t_interval_of_scipy() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(3, 1, 40), generator.normal(2, 2, 40)
    found = mean_difference(one.tolist(), other.tolist())
    assert found is not None
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-4)
    assert found.value == pytest.approx(float(np.mean(one - other)))


@given(pairs)
def test_swapping_the_sides_turns_the_difference_round(rows: list[tuple[float, float]]) -> None:
    one, other = [row[0] for row in rows], [row[1] for row in rows]
    there, back = mean_difference(one, other), mean_difference(other, one)
    assert there is not None
    assert back is not None
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-6)


@given(pairs, st.floats(0.01, 100))
def test_a_ratio_scales_with_the_candidate(rows: list[tuple[float, float]], factor: float) -> None:
    theirs = [row[1] + 1 for row in rows]
    one = ratio_of_means([row[0] for row in rows], theirs)
    other = ratio_of_means([row[0] * factor for row in rows], theirs)
    assert one is not None
    assert other is not None
    assert (other.value, other.high) == pytest.approx((one.value * factor, one.high * factor), rel=1e-6, abs=1e-9)
    assert one.low <= one.value <= one.high


def test_proportional_counts_have_a_ratio_without_doubt() -> None:
    found = ratio_of_means([13.0, 26.0, 39.0], [10.0, 20.0, 30.0])
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((1.3, 1.3, 1.3))


def test_the_interval_of_token_ratios_holds_the_truth_as_often_as_it_says() -> None:
    """Lengths by a lognormal law, 1.2 times as many with noise of a quarter; 400 samples of 100 pairs, 80 %."""
    held = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        theirs = generator.lognormal(5, 1, 100)
        ours = theirs * 1.2 * generator.lognormal(-(0.25**2) / 2, 0.25, 100)
        found = ratio_of_means(ours.tolist(), theirs.tolist(), confidence_fraction=0.8)
        assert found is not None
        interval = found.interval()
        held += interval.low <= 1.2 <= interval.high
    assert held / 400 == pytest.approx(0.8, abs=0.06)


def test_too_few_pairs_or_nothing_to_divide_by_say_so() -> None:
    assert mean_difference([1.0], [2.0]) is None
    assert ratio_of_means([1.0], [2.0]) is None
    assert ratio_of_means([1.0, 2.0], [0.0, 0.0]) is None
    with pytest.raises(ValueError, match="shorter"):
        mean_difference([1.0, 2.0], [1.0])


def test_tasks_are_compared_apart() -> None:
    found = by_task([("b", 1.0, 0.0), ("a", 2.0, 1.0), ("a", 4.0, 1.0)])
    assert list(found) == ["a", "b"]
    assert found["b"] is None
    assert found["a"] is not None
    assert found["a"].value == 2
