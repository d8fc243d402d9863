"""Error rates and pairs needed, of simulated tasks with fixed seeds; ``make bench-shift`` does the same at length."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from breakeven.evidence.betting import begin

RUNS = 300
PAIRS = 3000
LEAST = 50
LOOK = 10


def drawn(difference: float, discordance: float, *, pairs: int = PAIRS, seed: int = 0) -> list[list[float]]:
    """Return runs of pairs whose scores differ in a share ``discordance`` of them, by ``difference`` on average."""
    chances = [(discordance + difference) / 2, 1 - discordance, (discordance - difference) / 2]
    generator = np.random.default_rng(seed)
    return [generator.choice([1.0, 0.0, -1.0], pairs, p=chances).tolist() for _ in range(RUNS)]


def taken(runs: list[list[float]], margin: float, *, reverse: bool = False) -> list[float]:
    """Return after how many pairs each run ended, looked at every ten; infinity where it did not."""
    found = []
    for pairs in runs:
        betting = begin(margin_fraction=margin)
        wealth, sign = (betting.reverse, -1) if reverse else (betting.promote, 1)
        gains = [sign * (pair + margin) for pair in pairs]
        ended = float("inf")
        for place in range(0, len(gains), LOOK):
            wealth = wealth.after(gains[place : place + LOOK])
            if wealth.peak_e_value >= 20:
                ended = place + LOOK
                break
        found.append(ended)
    return found


def peeked_z(runs: list[list[float]], margin: float) -> float:
    """Return the share of runs that a one-sided z-test at 5 % calls as good, looked at every ten pairs from 50 on."""
    promoted = 0
    for pairs in runs:
        values = np.array(pairs) + margin
        counts = np.arange(1, len(values) + 1)
        mean = np.cumsum(values) / counts
        spread = np.sqrt(np.maximum(np.cumsum(values**2) / counts - mean**2, 1e-12) / counts)
        looks = slice(LEAST - 1, None, LOOK)
        promoted += bool(np.any(mean[looks] > 1.645 * spread[looks]))
    return promoted / len(runs)


@pytest.mark.parametrize(("margin", "discordance"), [(0.05, 0.1), (0.03, 0.2), (0.02, 0.3)])
def test_at_the_margin_one_candidate_of_twenty_at_most_is_promoted_where_a_peeked_z_test_promotes_a_third(
    margin: float, discordance: float
) -> None:
    runs = drawn(-margin, discordance)
    promoted = np.mean(np.isfinite(taken(runs, margin)))
    assert promoted <= 0.05 + 2 * sqrt(0.05 * 0.95 / RUNS)
    assert 0.25 <= peeked_z(runs, margin) <= 0.5


def test_five_points_below_the_margin_nothing_is_promoted() -> None:
    assert not np.any(np.isfinite(taken(drawn(-0.08, 0.2), 0.03)))


@pytest.mark.parametrize(
    ("margin", "discordance", "expected"), [(0.05, 0.1, 230), (0.05, 0.2, 430), (0.03, 0.1, 610), (0.03, 0.2, 1190)]
)
def test_an_equal_candidate_is_promoted_after_as_many_pairs_as_the_docs_say(
    margin: float, discordance: float, expected: int
) -> None:
    assert np.median(taken(drawn(0.0, discordance, pairs=2500), margin)) == pytest.approx(expected, rel=0.2)


def test_a_candidate_that_is_far_worse_is_rolled_back_within_the_pairs_that_the_docs_say() -> None:
    assert np.median(taken(drawn(-0.1, 0.2, pairs=1200), 0.03, reverse=True)) == pytest.approx(230, rel=0.2)
    assert np.median(taken(drawn(-0.2, 0.3, pairs=600), 0.03, reverse=True)) == pytest.approx(60, rel=0.25)


def test_an_equal_candidate_is_hardly_ever_rolled_back() -> None:
    """In each step; at the margin itself it may be, in one of twenty."""
    assert np.mean(np.isfinite(taken(drawn(0.0, 0.2), 0.03, reverse=True))) <= 0.02
    assert np.mean(np.isfinite(taken(drawn(-0.03, 0.2), 0.03, reverse=True))) <= 0.05
