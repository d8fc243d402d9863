"""Reads the few lines that matter of a page of metrics in Prometheus' text format.

A page of vLLM's has 600 lines and more, and is read several times a second by a process that serves requests
meanwhile: so nothing is decoded, and no line is looked at but those of the metrics asked for.  The format:
https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PAGE_BYTES: Final = 8 << 20
"""A longer page is none: of an engine's metrics, thirty times the longest that was seen."""

_MAX_ROWS: Final = 4096
"""Rows of one metric that are read: an engine has one for each of its ranks, priorities and models."""

_ROW: Final = re.compile(
    rb"""(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+)\})?   # labels: quoted values may hold braces and escaped quotes
         [ \t]+([^\s]+)                                   # the value
         (?:[ \t]+[^\n]*)?\r?\n                           # a time or an exemplar; a row that ends is not cut short
    """,
    re.VERBOSE,
)


class Row(NamedTuple):
    """One line of a metric."""

    labels: bytes
    """As written between the braces."""

    value: float


def rows(page: bytes, name: bytes) -> list[Row]:
    """Return the rows of a metric that have a finite value of 0 or more, in the page's order."""
    found: list[Row] = []
    if len(page) > MAX_PAGE_BYTES:
        return found
    line = b"\n" + name
    at = 0 if page.startswith(name) else page.find(line) + 1 or -1
    while at >= 0 and len(found) < _MAX_ROWS:
        row = _ROW.match(page, at + len(name))
        value = _number(row[2]) if row else None
        if row and value is not None:
            found.append(Row(row[1] or b"", value))
        at = page.find(line, row.end() - 1 if row else at) + 1 or -1
    return found


def first_rows(page: bytes, names: Iterable[bytes]) -> list[Row]:
    """Return the rows of the first of these metrics that there is: what a later version calls it comes first."""
    for name in names:
        if found := rows(page, name):
            return found
    return []


def label(row: Row, name: bytes) -> bytes | None:
    """Return a label's value as written; None where there is no such label."""
    found = re.search(rb"(?:^|,)[ \t]*" + re.escape(name) + rb'="((?:[^"\\]|\\.)*+)"', row.labels)
    return found[1] if found else None


def total(found: list[Row]) -> int | None:
    """Return the sum of all rows, as a count; None where there are none."""
    return round(sum(row.value for row in found)) if found else None


def mean_fraction(found: list[Row]) -> float | None:
    """Return the mean of shares between 0 and 1; None where there are none, or one is no share."""
    if not found or any(row.value > 1 for row in found):
        return None
    return sum(row.value for row in found) / len(found)


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
