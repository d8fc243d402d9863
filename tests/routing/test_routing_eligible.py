"""Where a request may go, and what a person is told of where it may not."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.eligible import (
    CHAT,
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    PROTOCOLS,
    Asked,
    Candidates,
    eligible,
    marks,
    why_excluded,
)

ALL_MODELS: frozenset[str] = frozenset()

CANDIDATES = Candidates(
    model="small",
    names=("api", "house", "vault"),
    protocols=(CHAT | EMBEDDINGS, CHAT, CHAT | MESSAGES),
    sensitivities=(frozenset(), frozenset({"internal"}), frozenset({"internal", "health"})),
)
UP = [1, 1, 1]


def asked(
    sensitivity: str = "",
    protocol: int = CHAT,
    budget_usd: float = inf,
    allowed_models: frozenset[str] = ALL_MODELS,
) -> Asked:
    return Asked(allowed_models, marks([sensitivity], "", {}), protocol, budget_usd)


def test_a_request_without_a_mark_goes_everywhere() -> None:
    assert eligible(CANDIDATES, UP, asked()) == (True, True, True)


def test_the_usual_answer_is_one_object_so_that_it_can_be_kept() -> None:
    assert eligible(CANDIDATES, UP, asked()) is CANDIDATES.all
    assert eligible(CANDIDATES, [True] * 3, asked(allowed_models=frozenset({"small"}))) is CANDIDATES.all


@pytest.mark.parametrize(
    ("sensitivity", "expected"),
    [
        ("internal", (False, True, True)),
        ("health", (False, False, True)),
        ("internal, health", (False, False, True)),
        ("internal,unheard-of", (False, False, False)),
        ("Health", (False, False, False)),
        ("unheard-of", (False, False, False)),
    ],
)
def test_a_marked_request_goes_only_where_its_mark_is_named(sensitivity: str, expected: tuple[bool, ...]) -> None:
    assert eligible(CANDIDATES, UP, asked(sensitivity)) == expected


def test_marks_of_labels_and_tags_add_up() -> None:
    of_tags = {"data=patient": "local-only", "region=eu": "eu"}
    assert marks(["", "eu, local-only"], "team=search", of_tags) == {"eu", "local-only"}
    assert marks(["internal"], "team=search, data=patient,region=eu", of_tags) == {"internal", "local-only", "eu"}
    assert marks([" , "], "data=patient", {}) == frozenset()


def test_a_person_is_told_of_each_mark_that_is_missing() -> None:
    assert why_excluded(CANDIDATES, UP, asked("internal,eu"))[1] == (
        "house: it is not marked for eu data (only for internal)"
    )


def test_a_key_reaches_the_models_that_it_names() -> None:
    assert eligible(CANDIDATES, UP, asked(allowed_models=frozenset({"small", "large"}))) == (True, True, True)
    assert eligible(CANDIDATES, UP, asked(allowed_models=frozenset({"large"}))) == (False, False, False)
    assert eligible(CANDIDATES, UP, asked("internal", allowed_models=frozenset({"large"}))) == (False, False, False)


def test_a_target_gets_only_what_it_speaks() -> None:
    assert eligible(CANDIDATES, UP, asked(protocol=EMBEDDINGS)) == (True, False, False)
    assert eligible(CANDIDATES, UP, asked(protocol=MESSAGES)) == (False, False, True)


def test_tokens_are_counted_only_by_who_is_known_to() -> None:
    assert COUNT_TOKENS not in {1 << index for index in range(len(PROTOCOLS))}
    translated, native = CHAT | MESSAGES, MESSAGES | COUNT_TOKENS
    candidates = Candidates(
        model="small", names=("a", "b"), protocols=(translated, native), sensitivities=(frozenset(), frozenset())
    )
    assert eligible(candidates, [1, 1], asked(protocol=MESSAGES)) is candidates.all
    assert eligible(candidates, [1, 1], asked(protocol=COUNT_TOKENS)) == (False, True)
    translated_why, native_why = why_excluded(candidates, [1, 1], asked(protocol=COUNT_TOKENS))
    assert (translated_why, native_why) == ("a: it does not speak messages itself", "")


@pytest.mark.parametrize("down", [0, False])
def test_a_target_that_is_down_is_left_out(down: int) -> None:
    assert eligible(CANDIDATES, [1, down, 1], asked()) == (True, False, True)
    assert eligible(CANDIDATES, (True, True, down), asked("internal")) == (False, True, False)


@pytest.mark.parametrize(
    ("left_usd", "expected"),
    [
        (inf, (True, True, True)),
        (0.02, (True, True, True)),
        (0.01, (True, True, True)),
        (0.0099, (False, True, True)),
        (0.0, (False, True, False)),
        (-1.0, (False, True, False)),
    ],
)
def test_a_target_is_left_out_that_the_budget_does_not_reach(left_usd: float, expected: tuple[bool, ...]) -> None:
    prices_usd = (0.01, 0.0, nan)  # the last is not known
    assert eligible(CANDIDATES, UP, asked(budget_usd=left_usd), prices_usd) == expected


def test_a_person_is_told_every_reason() -> None:
    told = why_excluded(CANDIDATES, [1, 0, 1], asked("health", EMBEDDINGS, 0.005), (0.01, 0.0, nan))
    api = "api: it is not marked for health data (it names no kind of data); "
    assert told == (
        api + "the request is expected to cost $0.010000, and $0.005000 of the budget is left",
        "house: it does not speak embeddings; it is not marked for health data (only for internal); it is down",
        "vault: it does not speak embeddings",
    )
    assert why_excluded(CANDIDATES, UP, asked(allowed_models=frozenset({"large", "huge"})))[0] == (
        "api: the key may not use small, only huge, large"
    )
    assert why_excluded(CANDIDATES, UP, asked(budget_usd=0.0), (0.0, nan, 0.0)) == (
        "",
        "house: its price is not known, and $0.000000 of the budget is left",
        "",
    )


@given(
    st.lists(st.integers(0, 1), min_size=3, max_size=3),
    st.sampled_from([ALL_MODELS, frozenset({"small"}), frozenset({"large"})]),
    st.sampled_from(["", "internal", "health", "other"]),
    st.sampled_from([CHAT, EMBEDDINGS, MESSAGES]),
    st.sampled_from([inf, 1.0, 0.0, -1.0]),
    st.lists(st.sampled_from([0.0, 0.5, 2.0, nan]), min_size=3, max_size=3),
)
def test_a_reason_is_given_exactly_for_what_is_excluded(
    healthy: list[int],
    allowed: frozenset[str],
    sensitivity: str,
    protocol: int,
    left_usd: float,
    prices_usd: list[float],
) -> None:
    request = Asked(allowed, marks([sensitivity], "", {}), protocol, left_usd)
    reasons = why_excluded(CANDIDATES, healthy, request, prices_usd)
    assert tuple(not reason for reason in reasons) == eligible(CANDIDATES, healthy, request, prices_usd)
