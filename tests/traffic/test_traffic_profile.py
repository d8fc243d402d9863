"""The profile against sums in plain Python, and what must hold for any trace."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.traffic.profile import profile
from breakeven.traffic.schema import DETAILS, REQUEST_SCHEMA, TEXT_COLUMNS
from breakeven.traffic.trace import Trace
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.records import TrafficProfile, TrafficTimes

START = datetime(2026, 10, 1, 10, tzinfo=UTC)  # a Thursday
DAY_S = 86_400

Request = tuple[int, int, int, int, str | None]
"""Microseconds from the start, input, cached and output tokens, model."""


def trace_of(requests: Sequence[Request]) -> Trace:
    """Make a trace as the ledger would: rows in memory, no file."""
    rows = [
        dict.fromkeys((*TEXT_COLUMNS, *DETAILS))
        | {
            "time": START + timedelta(microseconds=at_us),
            "model": model,
            "input_tokens": given,
            "cached_input_tokens": cached,
            "cache_write_tokens": 0,
            "output_tokens": written,
        }
        for at_us, given, cached, written, model in requests
    ]
    table = ibis.memtable(pa.Table.from_pylist(rows, schema=REQUEST_SCHEMA.to_pyarrow()))
    return Trace(kind="trace", source="memory", table=table, rows_read=len(rows), rows_lost=0)


def every_second(count: int, step_s: float = 1.0) -> list[Request]:
    return [(round(i * step_s * 1e6), 10 + i, 0, i, None) for i in range(count)]


def times_of(requests: Sequence[Request]) -> TrafficTimes:
    times = profile(trace_of(requests)).times
    assert times is not None
    return times


requests = st.lists(
    st.tuples(
        st.integers(0, 3 * DAY_S * 1_000_000),
        st.integers(0, 10_000_000),
        st.just(0),
        st.integers(0, 10_000_000),
        st.sampled_from([None, "large", "small"]),
    ),
    min_size=2,
    max_size=30,
).filter(lambda rows: len({row[0] for row in rows}) > 1)


def total(usages: Sequence[TokenUsage]) -> TokenUsage:
    return sum(usages, start=TokenUsage(input_tokens=0, output_tokens=0))


def cut(rows: Sequence[Request]) -> TrafficProfile:
    return profile(trace_of(rows), input_thresholds_tokens=(200_000, 5_000_000), day_boundaries_s=(30_000, 60_000))


@settings(max_examples=25, deadline=None)
@given(requests)
def test_sums_are_exact_and_parts_add_up_to_the_whole(rows: list[Request]) -> None:
    found = cut(rows)
    assert found.usage.input_tokens == sum(row[1] for row in rows)
    assert found.usage.output_tokens == sum(row[3] for row in rows)
    assert found.moments.input_output_tokens2 == float(sum(row[1] * row[3] for row in rows))
    assert found.moments.output_output_tokens2 == float(sum(row[3] ** 2 for row in rows))
    assert sum(cell.requests for cell in found.cells) == len(rows)
    assert total([cell.usage for cell in found.cells]) == found.usage
    if found.models:
        assert total([share.usage for share in found.models]) == found.usage
    assert found.times is not None
    windows = [window.moments for window in found.times.windows]
    assert sum(window.requests for window in windows) == len(rows)
    assert sum(window.input_tokens for window in windows) == found.usage.input_tokens
    assert math.fsum(window.input_output_tokens2 for window in windows) == found.moments.input_output_tokens2
    assert found.times.windows[-1].index < found.times.window_count


@settings(max_examples=15, deadline=None)
@given(requests, st.randoms(use_true_random=False))
def test_the_profile_does_not_depend_on_the_order_of_rows(rows: list[Request], random: st.DataObject) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cut(shuffled) == cut(rows)


@settings(max_examples=15, deadline=None)
@given(requests)
def test_rates_by_hour_of_the_week_times_observed_seconds_give_the_requests_back(rows: list[Request]) -> None:
    times = times_of(rows)
    start_s, end_s = times.first_at.timestamp(), times.first_at.timestamp() + times.span_s
    observed_s: Counter[int] = Counter()
    for hour in range(int(start_s // 3600), int(end_s // 3600) + 1):
        seen_s = min(end_s, (hour + 1) * 3600) - max(start_s, hour * 3600)
        observed_s[datetime.fromtimestamp(hour * 3600, UTC).weekday() * 24 + hour % 24] += seen_s  # type: ignore[assignment]
    counted = sum(
        rate * observed_s[hour] for hour, rate in enumerate(times.hour_of_week_requests_per_s) if rate is not None
    )
    assert counted == pytest.approx(len(rows))


def test_a_threshold_is_exceeded_only_above_it() -> None:
    rows: list[Request] = [(i, tokens, 0, 1, None) for i, tokens in enumerate([199, 200, 201, 999, 1000, 1001])]
    found = profile(trace_of(rows), input_thresholds_tokens=(1000, 200))
    assert [(cell.input_over_tokens, cell.requests) for cell in found.cells] == [(0, 2), (200, 3), (1000, 1)]


def test_a_segment_of_the_day_begins_at_its_boundary() -> None:
    at = [0, 3599, 3600, 14 * 3600]  # seconds after 10:00
    rows: list[Request] = [(second * 1_000_000, 1, 0, 1, None) for second in at]
    found = profile(trace_of(rows), day_boundaries_s=(39_600, 0))
    assert [(cell.day_segment, cell.requests) for cell in found.cells] == [(1, 3), (2, 1)]


def test_without_thresholds_there_is_one_cell() -> None:
    (cell,) = profile(trace_of(every_second(5))).cells
    assert (cell.input_over_tokens, cell.day_segment, cell.requests) == (0, 0, 5)


def test_models_come_with_the_most_requests_first_and_the_unnamed_under_no_name() -> None:
    names = ["b", "a", None, "a"]
    rows: list[Request] = [(i, 10, 4, 1, name) for i, name in enumerate(names)]
    shares = profile(trace_of(rows)).models
    assert [(share.model, share.requests, share.usage.cached_input_tokens) for share in shares] == [
        ("a", 2, 8),
        ("", 1, 4),
        ("b", 1, 4),
    ]


def test_a_log_that_names_no_model_has_no_shares() -> None:
    assert profile(trace_of(every_second(3))).models == ()


def test_regular_requests_have_no_spread_of_gaps_and_no_peak() -> None:
    times = times_of(every_second(600))
    assert times.gap_cv_ratio == 0.0
    assert (times.span_s, times.window_count) == (600.0, 10)
    assert times.peak_to_mean_ratio == 1.0
    assert times.burstiness_ratio == 0.0


def test_gaps_windows_and_peaks_equal_direct_statistics() -> None:
    seconds = [0, 1, 2, 4, 90, 91, 400]
    times = times_of([(second * 1_000_000, 1, 0, 1, None) for second in seconds])
    gaps = [later - earlier for earlier, later in pairwise(seconds)]
    assert times.gap_cv_ratio == pytest.approx(statistics.pstdev(gaps) / statistics.mean(gaps))
    assert times.span_s == pytest.approx(400 * 7 / 6)
    assert times.window_count == 8
    windows = [4, 2, 0, 0, 0, 0, 1, 0]
    assert [(window.index, window.moments.requests) for window in times.windows] == [(0, 4), (1, 2), (6, 1)]
    assert times.burstiness_ratio == pytest.approx(statistics.pvariance(windows) / statistics.mean(windows))
    p99 = 2 + 0.93 * (4 - 2)  # position 0.99 x 7 = 6.93 in the ranked windows
    assert times.peak_to_mean_ratio == pytest.approx(p99 / statistics.mean(windows))


def test_a_trace_longer_than_a_month_has_windows_of_ten_minutes() -> None:
    assert times_of(every_second(32, step_s=DAY_S)).window_s == 600.0
    assert times_of(every_second(31, step_s=DAY_S)).window_s == 60.0


def test_the_same_hour_of_two_weeks_is_averaged() -> None:
    week = 7 * DAY_S
    rows: list[Request] = [(s * 1_000_000, 1, 0, 1, None) for s in [*range(0, 3600, 10), *range(week, week + 3600, 30)]]
    rate = times_of(rows).hour_of_week_requests_per_s[3 * 24 + 10]
    assert rate == pytest.approx((360 + 120) / 7200, rel=0.01)


def test_large_counts_do_not_overflow() -> None:
    rows: list[Request] = [(i, 10_000_000, 0, 10_000_000, None) for i in range(1000)]
    found = profile(trace_of(rows))
    assert found.moments.input_output_tokens2 == 1e17
    many = profile(trace_of([(i, 999_999_999, 0, 999_999_999, None) for i in range(20)]))
    assert many.moments.output_output_tokens2 == float(20 * 999_999_999**2)


def test_a_single_request_shows_no_rate() -> None:
    with pytest.raises(InputError, match=r"memory: no time but 2026-10-01 10:00:00\+00:00 \(requests: 1\)"):
        profile(trace_of(every_second(1)))


def test_lost_rows_are_carried_into_the_profile() -> None:
    found = profile(replace(trace_of(every_second(5)), rows_read=8, rows_lost=3))
    assert (found.rows_read, found.rows_lost, found.moments.requests) == (8, 3, 5)


def test_lengths_are_interpolated_quantiles() -> None:
    lengths = profile(trace_of([(i, i * 10, 0, 1, None) for i in range(11)])).input_lengths
    assert lengths is not None
    assert (lengths.p10_tokens, lengths.p50_tokens, lengths.p90_tokens) == (10.0, 50.0, 90.0)
    assert lengths.p99_tokens == pytest.approx(99.0)
    assert (lengths.mean_tokens, lengths.max_tokens) == (50.0, 100)


@pytest.mark.parametrize("dialect", ["pyspark", "clickhouse", "postgres", "bigquery"])
def test_the_expression_that_cuts_time_can_be_written_for_other_databases(dialect: str) -> None:
    from ibis.backends.sql import compilers  # noqa: PLC0415 - only this test looks inside Ibis

    from breakeven.traffic.sums import microseconds_of, request_sums  # noqa: PLC0415

    table = ibis.table(REQUEST_SCHEMA, name="requests")
    cut_up = table.group_by(index=microseconds_of(table) // 60_000_000).aggregate(**request_sums(table))
    names = {"pyspark": "PySpark", "clickhouse": "ClickHouse", "postgres": "Postgres", "bigquery": "BigQuery"}
    compiler = getattr(compilers, f"{names[dialect]}Compiler")()
    assert "SUM" in compiler.to_sqlglot(cut_up).sql(compiler.dialect).upper()
