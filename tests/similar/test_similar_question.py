"""The question of a request is its last text, and everything else must be the same byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.question import MOST_TEXT_BYTES, Question, read_question

ASKED: dict[str, Any] = {
    "model": "m",
    "temperature": 0,
    "messages": [
        {"role": "system", "content": "You answer for Acme."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello. How can I help?"},
        {"role": "user", "content": "How do I reset my password?"},
    ],
}


def _question(**changed: Any) -> Question:
    found = read_question(json.dumps({**ASKED, **changed}).encode())
    assert found is not None
    return found


def _turns(last: Any, *, before: int = 3) -> list[Any]:
    return [*ASKED["messages"][:before], last]


def test_the_text_is_the_last_users() -> None:
    assert _question().text == "How do I reset my password?"


def test_another_text_has_the_same_rest() -> None:
    other = _question(messages=_turns({"role": "user", "content": "My password is lost, what now?"}))
    assert other.text == "My password is lost, what now?"
    assert other.rest == _question().rest


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "n"},
        {"temperature": 0.0},  # equal as numbers, and not as bytes: to somebody it may be another
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"tools": []},
        {"system": "Be brief."},
        {"response_format": {"type": "json_object"}},
        {"messages": ASKED["messages"][-1:]},
        {"messages": _turns({"role": "user", "content": "How do I reset my password?", "name": "bob"})},
        {"messages": _turns({"role": "user", "content": [{"type": "text", "text": "How do I reset my password?"}]})},
        {"messages": [{"role": "system", "content": "You answer for Bmce."}, *ASKED["messages"][1:]]},
    ],
)
def test_everything_else_is_the_rest(changed: dict[str, Any]) -> None:
    found = _question(**changed)
    assert found.text == "How do I reset my password?"
    assert found.rest != _question().rest


def test_keys_of_a_schema_keep_their_order_and_those_of_a_request_need_not() -> None:
    ab: dict[str, Any] = {"type": "object", "properties": {"a": {}, "b": {}}}
    ba: dict[str, Any] = {"type": "object", "properties": {"b": {}, "a": {}}}
    assert _question(tools=[ab]).rest != _question(tools=[ba]).rest
    turned = json.dumps(dict(reversed(ASKED.items()))).encode()
    assert read_question(turned) == _question()


def test_parts_of_text_are_one_question_and_their_marks_for_the_providers_cache_count() -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "One?"}, {"type": "text", "text": "Two?"}]
    plain = _question(messages=_turns({"role": "user", "content": parts}))
    cached = [parts[0], {**parts[1], "cache_control": {"type": "ephemeral"}}]
    assert plain.text == "One?\nTwo?"
    assert _question(messages=_turns({"role": "user", "content": cached})).rest != plain.rest


IMAGE = {"type": "image_url", "image_url": {"url": "https://acme.example/a.png"}}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        None,
        "How?",
        ["How?"],
        ASKED["messages"][:3],
        _turns({"role": "user", "content": ""}),
        _turns({"role": "user", "content": " \n"}),
        _turns({"role": "user", "content": None}),
        _turns({"role": "user"}),
        _turns({"content": "How?"}),
        _turns({"role": "user", "content": []}),
        _turns({"role": "user", "content": "x" * (MOST_TEXT_BYTES + 1)}),
        _turns({"role": "user", "content": "ü" * (MOST_TEXT_BYTES // 2 + 1)}),
        _turns({"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}),
        _turns({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]}),
        _turns({"role": "user", "content": [{"type": "text"}]}),
        _turns({"role": "user", "content": [{"text": "How?"}]}),
        _turns({"role": "tool", "tool_call_id": "t", "content": "4"}),
        _turns({"role": "developer", "content": "Be brief."}),
    ],
)
def test_no_question_where_the_last_message_is_not_a_users_text_alone(messages: Any) -> None:
    assert read_question(json.dumps({"model": "m", "messages": messages}).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model":"m"}', b"\xff", b"[" * 100_000])
def test_other_bodies_have_none(body: bytes) -> None:
    assert read_question(body) is None


def test_a_text_as_long_as_it_may_be_is_a_question() -> None:
    assert _question(messages=_turns({"role": "user", "content": "x" * MOST_TEXT_BYTES})).text[-1] == "x"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, 1, 1.0, "", "a", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["", "a", "1:"]), inner, max_size=2),
    max_leaves=3,
)
FIELDS = st.dictionaries(st.sampled_from(["", "a", "1:", "messages"]), JSON, max_size=2)


@given(FIELDS, FIELDS, st.lists(JSON, max_size=2), st.lists(JSON, max_size=2))
def test_the_rest_is_equal_only_where_all_is(
    one: dict[str, Any], other: dict[str, Any], earlier: list[Any], before: list[Any]
) -> None:
    last = {"role": "user", "content": "How?"}
    first = read_question(json.dumps({**one, "messages": [*earlier, last]}).encode())
    second = read_question(json.dumps({**other, "messages": [*before, last]}).encode())
    assert first is not None
    assert second is not None
    one.pop("messages", None)
    other.pop("messages", None)
    written = [json.dumps([sorted(a.items()), b]) for a, b in ((one, earlier), (other, before))]
    assert (first.rest == second.rest) == (written[0] == written[1])


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_too_odd(body: bytes) -> None:
    read_question(body)
