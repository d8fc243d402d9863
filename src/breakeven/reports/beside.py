"""Two verdicts side by side: what more data changes, in one table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from breakeven.reports.words import percent, tokens, usd, usd_ends, usd_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.quantities import Interval
    from breakeven.studies.forecast import BillForecast
    from breakeven.studies.verdict.result import OptionResult, Verdict


def beside_view(results: Sequence[tuple[str, Verdict]]) -> Table:
    """Return a table with a column for each named verdict."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for name, _ in results:
        table.add_column(name, overflow="fold")
    rows = [_rows(result) for _, result in results]
    for key in rows[0]:
        table.add_row(key, *(row[key] for row in rows))
    return table


def _rows(result: Verdict) -> dict[str, str]:
    times = result.profile.times
    today = next(item for item in result.options if item.kind == "today")
    best = next((item for item in result.options if item.id == result.answer.recommended), None)
    pool = next((item for item in result.options if item.id == result.outlook.leading_pool), None)
    bills = {item.id: item for item in result.forecast.bills}
    return {
        "seen": f"{times.span_hours:,.1f} hours" if times and times.span_days < 1 else f"{_days(result):,.0f} days",
        "a month": _volume(result.volume_mtok_per_month),
        "peak over mean": f"{times.peak_to_mean_ratio:.2f} by {times.window_s:g} s" if times else "not seen",
        "today's bill, USD": f"{usd(today.usd_per_month.likely)} ({usd_range(today.usd_per_month)})",
        "recommended": _named(best),
        "best pool": _named(pool),
        "  breaks even from": _crossing(pool),
        "self-hosting wins in": f"{percent(result.outlook.self_hosting_wins_fraction)} of the draws",
        "next month's API bill": _ahead(bills.get(today.id)),
        "next month's pool bill": _ahead(bills.get(pool.id) if pool else None),
    }


def _days(result: Verdict) -> float:
    return result.profile.times.span_days if result.profile.times else 0.0


def _volume(mtok: Interval) -> str:
    low, likely, high = (tokens(value * 1e6) for value in (mtok.low, mtok.likely, mtok.high))
    return f"{likely} tokens ({low} – {high})"


def _named(option: OptionResult | None) -> str:
    return f"{option.title}, {usd(option.usd_per_month.likely)}" if option else "none"


def _crossing(pool: OptionResult | None) -> str:
    if pool is None:
        return ""
    first = pool.break_even[0]
    if first.likely.first_mtok is None:
        return f"never, in {percent(first.never_fraction)} of the draws"
    ends = (tokens(mtok * 1e6) if mtok is not None else "never" for mtok in (first.low_mtok, first.high_mtok))
    return f"{tokens(first.likely.first_mtok * 1e6)} tokens a month ({' – '.join(ends)})"


def _ahead(forecast: BillForecast | None) -> str:
    if forecast is None:
        return ""
    bill = forecast.bill
    return f"{usd_ends(bill.low_80_usd, bill.high_80_usd)} (80 %), {usd_ends(bill.low_95_usd, bill.high_95_usd)} (95 %)"
