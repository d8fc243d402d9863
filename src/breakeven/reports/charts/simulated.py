"""The charts of a simulation, and of several that differ in their number of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.quantities import DAYS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR
from breakeven.reports.charts.held import (
    Held,
    HourUsed,
    cost_against_nodes,
    cost_slo_frontier,
    ttft_against_nodes,
    use_over_time,
)

if TYPE_CHECKING:
    from breakeven.reports.charts.drawing import Chart
    from breakeven.studies.simulation import Simulated, Sweep


def simulation_charts(item: Simulated) -> tuple[Chart, ...]:
    """Return use over time, at the likely speed."""
    return (use_over_time(hours_of(item)),)


def sweep_charts(sweep: Sweep, *, slo_ttft_s: float | None = None) -> tuple[Chart, ...]:
    """Return waiting and cost by nodes, their frontier, and use over time with the number of nodes to hold."""
    held = [held_of(point) for point in sweep.points]
    chosen = sweep.cheapest_keeping_nodes_count or sweep.cheapest_nodes_count
    best = next(point for point in sweep.points if point.nodes == chosen)
    waited = [item for item in held if item.ttft_s[2] == item.ttft_s[2]]  # NaN where nodes served nobody
    return (
        cost_against_nodes(held),
        *((ttft_against_nodes(waited, slo_ttft_s), cost_slo_frontier(waited, slo_ttft_s)) if waited else ()),
        use_over_time(hours_of(best)),
    )


def hours_of(item: Simulated) -> list[HourUsed]:
    """Return a simulation by the hour, work in nodes: what overflowed counts as so many requests on nodes would."""
    run = item.likely
    hours = run.hours
    carried = [used * paid for used, paid in zip(hours.used_fraction, hours.paid_nodes_count, strict=True)]
    lasts = [min(1.0, max(1e-9, item.span_s / SECONDS_PER_HOUR - hour)) for hour in range(len(carried))]
    over = [count * share for count, share in zip(hours.requests, hours.overflow_fraction, strict=True)]
    on_nodes = sum(hours.requests) - sum(over)
    each = sum(nodes * hour for nodes, hour in zip(carried, lasts, strict=True)) / on_nodes if on_nodes else 0.0
    return [
        HourUsed(nodes, count * each / hour, paid)
        for nodes, count, hour, paid in zip(carried, over, lasts, hours.paid_nodes_count, strict=True)
    ]


def held_of(item: Simulated) -> Held:
    """Return one number of nodes as the charts take it, carried to a month."""
    run = item.likely
    month = DAYS_PER_MONTH * SECONDS_PER_DAY / item.span_s
    overflow_usd = run.costs.overflow_usd * month
    p50, p95, p99 = run.ttft_s
    return Held(
        nodes=item.nodes,
        ttft_s=(p50, p95, p99),
        nodes_usd=run.usd_per_month.likely - overflow_usd,
        overflow_usd=overflow_usd,
        total_usd=item.usd_per_month,
    )
