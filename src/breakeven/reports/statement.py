"""A month's statement as a document and as plain data; dollars in data are text, exact to the last digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.reports.document import Document, Table
from breakeven.reports.savings import money

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from breakeven.studies.proof.statement import Difference, Seller, Statement

MOST_DIFFERENCES: Final = 40
"""Lines that a person is shown, the largest first; JSON holds all."""

_DETAIL: Final = {
    "kind": "by model, what is charged, and day",
    "model": "by model and day: the export does not say what is charged",
    "day": "by day: the export names no models",
    "month": "as a whole",
}


def statement_document(found: Statement) -> Document:
    """Return a statement as sentences and tables."""
    tables = [_sellers(found)]
    tables += [table for table in (_models(found), _differences(found), _pools(found)) if table.rows]
    return Document(
        title=f"Statement of {found.month:%B %Y}", lead=tuple(_sentences(found)), tables=tuple(tables),
        notes=tuple(_reasons(found)) + found.notes,
    )  # fmt: skip


def statement_json(found: Statement) -> dict[str, Any]:
    """Return everything as plain data, under the keys that docs/howto/prove-the-savings.md documents."""
    return {
        "month": f"{found.month:%Y-%m}",
        "from": found.begins.isoformat(),
        "to": found.ends.isoformat(),
        "reconciles": found.reconciles,
        "billed_usd": f"{found.billed_usd:f}",
        "ledger_usd": f"{found.ledger_usd:f}",
        "difference_usd": f"{found.billed_usd - found.ledger_usd:f}",
        "without_invoice_usd": f"{found.missing_usd:f}",
        "unpriced_attempts": found.unpriced_count,
        "sellers": [_seller_json(item) for item in found.sellers],
        "pools": [
            {
                "pool": item.pool,
                "allocated_usd": f"{item.allocated_usd:f}",
                "idle_usd": f"{item.idle_usd:f}",
                "not_invoiced_usd": f"{item.fixed_usd:f}",
            }
            for item in found.pools
        ],
        "notes": list(found.notes),
    }


def _sentences(found: Statement) -> Iterator[str]:
    difference_usd = found.billed_usd - found.ledger_usd
    if not found.sellers:
        yield f"Of the days of {found.month:%B %Y} that are over, neither the ledger nor an invoice has anything."
    elif found.reconciles and not difference_usd:
        yield f"Reconciled to the last digit: bills and ledger both come to {money(found.billed_usd)} USD."
    elif found.reconciles:
        yield (
            f"Reconciled to the cent: bills come to {money(found.billed_usd)} USD; the ledger differs by "
            f"{money(difference_usd)} USD in all."
        )
    else:
        yield (
            f"Not reconciled: bills come to {money(found.billed_usd)} USD, the ledger to {money(found.ledger_usd)} USD "
            f"for the same sellers: {money(abs(difference_usd))} USD {'more' if difference_usd > 0 else 'less'} was "
            "billed."
            if difference_usd
            else f"Not reconciled, though what was compared comes to the same, {money(found.billed_usd)} USD."
        )
    if found.missing_usd:
        names = ", ".join(
            item.name for item in found.sellers if item.invoice_usd is None and not item.is_pool and item.ledger_usd
        )
        yield f"No invoice was given of {names}: the ledger has {money(found.missing_usd)} USD there (--invoice FILE)."
    if found.unpriced_count:
        yield (
            f"{found.unpriced_count:,} attempts have no known price; what they cost is not in the ledger's figures. "
            "Add a rate card, then: breakeven ledger reprice."
        )


def _sellers(found: Statement) -> Table:
    rows = [
        (
            f"{item.name} (pool)" if item.is_pool else item.name,
            _outcome(item),
            "none given" if item.invoice_usd is None else _exact(item.invoice_usd),
            _exact(item.ledger_usd),
            "" if item.difference_usd is None else _exact(item.difference_usd),
        )
        for item in found.sellers
    ]
    rows.append(("all", "", _exact(found.billed_usd), _exact(found.ledger_usd + found.missing_usd), ""))
    heads = ("seller", "", "billed USD", "ledger USD", "difference USD")
    return Table(title="Bills and ledger", heads=heads, rows=tuple(rows), left_count=2, sums_count=1)


def _outcome(item: Seller) -> str:
    if item.invoice_usd is None:
        return "by its nodes' hours and prices" if item.is_pool else "no invoice"
    return f"{'same to the cent' if item.reconciles else 'differs'}, {_DETAIL[item.detail]}"


def _models(found: Statement) -> Table:
    rows = tuple(
        (
            item.name,
            line.model or "–",
            line.kind or "–",
            *map(_exact, (line.invoice_usd, line.ledger_usd, line.invoice_usd - line.ledger_usd)),
        )
        for item in found.sellers
        if item.invoice_usd is not None
        for line in item.lines
    )
    heads = ("seller", "model", "charged", "billed USD", "ledger USD", "difference USD")
    return Table(title="By model", heads=heads, rows=rows, left_count=3)


def _differences(found: Statement) -> Table:
    listed = [(item.name, line) for item in found.sellers for line in item.differences]
    largest = sorted(listed, key=lambda pair: abs(pair[1].difference_usd), reverse=True)[:MOST_DIFFERENCES]
    more = f"; the {MOST_DIFFERENCES} largest of {len(listed):,}" if len(listed) > MOST_DIFFERENCES else ""
    numbers = _numbered(found)
    rows = tuple(
        (
            f"{line.day or 'month'}", name, line.model or "–", line.kind or "–",
            " ".join(f"({numbers[reason]})" for reason in line.reasons) or "–",
            *map(_exact, (line.invoice_usd, line.ledger_usd, line.difference_usd)),
        )
        for name, line in largest
    )  # fmt: skip
    heads = ("day (UTC)", "seller", "model", "charged", "reason", "billed USD", "ledger USD", "difference USD")
    return Table(title=f"Differences{more}", heads=heads, rows=rows, left_count=5)


def _pools(found: Statement) -> Table:
    rows = tuple((item.pool, *map(_exact, (item.allocated_usd, item.idle_usd, item.fixed_usd))) for item in found.pools)
    heads = ("pool", "served USD", "idle USD", "people and infra USD (on no invoice)")
    return Table(title="Pools: what their bills went to", heads=heads, rows=rows)


def _numbered(found: Statement) -> dict[str, int]:
    known = dict.fromkeys(reason for item in found.sellers for line in item.differences for reason in line.reasons)
    return {reason: number for number, reason in enumerate(known, start=1)}


def _reasons(found: Statement) -> Iterator[str]:
    for reason, number in _numbered(found).items():
        yield f"({number}) {reason}"


def _exact(amount_usd: Decimal) -> str:
    """Return dollars with at least cents and at most eight decimal places; all of them are in the JSON."""
    rounded = round(amount_usd, 8).normalize()
    places = max(2, -int(rounded.as_tuple().exponent)) if rounded else 2
    return f"{rounded:,.{places}f}".replace("-", "−")


def _seller_json(item: Seller) -> dict[str, Any]:
    return {
        "seller": item.name,
        "pool": item.is_pool,
        "invoice_usd": None if item.invoice_usd is None else f"{item.invoice_usd:f}",
        "ledger_usd": f"{item.ledger_usd:f}",
        "difference_usd": None if item.difference_usd is None else f"{item.difference_usd:f}",
        "reconciles": item.reconciles,
        "compared_by": item.detail,
        "unpriced_attempts": item.unpriced_count,
        "lines": [
            {
                "model": line.model or None,
                "charged": line.kind or None,
                "invoice_usd": f"{line.invoice_usd:f}",
                "ledger_usd": f"{line.ledger_usd:f}",
            }
            for line in item.lines
        ],
        "differences": [_difference_json(line) for line in item.differences],
        "reasons": list(item.reasons),
    }


def _difference_json(line: Difference) -> dict[str, Any]:
    return {
        "day": line.day.isoformat() if line.day else None,
        "model": line.model or None,
        "charged": line.kind or None,
        "invoice_usd": f"{line.invoice_usd:f}",
        "ledger_usd": f"{line.ledger_usd:f}",
        "difference_usd": f"{line.difference_usd:f}",
        "reasons": list(line.reasons),
    }
