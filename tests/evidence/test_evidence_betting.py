"""The test by betting: equal to an independent one, a fold, and told in advance."""

from __future__ import annotations

from math import log, log1p

import msgspec
import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.betting import Betting, PairsNeeded, begin, e_bh, pairs_needed

difference = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1))
differences = st.lists(difference, max_size=60)
margin = st.floats(0.001, 0.5)


def drawn(count: int, *, better: float, worse: float, seed: int) -> list[float]:
    found = np.random.default_rng(seed).choice([1.0, 0.0, -1.0], count, p=[better, 1 - better - worse, worse])
    return [float(value) for value in found]


@pytest.mark.parametrize(
    ("better", "worse", "margin_fraction"), [(0.1, 0.1, 0.03), (0.3, 0.05, 0.1), (0.02, 0.2, 0.05)]
)
def test_given_our_bets_ville_finds_the_same_wealth_both_ways(
    better: float, worse: float, margin_fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ville brings D to [0, 1], where a bet is twice as large and the largest one that it allows is the same."""
    pairs = drawn(500, better=better, worse=worse, seed=7)
    for side, alternative in (("promote", "greater"), ("reverse", "less")):
        betting, bets, nats = begin(margin_fraction=margin_fraction), [], []
        for pair in pairs:
            bets.append(2 * getattr(betting, side).bet_ratio)
            betting = betting.after([pair])
            nats.append(getattr(betting, side).nats)
        monkeypatch.setattr("ville.sequential._plugin_lambda", lambda *_, bets=bets: np.array(bets))
        oracle = ville.BettingTest(-margin_fraction, bounds=(-1, 1), alternative=alternative).fit(pairs)
        assert nats == pytest.approx(oracle.log_e_values_.tolist(), abs=1e-9)


def test_the_wealth_is_the_product_of_its_bets_by_hand() -> None:
    """First bet of a margin of 3 points: 0.03 over a mean square of 0.25; then from what was seen and expected."""
    first = 0.03 / 0.25
    second = (500 * 0.03 + 1.03) / 501 / ((20 * 0.25 + 1.03**2) / 21)
    betting = begin(margin_fraction=0.03).after([1.0, -1.0])
    assert betting.promote.nats == pytest.approx(log1p(first * 1.03) + log1p(second * -0.97))
    assert betting.promote.peak_nats == pytest.approx(log1p(first * 1.03))
    assert betting.promote.e_value == pytest.approx((1 + first * 1.03) * (1 - second * 0.97))


@given(pairs=differences, cut=st.integers(0, 60), margin_fraction=margin)
def test_it_is_a_fold_however_the_pairs_are_portioned(pairs: list[float], cut: int, margin_fraction: float) -> None:
    start = begin(margin_fraction=margin_fraction)
    assert start.after(pairs) == start.after(pairs[:cut]).after(pairs[cut:])


@given(pairs=differences, margin_fraction=margin)
def test_its_state_survives_json(pairs: list[float], margin_fraction: float) -> None:
    betting = begin(margin_fraction=margin_fraction).after(pairs)
    assert msgspec.json.decode(msgspec.json.encode(betting), type=Betting) == betting


@given(pairs=differences, margin_fraction=margin, last=difference)
def test_a_better_pair_never_makes_less_of_the_candidate(
    pairs: list[float], margin_fraction: float, last: float
) -> None:
    before = begin(margin_fraction=margin_fraction).after(pairs)
    one, other = before.after([last]), before.after([min(last + 0.5, 1.0)])
    assert other.promote.nats >= one.promote.nats
    assert other.reverse.nats <= one.reverse.nats


@given(pairs=differences, margin_fraction=margin)
def test_no_pair_takes_more_than_half_of_a_wealth(pairs: list[float], margin_fraction: float) -> None:
    betting = begin(margin_fraction=margin_fraction)
    for pair in pairs:
        after = betting.after([pair])
        assert after.promote.nats >= betting.promote.nats - log(2) - 1e-9
        assert after.reverse.nats >= betting.reverse.nats - log(2) - 1e-9
        betting = after


@given(pairs=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=6), rate=st.floats(0, 0.4))
def test_a_bet_gains_nothing_on_average_at_the_margin(pairs: list[float], rate: float) -> None:
    """Whatever came before, of a pair with E[D] = -margin: the definition of the test's validity."""
    better, worse = rate, rate + 0.1
    before = begin(margin_fraction=0.1).after(pairs)
    for side in ("promote", "reverse"):
        mean = sum(
            chance * getattr(before.after([pair]), side).e_value
            for pair, chance in ((1.0, better), (0.0, 1 - better - worse), (-1.0, worse))
        )
        assert mean == pytest.approx(getattr(before, side).e_value)


def test_what_is_beyond_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between -1 and 1, got 1\.5"):
        begin(margin_fraction=0.03).after([0.0, 1.5])
    with pytest.raises(ValueError, match="got nan"):
        begin(margin_fraction=0.03).after([float("nan")])
    with pytest.raises(ValueError, match=r"0.03 is three points\), got 3"):
        begin(margin_fraction=3)
    with pytest.raises(ValueError, match="false answer"):
        begin(margin_fraction=0.03, alpha_fraction=1.0)


def test_a_wealth_that_good_times_made_small_is_begun_anew_at_a_step() -> None:
    good = begin(margin_fraction=0.03).after(drawn(4000, better=0.15, worse=0.05, seed=3))
    bad = drawn(600, better=0.05, worse=0.25, seed=4)
    assert not good.after(bad).is_worse
    renewed = good.with_new_reverse()
    assert renewed.promote == good.promote
    assert renewed.after(bad).is_worse


def test_nothing_is_needed_any_more_once_it_is_shown() -> None:
    betting = begin(margin_fraction=0.05).after(drawn(3000, better=0.1, worse=0.05, seed=1))
    assert betting.is_as_good
    assert pairs_needed(betting) == PairsNeeded(likely_count=0, high_count=0)


def test_no_number_of_pairs_is_promised_where_the_difference_is_beyond_the_margin() -> None:
    assert pairs_needed(begin(margin_fraction=0.03).after(drawn(800, better=0.05, worse=0.2, seed=2))) is None


@pytest.mark.parametrize(("seen", "tolerance"), [(100, 0.25), (150, 0.1)])
def test_the_pairs_needed_where_answers_never_differ(seen: int, tolerance: float) -> None:
    """The walk has hardly any chance in it, which the inverse Gaussian has to bear; 222 pairs in all."""
    betting = begin(margin_fraction=0.03).after([0.0] * seen)
    told = pairs_needed(betting)
    assert told is not None
    assert told.likely_count == pytest.approx(222 - seen, rel=tolerance)
    assert not betting.after([0.0] * (221 - seen)).is_as_good
    assert betting.after([0.0] * (222 - seen)).is_as_good


@given(pairs=differences, margin_fraction=margin)
def test_what_is_told_of_pairs_needed_is_in_order(pairs: list[float], margin_fraction: float) -> None:
    told = pairs_needed(begin(margin_fraction=margin_fraction).after(pairs))
    assert told is None or 0 <= told.likely_count <= told.high_count


@pytest.mark.parametrize(("seen", "tolerance"), [(0, 0.15), (300, 0.2)])
def test_the_pairs_needed_are_those_that_it_then_takes(seen: int, tolerance: float) -> None:
    """Of runs with the discordance that is expected before any pair (25 %), half and 80 % end within what was told."""
    likely_held, high_held = [], []
    for seed in range(300):
        pairs = drawn(seen + 12_000, better=0.125, worse=0.125, seed=seed)
        betting = begin(margin_fraction=0.05).after(pairs[:seen])
        told = pairs_needed(betting)
        if told is None or betting.is_as_good:
            continue
        likely_held.append(betting.after(pairs[seen : seen + told.likely_count]).is_as_good)
        high_held.append(betting.after(pairs[seen : seen + told.high_count]).is_as_good)
    assert np.mean(likely_held) == pytest.approx(0.5, abs=tolerance)
    assert np.mean(high_held) == pytest.approx(0.8, abs=tolerance)


@given(st.lists(st.one_of(st.floats(0, 5), st.floats(0, 1e6)), max_size=30), st.sampled_from([0.01, 0.05, 0.2]))
def test_of_many_tasks_the_same_are_shown_as_ville_says(e_values: list[float], alpha: float) -> None:
    expected = ville.evalues.ebh(np.array(e_values), alpha).tolist() if e_values else []
    assert list(e_bh(e_values, alpha_fraction=alpha)) == expected


def test_of_two_tasks_with_odds_of_twenty_and_one_neither_stands_alone() -> None:
    assert e_bh([20.0, 1.0]) == (False, False)
    assert e_bh([40.0, 1.0]) == (True, False)
    assert e_bh([20.0, 20.0]) == (True, True)
