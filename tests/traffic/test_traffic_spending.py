"""Where tokens go: processing, parts of the input, failures, repetitions, and jobs that nobody waits for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import DAY_S, HOUR_S, requests_of

from breakeven.records import Destinations, TrafficProfile
from breakeven.traffic.profile import profile
from breakeven.usage import TokenUsage


def spent(given_input: int, output: int = 0) -> TokenUsage:
    return TokenUsage(input_tokens=given_input, output_tokens=output)


def test_a_silent_log_says_only_what_was_written() -> None:
    found = profile(requests_of([{"at_s": i, "input_tokens": 10, "output_tokens": i} for i in range(4)]))
    assert found.destinations == Destinations(
        system_tokens=None,
        history_tokens=None,
        fresh_tokens=None,
        parted_input_tokens=None,
        output_tokens=6,
        failed_usage=None,
        retry_usage=None,
    )
    assert found.batch_fraction is None
    assert found.batchable_fraction is None


def test_parts_of_the_input_are_summed_over_the_requests_that_state_them() -> None:
    rows = [
        {"at_s": 0, "input_tokens": 100, "system_tokens": 60, "history_tokens": 10},
        {"at_s": 1, "input_tokens": 50, "system_tokens": 20},
        {"at_s": 2, "input_tokens": 30, "system_tokens": 20, "history_tokens": 20},  # more than there is: nothing fresh
        {"at_s": 3, "input_tokens": 999},
    ]
    found = profile(requests_of(rows)).destinations
    assert found is not None
    assert (found.system_tokens, found.history_tokens, found.fresh_tokens) == (100, 30, 60)
    assert found.parted_input_tokens == 180


def test_failed_attempts_and_repetitions_have_their_tokens() -> None:
    rows: list[dict[str, Any]] = [
        {"at_s": 0, "input_tokens": 5, "output_tokens": 1, "failed": True, "retry": False},
        {"at_s": 1, "input_tokens": 5, "output_tokens": 2, "failed": True, "retry": True},
        {"at_s": 2, "input_tokens": 5, "output_tokens": 4, "failed": False, "retry": True},
        {"at_s": 3, "input_tokens": 7, "output_tokens": 9, "failed": None, "retry": None},
    ]
    found = profile(requests_of(rows)).destinations
    assert found is not None
    assert found.failed_usage == spent(10, 3)
    assert found.retry_usage == spent(10, 6)


def test_prices_by_processing_have_cells_of_their_own() -> None:
    kinds = ["batch", None, "flex", "standard", "batch"]
    rows: list[dict[str, Any]] = [
        {"at_s": i, "input_tokens": 10 + i, "processing": kind} for i, kind in enumerate(kinds)
    ]
    found = profile(requests_of(rows))
    assert [(cell.processing, cell.requests, cell.usage.input_tokens) for cell in found.cells] == [
        ("batch", 2, 24),
        ("flex", 1, 12),
        ("standard", 2, 24),
    ]
    assert found.batch_fraction == 36 / 60


rows_of_all_kinds = st.lists(
    st.fixed_dictionaries(
        {
            "at_s": st.integers(0, 3 * DAY_S),
            "input_tokens": st.integers(0, 1_000_000),
            "output_tokens": st.integers(0, 100_000),
            "processing": st.sampled_from([None, "standard", "batch", "flex", "priority"]),
            "failed": st.sampled_from([None, True, False]),
            "retry": st.sampled_from([None, True, False]),
            "model": st.sampled_from([None, "a", "b"]),
        }
    ),
    min_size=2,
    max_size=20,
).filter(lambda rows: len({row["at_s"] for row in rows}) > 1)


@settings(max_examples=20, deadline=None)
@given(rows_of_all_kinds, rows_of_all_kinds)
def test_two_logs_together_spend_what_each_of_them_spends(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    parts, whole = [profile(requests_of(rows)) for rows in (one, other)], profile(requests_of([*one, *other]))
    assert parts[0].usage + parts[1].usage == whole.usage
    for name in {cell.processing for cell in whole.cells}:
        assert sum((by_processing(part, name) for part in parts), start=spent(0)) == by_processing(whole, name)
    assert sum((failed(part) for part in parts), start=spent(0)) == failed(whole)


def by_processing(found: TrafficProfile, name: str) -> TokenUsage:
    return sum((cell.usage for cell in found.cells if cell.processing == name), start=spent(0))


def failed(found: TrafficProfile) -> TokenUsage:
    assert found.destinations is not None
    return found.destinations.failed_usage or spent(0)


def nightly(days: int, requests: int, **more: object) -> list[dict[str, Any]]:
    """Return a job that sends so many requests each night within an hour."""
    return [
        {"at_s": day * DAY_S + 2 * HOUR_S + i * 3000 // requests, "input_tokens": 10, "key": "job"} | more
        for day in range(days)
        for i in range(requests)
    ]


def by_day(days: int) -> list[dict[str, Any]]:
    """Return people at work: 40 requests an hour for ten hours of each day."""
    return [
        {"at_s": day * DAY_S + (8 + i // 40) * HOUR_S + i % 40 * 90, "input_tokens": 10, "key": "people"}
        for day in range(days)
        for i in range(400)
    ]


def test_what_runs_like_a_job_is_fit_for_a_batch() -> None:
    found = profile(requests_of([*by_day(9), *nightly(9, 200)]))
    assert found.batchable_fraction == pytest.approx(200 / 600)
    assert "1 of the streams by key run like jobs" in found.notes[0]


@pytest.mark.parametrize(
    "others",
    [nightly(9, 80), nightly(4, 200), nightly(9, 200, key=None), nightly(9, 200, processing="batch")],
    ids=["too few an hour", "on too few days", "without a key", "a batch already"],
)
def test_what_does_not_look_like_a_job_is_not(others: list[dict[str, Any]]) -> None:
    assert profile(requests_of([*by_day(9), *others])).batchable_fraction == 0.0


def test_less_than_a_week_shows_no_jobs() -> None:
    assert profile(requests_of([*by_day(6), *nightly(6, 200)])).batchable_fraction is None
