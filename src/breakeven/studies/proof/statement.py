"""A month's statement: invoices and pool bills on one side, the ledger on the other, and where they part.

Both sides are exact.  A seller reconciles where both come to the same cent over the month; single lines that differ
are listed even then, with what they are likely to come from.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final, Literal

from breakeven.studies.proof.reasons import Compared, Entry, Key, Placed, reasons_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.ledger.costs import PoolCost
    from breakeven.ledger.invoiced import Charged
    from breakeven.sources.invoices import Invoice, InvoiceLine

Detail = Literal["kind", "model", "day", "month"]
"""How far both sides can be compared: by what is charged, by model, by day alone, or in sum."""

CENT_USD: Final = Decimal("0.01")
_DATED: Final = re.compile(r"[-@_]20\d\d-?[01]\d-?[0-3]\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line on which both sides differ."""

    day: date | None
    """None: the month as a whole."""

    model: str
    kind: str
    invoice_usd: Decimal
    ledger_usd: Decimal
    reasons: tuple[str, ...]

    @property
    def difference_usd(self) -> Decimal:
        """Invoice less ledger."""
        return self.invoice_usd - self.ledger_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class SellerLine:
    """A model of a seller over the month, of what is charged."""

    model: str
    kind: str
    invoice_usd: Decimal
    ledger_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A provider, or a pool, over the month."""

    name: str
    is_pool: bool
    invoice_usd: Decimal | None
    """None: no invoice of it was given."""

    ledger_usd: Decimal
    """Of a pool: its nodes' hours at their prices, whatever was served."""

    detail: Detail
    lines: tuple[SellerLine, ...]
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    unpriced_count: int = 0

    @property
    def difference_usd(self) -> Decimal | None:
        """Invoice less ledger; None without an invoice."""
        return None if self.invoice_usd is None else self.invoice_usd - self.ledger_usd

    @property
    def reconciles(self) -> bool | None:
        """Whether both come to the same cent; None without an invoice."""
        return None if self.invoice_usd is None else cents(self.invoice_usd) == cents(self.ledger_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolParts:
    """A pool's bill in the ledger: what it served and what was idle; and what goes with it and is on no invoice."""

    pool: str
    allocated_usd: Decimal
    idle_usd: Decimal
    fixed_usd: Decimal
    """People, infrastructure and reliability: from assumptions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A month."""

    month: date
    begins: date
    ends: date
    """Before this day; earlier than the month's end where the month is not over."""

    sellers: tuple[Seller, ...]
    pools: tuple[PoolParts, ...]
    unpriced_count: int
    notes: tuple[str, ...] = ()

    @property
    def billed_usd(self) -> Decimal:
        """All invoices, and the bills of pools for which none was given."""
        own = (
            item.ledger_usd if item.invoice_usd is None and item.is_pool else item.invoice_usd for item in self.sellers
        )
        return sum((amount for amount in own if amount is not None), Decimal(0))

    @property
    def ledger_usd(self) -> Decimal:
        """All that the ledger says of the same sellers."""
        return sum(
            (item.ledger_usd for item in self.sellers if item.is_pool or item.invoice_usd is not None), Decimal(0)
        )

    @property
    def missing_usd(self) -> Decimal:
        """What the ledger has of providers whose invoice was not given."""
        return sum(
            (item.ledger_usd for item in self.sellers if item.invoice_usd is None and not item.is_pool), Decimal(0)
        )

    @property
    def reconciles(self) -> bool:
        """Whether every seller does, of those with an invoice, no invoice is missing and no attempt lacks a price."""
        return (
            bool(self.sellers)
            and not self.missing_usd
            and not self.unpriced_count
            and all(item.reconciles is not False for item in self.sellers)
        )


def cents(amount_usd: Decimal) -> Decimal:
    """Return an amount in whole cents, half to even."""
    return amount_usd.quantize(CENT_USD, ROUND_HALF_EVEN)


def same_model(name: str) -> str:
    """Return a model's name as sellers and price lists may both write it: parts in order, without date or case.

    ``gpt-4o-2024-08-06`` and ``gpt-4o``, and ``Claude Haiku 4.5`` and ``claude-haiku-4-5-20251001``, are each one.
    """
    plain = _DATED.sub("", name.strip().lower())
    parts = [part for part in re.split(r"[-\s._@]+", plain) if part and part != "latest"]
    return "-".join(sorted(parts))


def months_statement(
    month: date,
    ends: date,
    invoices: Sequence[Invoice],
    *,
    charges: Iterable[Charged],
    pools: Iterable[PoolCost],
    notes: Sequence[str] = (),
) -> Statement:
    """Set invoices against the ledger's charges by day and the pools' bills by day, from a month's first day on.

    Lines of other days are left out and told.  ``pools`` have an item a day.
    """
    inside = [line for item in invoices for line in item.lines if month <= line.day < ends]
    outside = [line for item in invoices for line in item.lines if not month <= line.day < ends]
    bills, parts = _bills(pools)
    listed = list(charges)
    api: dict[str, list[Charged]] = defaultdict(list)
    for item in listed:
        api[_seller_of(item.priced_as)].append(item)
    sold = {line.seller for line in inside}
    rounded = {line.seller for item in invoices if item.rounds_to_cents for line in item.lines}
    compared = [
        _seller(name, [line for line in inside if line.seller == name], api.get(name, ()), is_rounded=name in rounded)
        for name in sorted((sold | api.keys()) - bills.keys())
    ]
    compared += [_pool(name, days, [line for line in inside if line.seller == name]) for name, days in bills.items()]
    left = sum((line.amount_usd for line in outside), Decimal(0))
    told = (f"{len(outside):,} lines of other days, {left:f} USD, are left out.",) if outside else ()
    return Statement(
        month=month,
        begins=month,
        ends=ends,
        sellers=tuple(compared),
        pools=tuple(parts),
        unpriced_count=sum(item.unpriced_count for item in listed),
        notes=(*notes, *(note for item in invoices for note in item.notes), *told),
    )


def _seller_of(priced_as: str) -> str:
    return priced_as.partition(":")[0] if ":" in priced_as else f"(no price) {priced_as}"


def _seller(name: str, lines: Sequence[InvoiceLine], charges: Sequence[Charged], *, is_rounded: bool) -> Seller:
    detail = _detail(lines)
    both: dict[Key, Compared] = {}
    shown: dict[str, str] = {}

    def named(model: str) -> str:
        return same_model(model) if detail in ("kind", "model") else ""

    def at(day: date, model: str, kind: str) -> Compared:
        shown.setdefault(same_model(model), model)
        key = Key(day=day, model=named(model), kind=kind if detail == "kind" else "")
        return both.setdefault(key, Compared())

    for line in lines:
        found = at(line.day, line.model, line.kind)
        found.invoice_usd += line.amount_usd
        found.lines += 1
    for item in charges:
        _, _, model = item.priced_as.partition(":")
        for kind, amount_usd in item.charges_usd.items():
            at(item.day, model, kind).ledger_usd += amount_usd
    entries = [Entry(key, found) for key, found in sorted(both.items())]
    has_invoice = bool(lines)
    placed = [Placed(named(item.priced_as.partition(":")[2]), item) for item in charges]
    differing = reasons_of(entries, placed, is_rounded=is_rounded) if has_invoice else []
    return Seller(
        name=name,
        is_pool=False,
        invoice_usd=sum((line.amount_usd for line in lines), Decimal(0)) if has_invoice else None,
        ledger_usd=sum((amount for item in charges for amount in item.charges_usd.values()), Decimal(0)),
        detail=detail,
        lines=_by_model(entries, shown),
        differences=tuple(
            Difference(
                day=entry.key.day,
                model=shown.get(entry.key.model, entry.key.model),
                kind=entry.key.kind,
                invoice_usd=entry.found.invoice_usd,
                ledger_usd=entry.found.ledger_usd,
                reasons=reasons,
            )
            for entry, reasons in differing
        ),
        reasons=tuple(dict.fromkeys(reason for _, reasons in differing for reason in reasons)),
        unpriced_count=sum(item.unpriced_count for item in charges),
    )


def _detail(lines: Sequence[InvoiceLine]) -> Detail:
    """Return how far an invoice tells its amounts apart; other things than tokens tell nothing here."""
    tokens = [line for line in lines if line.kind != "other"]
    if any(not line.model for line in tokens):
        return "day"
    return "model" if any(not line.kind for line in tokens) else "kind"


def _by_model(entries: Sequence[Entry], shown: Mapping[str, str]) -> tuple[SellerLine, ...]:
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for entry in entries:
        found = sums.setdefault((entry.key.model, entry.key.kind), [Decimal(0), Decimal(0)])
        found[0] += entry.found.invoice_usd
        found[1] += entry.found.ledger_usd
    return tuple(
        SellerLine(model=shown.get(model, model), kind=kind, invoice_usd=invoice_usd, ledger_usd=ledger_usd)
        for (model, kind), (invoice_usd, ledger_usd) in sorted(sums.items())
    )


def _bills(pools: Iterable[PoolCost]) -> tuple[dict[str, dict[date, Decimal]], list[PoolParts]]:
    """Return by pool what each day's hours cost, and the parts of each bill."""
    bills: dict[str, dict[date, Decimal]] = {}
    sums: dict[str, list[Decimal]] = {}
    for item in pools:
        bills.setdefault(item.pool, {})[date.fromisoformat(item.time)] = item.bill_usd
        found = sums.setdefault(item.pool, [Decimal(0)] * 3)
        for place, amount_usd in enumerate((item.allocated_usd, item.idle_usd, item.fixed_usd)):
            found[place] += amount_usd
    parts = [
        PoolParts(pool=name, allocated_usd=allocated, idle_usd=idle, fixed_usd=fixed)
        for name, (allocated, idle, fixed) in sums.items()
    ]
    return bills, parts


def _pool(name: str, days: Mapping[date, Decimal], lines: Sequence[InvoiceLine]) -> Seller:
    """Compare a pool's own bill, by day where it has days, else in sum."""
    ledger_usd = sum(days.values(), Decimal(0))
    invoice_usd = sum((line.amount_usd for line in lines), Decimal(0)) if lines else None
    daily = len({line.day for line in lines}) > 1
    billed: dict[date | None, Decimal] = defaultdict(Decimal)
    for line in lines:
        billed[line.day if daily else None] += line.amount_usd
    owed: dict[date | None, Decimal] = dict(days.items()) if daily else {None: ledger_usd}
    reason = "Nodes were rented longer, or at another price, than the settings say (nodes: since, until, usd_per_hour)."
    differences = tuple(
        Difference(
            day=day, model="", kind="nodes", invoice_usd=billed.get(day, Decimal(0)),
            ledger_usd=owed.get(day, Decimal(0)), reasons=(reason,),
        )
        for day in sorted({*billed, *owed}, key=lambda day: day or date.min)
        if lines and cents(billed.get(day, Decimal(0))) != cents(owed.get(day, Decimal(0)))
    )  # fmt: skip
    return Seller(
        name=name,
        is_pool=True,
        invoice_usd=invoice_usd,
        ledger_usd=ledger_usd,
        detail="day" if daily else "month",
        lines=(),
        differences=differences,
        reasons=(reason,) if differences else (),
    )
