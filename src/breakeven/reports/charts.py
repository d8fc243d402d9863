"""Charts of a verdict as SVG text: cost against volume, cost stacks, hour of the week.

They draw what the result holds and evaluate its two cost curves; they compute nothing else.  Each
chart comes twice, for a wide page and for a phone, because scaled-down text cannot be read.  Every
colour is one of ``PALETTE``, so that a page can recolour a drawing by matching its attributes.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import altair as alt
import vl_convert

from breakeven.economics.stack import LAYERS
from breakeven.reports.words import tokens, usd, usd_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.economics.breakeven import BreakEven, StairCost
    from breakeven.economics.stack import Layer
    from breakeven.quantities import Interval
    from breakeven.records import TrafficTimes
    from breakeven.studies.verdict.result import CrossingResult, OptionResult

INK, MUTED, GRID, BAND = "#1c1d1f", "#6b6f76", "#e4e2dc", "#ece9e1"
POOL, TODAY, OPEN = "#14776a", "#a8432f", "#3f6fae"
LAYER_COLOURS: Final[dict[Layer, str]] = {
    "tokens": "#4a78b5",
    "compute": "#1b7f71",
    "standby": "#84bcb1",
    "engineering": "#c98b2e",
    "infrastructure": "#e3c48d",
    "reliability": "#96594c",
    "one-off": "#b3aea5",
}
PALETTE: Final[dict[str, str]] = {
    INK: "#eceae5",
    MUTED: "#a09d96",
    GRID: "#34363a",
    BAND: "#2a2c31",
    POOL: "#4fc0ae",
    TODAY: "#e58a72",
    OPEN: "#83aee6",
    "#4a78b5": "#6d9bd8",
    "#1b7f71": "#3aa695",
    "#84bcb1": "#6b938c",
    "#c98b2e": "#dba24c",
    "#e3c48d": "#8f7a52",
    "#96594c": "#bb7c6d",
    "#b3aea5": "#77746e",
}
"""Light colour → the same on a dark page."""

LOG_FROM_RATIO: Final = 25.0
"""Axes are logarithmic when the chart must reach this many times today's volume."""

DRAWN_STEPS: Final = 240
CURVE_POINTS: Final = 80
Row = dict[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One chart in two sizes, as SVG elements, and what it shows in words."""

    wide: str
    narrow: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    name: str
    width: int
    height: int


_WIDE, _NARROW = _Size(name="w", width=880, height=380), _Size(name="n", width=310, height=300)


def cost_against_volume(
    pool: OptionResult, against: CrossingResult, others: Sequence[CrossingResult], volume: Interval, *, name: str
) -> Drawing:
    """Draw a pool's staircase over volume with the crossing of one alternative marked.

    ``others`` are further alternatives, drawn as lines only.  Volumes in millions of tokens a month.
    """
    first = against.likely.first_mtok
    label = (
        f"Cost a month against tokens a month: {pool.title} and {against.against}; they cross first at "
        f"{tokens(first * 1e6) if first is not None else 'no volume'}; today {tokens(volume.likely * 1e6)} tokens."
    )
    wide, narrow = (
        _svg(_volume_chart((against, *others), volume, size), f"{name}{size.name}") for size in (_WIDE, _NARROW)
    )
    return Drawing(wide=wide, narrow=narrow, label=label)


def reach_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return how far to the right a chart of this crossing has to reach."""
    marks = [volume.high, volume.likely * 1.5]
    found = crossing.likely
    marks += [mark for mark in (found.first_mtok, found.stable_mtok) if mark is not None]
    marks += [item.to_mtok for item in found.islands if item.to_mtok is not None]
    unfavourable = crossing.unfavourable.first_mtok
    if unfavourable is not None and unfavourable <= 3 * max(marks):
        marks.append(unfavourable)
    return max(marks) * 1.12


def cost_stacks(options: Sequence[OptionResult], reach_usd: float, *, name: str) -> Drawing:
    """Draw one bar for each option, stacked by layer, with its interval; ``reach_usd`` ends the axis."""
    label = "Cost a month by layer, USD: " + "; ".join(
        f"{item.title} {usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})" for item in options
    )
    wide, narrow = (_svg(_stack_chart(options, reach_usd, size), f"{name}{size.name}") for size in (_WIDE, _NARROW))
    return Drawing(wide=wide, narrow=narrow, label=label)


def hour_of_week(times: TrafficTimes, *, name: str) -> Drawing:
    """Draw mean requests a second by weekday and hour, UTC; hours never observed stay empty."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    rows: list[Row] = [
        {"day": days[index // 24], "hour": index % 24, "rate": rate}
        for index, rate in enumerate(times.hour_of_week_requests_per_s)
        if rate is not None
    ]
    wide, narrow = (_svg(_heat_chart(rows, days, size), f"{name}{size.name}") for size in (_WIDE, _NARROW))
    return Drawing(wide=wide, narrow=narrow, label="Mean requests a second by weekday and hour, UTC.")


def _volume_chart(crossings: Sequence[CrossingResult], volume: Interval, size: _Size) -> alt.LayerChart:
    main = crossings[0]
    last = reach_mtok(main, volume)
    logarithmic = last > LOG_FROM_RATIO * volume.likely
    first = _first_mtok(main, volume) if logarithmic else 0.0
    stairs = _stairs(main.pool, first, last)
    grid = _spaced(first, last, logarithmic=logarithmic)
    lines = [
        {"who": "today" if item.against.startswith("today") else "open", "x": mtok, "y": item.api.usd_per_month(mtok)}
        for item in crossings
        for mtok in grid
    ]
    costs = [float(row["y"]) for row in (*stairs, *lines)]
    low_usd = max(1.0, min(costs) / 1.5) if logarithmic else 0.0
    kind = "log" if logarithmic else "linear"
    x = alt.X("x:Q", scale=alt.Scale(type=kind, domain=[first, last], nice=False), axis=_volume_axis(size))
    y = alt.Y("y:Q", scale=alt.Scale(type=kind, domain=[low_usd, max(costs) * 1.04], nice=False), axis=_usd_axis(size))
    colour = alt.Color(
        "who:N", scale=alt.Scale(domain=["pool", "today", "open"], range=[POOL, TODAY, OPEN]), legend=None
    )
    parts = [
        *_today_marks(volume, x, first, last, size),
        _cheaper_strip(main.likely, first, last, size, x),
        alt.Chart(_data(lines)).mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour),
        alt.Chart(_data(stairs)).mark_line(strokeWidth=2.6, interpolate="step-before").encode(x=x, y=y, color=colour),
        *_crossing_marks(main, x, y, first, last, size),
    ]
    return alt.layer(*parts).properties(width=size.width, height=size.height)


def _first_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return where a logarithmic axis starts: left of everything that is marked on it."""
    marks = [volume.low, crossing.favourable.first_mtok, crossing.likely.first_mtok]
    return min(mark for mark in marks if mark) / 2


def _spaced(first: float, last: float, *, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return [first, last]
    return [first * (last / first) ** (step / CURVE_POINTS) for step in range(CURVE_POINTS + 1)]


def _stairs(pool: StairCost, first: float, last: float) -> list[Row]:
    """Return the right ends of the steps from ``first`` to ``last``; very many steps are thinned."""
    from_nodes, to_nodes = pool.nodes(max(first, 1e-9)), pool.nodes(last)
    stride = max(1, (to_nodes - from_nodes) // DRAWN_STEPS)
    ends = [nodes * pool.node_mtok_per_month for nodes in range(from_nodes, to_nodes, stride)]
    volumes = [first, *(end for end in ends if first < end < last), last]
    return [{"who": "pool", "x": mtok, "y": pool.usd_per_month(max(mtok, 1e-9))} for mtok in volumes]


def _today_marks(volume: Interval, x: alt.X, first: float, last: float, size: _Size) -> list[alt.Chart]:
    """Draw today's volume: its interval as a band, its likely value as a dashed line."""
    text = f"today {tokens(volume.likely * 1e6)}"
    if not volume.is_exact:
        text += f" ({tokens(volume.low * 1e6)} – {tokens(volume.high * 1e6)})"
    row: Row = {"x": max(volume.likely, first), "low": max(volume.low, first), "high": volume.high, "text": text}
    base = alt.Chart(_data([row]))
    align = _align(volume.likely, first, last, logarithmic=first > 0)
    return [
        base.mark_rect(color=BAND).encode(x=_at(x, "low"), x2="high:Q", y=alt.value(0), y2=alt.value(size.height)),
        base.mark_rule(color=INK, strokeDash=[3, 3]).encode(x=x, y=alt.value(0), y2=alt.value(size.height)),
        base.mark_text(align=align, color=INK, fontWeight="bold").encode(x=x, y=alt.value(-9), text="text:N"),
    ]


def _cheaper_strip(found: BreakEven, first: float, last: float, size: _Size, x: alt.X) -> alt.Chart:
    """Draw along the axis the volumes at which the pool is cheaper: islands, and from where for good."""
    ranges = [(item.from_mtok, item.to_mtok if item.to_mtok is not None else last) for item in found.islands]
    if found.stable_mtok is not None:
        ranges.append((found.stable_mtok, last))
    rows: list[Row] = [
        {"x": max(start, first), "end": min(end, last)} for start, end in ranges if start < last and end > first
    ]
    bottom = alt.value(size.height)
    strip = alt.Chart(_data(rows)).mark_rect(color=POOL)
    return strip.encode(x=x, x2="end:Q", y=alt.value(size.height - 7), y2=bottom)


def _crossing_marks(
    crossing: CrossingResult, x: alt.X, y: alt.Y, first: float, last: float, size: _Size
) -> list[alt.Chart]:
    """Draw the first crossing with its favourable and unfavourable ends; nothing where there is none."""
    mtok = crossing.likely.first_mtok
    if not mtok or mtok > last:
        return []
    good, bad = crossing.favourable.first_mtok, crossing.unfavourable.first_mtok
    text = f"break-even {tokens(mtok * 1e6)}"
    if size is _WIDE:
        ends = [tokens(end * 1e6) if end is not None else "never" for end in (good, bad)]
        text += f" ({ends[0]} – {ends[1]})"
    row: Row = {
        "x": mtok,
        "y": crossing.pool.usd_per_month(mtok),
        "low": max(first, good if good is not None else mtok),
        "high": min(last, bad) if bad is not None else last,
        "text": text,
    }
    base = alt.Chart(_data([row]))
    # The alternative's line passes below the label left of a crossing, and above it on the right.
    left = _align(mtok, first, last, logarithmic=first > 0) == "left"
    place = {"align": "left", "dx": 8, "dy": 15} if left else {"align": "right", "dx": -6, "dy": -14}
    tick = {"color": POOL, "thickness": 1.5, "size": 11, "orient": "vertical"}
    parts = [
        base.mark_rule(color=POOL, strokeWidth=1.2, strokeDash=[2, 2]).encode(x=_at(x, "low"), x2="high:Q", y=y),
        base.mark_tick(**tick).encode(x=_at(x, "low"), y=y),
        base.mark_point(color=POOL, filled=True, size=95, opacity=1).encode(x=x, y=y),
        base.mark_text(color=POOL, fontWeight="bold", **place).encode(x=x, y=y, text="text:N"),
    ]
    if bad is not None and bad <= last:
        parts.append(base.mark_tick(**tick).encode(x=_at(x, "high"), y=y))
    return parts


def _align(mtok: float, first: float, last: float, *, logarithmic: bool) -> str:
    """Return the side on which a label at this volume stays inside the chart."""
    share = math.log(max(mtok, first) / first) / math.log(last / first) if logarithmic else mtok / last
    return "left" if share < 0.35 else ("right" if share > 0.65 else "center")


def _stack_chart(options: Sequence[OptionResult], reach_usd: float, size: _Size) -> alt.LayerChart:
    """Rows are placed in pixels: one or more lines of title, then the bar."""
    wide = size is _WIDE
    titles: list[Row] = []
    totals: list[Row] = []
    bars: list[Row] = []
    whiskers: list[Row] = []
    top = 14.0
    for item in options:
        total = f"{usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})"
        lines = [item.title] if wide else [*textwrap.wrap(item.title, 44), total]
        titles += [{"y": top + 15 * index, "text": text} for index, text in enumerate(lines)]
        if wide:
            totals.append({"y": top, "text": total})
        bar = top + 15 * len(lines) - 5
        bars += _segments(item, bar)
        middle = bar + 7
        whiskers.append({"x": item.usd_per_month.low, "end": item.usd_per_month.high, "y": middle})
        top = bar + 34
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, reach_usd], nice=False), axis=_stack_axis(size))
    y = alt.Y("y:Q", scale=None, axis=None)
    colour = alt.Color(
        "layer:N", scale=alt.Scale(domain=list(LAYER_COLOURS), range=list(LAYER_COLOURS.values())), legend=None
    )
    spread = alt.Chart(_data(whiskers))
    left, right = alt.value(0), alt.value(size.width)
    parts = [
        alt.Chart(_data(bars)).mark_rect().encode(x=x, x2="end:Q", y=y, y2="bottom:Q", color=colour),
        spread.mark_rule(color=INK, strokeWidth=1.2).encode(x=x, x2="end:Q", y=y),
        spread.mark_tick(color=INK, thickness=1.2, size=9, orient="vertical").encode(x=x, y=y),
        spread.mark_tick(color=INK, thickness=1.2, size=9, orient="vertical").encode(x=_at(x, "end"), y=y),
        alt.Chart(_data(titles)).mark_text(align="left", color=INK).encode(x=left, y=y, text="text:N"),
    ]
    if wide:
        parts.append(alt.Chart(_data(totals)).mark_text(align="right", color=MUTED).encode(x=right, y=y, text="text:N"))
    return alt.layer(*parts).properties(width=size.width, height=top - 10)


def _segments(option: OptionResult, top: float) -> list[Row]:
    rows: list[Row] = []
    end = 0.0
    for layer in LAYERS:
        amount = sum(line.usd_per_month.likely for line in option.lines if line.layer == layer)
        if amount > 0:
            rows.append({"layer": layer, "x": end, "end": end + amount, "y": top, "bottom": top + 14})
            end += amount
    return rows


def _heat_chart(rows: Sequence[Row], days: Sequence[str], size: _Size) -> alt.Chart:
    peak = max((float(row["rate"]) for row in rows), default=1.0) or 1.0
    hours = list(range(0, 24, 3 if size is _WIDE else 6))
    plain = {"title": None, "ticks": False, "domain": False, "grid": False}
    cells = alt.Chart(_data(rows)).mark_rect(color=POOL)
    return cells.encode(
        x=alt.X("hour:O", sort=list(range(24)), axis=alt.Axis(**plain, values=hours, labelAngle=0)),
        y=alt.Y("day:O", sort=list(days), axis=alt.Axis(**plain)),
        opacity=alt.Opacity("rate:Q", scale=alt.Scale(domain=[0, peak], range=[0.05, 1]), legend=None),
    ).properties(width=size.width, height=22 * 7)


def _volume_axis(size: _Size) -> alt.Axis:
    short = "replace(format(datum.value * 1e6, '~s'), 'G', 'B')"
    count = 8 if size is _WIDE else 4
    return alt.Axis(title="tokens a month", labelExpr=short, tickCount=count, grid=False, titlePadding=10)


def _usd_axis(size: _Size) -> alt.Axis:
    title = {"titleAngle": 0, "titleAlign": "left", "titleX": -52, "titleY": -26}
    return alt.Axis(
        title="USD a month", labelExpr=_usd_label(size), tickCount=5, domain=False, ticks=False, **title
    )


def _stack_axis(size: _Size) -> alt.Axis:
    count = 8 if size is _WIDE else 4
    return alt.Axis(title="USD a month", labelExpr=_usd_label(size), tickCount=count, domain=False, ticks=False)


def _usd_label(size: _Size) -> str:
    return "format(datum.value, ',.0f')" if size is _WIDE else "datum.value ? format(datum.value, '~s') : '0'"


def _at(channel: alt.X, field: str) -> alt.X:
    """Return the same axis and scale for another field."""
    other = channel.copy()
    other.shorthand = f"{field}:Q"
    return other


def _data(rows: Sequence[Row]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _svg(chart: alt.TopLevelMixin, prefix: str) -> str:
    """Render to an SVG element whose ids start with ``prefix``, so that charts share a page."""
    spec = (
        chart.configure(background="transparent", font="sans-serif", padding=1)
        .configure_view(stroke=None)
        .configure_text(fontSize=13)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelColor=MUTED,
            titleColor=MUTED,
            gridColor=GRID,
            domainColor=MUTED,
            tickColor=MUTED,
            labelPadding=6,
        )
        .to_dict()
    )
    major_minor = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    text = str(vl_convert.vegalite_to_svg(spec, vl_version=major_minor, allowed_base_urls=[]))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
