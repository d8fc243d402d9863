"""Questions that are asked again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.retried import MOST_OWNERS_COUNT, RecentQuestions, nearly_same, question_text, sketch_of

QUESTION = "How do I move my contract to another address in Berlin before the end of the month?"
ANEW = "how do I move my contract to another address in Berlin before the end of the month, please?"


def asked(
    recent: RecentQuestions, number: int, text: str, *, episode: str = "", owner: str = "k", at_s: float = 0.0
) -> int | None:
    return recent.asked(number, text, episode=episode, owner=owner, now_s=at_s)


def test_in_an_episode_nearly_the_same_question_is_a_retry_of_the_one_before() -> None:
    recent = RecentQuestions()
    assert asked(recent, 1, QUESTION, episode="e") is None
    assert asked(recent, 2, "And what does that cost?", episode="e", at_s=10) is None
    assert asked(recent, 3, ANEW, episode="e", at_s=20) == 1
    assert asked(recent, 4, QUESTION, episode="e", at_s=30) == 3


def test_without_an_episode_only_the_very_same_question_is() -> None:
    recent = RecentQuestions()
    assert asked(recent, 1, QUESTION) is None
    assert asked(recent, 2, ANEW) is None
    assert asked(recent, 3, f" {QUESTION.upper()} ") == 1


def test_others_and_later_ones_are_not_taken_for_retries() -> None:
    recent = RecentQuestions(within_s=60)
    assert asked(recent, 1, QUESTION, episode="e") is None
    assert asked(recent, 2, QUESTION, episode="f") is None
    assert asked(recent, 3, QUESTION, episode="e", owner="other") is None
    assert asked(recent, 4, QUESTION, episode="e", at_s=61) is None
    assert asked(recent, 5, QUESTION, episode="e", at_s=120) == 4


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (QUESTION, ANEW, True),
        ("convert 200 euro to dollars at the rate of today", "convert 300 euro to dollars at the rate of today", False),
        ("and for France?", "and for Spain?", False),
        ("hello", "Hello", True),
        ("hello", "goodbye", False),
    ],
)
def test_nearly_the_same(one: str, other: str, same: bool) -> None:
    first, second = sketch_of(one), sketch_of(other)
    assert first is not None
    assert second is not None
    assert nearly_same(first, second) is same


@given(st.text(max_size=100), st.text(max_size=100))
def test_likeness_has_no_direction_and_no_text_breaks_it(one: str, other: str) -> None:
    first, second = sketch_of(one), sketch_of(other)
    if first is not None and second is not None:
        assert nearly_same(first, second) == nearly_same(second, first)
        assert nearly_same(first, first)


def test_what_is_remembered_is_bounded_and_holds_no_text() -> None:
    recent = RecentQuestions()
    for number in range(MOST_OWNERS_COUNT + 5):
        asked(recent, number, "the same", episode=str(number))
    assert len(recent._by_owner) == MOST_OWNERS_COUNT
    assert asked(recent, 1, "the same", episode="0") is None
    sketch = sketch_of("word " * 100_000 + "tail")
    assert sketch is not None
    assert len(sketch.runs) <= 128


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "a"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]}, "a"),
        ({"input": "a"}, "a"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, "a"),
        ({"prompt": "a"}, "a"),
        ({"messages": 7}, ""),
        ([], ""),
    ],
)
def test_the_question_is_what_the_user_wrote_last(request_: object, text: str) -> None:
    assert question_text(msgspec.json.encode(request_)) == text
