"""Tells whose export a file is by its content, and reads it, within bounds."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.sources.invoices import anthropic_costs, bills, openai_costs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from breakeven.sources.invoices.lines import Invoice

MOST_BYTES: Final = 64 << 20
"""A month by day, line item and project has some thousands of lines."""

_KNOWN: Final = (
    "Known are OpenAI's costs (JSON of /v1/organization/costs, CSV of the dashboard), Anthropic's cost report (JSON of "
    "/v1/organizations/cost_report, CSV of the Console), and a CSV of day,seller,item,amount_usd."
)
_CSV: Final[tuple[tuple[tuple[str, ...], Callable[[str, Iterable[Mapping[str, str]]], Invoice]], ...]] = (
    (openai_costs.CSV_COLUMNS, openai_costs.costs_csv),
    (anthropic_costs.CSV_COLUMNS, anthropic_costs.report_csv),
    (bills.CSV_COLUMNS, bills.bill_csv),
)


def read_invoice(path: Path) -> Invoice:
    """Read one file.  Raises ``InputError`` where it is missing, too large, of no known form, or not well-formed."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB: that is no export of a month's costs.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text. {_KNOWN}") from error
    return _json(path.name, text) if text.lstrip()[:1] in ("{", "[") else _csv(path.name, text)


def _json(name: str, text: str) -> Invoice:
    pages = list(_pages(name, text))
    first = next((page for page in pages if page.get("data")), None)
    if first is None:
        raise InputError(f"{name} has no costs in it. {_KNOWN} Ask for the whole month.")
    for knows, read in (
        (openai_costs.is_costs, openai_costs.costs_json),
        (anthropic_costs.is_report, anthropic_costs.report_json),
    ):
        if knows(first):
            full = [page for page in pages if isinstance(page.get("data"), list)]
            _check_buckets(name, full)
            return read(name, full)
    raise InputError(f"{name} is JSON, but no export of costs. {_KNOWN}")


def _pages(name: str, text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the pages of one object, of a list of them, or of one a line; numbers keep their digits."""
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        found = [_line(name, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    pages: Sequence[Any] = found if isinstance(found, list) else [found]
    if any(isinstance(page, dict) and "results" in page for page in pages):
        pages = [{"data": pages}]  # the buckets alone, as jq '.data' leaves them
    for page in pages:
        if not isinstance(page, dict):
            raise InputError(f"{name} is JSON, but no export of costs. {_KNOWN}")
        yield page


def _line(name: str, number: int, line: str) -> Any:
    try:
        return json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}:{number} is not JSON. Export the file again.") from error


def _check_buckets(name: str, pages: Sequence[Mapping[str, Any]]) -> None:
    for bucket in (bucket for page in pages for bucket in page["data"]):
        results = bucket.get("results") if isinstance(bucket, dict) else None
        if not isinstance(results, list) or any(not isinstance(item, dict) for item in results):
            raise InputError(f"{name} has a bucket that is not of the form of the others. Export the file again.")


def _csv(name: str, text: str) -> Invoice:
    lines = text.splitlines()
    head = lines[0] if lines else ""
    delimiter = max((",", "\t", ";"), key=head.count)
    try:
        rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, restval="")
        columns = {column.strip() for column in rows.fieldnames or ()}
        for needed, read in _CSV:
            if columns.issuperset(needed):
                return read(name, _cleaned(rows))
    except csv.Error as error:
        raise InputError(f"{name} is no well-formed CSV: {error}. Export the file again.") from error
    shown = ", ".join(sorted(columns))[:120]
    raise InputError(f"{name} has the columns {shown or '(none)'}: of no known form. {_KNOWN}")


def _cleaned(rows: csv.DictReader[str]) -> Iterator[Mapping[str, str]]:
    for row in rows:
        yield {(name or "").strip(): value for name, value in row.items() if isinstance(value, str)}
