"""Anthropic's costs: the pages of ``GET /v1/organizations/cost_report`` as JSON, and the CSV that the Console exports.

The API's amounts are *cents* as decimal text ("123.45" is 1.23 dollars), the CSV's are dollars, usually whole cents.
Model and kind are told only where the report is grouped by description.  Days are UTC.  Neither has Priority Tier.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.sources.invoices.lines import Invoice, InvoiceKind, InvoiceLine, amount_of, need_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SELLER: Final = "anthropic"
JSON_FORM: Final = "Anthropic's cost report"
CSV_FORM: Final = "the Claude Console"
CSV_COLUMNS: Final = ("usage_date_utc", "model", "token_type", "cost_usd")
_TOKENS: Final = ("token", "tokens")
_CENTS_PER_USD: Final = Decimal(100)


def is_report(page: Mapping[str, Any]) -> bool:
    """Whether an object is a page of the cost report."""
    data = page.get("data")
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and "starting_at" in first and "results" in first


def report_json(name: str, pages: Sequence[Mapping[str, Any]]) -> Invoice:
    """Read pages of the cost report.  Raises ``InputError`` for what is not of their form."""
    lines: list[InvoiceLine] = []
    for bucket in (bucket for page in pages for bucket in page["data"]):
        where = f"{name}: the bucket of {str(bucket.get('starting_at'))[:25]}"
        day = _day(bucket.get("starting_at"), where)
        for result in bucket.get("results") or ():
            need_usd(result.get("currency"), where)
            grouped = result.get("cost_type") is not None
            said = " ".join(str(result.get(key) or "") for key in ("description", "token_type")).strip()
            lines.append(
                InvoiceLine(
                    seller=SELLER,
                    day=day,
                    model=str(result.get("model") or ""),
                    kind=kind_of(result.get("cost_type"), result.get("token_type")) if grouped else "",
                    said=said,
                    amount_usd=amount_of(result.get("amount"), where) / _CENTS_PER_USD,
                )
            )
    more = bool(pages) and bool(pages[-1].get("has_more"))
    notes = (f"{name}: the last page says that there are more. Ask for them too, or the invoice is too small.",)
    return Invoice(name=name, form=JSON_FORM, lines=tuple(lines), notes=notes if more else ())


def report_csv(name: str, rows: Iterable[Mapping[str, str]]) -> Invoice:
    """Read the rows of the Console's file."""
    lines = []
    for number, row in enumerate(rows, start=2):
        where = f"{name}:{number}"
        kind = kind_of(row.get("cost_type") or "token", row.get("token_type"))
        lines.append(
            InvoiceLine(
                seller=SELLER,
                day=_day(row["usage_date_utc"], where),
                model="" if kind == "other" else row["model"].strip(),
                kind=kind,
                said=f"{row['model']} {row.get('token_type') or row.get('cost_type') or ''}".strip(),
                amount_usd=amount_of(row["cost_usd"], where),
            )
        )
    return Invoice(name=name, form=CSV_FORM, lines=tuple(lines))


def kind_of(cost_type: object, token_type: object) -> InvoiceKind:
    """Return what is charged, from the two columns; both spellings, the API's and the Console's."""
    if str(cost_type) not in _TOKENS:
        return "other"
    text = str(token_type or "")
    if "output" in text:
        return "output"
    if "cache_read" in text:
        return "cached input"
    if "cache_write" in text or "cache_creation" in text:
        return "cache write"
    return "input" if "input" in text else "other"


def _day(text: object, where: str) -> date:
    try:
        return datetime.fromisoformat(str(text)).date()
    except ValueError as error:
        raise InputError(f"{where}: {str(text)[:25]!r} is no day. Export the file again.") from error
