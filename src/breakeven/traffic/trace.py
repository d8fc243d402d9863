"""A trace: the rows that could be read, and everything that has to be said about the others.

It is what readers and the ledger hand to the profile.  It does not hold the rows: ``table`` is an
Ibis expression, run where the rows are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decimal import Decimal

    from ibis.expr.types import Table

    from breakeven.errors import Problem

Kind = Literal["trace", "windows", "bill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Traffic as it was logged.

    ``table`` follows ``REQUEST_SCHEMA`` for a trace, ``WINDOW_SCHEMA`` for windows and ``BILL_SCHEMA`` for a
    bill.  ``block_tokens`` is the size of ``prefix_blocks``, where they are logged.  ``rows_read`` is what the
    files hold; ``rows_lost`` of them could not be used and are in no figure.
    ``problems`` says which and why, ``notes`` says what was guessed or converted.
    ``paid_usd`` is what the provider's own cost report says was paid for this traffic, where one was given.
    """

    kind: Kind
    source: str
    table: Table
    rows_read: int
    rows_lost: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    block_tokens: int | None = None
    paid_usd: Decimal | None = None
