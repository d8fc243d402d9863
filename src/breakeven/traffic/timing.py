"""How requests spread over time: windows, hours of the week, peaks, bursts and gaps.

Times become whole microseconds since 1970 first; all further arithmetic is on integers.
"""

from __future__ import annotations

import math
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import ibis

from breakeven.records import TrafficTimes, Window
from breakeven.traffic.schema import TIME
from breakeven.traffic.sums import fetch, moments_of, request_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ibis.expr.types import IntegerValue, Table

MICROSECONDS: Final = 1_000_000
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
HOURS_PER_WEEK: Final = 168
EPOCH_HOUR_OF_WEEK: Final = 72
"""1970-01-01 00:00 UTC was a Thursday, 72 hours after Monday."""

FINE_WINDOW_S: Final = 60
COARSE_WINDOW_S: Final = 600
FINE_SPAN_S: Final = 31 * DAY_S
"""Up to a month of one-minute windows; a longer trace takes ten minutes, to stay below 100,000."""

PEAK_QUANTILE: Final = 0.99


def microseconds_of(table: Table) -> IntegerValue:
    """Return the time of each request in microseconds since 1970."""
    return table[TIME].delta(ibis.timestamp("1970-01-01T00:00:00Z"), unit="microsecond")


def spread_over_time(table: Table, first_at: datetime, last_at: datetime, requests: int) -> TrafficTimes:
    """Describe a trace of at least two requests whose first and last time differ.

    ``span_s`` is (last - first) n / (n - 1): n requests have n - 1 gaps between them, and the
    observed time holds one more.
    """
    table = table.mutate(at_us=microseconds_of(table))
    first_us, last_us = _microseconds(first_at), _microseconds(last_at)
    span_s = (last_us - first_us) / MICROSECONDS * requests / (requests - 1)
    window_s = FINE_WINDOW_S if span_s <= FINE_SPAN_S else COARSE_WINDOW_S
    windows = _windows(table, first_us, window_s)
    count = max(math.ceil(span_s / window_s), windows[-1].index + 1)
    in_windows = [window.moments.requests for window in windows]
    return TrafficTimes(
        first_at=first_at.astimezone(UTC),
        last_at=last_at.astimezone(UTC),
        span_s=span_s,
        window_s=float(window_s),
        window_count=count,
        windows=windows,
        hour_of_week_requests_per_s=_hours_of_week(table, first_us / MICROSECONDS, span_s),
        peak_to_mean_ratio=_peak_to_mean(in_windows, count),
        burstiness_ratio=_burstiness(in_windows, count),
        gap_cv_ratio=_gap_cv(table),
    )


def _microseconds(moment: datetime) -> int:
    # Integers throughout: datetime.timestamp() is a float and may lose the last microsecond.
    return int(moment.replace(microsecond=0).timestamp()) * MICROSECONDS + moment.microsecond


def _windows(table: Table, first_us: int, window_s: int) -> tuple[Window, ...]:
    index = (table.at_us - first_us) // (window_s * MICROSECONDS)
    rows = fetch(table.group_by(index=index).aggregate(**request_sums(table)))
    return tuple(Window(index=row["index"], moments=moments_of(row)) for row in sorted(rows, key=_index))


def _index(row: Mapping[str, Any]) -> int:
    index: int = row["index"]
    return index


def _hours_of_week(table: Table, first_s: float, span_s: float) -> tuple[float | None, ...]:
    """Divide the requests of each hour of the week by the seconds of it that were observed."""
    hour = (table.at_us // (HOUR_S * MICROSECONDS) + EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK
    requests = {
        row["hour"]: row["requests"] for row in fetch(table.group_by(hour=hour).aggregate(requests=table.count()))
    }
    observed_s = _observed_s(first_s, first_s + span_s)
    return tuple(
        requests.get(hour, 0) / observed_s[hour] if hour in observed_s else None for hour in range(HOURS_PER_WEEK)
    )


def _observed_s(start_s: float, end_s: float) -> dict[int, float]:
    """Return the observed seconds of each hour of the week between two instants."""
    seconds = dict.fromkeys(range(HOURS_PER_WEEK), 0.0)
    for hour in range(int(start_s // HOUR_S), int(end_s // HOUR_S) + 1):
        seen_s = min(end_s, (hour + 1) * HOUR_S) - max(start_s, hour * HOUR_S)
        seconds[(hour + EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK] += seen_s
    return {hour: seen_s for hour, seen_s in seconds.items() if seen_s > 0}


def _peak_to_mean(in_windows: Sequence[int], window_count: int) -> float:
    """Divide the 99th percentile of requests per window by their mean; empty windows count."""
    ranked = sorted(in_windows)
    empty = window_count - len(ranked)
    position = PEAK_QUANTILE * (window_count - 1)
    below, above = (0 if rank < empty else ranked[rank - empty] for rank in (math.floor(position), math.ceil(position)))
    peak = below + (above - below) * (position - math.floor(position))
    return peak / (sum(ranked) / window_count)


def _burstiness(in_windows: Sequence[int], window_count: int) -> float:
    """Divide the variance of requests per window by their mean; empty windows count."""
    total = sum(in_windows)
    squares = sum(requests * requests for requests in in_windows)
    return (squares * window_count - total * total) / (total * window_count)


def _gap_cv(table: Table) -> float:
    """Return the coefficient of variation of the gaps between consecutive requests.

    cv^2 = m Σg² / (Σg)² - 1 over m gaps g, on exact integers: the difference cancels where
    requests come regularly.
    """
    before = table.at_us.lag().over(ibis.window(order_by=table.at_us))
    gaps = table.select(gap_us=(table.at_us - before).cast("decimal(19, 0)"))
    squares = (gaps.gap_us * gaps.gap_us).cast("decimal(38, 0)")
    row = fetch(gaps.aggregate(count=gaps.gap_us.count(), total=gaps.gap_us.sum(), squares=squares.sum()))[0]
    count, total, squared = row["count"], int(row["total"]), int(row["squares"])
    return math.sqrt((count * squared - total * total) / (total * total))
