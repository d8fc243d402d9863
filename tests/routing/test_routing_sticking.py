"""Who belongs to a share of the traffic: the same ones everywhere, and more of them as it grows."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.sticking import Told, place_of, takes, unit_of

SHIFTS = st.integers(min_value=1, max_value=1 << 63)
SHARES = st.floats(min_value=0, max_value=1)
NAMES = st.text(min_size=1, max_size=20)


def told(key: str = "k", user: str = "", episode: str = "", request_id: int = 1, body: object = None) -> Told:
    return Told(key, user, episode, request_id, json.dumps(body or {}).encode())


def chat(*texts: str, **fields: object) -> dict[str, object]:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"messages": [{"role": "system", "content": "Be brief."}, *turns], **fields}


@given(SHIFTS, NAMES)
def test_a_place_is_a_fraction_that_follows_from_shift_and_unit_alone(shift: int, unit: str) -> None:
    assert 0 <= place_of(shift, unit) < 1
    assert place_of(shift, unit) == place_of(shift, unit)


@given(SHIFTS, NAMES, SHARES, SHARES)
def test_who_was_in_stays_in_as_the_share_grows(shift: int, unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    place = place_of(shift, unit)
    assert takes(high, place) or not takes(low, place)
    assert takes(1.0, place)
    assert not takes(0.0, place)


def test_a_share_has_about_that_part_of_the_units_and_another_shift_others() -> None:
    count, share = 20_000, 0.05
    first = {number for number in range(count) if takes(share, place_of(1, f"user {number}"))}
    second = {number for number in range(count) if takes(share, place_of(2, f"user {number}"))}
    # 5 sigma of a binomial: sqrt(20,000 * 0.05 * 0.95) = 31
    assert abs(len(first) - count * share) < 155
    assert abs(len(second) - count * share) < 155
    assert abs(len(first & second) - count * share * share) < 40


def test_a_user_is_told_by_the_header_or_the_body_and_belongs_to_a_key() -> None:
    named = unit_of("user", told(user="ann"))
    assert unit_of("user", told(user="ann", episode="e", request_id=2, body=chat("x", user="bob"))) == named
    assert unit_of("user", told(body=chat("anything", user="ann"))) == named
    assert unit_of("user", told(body=chat("anything", safety_identifier="ann"))) == named
    assert unit_of("user", told(body=chat("anything", metadata={"user_id": "ann"}))) == named
    assert unit_of("user", told(key="other", user="ann")) != named


def test_without_a_user_the_episode_keeps_together_and_without_that_the_conversation() -> None:
    assert unit_of("user", told(episode="e", body=chat("a"))) == unit_of("episode", told(episode="e", body=chat("b")))
    begun = unit_of("user", told(body=chat("Hello")))
    assert unit_of("user", told(request_id=2, body=chat("Hello", "Hi.", "And now?"))) == begun
    assert unit_of("user", told(body=chat("Good morning"))) != begun
    assert unit_of("user", told(body={"input": "Hello"})) == unit_of("user", told(body={"prompt": "Hello"}))


def test_a_key_keeps_all_together_and_a_request_nothing() -> None:
    assert unit_of("key", told(user="ann")) == unit_of("key", told(user="bob", episode="e", request_id=2))
    assert unit_of("request", told(user="ann")) != unit_of("request", told(user="ann", request_id=2))


@given(st.binary(max_size=200))
def test_no_body_is_a_reason_to_fail(body: bytes) -> None:
    assert unit_of("user", Told("k", "", "", 1, body))


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_messages_of_any_kind_have_a_unit(messages: object) -> None:
    assert unit_of("user", told(body={"messages": messages, "metadata": messages, "user": messages}))
