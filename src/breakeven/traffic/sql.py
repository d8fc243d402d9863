"""Asks DuckDB, quotes what comes from outside, and tells a person of files that break off under a query."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from breakeven.traffic.entries import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def damage_told(source: str) -> Iterator[None]:
    """Turn what DuckDB says of a damaged file into an ``InputError``: a Parquet is read anew by every query."""
    try:
        yield
    except duckdb.Error as error:
        raise unreadable(source, error) from error


def ask(backend: Any, query: str) -> list[tuple[Any, ...]]:
    """Run a query to its end: DuckDB refuses the next one while rows of the last are unread."""
    found: list[tuple[Any, ...]] = backend.raw_sql(query).fetchall()
    return found


def text(value: str) -> str:
    """Quote a string."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'
