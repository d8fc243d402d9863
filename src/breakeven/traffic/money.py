"""What was paid for a traffic, from the provider's cost reports given beside it.

It sums money only where the reports cover the whole time of the traffic: a part of what was paid, set against all
of what is computed, would mislead.
"""

# ruff: noqa: S608 - names in the queries are made here

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.sql import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.traffic.readers.costs import CostReport
    from breakeven.traffic.staging import Rows

_LENGTHS: Final = {"trace": "INTERVAL 0 SECOND", "windows": "to_seconds(window_s)", "bill": "INTERVAL 1 MONTH"}
"""How long a row of each kind lasts."""


def paid(backend: Any, files: Sequence[Rows], reports: Sequence[CostReport]) -> tuple[Decimal | None, tuple[str, ...]]:
    """Return what the reports say was paid in the traffic's time, in US dollars, and what to say about it.

    None without reports, and where they leave out a part of that time.
    """
    if not reports:
        return None, ()
    start, end = _span(backend, files)
    first, last = min(report.start for report in reports), max(report.end for report in reports)
    notes = tuple(report.told() for report in reports)
    if first > start or last < end:
        partly = (
            f"the cost reports cover {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} and the traffic "
            f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: what was paid for all of it is not known and not compared"
        )
        return None, (*notes, partly)
    total = sum((report.paid_usd(start, end) for report in reports), Decimal(0))
    return total, (*notes, f"{total:,.2f} USD of it fall into the days of the traffic, whatever they were charged for")


def _span(backend: Any, files: Sequence[Rows]) -> tuple[datetime, datetime]:
    union = " UNION ALL ".join(
        f"SELECT time, time + {_LENGTHS[rows.layout.kind]} AS until FROM {rows.view} WHERE fault IS NULL"
        for rows in files
    )
    start, end = ask(backend, f"SELECT epoch(min(time)), epoch(max(until)) FROM ({union})")[0]
    return _time(start), _time(end)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
