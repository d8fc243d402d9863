"""Ids: increasing whatever the clock does, apart between workers, and readable both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.ledger.ids import ATTEMPTS, EPOCH_MS, RequestIds, received_ms, request_id, request_text

NOW_MS = EPOCH_MS + 57_000_000_000


@given(st.lists(st.integers(0, EPOCH_MS * 2), min_size=1, max_size=200), st.integers(0, 63))
def test_ids_increase_however_the_clock_jumps(times_ms: list[int], worker: int) -> None:
    ids = RequestIds(worker)
    made = [ids.next(at_ms) for at_ms in times_ms]
    assert made == sorted(set(made))
    assert all(0 < one < 1 << 63 and one % ATTEMPTS == 0 for one in made)
    assert all(received_ms(one) >= at_ms for one, at_ms in zip(made, times_ms, strict=True) if at_ms > EPOCH_MS)


def test_more_ids_than_a_millisecond_holds_borrow_from_the_next_one() -> None:
    ids = RequestIds(5)
    made = [ids.next(NOW_MS) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert received_ms(made[0]) == NOW_MS
    assert received_ms(made[-1]) == NOW_MS + 2


def test_workers_make_different_ids_in_the_same_millisecond() -> None:
    makers = [RequestIds(worker) for worker in range(64)]
    made = [maker.next(NOW_MS) for maker in makers for _ in range(100)]
    assert len(set(made)) == len(made)


@given(st.integers(0, (1 << 62) - 1), st.integers(0, 63), st.integers(-100_000, 100_000))
def test_ids_are_above_the_floor_even_if_the_clock_was_set_back(floor: int, worker: int, ahead_ms: int) -> None:
    assert RequestIds(worker, floor).next(received_ms(floor) + ahead_ms) > floor


@given(st.integers(0, (1 << 59) - 1), st.integers(0, (1 << 59) - 1))
def test_the_text_of_an_id_reads_back_and_sorts_as_the_id(first: int, second: int) -> None:
    one, other = first << 4, second << 4
    assert request_id(request_text(one)) == one
    assert len(request_text(one)) == 15
    assert (request_text(one) < request_text(other)) == (one < other)
    assert request_text(one | 7) == request_text(one)


@pytest.mark.parametrize("text", ["", "123", "g" * 15, "0" * 16, "12345 789012345", "-23456789012345", "٣" * 15])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"request id|invalid literal"):
        request_id(text)


def test_a_worker_number_beyond_six_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 63"):
        RequestIds(64)


def test_a_year_that_has_no_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="2094"):
        RequestIds(0).next(EPOCH_MS + (1 << 41))
