"""How many lines of batches may be under way: bounds that always hold, and a promise that holds over a long time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.idle import (
    AIMED_FRACTION,
    FREE_FRACTION,
    MOST_DEBT,
    STEP_FRACTION,
    STEP_REQUESTS,
    TAILS,
    Bounds,
    People,
    PoolLoad,
    batch_slots,
    late_debts,
    latest_s,
    needs_rest,
)

CALM = PoolLoad(running_requests=0, batch_requests=0, waiting_requests=0, kv_use_fraction=0.0, capacity_requests=0)
NOBODY = People(ended_requests=0, late_requests=(0, 0), recent_requests=0)
SOMEBODY = People(ended_requests=5, late_requests=(0, 0), recent_requests=100)
NO_DEBT: tuple[float, ...] = (0.0, 0.0)
EVERYTHING = Bounds(64, 1)
counts = st.integers(0, 10_000)
loads = st.builds(PoolLoad, counts, counts, counts, st.floats(0, 1), counts)
crowds = st.builds(People, counts, st.tuples(st.integers(0, 3), st.integers(0, 9)), counts)
owed = st.tuples(st.floats(0, MOST_DEBT), st.floats(0, MOST_DEBT))


@given(st.floats(0, 1e4), loads, crowds, owed, st.integers(1, 4096), st.floats(0.01, 1))
def test_batches_never_take_more_than_their_share_nor_what_others_need(
    before: float, load: PoolLoad, people: People, debts: tuple[float, float], most: int, share: float
) -> None:
    slots = batch_slots(before, load, people, debts, Bounds(most, share))
    assert 0 <= slots <= most
    if load.capacity_requests:
        others = max(load.running_requests - load.batch_requests, 0)
        assert slots <= load.capacity_requests * share
        assert slots + others <= max(load.capacity_requests * (1 - FREE_FRACTION), others) + 1e-6


@given(loads, crowds, owed)
def test_more_debt_never_means_more_lines(load: PoolLoad, people: People, debts: tuple[float, float]) -> None:
    assert batch_slots(10, load, people, debts, EVERYTHING) <= batch_slots(10, load, people, NO_DEBT, EVERYTHING)


def test_with_nobody_else_there_it_grows_to_the_bound_and_beside_people_step_by_step() -> None:
    slots = 0.0
    for _ in range(20):
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), NOBODY, NO_DEBT, EVERYTHING)
    assert slots == 64
    assert batch_slots(5, CALM._replace(batch_requests=5), SOMEBODY, NO_DEBT, EVERYTHING) == 5 + STEP_FRACTION * 5
    assert batch_slots(1, CALM._replace(batch_requests=1), SOMEBODY, NO_DEBT, EVERYTHING) == 1 + STEP_REQUESTS
    assert batch_slots(5, CALM._replace(batch_requests=4), SOMEBODY, NO_DEBT, EVERYTHING) == 5, (
        "what is not used does not grow"
    )


def test_a_queue_a_full_cache_or_a_late_request_halves_it_and_a_debt_stops_its_growth() -> None:
    assert batch_slots(32, CALM._replace(waiting_requests=1), SOMEBODY, NO_DEBT, EVERYTHING) == 16
    assert batch_slots(32, CALM._replace(kv_use_fraction=0.9), SOMEBODY, NO_DEBT, EVERYTHING) == 16
    assert batch_slots(32, CALM, SOMEBODY, (0.5, 0), EVERYTHING) == 32
    assert batch_slots(32, CALM, SOMEBODY, (0, 0.5), EVERYTHING) == 32


@pytest.mark.parametrize("place", range(len(TAILS)))
def test_what_is_late_at_either_percentile_halves_it_and_a_great_debt_stops_it(place: int) -> None:
    def at(value: float) -> tuple[float, ...]:
        return tuple(value if number == place else -0.5 for number in range(len(TAILS)))

    one_late = SOMEBODY._replace(late_requests=tuple(map(int, at(1.5))))
    assert batch_slots(32, CALM, one_late, at(0.5), EVERYTHING) == 16
    assert batch_slots(32, CALM._replace(batch_requests=32), one_late, (-0.5, -0.5), EVERYTHING) > 32
    assert batch_slots(32, CALM, SOMEBODY, at(TAILS[place].stop_debt), EVERYTHING) == 0


def test_it_leaves_a_tenth_of_the_pool_free_beside_others() -> None:
    load = CALM._replace(running_requests=60, batch_requests=10, capacity_requests=100)
    assert batch_slots(1000, load, SOMEBODY, NO_DEBT, Bounds(4096, 1)) == pytest.approx(100 * 0.9 - 50)


def test_a_debt_is_what_was_late_beyond_the_share_that_may_and_others_pay_it_back() -> None:
    debts = late_debts(NO_DEBT, People(100, (3, 8), 100))
    assert debts == pytest.approx((2, 3))
    assert late_debts(debts, People(50, (0, 0), 100)) == pytest.approx((1.5, 0.5))
    assert late_debts(debts, People(300, (0, 0), 80)) == (0, 0)
    assert late_debts(NO_DEBT, People(100, (100, 100), 100)) == (MOST_DEBT, MOST_DEBT)
    assert late_debts((MOST_DEBT, MOST_DEBT), NOBODY) == NO_DEBT, "nobody is there who could be disturbed"


def test_where_many_ask_what_chance_makes_late_stops_nothing() -> None:
    """A hundred requests a second, some of them late, batches or none: lines grow all the same."""
    chance = np.random.default_rng(1)
    slots, debts = 0.0, NO_DEBT
    grown = []
    for _ in range(7200):
        late = chance.binomial(50, [0.8 * tail.late_fraction for tail in TAILS])
        people = People(50, tuple(map(int, late)), 6000)
        debts = late_debts(debts, people)
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), people, debts, EVERYTHING)
        grown.append(slots)
    assert sorted(grown)[len(grown) // 2] > 16
    assert max(late_debts(NO_DEBT, People(10_000, (0, 0), 6000))) < 0


def test_a_request_is_late_a_little_beyond_a_percentile_without_batches() -> None:
    assert latest_s([0.1] * 49) == ()
    wanted = (0.991 * (1 + AIMED_FRACTION), 0.951 * (1 + AIMED_FRACTION))
    assert latest_s([number / 1000 for number in range(1, 1001)]) == pytest.approx(wanted)


def test_batches_rest_when_it_is_not_known_how_it_is_without_them_and_not_for_long() -> None:
    assert needs_rest((), 0, 100, rests_for_s=0)
    assert not needs_rest((), 0, 5, rests_for_s=0), "nobody is there to be disturbed"
    assert not needs_rest((0.5, 0.4), 100, 100, rests_for_s=0)
    assert needs_rest((0.5, 0.4), 700, 100, rests_for_s=0), "what was seen is too old"
    assert needs_rest((0.5, 0.4), 1, 100, rests_for_s=5), "a rest that has begun lasts"
    assert not needs_rest((), 700, 100, rests_for_s=31)


def controlled(steps: int, late_fraction: float) -> float:
    """A pool in which people's requests are late as often as batches take of it; returns the share that was late.

    ``late_fraction``: the percentile at which that shows.
    """
    slots, debts = 0.0, NO_DEBT
    late = every = 0.0
    for _ in range(steps):
        slow = 100 * max(0.0, int(slots) - 20) * 0.05
        late, every = late + slow, every + 100
        people = People(100, tuple(int(slow) if tail.late_fraction == late_fraction else 0 for tail in TAILS), 1000)
        debts = late_debts(debts, people)
        slots = batch_slots(slots, CALM._replace(batch_requests=int(slots)), people, debts, EVERYTHING)
    return late / every


@pytest.mark.parametrize("late_fraction", [tail.late_fraction for tail in TAILS])
def test_over_a_long_time_no_more_are_late_by_much_than_may_be(late_fraction: float) -> None:
    assert controlled(20_000, late_fraction) <= 2 * late_fraction
