"""The interval that holds at every look, against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.means import MeanSequence


@given(
    st.lists(st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)), min_size=1, max_size=80),
    st.sampled_from([0.05, 0.2]),
)
def test_it_is_the_empirical_bernstein_sequence_of_ville(pairs: list[float], alpha: float) -> None:
    """But where the running intersection is empty, which says that no mean is left and happens once in 1 / alpha."""
    oracle = ville.EmpiricalBernsteinCS(bounds=(-1, 1), alpha=alpha).fit(pairs)
    found = MeanSequence(alpha_fraction=alpha).after(pairs)
    assert (found.low_score, found.high_score) == pytest.approx(oracle.interval(), abs=1e-9)
    assert found.mean_score == pytest.approx(float(oracle.estimate_[-1]), abs=1e-12)


def test_before_any_pair_it_holds_everything() -> None:
    assert (MeanSequence().low_score, MeanSequence().high_score, MeanSequence().mean_score) == (-1, 1, 0)


def test_it_ever_leaves_out_the_mean_in_at_most_one_run_of_twenty() -> None:
    """300 runs of 2,000 pairs with a mean of 0.02: the count of a binomial of 5 % is below 25 in 99 of 100 cases."""
    left_out = 0
    for seed in range(300):
        pairs = np.random.default_rng(seed).choice([1.0, 0.0, -1.0], 2000, p=[0.11, 0.8, 0.09]).tolist()
        found = MeanSequence().after(pairs)
        left_out += not found.low_score <= 0.02 <= found.high_score
    assert left_out <= 24
