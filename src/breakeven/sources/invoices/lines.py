"""What an invoice says, whoever wrote it: amounts by day, model and what is charged."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal

from breakeven.errors import InputError

if TYPE_CHECKING:
    from datetime import date

InvoiceKind = Literal["input", "cached input", "cache write", "output", "requests", "other", ""]
"""``other``: no tokens (searches, storage, tools); empty: the export does not say."""

_LARGEST_USD: Final = Decimal("1e12")
_CENT_DIGITS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One amount; several of one day, model and kind add up."""

    seller: str
    """Provider as in the name of its prices, or the pool."""

    day: date
    """UTC, as providers cut their days."""

    model: str
    """As the seller names it; empty where the export does not say, or nothing of a model was charged."""

    kind: InvoiceKind
    said: str
    """The line as the export words it."""

    amount_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One file."""

    name: str
    form: str
    """Who exports such files, in words."""

    lines: tuple[InvoiceLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def rounds_to_cents(self) -> bool:
        """Whether no amount has more than two decimal places, so that each may be half a cent off."""
        exponents = [item.amount_usd.as_tuple().exponent for item in self.lines]
        return bool(self.lines) and all(isinstance(n, int) and -n <= _CENT_DIGITS for n in exponents)


def amount_of(text: object, where: str) -> Decimal:
    """Return an amount as it is written, to the last digit.  Raises ``InputError`` for what is none."""
    try:
        found = Decimal(str(text).strip().replace(",", ""))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or abs(found) > _LARGEST_USD:
        raise InputError(f"{where}: {str(text)[:40]!r} is no amount of money. Export the file again.")
    return found


def need_usd(currency: object, where: str) -> None:
    """Raise ``InputError`` for another currency than dollars."""
    if str(currency).strip().lower() not in ("usd", "none", ""):
        raise InputError(
            f"{where}: amounts are in {str(currency)[:10]}, and the ledger counts in US dollars. Export in USD, or "
            "convert the file at the rate at which it was paid."
        )
