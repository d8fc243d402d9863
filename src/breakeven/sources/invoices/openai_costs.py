"""OpenAI's costs: the pages of ``GET /v1/organization/costs`` as JSON, and the CSV that the dashboard exports.

Grouped by line item, one is worded ``MODEL, KIND``: ``gpt-4o-mini-2024-07-18, cached input``; a tier may stand before
(``priority | …``), a qualifier behind (``, long context``) and a modality after the model.  Others are tools and
storage.  Amounts are dollars; days begin at midnight UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.sources.invoices.lines import Invoice, InvoiceKind, InvoiceLine, amount_of, need_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SELLER: Final = "openai"
JSON_FORM: Final = "OpenAI's costs API"
CSV_FORM: Final = "OpenAI's dashboard"
CSV_COLUMNS: Final = ("start_time", "amount_value", "amount_currency", "line_item")
_ITEM: Final = re.compile(r"(?:[^|]*\|\s*)?(?P<model>[^\s,|]+)(?:\s[^,]*)?,\s*(?P<kind>[^,]+)(?:,.*)?")
_BARE: Final = re.compile(r"[\w.:]+-[\w.:-]+")
"""A line item that is nothing but a model's name."""

_LATEST_S: Final = 253_402_300_800


def is_costs(page: Mapping[str, Any]) -> bool:
    """Whether an object is a page of the costs API."""
    data = page.get("data")
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and "start_time" in first and "results" in first


def costs_json(name: str, pages: Sequence[Mapping[str, Any]]) -> Invoice:
    """Read pages of the costs API.  Raises ``InputError`` for what is not of their form."""
    lines: list[InvoiceLine] = []
    notes: list[str] = []
    for bucket in (bucket for page in pages for bucket in page["data"]):
        where = f"{name}: the bucket of {str(bucket.get('start_time'))[:20]}"
        for result in bucket.get("results") or ():
            amount = result.get("amount") or {}
            if not isinstance(amount, dict) or amount.get("value") is None:
                continue  # a bucket in which nothing was charged
            need_usd(amount.get("currency"), where)
            lines.append(_line(bucket.get("start_time"), result.get("line_item"), amount["value"], where))
    if pages and pages[-1].get("has_more"):
        notes.append(
            f"{name}: the last page says that there are more. Ask for them too (page=…), or the invoice is too small."
        )
    return Invoice(name=name, form=JSON_FORM, lines=tuple(lines), notes=tuple(notes))


def costs_csv(name: str, rows: Iterable[Mapping[str, str]]) -> Invoice:
    """Read the rows of the dashboard's file; empty amounts are days on which nothing was charged."""
    lines = []
    for number, row in enumerate(rows, start=2):
        where = f"{name}:{number}"
        if not (row.get("amount_value") or "").strip():
            continue
        need_usd(row.get("amount_currency"), where)
        lines.append(_line(row["start_time"], row.get("line_item"), row["amount_value"], where))
    return Invoice(name=name, form=CSV_FORM, lines=tuple(lines))


def item_of(text: str) -> tuple[str, InvoiceKind]:
    """Return model and kind of a line item as it is worded."""
    found = _ITEM.fullmatch(text.strip())
    if found is None:
        return (text.strip(), "") if _BARE.fullmatch(text.strip()) else ("", "other")
    kind = found["kind"].strip().lower()
    if "cached" in kind and "input" in kind:
        return found["model"], "cached input"
    if "write" in kind or "creation" in kind:
        return found["model"], "cache write"
    named: tuple[InvoiceKind, ...] = ("input", "output")
    return found["model"], next((item for item in named if item in kind), "other")


def _line(start: object, item: object, amount: object, where: str) -> InvoiceLine:
    text = str(start).strip()
    start_s = int(text) if text.isascii() and text.isdigit() else _LATEST_S
    if start_s >= _LATEST_S:
        raise InputError(f"{where}: start_time {text[:20]!r} is no Unix time. Export the file again.")
    said = str(item or "").strip()
    model, kind = item_of(said) if said else ("", "")
    return InvoiceLine(
        seller=SELLER,
        day=datetime.fromtimestamp(start_s, UTC).date(),
        model=model,
        kind=kind,
        said=said,
        amount_usd=amount_of(amount, where),
    )
