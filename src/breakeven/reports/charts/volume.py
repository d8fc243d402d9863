"""Cost against volume: a pool's staircase, the bills that it is compared with, and where they cross."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import altair as alt

from breakeven.reports.charts.drawing import TOKENS_LABEL, WIDE, Chart, Row, Size, at, data, over_the_axis, usd_label
from breakeven.reports.colours import BAND, INK, LINE_COLOURS, POOL
from breakeven.reports.parts import rival_of, who
from breakeven.reports.words import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.economics.breakeven import BreakEven, StairCost
    from breakeven.quantities import Interval
    from breakeven.studies.verdict.result import CrossingResult, OptionResult

LOG_FROM_RATIO: Final = 25.0
"""Axes are logarithmic when the chart reaches this many times today's volume, or the crossing."""

DRAWN_STEPS, CURVE_POINTS = 240, 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What a chart of cost against volume shows, the same at every size; logarithmic from a volume above 0."""

    first_mtok: float
    last_mtok: float
    low_usd: float
    high_usd: float

    @property
    def is_log(self) -> bool:
        """Whether both axes are logarithmic."""
        return self.first_mtok > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The axes of a chart at one size."""

    size: Size
    axes: Axes
    x: alt.X
    y: alt.Y

    def clipped(self, mtok: float) -> float:
        """Return the nearest volume inside the chart."""
        return min(max(mtok, self.axes.first_mtok), self.axes.last_mtok)

    def side(self, mtok: float) -> Literal["left", "center", "right"]:
        """Return how to align a label at this volume so that it stays inside the chart."""
        first, last = self.axes.first_mtok, self.axes.last_mtok
        share = mtok / last
        if first > 0:
            share = math.log(self.clipped(mtok) / first) / math.log(last / first)
        return "left" if share < 0.35 else ("right" if share > 0.65 else "center")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """The crossing that is marked, every alternative drawn, and today's volume."""

    main: CrossingResult
    drawn: tuple[CrossingResult, ...]
    volume_mtok: Interval


def cost_against_volume(
    pool: OptionResult, against: CrossingResult, others: Sequence[CrossingResult], volume: Interval, *, name: str
) -> Chart:
    """Draw a pool's staircase over volume with the crossing of one alternative marked.

    ``others`` are further alternatives, drawn as lines only.  Volumes in millions of tokens a month.
    """
    first = against.likely.first_mtok
    label = (
        f"Cost a month against tokens a month: {pool.title} and {rival_of(against)}; they cross first at "
        f"{tokens(first * 1e6) if first is not None else 'no volume'}; today {tokens(volume.likely * 1e6)} tokens."
    )
    drawn = (against, *others)
    content = _Content(main=against, drawn=drawn, volume_mtok=volume)
    key = ((pool.title, POOL), *((rival_of(item), LINE_COLOURS[who(item)]) for item in drawn))
    return Chart(
        name=name, title="Cost against volume", label=label, key=key, build=lambda size: _volume_chart(content, size)
    )


def reach_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return how far to the right a chart of this crossing has to reach."""
    found = crossing.likely
    marks = [volume.high, volume.likely * 1.5, found.first_mtok or 0.0, found.stable_mtok or 0.0]
    marks += [item.to_mtok for item in found.islands if item.to_mtok is not None]
    if crossing.high_mtok is not None and crossing.high_mtok <= 3 * max(marks):
        marks.append(crossing.high_mtok)
    return max(marks) * 1.12


def _pool_of(crossing: CrossingResult) -> StairCost:
    """Return the pool's bill: no hybrid is drawn over volume."""
    assert crossing.pool is not None
    return crossing.pool


def axes_of(drawn: Sequence[CrossingResult], volume: Interval) -> Axes:
    """Return the axes of the chart that marks the first crossing and draws them all."""
    main = drawn[0]
    last = reach_mtok(main, volume)
    logarithmic = last > LOG_FROM_RATIO * min(volume.likely, main.likely.first_mtok or last)
    first = _first_mtok(main, volume) if logarithmic else 0.0
    ends = [max(first, 1e-9), last]
    costs = [bill.usd_per_month(mtok) for item in drawn for bill in (item.api, _pool_of(main)) for mtok in ends]
    low = max(1.0, min(costs) / 1.5) if logarithmic else 0.0
    return Axes(first_mtok=first, last_mtok=last, low_usd=low, high_usd=max(costs) * 1.04)


def _volume_chart(content: _Content, size: Size) -> alt.LayerChart:
    frame = _frame(axes_of(content.drawn, content.volume_mtok), size)
    parts = [
        *_today_marks(content.volume_mtok, frame),
        _cheaper_strip(content.main.likely, frame),
        *(_line(item, frame) for item in content.drawn),
        _staircase(_pool_of(content.main), frame),
        *_crossing_marks(content.main, frame),
    ]
    return alt.layer(*parts).properties(width=size.width_px, height=size.height_px)


def _frame(axes: Axes, size: Size) -> _Frame:
    kind = "log" if axes.is_log else "linear"
    count = 8 if size.is_wide else 4
    x_ticks: dict[str, Any] = {"tickCount": count}
    y_ticks: dict[str, Any] = {"tickCount": 5}
    if axes.is_log:
        x_ticks = log_ticks(axes.first_mtok, axes.last_mtok, size)
        y_ticks = log_ticks(axes.low_usd, axes.high_usd, size)
    x_axis = alt.Axis(title="tokens a month", labelExpr=TOKENS_LABEL, grid=False, titlePadding=10, **x_ticks)
    title = over_the_axis("USD a month")
    y_axis = alt.Axis(labelExpr=usd_label(size), domain=False, ticks=False, **y_ticks, **title)
    across, up = [axes.first_mtok, axes.last_mtok], [axes.low_usd, axes.high_usd]
    x = alt.X("x:Q", scale=alt.Scale(type=kind, domain=across, nice=False), axis=x_axis)
    y = alt.Y("y:Q", scale=alt.Scale(type=kind, domain=up, nice=False), axis=y_axis)
    return _Frame(size=size, axes=axes, x=x, y=y)


def log_ticks(first: float, last: float, size: Size) -> dict[str, Any]:
    """Return an axis' round ticks: 1, 2 and 5 of each decade where there is room for them, else 1.

    With a wished number of ticks the renderer would leave every second of them out.
    """
    decades = math.log10(last / first)
    steps = (1, 2, 5) if decades <= (3.2 if size.is_wide else 1.6) else (1,)
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return {"values": [tick for tick in ticks if first <= tick <= last], "labelOverlap": "greedy"}


def _first_mtok(crossing: CrossingResult, volume: Interval) -> float:
    """Return where a logarithmic axis starts: left of everything that is marked on it."""
    marks = [volume.low, crossing.low_mtok, crossing.likely.first_mtok]
    return min(mark for mark in marks if mark) / 2


def _line(crossing: CrossingResult, frame: _Frame) -> alt.Chart:
    """Draw an alternative's bill; on logarithmic axes a straight bill is a curve."""
    first, last = frame.axes.first_mtok, frame.axes.last_mtok
    curved = [first * (last / max(first, 1e-9)) ** (step / CURVE_POINTS) for step in range(CURVE_POINTS + 1)]
    grid = curved if frame.axes.is_log else [first, last]
    rows: list[Row] = [{"x": mtok, "y": crossing.api.usd_per_month(mtok)} for mtok in grid]
    name = who(crossing)
    chart = alt.Chart(data(rows), name=f"bill_{name.replace('-', '_')}")
    return chart.mark_line(color=LINE_COLOURS[name], strokeWidth=2.2, clip=True).encode(x=frame.x, y=frame.y)


def _staircase(pool: StairCost, frame: _Frame) -> alt.Chart:
    chart = alt.Chart(data(_stairs(pool, frame.axes.first_mtok, frame.axes.last_mtok)), name="bill_pool")
    stair = {"color": POOL, "strokeWidth": 2.6, "interpolate": "step-before", "clip": True}
    return chart.mark_line(**stair).encode(x=frame.x, y=frame.y)


def _stairs(pool: StairCost, first: float, last: float) -> list[Row]:
    """Return the right ends of the steps from ``first`` to ``last``; very many steps are thinned."""
    from_nodes, to_nodes = pool.nodes(max(first, 1e-9)), pool.nodes(last)
    stride = max(1, (to_nodes - from_nodes) // DRAWN_STEPS)
    ends = [nodes * pool.node_mtok_per_month for nodes in range(from_nodes, to_nodes, stride)]
    volumes = [first, *(end for end in ends if first < end < last), last]
    return [{"x": mtok, "y": pool.usd_per_month(max(mtok, 1e-9))} for mtok in volumes]


def _today_marks(volume: Interval, frame: _Frame) -> list[alt.Chart]:
    """Draw today's volume: its interval as a band, its likely value as a dashed line."""
    text = f"today {tokens(volume.likely * 1e6)}"
    if not volume.is_exact:
        text += f" ({tokens(volume.low * 1e6)} – {tokens(volume.high * 1e6)})"
    low, likely, high = (frame.clipped(mtok) for mtok in (volume.low, volume.likely, volume.high))
    rows = data([{"x": likely, "low": low, "high": high, "text": text}])
    top, bottom, align = alt.value(0), alt.value(frame.size.height_px), frame.side(likely)
    band, rule, words = (alt.Chart(rows, name=f"today_{part}") for part in ("band", "rule", "text"))
    return [
        band.mark_rect(color=BAND).encode(x=at(frame.x, "low"), x2="high:Q", y=top, y2=bottom),
        rule.mark_rule(color=INK, strokeDash=[3, 3]).encode(x=frame.x, y=top, y2=bottom),
        words.mark_text(align=align, color=INK, fontWeight="bold").encode(x=frame.x, y=alt.value(-9), text="text:N"),
    ]


def _cheaper_strip(found: BreakEven, frame: _Frame) -> alt.Chart:
    """Draw along the axis the volumes at which the pool is cheaper: islands, and from where for good."""
    first, last = frame.axes.first_mtok, frame.axes.last_mtok
    ranges = [(item.from_mtok, item.to_mtok if item.to_mtok is not None else last) for item in found.islands]
    if found.stable_mtok is not None:
        ranges.append((found.stable_mtok, last))
    rows: list[Row] = [
        {"x": frame.clipped(start), "end": frame.clipped(end)} for start, end in ranges if start < last and end > first
    ]
    strip, bottom = alt.Chart(data(rows), name="crossing_strip").mark_rect(color=POOL), frame.size.height_px
    return strip.encode(x=frame.x, x2="end:Q", y=alt.value(bottom - 7), y2=alt.value(bottom))


def _crossing_marks(crossing: CrossingResult, frame: _Frame) -> list[alt.Chart]:
    """Draw the first crossing with its interval; nothing where there is none."""
    mtok = crossing.likely.first_mtok
    last = frame.axes.last_mtok
    if not mtok or mtok > last:
        return []
    good, bad = crossing.low_mtok, crossing.high_mtok
    text = f"break-even {tokens(mtok * 1e6)}"
    if frame.size is WIDE:
        ends = [tokens(end * 1e6) if end is not None else "never" for end in (good, bad)]
        text += f" ({ends[0]} – {ends[1]})"
    row: Row = {
        "x": mtok,
        "y": _pool_of(crossing).usd_per_month(mtok),
        "low": frame.clipped(good if good is not None else mtok),
        "high": frame.clipped(bad) if bad is not None else last,
        "text": text,
    }
    names = ("spread", "spread_low", "spread_high", "point", "text")
    rule, low_tick, high_tick, point, words = (alt.Chart(data([row]), name=f"crossing_{part}") for part in names)
    # The alternative's line passes below the label left of a crossing, and above it on the right.
    right, left = {"align": "right", "dx": -6, "dy": -14}, {"align": "left", "dx": 8, "dy": 15}
    place = left if frame.side(mtok) == "left" else right
    tick = {"color": POOL, "thickness": 1.5, "size": 11, "orient": "vertical"}
    x, y, low, high = frame.x, frame.y, at(frame.x, "low"), at(frame.x, "high")
    parts = [
        rule.mark_rule(color=POOL, strokeWidth=1.2, strokeDash=[2, 2]).encode(x=low, x2="high:Q", y=y),
        low_tick.mark_tick(**tick).encode(x=low, y=y),
        point.mark_point(color=POOL, filled=True, size=95, opacity=1).encode(x=x, y=y),
        words.mark_text(color=POOL, fontWeight="bold", **place).encode(x=x, y=y, text="text:N"),
    ]
    if bad is not None and bad <= last:
        parts.append(high_tick.mark_tick(**tick).encode(x=high, y=y))
    return parts
