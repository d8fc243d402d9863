"""What moves a bill: one assumption at a time, from its low to its high end."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

import altair as alt

from breakeven.reports.charts.drawing import Chart, Row, Size, data
from breakeven.reports.charts.stacks import TITLE_LETTERS, row_texts, usd_axis
from breakeven.reports.colours import BETTER, INK, MUTED, OPEN
from breakeven.reports.words import number, usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.economics.sensitivity import Swing
    from breakeven.studies.verdict.result import AssumptionUsed, OptionResult

SHOWN_SWINGS: Final = 10
_AT_ENDS: Final = {"low": OPEN, "high": BETTER}
_MARGIN_FRACTION: Final = 0.14


def tornado(option: OptionResult, assumptions: Mapping[str, AssumptionUsed], *, name: str) -> Chart:
    """Draw an option's widest swings, USD a month, around its likely bill."""
    shown = option.swings[:SHOWN_SWINGS]
    likely = option.usd_per_month.likely
    label = (
        f"{option.title}, {usd(likely)} USD a month; with one assumption at its low and at its high end: "
        + "; ".join(f"{item.key} {usd(item.low_usd_per_month)} and {usd(item.high_usd_per_month)}" for item in shown)
    )
    return Chart(
        name=name,
        title=f"What moves the bill of {option.title}",
        label=label,
        key=tuple((f"the assumption at its {end} end", colour) for end, colour in _AT_ENDS.items()),
        build=lambda size: _tornado(shown, likely, assumptions, size),
    )


def _tornado(
    shown: Sequence[Swing], likely: float, assumptions: Mapping[str, AssumptionUsed], size: Size
) -> alt.LayerChart:
    titles: list[Row] = []
    totals: list[Row] = []
    bars: list[Row] = []
    ends: list[Row] = []
    top = 14.0
    for item in shown:
        known = assumptions.get(item.key)
        words = known.meaning if known else item.key
        usd_ends = sorted((item.low_usd_per_month, item.high_usd_per_month))
        span = f"{usd(usd_ends[0])} – {usd(usd_ends[1])}"
        lines = [_shortened(words)] if size.is_wide else [*textwrap.wrap(words, TITLE_LETTERS), span]
        titles += [{"y": top + 15 * index, "text": text} for index, text in enumerate(lines)]
        if size.is_wide:
            totals.append({"y": top, "text": span})
        bar = top + 15 * len(lines) - 5
        bars += [
            {"x": likely, "end": item.low_usd_per_month, "y": bar, "bottom": bar + 14, "which": "low"},
            {"x": likely, "end": item.high_usd_per_month, "y": bar, "bottom": bar + 14, "which": "high"},
        ]
        ends += _end_labels(item, known, bar + 7)
        top = bar + 34
    first, last = _reach([float(row["end"]) for row in bars] + [likely])
    x = alt.X("x:Q", scale=alt.Scale(domain=[first, last], nice=False, zero=False), axis=usd_axis(size))
    y = alt.Y("y:Q", scale=None, axis=None)
    colour = alt.Color("which:N", scale=alt.Scale(domain=list(_AT_ENDS), range=list(_AT_ENDS.values())), legend=None)
    middle = alt.Chart(
        data([{"x": likely, "y": float(row["y"]) - 3, "bottom": float(row["bottom"]) + 3} for row in bars])
    )
    parts = [
        alt.Chart(data(bars)).mark_rect().encode(x=x, x2="end:Q", y=y, y2="bottom:Q", color=colour),
        *(_end_texts(ends, side, x, y) for side in ("left", "right")),
        *row_texts(titles, totals, size),
        middle.mark_rule(color=INK, strokeWidth=1.4).encode(x=x, y=y, y2="bottom:Q"),
    ]
    return alt.layer(*parts).properties(width=size.width_px, height=top - 10)


def _end_labels(swing: Swing, known: AssumptionUsed | None, middle: float) -> list[Row]:
    """Return the assumption's own two values, each outside its end of the bar."""
    if known is None:
        return []
    ends = ((swing.low_usd_per_month, known.low), (swing.high_usd_per_month, known.high))
    likely = swing.likely_usd_per_month
    return [
        {"x": end, "y": middle, "text": number(value), "side": "right" if end < likely else "left"}
        for end, value in ends
        if abs(end - likely) > 1e-9 * max(1.0, abs(likely))
    ]


def _end_texts(rows: Sequence[Row], side: str, x: alt.X, y: alt.Y) -> alt.Chart:
    shown = [row for row in rows if row["side"] == side]
    place = {"align": side, "dx": 5 if side == "left" else -5, "fontSize": 11, "color": MUTED}
    return alt.Chart(data(shown)).mark_text(**place).encode(x=x, y=y, text="text:N")


def _reach(usd_ends: Sequence[float]) -> tuple[float, float]:
    """Return the axis' two ends, with room for the labels outside the bars."""
    low, high = min(usd_ends), max(usd_ends)
    margin = _MARGIN_FRACTION * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 104, placeholder=" …")
