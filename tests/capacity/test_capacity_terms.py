"""Policies that go by prices, budgets and hours, in the simulator: what they choose, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from breakeven.capacity.arrays import as_many
from breakeven.capacity.fleet import BUDGET_DOWNGRADE, COST_THRESHOLD, MARGINAL_COST, POLICY_NAMES, SCHEDULE, Rules
from breakeven.capacity.simulate import Api
from breakeven.routing.policies import POLICIES
from capacity.test_capacity_simulate import REAL, demand, simulated

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Demand
    from breakeven.capacity.simulate import Outcome

DAY_S = 86_400.0
APIS = (Api(ttft_s=0.4, tpot_s=0.01), Api(ttft_s=0.6, tpot_s=0.02))
NEVER_ON_NODES = Rules(COST_THRESHOLD, 0, np.inf)
"""A node with nobody waiting is full, so that all goes to the APIs."""


def priced(arrived_s: Any, first_usd: Any, second_usd: Any) -> Demand:
    """Requests with these prices at the two APIs."""
    wanted = demand(arrived_s, 10, 10)
    columns = [np.broadcast_to(np.asarray(usd, dtype=float), len(wanted.output)) for usd in (first_usd, second_usd)]
    return wanted._replace(api_usd=np.ascontiguousarray(np.stack(columns, axis=1)))


def asked(wanted: Demand, rules: Rules) -> Outcome:
    return simulated(REAL, wanted, nodes=2, rules=rules, apis=APIS)


def test_every_policy_of_the_gateway_is_simulated() -> None:
    assert set(POLICY_NAMES) == set(POLICIES)


@pytest.mark.parametrize("policy", [COST_THRESHOLD, MARGINAL_COST])
def test_the_first_api_takes_what_is_not_too_dear_there_and_the_cheapest_the_rest(policy: int) -> None:
    first_usd = np.arange(1000) / 1000.0
    wanted = priced(np.arange(1000.0), first_usd, 0.3)
    outcome = asked(wanted, NEVER_ON_NODES._replace(policy=policy, most_usd=0.6))
    assert outcome.api_requests == 1000
    by_threshold = first_usd[first_usd <= 0.6].sum() + 0.3 * (first_usd > 0.6).sum()
    by_price = np.minimum(first_usd, 0.3).sum()  # of two APIs within the limit the marginal cost is the lower price
    assert outcome.api_usd == pytest.approx(by_threshold if policy == COST_THRESHOLD else by_price)


def test_without_a_limit_the_first_api_takes_all() -> None:
    wanted = priced(np.arange(100.0), 5.0, 1.0)
    assert asked(wanted, NEVER_ON_NODES).api_usd == pytest.approx(500.0)


def test_nodes_cost_nothing_more_so_they_come_first_whatever_the_limit() -> None:
    wanted = priced(np.arange(1000.0), 5.0, 1.0)
    for policy in (COST_THRESHOLD, BUDGET_DOWNGRADE):
        rules = Rules(policy, 1 << 40, np.inf, 1.0, 1.0, 0.001, 0.0)
        assert asked(wanted, rules).pool_requests == 1000


def test_the_dear_api_is_asked_until_a_request_is_a_hundredth_of_what_is_left_of_the_days_budget() -> None:
    """It begins at 18:00: of 200 USD the first 101 requests leave 99, of which 1 is more than a hundredth."""
    wanted = priced(np.arange(1000) * 43.2, 1.0, 0.1)  # 500 until midnight, 500 after it
    rules = NEVER_ON_NODES._replace(policy=BUDGET_DOWNGRADE, budget_day_usd=200.0, day_s=DAY_S - 500 * 43.2)
    outcome = asked(wanted, rules)
    assert outcome.api_requests == 1000
    assert outcome.api_usd == pytest.approx(2 * (101 * 1.0 + 399 * 0.1))


def test_without_a_budget_the_first_api_is_asked() -> None:
    wanted = priced(np.arange(100.0), 1.0, 0.1)
    assert asked(wanted, NEVER_ON_NODES._replace(policy=BUDGET_DOWNGRADE)).api_usd == pytest.approx(100.0)


def test_requests_go_where_it_is_the_hours_of() -> None:
    """Nodes are open from 100 s to 200 s, the second API from 150 s to 300 s, the first from 400 s on."""
    changes = np.array(  # two nodes are there all the while
        [[0, 2, 0, 0, 0], [100, 2, 1, 0, 0], [150, 2, 1, 0, 1], [200, 2, 0, 0, 1], [300, 2, 0, 0, 0], [400, 2, 0, 1, 0]]
    ).astype(float)
    wanted = priced(np.arange(500.0), 1.0, 0.01)
    by_hours = {"rules": Rules(SCHEDULE, 1 << 40, np.inf), "scaling": as_many(2)._replace(changes=changes)}
    outcome = simulated(REAL, wanted, nodes=2, apis=APIS, **by_hours)
    # Where nobody is open, the first that serves: a node.
    assert (outcome.pool_requests, outcome.api_requests) == (100 + 100 + 100, 200)
    assert outcome.api_usd == pytest.approx(100 * 0.01 + 100 * 1.0)


def test_a_full_node_gives_way_to_who_is_open_and_comes_back_where_nobody_else_can() -> None:
    wanted = priced(np.arange(100) / 10, 1.0, 0.01)
    full = Rules(SCHEDULE, 0, np.inf)
    assert asked(wanted, full).api_usd == pytest.approx(100.0)
    limited = tuple(replace(api, requests_per_s=1e-9) for api in APIS)
    assert simulated(REAL, wanted, nodes=2, rules=full, apis=limited).pool_requests == 100
