"""Which of several words on an answer counts."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.outcome_words import UNKNOWN, WHOLE, Judgement, Word, WordRules, judged

LAST = 160


def word(name: str = "outcome", source: str = "user", *, success: bool | None = True, **said: Any) -> Word:
    plain = Word(name, source, success, None, is_signal=False, request_id=LAST, at_us=0)
    return plain._replace(**said)


GOOD_HUMAN, BAD_USER = word("looked", "human"), word(success=False)
BAD_CHECK = word("schema_valid", "code", success=False, is_signal=True)
GOOD_CHECK = word("schema_valid", "code", is_signal=True)
GOOD_JUDGE = word("judge", "judge")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), UNKNOWN),
        ((GOOD_CHECK,), UNKNOWN),
        ((GOOD_JUDGE,), Judgement(success=True, said_by="judge")),
        ((GOOD_JUDGE, BAD_CHECK), Judgement(success=False, said_by="check")),
        ((BAD_CHECK, word()), Judgement(success=True, said_by="explicit")),
        ((GOOD_HUMAN, BAD_USER, BAD_CHECK), Judgement(success=True, said_by="human")),
        ((word("tone", success=False),), UNKNOWN),
        ((word("tests", "code", success=False),), Judgement(success=False, said_by="check")),
        ((word("tests", "code"),), UNKNOWN),
        ((word(success=None, score=0.9),), UNKNOWN),
    ],
)
def test_people_go_before_programs_and_a_passed_check_is_no_success(words: tuple[Word, ...], wanted: Judgement) -> None:
    for order in permutations(words):
        assert judged(order, LAST) == wanted


def test_a_failed_check_of_an_earlier_request_may_have_been_mended() -> None:
    assert judged([BAD_CHECK._replace(request_id=LAST - 16)], LAST) == UNKNOWN
    assert judged([BAD_CHECK._replace(request_id=WHOLE)], LAST).success is False


def test_among_equals_the_whole_then_the_latest_request_then_the_newest_counts() -> None:
    first, last = word(success=False, request_id=LAST - 16, at_us=9), word(request_id=LAST, at_us=1)
    assert judged([first, last], LAST).success is True
    assert judged([last, last._replace(success=False, at_us=2)], LAST).success is False
    assert judged([last, word(success=False, request_id=WHOLE)], LAST).success is False


def test_names_and_scores_count_where_somebody_says_so() -> None:
    rules = WordRules(names=frozenset({"tests", "stars"}), least_score=4)
    assert judged([word("tests", "code")], LAST, rules) == Judgement(success=True, said_by="explicit")
    assert judged([word("stars", success=None, score=4)], LAST, rules).success is True
    assert judged([word("stars", success=None, score=3.5)], LAST, rules).success is False
    assert judged([word()], LAST, rules) == UNKNOWN


words = st.builds(
    Word,
    st.sampled_from(["outcome", "tone", "schema_valid"]),
    st.sampled_from(["human", "user", "code", "judge"]),
    st.sampled_from([True, False, None]),
    st.none(),
    st.booleans(),
    st.sampled_from([LAST - 16, LAST, WHOLE]),
    st.integers(0, 3),
)


@given(st.lists(words, max_size=6))
def test_a_person_who_looked_is_never_overruled(many: list[Word]) -> None:
    newest = word("looked", "human", success=False, request_id=WHOLE, at_us=10)
    assert judged([*many, newest], LAST) == Judgement(success=False, said_by="human")


@given(st.lists(words, max_size=6))
def test_what_nobody_judged_is_unknown(many: list[Word]) -> None:
    assert judged([item._replace(success=None) for item in many], LAST) == UNKNOWN
