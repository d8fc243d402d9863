"""When a second target is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.hedge import Hedges, Hedging
from breakeven.routing.latency import FORGET_S

RULE = Hedging(share_fraction=0.25, saved_requests=2, least_s=0.1)


def _knowing(seconds: float, *, count: int = RULE.least_observed, streamed: bool = False) -> Hedges:
    """Hedges of a model whose first target began so often, after so long."""
    hedges = Hedges(RULE)
    for _ in range(count):
        hedges.served(0, seconds, 0.0, streamed=streamed)
    return hedges


def test_a_request_is_hedged_once_it_is_slower_than_nearly_all_others() -> None:
    hedges = _knowing(1.0)
    assert not hedges.due(0, 0.8, 0.0, streamed=False)
    assert hedges.due(0, 1.2, 0.0, streamed=False)


def test_a_request_is_never_hedged_at_once() -> None:
    hedges = _knowing(0.01)
    assert not hedges.due(0, 0.05, 0.0, streamed=False)
    assert hedges.due(0, 0.1, 0.0, streamed=False)


def test_what_is_known_of_whole_answers_says_nothing_of_streams_or_of_other_targets() -> None:
    hedges = _knowing(1.0)
    assert not hedges.due(0, 99.0, 0.0, streamed=True)
    assert not hedges.due(1, 99.0, 0.0, streamed=False)


def test_a_few_answers_say_nothing_of_a_quantile() -> None:
    assert RULE.least_observed == 20
    assert not _knowing(1.0, count=19).due(0, 99.0, 0.0, streamed=False)


def test_a_target_that_was_not_heard_of_for_long_is_not_known() -> None:
    assert not _knowing(1.0).due(0, 99.0, FORGET_S, streamed=False)


def test_attempts_that_were_overtaken_make_a_target_slower_not_faster() -> None:
    hedges = _knowing(0.2)
    for _ in range(20):
        hedges.observe(0, 1.0, 0.0, streamed=False)
    assert not hedges.due(0, 0.5, 0.0, streamed=False)


def test_a_quiet_time_saves_up_only_so_many() -> None:
    assert _knowing(1.0, count=100).earned_requests == 2


@given(st.lists(st.floats(0, 10), max_size=200))
def test_hedges_are_a_share_of_requests(waits_s: list[float]) -> None:
    hedges, sent = Hedges(RULE), 0
    for waited_s in waits_s:
        hedges.served(0, 1.0, 0.0, streamed=False)
        if hedges.due(0, waited_s, 0.0, streamed=False):
            hedges.spend()
            sent += 1
    assert hedges.earned_requests >= 0
    assert sent <= len(waits_s) * RULE.share_fraction
