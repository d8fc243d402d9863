"""Bills by layer: one bar for each option, with its interval."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import altair as alt

from breakeven.economics.stack import LAYERS
from breakeven.reports.charts.drawing import Chart, Row, Size, at, data, usd_label
from breakeven.reports.colours import INK, LAYER_COLOURS, MUTED
from breakeven.reports.words import usd, usd_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.verdict.result import OptionResult

TITLE_LETTERS = 44
"""Letters of a title that fit a phone's line."""


def cost_stacks(options: Sequence[OptionResult], reach_usd: float, *, name: str, title: str) -> Chart:
    """Draw the options' bills stacked by layer, USD a month; ``reach_usd`` ends the axis."""
    label = "Cost a month by layer, USD: " + "; ".join(
        f"{item.title} {usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})" for item in options
    )
    key = tuple(LAYER_COLOURS.items())
    return Chart(name=name, title=title, label=label, key=key, build=lambda size: _stacks(options, reach_usd, size))


def _stacks(options: Sequence[OptionResult], reach_usd: float, size: Size) -> alt.LayerChart:
    """Rows are placed in pixels: one or more lines of title, then the bar."""
    titles: list[Row] = []
    totals: list[Row] = []
    bars: list[Row] = []
    spreads: list[Row] = []
    top = 14.0
    for item in options:
        total = f"{usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})"
        lines = [item.title] if size.is_wide else [*textwrap.wrap(item.title, TITLE_LETTERS), total]
        titles += [{"y": top + 15 * index, "text": text} for index, text in enumerate(lines)]
        if size.is_wide:
            totals.append({"y": top, "text": total})
        bar = top + 15 * len(lines) - 5
        bars += _segments(item, bar)
        spreads.append({"x": item.usd_per_month.low, "end": item.usd_per_month.high, "y": bar + 7})
        top = bar + 34
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, reach_usd], nice=False), axis=usd_axis(size))
    y = alt.Y("y:Q", scale=None, axis=None)
    colour = alt.Color(
        "layer:N", scale=alt.Scale(domain=list(LAYER_COLOURS), range=list(LAYER_COLOURS.values())), legend=None
    )
    parts = [
        alt.Chart(data(bars)).mark_rect().encode(x=x, x2="end:Q", y=y, y2="bottom:Q", color=colour),
        *whiskers(spreads, x, y),
        *row_texts(titles, totals, size),
    ]
    return alt.layer(*parts).properties(width=size.width_px, height=top - 10)


def usd_axis(size: Size) -> alt.Axis:
    """Return a horizontal axis of dollars a month."""
    count = 8 if size.is_wide else 4
    return alt.Axis(title="USD a month", labelExpr=usd_label(size), tickCount=count, domain=False, ticks=False)


def whiskers(rows: Sequence[Row], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Draw intervals from ``x`` to ``end`` as thin lines with ticks."""
    base = alt.Chart(data(rows))
    tick = {"color": INK, "thickness": 1.2, "size": 9, "orient": "vertical"}
    return [
        base.mark_rule(color=INK, strokeWidth=1.2).encode(x=x, x2="end:Q", y=y),
        base.mark_tick(**tick).encode(x=x, y=y),
        base.mark_tick(**tick).encode(x=at(x, "end"), y=y),
    ]


def row_texts(titles: Sequence[Row], totals: Sequence[Row], size: Size) -> list[alt.Chart]:
    """Write the rows' titles at the left and, where there is room, their figures at the right."""
    y = alt.Y("y:Q", scale=None, axis=None)
    left = alt.Chart(data(titles)).mark_text(align="left", color=INK).encode(x=alt.value(0), y=y, text="text:N")
    if not totals:
        return [left]
    end = alt.value(size.width_px)
    return [left, alt.Chart(data(totals)).mark_text(align="right", color=MUTED).encode(x=end, y=y, text="text:N")]


def _segments(option: OptionResult, top: float) -> list[Row]:
    """Return a bar's layers; savings are negative lines of their layer, so a layer shows what is left of it."""
    rows: list[Row] = []
    end = 0.0
    for layer in LAYERS:
        amount = sum(line.usd_per_month.likely for line in option.lines if line.layer == layer)
        if amount > 0:
            rows.append({"layer": layer, "x": end, "end": end + amount, "y": top, "bottom": top + 14})
            end += amount
    return rows
