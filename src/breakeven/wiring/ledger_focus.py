"""Writes the ledger's charges as FOCUS 1.2: joins what was paid, what was saved, and providers' names for people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from itertools import islice
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.charges import Span, ask_charges
from breakeven.ledger.costs import Known
from breakeven.reports.focus import COLUMNS, SavedCredit, focus_rows, kind_of, write_csv
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.ledger_export import BATCH_ROWS, COST_DIGITS
from breakeven.wiring.pools import closed_hours, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.ledger.charges import Charges, Grain
    from breakeven.reports.focus import Row
    from breakeven.wiring.ledger import LedgerPlace

FORMATS: Final = (".csv", ".parquet")
_WIDE: Final = Context(prec=38)


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusQuestion:
    """What to write: aware moments on the hour, [since, until), and how the time is cut."""

    since: datetime | None = None
    until: datetime | None = None
    grain: Grain = "day"
    against: str = ""
    """``today``, ``optimised`` or ``provider:model``: what savings are reckoned against; empty: no savings."""

    account: str = "breakeven"


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusWritten:
    """How much was written, and what has to be told beside it."""

    row_count: int
    notes: tuple[str, ...]


def export_focus(
    place: LedgerPlace, config: Path | None, question: FocusQuestion, to: Path, now_s: float | None = None
) -> FocusWritten:
    """Write what was paid, in hours that are over, to a file that is not there yet.

    Raises ``InputError`` for another ending, a file that is there, a place that cannot be written and a wrong question,
    ``UnknownNameError`` for a price list that nobody knows, ``MissingExtraError`` for Parquet without the packages.
    """
    if to.suffix not in FORMATS:
        raise InputError(f"{to} does not say in which form to write: FOCUS is written as {' or '.join(FORMATS)}.")
    if to.exists():
        raise InputError(f"{to} is there already. Name another file, or remove it.")
    now_s = current_s() if now_s is None else now_s
    known = Known(closed_hours=closed_hours(now_s), declared=declared_pools(config))
    found = ask_charges(place.store, Span(question.since, question.until, question.grain), known)
    credits_, notes = _credits(place, config, question, now_s) if question.against else ((), ())
    rows = focus_rows(found.charges, credits_, question.account, _titles())
    part = to.with_name(f"{to.name}.part")
    try:
        count = _write_parquet(rows, part) if to.suffix == ".parquet" else _write_csv(rows, part)
        os.replace(part, to)  # noqa: PTH105 - one call beside the others on paths
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror or error}. Choose another place.") from error
    finally:
        part.unlink(missing_ok=True)
    return FocusWritten(row_count=count, notes=(*_notes(found, count), *notes, *_waiting(place)))


def _credits(
    place: LedgerPlace, config: Path | None, question: FocusQuestion, now_s: float
) -> tuple[tuple[SavedCredit, ...], tuple[str, ...]]:
    """Return a saving a day, and the days of which none can be told."""
    from breakeven.wiring.proof_savings import SavingsQuestion, savings

    asked = SavingsQuestion(since=question.since, until=question.until, against=(question.against,))
    found = savings(place, config, asked, now_s)
    (counterfactual,) = found.counterfactuals
    told = []
    missing = 0
    for day in found.days(counterfactual):
        begins = datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC)
        if day.saved_usd is None:
            missing += 1
            continue
        told.append(
            SavedCredit(
                begins=max(begins, found.begins) if day.day == found.begins.date() else begins,
                ends=min(begins + timedelta(days=1), found.ends),
                counterfactual=question.against,
                saved_usd=day.saved_usd,
            )
        )
    if not missing:
        return tuple(told), ()
    note = f"No saving is written for {missing:,} days: some of their requests have no price at {question.against}."
    return tuple(told), (note,)


def _titles() -> dict[str, str]:
    """Return what providers are called, by the ids that names of prices begin with."""
    from breakeven.settings.providers import load_providers

    known = load_providers().values()
    return {item.prices: item.title for item in known if item.prices} | {item.id: item.title for item in known}


def _notes(found: Charges, row_count: int) -> Iterator[str]:
    if not row_count:
        yield "Nothing was charged in hours that are over, so there is no row."
    if found.unpriced_count:
        yield (
            f"partial: {found.unpriced_count:,} attempts have no known price, or came to a pool in hours that nobody "
            "says were paid; they are in no row."
        )
    if found.unpriced_s:
        yield f"partial: {found.unpriced_s / 3600:,.2f} node-hours have no price; they are in no row."


def _waiting(place: LedgerPlace) -> Iterator[str]:
    note = waiting_note(place)
    if note:
        yield note


def _write_csv(rows: Iterator[Row], path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return write_csv(rows, file)


def _write_parquet(rows: Iterator[Row], path: Path) -> int:
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"text": pa.string(), "number": pa.decimal128(38, COST_DIGITS), "time": pa.timestamp("us", "UTC")}
    schema = pa.schema([(name, kinds[kind_of(name)]) for name in COLUMNS])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            columns = [_fitting([row[name] for row in batch]) for name in COLUMNS]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    return count


def _fitting(cells: list[object]) -> list[object]:
    """Return cells with numbers of as many decimal places as Parquet's have; none of money is cut by that."""
    smallest = Decimal(1).scaleb(-COST_DIGITS)
    return [cell.quantize(smallest, context=_WIDE) if isinstance(cell, Decimal) else cell for cell in cells]
