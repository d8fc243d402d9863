"""When a target is left alone, when it is tried again, and that one request finds out for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.health import Breaker, Health
from breakeven.routing.kinds import (
    BAD_CREDENTIALS,
    CLIENT_ERROR,
    CONTENT_FILTER,
    CONTEXT_LENGTH,
    KINDS,
    MODEL_MISSING,
    OUT_OF_QUOTA,
    OUT_OF_TIME,
    OVER_LIMIT,
    OVERLOADED,
    RATE_LIMITED,
    SATURATED,
    SERVER_ERROR,
    TIMED_OUT,
    UNREACHABLE,
    UNTRANSLATABLE,
)

if TYPE_CHECKING:
    from breakeven.routing.kinds import Kind

BREAKER = Breaker(
    failed_requests=3, window_s=10, open_s=4, max_open_s=20, refused_requests=2, refused_open_s=100, jitter_fraction=0
)


def opened(now_s: float = 0.0, breaker: Breaker = BREAKER) -> Health:
    health = Health(breaker)
    for _ in range(breaker.failed_requests):
        health.failed(now_s, SERVER_ERROR)
    return health


def test_nothing_is_remembered_of_a_target_that_works() -> None:
    health = Health(BREAKER)
    health.succeeded(1)
    assert not health.troubled
    assert health.may_try(2)
    assert not health.started(2)
    assert health.wait_s(2) == 0


@pytest.mark.parametrize("kind", [UNREACHABLE, TIMED_OUT, SERVER_ERROR, OVERLOADED, RATE_LIMITED])
def test_it_opens_after_so_many_failures_in_a_row(kind: Kind) -> None:
    health = Health(BREAKER)
    for second in (1, 2):
        health.failed(second, kind)
        assert health.may_try(second)
    health.failed(3, kind)
    assert not health.may_try(3)
    assert (health.wait_s(3), health.wait_s(6)) == (4, 1)


def test_failures_in_a_row_open_it_however_far_apart() -> None:
    health = Health(BREAKER)
    for second in (0, 1000, 2000):
        health.failed(second, UNREACHABLE)
    assert not health.may_try(2000)


def test_a_few_failures_among_many_answers_say_nothing() -> None:
    health = Health(BREAKER)
    for _ in range(10):
        health.failed(1, SERVER_ERROR)
        for _ in range(9):
            health.succeeded(1)
        assert health.may_try(1)


def test_failures_that_are_half_of_the_answers_open_it() -> None:
    health = Health(BREAKER)
    for _ in range(2):
        health.failed(1, SERVER_ERROR)
        health.succeeded(1)
    health.failed(2, SERVER_ERROR)
    assert not health.may_try(2)


def test_failures_outside_the_window_are_forgotten() -> None:
    health = Health(BREAKER)
    health.failed(0, SERVER_ERROR)
    health.failed(0, SERVER_ERROR)
    health.succeeded(5)
    assert health.troubled
    health.failed(11, SERVER_ERROR)
    assert health.may_try(11)
    health.succeeded(22)
    assert not health.troubled


def test_when_its_time_is_up_exactly_one_request_goes_as_a_probe() -> None:
    health = opened()
    assert not health.may_try(3.9)
    assert health.may_try(4)
    assert health.may_try(4)  # asking changes nothing
    assert health.started(4)
    assert not health.may_try(5)
    assert not health.started(5)
    health.succeeded(6, probe=True)
    assert health.may_try(6)
    assert not health.started(6)


def test_each_probe_that_fails_doubles_the_time_up_to_the_longest() -> None:
    health = opened()
    now_s = 4.0
    for open_s in (8, 16, 20, 20):
        assert health.started(now_s)
        health.failed(now_s, SERVER_ERROR, probe=True)
        assert health.wait_s(now_s) == open_s
        now_s += open_s
    assert health.may_try(now_s)


def test_one_that_is_sent_although_it_is_open_may_close_it_but_does_not_keep_it_open_for_longer() -> None:
    health = opened()
    for _ in range(9):
        assert health.started(1)
        assert not health.started(1)
        health.failed(1, SERVER_ERROR, probe=True)
    assert health.wait_s(1) == 3
    assert health.started(2)
    health.succeeded(2, probe=True)
    assert health.may_try(2)


def test_what_began_before_it_opened_changes_nothing() -> None:
    health = opened()
    for _ in range(50):
        health.failed(1, SERVER_ERROR)
        health.succeeded(1)
    assert (health.may_try(3.9), health.may_try(4)) == (False, True)


def test_the_open_time_is_shorter_by_chance_and_never_longer() -> None:
    breaker = Breaker(failed_requests=1, open_s=10, jitter_fraction=0.2)
    for uniform, wait_s in ((0.0, 10), (0.5, 9), (1.0, 8)):
        health = Health(breaker)
        health.failed(0, SERVER_ERROR, uniform=uniform)
        assert health.wait_s(0) == pytest.approx(wait_s)


@pytest.mark.parametrize("kind", [CLIENT_ERROR, CONTENT_FILTER, CONTEXT_LENGTH, OVER_LIMIT])
def test_a_fault_of_the_request_is_no_fault_of_the_target(kind: Kind) -> None:
    health = Health(BREAKER)
    for _ in range(100):
        health.failed(1, kind)
    assert not health.troubled
    health = opened()
    assert health.started(4)
    health.failed(5, kind, probe=True)
    assert health.may_try(5)


@pytest.mark.parametrize("kind", [SATURATED, UNTRANSLATABLE, OUT_OF_TIME])
def test_what_says_nothing_of_the_target_counts_neither_way(kind: Kind) -> None:
    health = Health(BREAKER)
    for _ in range(100):
        health.failed(1, kind)
    assert not health.troubled
    health = opened()
    assert health.started(4)
    health.failed(5, kind, probe=True)
    assert health.may_try(5)
    assert health.started(5)


@pytest.mark.parametrize("kind", [BAD_CREDENTIALS, MODEL_MISSING, OUT_OF_QUOTA])
def test_what_a_person_must_put_right_opens_it_for_long(kind: Kind) -> None:
    health = Health(BREAKER)
    health.failed(0, kind)
    health.succeeded(0)
    health.failed(0, kind)
    assert health.may_try(0)
    health.failed(0, kind)
    assert health.wait_s(0) == 100
    assert health.started(100)
    health.failed(101, kind, probe=True)
    assert health.wait_s(101) == 100
    assert health.started(201)
    health.succeeded(202, probe=True)
    assert health.may_try(202)
    health.failed(203, kind)
    assert health.may_try(203)


def test_a_target_that_says_when_is_left_alone_until_then_and_no_longer() -> None:
    health = Health(BREAKER)
    for _ in range(10):
        health.failed(0, RATE_LIMITED, 7)
    assert (health.may_try(6.9), health.may_try(7)) == (False, True)
    assert not health.started(7)  # no probe: it works, and has said when
    health.succeeded(6)
    assert not health.may_try(6.9)
    health.failed(8, RATE_LIMITED, 1e9)
    assert health.wait_s(8) == BREAKER.max_held_s
    assert Health(BREAKER).wait_s(0) == 0


def test_a_held_target_is_forgotten_after_its_time() -> None:
    health = Health(BREAKER)
    health.failed(0, RATE_LIMITED, 30)
    health.succeeded(11)
    assert health.troubled
    health.succeeded(31)
    assert not health.troubled


def test_overload_is_held_and_counts() -> None:
    health = Health(BREAKER)
    health.failed(0, OVERLOADED, 2)
    assert (health.may_try(1), health.may_try(2)) == (False, True)
    health.failed(2, OVERLOADED, 1)
    health.failed(3, OVERLOADED, 1)
    assert health.wait_s(3) == 4


def test_a_rate_limit_ends_an_opening_since_somebody_answered() -> None:
    health = opened()
    assert health.started(4)
    health.failed(5, RATE_LIMITED, 3, probe=True)
    assert (health.may_try(7), health.may_try(8)) == (False, True)
    assert not health.started(8)


def test_a_probe_whose_client_left_is_sent_anew() -> None:
    health = opened()
    assert health.started(4)
    health.abandoned(probe=False)
    assert not health.may_try(5)
    health.abandoned(probe=True)
    assert health.may_try(5)


def test_a_probe_of_which_nobody_tells_does_not_close_the_target_for_ever() -> None:
    health = opened()
    assert health.started(4)
    assert not health.may_try(4 + BREAKER.probe_s - 1)
    assert health.may_try(4 + BREAKER.probe_s)
    assert health.started(4 + BREAKER.probe_s)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["try", "end", "leave", "stale"]),
        st.floats(0, 30),
        st.sampled_from([None, *KINDS]),
        st.none() | st.floats(0, 100),
        st.floats(0, 1, exclude_max=True),
    ),
    max_size=60,
)


@given(STEPS)
def test_there_is_never_more_than_one_probe_and_it_always_recovers(
    steps: list[tuple[str, float, Kind | None, float | None, float]],
) -> None:
    health = Health(Breaker(failed_requests=2, window_s=20, open_s=3, refused_requests=2, probe_s=1e9))
    now_s = 0.0
    under_way: list[bool] = []
    for step, passed_s, kind, retry_after_s, uniform in steps:
        now_s += passed_s
        if step == "try" and health.may_try(now_s):
            under_way.append(health.started(now_s))
            assert sum(under_way) <= 1
            assert not under_way[-1] or not health.may_try(now_s)
        elif under_way and step in ("end", "leave"):
            probe = under_way.pop(0)
            if step == "leave":
                health.abandoned(probe=probe)
            elif kind is None:
                health.succeeded(now_s, probe=probe)
            else:
                health.failed(now_s, kind, retry_after_s, uniform=uniform, probe=probe)
        elif step == "stale" and kind is not None:
            health.failed(now_s, kind, retry_after_s, uniform=uniform)
    for probe in under_way:
        health.abandoned(probe=probe)
    now_s += health.wait_s(now_s) + 1e-6
    assert health.may_try(now_s)
    probe = health.started(now_s)
    health.succeeded(now_s, probe=probe)
    assert health.may_try(now_s)
    assert not health.started(now_s)
    health.succeeded(now_s + 21)
    assert not health.troubled


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=8),
    st.integers(1, 8),
)
def test_so_many_failures_in_a_row_always_open_it(times: list[tuple[float, float]], most: int) -> None:
    breaker = Breaker(failed_requests=most)
    health = Health(breaker)
    now_s = 0.0
    for number, (passed_s, uniform) in enumerate(times[:most], 1):
        now_s += passed_s
        health.failed(now_s, SERVER_ERROR, uniform=uniform)
        assert health.may_try(now_s) == (number < most)
        assert health.wait_s(now_s) <= breaker.open_s + 1e-6
