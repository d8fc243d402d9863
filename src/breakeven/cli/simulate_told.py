"""What ``breakeven simulate`` prints: one pool at three speeds, or a table by number of nodes."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from breakeven.quantities import DAYS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR
from breakeven.wiring.simulate import PoolSweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from breakeven.quantities import Interval
    from breakeven.studies.simulation import LineRun, Run, Simulated
    from breakeven.wiring.simulate import PoolSimulation


MOST_KEYS_SHOWN: Final = 10


def told(found: PoolSimulation | PoolSweep) -> Iterator[RenderableType]:
    """Yield what is printed, line by line."""
    if isinstance(found, PoolSweep):
        yield from _sweep_lines(found)
    else:
        yield from _lines(found)


def _lines(found: PoolSimulation) -> Iterator[RenderableType]:
    item = found.simulated
    behind = f", overflow to {', '.join(found.overflow)}" if found.overflow else ""
    yield f"{found.nodes} node(s) {found.pool}, policy {found.policy}{behind}"
    yield _traffic(item)
    yield _table(item)
    if item.likely.line is not None:
        yield from _line_lines(item.likely.line)
    yield f"A node costs {_spread(item.node_usd_per_hour)} USD an hour; only nodes and overflow are counted."
    if item.api_only_usd is not None:
        yield f"All of it at the overflow's API: {_usd(item.api_only_usd)} USD for these requests."
    yield f"Speed: {found.basis}."
    yield from found.notes


def _sweep_lines(found: PoolSweep) -> Iterator[RenderableType]:
    sweep = found.sweep
    behind = f", overflow to {', '.join(found.overflow)}" if found.overflow else ""
    yield f"Nodes {found.pool}, policy {found.policy}{behind}"
    yield _traffic(sweep.points[0])
    yield _sweep_table(found)
    yield (
        "Times are of requests on nodes at the likely speed, in seconds; dollars at the likely speed, "
        "then from the fast run at the lowest price to the slow one at the highest."
    )
    cheapest = next(point for point in sweep.points if point.nodes == sweep.cheapest_nodes_count)
    rejected = cheapest.likely.rejected_requests / cheapest.requests
    yield f"Cheapest: {cheapest.nodes} node(s)" + (f", where {rejected:.1%} are rejected." if rejected else ".")
    point = sweep.points[0]
    if point.api_only_usd is not None:
        month_usd = point.api_only_usd * DAYS_PER_MONTH * SECONDS_PER_DAY / point.span_s
        yield f"Without nodes, all of it at the overflow's API: {_usd(month_usd)} USD a month."
    yield from _goal_lines(found)
    yield f"Speed: {found.basis}."
    yield from found.notes


def _goal_lines(found: PoolSweep) -> Iterator[str]:
    limits = (("TTFT", found.slo_ttft_s), ("seconds a token", found.slo_tpot_s))
    parts = [f"{name} {limit:g} s" for name, limit in limits if limit is not None]
    if not parts:
        return
    goal = f"{' and '.join(parts)} for {found.slo_quantile_fraction:.4g} of all answers, by nodes and APIs"
    cheapest = found.sweep.cheapest_keeping_nodes_count
    if cheapest is None:
        yield f"None of these keeps {goal}."
        return
    yield f"Cheapest that keeps {goal}: {cheapest} node(s)."
    surely = found.sweep.cheapest_surely_keeping_nodes_count
    if surely is None:
        yield "None keeps it at the slow speed too."
    elif surely != cheapest:
        yield f"At the slow speed too: {surely} node(s)."


def _sweep_table(found: PoolSweep) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    sweep = found.sweep
    rejects = any(point.likely.rejected_requests for point in sweep.points)
    names = ("nodes", "TTFT p50", "TTFT p99", "ms a token p99", "in use", "overflow")
    for name in (*names, *(["rejected"] if rejects else []), "USD a month", "low to high", ""):
        table.add_column(name, justify="right" if name else "left")
    for point in sweep.points:
        run = point.likely
        marks = [
            "cheapest" if point.nodes == sweep.cheapest_nodes_count else "",
            "cheapest that keeps the SLO" if _is_chosen(found, point) else "",
        ]
        table.add_row(
            str(point.nodes),
            f"{run.ttft_s[0]:.3g}",
            f"{run.ttft_s[-1]:.3g}",
            f"{1000 * run.tpot_s[-1]:.3g}",
            f"{run.used_fraction:.0%}",
            f"{run.overflow_fraction:.1%}",
            *([f"{run.rejected_requests / point.requests:.1%}"] if rejects else []),
            _usd(point.usd_per_month.likely),
            f"{_usd(point.usd_per_month.low)} to {_usd(point.usd_per_month.high)}",
            ", ".join(mark for mark in marks if mark),
        )
    return table


def _is_chosen(found: PoolSweep, point: Simulated) -> bool:
    has_goal = found.slo_ttft_s is not None or found.slo_tpot_s is not None
    return has_goal and point.nodes == found.sweep.cheapest_keeping_nodes_count


def _traffic(item: Simulated) -> str:
    hours = item.span_s / SECONDS_PER_HOUR
    lasts = f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"
    return f"{item.requests:,} requests in {lasts}"


def _table(item: Simulated) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "slow", "likely", "fast"):
        table.add_column(name, justify="left" if not name else "right")
    runs = item.runs
    rows = [
        ("node speed", [f"{run.speed_ratio:.2f}" for run in runs]),
        ("TTFT p50, p95, p99", [_seconds(run.ttft_s) for run in runs]),
        ("of it, until begun", [_seconds(run.queue_s) for run in runs]),
        ("ms a token p50, p95, p99", [_seconds(tuple(1000 * value for value in run.tpot_s)) for run in runs]),
        ("to the end p50, p95, p99", [_seconds(run.total_s) for run in runs]),
        ("nodes busy", [f"{run.busy_fraction:.0%}" for run in runs]),
        ("capacity in use", [f"{run.used_fraction:.0%}" for run in runs]),
        ("busiest hour in use", [f"{max(run.hours.used_fraction):.0%}" for run in runs]),
        ("input found cached", [f"{run.prefix_hit_fraction:.1%}" for run in runs]),
        ("overflow, of output tokens", [f"{run.overflow_fraction:.1%}" for run in runs]),
        ("overflow, requests", [f"{run.overflow_requests:,}" for run in runs]),
        ("rejected", [f"{run.rejected_requests:,}" for run in runs]),
        *_line_rows(runs),
        ("put back (cache full)", [f"{run.put_back_requests:,}" for run in runs]),
        *_changing_rows(runs),
        ("nodes busy, USD", [_spread(run.costs.nodes_busy_usd) for run in runs]),
        ("nodes idle, USD", [_spread(run.costs.nodes_idle_usd) for run in runs]),
        ("overflow, USD", [_usd(run.costs.overflow_usd) for run in runs]),
        ("nodes and overflow, USD a month", [_spread(run.usd_per_month) for run in runs]),
    ]
    for name, values in rows:
        table.add_row(name, *values)
    return table


def _line_rows(runs: tuple[Run, ...]) -> list[tuple[str, list[str]]]:
    lines = [run.line for run in runs if run.line is not None]
    if not lines:
        return []
    return [
        ("of them, the line was full", [f"{line.no_room_requests:,}" for line in lines]),
        ("of them, waited too long", [f"{line.too_late_requests:,}" for line in lines]),
    ]


def _line_lines(line: LineRun) -> Iterator[RenderableType]:
    """Yield who waited in the gateway's line: by priority, and by key where there are several."""
    yield "At the likely speed, by priority of those who may wait in line:"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = ("priority", "requests", "overflow", "rejected", "until begun p50, p95, p99", "TTFT p50, p95, p99")
    for name in names:
        table.add_column(name, justify="right")
    for item in line.classes:
        counts = (item.requests, item.overflow_requests, item.rejected_requests)
        table.add_row(
            str(item.priority), *(f"{count:,}" for count in counts), _seconds(item.queue_s), _seconds(item.ttft_s)
        )
    yield table
    if len(line.flows) > 1:
        yield from _key_lines(line)


def _key_lines(line: LineRun) -> Iterator[RenderableType]:
    shown = line.flows[:MOST_KEYS_SHOWN]
    left = len(line.flows) - len(shown)
    yield "By key and priority" + (f", those with most requests ({left:,} more with --json):" if left else ":")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = ("key", "priority", "requests", "overflow", "rejected", "mean TTFT", "tokens on nodes")
    for name in names:
        table.add_column(name, justify="left" if name == "key" else "right")
    for flow in shown:
        counts = (flow.requests, flow.overflow_requests, flow.rejected_requests)
        table.add_row(
            escape(flow.key) if flow.key else "(none)",
            str(flow.priority),
            *(f"{count:,}" for count in counts),
            "" if isnan(flow.mean_ttft_s) else f"{flow.mean_ttft_s:.3g}",
            f"{flow.node_input_tokens + flow.node_output_tokens:,}",
        )
    yield table


def _changing_rows(runs: tuple[Run, ...]) -> list[tuple[str, list[str]]]:
    """Return what is told where nodes start, stop or fail."""
    if not any(run.node_starts_count or run.node_failures_count for run in runs):
        return []
    return [
        ("node failures", [f"{run.node_failures_count:,}" for run in runs]),
        ("sent again", [f"{run.resent_requests:,}" for run in runs]),
        ("tokens lost", [f"{run.lost_tokens:,}" for run in runs]),
        ("node starts", [f"{run.node_starts_count:,}" for run in runs]),
        ("node-hours paid", [f"{run.paid_node_hours:,.1f}" for run in runs]),
        ("nodes starting, USD", [_spread(run.costs.nodes_starting_usd) for run in runs]),
    ]


def _seconds(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def _usd(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _spread(value: Interval) -> str:
    return _usd(value.likely) if value.is_exact else f"{_usd(value.low)} to {_usd(value.high)}"
