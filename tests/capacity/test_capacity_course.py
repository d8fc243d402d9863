"""Nodes that fail, start and stop: nothing is lost, time adds up, and what is drawn decides the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.capacity.arrays import as_many, timetable
from breakeven.capacity.fleet import (
    BUSY_S,
    CAME,
    DOWN_S,
    DRAINING_S,
    LOWEST_LATENCY,
    POLICY_NAMES,
    SENT_OVER,
    STARTING_S,
    TURNED_AWAY,
    UP_S,
    USED_S,
    WENT_OVER,
    Demand,
    Rules,
)
from breakeven.capacity.simulate import Api, Details, Outcome, Simulation
from capacity.test_capacity_simulate import ALL_ON_NODES, REAL, demand, part, poisson

API = Api(ttft_s=0.5, tpot_s=0.01)


def simulated(wanted: Demand, nodes: int, span_s: float, **more: Any) -> Outcome:
    simulation = Simulation(REAL, nodes, more.pop("rules", ALL_ON_NODES), span_s=span_s, **more)
    simulation.feed(wanted)
    return simulation.outcome()


def reactive(least: int, most: int, start_s: float = 30.0) -> Any:
    return as_many(least, start_s=start_s)._replace(
        is_reactive=True, least=least, most=most, waiting=2.0, used=0.7, check_s=5.0, up_after_s=10.0,
        down_after_s=60.0, idle_s=120.0,
    )  # fmt: skip


def outages(rows: list[tuple[float, int, float]]) -> Any:
    return np.array([(at_s, float(node), at_s + lasts_s) for at_s, node, lasts_s in sorted(rows)]).reshape(-1, 3)


# Failures


def test_requests_on_a_node_that_fails_are_sent_again() -> None:
    wanted = demand(np.zeros(6), 400, 50)
    outcome = simulated(wanted, 2, 100.0, outages=outages([(1.0, 0, 1e6)]))
    assert outcome.node_failures_count == 1
    assert outcome.resent_requests == 3
    assert outcome.pool_requests == 6
    assert outcome.pool_output_tokens == 2400
    assert outcome.lost_input_tokens == 150
    assert 0 < outcome.lost_output_tokens < 1200
    assert outcome.by_hour[:, DOWN_S].sum() == pytest.approx(99)
    assert outcome.by_hour[:, UP_S].sum() == pytest.approx(101)


def test_where_no_node_is_left_requests_go_to_the_api_or_wait() -> None:
    wanted = demand([0.0, 5.0], 400, 50)
    out = outages([(1.0, 0, 20.0)])
    over = simulated(wanted, 1, 100.0, outages=out, apis=(API,))
    assert (over.pool_requests, over.api_requests) == (0, 2)
    assert over.api_ttft.quantile_s(1.0) == pytest.approx(1.5, rel=0.02)  # a second on the node was in vain
    waits = simulated(wanted, 1, 100.0, outages=out, scaling=as_many(1, start_s=10.0))
    assert waits.pool_requests == 2
    assert waits.pool_ttft.quantile_s(0.5) > 25
    assert waits.by_hour[:, STARTING_S].sum() == pytest.approx(10)
    never = simulated(wanted, 1, 100.0, outages=outages([(1.0, 0, np.inf)]))
    assert (never.pool_requests, never.rejected_requests) == (0, 2)


# Scaling


def test_a_timetable_is_followed_and_paid() -> None:
    changes = ((0.0, 1), (3600.0, 3), (7200.0, 1))
    wanted = demand(np.arange(10_000) * 1.0, 50, 50)
    outcome = simulated(wanted, 3, 10_000.0, scaling=timetable(changes, start_s=60.0))
    assert outcome.pool_requests == 10_000
    assert outcome.node_starts_count == 2
    hours = outcome.by_hour
    assert hours[:, STARTING_S] == pytest.approx([0, 120, 0])
    assert hours[:, UP_S] == pytest.approx([3600, 3 * 3600 - 120, 2800])
    assert hours[:, DRAINING_S].sum() < 10


def test_a_pool_follows_its_load_up_and_down_and_to_nothing() -> None:
    busy = np.concatenate([np.arange(0, 600, 0.02), [5000.0]])
    outcome = simulated(demand(busy, 200, 200), 6, 7200.0, scaling=reactive(0, 6))
    assert outcome.pool_requests == len(busy)
    assert outcome.node_starts_count >= 4
    up_s = outcome.by_hour[:, UP_S]
    assert up_s[0] > 2 * 600
    assert up_s[1] < 400  # for the last request: a start, its answer, and the time-out
    assert outcome.pool_ttft.quantile_s(1.0) >= 30


def test_a_request_wakes_a_pool_of_none_and_overflows_meanwhile_where_it_can() -> None:
    wanted = demand([0.0, 1.0, 100.0], 10, 10)
    outcome = simulated(wanted, 1, 150.0, scaling=reactive(0, 1), apis=(API,))
    assert (outcome.api_requests, outcome.pool_requests) == (2, 1)


def test_who_waits_for_a_node_when_the_trace_ends_gets_it_when_it_is_back() -> None:
    outcome = simulated(demand([0.0, 10.0], 10, 10), 1, 10.0, outages=outages([(5.0, 0, 40.0)]))
    assert (outcome.pool_requests, outcome.rejected_requests) == (2, 0)
    assert outcome.pool_ttft.quantile_s(1.0) == pytest.approx(35.0, rel=0.02)


# What must always hold


EVENTS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1 << 16),
        "nodes": st.integers(1, 4),
        "least": st.integers(0, 2),
        "how": st.sampled_from(["fixed", "timetable", "reactive"]),
        "policy": st.sampled_from(range(len(POLICY_NAMES))),
        "apis": st.integers(0, 2),
        "rate": st.sampled_from([0.01, 1.0, 30.0]),
        "blocks": st.booleans(),
        "kv_tokens": st.sampled_from([4_000, 60_000]),
        "start_s": st.sampled_from([0.0, 20.0]),
        "most_ttft_s": st.sampled_from([0.3, np.inf]),
        "batch": st.sampled_from([7, 1000]),
        "line_requests": st.sampled_from([0, 0, 3, 100]),
    }
)


@given(EVENTS)
@settings(max_examples=100, deadline=None)
def test_every_request_ends_once_and_tokens_and_time_add_up(events: dict[str, Any]) -> None:
    rng = np.random.default_rng(events["seed"])
    nodes, count = events["nodes"], 200
    wanted = _wanted(rng, count, events["rate"], with_blocks=events["blocks"])
    wanted = wanted._replace(flow=rng.integers(0, 3, count), deadline_s=rng.exponential(10.0, count))
    span_s = float(wanted.arrived_s[-1])
    least = min(events["least"], nodes)
    scaling = {
        "fixed": as_many(nodes, start_s=events["start_s"]),
        "timetable": timetable(((0.0, least), (span_s / 3, nodes), (span_s / 2, least)), start_s=events["start_s"]),
        "reactive": reactive(least, nodes, events["start_s"]),
    }[events["how"]]
    rows = [(float(rng.uniform(0, span_s)), int(rng.integers(0, nodes)), float(rng.exponential(20))) for _ in range(6)]
    apis = (Api(ttft_s=0.4, tpot_s=0.01, requests_per_s=2.0), API)[: events["apis"]]
    more = {
        "scaling": scaling,
        "outages": outages(rows),
        "apis": apis,
        "details": Details(16 if events["blocks"] else 0, (-1, 0, 0)),
    }
    rules = Rules(events["policy"], 3, events["most_ttft_s"], line_requests=events["line_requests"])
    simulation = Simulation(REAL._replace(kv_tokens=events["kv_tokens"]), nodes, rules, span_s=span_s, **more)
    wanted = wanted._replace(api_usd=np.ascontiguousarray(wanted.api_usd[:, : len(apis)]))
    for start in range(0, count, events["batch"]):
        simulation.feed(_part(wanted, start, events["batch"]))
    _check_sums(simulation, wanted, nodes, span_s)


def _check_sums(simulation: Simulation, wanted: Demand, nodes: int, span_s: float) -> None:
    outcome = simulation.outcome()
    hours, count = outcome.by_hour, len(wanted.output)
    assert outcome.no_room_requests + outcome.too_late_requests <= outcome.rejected_requests
    by_flow = outcome.flow_sums
    ended = by_flow[:, [0, SENT_OVER, TURNED_AWAY]]
    assert ended.sum(axis=0).tolist() == [outcome.pool_requests, outcome.api_requests, outcome.rejected_requests]
    assert ended.sum(axis=1).tolist() == np.bincount(wanted.flow, minlength=3).tolist()
    assert by_flow[:, 2].sum() == outcome.pool_output_tokens
    by_class = np.sum([times.counts for times in outcome.class_ttft], axis=0)
    assert (by_class == outcome.pool_ttft.counts).all()
    for times in (outcome.pool_ttft, outcome.pool_total, outcome.pool_queue):
        assert times.counts.sum() == outcome.pool_requests
    assert hours[:, CAME].sum() == count
    assert hours[:, WENT_OVER].sum() == outcome.api_requests
    if not outcome.rejected_requests:
        assert outcome.pool_input_tokens + outcome.api_input_tokens == wanted.prompt.sum()
        assert outcome.pool_output_tokens + outcome.api_output_tokens == wanted.output.sum()
    assert hours[:, 2].sum() == outcome.pool_output_tokens
    assert hours[:, 3].sum() == outcome.api_output_tokens
    assert outcome.pool_cached_tokens <= outcome.pool_input_tokens
    phases = hours[:, [UP_S, STARTING_S, DRAINING_S, DOWN_S]]
    assert (phases >= 0).all()
    assert (phases.sum(axis=1) <= nodes * 3600 + 1e-6).all()
    assert phases.sum() <= nodes * span_s + 1e-6
    assert hours[:, BUSY_S].sum() == pytest.approx(outcome.busy_s.sum())
    assert (outcome.used_s <= outcome.busy_s + 1e-9).all()
    assert hours[:, USED_S].sum() == pytest.approx(outcome.used_s.sum())
    state = simulation._fleet.pool
    assert not state.nodes["kv_used"].any()
    assert not state.nodes["kv_promised"].any()
    assert not state.nodes["waiting_tokens"].any()
    assert not state.blocks["uses"].any()
    assert state.free[-1] == len(state.slots)
    assert len(set(state.free[:-1])) == len(state.slots)


def _wanted(rng: Any, count: int, rate: float, *, with_blocks: bool) -> Demand:
    prompt = rng.integers(1, 400, count)
    wanted = demand(np.cumsum(rng.exponential(1 / rate, count)), rng.integers(1, 300, count), prompt)
    if not with_blocks:
        return wanted
    lists = [[int(rng.integers(0, 2)) + 10 * place for place in range(-(-int(length) // 16))] for length in prompt]
    return wanted._replace(
        block_ends=np.cumsum([len(ids) for ids in lists], dtype=np.int64),
        blocks=np.array([block for ids in lists for block in ids], dtype=np.int64),
    )


def _part(wanted: Demand, start: int, count: int) -> Demand:
    if not len(wanted.block_ends):
        return part(wanted, start, count)
    from_block = int(wanted.block_ends[start - 1]) if start else 0
    taken = wanted._replace(
        **{name: getattr(wanted, name)[start : start + count] for name in Demand._fields if name != "blocks"}
    )
    return taken._replace(
        block_ends=taken.block_ends - from_block, blocks=wanted.blocks[from_block : int(taken.block_ends[-1])]
    )


def test_nodes_that_are_always_there_are_paid_for_the_whole_span() -> None:
    wanted = demand(poisson(5.0, 50_000), 40, 100)
    span_s = float(wanted.arrived_s[-1])
    outcome = simulated(wanted, 3, span_s)
    assert outcome.by_hour[:, UP_S].sum() == pytest.approx(3 * span_s)
    assert outcome.by_hour[:-1, UP_S] == pytest.approx(3 * 3600)
    assert (outcome.by_hour[:-1, BUSY_S] <= 3 * 3600 + 1).all()
    assert 0 < outcome.by_hour[0, USED_S] < outcome.by_hour[0, BUSY_S]


def test_a_node_that_never_rests_uses_all_it_can() -> None:
    """As full as the cache allows, all but the beginning and the end is in use."""
    pace = REAL._replace(max_requests=16, kv_tokens=1 << 40)
    simulation = Simulation(pace, 1, ALL_ON_NODES, span_s=1.0)
    simulation.feed(demand(np.zeros(2000), 200, 50))
    outcome = simulation.outcome()
    assert outcome.used_s[0] / outcome.busy_s[0] == pytest.approx(1, abs=0.03)
    alone = Simulation(pace, 1, ALL_ON_NODES, span_s=1.0)
    alone.feed(demand(np.arange(20) * 100.0, 200, 50))
    outcome = alone.outcome()
    assert outcome.used_s[0] / outcome.busy_s[0] < 0.2


def test_equal_failures_give_equal_results() -> None:
    wanted = demand(poisson(8.0, 5000), 100, 200)
    span_s = float(wanted.arrived_s[-1])
    rows = [(100.0 * number, number % 3, 50.0) for number in range(1, 6)]
    found = [
        simulated(
            wanted, 3, span_s, outages=outages(rows), scaling=reactive(1, 3), rules=Rules(LOWEST_LATENCY, 9, np.inf)
        )
        for _ in range(2)
    ]
    assert found[0].mean_total_s == found[1].mean_total_s
    assert (found[0].by_hour == found[1].by_hour).all()
