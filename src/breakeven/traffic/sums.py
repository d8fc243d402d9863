"""Sums over requests as Ibis expressions, and the records they become.

Products are summed as decimals: exact, whatever the order of rows, where 64-bit integers could
overflow and floats would depend on the order.  They stay decimals until they are here, so that every
database yields the same float.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import ibis
import pyarrow as pa
from ibis.expr.operations import InMemoryTable

from breakeven.records import Moments
from breakeven.traffic.schema import (
    AT_US,
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REQUESTS,
    TIME,
    TOKEN_COLUMNS,
)
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ibis.expr.types import IntegerValue, NumericValue, Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

INPUT_OUTPUT: Final = "input_output_tokens2"
OUTPUT_OUTPUT: Final = "output_output_tokens2"
SUMS: Final = (REQUESTS, *TOKEN_COLUMNS, INPUT_OUTPUT, OUTPUT_OUTPUT)


def microseconds_of(table: Table) -> IntegerValue:
    """Return the time of each row in microseconds since 1970."""
    if AT_US in table.columns:
        return table[AT_US]
    return table[TIME].delta(ibis.timestamp("1970-01-01T00:00:00Z"), unit="microsecond")


def time_of(at_us: int) -> datetime:
    """Return the time so many microseconds after 1970, UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def request_sums(table: Table) -> dict[str, NumericValue]:
    """Return count, token sums and second moments of a request table."""
    output = table[OUTPUT_TOKENS]
    return {
        REQUESTS: table.count(),
        **token_sums(table),
        INPUT_OUTPUT: exact_sum(table[INPUT_TOKENS] * output),
        OUTPUT_OUTPUT: exact_sum(output * output),
    }


def token_sums(table: Table) -> dict[str, NumericValue]:
    """Return the sums of the token columns."""
    return {name: table[name].sum() for name in TOKEN_COLUMNS}


def exact_sum(products: IntegerValue) -> NumericValue:
    """Sum 64-bit products without overflow; each is below 10^18, as counts stay below 10^9."""
    return products.cast("decimal(18, 0)").sum()


def fetch(table: Table) -> list[dict[str, Any]]:
    """Run an expression where its rows are, and return the (few) rows of its result."""
    backend = table.get_backend()
    # DuckDB is asked without Ibis, which would load pandas to convert what needs no converting; but only Ibis can
    # bring a table over that lies in memory.
    direct = backend.name == "duckdb" and not table.op().find(InMemoryTable)
    found = backend.con.sql(backend.compile(table)).to_arrow_table() if direct else table.to_pyarrow()
    columns = [_plain(column) for column in found.columns]
    return [dict(zip(found.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return values as Python's own; whole decimals as integers, where they fit into 64 bits: these are made faster."""
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        with suppress(pa.ArrowInvalid):
            column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


def add_up(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, int]:
    """Sum columns of fetched rows, exactly."""
    rows = list(rows)
    return {name: sum(int(row[name]) for row in rows) for name in names}


def usage_of(sums: Mapping[str, Any]) -> TokenUsage:
    """Build typed token counts from a row that holds ``token_sums``."""
    return TokenUsage(
        input_tokens=sums[INPUT_TOKENS],
        output_tokens=sums[OUTPUT_TOKENS],
        cached_input_tokens=sums[CACHED_INPUT_TOKENS],
        cache_write_tokens=sums[CACHE_WRITE_TOKENS],
    )


def moments_of(sums: Mapping[str, Any]) -> Moments:
    """Build moments from a row that holds ``request_sums``."""
    return Moments(
        requests=sums[REQUESTS],
        input_tokens=sums[INPUT_TOKENS],
        output_tokens=sums[OUTPUT_TOKENS],
        input_output_tokens2=float(sums[INPUT_OUTPUT]),
        output_output_tokens2=float(sums[OUTPUT_OUTPUT]),
    )
