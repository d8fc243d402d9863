"""Guards: live requests in blocks, what breaks them and what must not."""

from __future__ import annotations

from math import sqrt

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.guards import Guard, GuardLimits, GuardWatch, LiveRequest, begin_watch, slow_limit_s

request = st.builds(
    LiveRequest,
    of_candidate=st.booleans(),
    failed=st.booleans(),
    ttft_s=st.none() | st.floats(0.01, 10),
    cost_usd=st.none() | st.floats(0, 1),
)
LIMITS = GuardLimits(error_fraction=0.02, ttft_ratio=1.5, cost_ratio=1.2)


def watch_of(requests: list[LiveRequest], *, limits: GuardLimits = LIMITS, slow_s: float | None = 1.0) -> GuardWatch:
    return begin_watch(limits, slow_s=slow_s).after(requests)


def guard(watch: GuardWatch, name: str) -> Guard:
    return next(item for item in watch.guards() if item.name == name)


def live(
    generator: np.random.Generator, count: int, *, share: float, failing: tuple[float, float]
) -> list[LiveRequest]:
    """Return requests of which a share goes to the candidate; ``failing``: candidate's and incumbent's rates."""
    ours = generator.random(count) < share
    failed = generator.random(count) < np.where(ours, *failing)
    return [LiveRequest(of_candidate=bool(a), failed=bool(b)) for a, b in zip(ours, failed, strict=True)]


@given(st.lists(request, max_size=50), st.integers(0, 50))
def test_it_is_a_fold_however_the_requests_are_portioned(requests: list[LiveRequest], cut: int) -> None:
    one, other = watch_of(requests), watch_of(requests[:cut]).after(requests[cut:])
    assert one == other
    assert msgspec.json.decode(msgspec.json.encode(one), type=GuardWatch) == one


@given(st.lists(request, max_size=50))
def test_every_request_is_counted_once_on_its_side(requests: list[LiveRequest]) -> None:
    watch = watch_of(requests)
    for side, ours in ((watch.candidate, True), (watch.incumbent, False)):
        mine = [item for item in requests if item.of_candidate is ours]
        costs = [item.cost_usd for item in mine if item.cost_usd is not None]
        assert side.requests_count == len(mine)
        assert side.failed_count == sum(item.failed for item in mine)
        assert side.timed_count == sum(item.ttft_s is not None for item in mine)
        assert side.priced_count == len(costs)
        assert side.cost_mean_usd == pytest.approx(float(np.mean(costs)) if costs else 0.0, abs=1e-12)
        assert side.cost_deviation_usd2 == pytest.approx(float(np.var(costs)) * len(costs) if costs else 0, abs=1e-9)


def test_a_candidate_that_always_fails_is_out_after_a_handful_of_requests() -> None:
    requests = [LiveRequest(of_candidate=place % 20 == 0, failed=place % 20 == 0) for place in range(20 * 9)]
    watch = watch_of(requests)
    assert guard(watch, "errors").state == "broken"
    assert watch.candidate.requests_count == 9


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_within_its_limit_a_guard_breaks_in_one_of_twenty_steps_at_most(share: float) -> None:
    """At the limit itself: 3 % fail where the incumbent fails in 1 %, and 2 points are allowed."""
    broken, runs = 0, 150
    for seed in range(runs):
        watch = watch_of(live(np.random.default_rng(seed), int(200 / share), share=share, failing=(0.03, 0.01)))
        broken += guard(watch, "errors").state == "broken"
    assert broken / runs <= 0.05 + 2 * sqrt(0.05 * 0.95 / runs)


def test_an_outage_that_hits_both_sides_breaks_nothing() -> None:
    """Half of all requests fail for a while: the candidate's share rises with the incumbent's."""
    broken = 0
    for seed in range(50):
        generator = np.random.default_rng(seed)
        calm, outage = ((0.01, 0.01), 2000), ((0.5, 0.5), 1000)
        requests = [
            item for rates, count in (calm, outage, calm) for item in live(generator, count, share=0.05, failing=rates)
        ]
        broken += guard(watch_of(requests), "errors").state == "broken"
    assert broken <= 5


def test_a_few_failures_more_are_unsure_and_then_broken() -> None:
    generator = np.random.default_rng(5)
    first = live(generator, 400, share=0.1, failing=(0.12, 0.01))
    watch = watch_of(first)
    assert guard(watch, "errors").state == "unsure"
    later = watch.after(live(generator, 8000, share=0.1, failing=(0.12, 0.01)))
    assert guard(later, "errors").state == "broken"
    assert guard(later, "errors").words == (
        "11.4 % of 872 requests failed, 1 % of the incumbent's 7,528; up to 2 points more is allowed"
    )


def timed(generator: np.random.Generator, count: int, *, slower: float) -> list[LiveRequest]:
    ours = generator.random(count) < 0.2
    times = generator.lognormal(-1, 0.5, count) * np.where(ours, slower, 1.0)
    return [LiveRequest(of_candidate=bool(a), failed=False, ttft_s=float(b)) for a, b in zip(ours, times, strict=True)]


def test_first_tokens_at_twice_the_time_break_the_guard_and_a_little_later_do_not() -> None:
    generator = np.random.default_rng(1)
    slow_s = slow_limit_s([item.ttft_s or 0.0 for item in timed(generator, 2000, slower=1.0) if not item.of_candidate])
    assert slow_s is not None
    assert guard(watch_of(timed(generator, 3000, slower=1.1), slow_s=slow_s), "ttft").state == "well"
    assert guard(watch_of(timed(generator, 3000, slower=2.5), slow_s=slow_s), "ttft").state == "broken"


def test_an_hour_in_which_everything_is_late_breaks_nothing() -> None:
    generator = np.random.default_rng(2)
    requests = timed(generator, 3000, slower=1.0)
    late = [LiveRequest(of_candidate=i.of_candidate, failed=False, ttft_s=3 * (i.ttft_s or 0)) for i in requests]
    assert guard(watch_of(late, slow_s=0.85), "ttft").state == "well"


def priced(count: int, candidate_usd: float, *, seed: int = 1) -> list[LiveRequest]:
    generator = np.random.default_rng(seed)
    return [
        LiveRequest(
            of_candidate=place % 2 == 0,
            failed=False,
            cost_usd=float(generator.lognormal(0, 0.8)) * (candidate_usd if place % 2 == 0 else 1.0),
        )
        for place in range(count)
    ]


def test_costs_break_their_guard_when_it_is_sure_that_they_are_beyond_the_limit() -> None:
    assert guard(watch_of(priced(2000, 1.0)), "cost").state == "well"
    assert guard(watch_of(priced(60, 1.5)), "cost").state == "unsure"
    assert guard(watch_of(priced(2000, 2.0)), "cost").state == "broken"


def test_costs_at_the_limit_break_their_guard_in_one_of_twenty_steps_at_most() -> None:
    broken = 0
    for seed in range(200):
        watch, requests = begin_watch(LIMITS), priced(1500, 1.2, seed=seed)
        for place in range(0, 1500, 50):
            watch = watch.after(requests[place : place + 50])
            if guard(watch, "cost").state == "broken":
                broken += 1
                break
    assert broken / 200 <= 0.05 + 2 * sqrt(0.05 * 0.95 / 200)


def test_only_guards_that_are_wanted_and_can_be_told_speak() -> None:
    assert begin_watch(GuardLimits(error_fraction=None, ttft_ratio=None)).guards() == ()
    assert [item.name for item in begin_watch(LIMITS, slow_s=None).guards()] == ["errors", "cost"]
    assert [item.state for item in begin_watch(LIMITS, slow_s=1.0).guards()] == ["well", "well", "well"]


def test_the_limit_of_lateness_is_the_95th_percentile() -> None:
    assert slow_limit_s([float(value) for value in range(1, 102)]) == pytest.approx(96.0)
    assert slow_limit_s([1.0] * 19) is None
