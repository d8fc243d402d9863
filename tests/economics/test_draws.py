"""Joint draws: percentiles hold in every sample, correlations are those declared, and keys keep their own chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.economics.draws import draw
from breakeven.errors import InputError
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from breakeven.economics.draws import Correlation
    from breakeven.quantities import Array

ASSUMPTIONS = load_book().assumptions
COUNT = 4000
ENGINEERS, INCIDENTS, WEEKS = "self_hosted_engineering_fte", "self_hosted_incidents_per_month", "migration_weeks"


def _draw(
    keys: tuple[str, ...] = tuple(ASSUMPTIONS), correlations: tuple[Correlation, ...] = (), *, seed: int = 7
) -> dict[str, Array]:
    chosen = {key: ASSUMPTIONS[key] for key in keys}
    return draw(chosen, count=COUNT, correlations=correlations, generator=np.random.default_rng(seed))


def _rank_correlation(first: Array, second: Array) -> float:
    ranks = np.argsort(np.argsort(np.stack([first, second])))
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def test_every_sample_holds_the_percentiles() -> None:
    drawn = _draw()
    assert list(drawn) == list(ASSUMPTIONS)
    for key, item in ASSUMPTIONS.items():
        width = item.high - item.low
        assert np.quantile(drawn[key], [0.1, 0.9]) == pytest.approx([item.low, item.high], abs=5e-3 * width), key
        assert len(drawn[key]) == COUNT


def test_a_value_without_doubt_is_repeated() -> None:
    assert set(_draw()["hours_per_month"]) == {730.0}


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    first, again, other = _draw(), _draw(), _draw(seed=8)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first[ENGINEERS], other[ENGINEERS])


def test_a_second_call_with_one_generator_draws_anew() -> None:
    generator = np.random.default_rng(1)
    chosen = {ENGINEERS: ASSUMPTIONS[ENGINEERS]}
    first, second = (draw(chosen, count=COUNT, generator=generator)[ENGINEERS] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first), np.sort(second)), "only the order is chance"


def test_an_assumption_more_moves_no_draw_of_the_others() -> None:
    few, all_of_them = _draw((WEEKS, ENGINEERS)), _draw(tuple(reversed(tuple(ASSUMPTIONS))))
    assert all(np.array_equal(few[key], all_of_them[key]) for key in few)


def test_another_range_keeps_the_order_of_the_draws() -> None:
    own = replace(ASSUMPTIONS[WEEKS], low=1, likely=2, high=3)
    drawn = draw({WEEKS: own}, count=COUNT, generator=np.random.default_rng(7))[WEEKS]
    assert np.array_equal(np.argsort(drawn), np.argsort(_draw()[WEEKS]))


def test_assumptions_without_declared_correlations_have_none() -> None:
    drawn = _draw()
    doubtful = [key for key, item in ASSUMPTIONS.items() if item.low < item.high and item.low > 0]
    found = [_rank_correlation(drawn[first], drawn[second]) for first, second in combinations(doubtful, 2)]
    assert np.mean(np.square(found)) == pytest.approx(1 / COUNT, rel=0.25), "what independent orders show"


@settings(max_examples=20, deadline=None)
@given(rank=st.floats(-1, 1), seed=st.integers(0, 2**32))
def test_declared_rank_correlations_are_those_of_the_draws(rank: float, seed: int) -> None:
    drawn = _draw((ENGINEERS, INCIDENTS), ((ENGINEERS, INCIDENTS, rank),), seed=seed)
    error = 6 * (1 - rank**2) / COUNT**0.5 + 0.002
    assert _rank_correlation(drawn[ENGINEERS], drawn[INCIDENTS]) == pytest.approx(rank, abs=error)
    low, high = ASSUMPTIONS[INCIDENTS].low, ASSUMPTIONS[INCIDENTS].high
    assert np.quantile(drawn[INCIDENTS], [0.1, 0.9]) == pytest.approx([low, high], rel=0.01)


def test_three_correlated_assumptions_and_an_undeclared_pair() -> None:
    pairs = ((ENGINEERS, INCIDENTS, 0.6), (ENGINEERS, WEEKS, -0.5))
    drawn = _draw((ENGINEERS, INCIDENTS, WEEKS), pairs)
    for first, second, rank in (*pairs, (INCIDENTS, WEEKS, 0.0)):
        assert _rank_correlation(drawn[first], drawn[second]) == pytest.approx(rank, abs=0.08)


def test_a_correlation_moves_only_its_own_pair() -> None:
    plain, tied = _draw(), _draw(correlations=((ENGINEERS, INCIDENTS, 0.5),))
    moved = {key for key in plain if not np.array_equal(plain[key], tied[key])}
    assert len(moved) == 1
    assert moved <= {ENGINEERS, INCIDENTS}


def test_a_correlation_without_a_partner_in_doubt_has_no_effect() -> None:
    plain = _draw((ENGINEERS, "hours_per_month"))
    tied = _draw((ENGINEERS, "hours_per_month"), ((ENGINEERS, "hours_per_month", 0.9), (ENGINEERS, "not_passed", 0.9)))
    assert np.array_equal(plain[ENGINEERS], tied[ENGINEERS])


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (((ENGINEERS, INCIDENTS, 0.9), (ENGINEERS, WEEKS, 0.9), (INCIDENTS, WEEKS, -0.9)), "contradict each other"),
        (((ENGINEERS, INCIDENTS, 1.2),), "between -1 and 1, got 1.2"),
        (((ENGINEERS, INCIDENTS, float("nan")),), "between -1 and 1, got nan"),
        (((ENGINEERS, ENGINEERS, 0.5),), "always goes with itself"),
        (((ENGINEERS, INCIDENTS, 0.5), (INCIDENTS, ENGINEERS, 0.4)), "declared twice"),
    ],
)
def test_correlations_that_cannot_be_are_refused_by_name(pairs: tuple[Correlation, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        _draw((ENGINEERS, INCIDENTS, WEEKS), pairs)
    assert said in str(caught.value)
    assert ENGINEERS in str(caught.value)


def test_contradicting_correlations_name_their_pairs_and_no_others() -> None:
    good = ("breach_usd", "request_tokens", 0.3)
    bad = ((ENGINEERS, INCIDENTS, 0.9), (ENGINEERS, WEEKS, 0.9), (INCIDENTS, WEEKS, -0.9))
    with pytest.raises(InputError) as caught:
        _draw(correlations=(good, *bad))
    assert {problem.where for problem in caught.value.problems} == {" and ".join(sorted(pair[:2])) for pair in bad}
    assert "breach_usd" not in str(caught.value)
