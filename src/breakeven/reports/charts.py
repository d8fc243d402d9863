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
from typing import TYPE_CHECKING, Final, Literal

import altair as alt
import vl_convert

from breakeven.economics.stack import LAYERS
from breakeven.reports.colours import BAND, GRID, INK, LAYER_COLOURS, LINE_COLOURS, MUTED, POOL
from breakeven.reports.words import tokens, usd, usd_range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.economics.breakeven import BreakEven, StairCost
    from breakeven.quantities import Interval
    from breakeven.records import TrafficTimes
    from breakeven.studies.verdict.result import CrossingResult, OptionResult

LOG_FROM_RATIO: Final = 25.0
"""Axes are logarithmic when the chart reaches this many times today's volume, or the crossing."""

DRAWN_STEPS, CURVE_POINTS = 240, 80
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
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The axes of a chart of cost against volume; it runs from ``first_mtok`` to ``last_mtok``."""

    size: _Size
    first_mtok: float
    last_mtok: float
    x: alt.X
    y: alt.Y

    def clipped(self, mtok: float) -> float:
        """Return the nearest volume inside the chart."""
        return min(max(mtok, self.first_mtok), self.last_mtok)

    def side(self, mtok: float) -> Literal["left", "center", "right"]:
        """Return how to align a label at this volume so that it stays inside the chart."""
        share = mtok / self.last_mtok
        if self.first_mtok > 0:
            share = math.log(self.clipped(mtok) / self.first_mtok) / math.log(self.last_mtok / self.first_mtok)
        return "left" if share < 0.35 else ("right" if share > 0.65 else "center")


_WIDE, _NARROW = _Size(name="w", width_px=880, height_px=380), _Size(name="n", width_px=310, height_px=300)


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
    return _drawing(label, name, lambda size: _volume_chart((against, *others), volume, size))


def reach_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return how far to the right a chart of this crossing has to reach."""
    found = crossing.likely
    marks = [volume.high, volume.likely * 1.5, found.first_mtok or 0.0, found.stable_mtok or 0.0]
    marks += [item.to_mtok for item in found.islands if item.to_mtok is not None]
    if crossing.high_mtok is not None and crossing.high_mtok <= 3 * max(marks):
        marks.append(crossing.high_mtok)
    return max(marks) * 1.12


def cost_stacks(options: Sequence[OptionResult], reach_usd: float, *, name: str) -> Drawing:
    """Draw one bar for each option, stacked by layer, with its interval; ``reach_usd`` ends the axis."""
    label = "Cost a month by layer, USD: " + "; ".join(
        f"{item.title} {usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})" for item in options
    )
    return _drawing(label, name, lambda size: _stack_chart(options, reach_usd, size))


def hour_of_week(times: TrafficTimes, *, name: str) -> Drawing:
    """Draw mean requests a second by weekday and hour, UTC; hours never observed stay empty."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    rows: list[Row] = [
        {"day": days[index // 24], "hour": index % 24, "rate": rate}
        for index, rate in enumerate(times.hour_of_week_requests_per_s)
        if rate is not None
    ]
    label = "Mean requests a second by weekday and hour, UTC."
    return _drawing(label, name, lambda size: _heat_chart(rows, days, size))


def _drawing(label: str, name: str, chart: Callable[[_Size], alt.TopLevelMixin]) -> Drawing:
    wide, narrow = (_svg(chart(size), f"{name}{size.name}") for size in (_WIDE, _NARROW))
    return Drawing(wide=wide, narrow=narrow, label=label)


def _volume_chart(crossings: Sequence[CrossingResult], volume: Interval, size: _Size) -> alt.LayerChart:
    main = crossings[0]
    last = reach_mtok(main, volume)
    logarithmic = last > LOG_FROM_RATIO * min(volume.likely, main.likely.first_mtok or last)
    first = _first_mtok(main, volume) if logarithmic else 0.0
    stairs = _stairs(main.pool, first, last)
    curved = [first * (last / max(first, 1e-9)) ** (step / CURVE_POINTS) for step in range(CURVE_POINTS + 1)]
    grid = curved if logarithmic else [first, last]
    lines: list[Row] = [
        {"who": item.against.partition(":")[0], "x": mtok, "y": item.api.usd_per_month(mtok)}
        for item in crossings
        for mtok in grid
    ]
    frame = _frame(first, last, [float(row["y"]) for row in (*stairs, *lines)], size)
    colour = alt.Color(
        "who:N", scale=alt.Scale(domain=["pool", *LINE_COLOURS], range=[POOL, *LINE_COLOURS.values()]), legend=None
    )
    line, stair = {"strokeWidth": 2.2}, {"strokeWidth": 2.6, "interpolate": "step-before"}
    parts = [
        *_today_marks(volume, frame),
        _cheaper_strip(main.likely, frame),
        alt.Chart(_data(lines)).mark_line(**line).encode(x=frame.x, y=frame.y, color=colour),
        alt.Chart(_data(stairs)).mark_line(**stair).encode(x=frame.x, y=frame.y, color=colour),
        *_crossing_marks(main, frame),
    ]
    return alt.layer(*parts).properties(width=size.width_px, height=size.height_px)


def _frame(first: float, last: float, costs_usd: Sequence[float], size: _Size) -> _Frame:
    """Return axes for volumes and costs, logarithmic where the first volume is above 0."""
    low, high = 0.0, max(costs_usd) * 1.04
    kind, x_axis, y_axis = "linear", _volume_axis(size), _usd_axis(size)
    if first > 0:
        kind, low = "log", max(1.0, min(costs_usd) / 1.5)
        x_axis.values, y_axis.values = _log_ticks(first, last, size), _log_ticks(low, high, size)
    x = alt.X("x:Q", scale=alt.Scale(type=kind, domain=[first, last], nice=False), axis=x_axis)
    y = alt.Y("y:Q", scale=alt.Scale(type=kind, domain=[low, high], nice=False), axis=y_axis)
    return _Frame(size=size, first_mtok=first, last_mtok=last, x=x, y=y)


def _first_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return where a logarithmic axis starts: left of everything that is marked on it."""
    marks = [volume.low, crossing.low_mtok, crossing.likely.first_mtok]
    return min(mark for mark in marks if mark) / 2


def _stairs(pool: StairCost, first: float, last: float) -> list[Row]:
    """Return the right ends of the steps from ``first`` to ``last``; very many steps are thinned."""
    from_nodes, to_nodes = pool.nodes(max(first, 1e-9)), pool.nodes(last)
    stride = max(1, (to_nodes - from_nodes) // DRAWN_STEPS)
    ends = [nodes * pool.node_mtok_per_month for nodes in range(from_nodes, to_nodes, stride)]
    volumes = [first, *(end for end in ends if first < end < last), last]
    return [{"who": "pool", "x": mtok, "y": pool.usd_per_month(max(mtok, 1e-9))} for mtok in volumes]


def _today_marks(volume: Interval, frame: _Frame) -> list[alt.Chart]:
    """Draw today's volume: its interval as a band, its likely value as a dashed line."""
    text = f"today {tokens(volume.likely * 1e6)}"
    if not volume.is_exact:
        text += f" ({tokens(volume.low * 1e6)} – {tokens(volume.high * 1e6)})"
    low, likely, high = (frame.clipped(mtok) for mtok in (volume.low, volume.likely, volume.high))
    base = alt.Chart(_data([{"x": likely, "low": low, "high": high, "text": text}]))
    top, bottom, align = alt.value(0), alt.value(frame.size.height_px), frame.side(likely)
    return [
        base.mark_rect(color=BAND).encode(x=_at(frame.x, "low"), x2="high:Q", y=top, y2=bottom),
        base.mark_rule(color=INK, strokeDash=[3, 3]).encode(x=frame.x, y=top, y2=bottom),
        base.mark_text(align=align, color=INK, fontWeight="bold").encode(x=frame.x, y=alt.value(-9), text="text:N"),
    ]


def _cheaper_strip(found: BreakEven, frame: _Frame) -> alt.Chart:
    """Draw along the axis the volumes at which the pool is cheaper: islands, and from where for good."""
    ranges = [(item.from_mtok, item.to_mtok if item.to_mtok is not None else frame.last_mtok) for item in found.islands]
    if found.stable_mtok is not None:
        ranges.append((found.stable_mtok, frame.last_mtok))
    rows: list[Row] = [
        {"x": frame.clipped(start), "end": frame.clipped(end)}
        for start, end in ranges
        if start < frame.last_mtok and end > frame.first_mtok
    ]
    strip, bottom = alt.Chart(_data(rows)).mark_rect(color=POOL), frame.size.height_px
    return strip.encode(x=frame.x, x2="end:Q", y=alt.value(bottom - 7), y2=alt.value(bottom))


def _crossing_marks(crossing: CrossingResult, frame: _Frame) -> list[alt.Chart]:
    """Draw the first crossing with its interval; nothing where there is none."""
    mtok = crossing.likely.first_mtok
    if not mtok or mtok > frame.last_mtok:
        return []
    good, bad = crossing.low_mtok, crossing.high_mtok
    text = f"break-even {tokens(mtok * 1e6)}"
    if frame.size is _WIDE:
        ends = [tokens(end * 1e6) if end is not None else "never" for end in (good, bad)]
        text += f" ({ends[0]} – {ends[1]})"
    row: Row = {
        "x": mtok,
        "y": crossing.pool.usd_per_month(mtok),
        "low": frame.clipped(good if good is not None else mtok),
        "high": frame.clipped(bad) if bad is not None else frame.last_mtok,
        "text": text,
    }
    base = alt.Chart(_data([row]))
    # The alternative's line passes below the label left of a crossing, and above it on the right.
    right, left = {"align": "right", "dx": -6, "dy": -14}, {"align": "left", "dx": 8, "dy": 15}
    place = left if frame.side(mtok) == "left" else right
    tick = {"color": POOL, "thickness": 1.5, "size": 11, "orient": "vertical"}
    x, y, low, high = frame.x, frame.y, _at(frame.x, "low"), _at(frame.x, "high")
    parts = [
        base.mark_rule(color=POOL, strokeWidth=1.2, strokeDash=[2, 2]).encode(x=low, x2="high:Q", y=y),
        base.mark_tick(**tick).encode(x=low, y=y),
        base.mark_point(color=POOL, filled=True, size=95, opacity=1).encode(x=x, y=y),
        base.mark_text(color=POOL, fontWeight="bold", **place).encode(x=x, y=y, text="text:N"),
    ]
    if bad is not None and bad <= frame.last_mtok:
        parts.append(base.mark_tick(**tick).encode(x=high, y=y))
    return parts


def _stack_chart(options: Sequence[OptionResult], reach_usd: float, size: _Size) -> alt.LayerChart:
    """Rows are placed in pixels: one or more lines of title, then the bar."""
    wide = size is _WIDE
    titles: list[Row] = []
    totals: list[Row] = []
    bars: list[Row] = []
    spreads: list[Row] = []
    top = 14.0
    for item in options:
        total = f"{usd(item.usd_per_month.likely)} ({usd_range(item.usd_per_month)})"
        lines = [item.title] if wide else [*textwrap.wrap(item.title, 44), total]
        titles += [{"y": top + 15 * index, "text": text} for index, text in enumerate(lines)]
        if wide:
            totals.append({"y": top, "text": total})
        bar = top + 15 * len(lines) - 5
        bars += _segments(item, bar)
        spreads.append({"x": item.usd_per_month.low, "end": item.usd_per_month.high, "y": bar + 7})
        top = bar + 34
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, reach_usd], nice=False), axis=_stack_axis(size))
    y = alt.Y("y:Q", scale=None, axis=None)
    colour = alt.Color(
        "layer:N", scale=alt.Scale(domain=list(LAYER_COLOURS), range=list(LAYER_COLOURS.values())), legend=None
    )
    spread = alt.Chart(_data(spreads))
    parts = [
        alt.Chart(_data(bars)).mark_rect().encode(x=x, x2="end:Q", y=y, y2="bottom:Q", color=colour),
        spread.mark_rule(color=INK, strokeWidth=1.2).encode(x=x, x2="end:Q", y=y),
        spread.mark_tick(color=INK, thickness=1.2, size=9, orient="vertical").encode(x=x, y=y),
        spread.mark_tick(color=INK, thickness=1.2, size=9, orient="vertical").encode(x=_at(x, "end"), y=y),
        alt.Chart(_data(titles)).mark_text(align="left", color=INK).encode(x=alt.value(0), y=y, text="text:N"),
    ]
    if wide:
        end = alt.value(size.width_px)
        parts.append(alt.Chart(_data(totals)).mark_text(align="right", color=MUTED).encode(x=end, y=y, text="text:N"))
    return alt.layer(*parts).properties(width=size.width_px, height=top - 10)


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
    ).properties(width=size.width_px, height=22 * 7)


def _log_ticks(first: float, last: float, size: _Size) -> list[float]:
    """Return round ticks: 1, 2 and 5 of each decade where there is room for them, else 1."""
    decades = math.log10(last / first)
    steps = (1, 2, 5) if decades <= (3.2 if size is _WIDE else 1.6) else (1,)
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if first <= tick <= last]


def _volume_axis(size: _Size) -> alt.Axis:
    short = "replace(format(datum.value * 1e6, '~s'), 'G', 'B')"
    count = 8 if size is _WIDE else 4
    return alt.Axis(title="tokens a month", labelExpr=short, tickCount=count, grid=False, titlePadding=10)


def _usd_axis(size: _Size) -> alt.Axis:
    title = {"titleAngle": 0, "titleAlign": "left", "titleX": -52, "titleY": -26}
    return alt.Axis(title="USD a month", labelExpr=_usd_label(size), tickCount=5, domain=False, ticks=False, **title)


def _stack_axis(size: _Size) -> alt.Axis:
    count = 8 if size is _WIDE else 4
    return alt.Axis(title="USD a month", labelExpr=_usd_label(size), tickCount=count, domain=False, ticks=False)


def _usd_label(size: _Size) -> str:
    exact_below = "1e6" if size is _WIDE else "1e3"
    return f"format(datum.value, datum.value < {exact_below} ? ',.0f' : '~s')"


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
    major_minor = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    text = str(vl_convert.vegalite_to_svg(spec, vl_version=major_minor, allowed_base_urls=[]))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
