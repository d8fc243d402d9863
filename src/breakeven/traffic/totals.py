"""Profiles of totals: of a bill, one row a month, and of windows, one row a time bucket.

Totals cannot be told apart into requests.  A bucket's requests are taken at their mean length, as far as their
number is known: sums and means stay right, but products of lengths lose the spread inside a bucket, and the
distribution of lengths is not seen at all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import ibis

from breakeven.records import Moments, PriceCell, TrafficProfile, TrafficTimes, Window
from breakeven.traffic.categories import OVER, SEGMENT, cells_of, deferred_fraction, shares_of
from breakeven.traffic.growth import growth_of
from breakeven.traffic.schema import (
    INPUT_TOKENS,
    MODEL,
    MONTH,
    OUTPUT_TOKENS,
    PROCESSING,
    REQUESTS,
    TOKEN_COLUMNS,
    WINDOW_S,
)
from breakeven.traffic.sums import add_up, fetch, microseconds_of, time_of, token_sums, usage_of
from breakeven.traffic.timing import (
    DAY_S,
    HOUR_S,
    MICROSECONDS,
    burstiness,
    peak_to_mean,
    rates_by_hour_of_week,
    whole_days,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.traffic.trace import Trace

    Rows = Sequence[Mapping[str, Any]]

_JOINT: Final = (
    "the log holds totals: lengths are known as means of a bucket, so how they spread and go together is not seen, "
    "and second moments are those of requests of mean length"
)
_UNCOUNTED: Final = "not every bucket says how many requests it holds, so lengths and rates of requests are unknown"


def bill_profile(trace: Trace) -> TrafficProfile:
    """Sum a bill up: one cell, no lengths and no times.

    Its second moments are 0 even where the number of requests is known: products of mean lengths over a month
    would pass for a distribution that nobody observed.
    """
    table = trace.table
    by_model = fetch(table.group_by(MODEL).aggregate(requests=table[REQUESTS].sum(), **token_sums(table)))
    # Requests that only some rows state would give a mean length over the wrong tokens: all or none.
    requests = ibis.ifelse(table[REQUESTS].count() == table.count(), table[REQUESTS].sum(), 0)
    totals = fetch(table.aggregate(requests=requests, months=table[MONTH].nunique(), **token_sums(table)))[0]
    usage = usage_of(totals)
    return TrafficProfile(
        source=trace.source,
        kind="bill",
        rows_read=trace.rows_read,
        rows_lost=trace.rows_lost,
        usage=usage,
        moments=_moments(totals, 0.0, 0.0),
        months=float(totals["months"]),
        input_lengths=None,
        output_lengths=None,
        cells=(PriceCell(input_over_tokens=0, day_segment=0, requests=totals[REQUESTS], usage=usage),),
        models=shares_of([row | {REQUESTS: row[REQUESTS] or 0} for row in by_model]),
        times=None,
    )


def windows_profile(trace: Trace, day_boundaries_s: Sequence[int]) -> TrafficProfile:
    """Sum windows up; a price that changes inside a bucket is taken as at its beginning."""
    rows = _buckets(trace, sorted(set(day_boundaries_s)))
    counted = all(map(_says_its_requests, rows))
    rows = [{**row, REQUESTS: (row[REQUESTS] or 0) if counted else 0} for row in rows]
    totals = add_up(rows, (REQUESTS, *TOKEN_COLUMNS))
    first_us = min(row["at_us"] for row in rows)
    end_us = max(row["at_us"] + row[WINDOW_S] * MICROSECONDS for row in rows)
    times = _times(rows, first_us, end_us, counted=counted)
    widest_s = int(times.window_s)
    days = whole_days(rows, first_us / MICROSECONDS, end_us / MICROSECONDS) if DAY_S % widest_s == 0 else {}
    notes = [_JOINT if counted else _UNCOUNTED]
    if len({row[WINDOW_S] for row in rows}) > 1:
        notes.append(f"buckets differ in length; they are put into windows of the longest, {widest_s:,} s")
    if day_boundaries_s and widest_s > HOUR_S:
        notes.append(f"buckets of {widest_s:,} s do not show the time of day: prices are those at their beginning")
    return TrafficProfile(
        source=trace.source,
        kind="windows",
        rows_read=trace.rows_read,
        rows_lost=trace.rows_lost,
        usage=usage_of(totals),
        moments=_of_means(rows),
        months=0.0,
        input_lengths=None,
        output_lengths=None,
        cells=cells_of(rows),
        models=shares_of(rows),
        times=times,
        growth=growth_of(days),
        batch_fraction=deferred_fraction(rows),
        notes=tuple(notes),
    )


def _says_its_requests(row: Mapping[str, Any]) -> bool:
    """Whether every series of a bucket was counted; tokens of no request at all were not."""
    return row["counted"] == row["series"] and bool(row[REQUESTS] or not (row[INPUT_TOKENS] or row[OUTPUT_TOKENS]))


def _buckets(trace: Trace, boundaries_s: Sequence[int]) -> Rows:
    """Fetch the totals of each bucket, model and processing, with what cells and days need of its beginning."""
    table = trace.table
    keys = {"at_us": microseconds_of(table), WINDOW_S: table[WINDOW_S], MODEL: table[MODEL]}
    rows = fetch(
        table.group_by(**keys, processing=table[PROCESSING]).aggregate(
            requests=table[REQUESTS].sum(), counted=table[REQUESTS].count(), series=table.count(), **token_sums(table)
        )
    )
    for row in rows:
        start_s = row["at_us"] // MICROSECONDS
        segment = sum(start_s % DAY_S >= boundary_s for boundary_s in boundaries_s)
        row |= {"hour": start_s // HOUR_S, OVER: 0, SEGMENT: segment}
    return rows


def _times(rows: Rows, first_us: int, end_us: int, *, counted: bool) -> TrafficTimes:
    """Describe how buckets spread over time; without numbers of requests the peak is that of tokens."""
    widest_s = max(row[WINDOW_S] for row in rows)
    span_s = (end_us - first_us) / MICROSECONDS
    parts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[(row["at_us"] - first_us) // (widest_s * MICROSECONDS)].append(row)
    windows = tuple(Window(index=index, moments=_of_means(parts[index])) for index in sorted(parts))
    count = max(math.ceil(span_s / widest_s), windows[-1].index + 1)
    seen = [window.moments for window in windows]
    in_windows = [m.requests if counted else m.input_tokens + m.output_tokens for m in seen]
    shows_hours = counted and HOUR_S % widest_s == 0
    return TrafficTimes(
        first_at=time_of(first_us),
        last_at=time_of(end_us),
        span_s=span_s,
        window_s=float(widest_s),
        window_count=count,
        windows=windows,
        hour_of_week_requests_per_s=rates_by_hour_of_week(rows, first_us / MICROSECONDS, span_s) if shows_hours else (),
        peak_to_mean_ratio=peak_to_mean(in_windows, count),
        burstiness_ratio=burstiness(in_windows, count) if counted else None,
        gap_cv_ratio=None,
    )


def _of_means(rows: Rows) -> Moments:
    """Return moments with each row's requests at its mean lengths: Σ i o / n and Σ o² / n over the rows."""
    counted = [row for row in rows if row[REQUESTS]]
    return _moments(
        add_up(rows, (REQUESTS, *TOKEN_COLUMNS)),
        math.fsum(row[INPUT_TOKENS] * row[OUTPUT_TOKENS] / row[REQUESTS] for row in counted),
        math.fsum(row[OUTPUT_TOKENS] ** 2 / row[REQUESTS] for row in counted),
    )


def _moments(totals: Mapping[str, int], input_output: float, output_output: float) -> Moments:
    return Moments(
        requests=totals[REQUESTS],
        input_tokens=totals[INPUT_TOKENS],
        output_tokens=totals[OUTPUT_TOKENS],
        input_output_tokens2=input_output,
        output_output_tokens2=output_output,
    )
