"""Traces made of rows in memory, as a reader or the ledger would hand them over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from breakeven.traffic.schema import REQUEST_SCHEMA, TOKEN_COLUMNS, WINDOW_SCHEMA
from breakeven.traffic.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
HOUR_S = 3600
DAY_S = 24 * HOUR_S


def requests_of(rows: Sequence[Mapping[str, Any]], *, block_tokens: int | None = None) -> Trace:
    """Make a trace of requests; ``at_s`` counts from a Monday, and whatever a row leaves out is null or 0."""
    whole = [
        dict.fromkeys(REQUEST_SCHEMA) | dict.fromkeys(TOKEN_COLUMNS, 0) | dict(row) | {"time": _time(row)}
        for row in rows
    ]
    table = ibis.memtable(pa.Table.from_pylist(whole, schema=REQUEST_SCHEMA.to_pyarrow()))
    return Trace(
        kind="trace", source="memory", table=table, rows_read=len(rows), rows_lost=0, block_tokens=block_tokens
    )


def windows_of(rows: Sequence[Mapping[str, Any]]) -> Trace:
    """Make a trace of totals; a row says ``at_s`` and ``window_s``."""
    whole = [
        dict.fromkeys(WINDOW_SCHEMA) | dict.fromkeys(TOKEN_COLUMNS, 0) | dict(row) | {"time": _time(row)}
        for row in rows
    ]
    table = ibis.memtable(pa.Table.from_pylist(whole, schema=WINDOW_SCHEMA.to_pyarrow()))
    return Trace(kind="windows", source="memory", table=table, rows_read=len(rows), rows_lost=0)


def _time(row: Mapping[str, Any]) -> datetime:
    return MONDAY + timedelta(seconds=row["at_s"])
