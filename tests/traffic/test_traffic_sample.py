"""The shipped sample, against totals counted here with nothing but the csv module."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path

if TYPE_CHECKING:
    from breakeven.records import TrafficProfile

    Rows = list[tuple[datetime, int, int]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    with gzip.open(sample_path(), "rt", encoding="utf-8", newline="") as stream:
        return [
            # Seven decimals are one more than Python reads; the last is cut, as in the profile.
            (
                datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC),
                int(row["ContextTokens"]),
                int(row["GeneratedTokens"]),
            )
            for row in csv.DictReader(stream)
        ]


@pytest.fixture(scope="module")
def sample() -> TrafficProfile:
    return profile(read_trace([sample_path()]), input_thresholds_tokens=(1000, 4000), day_boundaries_s=(68_400,))


def test_every_row_of_the_sample_is_used(rows: Rows, sample: TrafficProfile) -> None:
    assert len(rows) == 19_366
    assert (sample.rows_read, sample.rows_lost, sample.moments.requests) == (19_366, 0, 19_366)


def test_token_sums_of_the_sample_are_those_counted_by_hand(rows: Rows, sample: TrafficProfile) -> None:
    assert sample.usage.input_tokens == sum(row[1] for row in rows) == 22_361_870
    assert sample.usage.output_tokens == sum(row[2] for row in rows) == 4_088_665
    assert sample.input_output_ratio == pytest.approx(5.5, abs=0.05)


def test_second_moments_of_the_sample_equal_a_direct_sum(rows: Rows, sample: TrafficProfile) -> None:
    assert sample.moments.input_output_tokens2 == sum(row[1] * row[2] for row in rows)
    assert sample.moments.output_output_tokens2 == sum(row[2] ** 2 for row in rows)


def test_lengths_of_the_sample_are_its_order_statistics(rows: Rows, sample: TrafficProfile) -> None:
    inputs = sorted(row[1] for row in rows)
    assert sample.input_lengths is not None
    assert sample.output_lengths is not None
    assert sample.input_lengths.p50_tokens == (inputs[9682] + inputs[9683]) / 2
    assert sample.input_lengths.max_tokens == inputs[-1]
    assert sample.input_lengths.mean_tokens == pytest.approx(sum(inputs) / len(inputs))
    assert sample.output_lengths.p10_tokens <= sample.output_lengths.p50_tokens <= sample.output_lengths.p90_tokens


def test_cells_of_the_sample_are_those_counted_by_hand(rows: Rows, sample: TrafficProfile) -> None:
    def cell(time: datetime, tokens: int) -> tuple[int, int]:
        return (4000 if tokens > 4000 else 1000 if tokens > 1000 else 0, int(time.hour >= 19))

    assert {(c.input_over_tokens, c.day_segment): c.requests for c in sample.cells} == Counter(
        cell(time, tokens) for time, tokens, _ in rows
    )


def test_windows_of_the_sample_are_minutes_from_the_first_request(rows: Rows, sample: TrafficProfile) -> None:
    first = rows[0][0]
    assert sample.times is not None
    by_hand = Counter(int((row[0] - first).total_seconds() // 60) for row in rows)
    assert {window.index: window.moments.requests for window in sample.times.windows} == by_hand
    assert (sample.times.window_s, sample.times.window_count) == (60.0, 59)
    assert (sample.times.first_at, sample.times.last_at) == (first, rows[-1][0])


def test_the_span_holds_one_mean_gap_more_than_first_to_last(rows: Rows, sample: TrafficProfile) -> None:
    assert sample.times is not None
    seconds = (rows[-1][0] - rows[0][0]).total_seconds()
    assert sample.times.span_s == pytest.approx(seconds * 19_366 / 19_365)


def test_hours_of_the_week_are_known_only_where_the_sample_observed_them(sample: TrafficProfile) -> None:
    assert sample.times is not None
    known = {hour: rate for hour, rate in enumerate(sample.times.hour_of_week_requests_per_s) if rate is not None}
    thursday = 3 * 24
    assert set(known) == {thursday + 18, thursday + 19}
    assert len(sample.times.hour_of_week_requests_per_s) == 168


def test_the_sample_names_its_source_and_that_nothing_is_said_of_caches() -> None:
    trace = read_trace([sample_path()])
    assert trace.source == "azure_chat_2023-11-16.csv.gz"
    assert trace.problems == ()
    assert "no column says which input tokens were cached: all count as fresh" in trace.notes
