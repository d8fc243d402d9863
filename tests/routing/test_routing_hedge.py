"""When a second target is asked."""

from __future__ import annotations

from math import nan

from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.hedge import Hedging

HEDGING = Hedging(share_fraction=0.25, saved_requests=2, least_s=0.1)


def test_a_request_is_hedged_once_it_is_slower_than_usual() -> None:
    assert not HEDGING.due(0.9, 1.0, 1.0, started=False)
    assert HEDGING.due(1.0, 1.0, 1.0, started=False)


def test_a_request_is_never_hedged_at_once() -> None:
    assert not HEDGING.due(0.05, 0.01, 1.0, started=False)
    assert HEDGING.due(0.1, 0.01, 1.0, started=False)


def test_a_stream_that_has_started_is_never_hedged() -> None:
    assert not HEDGING.due(99.0, 1.0, 1.0, started=True)


def test_without_knowledge_of_the_target_there_is_no_hedge() -> None:
    assert not HEDGING.due(99.0, nan, 1.0, started=False)


def test_a_quiet_time_saves_up_only_so_many() -> None:
    tokens = 0.0
    for _ in range(100):
        tokens = HEDGING.earned(tokens)
    assert tokens == 2


@given(st.lists(st.floats(0, 10), max_size=200))
def test_hedges_are_a_share_of_requests(waits_s: list[float]) -> None:
    tokens, hedges = 0.0, 0
    for waited_s in waits_s:
        tokens = HEDGING.earned(tokens)
        if HEDGING.due(waited_s, 1.0, tokens, started=False):
            tokens -= 1
            hedges += 1
    assert tokens >= 0
    assert hedges <= len(waits_s) * HEDGING.share_fraction
