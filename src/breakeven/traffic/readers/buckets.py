"""Pages of time buckets, as the administration APIs of OpenAI and Anthropic return them.

A page holds buckets, a bucket results.  A file may hold one page, several (an array, or one a line), bare
buckets, or the same as a flat CSV of one result a row, in which an empty bucket is a row of bounds alone.
What a result means is the readers' part.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.entries import Entry, read_records, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from breakeven.traffic.head import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an API calls a bucket's bounds, and the fields that a flat result must have."""

    start: str
    end: str
    result_fields: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result with its bucket's bounds; ``content`` is None for a bucket without any.

    ``wrong`` says why there is nothing to read at that place.  At the end of a page stands one with ``more`` alone:
    whether the page says that others follow.
    """

    place: str
    start: Any = None
    end: Any = None
    content: Mapping[str, Any] | None = None
    wrong: str = ""
    more: bool | None = None


def first_results(head: Head, shape: Shape) -> list[Result]:
    """Return the results among the first records of a file, for telling its format."""
    if head.form in ("csv", "parquet"):
        return []
    return [result for record in head.records for result in _walk("", record, shape) if not result.wrong]


def is_flat(head: Head, shape: Shape) -> bool:
    """Whether a file's columns are bounds and results side by side."""
    return {shape.start, shape.end} | shape.result_fields <= {column.name for column in head.columns}


def read_results(head: Head, shape: Shape) -> Iterator[Result]:
    """Yield every result, and one without content for each empty bucket."""
    for place, record in read_records(head):
        if record is None:
            yield Result(place=place, wrong="it is not an object with fields, and a page or a bucket is")
        elif head.form in ("csv", "parquet"):
            filled = any(record.get(name) not in (None, "") for name in shape.result_fields)
            yield Result(
                place=place, start=record[shape.start], end=record[shape.end], content=record if filled else None
            )
        else:
            yield from _walk(place, record, shape)


def _walk(place: str, record: Mapping[str, Any], shape: Shape) -> Iterator[Result]:
    if "data" not in record:
        yield from _bucket(place, record, shape)
        return
    buckets = record["data"]
    if not isinstance(buckets, list):
        yield Result(place=within(place, "data"), wrong="it is not a list of buckets")
        return
    for number, bucket in enumerate(buckets):
        yield from _bucket(within(place, f"data[{number}]"), bucket, shape)
    yield Result(place=place, more=record.get("has_more") is True)


def _bucket(place: str, bucket: Any, shape: Shape) -> Iterator[Result]:
    if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
        yield Result(place=place, wrong=f"it is no bucket with {shape.start}, {shape.end} and a list of results")
        return
    start, end = bucket.get(shape.start), bucket.get(shape.end)
    for number, content in enumerate(bucket["results"]):
        inner = within(place, f"results[{number}]")
        if isinstance(content, dict):
            yield Result(place=inner, start=start, end=end, content=content)
        else:
            yield Result(place=inner, wrong="it is not an object with fields, and a result is")
    if not bucket["results"]:
        yield Result(place=place, start=start, end=end)


LATEST_S: Final = 4_102_444_800
"""The year 2100: a later bound is in another unit."""


def instant_s(value: Any) -> float | None:
    """Return a bucket's bound in seconds since 1970, from such seconds or from an RFC 3339 time; None where neither."""
    try:
        if isinstance(value, str) and ":" in value:
            time = datetime.fromisoformat(value)
            seconds = time.timestamp() if time.tzinfo else math.nan
        else:
            seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < LATEST_S else None


def series_of(content: Mapping[str, Any], dimensions: Sequence[str]) -> str:
    """Return what a result is the total of: its dimensions that are given, as JSON."""
    given = {name: str(content[name]) for name in dimensions if content.get(name) not in (None, "")}
    return json.dumps(given, sort_keys=True)


def bounds(result: Result) -> tuple[int | None, str]:
    """Return the length of a result's bucket in seconds, and what is wrong with its bounds."""
    start, end = instant_s(result.start), instant_s(result.end)
    if start is None or end is None:
        return None, f"its bucket runs from {result.start!r} to {result.end!r}, which are not two times"
    if end <= start:
        return None, f"its bucket ends at {result.end!r}, which is not after its start {result.start!r}"
    return round(end - start), ""


def more_note(head: Head, *, more: bool) -> Iterator[str]:
    """Say that pages are missing, where the last one says that others follow."""
    if more:
        yield f"{head.file}: the last page says that more follow (has_more); without them traffic is missing"


def wrong_entry(result: Result, reason: str) -> Entry:
    """Return the entry of a result that cannot be used."""
    return Entry(place=result.place, wrong=reason)
