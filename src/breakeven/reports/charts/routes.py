"""Cost against quality: one line for each routing policy, from all weak to all strong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt

from breakeven.reports.charts.drawing import Chart, Row, Size, data, over_the_axis
from breakeven.reports.colours import BETTER, INK, MUTED, OPEN, POOL, TODAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.routes.result import Evaluation, PolicyResult

_COLOURS: Final = {
    "random": MUTED,
    "length": OPEN,
    "task table": POOL,
    "prompt": BETTER,
    "task and prompt": TODAY,
    "oracle": INK,
}


def route_charts(found: Evaluation) -> tuple[Chart, ...]:
    """Return the one chart of an evaluation; none without policies."""
    if not found.policies:
        return ()
    title = "Quality against cost, by how requests are routed"
    ends = ", ".join(
        f"{item.policy} {item.apgr_fraction:.3f}" for item in found.policies if item.apgr_fraction is not None
    )
    return (
        Chart(
            name="quality-against-cost",
            title=title,
            label=f"{title}: {found.weak} to {found.strong}; APGR {ends or 'none'}.",
            key=tuple((item.policy, _COLOURS[item.policy]) for item in found.policies),
            build=lambda size: _lines(found.policies, size),
        ),
    )


def _lines(policies: Sequence[PolicyResult], size: Size) -> alt.Chart:
    rows: list[Row] = [
        {"x": point.cost_fraction, "y": point.quality_fraction, "colour": _COLOURS[item.policy], "order": place}
        for item in policies
        for place, point in enumerate(item.points)
    ]
    x = alt.X("x:Q", axis=alt.Axis(title="cost, of all calls strong", format=".0%", grid=False))
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(domain=False, ticks=False, tickCount=5, format=".2f", **over_the_axis("mean score")),
    )
    colour = alt.Color("colour:N", scale=None, legend=None)
    return (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y, color=colour, order="order:Q")
        .properties(width=size.width_px, height=size.height_px)
    )
