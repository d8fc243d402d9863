"""The verdict for a notebook: the result itself, with frames, charts and a picture of itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from markupsafe import Markup

from breakeven.errors import UnknownNameError
from breakeven.reports.as_json import to_json
from breakeven.reports.charts.gallery import gallery
from breakeven.reports.frames import frame
from breakeven.reports.html import templates, verdict_page
from breakeven.reports.markdown import verdict_markdown
from breakeven.reports.parts import GROUPS, members, recommended
from breakeven.studies.verdict.result import Verdict

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from breakeven.reports.charts.drawing import Chart

SHOWN_PER_GROUP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView(Verdict):
    """A verdict that can show itself; every field is the verdict's own."""

    @classmethod
    def of(cls, result: Verdict) -> VerdictView:
        """Return the verdict with its views."""
        return cls(**{item.name: getattr(result, item.name) for item in fields(Verdict)})

    def to_frame(self, table: str = "options") -> pd.DataFrame:
        """Return a table as a pandas frame.

        Tables: options, hours (of hybrids), lines, break-even, swings, projections, months, bills, assumptions.
        """
        return frame(self, table)

    def chart_names(self) -> tuple[str, ...]:
        """Return the names of the charts that there is data for."""
        return tuple(item.name for item in gallery(self))

    def chart(self, name: str = "cost-against-volume") -> alt.TopLevelMixin:
        """Return a chart as an Altair object, with its title and key."""
        return self._chart(name).alone()

    def to_html(self) -> str:
        """Return the page that ``breakeven plan --html`` writes."""
        return verdict_page(self)

    def to_markdown(self) -> str:
        """Return a text fit for a comment on a pull request."""
        return verdict_markdown(self)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return to_json(self)

    def _chart(self, name: str) -> Chart:
        charts = {item.name: item for item in gallery(self)}
        if name not in charts:
            raise UnknownNameError(f"There is no chart {name!r} in this verdict. Charts: {', '.join(charts)}.")
        return charts[name]

    def _repr_html_(self) -> str:
        charts = gallery(self)
        return (
            templates()
            .get_template("notebook.html.jinja")
            .render(
                result=self,
                recommended=recommended(self),
                groups=[(title, members(self, standing)[:SHOWN_PER_GROUP]) for standing, title in GROUPS.items()],
                drawing=Markup(charts[0].svg()) if charts else "",  # noqa: S704 - escaped by the renderer
            )
        )
