"""What is to come, month by month: bills, the chance that self-hosting wins, and where it breaks even."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt

from breakeven.quantities import Interval
from breakeven.reports.charts.drawing import TOKENS_LABEL, Chart, Row, Size, at, data, over_the_axis, usd_label
from breakeven.reports.charts.volume import LOG_FROM_RATIO, log_ticks
from breakeven.reports.colours import INK, OPEN, POOL
from breakeven.reports.words import percent, tokens, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.verdict.result import MonthAhead, Projection

_HEIGHT_PX: Final = 260
_BAND_OPACITY: Final = 0.16
Named = tuple[str, str, "Projection"]
"""What an option is to the reader, its colour, and its months."""


def projected_bills(followed: Sequence[Named]) -> Chart:
    """Draw each option's bill over the months: median and the interval that holds 80 % of the draws."""
    label = "Bills month by month, USD, median and 80 %: " + "; ".join(
        f"{role} {usd(item.usd_per_month[0].likely)} at first, {usd(item.usd_per_month[-1].likely)} "
        f"({usd(item.usd_per_month[-1].low)} – {usd(item.usd_per_month[-1].high)}) at last"
        for role, _, item in followed
    )
    lines = tuple((colour, item.usd_per_month) for _, colour, item in followed)
    return Chart(
        name="projection",
        title="Bills to come: median, and the interval that holds 80 % of the draws",
        label=label,
        key=tuple((f"{role}: {item.title}", colour) for role, colour, item in followed),
        build=lambda size: _bands(lines, size, title="USD a month", label=usd_label(size)),
    )


def winning_chance(months: Sequence[MonthAhead]) -> Chart:
    """Draw the share of draws in which self-hosting is the cheapest that may be recommended, by month."""
    first, last = months[0], months[-1]
    title = "Share of the draws in which self-hosting wins"
    label = (
        f"{title}: {percent(first.self_hosting_wins_fraction)} now, "
        f"{percent(last.self_hosting_wins_fraction)} in month {last.month_count}."
    )
    rows: list[Row] = [{"x": item.month_count, "y": item.self_hosting_wins_fraction} for item in months]
    return Chart(name="self-hosting-wins", title=title, label=label, key=(), build=lambda size: _chance(rows, size))


def break_even_ahead(months: Sequence[MonthAhead]) -> Chart:
    """Draw where the leading pool breaks even with today's API, and the volume, month by month.

    A month in which fewer than half of the draws break even has no median; a band open above means never.
    """
    title = "Where self-hosting breaks even with today's API"
    ends = [_shown_mtok(item.first_mtok[1]) for item in (months[0], months[-1])]
    label = f"{title}, tokens a month: {ends[0]} now, {ends[1]} in month {months[-1].month_count}; and the volume."
    known = [mtok for item in months for mtok in (*item.first_mtok, item.volume_mtok.high) if mtok is not None]
    never = max(known, default=1.0) * 1.5
    crossings = tuple(_open_interval(item, never) for item in months)
    lines = ((INK, tuple(item.volume_mtok for item in months)), (POOL, crossings))
    return Chart(
        name="break-even-ahead",
        title=title,
        label=label,
        key=(("break-even: median and 80 %", POOL), ("volume: median and 80 %", INK)),
        build=lambda size: _bands(lines, size, title="tokens a month", label=TOKENS_LABEL),
    )


def _shown_mtok(mtok: float | None) -> str:
    return tokens(mtok * 1e6) if mtok is not None else "never"


def _open_interval(month: MonthAhead, never_mtok: float) -> Interval:
    low, middle, high = (never_mtok if mtok is None else mtok for mtok in month.first_mtok)
    return Interval(low=low, likely=middle, high=high)


def _bands(lines: Sequence[tuple[str, Sequence[Interval]]], size: Size, *, title: str, label: str) -> alt.LayerChart:
    ends = [end for _, months in lines for month in months for end in (month.low, month.high)]
    low, high = min(ends), max(ends)
    settings = over_the_axis(title)
    ticks: dict[str, Any]
    scale, ticks = alt.Scale(domain=[0, high * 1.04], nice=False), {"tickCount": 5}
    if low > 0 and high > LOG_FROM_RATIO * low:
        scale = alt.Scale(type="log", domain=[low / 1.2, high * 1.2], nice=False)
        ticks = log_ticks(low / 1.2, high * 1.2, size)
    axis = alt.Axis(labelExpr=label, domain=False, ticks=False, **ticks, **settings)
    x, y = _month_axis(len(lines[0][1]), size), alt.Y("y:Q", scale=scale, axis=axis)
    parts: list[alt.Chart] = []
    for colour, months in lines:
        rows: list[Row] = [
            {"x": index, "y": month.likely, "low": month.low, "high": month.high}
            for index, month in enumerate(months, start=1)
        ]
        base = alt.Chart(data(rows))
        parts.append(base.mark_area(color=colour, opacity=_BAND_OPACITY).encode(x=x, y=at(y, "low"), y2="high:Q"))
        parts.append(base.mark_line(color=colour, strokeWidth=2.4).encode(x=x, y=y))
    return alt.layer(*parts).properties(width=size.width_px, height=_HEIGHT_PX)


def _chance(rows: Sequence[Row], size: Size) -> alt.LayerChart:
    settings = over_the_axis("share of the draws")
    axis = alt.Axis(format=".0%", tickCount=5, domain=False, ticks=False, **settings)
    x, y = _month_axis(len(rows), size), alt.Y("y:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    base = alt.Chart(data(rows))
    area = base.mark_area(color=OPEN, opacity=_BAND_OPACITY).encode(x=x, y=y)
    return alt.layer(area, base.mark_line(color=OPEN, strokeWidth=2.4).encode(x=x, y=y)).properties(
        width=size.width_px, height=_HEIGHT_PX * 2 // 3
    )


def _month_axis(count: int, size: Size) -> alt.X:
    step = max(1, round(count / (12 if size.is_wide else 6)))
    axis = alt.Axis(title="month from now", values=[1, *range(step, count + 1, step)], format="d", grid=False)
    return alt.X("x:Q", scale=alt.Scale(domain=[1, max(count, 2)], nice=False), axis=axis)
