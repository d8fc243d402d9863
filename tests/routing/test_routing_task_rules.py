"""How the task of a request is told: declared, by fingerprint, by rules, by a classifier; and what is left unknown."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from breakeven.routing.task_classifier import Classifier, classified
from breakeven.routing.task_rules import (
    ALIAS,
    CLASSIFIER,
    DECLARED,
    FINGERPRINT,
    NOT_KNOWN,
    RULE,
    Fingerprints,
    TaskRule,
    Tasks,
    declared_task,
    holds,
    task_of,
)
from breakeven.routing.task_shape import Shape, fingerprint_of, shape_of
from breakeven.routing.task_text import FIRST_CHARACTERS, LAST_CHARACTERS, shortened, terms_of


def shape(**body: Any) -> Shape:
    return shape_of(json.dumps(body).encode())


CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "You label tickets. Today is 2026-11-22."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "My bill"}, {"type": "text", "text": "is wrong"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "close"}}, {"type": "function", "function": {"name": "ask"}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "label", "schema": {}}},
    "max_completion_tokens": 12,
}


def test_a_chat_request_shows_system_prompt_question_tools_schema_and_limit() -> None:
    assert shape(**CHAT) == Shape(
        system="You label tickets. Today is 2026-11-22.",
        text="My bill\nis wrong",
        tools=("ask", "close"),
        is_json=True,
        schema="label",
        max_tokens=12,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (  # https://docs.anthropic.com/en/api/messages
            {"system": [{"type": "text", "text": "Be kind."}], "messages": [{"role": "user", "content": "Hello"}],
             "tools": [{"name": "find", "input_schema": {}}], "max_tokens": 9},
            Shape(system="Be kind.", text="Hello", tools=("find",), max_tokens=9),
        ),
        (  # https://platform.openai.com/docs/api-reference/responses
            {"instructions": "Be brief.", "input": "Hello", "text": {"format": {"type": "json_schema", "name": "s"}},
             "tools": [{"type": "web_search"}], "max_output_tokens": 5},
            Shape(system="Be brief.", text="Hello", tools=("web_search",), is_json=True, schema="s", max_tokens=5),
        ),
        ({"prompt": "Once upon"}, Shape(text="Once upon")),
        ({"response_format": {"type": "json_object"}}, Shape(is_json=True)),
        ({"messages": 7, "tools": "x", "max_tokens": True, "text": [1], "system": {}}, Shape()),
        ({"messages": [None, 3, {"role": "user"}, {"role": "user", "content": [{"text": 5}, None]}]}, Shape()),
    ],
)  # fmt: skip
def test_other_protocols_and_odd_bodies_are_read_as_far_as_they_go(body: dict[str, Any], expected: Shape) -> None:
    assert shape(**body) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"messages": "' + b"x" * 10])
def test_a_body_that_cannot_be_read_has_no_shape(body: bytes) -> None:
    assert shape_of(body) == Shape()


def test_the_same_system_prompt_has_the_same_fingerprint_tomorrow_too() -> None:
    today = fingerprint_of(shape(**CHAT))
    later = json.loads(json.dumps(CHAT).replace("2026-11-22", "2026-12-01").replace("My bill", "Your bill"))
    assert len(today) == 16
    assert fingerprint_of(shape(**later)) == today
    assert fingerprint_of(shape(**{**CHAT, "tools": []})) != today
    assert fingerprint_of(Shape(text="hello", max_tokens=3)) == ""


def test_what_is_declared_is_taken_without_reading_further() -> None:
    tasks = Tasks(aliases={"faq-model": "faq"})
    assert declared_task(tasks, "labels", "faq-model") == ("labels", DECLARED)
    assert declared_task(tasks, "", "faq-model") == ("faq", ALIAS)
    assert declared_task(tasks, "", "gpt-4o") == NOT_KNOWN


def test_the_first_that_knows_decides_and_unknown_stays_unknown() -> None:
    found = shape(**CHAT)
    rules = (TaskRule("sql", pattern=re.compile("select")), TaskRule("labels", is_json=True))
    tasks = Tasks(rules=rules, classify=lambda text: "bills" if "bill" in text else "")
    known = Fingerprints({})
    assert task_of(tasks, known, "k", found) == ("labels", RULE)
    assert task_of(Tasks(classify=tasks.classify), known, "k", found) == ("bills", CLASSIFIER)
    assert task_of(Tasks(classify=lambda _: ""), known, "k", found) == NOT_KNOWN
    assert task_of(tasks, Fingerprints({fingerprint_of(found): "tickets"}), "k", found) == ("tickets", FINGERPRINT)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (TaskRule("t", most_answer_tokens=12), True),
        (TaskRule("t", most_answer_tokens=11), False),
        (TaskRule("t", has_tools=False), False),
        (TaskRule("t", tool="close", schema="label"), True),
        (TaskRule("t", schema="other"), False),
        (TaskRule("t", system=re.compile("tickets"), pattern=re.compile("(?i)BILL")), True),
        (TaskRule("t", system=re.compile("poems"), pattern=re.compile("bill")), False),
        (TaskRule("t", is_json=False), False),
    ],
)
def test_a_rule_holds_where_every_condition_does(rule: TaskRule, *, expected: bool) -> None:
    assert holds(rule, shape(**CHAT)) is expected


def test_no_limit_is_no_small_limit() -> None:
    assert not holds(TaskRule("t", most_answer_tokens=12), Shape())


def test_a_fingerprint_is_learned_from_the_client_that_declared_it_for_that_client_alone() -> None:
    known = Fingerprints({"f" * 16: "fixed"})
    known.learn("alice", "a" * 16, "faq")
    assert known.task("alice", "a" * 16) == "faq"
    assert known.task("bob", "a" * 16) == ""
    known.learn("alice", "f" * 16, "other")
    assert known.task("alice", "f" * 16) == "fixed"


def test_a_fingerprint_declared_as_two_tasks_tells_none_for_good() -> None:
    known = Fingerprints({})
    for task in ("faq", "law", "faq"):
        known.learn("alice", "a" * 16, task)
    assert known.task("alice", "a" * 16) == ""


def test_no_more_fingerprints_are_remembered_than_there_is_room_for() -> None:
    known = Fingerprints({}, most_learned=2)
    for letter in "abc":
        known.learn("alice", letter * 16, letter)
    assert [known.task("alice", letter * 16) for letter in "abc"] == ["", "b", "c"]


def test_terms_are_words_and_neighbours_with_all_digits_alike() -> None:
    assert terms_of("Add 12, please") == ["add", "0", "0", ",", "please", "add 0", "0 0", "0 ,", ", please"]
    assert terms_of("") == []
    assert terms_of("Größe") == ["größe"]


def test_of_a_long_prompt_beginning_and_end_are_read() -> None:
    text = "a" * 5000 + "b" * 5000
    assert shortened(text) == "a" * FIRST_CHARACTERS + "\n" + "b" * LAST_CHARACTERS
    assert shortened(shortened(text)) == shortened(text)


def classifier(**more: Any) -> Classifier:
    settings: dict[str, Any] = {
        "tasks": ("sums", "poems"), "terms": ("add", "rhyme"), "weights": np.ones(2), "offsets": np.array([-1.0, -1.0]),
        "coefficients": np.array([[4.0, -4.0], [-4.0, 4.0]]), "trust": (0.0, 1.0), "least_fraction": 0.9,
    }  # fmt: skip
    return Classifier(**settings | more)


def test_a_classifier_tells_what_it_is_sure_of_and_abstains_from_the_rest() -> None:
    model = classifier()
    task, chance = classified(model, "add")
    assert task == "sums"
    assert chance == pytest.approx(1 / (1 + np.exp(-3)))
    assert classified(model, "rhyme")[0] == "poems"
    assert classified(model, "add rhyme")[0] == ""  # both alike
    assert classified(model, "nothing known here")[0] == ""
    assert classified(model, "")[0] == ""
    assert classified(classifier(least_fraction=1.1), "add")[0] == ""


def test_a_classifier_abstains_from_texts_of_which_it_knows_little() -> None:
    model = classifier(known_fraction=0.3)
    assert classified(model, "add")[0] == "sums"
    assert classified(model, "add " + "unknown words of another language altogether")[0] == ""
