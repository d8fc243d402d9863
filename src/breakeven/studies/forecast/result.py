"""What the forecast says, frozen: each option's next bill, and what the intervals rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from breakeven.economics.forecast import PredictedBill

Basis = Literal["days", "hours", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillForecast:
    """One option's next bill.

    ``same_fraction`` is the chance that it is exactly the likely bill: near 1 for a pool whose nodes suffice for
    almost any volume that may come, 0 where every token is paid.
    """

    id: str
    title: str
    bill: PredictedBill
    same_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The next month's bills, in the order of the options given.

    ``basis`` says what was known: volumes of whole ``observed_days``, hours of one day, or a total without times.
    ``note`` says it in a sentence, with what stands in for the rest.
    """

    basis: Basis
    observed_days: float
    bills: tuple[BillForecast, ...]
    note: str
