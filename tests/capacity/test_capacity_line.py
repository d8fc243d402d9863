"""The line before full nodes: it decides as the gateway's queue does, request for request, and nobody is lost in it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.capacity.arrays import as_many, fresh_fleet, idle_pool, open_apis
from breakeven.capacity.fleet import OVERFLOW, SENT_OVER, TURNED_AWAY, Rules
from breakeven.capacity.line import join, send_back_late, take_next
from breakeven.capacity.pool import NONE
from breakeven.capacity.simulate import Api, Details, Simulation
from breakeven.capacity.tallying import bucket_of
from breakeven.routing.queueing import FairQueue, Waiting
from capacity.line_by_turns import ByTurns
from capacity.test_capacity_simulate import REAL, demand, part, poisson

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Demand, Fleet
    from breakeven.capacity.simulate import Outcome

FLOWS = [(-1, "a"), (-1, "b"), (0, "a"), (0, "b"), (0, "c"), (2, "a")]
PRIORITIES = tuple(priority for priority, _ in FLOWS)


def rules(line_requests: int, longest_s: float = 30.0, most_waiting: int = 2) -> Rules:
    return Rules(OVERFLOW, most_waiting, np.inf, 1.0, 0.8, line_requests=line_requests, line_longest_s=longest_s)


def flowing(wanted: Demand, flow: Any, deadline_s: Any = np.inf) -> Demand:
    count = len(wanted.output)
    return wanted._replace(
        flow=np.array(np.broadcast_to(flow, count), dtype=np.int64),
        deadline_s=np.array(np.broadcast_to(deadline_s, count), dtype=float),
    )


def waited(wanted: Demand, rule: Rules, *, priorities: tuple[int, ...] = PRIORITIES, **more: Any) -> Outcome:
    span_s = float(wanted.arrived_s[-1]) or 1.0
    simulation = Simulation(REAL, 1, rule, span_s=span_s, details=Details(priorities=priorities), **more)
    apis = len(more.get("apis", ()))
    simulation.feed(wanted._replace(api_usd=np.ascontiguousarray(wanted.api_usd[:, :apis])))
    return simulation.outcome()


# The queue itself


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"), st.integers(0, len(FLOWS) - 1), st.integers(1, 500), st.sampled_from([5.0, 40.0, inf])
        ),
        st.tuples(st.just("put"), st.integers(0, len(FLOWS) - 1), st.just(100), st.just(inf)),
        st.tuples(st.just("take")),
        st.tuples(st.just("late")),
    ),
    max_size=150,
)


@given(STEPS, st.integers(1, 20), st.sampled_from([0.1, 1.0, 4.0]))
@settings(max_examples=150, deadline=None)
def test_it_decides_as_the_gateways_queue_does(steps: list[tuple[Any, ...]], most: int, step_s: float) -> None:
    """Who is taken, who goes for want of room, and who is late, after whatever has happened before."""
    line = Line()
    queue: FairQueue[int] = FairQueue(most_requests=most)
    for number, step in enumerate(steps):
        now_s = number * step_s
        if step[0] == "put":
            _, flow, tokens, lasts_s = step
            slot = line.new_slot(flow, tokens, now_s, now_s + lasts_s)
            priority, key = FLOWS[flow]
            waiting = Waiting(
                slot, key=key, priority=priority, tokens=tokens, since_s=now_s, deadline_s=now_s + lasts_s
            )
            without = queue.put(waiting)
            assert join(line.fleet, most, slot, now_s) == (NONE if without is None else without.item)
        elif step[0] == "take":
            taken = queue.take(now_s)
            assert (take_next(line.fleet, now_s) if len(line) else None) == (taken.item if taken else None)
        else:
            rejected = line.rejected_flows()
            send_back_late(line.fleet, now_s)
            late = [found.item for found in queue.late(now_s)]
            assert line.rejected_flows() - rejected == len(late)
        assert len(line) == len(queue)


class Line:
    """A line before no node, and slots for those who stand in it."""

    def __init__(self) -> None:
        pool, apis = idle_pool(REAL, 1), open_apis(*np.zeros((3, 0)))
        self.fleet: Fleet = fresh_fleet(
            pool, apis, scaling=as_many(1), outages=np.zeros((0, 3)), span_s=1.0, priorities=PRIORITIES
        )
        self._slots = 0

    def __len__(self) -> int:
        return int(self.fleet.watch["in_line"][0])

    def new_slot(self, flow: int, tokens: int, at_s: float, deadline_s: float) -> int:
        slot = self.fleet.pool.slots[self._slots]
        slot["flow"], slot["prompt"], slot["arrived_s"], slot["deadline_s"] = flow, tokens, at_s, deadline_s
        self._slots += 1
        return self._slots - 1

    def rejected_flows(self) -> int:
        return int(self.fleet.tally.sums[2:, TURNED_AWAY].sum())


# With nodes


SITUATIONS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1 << 16),
        "nodes": st.integers(1, 3),
        "rate": st.sampled_from([3.0, 30.0, 300.0]),
        "most_waiting": st.integers(1, 4),
        "line_requests": st.sampled_from([1, 5, 40, 1000]),
        "longest_s": st.sampled_from([0.2, 3.0, 30.0]),
        "kv_tokens": st.sampled_from([4_000, 60_000]),
    }
)


@given(SITUATIONS)
@settings(max_examples=60, deadline=None)
def test_nodes_behind_it_serve_as_they_do_behind_the_gateways_queue(situation: dict[str, Any]) -> None:
    rng, count = np.random.default_rng(situation["seed"]), 120
    arrived_s = np.cumsum(rng.exponential(1 / situation["rate"], count))
    wanted = demand(arrived_s, rng.integers(1, 200, count), rng.integers(1, 1500, count))
    wanted = flowing(wanted, rng.integers(0, len(FLOWS), count), rng.choice([0.5, 5.0, np.inf], count))
    rule = rules(situation["line_requests"], situation["longest_s"], situation["most_waiting"])
    pace, nodes = REAL._replace(kv_tokens=situation["kv_tokens"], max_requests=8), situation["nodes"]
    served = ByTurns(pace, nodes, rule, wanted, FLOWS).run()
    simulation = Simulation(pace, nodes, rule, span_s=float(arrived_s[-1]), details=Details(priorities=PRIORITIES))
    plain = wanted._replace(api_usd=np.zeros((count, 0)))
    for start in range(0, count, 50):
        simulation.feed(part(plain, start, 50))
    outcome = simulation.outcome()
    assert outcome.no_room_requests == sum(served.no_room)
    assert outcome.too_late_requests == sum(served.too_late)
    ended = ~np.isnan(served.ended_s)
    assert outcome.pool_requests == ended.sum() == count - sum(served.no_room) - sum(served.too_late)
    total_s = (np.array(served.ended_s) - arrived_s)[ended]
    assert outcome.mean_total_s == pytest.approx(total_s.sum() / max(1, len(total_s)), rel=1e-9)
    for flow, sums in enumerate(outcome.flow_sums):
        here = ended & (wanted.flow == flow)
        assert sums[0] == here.sum()
        assert sums[2] == wanted.output[here].sum()
        assert sums[4] == pytest.approx((np.array(served.ended_s) - arrived_s)[here].sum(), rel=1e-9, abs=1e-9)


def crowd(seconds: float, rate: float = 90.0) -> Demand:
    """More than a node can do, of all flows alike."""
    count = int(seconds * rate)
    wanted = demand(poisson(rate, count), 100, 100)
    return flowing(wanted, np.random.default_rng(3).integers(0, len(FLOWS), count))


def test_the_urgent_go_first_and_a_low_class_still_gets_its_turn() -> None:
    outcome = waited(crowd(120.0), rules(1000))
    served, turned_away = outcome.flow_sums[:, 0], outcome.flow_sums[:, TURNED_AWAY]
    low, usual, high = (
        served[flows].sum() / (served + turned_away)[flows].sum() for flows in (slice(2), slice(2, 5), slice(5, 6))
    )
    assert 0.05 < low < usual < high == 1
    assert outcome.rejected_requests == outcome.no_room_requests + outcome.too_late_requests > 1000


def test_keys_share_by_tokens_whoever_asks_more() -> None:
    """One key asks thirty times as often as the other, and only it finds the line too full for it."""
    count = 6000
    flow = (np.random.default_rng(1).random(count) < 0.03).astype(int)
    wanted = flowing(demand(poisson(80.0, count), 100, 400), flow)
    outcome = waited(wanted, rules(100, longest_s=1e6), priorities=(0, 0))
    many, few = outcome.flow_sums
    assert few[TURNED_AWAY] == 0
    assert few[3] / few[0] < 0.5 * many[3] / many[0]
    assert many[TURNED_AWAY] == outcome.no_room_requests > 1000


def test_who_waits_too_long_is_sent_away_by_its_own_deadline_or_by_that_of_all() -> None:
    wanted = demand(np.zeros(300), 400, 400)
    own = waited(flowing(wanted, 2, deadline_s=0.5), rules(1000, longest_s=1e6))
    of_all = waited(flowing(wanted, 2), rules(1000, longest_s=0.5))
    assert own.too_late_requests == of_all.too_late_requests > 100
    assert own.mean_total_s == of_all.mean_total_s
    assert own.pool_queue.quantile_s(1.0) < 10
    patient = waited(flowing(wanted, 2), rules(1000, longest_s=1e6))
    assert (patient.pool_requests, patient.rejected_requests) == (300, 0)


@pytest.mark.parametrize("most_waiting", [2, 4])
def test_nodes_do_as_much_as_without_a_line(most_waiting: int) -> None:
    """Whoever waits goes in as soon as somebody begins or ends: no iteration is without those that fit in it."""
    wanted = flowing(demand(np.zeros(300), 50, 20), 2)
    pace = REAL._replace(max_requests=16)
    last_s = []
    for line_requests in (0, 1000):
        rule = rules(line_requests, longest_s=1e6, most_waiting=most_waiting)
        simulation = Simulation(pace, 1, rule, span_s=1.0, details=Details(priorities=PRIORITIES))
        simulation.feed(wanted._replace(api_usd=np.zeros((300, 0))))
        outcome = simulation.outcome()
        assert outcome.pool_requests == 300
        last_s.append(outcome.pool_total.quantile_s(1.0))
    without_line_s, with_line_s = last_s
    assert with_line_s <= 1.05 * without_line_s


def test_newcomers_do_not_pass_those_who_wait() -> None:
    """The urgent alone are more than the node can do: the low are served by age, which is after five seconds."""
    count = 6000
    flow = np.where(np.random.default_rng(1).random(count) < 0.2, 0, 5)
    outcome = waited(flowing(demand(poisson(100.0, count), 100, 100), flow), rules(1000))
    low = outcome.class_queue[0].counts
    soon = low[: bucket_of(4.0)].sum() / low.sum()
    assert low.sum() > 50
    assert soon < 0.2  # of the beginning


def test_where_there_is_room_nobody_waits_in_it() -> None:
    wanted = flowing(demand(np.arange(100.0), 10, 10), 3)
    without_line = waited(wanted, rules(0))
    outcome = waited(wanted, rules(100))
    assert outcome.mean_total_s == without_line.mean_total_s
    assert outcome.rejected_requests == 0


def test_what_an_api_takes_does_not_wait() -> None:
    outcome = waited(crowd(20.0), rules(1000), apis=(Api(ttft_s=0.4, tpot_s=0.01),))
    assert outcome.api_requests > 100
    assert outcome.flow_sums[:, SENT_OVER].sum() == outcome.api_requests
    assert outcome.rejected_requests == 0
    assert outcome.pool_queue.quantile_s(1.0) < 1.0
    limited = waited(crowd(20.0), rules(1000), apis=(Api(ttft_s=0.4, tpot_s=0.01, requests_per_s=1.0),))
    assert limited.api_requests < 100
    assert limited.pool_queue.quantile_s(1.0) > 5.0


def test_a_line_needs_to_know_its_flows() -> None:
    with pytest.raises(ValueError, match="who waits in it with whom"):
        Simulation(REAL, 1, rules(5), span_s=1.0)
    with pytest.raises(ValueError, match="rise"):
        Simulation(REAL, 1, rules(5), span_s=1.0, details=Details(priorities=(1, 0)))
    simulation = Simulation(REAL, 1, rules(5), span_s=1.0, details=Details(priorities=(0,)))
    wanted = demand([0.0, 1.0], 1)._replace(api_usd=np.zeros((2, 0)))
    with pytest.raises(ValueError, match="2 requests come to a line, and 0 tell their flow"):
        simulation.feed(wanted)
    with pytest.raises(ValueError, match="flows lie between 0 and 0"):
        simulation.feed(wanted._replace(flow=np.array([0, 1])))
    with pytest.raises(ValueError, match="2 requests come, and 1 tell their deadline"):
        simulation.feed(wanted._replace(flow=np.array([0, 0]), deadline_s=np.zeros(1)))
