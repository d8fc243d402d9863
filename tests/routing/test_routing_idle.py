"""How many lines of batches may be under way: bounds that always hold, and a promise that holds over a long time."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.idle import (
    AIMED_FRACTION,
    FREE_FRACTION,
    LATE_FRACTION,
    MOST_DEBT,
    STEP_FRACTION,
    STEP_REQUESTS,
    STOP_DEBT,
    Bounds,
    People,
    PoolLoad,
    batch_slots,
    late_debt,
    latest_s,
    needs_rest,
)

CALM = PoolLoad(running_requests=0, batch_requests=0, waiting_requests=0, kv_use_fraction=0.0, capacity_requests=0)
NOBODY = People(ended_requests=0, late_requests=0, recent_requests=0)
SOMEBODY = People(ended_requests=5, late_requests=0, recent_requests=100)
EVERYTHING = Bounds(64, 1)
counts = st.integers(0, 10_000)
loads = st.builds(PoolLoad, counts, counts, counts, st.floats(0, 1), counts)
crowds = st.builds(People, counts, st.integers(0, 3), counts)


@given(st.floats(0, 1e4), loads, crowds, st.floats(0, MOST_DEBT), st.integers(1, 4096), st.floats(0.01, 1))
def test_batches_never_take_more_than_their_share_nor_what_others_need(
    before: float, load: PoolLoad, people: People, debt: float, most: int, share: float
) -> None:
    slots = batch_slots(before, load, people, debt, Bounds(most, share))
    assert 0 <= slots <= most
    if load.capacity_requests:
        others = max(load.running_requests - load.batch_requests, 0)
        assert slots <= load.capacity_requests * share
        assert slots + others <= max(load.capacity_requests * (1 - FREE_FRACTION), others) + 1e-6


@given(loads, crowds, st.floats(0, MOST_DEBT))
def test_more_debt_never_means_more_lines(load: PoolLoad, people: People, debt: float) -> None:
    assert batch_slots(10, load, people, debt, EVERYTHING) <= batch_slots(10, load, people, 0, EVERYTHING)


def test_with_nobody_else_there_it_grows_to_the_bound_and_beside_people_step_by_step() -> None:
    slots = 0.0
    for _ in range(20):
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), NOBODY, 0, EVERYTHING)
    assert slots == 64
    assert batch_slots(5, CALM._replace(batch_requests=5), SOMEBODY, 0, EVERYTHING) == 5 + STEP_FRACTION * 5
    assert batch_slots(1, CALM._replace(batch_requests=1), SOMEBODY, 0, EVERYTHING) == 1 + STEP_REQUESTS
    assert batch_slots(5, CALM._replace(batch_requests=4), SOMEBODY, 0, EVERYTHING) == 5, (
        "what is not used does not grow"
    )


def test_a_queue_a_full_cache_or_a_late_request_halves_it_and_a_debt_stops_its_growth() -> None:
    assert batch_slots(32, CALM._replace(waiting_requests=1), SOMEBODY, 0, EVERYTHING) == 16
    assert batch_slots(32, CALM._replace(kv_use_fraction=0.9), SOMEBODY, 0, EVERYTHING) == 16
    assert batch_slots(32, CALM, SOMEBODY._replace(late_requests=1), 0.5, EVERYTHING) == 16
    assert batch_slots(32, CALM._replace(batch_requests=32), SOMEBODY._replace(late_requests=1), -0.5, EVERYTHING) > 32
    assert batch_slots(32, CALM, SOMEBODY, 0.5, EVERYTHING) == 32
    assert batch_slots(32, CALM, SOMEBODY, STOP_DEBT, EVERYTHING) == 0


def test_it_leaves_a_tenth_of_the_pool_free_beside_others() -> None:
    load = CALM._replace(running_requests=60, batch_requests=10, capacity_requests=100)
    assert batch_slots(1000, load, SOMEBODY, 0, Bounds(4096, 1)) == pytest.approx(100 * 0.9 - 50)


def test_a_debt_is_what_was_late_beyond_one_in_a_hundred_and_others_pay_it_back() -> None:
    debt = late_debt(0, People(100, 3, 100))
    assert debt == pytest.approx(2)
    assert late_debt(debt, People(100, 0, 100)) == pytest.approx(1)
    assert late_debt(debt, People(1000, 0, 400)) == 0
    assert late_debt(0, People(100, 100, 100)) == MOST_DEBT
    assert late_debt(MOST_DEBT, NOBODY) == 0, "nobody is there who could be disturbed"


def test_where_many_ask_what_chance_makes_late_stops_nothing() -> None:
    """A hundred requests a second, eight in a thousand of them late, batches or none: lines grow all the same."""
    chance = np.random.default_rng(1)
    slots = debt = 0.0
    grown = []
    for _ in range(7200):
        people = People(50, int(chance.binomial(50, 0.8 * LATE_FRACTION)), 6000)
        debt = late_debt(debt, people)
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), people, debt, EVERYTHING)
        grown.append(slots)
    assert sorted(grown)[len(grown) // 2] > 16
    assert late_debt(0.0, People(10_000, 0, 6000)) < 0


def test_a_request_is_late_a_little_beyond_the_99th_percentile_without_batches() -> None:
    assert isnan(latest_s([0.1] * 49))
    assert latest_s([number / 1000 for number in range(1, 1001)]) == pytest.approx(0.991 * (1 + AIMED_FRACTION))


def test_batches_rest_when_it_is_not_known_how_it_is_without_them_and_not_for_long() -> None:
    assert needs_rest(nan, 0, 100, rests_for_s=0)
    assert not needs_rest(nan, 0, 5, rests_for_s=0), "nobody is there to be disturbed"
    assert not needs_rest(0.5, 100, 100, rests_for_s=0)
    assert needs_rest(0.5, 700, 100, rests_for_s=0), "what was seen is too old"
    assert needs_rest(0.5, 1, 100, rests_for_s=5), "a rest that has begun lasts"
    assert not needs_rest(nan, 700, 100, rests_for_s=31)


def controlled(steps: int) -> float:
    """A pool in which people's requests are late as often as batches take of it; returns the share that was late."""
    slots = debt = 0.0
    late = every = 0.0
    for _ in range(steps):
        slow = 100 * max(0.0, int(slots) - 20) * 0.05
        late, every = late + slow, every + 100
        people = People(100, int(slow), 1000)
        debt = late_debt(debt, people)
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), people, debt, EVERYTHING)
    return late / every


def test_over_a_long_time_no_more_than_one_in_a_hundred_is_late_by_much() -> None:
    assert controlled(20_000) <= 2 * LATE_FRACTION
