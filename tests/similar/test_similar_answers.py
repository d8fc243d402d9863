"""The text of kept answers, and when two of them say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.answers import answer_text, same_figures, same_text

CHAT: dict[str, Any] = {
    # https://platform.openai.com/docs/api-reference/chat/object
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "object": "chat.completion",
    "created": 1741570283,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Within 14 days.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1117, "completion_tokens": 46, "total_tokens": 1163},
}
MESSAGE: dict[str, Any] = {
    # https://docs.claude.com/en/api/messages
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Within 14 days.", "citations": None}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 2095, "output_tokens": 503},
}


def _chat(message: dict[str, Any] | None = None, **choice: Any) -> bytes:
    said = {**CHAT["choices"][0]["message"], **(message or {})}
    return json.dumps({**CHAT, "choices": [{**CHAT["choices"][0], "message": said, **choice}]}).encode()


def _message(*blocks: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({**MESSAGE, "content": blocks, **more}).encode()


def _events(*data: dict[str, Any], end: bytes = b"") -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(item).encode() for item in data) + end


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk as in https://platform.openai.com/docs/api-reference/chat-streaming/streaming."""
    return {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **more}],
    }


DONE = b"data: [DONE]\n\n"
START = _chunk({"role": "assistant", "content": ""})
STOP = _chunk({}, "stop")
USAGE: dict[str, Any] = {"id": "chatcmpl-123", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}


def _named(*data: dict[str, Any]) -> bytes:
    """Return events as in https://docs.claude.com/en/docs/build-with-claude/streaming."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (item["type"].encode(), json.dumps(item).encode()) for item in data)


MESSAGE_START: dict[str, Any] = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
MESSAGE_END: tuple[dict[str, Any], ...] = (
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
)


def _block(start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    begun = {"type": "content_block_start", "index": 0, "content_block": start}
    return [begun, *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas)]


TEXT_BLOCK = _block(
    {"type": "text", "text": ""},
    {"type": "text_delta", "text": "Within "},
    {"type": "text_delta", "text": "14 days."},
)
THOUGHT_BLOCK = _block(
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Let me see."},
    {"type": "signature_delta", "signature": "EqQB"},
)


@pytest.mark.parametrize(
    "body",
    [
        _chat(),
        _chat({"reasoning_content": "Let me see."}),
        _chat(finish_reason="length"),
        _message(*MESSAGE["content"]),
        _message({"type": "text", "text": "Within "}, {"type": "text", "text": "14 days."}),
        _message({"type": "thinking", "thinking": "Let me see.", "signature": "E"}, *MESSAGE["content"]),
    ],
)
def test_the_text_of_a_whole_answer(body: bytes) -> None:
    assert answer_text(body, streamed=False) == "Within 14 days."


@pytest.mark.parametrize(
    "body",
    [
        _events(START, _chunk({"content": "Within "}), _chunk({"content": "14 days."}), STOP, USAGE, end=DONE),
        _events(_chunk({"reasoning_content": "Hm."}), _chunk({"content": "Within 14 days."}), STOP),
        _events(START, _chunk({"content": "Within 14 days."}), STOP, end=DONE).replace(b"\n", b"\r\n"),
        b": ping\n\n" + _events(_chunk({"content": "Within 14 days."}), end=DONE),
        _named(MESSAGE_START, *TEXT_BLOCK, *MESSAGE_END),
        _named(MESSAGE_START, {"type": "ping"}, *THOUGHT_BLOCK, *TEXT_BLOCK, *MESSAGE_END),
    ],
)
def test_the_text_of_a_stream(body: bytes) -> None:
    assert answer_text(body, streamed=True) == "Within 14 days."


CALL = {"id": "call_1", "type": "function", "function": {"name": "days", "arguments": "{}"}}
OTHER = [_chat()[:-1], b"", b"{", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000]


@pytest.mark.parametrize(
    "body",
    [
        *OTHER,
        b'{"error":{"message":"no"}}',
        _chat({"content": None}),
        _chat({"content": ""}),
        _chat({"content": [{"type": "text", "text": "Within 14 days."}]}),
        _chat({"tool_calls": [CALL]}),
        _chat({"content": None, "tool_calls": [CALL]}, finish_reason="tool_calls"),
        _chat({"function_call": CALL["function"]}),
        _chat({"refusal": "I cannot."}),
        _chat({"audio": {"id": "a"}}),
        _chat({"annotations": [{"type": "url_citation"}]}),
        _chat(finish_reason="content_filter"),
        _chat(logprobs={"content": [{"token": "W", "logprob": -0.1}]}),
        json.dumps({**CHAT, "choices": [*CHAT["choices"], {**CHAT["choices"][0], "index": 1}]}).encode(),
        json.dumps({**CHAT, "choices": []}).encode(),
        _message(),
        _message(*MESSAGE["content"], stop_reason="refusal"),
        _message(*MESSAGE["content"], {"type": "tool_use", "id": "t", "name": "days", "input": {}}),
        _message({"type": "text", "text": "Within 14 days.", "citations": [{"type": "char_location"}]}),
    ],
)
def test_a_whole_answer_of_anything_else_has_none(body: bytes) -> None:
    assert answer_text(body, streamed=False) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        DONE,
        b"data: {\n\n",
        _events(START, STOP, end=DONE),
        _events(_chunk({"content": "a"}), {"error": {"message": "no"}}),
        _events(_chunk({"content": "a"}), _chunk({"tool_calls": [{**CALL, "index": 0}]}), end=DONE),
        _events(_chunk({"content": "a"}), _chunk({"content": "b"}, index=1), end=DONE),
        _events(_chunk({"content": "a"}), _chunk({}, "content_filter"), end=DONE),
        _events(_chunk({"content": "a"}), _chunk({"content": "b"}))[:-2],
        _named(MESSAGE_START, *TEXT_BLOCK, {"type": "error", "error": {"type": "overloaded_error"}}),
        _named(
            MESSAGE_START,
            *TEXT_BLOCK,
            *_block({"type": "tool_use", "id": "t", "name": "days", "input": {}}),
            *MESSAGE_END,
        ),
        _named(MESSAGE_START, *TEXT_BLOCK, {"type": "message_delta", "delta": {"stop_reason": "refusal"}}),
        _named(MESSAGE_START, *TEXT_BLOCK, *_block({"type": "citations_delta", "citation": {"type": "page"}})),
    ],
)
def test_a_stream_of_anything_else_has_none(body: bytes) -> None:
    assert answer_text(body, streamed=True) is None


@given(st.binary(), st.booleans())
def test_no_body_is_too_odd(body: bytes, streamed: bool) -> None:
    answer_text(body, streamed=streamed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Within 14 days.", "within  14 DAYS.\n"),
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("caf\u00e9", "cafe\u0301"),
        ('{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}'),
        ('{"a": {"x": 1, "y": "Paris"}}', '{ "a": {"y": "paris", "x": 1} }'),
        ('[{"a": 1, "b": 2}]', '[{"b": 2, "a": 1}]'),
        ('{"a":"\\u00e9"}', '{"a":"é"}'),
    ],
)
def test_texts_that_say_the_same(one: str, other: str) -> None:
    assert same_text(one, other)
    assert same_text(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Within 14 days.", "Within 30 days."),
        ("Paris", "Paris."),
        ("", "a"),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ("[1, 2]", "[2, 1]"),
        ('{"a": 1}', "a: 1"),
        ("[" * 100_000, "[" * 99_999),
    ],
)
def test_texts_that_do_not(one: str, other: str) -> None:
    assert not same_text(one, other)
    assert same_text(one, one)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Within 14 days.", "You have 14 days for it.", True),
        ("Within 14 days.", "Within 30 days.", False),
        ("It is -5 there.", "It is 5 there.", False),
        ("1,000 or 2.5", "2.5 or 1,000", True),
        ("Yes, you can.", "No, you cannot.", False),
        ("Yes, you can.", "**Yes**: that is possible.", True),
        ("Yes, you can.", "You can.", False),
        ("Not here.", "Nothing is.", True),
        ("１４ days", "14 days", True),
    ],
)
def test_figures_must_be_equal_where_words_need_not(one: str, other: str, same: bool) -> None:
    assert same_figures(one, other) is same


@given(st.text(), st.text())
def test_what_is_equal_stays_equal(one: str, other: str) -> None:
    assert same_text(one, one)
    assert same_text(one, other) == same_text(other, one)
    assert same_text(one, f" {one}\n")
