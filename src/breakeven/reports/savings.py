"""Savings as a document and as plain data; dollars in data are text, exact to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from breakeven.reports.document import Document, Table
from breakeven.studies.proof.savings import PAID_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.studies.proof.savings import Counterfactual, PaidLine, Savings, WouldLine


def savings_document(found: Savings, *, by_day: bool = False) -> Document:
    """Return what was saved, by counterfactual, with all that was paid; by day too where asked for."""
    days = tuple(_day_table(found, item) for item in found.counterfactuals) if by_day else ()
    return Document(
        title=f"Savings {_period(found)}",
        lead=tuple(_sentences(found)),
        tables=(_saved_table(found), _paid_table(found), _would_table(found), *days),
        notes=(*(f"{item.name}: {item.title}." for item in found.counterfactuals), *found.notes),
    )


def savings_json(found: Savings) -> dict[str, Any]:
    """Return everything as plain data, under the keys that docs/howto/prove-the-savings.md documents."""
    return {
        "from": f"{found.begins:%Y-%m-%dT%H:%MZ}",
        "to": f"{found.ends:%Y-%m-%dT%H:%MZ}",
        "paid_usd": _text(found.paid_usd),
        "paid": {kind: _text(found.paid_of(kind)) for kind in PAID_WORDS},
        "paid_lines": [_paid_json(line) for line in found.paid],
        "partial": found.is_partial,
        "unbilled_attempts": found.unbilled_count,
        "counterfactuals": [_counterfactual_json(found, item) for item in found.counterfactuals],
        "notes": list(found.notes),
    }


def money(amount_usd: Decimal | None) -> str:
    """Return dollars as people read them: cents from a dollar on, six digits below; a word where nothing is known."""
    if amount_usd is None:
        return "unknown"
    size = abs(amount_usd)
    text = f"{size:,.2f}" if size >= 1 or not size else f"{size:,.6f}"
    return f"−{text}" if amount_usd < 0 else text


def _period(found: Savings) -> str:
    return f"from {found.begins:%Y-%m-%d %H:%M} to {found.ends:%Y-%m-%d %H:%M} UTC"


def _sentences(found: Savings) -> Iterator[str]:
    partial = " (partly known)" if found.is_partial else ""
    for item in found.counterfactuals:
        saved_usd, would_usd = found.saved_usd(item), item.would_usd
        if saved_usd is None or would_usd is None:
            yield f"Against {item.name}: not known, since {item.unpriced_count:,} requests have no price there."
            continue
        share = f" ({saved_usd / would_usd:.1%})" if would_usd and saved_usd >= 0 else ""
        verdict = f"{money(saved_usd)} USD saved{share}" if saved_usd >= 0 else f"{money(-saved_usd)} USD lost"
        yield (
            f"Against {item.name}: {verdict}. The same requests would have cost {money(would_usd)} USD; "
            f"{money(found.paid_usd)} USD was paid{partial}, everything counted."
        )


def _saved_table(found: Savings) -> Table:
    rows = (
        (
            item.name,
            money(item.would_usd),
            money(item.memory_usd),
            money(found.paid_usd),
            money(found.saved_usd(item)),
        )
        for item in found.counterfactuals
    )
    heads = ("against", "would have cost USD", "of it from memory", "paid USD", "saved USD")
    return Table(title=f"Saved {_period(found)}", heads=heads, rows=tuple(rows))


def _paid_table(found: Savings) -> Table:
    rows: list[tuple[str, ...]] = []
    for kind, words in PAID_WORDS.items():
        subjects = sorted({line.what for line in found.paid if line.kind == kind})
        for what in subjects:
            own = [line for line in found.paid if line.kind == kind and line.what == what]
            amount_usd = sum((line.amount_usd for line in own), Decimal(0))
            count = sum(line.requests for line in own)
            rows.append((words, what or "(no price named)", f"{count:,}" if count else "", money(amount_usd)))
    rows.append(("all", "", f"{sum(line.requests for line in found.paid):,}", money(found.paid_usd)))
    heads = ("paid for", "at", "requests", "USD")
    return Table(title="Paid", heads=heads, rows=tuple(rows), left_count=2, sums_count=1)


def _would_table(found: Savings) -> Table:
    rows: list[tuple[str, ...]] = []
    for item in found.counterfactuals:
        for model, prices in sorted({(line.model, line.prices) for line in item.lines}):
            own = [line for line in item.lines if (line.model, line.prices) == (model, prices)]
            known = all(line.amount_usd is not None for line in own)
            amount_usd = sum((line.amount_usd or Decimal(0) for line in own), Decimal(0)) if known else None
            counts = (
                sum(line.requests for line in own),
                sum(line.input_tokens for line in own),
                sum(line.output_tokens for line in own),
            )
            rows.append(
                (item.name, model or "(no model)", prices or "no price", *(f"{n:,}" for n in counts), money(amount_usd))
            )
    heads = ("against", "model", "priced as", "requests", "input", "output", "USD")
    return Table(title="Priced as they would have been", heads=heads, rows=tuple(rows), left_count=3)


def _day_table(found: Savings, item: Counterfactual) -> Table:
    rows = tuple(
        (f"{day.day}", f"{day.requests:,}", money(day.would_usd), money(day.paid_usd), money(day.saved_usd))
        for day in found.days(item)
    )
    heads = ("day (UTC)", "requests", "would have cost USD", "paid USD", "saved USD")
    return Table(title=f"By day, against {item.name}", heads=heads, rows=rows)


def _counterfactual_json(found: Savings, item: Counterfactual) -> dict[str, Any]:
    return {
        "name": item.name,
        "title": item.title,
        "would_usd": _text(item.would_usd),
        "memory_usd": _text(item.memory_usd),
        "saved_usd": _text(found.saved_usd(item)),
        "unpriced_requests": item.unpriced_count,
        "days": [
            {
                "day": day.day.isoformat(),
                "requests": day.requests,
                "would_usd": _text(day.would_usd),
                "paid_usd": _text(day.paid_usd),
                "saved_usd": _text(day.saved_usd),
            }
            for day in found.days(item)
        ],
        "lines": [_would_json(line) for line in item.lines],
    }


def _paid_json(line: PaidLine) -> dict[str, Any]:
    return {
        "day": line.day.isoformat(),
        "kind": line.kind,
        "at": line.what or None,
        "model": line.model or None,
        "requests": line.requests,
        "usd": _text(line.amount_usd),
    }


def _would_json(line: WouldLine) -> dict[str, Any]:
    return {
        "day": line.day.isoformat(),
        "model": line.model or None,
        "served_by": line.served_by or None,
        "from_memory": line.from_memory,
        "priced_as": line.prices or None,
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "cached_input_tokens": line.cached_input_tokens,
        "cache_write_tokens": line.cache_write_tokens,
        "output_tokens": line.output_tokens,
        "usd": _text(line.amount_usd),
    }


def _text(amount_usd: Decimal | None) -> str | None:
    return None if amount_usd is None else f"{amount_usd:f}"
