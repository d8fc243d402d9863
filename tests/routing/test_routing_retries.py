"""How often and how late a request is sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.retries import FAILED, FAILED_FOR_GOOD, UNTRIED, Retries, next_round

RETRIES = Retries(max_attempts=4, first_delay_s=1, max_delay_s=3)


@pytest.mark.parametrize(
    ("attempts", "uniform", "expected_s"),
    [(1, 0.0, 0.0), (1, 0.5, 0.5), (2, 0.5, 1.0), (3, 0.5, 1.5), (3, 1.0, 3.0), (4, 0.5, None), (9, 0.5, None)],
)
def test_the_wait_grows_up_to_the_longest_and_chance_takes_any_part_of_it(
    attempts: int, uniform: float, expected_s: float | None
) -> None:
    assert RETRIES.delay_s(attempts, uniform, None, 100) == expected_s


def test_what_a_target_asks_for_is_never_undercut() -> None:
    assert RETRIES.delay_s(1, 0.0, 2.5, 100) == 2.5
    assert RETRIES.delay_s(1, 0.5, 0.1, 100) == 0.5


def test_a_target_that_asks_for_too_much_is_not_waited_for() -> None:
    assert RETRIES.delay_s(1, 0.0, 3.1, 100) is None


def test_no_wait_reaches_the_deadline() -> None:
    assert RETRIES.delay_s(1, 0.5, None, 0.5) is None
    assert RETRIES.delay_s(1, 0.5, None, 0.6) == 0.5
    assert RETRIES.delay_s(1, 0.0, None, 0.0) is None
    assert RETRIES.delay_s(1, 0.0, 2.0, 1.9) is None


def test_another_target_is_tried_at_once_while_attempts_and_time_are_left() -> None:
    assert RETRIES.may_go_on(3, 0.1)
    assert not RETRIES.may_go_on(4, 0.1)
    assert not RETRIES.may_go_on(1, 0.0)
    assert not RETRIES.may_go_on(1, -1.0)


def test_a_second_round_leaves_out_those_that_waiting_does_not_help() -> None:
    assert next_round((FAILED, FAILED_FOR_GOOD, UNTRIED)) == (UNTRIED, FAILED_FOR_GOOD, UNTRIED)
    assert not UNTRIED
    assert FAILED
    assert FAILED_FOR_GOOD


@given(
    st.builds(
        Retries,
        max_attempts=st.integers(1, 15),
        first_delay_s=st.floats(0.001, 100),
        max_delay_s=st.floats(0.001, 100),
    ),
    st.floats(0, 1000),
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 200)), max_size=40),
)
def test_attempts_never_pass_the_cap_nor_their_waits_the_deadline(
    retries: Retries, left_s: float, steps: list[tuple[bool, float, float | None]]
) -> None:
    """Whatever nests, there is one counter: attempts elsewhere and at the same target alternate at will here."""
    attempts, waited_s = 1, 0.0
    for elsewhere, uniform, retry_after_s in steps:
        if elsewhere:
            attempts += retries.may_go_on(attempts, left_s - waited_s)
            continue
        delay_s = retries.delay_s(attempts, uniform, retry_after_s, left_s - waited_s)
        if delay_s is not None:
            assert retry_after_s is None or delay_s >= retry_after_s
            assert 0 <= delay_s <= retries.max_delay_s
            attempts += 1
            waited_s += delay_s
    assert attempts <= retries.max_attempts
    assert waited_s <= left_s
