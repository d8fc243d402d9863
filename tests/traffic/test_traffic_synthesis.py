"""Made-up requests: as many as were counted, as bursty as was fitted, as long as was seen."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.traffic.likeness import likeness_of
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path, two_weeks_paths
from breakeven.traffic.synthesis import (
    Burst,
    Counted,
    Resampled,
    around_means,
    fit_gaps,
    fit_swing,
    joined,
    synthesise,
    weibull_shape,
)

if TYPE_CHECKING:
    from small_logs import Write

    from breakeven.traffic.arrivals import Arrivals
    from breakeven.traffic.synthesis import Family


def chance(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def counted(requests: list[int], *, window_s: float = 600.0, into: float = 1000.0, out: float = 200.0) -> Counted:
    counts = np.array(requests, dtype=np.int64)
    tokens = counts.astype(np.float64)
    return Counted(
        np.arange(len(counts), dtype=np.float64) * window_s,
        np.full(len(counts), window_s),
        counts,
        tokens * into,
        tokens * into / 4,
        tokens * out,
    )


def made(windows: Counted, burst: Burst, seed: int = 1) -> Arrivals:
    return joined(synthesise(windows, burst, around_means, chance(seed)))


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=8).filter(any),
    st.sampled_from([("poisson", 1.0), ("gamma", 0.5), ("gamma", 3.0), ("weibull", 2.0)]),
    st.floats(0, 0.4),
)
def test_each_window_keeps_its_requests_in_order(
    requests: list[int], gaps: tuple[Family, float], swing_fraction: float
) -> None:
    burst = Burst(family=gaps[0], gap_cv_ratio=gaps[1], swing_fraction=swing_fraction)
    found = made(counted(requests), burst)
    assert (np.diff(found.at_s) >= 0).all()
    assert np.bincount((found.at_s // 600).astype(int), minlength=len(requests)).tolist() == requests
    assert (found.input_tokens >= 1).all()
    assert (found.output_tokens >= 1).all()
    assert (found.cached_input_tokens < found.input_tokens).all()


def test_batches_are_bounded_and_in_order_across_windows() -> None:
    batches = list(synthesise(counted([450_000, 0, 10, 250_000]), Burst(), around_means, chance()))
    assert [len(batch.at_s) <= 400_000 for batch in batches] == [True] * len(batches)
    assert sum(len(batch.at_s) for batch in batches) == 700_010
    ends = [(batch.at_s[0], batch.at_s[-1]) for batch in batches]
    assert all(before[1] <= after[0] for before, after in pairwise(ends))


def test_equal_chance_gives_equal_requests_and_other_chance_others() -> None:
    windows, burst = counted([500, 400]), Burst(family="gamma", gap_cv_ratio=2.0, swing_fraction=0.1)
    first, again, other = (made(windows, burst, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first[:4], again[:4], strict=True))
    assert not np.array_equal(first.at_s, other.at_s)


@pytest.mark.parametrize(("family", "cv"), [("gamma", 2.0), ("gamma", 0.5), ("weibull", 1.7), ("poisson", 1.0)])
def test_the_fit_gets_back_the_burst_that_was_put_in(family: Family, cv: float) -> None:
    found = fit_gaps(made(counted([20_000] * 10), Burst(family=family, gap_cv_ratio=cv)).at_s)
    assert found.family == family
    assert found.gap_cv_ratio == pytest.approx(cv, rel=0.03)


def test_a_slow_change_of_the_rate_is_no_burst() -> None:
    found = fit_gaps(made(counted([2_000, 4_000, 8_000, 16_000, 8_000, 4_000]), Burst()).at_s)
    assert found == Burst()


def test_few_or_simultaneous_requests_are_taken_as_poisson() -> None:
    assert fit_gaps(np.arange(300.0)) == Burst()
    assert fit_gaps(np.zeros(10_000)) == Burst()


def test_regular_requests_are_fitted_as_nearly_regular() -> None:
    found = fit_gaps(np.arange(10_000) + chance().uniform(0, 1e-3, 10_000))
    assert found.gap_cv_ratio < 0.1


def test_the_scatter_of_halves_is_got_back_from_windows() -> None:
    """Windows of independent scatter s: halves of a whole scatter by s / sqrt 2 against it."""
    seen = 1_000_000 * (1 + 0.08 * chance().standard_normal(20_000))
    assert fit_swing(seen) == pytest.approx(0.08 / np.sqrt(2), rel=0.03)


def test_windows_that_scatter_by_chance_alone_do_not_swing() -> None:
    assert fit_swing(chance().poisson(100, 5_000)) < 0.02
    assert fit_swing(np.array([5, 6, 5])) == 0
    assert fit_swing(np.zeros(10)) == 0


def test_swings_scatter_the_halves_as_stated() -> None:
    halves = []
    for seed in range(400):
        found = made(counted([4_000]), Burst(swing_fraction=0.2), seed)
        halves.append(np.mean(found.at_s < 300) / 0.5)
    assert np.std(halves) == pytest.approx(np.hypot(0.2, 1 / np.sqrt(4_000)), rel=0.12)


def test_lengths_scatter_around_the_windows_means() -> None:
    found = made(counted([50_000], into=1_000, out=200), Burst())
    assert found.input_tokens.mean() == pytest.approx(1_000, rel=0.02)
    assert found.output_tokens.mean() == pytest.approx(200, rel=0.02)
    assert found.cached_input_tokens.sum() / found.input_tokens.sum() == pytest.approx(0.25, rel=0.01)
    assert found.input_tokens.std() / found.input_tokens.mean() == pytest.approx(1.0, rel=0.05)


def test_resampled_lengths_stay_whole_requests() -> None:
    seen = np.array([[10, 0, 1], [1_000, 500, 70]])
    batch = joined(synthesise(counted([1_000]), Burst(), Resampled(seen), chance()))
    pairs = set(
        zip(batch.input_tokens.tolist(), batch.cached_input_tokens.tolist(), batch.output_tokens.tolist(), strict=True)
    )
    assert pairs == {(10, 0, 1), (1_000, 500, 70)}


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_a_weibull_shape_has_the_variation_asked_for(cv: float) -> None:
    drawn = chance().weibull(weibull_shape(cv), 2_000_000)
    assert drawn.std() / drawn.mean() == pytest.approx(cv, rel=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "lognormal"},
        {"family": "gamma", "gap_cv_ratio": 0.0},
        {"family": "gamma", "gap_cv_ratio": 21.0},
        {"family": "poisson", "gap_cv_ratio": 2.0},
        {"swing_fraction": 0.6},
        {"family": "gamma", "gap_cv_ratio": float("nan")},
    ],
)
def test_a_burst_that_no_process_has_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"burst|variation|Poisson|swings"):
        Burst(**wrong)


def test_windows_tell_their_swing_and_keep_their_volume() -> None:
    likeness = likeness_of(read_trace(two_weeks_paths()))
    assert 0.02 < likeness.burst.swing_fraction < 0.1
    assert "made up from 2,016 windows" in likeness.notes[0]
    small = likeness.scaled(0.001)
    assert small.counted.requests.sum() == round(likeness.counted.requests.sum() * 0.001)
    assert sum(len(batch.at_s) for batch in small.arrivals(1)()) == small.counted.requests.sum()
    assert small.counted.input_tokens.sum() / small.counted.requests.sum() == pytest.approx(
        likeness.counted.input_tokens.sum() / likeness.counted.requests.sum(), rel=0.01
    )


def test_a_trace_of_requests_is_made_up_anew_at_twice_its_volume() -> None:
    likeness = likeness_of(read_trace([sample_path()]))
    twice = joined(likeness.scaled(2.0).arrivals(7)())
    assert len(twice.at_s) == 2 * 19_366
    seen = likeness.counted
    assert twice.input_tokens.mean() == pytest.approx(seen.input_tokens.sum() / seen.requests.sum(), rel=0.03)
    by_minute = np.bincount((twice.at_s // 60).astype(int), minlength=len(seen.requests))
    assert np.abs(by_minute - 2 * seen.requests).max() <= 1


def test_a_bill_and_windows_without_requests_are_refused_in_words(log: Write) -> None:
    bill = log("month,model,input_tokens,output_tokens\n2026-01,gpt-4o,1000,200\n", "bill.csv")
    with pytest.raises(InputError, match="neither hours nor minutes"):
        likeness_of(read_trace([bill]))
