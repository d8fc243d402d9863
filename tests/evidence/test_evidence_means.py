"""The interval that holds at every look, against its definition, and where the mean moves."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import logsumexp

from breakeven.evidence.means import RATES, WEIGHTS, MeanSequence


@given(
    st.lists(st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)), min_size=1, max_size=80),
    st.sampled_from([0.05, 0.2]),
)
def test_its_ends_are_where_the_mixture_comes_to_two_over_alpha(pairs: list[float], alpha: float) -> None:
    """The definition, with another solver: theorem 4 on values from 0 to 1, half of alpha on each side."""
    values, rates = (np.array(pairs) + 1) / 2, np.array(RATES)
    before = (0.5 + np.concatenate([[0.0], np.cumsum(values)[:-1]])) / np.arange(1, len(values) + 1)
    spread = float(((values - before) ** 2).sum())

    def beyond(distance: float) -> float:
        wealths = rates * distance + (np.log1p(-rates) + rates) * spread
        return float(logsumexp(wealths, b=WEIGHTS)) - log(2 / alpha)

    radius = 2 * float(brentq(beyond, 0, 1e4)) / len(pairs)
    found, mean = MeanSequence(alpha_fraction=alpha).after(pairs), float(np.mean(pairs))
    assert found.mean_score == pytest.approx(mean, abs=1e-12)
    assert (found.low_score, found.high_score) == pytest.approx((max(mean - radius, -1), min(mean + radius, 1)))


def test_before_any_pair_it_holds_everything() -> None:
    assert (MeanSequence().low_score, MeanSequence().high_score, MeanSequence().mean_score) == (-1, 1, 0)


def test_pairs_that_never_differ_by_hand() -> None:
    """Nothing spreads, so the largest rate all but decides: 32 / 63 exp(s / 2) = 2 / alpha."""
    found = MeanSequence().after([0.0] * 100)
    assert found.spread_sum_score == 0
    assert sum(WEIGHTS) == pytest.approx(1)
    assert found.high_score == pytest.approx(2 * 2 * log(40 * 63 / 32) / 100, rel=0.02)


def test_it_ever_leaves_out_the_mean_in_at_most_one_run_of_twenty() -> None:
    """300 runs, looked at after each of 2,000 pairs with a mean of 0.02: fewer than chance allows, 99 in 100."""
    left_out = 0
    for seed in range(300):
        pairs = np.random.default_rng(seed).choice([1.0, 0.0, -1.0], 2000, p=[0.11, 0.8, 0.09]).tolist()
        found, out = MeanSequence(), False
        for start in range(0, 2000, 50):
            found = found.after(pairs[start : start + 50])
            out = out or not found.low_score <= 0.02 <= found.high_score
        left_out += out
    assert left_out <= 24


def test_where_the_mean_moves_it_goes_along() -> None:
    """600 pairs that are alike, then 2,000 of which a quarter is lost: the interval is around the mean of them all."""
    found = MeanSequence().after([0.0, 1.0, -1.0, 0.0] * 150)
    assert found.low_score < 0 < found.high_score
    moved = found.after([0.0, -1.0, 0.0, 0.0] * 500)
    assert moved.mean_score == pytest.approx(-500 / 2600)
    assert moved.low_score < moved.mean_score < moved.high_score < -0.1
