"""Where an SLO binds: what a node serves within it, and the chosen nodes and their neighbours, request by request."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf, log
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.capacity.calibrated_pace import faster
from breakeven.capacity.corrected_pace import corrected_pace
from breakeven.capacity.fleet import BUCKET_RATIO, POLICY_NAMES, SHORTEST_S, Demand, Rules
from breakeven.capacity.simulate import Simulation
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR, TOKENS_PER_MTOK
from breakeven.studies.hybrid.result import SloRun
from breakeven.studies.verdict.configs import RATIO_KEY
from breakeven.traffic.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Api, Outcome, Times
    from breakeven.catalog.roofline import Roofline
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.requests import Requests

WITHIN: Final = 0.95
"""The share of requests on nodes whose first token has to come in time."""

NEIGHBOURS: Final = 2
LIMITS: Final = (1.0, 0.5, 0.25)
"""Tried in turn: the expected time to the first token above which a request overflows, over the SLO's.  Expectations
err, so the whole of it is often too much."""

HALVINGS: Final = 7
LEAST_CAPACITY: Final = 0.01
"""Of a node that cannot keep the SLO at all: work then takes so many nodes that none pays."""

CAPACITY_REQUESTS: Final = 20_000
MOST_WAITING: Final = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """The time within which a first token has to come, and the API that takes what would be later."""

    ttft_s: float
    api: Api
    seed: int = 1

    def rules(self, limit_ratio: float) -> Rules:
        """Send to the least busy node, unless a first token is expected later than that share of the SLO."""
        return Rules(POLICY_NAMES.index("least_busy"), MOST_WAITING, self.ttft_s * limit_ratio)


class Ran(NamedTuple):
    """An outcome, with the share of requests on nodes that were in time, and the limit at which they overflowed."""

    outcome: Outcome
    within_fraction: float
    limit_s: float


def pace_as_served(found: Sizing, deployment: Deployment, roofline: Roofline, requests: Requests) -> Pace:
    """Return the pace of a node that does, with these requests all at once, what the rule takes it to do.

    The corrected pace at their mean lengths, all faster or slower by one ratio, so that a queue that never empties is
    served at the service's throughput: what was measured wins.  Raises ``InputError`` where the model does not fit.
    """
    sample = _spread_over(requests.arrivals(), CAPACITY_REQUESTS)
    tokens = requests.tokens
    isl = float(sample.input_tokens.mean()) * tokens.pool_input_ratio
    osl = float(sample.output_tokens.mean()) * tokens.pool_output_ratio
    try:
        pace = corrected_pace(deployment, roofline, isl_tokens=max(1.0, isl), osl_tokens=max(1.0, osl))
    except ValueError as error:
        raise InputError(f"The model does not fit on this node: {error}. Take more or larger GPUs.") from None
    candidate = found.candidates[0]
    likely = found.context.with_own(candidate.own)[RATIO_KEY].likely
    outcome = _alone(pace, requests, sample._replace(at_s=np.zeros(len(sample.at_s))))
    wanted_s = len(sample.at_s) * requests.each_node_seconds / likely
    return faster(pace, float(outcome.busy_s[0]) / wanted_s)


def slo_capacity_fraction(pace: Pace, requests: Requests, slo: Slo) -> float:
    """Return the most work, over what the service says that a node could do, of which a node alone keeps the SLO.

    By halving, with a Poisson stream of these requests and nothing to overflow to: no request is sent away for
    being long, as an overloaded node's would be.
    """
    sample = _spread_over(requests.arrivals(), CAPACITY_REQUESTS)
    count = len(sample.at_s)
    places = np.cumsum(np.random.default_rng(slo.seed).exponential(1.0, count)) * requests.each_node_seconds
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        outcome = _alone(pace, requests, sample._replace(at_s=places / middle))
        kept = within_fraction(outcome.pool_ttft, slo.ttft_s) >= WITHIN
        low, high = (middle, high) if kept else (low, middle)
    return max(low, LEAST_CAPACITY)


def _alone(pace: Pace, requests: Requests, batch: Arrivals) -> Outcome:
    """Simulate one node that nothing stands behind."""
    simulation = Simulation(pace, 1, Rules(POLICY_NAMES.index("least_busy"), MOST_WAITING, inf), span_s=1.0)
    demand = _demand(batch, requests, np.random.default_rng(0))
    simulation.feed(demand._replace(api_usd=demand.api_usd[:, :0]))
    return simulation.outcome()


def slo_runs(found: Sizing, pace: Pace, requests: Requests, slo: Slo) -> tuple[SloRun, ...]:
    """Simulate the nodes that the rule chose and their neighbours; none where no node pays.

    The bill is the rule's expectation over the demands to come, plus what queueing adds: the overflow simulated
    less the overflow that the rule sees in the same requests.
    """
    stairs = found.stairs()
    best = stairs.best
    if not best:
        return ()
    tried = range(max(1, best - NEIGHBOURS), min(best + NEIGHBOURS, len(stairs.usd_per_hour) - 1) + 1)
    return tuple(_slo_run(found, nodes, run_nodes(pace, nodes, requests, slo), requests) for nodes in tried)


def run_nodes(pace: Pace, nodes: int, requests: Requests, slo: Slo) -> Ran:
    """Simulate so many nodes with the API behind them, at the first limit that keeps the SLO, else at the last."""
    ran = None
    for limit in LIMITS:
        chance = np.random.default_rng(slo.seed)
        simulation = Simulation(pace, nodes, slo.rules(limit), apis=(slo.api,), span_s=requests.span_s)
        for batch in requests.arrivals():
            simulation.feed(_demand(batch, requests, chance))
        outcome = simulation.outcome()
        ran = Ran(outcome, within_fraction(outcome.pool_ttft, slo.ttft_s), slo.ttft_s * limit)
        if ran.within_fraction >= WITHIN:
            break
    assert ran is not None, "there are limits to try"
    return ran


def within_fraction(times: Times, limit_s: float) -> float:
    """Return the share of times that are not above a limit, to the bucket of 1 %; 1 without any."""
    total = int(times.counts.sum())
    if not total or limit_s == inf:
        return 1.0
    last = max(0, floor(log(limit_s / SHORTEST_S) / log(BUCKET_RATIO)))
    return float(times.counts[: last + 1].sum()) / total


def _slo_run(found: Sizing, nodes: int, ran: Ran, requests: Requests) -> SloRun:
    side, stairs, outcome = found.likely, found.stairs(), ran.outcome
    hours = requests.span_s / SECONDS_PER_HOUR
    seen = requests.work
    fluid_usd = seen.all_overflow_usd_per_hour - float(seen.saved.at(np.array([float(nodes)]))[0])
    queueing_usd = outcome.api_usd / hours - fluid_usd
    bill = float(stairs.usd_per_hour[nodes]) + side.api_fixed_usd_per_hour + queueing_usd
    output = outcome.pool_output_tokens + outcome.api_output_tokens
    return SloRun(
        nodes=nodes,
        ttft_p95_s=outcome.pool_ttft.quantile_s(0.95),
        within_fraction=ran.within_fraction,
        most_ttft_s=ran.limit_s,
        overflow_fraction=outcome.api_output_tokens / output if output else 0.0,
        busy_fraction=float(outcome.busy_s.sum()) / (nodes * requests.span_s),
        usd_per_month=bill * side.hours_per_month,
        keeps_slo=ran.within_fraction >= WITHIN,
    )


def _spread_over(batches: Iterable[Arrivals], count: int) -> Arrivals:
    """Return so many requests, evenly from all."""
    columns = [np.concatenate(column) for column in zip(*(item[:4] for item in batches), strict=True)]
    if not columns:
        raise InputError("The trace holds no requests, so there is nothing to simulate.")
    size = len(columns[0])
    chosen = np.linspace(0, size - 1, min(count, size)).astype(np.int64)
    return Arrivals(*(column[chosen] for column in columns))


def _demand(batch: Arrivals, requests: Requests, chance: np.random.Generator) -> Demand:
    tokens, price = requests.tokens, requests.price
    prompt = np.maximum(np.rint(batch.input_tokens * tokens.pool_input_ratio).astype(np.int64), 1)
    input_usd = batch.input_tokens * (tokens.overflow_input_ratio * price.input_usd_per_mtok / TOKENS_PER_MTOK)
    output_usd = batch.output_tokens * (tokens.overflow_output_ratio * price.output_usd_per_mtok / TOKENS_PER_MTOK)
    usd = input_usd + output_usd + price.fee_usd_per_request
    return Demand(
        arrived_s=batch.at_s,
        prompt=prompt,
        output=np.maximum(np.rint(batch.output_tokens * tokens.pool_output_ratio).astype(np.int64), 1),
        cached=np.minimum(batch.cached_input_tokens, prompt - 1),
        uniform=chance.random(len(prompt)),
        api_usd=np.ascontiguousarray(usd[:, None]),
    )
