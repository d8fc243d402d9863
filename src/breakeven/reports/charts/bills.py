"""Next month's bill of each option as intervals: how predictable each way to serve is."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import altair as alt

from breakeven.reports.charts.drawing import Chart, Row, Size, data
from breakeven.reports.charts.stacks import TITLE_LETTERS, row_texts, usd_axis, whiskers
from breakeven.reports.colours import INK, OPEN
from breakeven.reports.words import usd, usd_ends

if TYPE_CHECKING:
    from breakeven.studies.forecast.result import BillForecast, Forecast


def next_bills(forecast: Forecast) -> Chart:
    """Draw the intervals that hold the next month's bill with 80 % (bar) and 95 % (line)."""
    label = "Next month's bill, USD: " + "; ".join(
        f"{item.title} {usd(item.bill.likely_usd)} ({_ends(item, 80)} with 80 %, {_ends(item, 95)} with 95 %)"
        for item in forecast.bills
    )
    key = (("80 %", OPEN), ("95 %, and the median", INK))
    return Chart(
        name="next-bill", title="Next month's bill", label=label, key=key, build=lambda size: _bills(forecast, size)
    )


def _ends(item: BillForecast, percent: int) -> str:
    bill = item.bill
    low, high = (bill.low_80_usd, bill.high_80_usd) if percent == 80 else (bill.low_95_usd, bill.high_95_usd)
    return usd_ends(low, high)


def _bills(forecast: Forecast, size: Size) -> alt.LayerChart:
    titles: list[Row] = []
    totals: list[Row] = []
    rows: list[Row] = []
    top = 14.0
    for item in forecast.bills:
        total = f"{usd(item.bill.likely_usd)} ({_ends(item, 80)})"
        lines = [item.title] if size.is_wide else [*textwrap.wrap(item.title, TITLE_LETTERS), total]
        titles += [{"y": top + 15 * index, "text": text} for index, text in enumerate(lines)]
        if size.is_wide:
            totals.append({"y": top, "text": total})
        bar, bill = top + 15 * len(lines) - 5, item.bill
        rows.append(
            {
                "x": bill.low_95_usd,
                "end": bill.high_95_usd,
                "low": bill.low_80_usd,
                "high": bill.high_80_usd,
                "likely": bill.likely_usd,
                "top": bar,
                "bottom": bar + 14,
                "y": bar + 7,
            }
        )
        top = bar + 34
    reach = max(item.bill.high_95_usd for item in forecast.bills) * 1.02 or 1.0
    scale = alt.Scale(domain=[0, reach], nice=False)
    x = alt.X("x:Q", scale=scale, axis=usd_axis(size))
    y = alt.Y("y:Q", scale=None, axis=None)
    base, upper = alt.Chart(data(rows)), alt.Y("top:Q", scale=None, axis=None)
    parts = [
        base.mark_rect(color=OPEN, opacity=0.55).encode(
            x=alt.X("low:Q", scale=scale, axis=usd_axis(size)), x2="high:Q", y=upper, y2="bottom:Q"
        ),
        *whiskers(rows, x, y),
        base.mark_tick(color=INK, thickness=2.4, size=18, orient="vertical").encode(
            x=alt.X("likely:Q", scale=scale, axis=usd_axis(size)), y=y
        ),
        *row_texts(titles, totals, size),
    ]
    return alt.layer(*parts).properties(width=size.width_px, height=top - 10)
