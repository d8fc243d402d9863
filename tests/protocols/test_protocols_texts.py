"""What an answer says, and what its request asked it to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.protocols.texts import answer_texts, asked_schema


def _whole(body: dict[str, Any]) -> tuple[str, ...] | None:
    return answer_texts(json.dumps(body).encode(), streamed=False)


def _streamed(*events: dict[str, Any], done: bool = True) -> tuple[str, ...] | None:
    said = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"] * done
    return answer_texts("".join(said).encode(), streamed=True)


def _chat(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _delta(text: str, index: int = 0, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, **choice}]}


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (_chat(content="yes"), ("yes",)),
        (_chat(content="yes", refusal=None, tool_calls=[], annotations=[]), ("yes",)),
        (_chat(content=[{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]), ("yes",)),
        ({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}, ("a", "b")),
        ({"choices": [{"index": 0, "text": "yes", "finish_reason": "length"}]}, ("yes",)),
        (_chat(content="", reasoning_content="hm"), ("",)),
        (_chat(content=None, tool_calls=[{"id": "1"}]), None),
        (_chat(content=None, refusal="No."), None),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "content_filter"}]}, None),
        ({"error": {"message": "no"}, "choices": []}, None),
        ({"choices": []}, None),
        ({"choices": 5}, None),
        ({"choices": [5]}, None),
        ({"object": "list"}, None),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]}, ("yes",)),
        ({"content": [{"type": "server_tool_use"}, {"type": "text", "text": "yes"}]}, ("yes",)),
        ({"content": [{"type": "text", "text": "a"}, {"type": "tool_use"}], "stop_reason": "tool_use"}, None),
        ({"content": [{"type": "text", "text": "a"}], "stop_reason": "refusal"}, None),
        (
            {
                "output": [
                    {"type": "reasoning"},
                    {"type": "message", "content": [{"type": "output_text", "text": "yes"}]},
                ]
            },
            ("yes",),
        ),
        ({"output": [{"type": "function_call", "name": "f"}]}, None),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}, None),
        ({"output": [], "status": "failed", "error": {"message": "no"}}, None),
    ],
)
def test_the_text_of_a_whole_answer(body: dict[str, Any], texts: tuple[str, ...] | None) -> None:
    assert _whole(body) == texts


def test_the_text_of_a_stream() -> None:
    assert _streamed(_delta("y"), {"choices": []}, _delta("es", finish_reason="stop")) == ("yes",)
    assert _streamed(_delta("b", 1), _delta("a", 0), _delta("c", 1)) == ("a", "bc")
    assert _streamed(_delta(""), {"error": {"message": "no"}}) is None
    assert _streamed({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}) is None
    assert _streamed({"choices": [{"index": 0, "text": "y"}]}, {"choices": [{"index": 0, "text": "es"}]}) == ("yes",)


def test_the_text_of_a_stream_of_messages() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "yes"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    assert _streamed(*events, done=False) == ("yes",)
    tool = {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f"}}
    assert _streamed(*events[:3], tool, done=False) is None
    refused = {"type": "message_delta", "delta": {"stop_reason": "refusal"}}
    assert _streamed(*events[:6], refused, done=False) is None


def test_the_text_of_a_stream_of_a_response_is_that_of_its_last_event() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "yes"}]}
    piece = {"type": "response.output_text.delta", "delta": "y"}
    assert _streamed(piece, {"type": "response.completed", "response": {"output": [message]}}) == ("yes",)
    assert _streamed(piece, {"type": "response.failed", "response": {"status": "failed", "output": []}}) is None
    assert _streamed(piece) is None


@given(st.binary(max_size=200), st.booleans())
def test_nothing_that_comes_raises(body: bytes, streamed: bool) -> None:
    answer_texts(body, streamed=streamed)
    asked_schema(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["text", "tool_use", "stop", "response.completed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "content", "output", "type", "text", "response", "index"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["choices", "content", "output", "type", "response", "delta"]), json_values))
def test_no_shape_raises(body: dict[str, Any]) -> None:
    _whole(body)
    _streamed(body)
    asked_schema(json.dumps(body).encode())


SCHEMA = {"type": "object", "required": ["due"]}


@pytest.mark.parametrize(
    ("asked", "schema"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "due", "schema": SCHEMA}}}, SCHEMA),
        ({"response_format": {"type": "json_object"}}, {"type": "object"}),
        ({"response_format": {"type": "text"}}, None),
        ({"text": {"format": {"type": "json_schema", "name": "due", "schema": SCHEMA}}}, SCHEMA),
        ({"text": "plain"}, None),
        ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, SCHEMA),
        ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, SCHEMA),
        ({"output_format": {"type": "json_schema", "schema": 5}}, None),
        ({}, None),
    ],
)
def test_the_schema_that_a_request_asks_for(asked: dict[str, Any], schema: dict[str, Any] | None) -> None:
    assert asked_schema(json.dumps(asked).encode()) == schema
