"""The simulator against theory, against a plain model that does every iteration, and against what must always hold."""

from __future__ import annotations

from heapq import heappop, heappush
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.capacity.fleet import OVERFLOW, POLICY_NAMES, Demand, Rules
from breakeven.capacity.pool import Pace
from breakeven.capacity.simulate import Api, Outcome, Simulation
from capacity.engine_by_steps import ends_of

LEAST_BUSY = POLICY_NAMES.index("least_busy")
ALL_ON_NODES = Rules(LEAST_BUSY, 1 << 60, np.inf)
PLAIN = Pace(
    base_s=1.0, sequence_s=0.0, token_s=0.0, link_token_s=0.0, kv_token_s=0.0, pair_s=0.0, prompt_ratio=1.0,
    weights_s=np.zeros(1), kv_tokens=1 << 50, max_requests=1, chunk_tokens=1 << 40, reserves_output=False,
)  # fmt: skip
"""Every iteration takes a second, whatever is in it."""

REAL = PLAIN._replace(
    base_s=0.004, sequence_s=1e-5, token_s=2e-5, link_token_s=2e-6, kv_token_s=1.2e-8, pair_s=1e-11,
    weights_s=np.linspace(0.002, 0.008, 64), kv_tokens=60_000, max_requests=64, chunk_tokens=2048,
)  # fmt: skip


def demand(arrived_s: Any, output: Any, prompt: Any = 1, cached: Any = 0) -> Demand:
    """Requests that cost a dollar at one API and two at another."""
    count = len(arrived_s)

    def whole(column: Any) -> Any:
        return np.array(np.broadcast_to(column, count), dtype=np.int64)

    return Demand(
        arrived_s=np.asarray(arrived_s, dtype=float),
        prompt=whole(prompt),
        output=whole(output),
        cached=whole(cached),
        uniform=np.random.default_rng(7).random(count),
        api_usd=np.tile([1.0, 2.0], (count, 1)),
    )


def part(wanted: Demand, start: int, count: int) -> Demand:
    return Demand._make(column[start : start + count] for column in wanted)


def simulated(pace: Pace, wanted: Demand, nodes: int = 1, **more: Any) -> Outcome:
    simulation = Simulation(pace, nodes, more.pop("rules", ALL_ON_NODES), span_s=float(wanted.arrived_s[-1]), **more)
    simulation.feed(wanted)
    return simulation.outcome()


def poisson(rate: float, count: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


# Theory


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_a_node_for_one_request_of_fixed_length_is_m_d_1(load: float) -> None:
    """Pollaczek and Khinchine: the mean time in the system is D + load D / (2 (1 - load))."""
    service_s, count = 10, 100_000
    arrived_s = poisson(load / service_s, count)
    outcome = simulated(PLAIN, demand(arrived_s, service_s))
    assert outcome.mean_total_s == pytest.approx(service_s + load * service_s / (2 * (1 - load)), rel=0.06)
    wait_s = waited_s = 0.0
    for gap_s in np.diff(arrived_s):  # and Lindley's recursion, exactly
        wait_s = max(0.0, wait_s + service_s - gap_s)
        waited_s += wait_s
    assert outcome.mean_total_s == pytest.approx(service_s + waited_s / count, rel=1e-9)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_a_node_for_one_request_of_exponential_length_is_m_m_1(load: float) -> None:
    """The mean time in the system is S / (1 - load)."""
    service_s = 1000
    output = np.maximum(1, np.random.default_rng(2).exponential(service_s, 100_000).astype(int))
    outcome = simulated(PLAIN, demand(poisson(load / service_s, 100_000), output))
    assert outcome.mean_total_s == pytest.approx(service_s / (1 - load), rel=0.06)


@pytest.mark.parametrize("places", [2, 8])
def test_a_node_for_several_requests_is_m_m_c(places: int) -> None:
    """Erlang C: all places are taken with probability C, and the mean wait is C S / (c (1 - load))."""
    service_s, load, count = 1000, 0.8, 100_000
    offered = places * load
    tail = offered**places / factorial(places) / (1 - load)
    waits = tail / (sum(offered**k / factorial(k) for k in range(places)) + tail)
    output = np.maximum(1, np.random.default_rng(3).exponential(service_s, count).astype(int))
    arrived_s = poisson(offered / service_s, count)
    outcome = simulated(PLAIN._replace(max_requests=places), demand(arrived_s, output))
    assert outcome.mean_total_s == pytest.approx(service_s + waits * service_s / (places * (1 - load)), rel=0.1)
    free_s, spent_s = [0.0] * places, 0.0
    for at_s, lasts_s in zip(arrived_s, output, strict=True):  # and each by itself, but for the start of a second
        end_s = max(at_s, heappop(free_s)) + lasts_s
        heappush(free_s, end_s)
        spent_s += end_s - at_s
    assert outcome.mean_total_s == pytest.approx(spent_s / count, rel=2e-3)


def test_nodes_behind_the_least_busy_policy_are_better_than_each_by_itself() -> None:
    """Joining the shortest of two queues lies between M/M/2 and two queues of M/M/1."""
    service_s, load = 1000, 0.8
    output = np.maximum(1, np.random.default_rng(4).exponential(service_s, 100_000).astype(int))
    outcome = simulated(PLAIN, demand(poisson(2 * load / service_s, 100_000), output), nodes=2)
    assert service_s / (1 - load**2) < outcome.mean_total_s < service_s / (1 - load)


@pytest.mark.parametrize("rate", [2.0, 12.0])
def test_little_s_law_holds(rate: float) -> None:
    """Requests in the system, averaged over time, are arrivals a second times the mean time in it."""
    rng = np.random.default_rng(5)
    arrived_s = poisson(rate, 20_000)
    wanted = demand(arrived_s, rng.integers(1, 400, 20_000), rng.integers(1, 3000, 20_000))
    simulation = Simulation(REAL, 2, ALL_ON_NODES, span_s=float(arrived_s[-1]))
    seen = []
    for start in range(0, 20_000, 10):
        simulation.feed(part(wanted, start, 10))
        seen.append(simulation.under_way)
    outcome = simulation.outcome()
    assert np.mean(seen) - 1 == pytest.approx(rate * outcome.mean_total_s, rel=0.1)  # each sees itself too


# The plain model


REQUESTS = st.lists(
    st.tuples(st.floats(0, 3), st.integers(1, 400), st.integers(1, 60), st.integers(0, 300)), min_size=1, max_size=25
)


@given(
    REQUESTS,
    st.sampled_from([64, 300, 5000]),
    st.sampled_from([500, 900, 100_000]),
    st.sampled_from([1, 3, 64]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_many_iterations_at_once_are_as_one_after_the_other(
    given_requests: list[tuple[float, int, int, int]], chunk: int, kv_tokens: int, most: int, reserves: bool
) -> None:
    requests = sorted((at, prompt, output, min(cached, prompt - 1)) for at, prompt, output, cached in given_requests)
    pace = REAL._replace(chunk_tokens=chunk, kv_tokens=kv_tokens, max_requests=most, reserves_output=reserves)
    expected = ends_of(pace, requests)
    columns = [np.array(column) for column in zip(*requests, strict=True)]
    wanted = demand(columns[0], columns[2], columns[1], columns[3])
    outcome = simulated(pace, wanted)
    assert outcome.pool_requests == len(requests)
    assert outcome.mean_ttft_s == pytest.approx(np.mean([first for first, _ in expected] - columns[0]), rel=1e-9)
    assert outcome.mean_total_s == pytest.approx(np.mean([end for _, end in expected] - columns[0]), rel=1e-9)


# What must always hold


def _busy(seed: int = 6, count: int = 30_000, rate: float = 40.0) -> Demand:
    rng = np.random.default_rng(seed)
    return demand(poisson(rate, count, seed), rng.integers(1, 500, count), rng.integers(1, 4000, count))


@pytest.mark.parametrize("policy", POLICY_NAMES)
@pytest.mark.parametrize("reserves", [False, True])
def test_no_request_and_no_token_is_lost(policy: str, reserves: bool) -> None:
    wanted = _busy()
    rules = Rules(POLICY_NAMES.index(policy), 4, 2.0)
    pace = REAL._replace(reserves_output=reserves)
    apis = (Api(ttft_s=0.4, tpot_s=0.01, requests_per_s=5.0), Api(ttft_s=0.6, tpot_s=0.02))
    outcome = simulated(pace, wanted, nodes=3, rules=rules, apis=apis)
    assert outcome.pool_requests + outcome.api_requests + outcome.rejected_requests == len(wanted.output)
    assert outcome.pool_output_tokens + outcome.api_output_tokens == wanted.output.sum()
    assert outcome.by_hour[:, 0].sum() == len(wanted.output)
    assert outcome.by_hour[:, 1].sum() == outcome.api_requests > 0
    assert outcome.by_hour[:, 2:4].sum() == wanted.output.sum()
    assert outcome.by_hour[:, 4].sum() == outcome.api_usd >= outcome.api_requests
    assert bool(outcome.put_back_requests) is not reserves
    assert (outcome.busy_s > 0).all()


def test_equal_demand_gives_equal_results_however_it_comes_in_batches() -> None:
    wanted = _busy()
    whole = simulated(REAL, wanted, nodes=3)
    simulation = Simulation(REAL, 3, ALL_ON_NODES, span_s=float(wanted.arrived_s[-1]))
    for start in range(0, len(wanted.output), 777):
        simulation.feed(part(wanted, start, 777))
    apart = simulation.outcome()
    assert apart.mean_total_s == whole.mean_total_s
    assert (apart.pool_ttft.counts == whole.pool_ttft.counts).all()
    assert (apart.busy_s == whole.busy_s).all()


def test_what_no_node_can_hold_goes_to_an_api_or_is_rejected() -> None:
    wanted = demand([0.0, 1.0], [10, 10], [100_000, 10])
    assert simulated(REAL, wanted).rejected_requests == 1
    outcome = simulated(REAL, wanted, apis=(Api(ttft_s=1.0, tpot_s=0.1),))
    assert (outcome.rejected_requests, outcome.api_requests, outcome.pool_requests) == (0, 1, 1)
    assert outcome.api_ttft.quantile_s(0.5) == pytest.approx(1.0, rel=0.01)


def test_an_api_takes_what_its_rate_limit_allows_and_the_nodes_the_rest() -> None:
    wanted = demand(np.arange(2000) / 100, 10, 10)
    rules = Rules(LEAST_BUSY, 0, np.inf)
    outcome = simulated(REAL, wanted, rules=rules, apis=(Api(ttft_s=0.1, tpot_s=0.01, requests_per_s=2.0),))
    assert outcome.api_requests == pytest.approx(120 + 2 * 20, abs=2)
    assert outcome.pool_requests == 2000 - outcome.api_requests


def test_the_policy_overflow_overflows_as_the_simulator_does_for_policies_that_know_no_nodes() -> None:
    """They differ in which of equally busy nodes they take."""
    wanted, api = _busy(rate=30.0), (Api(ttft_s=0.4, tpot_s=0.01),)
    shares = [
        simulated(REAL, wanted, nodes=3, rules=Rules(POLICY_NAMES.index(policy), 6, np.inf), apis=api).api_requests
        for policy in ("least_busy", "overflow")
    ]
    assert shares[0] > 2000
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


@pytest.mark.parametrize("policy", POLICY_NAMES[OVERFLOW:])
def test_policies_that_know_nodes_ask_no_api_while_one_has_room(policy: str) -> None:
    wanted, api = _busy(rate=60.0), (Api(ttft_s=0.4, tpot_s=0.01),)
    for most_waiting, least, most in ((0, len(wanted.output), len(wanted.output)), (1 << 40, 0, 0), (6, 100, 20_000)):
        rules = Rules(POLICY_NAMES.index(policy), most_waiting, np.inf)
        assert least <= simulated(REAL, wanted, nodes=3, rules=rules, apis=api).api_requests <= most


def test_a_full_cache_and_a_late_first_token_overflow_too() -> None:
    wanted, api = _busy(rate=30.0), (Api(ttft_s=0.4, tpot_s=0.01),)
    plain = Rules(OVERFLOW, 1 << 40, np.inf)
    for rules in (plain._replace(most_kv_fraction=0.7), plain._replace(most_ttft_s=0.3)):
        outcome = simulated(REAL, wanted, nodes=3, rules=rules, apis=api)
        assert 1000 < outcome.api_requests < len(wanted.output) / 2
        back = simulated(REAL, wanted, nodes=3, rules=rules._replace(back_ratio=0.5), apis=api)
        assert back.api_requests > outcome.api_requests


def test_more_nodes_never_make_requests_slower() -> None:
    wanted = _busy(rate=60.0)
    times = [simulated(REAL, wanted, nodes=nodes).mean_total_s for nodes in (2, 3, 4, 6)]
    assert times == sorted(times, reverse=True)


def test_a_quantile_is_within_a_bucket() -> None:
    outcome = simulated(PLAIN, demand(np.arange(100) * 100.0, np.arange(1, 101)))
    assert outcome.pool_total.quantile_s(0.5) == pytest.approx(50, rel=0.011)
    assert outcome.pool_total.quantile_s(1.0) == pytest.approx(100, rel=0.011)
    assert np.isnan(outcome.api_ttft.quantile_s(0.5))
