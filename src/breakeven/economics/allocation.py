"""Shares an hour's bill of a pool over what it served: each attempt its part of the nodes' time, the rest is idle.

All money here is counted in whole units of ``UNIT_USD``, so that nothing is lost or made by rounding: what is
allocated and what is idle add up to the bill to the last digit, in whatever groups it is summed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from fractions import Fraction

Whose = TypeVar("Whose", bound="Hashable")

UNIT_DIGITS: Final = 12
UNIT_USD: Final = Decimal((0, (1,), -UNIT_DIGITS))
"""The smallest amount that is told apart: a trillionth of a dollar, a thousandth of a cached token's price."""

_UNITS_PER_USD: Final = 10**UNIT_DIGITS
_PS_PER_US: Final = 1_000_000
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTime:
    """What one token takes of a whole node that is well filled, in microseconds: seconds for a million tokens.

    It is counted in whole picoseconds, so that the GPU time of tokens is the same in whatever parts it is summed.
    """

    prefill_us: float
    """Of input that is not cached; cache writes are prefilled too."""

    cached_us: float
    decode_us: float

    def work(self, many: Iterable[Sequence[int]]) -> list[int]:
        """Return the node time, in picoseconds, of each of many counts: input, cached input, cache writes, output."""
        weights = (self.prefill_us, self.cached_us, self.decode_us)
        prefill, from_cache, decode = (round(weight * _PS_PER_US) for weight in weights)
        return [
            max(given - cached, written, 0) * prefill + cached * from_cache + output * decode
            for given, cached, written, output in many
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """An hour's bill in two parts: what each piece of work is charged, in their order, and what nobody used."""

    allocated_usd: tuple[Decimal, ...]
    idle_usd: Decimal


def allocate(bill_usd: Decimal, work: Sequence[int], paid: int) -> Allocation:
    """Share a bill over pieces of work: bill x work / max(paid, sum of work) each; the rest is idle.

    ``work`` and ``paid`` are in one unit of node time.  Shares are rounded cumulatively: each is within one unit of
    its exact value, no work is charged nothing, and a piece that is split in two changes neither the sum of its parts
    nor any other.  Raises ``ValueError`` for a bill that is no whole number of units, and for what is below zero.
    """
    units = units_of(bill_usd)
    if Decimal(units).scaleb(-UNIT_DIGITS, _WIDE) != bill_usd:
        raise ValueError(f"a bill is a whole number of {UNIT_USD} dollars, not {bill_usd}")
    shares = allocate_units(units, work, paid)
    return Allocation(allocated_usd=tuple(usd_of(share) for share in shares), idle_usd=usd_of(units - sum(shares)))


def allocate_units(bill: int, work: Sequence[int], paid: int) -> list[int]:
    """Return what ``allocate`` charges, everything in units; the rest of the bill is idle."""
    if bill < 0 or paid < 0 or min(work, default=0) < 0:
        raise ValueError("bill, work and paid time are not below zero")
    sums = [0]
    for piece in work:
        sums.append(sums[-1] + piece)
    whole = max(paid, sums[-1])
    if not whole:
        return [0] * len(work)
    edges = [bill * passed // whole for passed in sums]
    return [after - before for before, after in pairwise(edges)]


def units_of(amount_usd: Decimal | Fraction) -> int:
    """Return an amount in units of ``UNIT_USD``, rounded to the nearest, half to even."""
    if isinstance(amount_usd, Decimal):
        return int(amount_usd.scaleb(UNIT_DIGITS, _WIDE).to_integral_value(ROUND_HALF_EVEN, _WIDE))
    return round(amount_usd * _UNITS_PER_USD)


def usd_of(units: int) -> Decimal:
    """Return units as dollars, exactly, however many there are."""
    sign, digits, _ = Decimal(units).as_tuple()
    return Decimal((sign, digits, -UNIT_DIGITS))


def corrections(
    provisional_usd: Iterable[tuple[Whose, Decimal]], allocated_usd: Iterable[tuple[Whose, Decimal]]
) -> dict[Whose, Decimal]:
    """Return by whose it is what has to be added to what was charged, so that it becomes what was allocated.

    Whoever needs no correction is left out.
    """
    sums: dict[Whose, Decimal] = {}
    for sign, parts in ((1, allocated_usd), (-1, provisional_usd)):
        for whose, amount_usd in parts:
            sums[whose] = sums.get(whose, Decimal(0)) + sign * amount_usd
    return {whose: amount_usd for whose, amount_usd in sums.items() if amount_usd}
