"""What a success cost: by hand, against the bootstrap, and what has to hold for any sums."""

from __future__ import annotations

from functools import reduce
from math import isclose, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from breakeven.economics.outcome_costs import (
    OutcomeSums,
    failure_price,
    ratio_interval,
    success_interval,
    unknown_bounds,
    usd_per_known_success,
    usd_with_failures,
)
from breakeven.economics.outcomes import usd_per_success

if TYPE_CHECKING:
    from collections.abc import Sequence

costs = st.floats(min_value=0, max_value=100, allow_nan=False).map(lambda cost: round(cost, 4))
subjects = st.lists(st.tuples(costs, st.sampled_from([True, False, None])), min_size=1, max_size=60)


def sums_of(many: Sequence[tuple[float, bool | None]]) -> OutcomeSums:
    return reduce(lambda sums, item: sums.plus(*item), many, OutcomeSums())


def test_with_nothing_unknown_a_success_costs_all_that_was_paid_over_what_succeeded() -> None:
    sums = sums_of([(0.02, True), (0.04, False), (0.03, True), (0.01, False)])
    found = usd_per_known_success(sums)
    assert found is not None
    assert found.likely == pytest.approx(0.10 / 2)
    assert unknown_bounds(sums).all_good_usd == unknown_bounds(sums).none_good_usd == pytest.approx(0.05)


def test_retries_until_one_works_cost_what_the_formula_for_attempts_says() -> None:
    """Of attempts at 1 cent each, a quarter works: episodes of four on average cost 4 cents a success."""
    episodes = [(0.01 * number, True) for number in (1, 3, 5, 7)]
    found = usd_per_known_success(sums_of(episodes))
    assert found is not None
    assert found.likely == pytest.approx(usd_per_success(0.01, success_fraction=0.25))


def test_no_known_success_has_no_price() -> None:
    assert usd_per_known_success(sums_of([(1.0, False), (2.0, None)])) is None
    assert usd_per_known_success(OutcomeSums()) is None
    assert success_interval(0, 0) is None
    bounds = unknown_bounds(sums_of([(1.0, False), (2.0, None)]))
    assert (bounds.all_good_usd, bounds.none_good_usd) == (3.0, None)


@given(subjects)
def test_the_figure_lies_between_the_bounds_of_the_unknown(many: list[tuple[float, bool | None]]) -> None:
    sums = sums_of(many)
    found, bounds = usd_per_known_success(sums), unknown_bounds(sums)
    assume(found is not None)
    assert found is not None
    assert bounds.all_good_usd is not None
    assert bounds.none_good_usd is not None
    assert bounds.all_good_usd <= found.likely * (1 + 1e-9)
    assert found.likely <= bounds.none_good_usd * (1 + 1e-9)


@given(subjects)
def test_an_interval_holds_its_figure(many: list[tuple[float, bool | None]]) -> None:
    found = usd_per_known_success(sums_of(many))
    assume(found is not None)
    assert found is not None
    assert 0 <= found.low <= found.likely
    assert found.high is None or found.likely <= found.high


@given(subjects, st.floats(min_value=0.001, max_value=1000))
def test_prices_scale_what_a_success_costs(many: list[tuple[float, bool | None]], factor: float) -> None:
    one, other = (usd_per_known_success(sums_of([(cost * by, good) for cost, good in many])) for by in (1.0, factor))
    assume(one is not None)
    assert one is not None
    assert other is not None
    assert isclose(one.likely * factor, other.likely, rel_tol=1e-9)
    assert (one.high is None) == (other.high is None) or one.likely == 0


@given(subjects)
def test_sums_do_not_depend_on_the_order_of_subjects(many: list[tuple[float, bool | None]]) -> None:
    one, other = sums_of(many), sums_of(many[::-1])
    assert (one.subject_count, one.known_count, one.success_count) == (
        other.subject_count,
        other.known_count,
        other.success_count,
    )
    assert one.cost_usd == pytest.approx(other.cost_usd)


@pytest.mark.parametrize(("known_fraction", "failing_costs"), [(1.0, 1.0), (1.0, 3.0), (0.4, 2.0)])
def test_the_interval_is_that_of_the_bootstrap(known_fraction: float, failing_costs: float) -> None:
    """Failures cost more and some outcomes are unknown: 4,000 resamples of 800 subjects, 95 %."""
    random = np.random.default_rng(11)
    good = random.uniform(size=800) < 0.6
    cost = random.gamma(2.0, 0.01, size=800) * np.where(good, 1.0, failing_costs)
    known = random.uniform(size=800) < known_fraction
    found = usd_per_known_success(sums_of([(c, bool(g) if k else None) for c, g, k in zip(cost, good, known)]))  # noqa: B905 - equally long
    assert found is not None
    assert found.high is not None
    picks = random.integers(0, 800, size=(4_000, 800))
    shares = (good & known)[picks].sum(axis=1) / known[picks].sum(axis=1)
    low, high = np.quantile(cost[picks].mean(axis=1) / shares, [0.025, 0.975])
    width = high - low
    assert abs(found.low - low) < 0.08 * width
    assert abs(found.high - high) < 0.08 * width


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """60 subjects of which half succeed at a mean of 2 cents: 95 % of 2,000 samples cover 4 cents, within noise."""
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(2_000):
        good, cost = random.uniform(size=60) < 0.5, random.gamma(2.0, 0.01, size=60)
        found = usd_per_known_success(sums_of(list(zip(cost.tolist(), good.tolist(), strict=True))))
        assert found is not None
        covered += found.low <= 0.04 <= (found.high or np.inf)
    assert 0.935 <= covered / 2_000 <= 0.975


def test_a_few_successes_alone_bound_no_price() -> None:
    found = usd_per_known_success(sums_of([(1.0, True)] + [(1.0, False)] * 30))
    assert found is not None
    assert found.likely == pytest.approx(31)
    assert found.high is None


def test_five_of_five_is_no_certainty() -> None:
    found = usd_per_known_success(sums_of([(1.0, True)] * 5))
    assert found is not None
    assert found.likely == pytest.approx(1.0)
    assert found.high is not None
    assert found.high > 1.2
    share = success_interval(5, 5)
    assert share is not None
    assert share.low == pytest.approx(0.5655, abs=1e-4)  # Wilson 1927, by hand: 5 / (5 + 1.96^2)
    assert (share.likely, share.high) == (1.0, 1.0)


def test_the_ratio_of_two_means_is_bounded_by_the_parabola_of_fieller() -> None:
    """10 +- 1 over 2 +- 0.1, independent, z = 2: the roots of 3.96 R^2 - 40 R + 96."""
    low, high = ratio_interval(10, 2, (1.0, 0.0, 0.01), 2)
    assert low == pytest.approx((40 - sqrt(1600 - 4 * 3.96 * 96)) / (2 * 3.96))
    assert high == pytest.approx((40 + sqrt(1600 - 4 * 3.96 * 96)) / (2 * 3.96))
    assert ratio_interval(0.1, 0.01, (1.0, 0.0, 1.0)) == (0.0, None)


def priced(cost: float, good: int, bad: int) -> OutcomeSums:
    return sums_of([(cost, True)] * good + [(cost, False)] * bad)


def test_a_failure_divides_two_models_at_its_price() -> None:
    """0.04 and 1 cent, 51.4 and 62 % good: the dear one pays from 9.06 cents a failure on (research, own example)."""
    weak, strong = priced(0.0004, 5_140, 4_860), priced(0.01, 6_200, 3_800)
    found = failure_price(weak, strong)
    assert found is not None
    assert found.likely_usd == pytest.approx(0.0096 / 0.106)
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert found.low_usd < 0.0906 < found.high_usd
    for failure_usd, cheaper in ((0.05, weak), (0.15, strong)):
        sums = {id(item): usd_with_failures(item, failure_usd) for item in (weak, strong)}
        assert min(sums, key=lambda name: sums[name] or 0.0) == id(cheaper)


def test_at_that_price_both_cost_the_same() -> None:
    weak, strong = priced(0.01, 50, 50), priced(0.07, 80, 20)
    found = failure_price(weak, strong)
    assert found is not None
    assert found.likely_usd is not None
    assert usd_with_failures(weak, found.likely_usd) == pytest.approx(usd_with_failures(strong, found.likely_usd) or 0)


def test_the_cheaper_that_is_better_too_stays_cheaper_at_any_price() -> None:
    found = failure_price(priced(0.01, 900, 100), priced(0.05, 500, 500))
    assert found is not None
    assert (found.likely_usd, found.low_usd, found.high_usd) == (None, None, None)


def test_what_is_as_good_so_far_may_still_turn() -> None:
    same = failure_price(priced(0.01, 50, 50), priced(0.05, 50, 50))
    assert same is not None
    assert same.likely_usd is None
    assert same.low_usd is not None
    assert 0 < same.low_usd < 1
    assert same.high_usd is None
    little = failure_price(priced(0.01, 50, 50), priced(0.05, 55, 45))
    assert little is not None
    assert little.likely_usd == pytest.approx(0.04 / 0.05)
    assert little.high_usd is None


def test_the_price_of_a_failure_is_covered_as_often_as_it_says() -> None:
    """200 subjects each, 60 and 80 % good at 1 and 3 cents: 95 % of 2,000 samples cover 10 cents, within noise."""
    random = np.random.default_rng(6)
    covered = 0
    for _ in range(2_000):
        two = []
        for share, cost_usd in ((0.6, 0.01), (0.8, 0.03)):
            good, cost = random.uniform(size=200) < share, random.gamma(4.0, cost_usd / 4, size=200)
            two.append(sums_of(list(zip(cost.tolist(), good.tolist(), strict=True))))
        found = failure_price(two[0], two[1])
        assert found is not None
        assert found.low_usd is not None
        covered += found.low_usd <= 0.10 <= (found.high_usd or np.inf)
    assert 0.935 <= covered / 2_000 <= 0.97


def test_a_price_of_failures_needs_known_outcomes_and_an_order() -> None:
    unknown = sums_of([(0.01, None)] * 10)
    assert failure_price(unknown, priced(0.05, 1, 1)) is None
    assert usd_with_failures(unknown, 1.0) is None
    with pytest.raises(ValueError, match="the cheaper of two ways costs"):
        failure_price(priced(0.05, 1, 1), priced(0.01, 1, 1))
