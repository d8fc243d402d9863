"""What is ahead, as a document and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breakeven.reports.document import Document, Table
from breakeven.reports.words import percent, tokens, usd, usd_ends
from breakeven.studies.proof.outlook import HORIZON_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from breakeven.quantities import Interval
    from breakeven.studies.proof.outlook import Crossing, MonthBill, Outlook, PoolOutlook

_TOKENS_PER_MTOK = 1e6


def outlook_document(found: Outlook) -> Document:
    """Return what is ahead in sentences and tables."""
    tables = [table for table in (_bills(found), _pools(found)) if table.rows]
    notes = (*(f"{pool.name}: {pool.note}" for pool in found.pools if pool.note), *found.notes)
    return Document(
        title=f"Outlook from {found.today}", lead=tuple(_sentences(found)), tables=tuple(tables), notes=notes
    )


def outlook_json(found: Outlook) -> dict[str, Any]:
    """Return everything as plain data, under the keys that docs/howto/prove-the-savings.md documents."""
    return {
        "today": found.today.isoformat(),
        "month_ends": found.month_ends.isoformat(),
        "days_left": found.left_days,
        "days_known": found.known_days,
        "budget_usd": found.budget_usd,
        "bills": [_bill_json(item) for item in found.bills],
        "pools": [_pool_json(item) for item in found.pools],
        "notes": list(found.notes),
    }


def pool_sentence(pool: PoolOutlook) -> str:
    """Say in a sentence where a pool stands."""
    what = f"{pool.name}{' (virtual)' if pool.is_virtual else ''}"
    needed, seen = pool.needed_mtok_per_month, _volume(pool.seen_mtok_per_month)
    if needed is None:
        return f"{what}: no volume is known at which it pays. {pool.note}".strip()
    trend = _trend(pool.trend_per_month)
    moving = f", {trend} a month" if trend else ""
    text = f"{what} pays from {_range(needed)} tokens a month; {seen} are seen{moving}. "
    if pool.is_reached:
        word = "Break-even is passed" if pool.reached_fraction >= 0.9 else "It is about at break-even"
        return f"{text}{word} ({percent(pool.reached_fraction)} sure)."
    return text + _expected(pool.crossing)


def _sentences(found: Outlook) -> Iterator[str]:
    for item in found.bills:
        bill = item.bill
        text = (
            f"{found.today:%B}, {item.title}: {usd(bill.likely_usd)} USD expected at the month's end, "
            f"{usd_ends(bill.low_80_usd, bill.high_80_usd)} with 80 %, {usd_ends(bill.low_95_usd, bill.high_95_usd)} "
            "with 95 %"
        )
        if item.over_budget_fraction is not None and found.budget_usd is not None:
            text += f"; over {usd(found.budget_usd)} USD with a chance of {percent(item.over_budget_fraction)}"
        yield f"{text}."
    yield from (pool_sentence(pool) for pool in found.pools)


def _bills(found: Outlook) -> Table:
    rows = tuple(
        (
            item.title,
            usd(item.so_far_usd),
            usd(item.scheduled_usd),
            usd(item.bill.likely_usd),
            usd_ends(item.bill.low_80_usd, item.bill.high_80_usd),
            usd_ends(item.bill.low_95_usd, item.bill.high_95_usd),
            f"±{percent(item.bill.spread_80_ratio)}",
            "" if item.over_budget_fraction is None else percent(item.over_budget_fraction),
        )
        for item in found.bills
    )
    heads = ("", "so far USD", "scheduled USD", "likely USD", "80 %", "95 %", "spread", "over budget")
    title = f"{found.today:%B %Y} at its end, {found.left_days} days ahead, from {found.known_days} whole days"
    return Table(title=title, heads=heads, rows=rows)


def _pools(found: Outlook) -> Table:
    rows = tuple(
        (
            f"{pool.name}{' (virtual)' if pool.is_virtual else ''}",
            f"{pool.nodes_count}",
            usd(pool.pool_usd_per_month),
            "unknown" if pool.api_usd_per_mtok is None else usd(pool.api_usd_per_mtok),
            "none" if pool.needed_mtok_per_month is None else _range(pool.needed_mtok_per_month),
            _volume(pool.seen_mtok_per_month),
            "unknown" if pool.capacity_mtok_per_month is None else _volume(pool.capacity_mtok_per_month),
            _trend(pool.trend_per_month),
            "unknown" if pool.saved_usd_per_month is None else usd(pool.saved_usd_per_month),
        )
        for pool in found.pools
    )
    heads = (
        "pool", "nodes", "USD/month", "API USD/Mtok", "tokens needed/month", "seen", "capacity", "trend/month",
        "saved USD/month",
    )  # fmt: skip
    return Table(title="Break-even, fully loaded, against today's API", heads=heads, rows=rows)


def _expected(crossing: Crossing | None) -> str:
    if crossing is None:
        return "When that will be reached is not known."
    if crossing.likely is None:
        return (
            f"It is reached within {HORIZON_DAYS} days with a chance of {percent(crossing.within_fraction)}: not "
            "expected."
        )
    return (
        f"Expected on {crossing.likely} (80 %: {_day(crossing.low)} to {_day(crossing.high)}; within {HORIZON_DAYS} "
        f"days with {percent(crossing.within_fraction)})."
    )


def _day(day: date | None) -> str:
    return "later" if day is None else f"{day}"


def _trend(per_month: float | None) -> str:
    """Return a month's growth, as a multiple where the volume has just begun."""
    if per_month is None:
        return ""
    return f"×{1 + per_month:,.0f}" if per_month >= 1 else f"{per_month:+.0%}"


def _range(needed: Interval) -> str:
    low, high = _volume(needed.low), _volume(needed.high)
    return _volume(needed.likely) if low == high else f"{_volume(needed.likely)} ({low} – {high})"


def _volume(mtok: float) -> str:
    return tokens(mtok * _TOKENS_PER_MTOK)


def _bill_json(item: MonthBill) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "so_far_usd": item.so_far_usd,
        "scheduled_usd": item.scheduled_usd,
        "likely_usd": item.bill.likely_usd,
        "low_80_usd": item.bill.low_80_usd,
        "high_80_usd": item.bill.high_80_usd,
        "low_95_usd": item.bill.low_95_usd,
        "high_95_usd": item.bill.high_95_usd,
        "over_budget_chance": item.over_budget_fraction,
    }


def _pool_json(pool: PoolOutlook) -> dict[str, Any]:
    needed, crossing = pool.needed_mtok_per_month, pool.crossing
    return {
        "pool": pool.name,
        "virtual": pool.is_virtual,
        "nodes": pool.nodes_count,
        "days": pool.days_count,
        "usd_per_month": pool.pool_usd_per_month,
        "api_usd_per_mtok": pool.api_usd_per_mtok,
        "needed_mtok_per_month": None
        if needed is None
        else {"low": needed.low, "likely": needed.likely, "high": needed.high},
        "seen_mtok_per_month": pool.seen_mtok_per_month,
        "watched_mtok_per_month": pool.watched_mtok_per_month,
        "capacity_mtok_per_month": pool.capacity_mtok_per_month,
        "trend_per_month": pool.trend_per_month,
        "reached": pool.is_reached,
        "reached_chance": pool.reached_fraction,
        "expected": None
        if crossing is None
        else {
            "low": _iso(crossing.low),
            "likely": _iso(crossing.likely),
            "high": _iso(crossing.high),
            "chance": crossing.within_fraction,
            "horizon_days": HORIZON_DAYS,
        },
        "saved_usd_per_month": pool.saved_usd_per_month,
        "sentence": pool_sentence(pool),
        "note": pool.note,
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
