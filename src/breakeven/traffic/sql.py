"""Asks DuckDB, and quotes what comes from outside."""

from __future__ import annotations

from typing import Any


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
