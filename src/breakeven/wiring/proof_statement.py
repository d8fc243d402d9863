"""Joins invoices with the ledger and the pools that settings declare to a month's statement."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.invoiced import charged
from breakeven.ledger.query import Question
from breakeven.sources.invoices import read_invoice
from breakeven.studies.proof.statement import months_statement
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.pools import closed_hours, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from breakeven.ledger.costs import Costs
    from breakeven.studies.proof.statement import Statement
    from breakeven.wiring.ledger import LedgerPlace

_HOUR_S = 3600


def statement(
    place: LedgerPlace, config: Path | None, month: date, files: Sequence[Path], now_s: float | None = None
) -> Statement:
    """Return a month's statement, of days that are over: ``month`` is its first day.

    Pools are as settings declare them, else as the ledger last knew them.  Raises ``InputError`` for a file, settings
    or a ledger that cannot be used, and for a month of which no day is over.
    """
    now_s = current_s() if now_s is None else now_s
    invoices = [read_invoice(path) for path in files]
    for number, found in enumerate(invoices):
        if any(found.lines == other.lines for other in invoices[:number]):
            twice = f"{files[number]} has the lines of another invoice that was given"
            raise InputError(f"{twice}, and would count twice. Give each once.")
    over = (datetime.fromtimestamp(closed_hours(now_s) * _HOUR_S, UTC)).date()
    following = (month + timedelta(days=31)).replace(day=1)
    ends = min(following, over)
    if ends <= month:
        raise InputError(f"{month:%Y-%m}: no day of that month is over yet, so there is nothing to state.")
    declared = declared_pools(config)
    since, until = _midnight(month), _midnight(ends)
    known = Known(closed_hours=closed_hours(now_s), declared=declared)
    costs = ask_costs(place.store, Question(by=("day",), since=since, until=until), known)
    hours = (int(since.timestamp()) // _HOUR_S, int(until.timestamp()) // _HOUR_S)
    charges = charged(place.store, hours, [terms.name for terms in declared])
    notes = (*_notes(costs, place), *_unfinished(month, ends, following))
    return months_statement(month, ends, invoices, charges=charges, pools=costs.pools, notes=notes)


def month_of(text: str) -> date:
    """Return the first day of ``2026-11``.  Raises ``InputError``."""
    try:
        found = date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise InputError(f"{text[:40]!r} is no month: write it as 2026-11.") from error
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _unfinished(month: date, ends: date, following: date) -> Iterator[str]:
    if ends < following:
        yield f"{month:%Y-%m} is not over: days before {ends} are in, and invoices' later days are left out."


def _notes(costs: Costs, place: LedgerPlace) -> Iterator[str]:
    for pool in {item.pool: None for item in costs.pools if item.unpriced_s}:
        hours = sum(item.unpriced_s for item in costs.pools if item.pool == pool) / _HOUR_S
        yield f"partial: {hours:,.2f} node-hours of {pool} have no price; its bill leaves them out."
    note = waiting_note(place)
    if note:
        yield note
