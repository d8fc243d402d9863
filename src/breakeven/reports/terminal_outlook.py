"""Sections of the terminal report beyond the bills of now: certainty, months to come, next bill, rules of thumb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from breakeven.reports.rules import rules_view
from breakeven.reports.words import months_range, percent, usd, usd_ends, usd_range

if TYPE_CHECKING:
    from rich.console import RenderableType

    from breakeven.studies.verdict.result import Projection, Verdict

SHOWN_WINNERS, SHOWN_DRIVERS = 3, 4
YEAR_ENDS: Final = (12, 24, 36)
Section = tuple[str, list["RenderableType"]]
"""A heading and what stands under it."""


def outlook_sections(result: Verdict, *, full: bool) -> list[Section]:
    """Return the sections that there is something to say in."""
    found = (
        ("Certainty", _certainty(result)),
        ("The months to come, against today's option", _ahead(result)),
        ("Next month's bill", _next_bills(result)),
        ("Rules of thumb", _rules(result, full=full)),
    )
    return [(heading, parts) for heading, parts in found if parts]


def _certainty(result: Verdict) -> list[RenderableType]:
    """Return in how many draws self-hosting wins, which option does, and what decides it."""
    outlook = result.outlook
    if not outlook.win_fractions:
        return []
    titles = {item.id: item.title for item in result.options}
    wins = [f"{titles[name]} {percent(share)}" for name, share in outlook.win_fractions[:SHOWN_WINNERS]]
    text = (
        f"Self-hosting wins in {percent(outlook.self_hosting_wins_fraction)} of {outlook.draw_count:,} draws, "
        f"in {percent(outlook.if_good_enough_fraction)} if every model were good enough."
    )
    lines = [text, f"Cheapest: {'; '.join(wins)}."]
    if outlook.drivers:
        decisive = [f"{item.key} ({item.correlation:+.2f})" for item in outlook.drivers[:SHOWN_DRIVERS]]
        lines.append(f"Decisive (rank correlation with self-hosting's saving): {', '.join(decisive)}.")
    return [*map(Text, lines)]


def _ahead(result: Verdict) -> list[RenderableType]:
    """Return what every followed option saves by the end, when it pays back, and how the chances move."""
    outlook = result.outlook
    months = {item.month_count: item for item in outlook.months}
    parts: list[RenderableType] = []
    saving = [item for item in outlook.projections if item.saved_npv_usd is not None]
    if saving:
        table = _table(f"saved by month {len(saving[0].usd_per_month)}, present value", "pays back after")
        for item in saving:
            table.add_row(item.title, *_saved(item))
        parts.append(table)
    years = [month for month in (1, *YEAR_ENDS) if month in months]
    if len(years) > 1 and outlook.win_fractions:
        chances = [f"month {month} {percent(months[month].self_hosting_wins_fraction)}" for month in years]
        parts.append(Text(f"Self-hosting wins: {', '.join(chances)}."))
    return parts


def _saved(item: Projection) -> tuple[str, str]:
    assert item.saved_npv_usd is not None
    assert item.payback_fraction is not None
    worth = f"{usd(item.saved_npv_usd.likely)} ({usd_range(item.saved_npv_usd)})"
    share = "" if item.payback_fraction == 1 else f", in {percent(item.payback_fraction)}"
    return worth, f"{months_range(item.payback_months) if item.payback_months else 'not in time'}{share}"


def _next_bills(result: Verdict) -> list[RenderableType]:
    """Return the intervals that hold next month's bills."""
    if not result.forecast.bills:
        return []
    table = _table("median", "80 %", "95 %")
    for item in result.forecast.bills:
        bill = item.bill
        table.add_row(
            item.title,
            usd(bill.likely_usd),
            usd_ends(bill.low_80_usd, bill.high_80_usd),
            usd_ends(bill.low_95_usd, bill.high_95_usd),
        )
    return [table, Text(result.forecast.note, style="dim")]


def _rules(result: Verdict, *, full: bool) -> list[RenderableType]:
    """Return what rules of thumb say: all of it, or the sum and where they part from the figures."""
    if result.rules is None:
        return []
    if full:
        return [rules_view(result.rules, full=True)]
    parting = [f"• {group.beside.sentence}" for group in result.rules.disagreements]
    more = Text("--all shows every rule, answered.", style="dim")
    return [Text(result.rules.summary), *map(Text, parting), more]


def _table(*figures: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("option", overflow="fold", ratio=1)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table
