"""Traffic by hour of the week as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from breakeven.reports.charts.drawing import Chart, Row, Size, data
from breakeven.reports.colours import POOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.records import TrafficTimes

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def hour_of_week(times: TrafficTimes) -> Chart:
    """Draw mean requests a second by weekday and hour, UTC; hours never observed stay empty."""
    rows: list[Row] = [
        {"day": _DAYS[index // 24], "hour": index % 24, "rate": rate}
        for index, rate in enumerate(times.hour_of_week_requests_per_s)
        if rate is not None
    ]
    title = "Mean requests a second by hour of the week, UTC"
    return Chart(name="hour-of-week", title=title, label=f"{title}.", key=(), build=lambda size: _heat(rows, size))


def _heat(rows: Sequence[Row], size: Size) -> alt.Chart:
    peak = max((float(row["rate"]) for row in rows), default=1.0) or 1.0
    hours = list(range(0, 24, 3 if size.is_wide else 6))
    plain = {"title": None, "ticks": False, "domain": False, "grid": False}
    cells = alt.Chart(data(rows)).mark_rect(color=POOL)
    return cells.encode(
        x=alt.X("hour:O", sort=list(range(24)), axis=alt.Axis(**plain, values=hours, labelAngle=0)),
        y=alt.Y("day:O", sort=list(_DAYS), axis=alt.Axis(**plain)),
        opacity=alt.Opacity("rate:Q", scale=alt.Scale(domain=[0, peak], range=[0.05, 1]), legend=None),
    ).properties(width=size.width_px, height=22 * 7)
