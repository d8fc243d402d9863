"""How requests spread over time: windows, hours of the week, days, peaks, bursts and gaps.

Times are whole microseconds since 1970; all arithmetic is on integers.  One pass sums the requests of every hour
and window; all else but the gaps follows from these sums.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import ibis

from breakeven.records import TrafficTimes, Window
from breakeven.traffic.schema import INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS
from breakeven.traffic.sums import SUMS, add_up, fetch, microseconds_of, moments_of, request_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ibis.expr.types import Table

    from breakeven.records import Moments
    from breakeven.traffic.coverage import Coverage

    Rows = Sequence[Mapping[str, Any]]

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

GAP_REQUESTS: Final = 1_000_000
"""Gaps need a sort: of a longer trace, a stretch of about so many requests from its middle is taken."""

WHOLE_DAY_SLACK_S: Final = 600
"""A day counts as whole though its first or last ten minutes saw no request."""


def sums_by_hour_and_window(table: Table, seen: Coverage) -> Rows:
    """Sum the requests of every hour (``hour``, since 1970) and window (``index``, from the first request)."""
    at_us = microseconds_of(table)
    keys = {
        "hour": at_us // (HOUR_S * MICROSECONDS),
        "index": (at_us - seen.first_us) // (window_length_s(seen) * MICROSECONDS),
    }
    return fetch(table.group_by(**keys).aggregate(**request_sums(table)))


def window_length_s(seen: Coverage) -> int:
    """Return the length of the windows that a trace is cut into."""
    return FINE_WINDOW_S if span_s(seen) <= FINE_SPAN_S else COARSE_WINDOW_S


def span_s(seen: Coverage) -> float:
    """Return the observed time: (last - first) n / (n - 1), as n requests have n - 1 gaps between them."""
    return (seen.last_us - seen.first_us) / MICROSECONDS * seen.requests / (seen.requests - 1)


def spread_over_time(table: Table, seen: Coverage, rows: Rows) -> tuple[TrafficTimes, tuple[str, ...]]:
    """Describe a trace of at least two requests whose first and last time differ, with a note where it is a part.

    ``rows`` are its ``sums_by_hour_and_window``.
    """
    length_s = window_length_s(seen)
    windows = _windows(rows)
    count = max(math.ceil(span_s(seen) / length_s), windows[-1].index + 1)
    in_windows = [window.moments.requests for window in windows]
    gap_cv, notes = _gap_cv(table, seen, windows)
    times = TrafficTimes(
        first_at=seen.first_at,
        last_at=seen.last_at,
        span_s=span_s(seen),
        window_s=float(length_s),
        window_count=count,
        windows=windows,
        hour_of_week_requests_per_s=rates_by_hour_of_week(rows, seen.first_us / MICROSECONDS, span_s(seen)),
        peak_to_mean_ratio=peak_to_mean(in_windows, count),
        burstiness_ratio=burstiness(in_windows, count),
        gap_cv_ratio=gap_cv,
    )
    return times, notes


def _windows(rows: Rows) -> tuple[Window, ...]:
    """Add the hours of each window together: a window may lie in two."""
    parts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["index"]].append(row)
    return tuple(Window(index=index, moments=_moments(parts[index])) for index in sorted(parts))


def _moments(rows: Rows) -> Moments:
    return moments_of(rows[0] if len(rows) == 1 else add_up(rows, SUMS))


def rates_by_hour_of_week(rows: Rows, first_s: float, span_s: float) -> tuple[float | None, ...]:
    """Divide the requests of each hour of the week by the seconds of it that were observed."""
    requests = dict.fromkeys(range(HOURS_PER_WEEK), 0)
    for row in rows:
        requests[(row["hour"] + EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK] += row[REQUESTS]
    observed_s = _observed_s(first_s, first_s + span_s)
    return tuple(requests[hour] / observed_s[hour] if hour in observed_s else None for hour in range(HOURS_PER_WEEK))


def _observed_s(start_s: float, end_s: float) -> dict[int, float]:
    """Return the observed seconds of each hour of the week between two instants."""
    seconds = dict.fromkeys(range(HOURS_PER_WEEK), 0.0)
    for hour in range(int(start_s // HOUR_S), int(end_s // HOUR_S) + 1):
        seen_s = min(end_s, (hour + 1) * HOUR_S) - max(start_s, hour * HOUR_S)
        seconds[(hour + EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK] += seen_s
    return {hour: seen_s for hour, seen_s in seconds.items() if seen_s > 0}


def peak_to_mean(in_windows: Sequence[int], window_count: int) -> float:
    """Divide the 99th percentile of what windows hold by their mean; empty windows count."""
    ranked = sorted(in_windows)
    empty = window_count - len(ranked)
    position = PEAK_QUANTILE * (window_count - 1)
    below, above = (0 if rank < empty else ranked[rank - empty] for rank in (math.floor(position), math.ceil(position)))
    peak = below + (above - below) * (position - math.floor(position))
    return peak / (sum(ranked) / window_count)


def burstiness(in_windows: Sequence[int], window_count: int) -> float:
    """Divide the variance of requests per window by their mean; empty windows count."""
    total = sum(in_windows)
    squares = sum(requests * requests for requests in in_windows)
    return (squares * window_count - total * total) / (total * window_count)


def whole_days(rows: Rows, start_s: float, end_s: float) -> dict[int, int]:
    """Return the tokens of each whole day (counted from 1970, UTC) between two instants, 0 where nothing came.

    A day is whole where the log covers it but for ten minutes at either end.
    """
    tokens: dict[int, int] = defaultdict(int)
    for row in rows:
        tokens[row["hour"] * HOUR_S // DAY_S] += row[INPUT_TOKENS] + row[OUTPUT_TOKENS]
    first = math.ceil((start_s - WHOLE_DAY_SLACK_S) / DAY_S)
    return {day: tokens.get(day, 0) for day in range(first, math.floor((end_s + WHOLE_DAY_SLACK_S) / DAY_S))}


def _gap_cv(table: Table, seen: Coverage, windows: Sequence[Window]) -> tuple[float | None, tuple[str, ...]]:
    """Return the coefficient of variation of the gaps between consecutive requests.

    cv^2 = m Σg² / (Σg)² - 1 over m gaps g, on exact integers: the difference cancels where
    requests come regularly.  None where the stretch that is looked at is a single instant.
    """
    table = table.select(at_us=microseconds_of(table))
    notes: tuple[str, ...] = ()
    if seen.requests > GAP_REQUESTS:
        first, last = _middle(windows, seen.requests)
        length_us = window_length_s(seen) * MICROSECONDS
        begin_us = seen.first_us + windows[first].index * length_us
        end_us = seen.first_us + (windows[last].index + 1) * length_us
        table = table.filter((table.at_us >= begin_us) & (table.at_us < end_us))
        taken = sum(window.moments.requests for window in windows[first : last + 1])
        notes = (f"the spread of gaps is that of {taken:,} consecutive requests from the middle of {seen.requests:,}",)
    before = table.at_us.lag().over(ibis.window(order_by=table.at_us))
    gaps = table.select(gap_us=(table.at_us - before).cast("decimal(19, 0)"))
    squares = (gaps.gap_us * gaps.gap_us).cast("decimal(38, 0)")
    row = fetch(gaps.aggregate(count=gaps.gap_us.count(), total=gaps.gap_us.sum(), squares=squares.sum()))[0]
    count, total, squared = row["count"], int(row["total"] or 0), int(row["squares"] or 0)
    return (math.sqrt((count * squared - total * total) / (total * total)) if total else None), notes


def _middle(windows: Sequence[Window], requests: int) -> tuple[int, int]:
    """Return the first and last of the windows around the middle request that hold ``GAP_REQUESTS`` at most, or one."""
    skipped, first = 0, 0
    while skipped + windows[first].moments.requests <= (requests - GAP_REQUESTS) // 2:
        skipped += windows[first].moments.requests
        first += 1
    taken, last = windows[first].moments.requests, first
    while last + 1 < len(windows) and taken + windows[last + 1].moments.requests <= GAP_REQUESTS:
        last += 1
        taken += windows[last].moments.requests
    return first, last
