"""What so many nodes did in a simulation: use over time, waiting and cost by nodes, cost against waiting."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import altair as alt

from breakeven.reports.charts.drawing import Chart, Row, Size, at, data, over_the_axis, usd_label
from breakeven.reports.charts.volume import LOG_FROM_RATIO, log_ticks
from breakeven.reports.colours import BETTER, INK, LAYER_COLOURS, MUTED, OPEN, POOL, TODAY
from breakeven.reports.words import usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.quantities import Interval

_HEIGHT_PX: Final = 260
_MOST_HOURS: Final = 24 * 28
"""Beyond four weeks an hour is less than a pixel."""


class HourUsed(NamedTuple):
    """One hour of a simulation, in nodes: work that nodes did, work that overflowed, and nodes that were paid."""

    carried_nodes: float
    overflowed_nodes: float
    paid_nodes: float


class Held(NamedTuple):
    """A simulation with that many nodes; ``ttft_s`` at the 50th, 95th and 99th percentile, dollars a month."""

    nodes: int
    ttft_s: tuple[float, float, float]
    nodes_usd: float
    overflow_usd: float
    total_usd: Interval


def use_over_time(
    hours: Sequence[HourUsed], *, name: str = "use-over-time", begins: str = "the first request"
) -> Chart:
    """Draw work by the hour, what nodes carried below and what overflowed on top, and the nodes that were paid."""
    shown = hours[:_MOST_HOURS]
    carried, over = sum(hour.carried_nodes for hour in hours), sum(hour.overflowed_nodes for hour in hours)
    share = over / (carried + over) if carried + over else 0.0
    title = "Work by the hour, in nodes: carried by the pool, and overflowed"
    part = "" if len(shown) == len(hours) else f" The first {len(shown):,} of {len(hours):,} hours are drawn."
    return Chart(
        name=name,
        title=title,
        label=f"{title}: {share:.1%} overflowed.{part}",
        key=(("carried by the pool", POOL), ("overflowed to the API", TODAY), ("nodes paid", INK)),
        build=lambda size: _use(shown, begins, size),
    )


def ttft_against_nodes(held: Sequence[Held], slo_s: float | None = None) -> Chart:
    """Draw the median, 95th and 99th percentile of TTFT by the number of nodes, and the bound."""
    title = "Time to first token by nodes held"
    bound = "" if slo_s is None else f", bound {slo_s:g} s"
    ends = "; ".join(f"{item.nodes} nodes: p99 {item.ttft_s[2]:.3g} s" for item in (held[0], held[-1]))
    return Chart(
        name="ttft-against-nodes",
        title=title,
        label=f"{title}: {ends}{bound}.",
        key=(("p99", TODAY), ("p95", BETTER), ("p50", POOL), *((("bound", MUTED),) if slo_s else ())),
        build=lambda size: _waits(held, slo_s, size),
    )


def cost_against_nodes(held: Sequence[Held]) -> Chart:
    """Draw a month's nodes and overflow by the number of nodes, the interval of their sum, and the cheapest."""
    best = min(held, key=lambda item: item.total_usd.likely)
    title = "Cost of a month by nodes held"
    return Chart(
        name="cost-against-nodes",
        title=title,
        label=f"{title}: cheapest with {best.nodes} nodes, {usd(best.total_usd.likely)}.",
        key=(("nodes", LAYER_COLOURS["compute"]), ("overflow", LAYER_COLOURS["tokens"]), ("low to high", INK)),
        build=lambda size: _costs(held, best, size),
    )


def cost_slo_frontier(held: Sequence[Held], slo_s: float | None = None) -> Chart:
    """Draw cost against the 99th percentile of TTFT; no point below and left of the line was found."""
    title = "Cost of a month against p99 of the time to first token"
    best = frontier(held)
    return Chart(
        name="cost-slo-frontier",
        title=title,
        label=f"{title}: best with " + ", ".join(f"{item.nodes}" for item in best) + " nodes.",
        key=(("on the frontier", POOL), ("dearer and slower than another", MUTED)),
        build=lambda size: _frontier(held, best, slo_s, size),
    )


def frontier(held: Sequence[Held]) -> list[Held]:
    """Return those that no other beats in both cost and p99 of TTFT, the fastest first."""
    found: list[Held] = []
    for item in sorted(held, key=lambda item: (item.ttft_s[2], item.total_usd.likely)):
        if not found or item.total_usd.likely < found[-1].total_usd.likely:
            found.append(item)
    return found


def _use(hours: Sequence[HourUsed], begins: str, size: Size) -> alt.LayerChart:
    days = len(hours) > 96
    unit = 24.0 if days else 1.0
    rows: list[Row] = [
        {
            "x": (index + edge) / unit,
            "zero": 0.0,
            "carried": hour.carried_nodes,
            "all": hour.carried_nodes + hour.overflowed_nodes,
            "paid": hour.paid_nodes,
        }
        for index, hour in enumerate(hours)
        for edge in (0.0, 1.0)
    ]
    settings = over_the_axis("nodes")
    y = alt.Y("zero:Q", axis=alt.Axis(domain=False, ticks=False, tickCount=5, **settings))
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[0, len(hours) / unit], nice=False),
        axis=alt.Axis(
            title=f"{'days' if days else 'hours'} from {begins}",
            values=list(range(0, ceil(len(hours) / unit) + 1, ceil(len(hours) / unit / 14))),
            format="d",
            grid=False,
        ),
    )
    base = alt.Chart(data(rows))
    return alt.layer(
        base.mark_area(color=TODAY, opacity=0.85).encode(x=x, y=at(y, "carried"), y2="all:Q"),
        base.mark_area(color=POOL, opacity=0.85).encode(x=x, y=y, y2="carried:Q"),
        base.mark_line(color=INK, strokeWidth=1.4, strokeDash=[5, 3]).encode(x=x, y=at(y, "paid")),
    ).properties(width=size.width_px, height=_HEIGHT_PX)


def _waits(held: Sequence[Held], slo_s: float | None, size: Size) -> alt.LayerChart:
    rows: list[Row] = [
        {"x": item.nodes, "p50": item.ttft_s[0], "p95": item.ttft_s[1], "p99": item.ttft_s[2]} for item in held
    ]
    seen = [value for item in held for value in item.ttft_s if value > 0]
    low, high = min([*seen, slo_s or seen[0]]), max([*seen, slo_s or seen[0]])
    scale, ticks = _seconds_scale(low, high, size)
    settings = over_the_axis("seconds")
    y = alt.Y("p50:Q", scale=scale, axis=alt.Axis(format="~g", domain=False, ticks=False, **ticks, **settings))
    base, x = alt.Chart(data(rows)), _nodes_axis(held)
    parts = [
        mark.encode(x=x, y=at(y, name))
        for name, colour in (("p99", TODAY), ("p95", BETTER), ("p50", POOL))
        for mark in (base.mark_line(color=colour, strokeWidth=2.2), base.mark_circle(color=colour, size=42, opacity=1))
    ]
    if slo_s is not None:
        rule = alt.Chart(data([{"p50": slo_s}])).mark_rule(color=MUTED, strokeDash=[5, 3], strokeWidth=1.6)
        parts.append(rule.encode(y=y))
    return alt.layer(*parts).properties(width=size.width_px, height=_HEIGHT_PX)


def _costs(held: Sequence[Held], best: Held, size: Size) -> alt.LayerChart:
    rows: list[Row] = [
        {
            "x": item.nodes,
            "left": item.nodes - 0.36,
            "right": item.nodes + 0.36,
            "zero": 0.0,
            "nodes": item.nodes_usd,
            "both": item.nodes_usd + item.overflow_usd,
            "low": item.total_usd.low,
            "high": item.total_usd.high,
        }
        for item in held
    ]
    reach = max(item.total_usd.high for item in held) * 1.12 or 1.0
    settings = over_the_axis("USD a month")
    axis = alt.Axis(labelExpr=usd_label(size), domain=False, ticks=False, tickCount=5, **settings)
    y = alt.Y("zero:Q", scale=alt.Scale(domain=[0, reach], nice=False), axis=axis)
    base, x = alt.Chart(data(rows)), _nodes_axis(held)
    mark = alt.Chart(data([{"x": best.nodes, "zero": best.total_usd.high, "text": "cheapest"}]))
    return alt.layer(
        base.mark_rect(color=LAYER_COLOURS["compute"]).encode(x=at(x, "left"), x2="right:Q", y=y, y2="nodes:Q"),
        base.mark_rect(color=LAYER_COLOURS["tokens"]).encode(
            x=at(x, "left"), x2="right:Q", y=at(y, "nodes"), y2="both:Q"
        ),
        base.mark_rule(color=INK, strokeWidth=1.6).encode(x=x, y=at(y, "low"), y2="high:Q"),
        mark.mark_text(color=INK, dy=-10).encode(x=x, y=y, text="text:N"),
    ).properties(width=size.width_px, height=_HEIGHT_PX)


def _frontier(held: Sequence[Held], best: Sequence[Held], slo_s: float | None, size: Size) -> alt.LayerChart:
    def rows_of(items: Sequence[Held]) -> list[Row]:
        return [
            {"x": item.ttft_s[2], "y": item.total_usd.likely, "text": f"{item.nodes}", "order": index}
            for index, item in enumerate(items)
        ]

    waits = [item.ttft_s[2] for item in held if item.ttft_s[2] > 0] or [1.0]
    scale, ticks = _seconds_scale(min(waits), max(waits), size)
    settings = over_the_axis("USD a month")
    x = alt.X("x:Q", scale=scale, axis=alt.Axis(title="p99 of TTFT, seconds", format="~g", grid=False, **ticks))
    y = alt.Y("y:Q", axis=alt.Axis(labelExpr=usd_label(size), domain=False, ticks=False, tickCount=5, **settings))
    others, line = alt.Chart(data(rows_of(held))), alt.Chart(data(rows_of(best)))
    parts: list[alt.Chart] = [
        others.mark_circle(color=MUTED, size=60, opacity=0.7).encode(x=x, y=y),
        others.mark_text(color=MUTED, dx=10, dy=-8).encode(x=x, y=y, text="text:N"),
        line.mark_line(color=POOL, strokeWidth=2.2).encode(x=x, y=y, order="order:Q"),
        line.mark_circle(color=POOL, size=70, opacity=1).encode(x=x, y=y),
    ]
    if slo_s is not None:
        rule = alt.Chart(data([{"x": slo_s}])).mark_rule(color=OPEN, strokeDash=[5, 3], strokeWidth=1.6)
        parts.append(rule.encode(x=x))
    return alt.layer(*parts).properties(width=size.width_px, height=_HEIGHT_PX)


def _seconds_scale(low: float, high: float, size: Size) -> tuple[alt.Scale, dict[str, Any]]:
    """Return a scale of times and its ticks: by ratios where they differ much."""
    if high > LOG_FROM_RATIO * low:
        low, high = low / 1.2, high * 1.2
        return alt.Scale(type="log", domain=[low, high], nice=False), log_ticks(low, high, size)
    return alt.Scale(domain=[0, high * 1.05], nice=False), {"tickCount": 5}


def _nodes_axis(held: Sequence[Held]) -> alt.X:
    counts = sorted({item.nodes for item in held})
    step = max(1, len(counts) // 12)
    domain = [counts[0] - 0.6, counts[-1] + 0.6]
    axis = alt.Axis(title="nodes", values=counts[::step], format="d", grid=False)
    return alt.X("x:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis)
