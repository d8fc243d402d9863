"""An hour of a virtual pool is what the simulator says of its requests, by each request."""

from __future__ import annotations

from functools import cache
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import pytest

from breakeven.capacity.arrays import timetable
from breakeven.capacity.fleet import USED_S, Demand
from breakeven.capacity.pace import pace_of
from breakeven.capacity.simulate import Api, Simulation
from breakeven.capacity.virtual import ENDS_S, WARM_UP_S, Asked, overflow_rules, simulate_hour, typical_lengths
from breakeven.routing.fullness import Limits
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.wiring.pool_text import deployment_of

if TYPE_CHECKING:
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.virtual import Simulated

TIGHT = Limits(most_waiting=4, most_kv_fraction=0.95, most_ttft_s=inf, back_ratio=0.7)
ONE = ((0.0, 1),)


@cache
def pace() -> Pace:
    """A small node, which bursts of a few requests fill."""
    return pace_of(deployment_of("1xL4:llama-3.1-8b:fp8", load_book()), load_roofline())


def bursts(seed: int, begin_s: float, end_s: float, count: int, burst: int = 20) -> Asked:
    """Requests that come so many at a time, within a second."""
    rng = np.random.default_rng(seed)
    at_s = np.repeat(rng.uniform(begin_s, end_s - 1.0, count // burst), burst) + rng.uniform(0.0, 1.0, count)
    prompt = rng.integers(50, 6000, count)
    return Asked(np.sort(at_s), prompt, rng.integers(1, 700, count), rng.integers(0, 50, count))


def directly(asked: Asked, changes: tuple[tuple[float, int], ...]) -> Simulation:
    """The simulator itself, fed in one go."""
    nodes = max(count for _, count in changes)
    simulation = Simulation(
        pace(),
        nodes,
        overflow_rules(TIGHT),
        apis=(Api(ttft_s=0.0, tpot_s=0.0),),
        span_s=ENDS_S + 3600,
        scaling=timetable(changes),
    )
    count = len(asked.prompt)
    simulation.feed(
        Demand(asked.arrived_s, asked.prompt, asked.output, asked.cached, np.zeros(count), np.ones((count, 1)))
    )
    return simulation


def of_nodes(asked: Asked, found: Simulated) -> tuple[int, ...]:
    """Requests, input, cached input and output that nodes served."""
    served = ~found.went_over
    return int(served.sum()), *(int(c[served].sum()) for c in (asked.prompt, asked.cached, asked.output))


@pytest.mark.parametrize("changes", [ONE, ((0.0, 2), (5000.0, 1)), ((0.0, 0), (5400.5, 3), (6000.0, 2))])
def test_an_hour_equals_a_direct_run_over_the_same_requests(changes: tuple[tuple[float, int], ...]) -> None:
    asked = bursts(1, WARM_UP_S, ENDS_S, 1200)
    found = simulate_hour(asked, pace(), overflow_rules(TIGHT), changes)
    wanted = directly(asked, changes).outcome()
    assert 0 < wanted.api_requests == int(found.went_over.sum()) < len(asked.prompt)
    assert of_nodes(asked, found) == (
        wanted.pool_requests,
        wanted.pool_input_tokens,
        wanted.pool_cached_tokens,
        wanted.pool_output_tokens,
    )
    assert np.array_equal(found.ttft_counts, wanted.pool_ttft.counts)
    assert np.array_equal(found.queue_counts, wanted.pool_queue.counts)
    assert found.used_s == wanted.by_hour[1, USED_S]
    assert 0 < found.used_s <= found.busy_s


def test_each_request_is_told_apart_that_went_to_the_api() -> None:
    """Until nodes come, everything goes there, and nothing that comes to an idle node does."""
    asked = bursts(2, WARM_UP_S, ENDS_S, 400, burst=1)
    found = simulate_hour(asked, pace(), overflow_rules(TIGHT), ((0.0, 0), (5400.0, 4)))
    before = asked.arrived_s < 5400.0
    assert found.went_over[before].all()
    assert not found.went_over[~before].any()


def test_requests_of_the_hour_before_keep_nodes_busy() -> None:
    late = bursts(3, WARM_UP_S - 20.0, WARM_UP_S, 20)
    found = simulate_hour(late, pace(), overflow_rules(TIGHT), ONE)
    assert 0 < found.busy_s < 100
    early = bursts(3, 0.0, 20.0, 20)
    assert simulate_hour(early, pace(), overflow_rules(TIGHT), ONE).busy_s == 0


def test_the_hour_before_counts_in_no_time_that_ended_in_it() -> None:
    early, hour = bursts(4, 0.0, 600.0, 100), bursts(5, WARM_UP_S, ENDS_S, 300)
    both = Asked(*(np.concatenate(pair) for pair in zip(early, hour, strict=True)))
    found = simulate_hour(both, pace(), overflow_rules(TIGHT), ONE)
    alone = simulate_hour(hour, pace(), overflow_rules(TIGHT), ONE)
    assert np.array_equal(found.ttft_counts, alone.ttft_counts)
    assert np.array_equal(found.went_over[100:], alone.went_over)


def test_lengths_are_rounded_to_steps_of_half_an_octave() -> None:
    def lengths(prompt: int, output: int) -> tuple[float, float]:
        return typical_lengths(Asked(np.zeros(2), np.array([prompt] * 2), np.array([output] * 2), np.zeros(2, int)))

    assert lengths(1024, 256) == (1024, 256)
    assert lengths(1100, 240) == (1024, 256)
    assert lengths(1448, 1) == pytest.approx((1448.15, 1), abs=0.01)
    nobody = np.zeros(0, dtype=int)
    assert typical_lengths(Asked(np.zeros(0), nobody, nobody, nobody)) == (1, 1)
