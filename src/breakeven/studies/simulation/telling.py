"""An outcome as it is told: quantiles, shares, money, hours."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from breakeven.capacity.fleet import (
    BUSY_S,
    CAME,
    DOWN_S,
    DRAINING_S,
    SENT_OVER,
    STARTING_S,
    TURNED_AWAY,
    UP_S,
    USED_S,
    WENT_OVER,
)
from breakeven.capacity.simulate import Times
from breakeven.quantities import DAYS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR, Interval
from breakeven.studies.simulation.result import QUANTILES, ClassRun, Costs, FlowRun, Hours, LineRun, Run
from breakeven.traffic.told import told

if TYPE_CHECKING:
    from breakeven.capacity.simulate import Outcome
    from breakeven.quantities import Array
    from breakeven.studies.simulation.question import Goal, Line, Question


class Facts(NamedTuple):
    """What is known beside the outcome."""

    speed_ratio: float
    span_s: float
    node_usd_per_hour: Interval


def run_of(outcome: Outcome, question: Question, facts: Facts) -> Run:
    """Return an outcome in the words of a result."""
    hours = outcome.by_hour
    serving_s = float(hours[:, UP_S].sum() + hours[:, DRAINING_S].sum())
    paid_s = serving_s + float(hours[:, STARTING_S].sum())
    output = outcome.pool_output_tokens + outcome.api_output_tokens
    costs = _costs(outcome, facts)
    month = DAYS_PER_MONTH * SECONDS_PER_DAY / facts.span_s
    ttft = Times(counts=outcome.pool_ttft.counts + outcome.api_ttft.counts)
    tpot = Times(counts=outcome.pool_tpot.counts + outcome.api_tpot.counts)
    quantile = question.goal.quantile_fraction
    within = ttft.quantile_s(quantile), tpot.quantile_s(quantile)
    return Run(
        speed_ratio=facts.speed_ratio,
        ttft_s=_quantiles(outcome.pool_ttft),
        tpot_s=_quantiles(outcome.pool_tpot),
        total_s=_quantiles(outcome.pool_total),
        queue_s=_quantiles(outcome.pool_queue),
        goal_ttft_s=within[0],
        goal_tpot_s=within[1],
        keeps_goal=_keeps(question.goal, within, _rejected_fraction(outcome)),
        busy_fraction=_share(min(serving_s, float(outcome.busy_s.sum())), serving_s),
        used_fraction=_share(min(serving_s, float(outcome.used_s.sum())), serving_s),
        prefix_hit_fraction=_share(outcome.pool_cached_tokens, outcome.pool_input_tokens),
        overflow_requests=outcome.api_requests,
        overflow_fraction=_share(outcome.api_output_tokens, output),
        rejected_requests=outcome.rejected_requests,
        put_back_requests=outcome.put_back_requests,
        resent_requests=outcome.resent_requests,
        lost_tokens=outcome.lost_input_tokens + outcome.lost_output_tokens,
        node_failures_count=outcome.node_failures_count,
        node_starts_count=outcome.node_starts_count,
        paid_node_hours=paid_s / SECONDS_PER_HOUR,
        down_node_hours=float(hours[:, DOWN_S].sum()) / SECONDS_PER_HOUR,
        costs=costs,
        usd_per_month=costs.total_usd.map(lambda usd: usd * month),
        hours=_hours(hours, facts.span_s),
        line=_line(outcome, question.line) if question.line is not None else None,
    )


def _line(outcome: Outcome, line: Line) -> LineRun:
    served, over, turned_away = (outcome.flow_sums[:, column].astype(int) for column in (0, SENT_OVER, TURNED_AWAY))
    every = served + over + turned_away
    priorities = np.array([flow.priority for flow in line.flows])
    classes = []
    times = zip(sorted(set(priorities.tolist())), outcome.class_ttft, outcome.class_queue, strict=True)
    for priority, ttft, queue in times:
        here = priorities == priority
        classes.append(
            ClassRun(
                priority=priority,
                requests=int(every[here].sum()),
                overflow_requests=int(over[here].sum()),
                rejected_requests=int(turned_away[here].sum()),
                ttft_s=_quantiles(ttft),
                queue_s=_quantiles(queue),
            )
        )
    flows = [
        FlowRun(
            priority=flow.priority,
            key=told(flow.key),
            requests=int(every[place]),
            overflow_requests=int(over[place]),
            rejected_requests=int(turned_away[place]),
            mean_ttft_s=float(sums[3] / sums[0]) if sums[0] else nan,
            node_input_tokens=int(sums[1]),
            node_output_tokens=int(sums[2]),
        )
        for place, (flow, sums) in enumerate(zip(line.flows, outcome.flow_sums, strict=True))
    ]
    return LineRun(
        no_room_requests=outcome.no_room_requests,
        too_late_requests=outcome.too_late_requests,
        classes=tuple(reversed(classes)),
        flows=tuple(sorted(flows, key=lambda flow: (-flow.requests, -flow.priority, flow.key))),
    )


def _keeps(goal: Goal, within: tuple[float, float], rejected_fraction: float) -> bool:
    """Whether times are within the goal; without answers (NaN) nothing is late."""
    if rejected_fraction > 1 - goal.quantile_fraction:
        return goal.ttft_s is None and goal.tpot_s is None
    pairs = zip(within, (goal.ttft_s, goal.tpot_s), strict=True)
    return not any(most_s is not None and took_s > most_s for took_s, most_s in pairs)


def _rejected_fraction(outcome: Outcome) -> float:
    every = outcome.pool_requests + outcome.api_requests + outcome.rejected_requests
    return _share(outcome.rejected_requests, every)


def _costs(outcome: Outcome, facts: Facts) -> Costs:
    hours = outcome.by_hour
    serving_s = float(hours[:, UP_S].sum() + hours[:, DRAINING_S].sum())
    busy_s = min(serving_s, float(outcome.busy_s.sum()))
    starting_s = float(hours[:, STARTING_S].sum())

    def usd(seconds: float) -> Interval:
        return facts.node_usd_per_hour.map(lambda each: each * seconds / SECONDS_PER_HOUR)

    return Costs(
        nodes_busy_usd=usd(busy_s),
        nodes_idle_usd=usd(serving_s - busy_s),
        nodes_starting_usd=usd(starting_s),
        overflow_usd=outcome.api_usd,
        total_usd=usd(serving_s + starting_s).map(lambda nodes: nodes + outcome.api_usd),
    )


def _hours(rows: Array, span_s: float) -> Hours:
    serving = rows[:, UP_S] + rows[:, DRAINING_S]
    lasts_s = np.minimum(SECONDS_PER_HOUR, span_s - SECONDS_PER_HOUR * np.arange(len(rows)))
    lasts_s = np.maximum(lasts_s, 1e-9)

    def plain(values: Array) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return Hours(
        requests=tuple(int(count) for count in rows[:, CAME]),
        overflow_fraction=plain(rows[:, WENT_OVER] / np.maximum(rows[:, CAME], 1)),
        paid_nodes_count=plain((serving + rows[:, STARTING_S]) / lasts_s),
        down_nodes_count=plain(rows[:, DOWN_S] / lasts_s),
        busy_fraction=plain(np.minimum(rows[:, BUSY_S], serving) / np.maximum(serving, 1e-9)),
        used_fraction=plain(np.minimum(rows[:, USED_S], serving) / np.maximum(serving, 1e-9)),
    )


def _quantiles(times: Times) -> tuple[float, ...]:
    return tuple(times.quantile_s(share) for share in QUANTILES)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
