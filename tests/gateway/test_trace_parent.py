"""``traceparent``: what of it becomes an episode, after https://www.w3.org/TR/trace-context/."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.gateway.heads import episode_of, label_names

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        b" " + GOOD + b"\t",
        GOOD[:-2] + b"00",
        GOOD[:-2] + b"ff",
        b"cc" + GOOD[2:],  # a version of the future, as long as its beginning is that of 00
        b"cc" + GOOD[2:] + b"-what-the-future-will-be-like",
    ],
)
def test_the_id_of_the_trace_is_taken(value: bytes) -> None:
    assert episode_of({b"traceparent": value}) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        TRACE,
        GOOD.upper(),
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-more",
        b"ff" + GOOD[2:],
        b"cc" + GOOD[2:] + b".what",
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        GOOD.replace(b"-", b"_"),
        GOOD + b", " + GOOD,
    ],
)
def test_what_is_no_traceparent_is_ignored(value: bytes) -> None:
    assert episode_of({b"traceparent": value}) == b""


@given(st.binary(max_size=80))
def test_whatever_a_client_sends_the_episode_is_a_trace_or_empty(value: bytes) -> None:
    assert re.fullmatch(rb"(?:[0-9a-f]{32})?", episode_of({b"traceparent": value}))


def test_an_episode_of_its_own_goes_before_the_trace() -> None:
    spelled = {b"traceparent": b"Traceparent", b"x-breakeven-task": b"X-Breakeven-Task", b"host": b"Host"}
    assert label_names(spelled) == [b"X-Breakeven-Task", b"Traceparent"]
    assert label_names(spelled | {b"x-breakeven-episode": b"e"}) == [b"X-Breakeven-Task", b"e"]
    assert label_names({b"host": b"Host", b"authorization": b"Authorization"}) == []
    assert episode_of({b"x-breakeven-episode": b"own"}) == b"own"
    assert episode_of({b"x-breakeven-task": b"t"}) == b""
