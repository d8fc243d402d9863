"""A verdict as tables for a notebook: one pandas frame for each kind of row, units in the columns' names."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from breakeven.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.quantities import Interval
    from breakeven.studies.verdict.result import Verdict

Row = dict[str, Any]


def frame(result: Verdict, table: str = "options") -> pd.DataFrame:
    """Return one table of a verdict; raises ``UnknownNameError`` for a name that is not in ``TABLES``."""
    if table not in TABLES:
        raise UnknownNameError(f"There is no table {table!r}. Tables: {', '.join(TABLES)}.")
    return pd.DataFrame(list(TABLES[table](result)))


def _options(result: Verdict) -> Iterator[Row]:
    wins = dict(result.outlook.win_fractions)
    for rank, item in enumerate(result.options, start=1):
        yield {
            "option": item.id,
            "title": item.title,
            "rank": rank,
            "kind": item.kind,
            "model": item.model,
            "standing": item.quality.standing,
            "excluded": bool(item.excluded_by),
            **_spread("usd_per_month", item.usd_per_month),
            **_spread("usd_per_mtok", item.usd_per_mtok),
            **_spread("usd_per_request", item.usd_per_request),
            **_parts(item.bases),
            "serving_nodes": item.nodes.serving_nodes if item.nodes else None,
            "standby_nodes": item.nodes.standby_nodes if item.nodes else None,
            "utilisation_fraction": item.nodes.utilisation_fraction.likely if item.nodes else None,
            "overflow_target": item.overflow.target if item.overflow else None,
            "overflow_fraction": item.overflow.overflow_fraction.likely if item.overflow else None,
            "held_fraction": item.overflow.held_fraction if item.overflow else None,
            "win_fraction": wins.get(item.id, 0.0),
        }


def _hours(result: Verdict) -> Iterator[Row]:
    for option in result.options:
        for hour, item in enumerate(option.overflow.week if option.overflow else ()):
            yield {"option": option.id, "hour_of_week": hour, **_parts(item)}


def _lines(result: Verdict) -> Iterator[Row]:
    for option in result.options:
        for item in option.lines:
            yield {
                "option": option.id,
                "line": item.key,
                "layer": item.layer,
                "drain": item.drain,
                "sunk": item.sunk,
                **_spread("usd_per_month", item.usd_per_month),
                "formula": item.formula,
            }


def _crossings(result: Verdict) -> Iterator[Row]:
    for option in result.options:
        for item in option.break_even:
            yield {
                "option": option.id,
                "against": item.against,
                "first_mtok": item.likely.first_mtok,
                "stable_mtok": item.likely.stable_mtok,
                "low_first_mtok": item.low_mtok,
                "high_first_mtok": item.high_mtok,
                "never_fraction": item.never_fraction,
                "utilisation_fraction": item.utilisation_fraction,
            }


def _swings(result: Verdict) -> Iterator[Row]:
    for option in result.options:
        for item in option.swings:
            yield {
                "option": option.id,
                "assumption": item.key,
                "at_low_usd_per_month": item.low_usd_per_month,
                "likely_usd_per_month": item.likely_usd_per_month,
                "at_high_usd_per_month": item.high_usd_per_month,
            }


def _projections(result: Verdict) -> Iterator[Row]:
    for item in result.outlook.projections:
        for month, usd in enumerate(item.usd_per_month, start=1):
            yield {"option": item.option, "month": month, **_spread("usd_per_month", usd)}


def _months(result: Verdict) -> Iterator[Row]:
    for item in result.outlook.months:
        low, middle, high = item.first_mtok
        yield {
            "month": item.month_count,
            **_spread("volume_mtok", item.volume_mtok),
            "self_hosting_wins_fraction": item.self_hosting_wins_fraction,
            "first_mtok": middle,
            "low_first_mtok": low,
            "high_first_mtok": high,
        }


def _bills(result: Verdict) -> Iterator[Row]:
    for item in result.forecast.bills:
        yield {"option": item.id, **_parts(item.bill), "same_fraction": item.same_fraction}


def _assumptions(result: Verdict) -> Iterator[Row]:
    for item in result.assumptions:
        yield _parts(item)


def _parts(item: Any) -> Row:
    """Return the fields of a flat result."""
    return {field.name: getattr(item, field.name) for field in fields(item)}


def _spread(name: str, interval: Interval | None) -> Row:
    """Return an interval as three columns."""
    names = (name, f"low_{name}", f"high_{name}")
    if interval is None:
        return dict.fromkeys(names)
    return dict(zip(names, (interval.likely, interval.low, interval.high), strict=True))


TABLES: Final[dict[str, Callable[[Verdict], Iterator[Row]]]] = {
    "options": _options,
    "hours": _hours,
    "lines": _lines,
    "break-even": _crossings,
    "swings": _swings,
    "projections": _projections,
    "months": _months,
    "bills": _bills,
    "assumptions": _assumptions,
}
