"""Runs a trace through pools, at three speeds each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from breakeven.capacity.calibrated_pace import faster
from breakeven.capacity.corrected_pace import corrected_pace
from breakeven.capacity.estimate import speed_interval
from breakeven.capacity.fleet import OVERFLOW, POLICY_NAMES, Demand, Rules
from breakeven.capacity.simulate import Api, Details, Simulation
from breakeven.errors import InputError
from breakeven.routing.fullness import Limits
from breakeven.studies.simulation.events import outages_of, scaling_of
from breakeven.studies.simulation.money import node_usd_per_hour, request_usd
from breakeven.studies.simulation.result import Simulated, Sweep
from breakeven.studies.simulation.telling import Facts, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from breakeven.capacity.compiled import Ints
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome
    from breakeven.catalog.hardware import Rental
    from breakeven.catalog.roofline import Roofline
    from breakeven.studies.simulation.question import Line, Question
    from breakeven.studies.simulation.result import Run
    from breakeven.traffic.arrivals import Arrivals

    Told = Callable[[int], None]
    Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
    """Applies a function to all items, at once where it can: ``map``, or that of an executor."""


class _Trace(NamedTuple):
    """What is run, and what is known of it."""

    arrivals: Callable[[], Iterable[Arrivals]]
    requests: int
    span_s: float
    api_only_usd: float | None
    mean_tokens: tuple[float, float]


def simulate(
    arrivals: Callable[[], Iterable[Arrivals]],
    question: Question,
    roofline: Roofline,
    rentals: Sequence[Rental],
    told: Told,
    *,
    spread: Spread = map,
) -> Simulated:
    """Run a trace through a pool; ``arrivals`` begins it anew at each call, ``told`` hears of each request done.

    Raises ``InputError`` where there are no requests, the model does not fit, or no price of the nodes is known.
    """
    return _points(arrivals, (question,), roofline, rentals, (told, spread))[0]


def sweep(
    arrivals: Callable[[], Iterable[Arrivals]],
    questions: Sequence[Question],
    roofline: Roofline,
    rentals: Sequence[Rental],
    told: Told,
    *,
    spread: Spread = map,
) -> Sweep:
    """Run a trace through pools that differ in their number of nodes.  Raises ``InputError`` as ``simulate`` does."""
    points = _points(arrivals, questions, roofline, rentals, (told, spread))
    keeping = [point for point in points if point.likely.keeps_goal]
    surely = [point for point in keeping if point.runs[0].keeps_goal]
    cheapest = _cheapest(points)
    assert cheapest is not None
    return Sweep(
        points=points,
        cheapest_nodes_count=cheapest,
        cheapest_keeping_nodes_count=_cheapest(keeping),
        cheapest_surely_keeping_nodes_count=_cheapest(surely),
    )


def _cheapest(points: Sequence[Simulated]) -> int | None:
    if not points:
        return None
    return min(points, key=lambda point: (point.likely.usd_per_month.likely, point.nodes)).nodes


def _points(
    arrivals: Callable[[], Iterable[Arrivals]],
    questions: Sequence[Question],
    roofline: Roofline,
    rentals: Sequence[Rental],
    how: tuple[Told, Spread],
) -> tuple[Simulated, ...]:
    told, spread = how
    first = questions[0]
    hour = node_usd_per_hour(first, rentals)
    trace = _measure(arrivals, first)
    paces = _paces(first, roofline, trace)

    def run(job: tuple[Question, tuple[float, Pace]]) -> Run:
        question, (ratio, pace) = job
        outcome = _run(trace, question, pace, told)
        return run_of(outcome, question, Facts(speed_ratio=ratio, span_s=trace.span_s, node_usd_per_hour=hour))

    found = iter(list(spread(run, [(question, pace) for question in questions for pace in paces])))
    return tuple(
        Simulated(
            nodes=question.nodes,
            requests=trace.requests,
            span_s=trace.span_s,
            node_usd_per_hour=hour,
            api_only_usd=trace.api_only_usd,
            runs=(next(found), next(found), next(found)),
        )
        for question in questions
    )


def _paces(question: Question, roofline: Roofline, trace: _Trace) -> list[tuple[float, Pace]]:
    """Return the slow, the likely and the fast pace, each with its ratio."""
    if question.measured is not None:
        pace, band = question.measured.pace, question.measured.throughput_ratio
    else:
        isl, osl = trace.mean_tokens
        deployment = question.deployment
        assert deployment is not None, "what is not measured is estimated"
        try:
            pace = corrected_pace(deployment, roofline, isl_tokens=isl, osl_tokens=osl)
            band = speed_interval(deployment, roofline, isl_tokens=isl, osl_tokens=osl)
        except ValueError as error:
            raise InputError(f"The model does not fit on this node: {error}. Take more or larger GPUs.") from None
    return [(ratio, faster(pace, ratio)) for ratio in (band.low, band.likely, band.high)]


def _measure(arrivals: Callable[[], Iterable[Arrivals]], question: Question) -> _Trace:
    """Return how many requests there are, how long they last, and what they would cost at the overflow's prices."""
    prices = [request_usd(overflow.prices, question.on) for overflow in question.overflow[:1]]
    count, last_s, usd, given, made = 0, 0.0, 0.0, 0, 0
    for batch in arrivals():
        count += len(batch.at_s)
        last_s = float(batch.at_s[-1])
        given += int(batch.input_tokens.sum())
        made += int(batch.output_tokens.sum())
        usd += float(sum(price(batch).sum() for price in prices))
    if not count:
        raise InputError("The trace holds no requests, so there is nothing to simulate.")
    mean = max(1.0, given / count), max(1.0, made / count)
    return _Trace(arrivals, count, max(last_s, 1.0), usd if prices else None, mean)


def _run(trace: _Trace, question: Question, pace: Pace, told: Told) -> Outcome:
    """Simulate at one pace."""
    apis = tuple(
        Api(ttft_s=api.ttft_s, tpot_s=api.tpot_s, requests_per_s=api.most_requests_per_s) for api in question.overflow
    )
    follows_blocks = question.block_tokens is not None and question.prefix_hit_fraction is None
    simulation = Simulation(
        pace,
        question.nodes,
        _rules(question),
        apis=apis,
        span_s=trace.span_s,
        scaling=scaling_of(question, trace.span_s),
        outages=outages_of(question.upkeep, question.nodes, trace.span_s, question.seed),
        details=Details(
            block_tokens=(question.block_tokens or 0) if follows_blocks else 0,
            priorities=tuple(flow.priority for flow in question.line.flows) if question.line else (),
        ),
    )
    for demand in _demands(trace.arrivals(), question):
        simulation.feed(demand)
        told(len(demand.output))
    return simulation.outcome()


def _rules(question: Question) -> Rules:
    """Return how requests are sent; without a ratio, back as the gateway does where its policy knows full nodes."""
    policy, back_ratio = POLICY_NAMES.index(question.policy), question.back_ratio
    if back_ratio is None:
        back_ratio = Limits().back_ratio if policy >= OVERFLOW else 1.0
    return Rules(
        policy,
        question.most_waiting_requests,
        question.most_ttft_s,
        float(question.most_kv_fraction),
        float(back_ratio),
        float(question.most_usd),
        float(question.budget_day_usd),
        _seconds_of_day(question.begins) if question.begins is not None else 0.0,
        question.line.most_requests if question.line else 0,
        float(question.line.longest_s) if question.line else 0.0,
    )


def _seconds_of_day(moment: datetime) -> float:
    return (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def _demands(batches: Iterable[Arrivals], question: Question) -> Iterator[Demand]:
    prices = [request_usd(overflow.prices, question.on) for overflow in question.overflow]
    chance = np.random.Generator(np.random.PCG64(question.seed))
    share = question.prefix_hit_fraction
    for batch in batches:
        count = len(batch.at_s)
        prompt = np.maximum(batch.input_tokens, 1)
        cached = batch.cached_input_tokens if share is None else (share * prompt).astype(np.int64)
        usd = np.zeros((count, len(prices)))
        for api, price in enumerate(prices):
            usd[:, api] = price(batch)
        yield Demand(
            arrived_s=batch.at_s,
            prompt=prompt,
            output=np.maximum(batch.output_tokens, 1),
            cached=np.minimum(cached, prompt - 1),
            uniform=chance.random(count),
            api_usd=usd,
            block_ends=batch.block_ends,
            blocks=batch.blocks,
            flow=_flows(batch, question.line),
            deadline_s=batch.deadline_s,
        )


def _flows(batch: Arrivals, line: Line | None) -> Ints:
    """Return each request's flow; requests that are made up are all of one."""
    if line is None or len(batch.flow) == len(batch.at_s):
        return batch.flow
    return np.zeros(len(batch.at_s), dtype=np.int64)
