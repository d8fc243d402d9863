"""Any other bill, a rental of GPUs above all, as a CSV of four columns: ``day,seller,item,amount_usd``.

``seller`` is the pool's name, or the provider as in the name of its prices.  A bill of a whole month has one row, at
its first day.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.sources.invoices.lines import Invoice, InvoiceLine, amount_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORM: Final = "a bill of day, seller, item and amount_usd"
CSV_COLUMNS: Final = ("day", "seller", "item", "amount_usd")


def bill_csv(name: str, rows: Iterable[Mapping[str, str]]) -> Invoice:
    """Read the rows.  Raises ``InputError`` for a day or an amount that is none."""
    lines = []
    for number, row in enumerate(rows, start=2):
        where = f"{name}:{number}"
        try:
            day = date.fromisoformat(row["day"].strip())
        except ValueError as error:
            raise InputError(f"{where}: {row['day'][:25]!r} is no day. Write it as 2026-11-01.") from error
        lines.append(
            InvoiceLine(
                seller=row["seller"].strip(),
                day=day,
                model="",
                kind="",
                said=row["item"].strip(),
                amount_usd=amount_of(row["amount_usd"], where),
            )
        )
    return Invoice(name=name, form=FORM, lines=tuple(lines))
