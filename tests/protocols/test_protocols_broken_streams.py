"""Streams that end without their end, hold errors, cannot be read, or are longer than they may be."""

from __future__ import annotations

import json
from typing import Any

import openai
import published_bodies as published
import pytest
from accumulated import chunks_of, completion_of, events_of, message_of
from made_streams import DONE, call, calls, chunk, event

from breakeven.protocols.events import MOST_EVENT_BYTES
from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream


@pytest.mark.parametrize("cut", [b"", published.CHAT_STREAM[: -len(DONE)], published.CHAT_STREAM[:-9]])
def test_chunks_without_their_terminator_get_no_end(cut: bytes) -> None:
    stream = ChatToMessagesStream(model="m")
    out = stream.feed(cut) + stream.end()
    assert stream.broken
    assert b"message_delta" not in out
    assert stream.end() == b""


@pytest.mark.parametrize("lost", [1, 20, 200])
def test_events_without_their_terminator_get_no_end(lost: int) -> None:
    stream = MessagesToChatStream(created_s=1, include_usage=True)
    out = stream.feed(published.MESSAGES_STREAM.rstrip()[:-lost]) + stream.end()
    assert stream.broken
    assert b'finish_reason":"' not in out
    assert b"[DONE]" not in out


def test_a_terminator_without_its_line_ends_is_one() -> None:
    chat = ChatToMessagesStream(model="m")
    out = chat.feed(published.CHAT_STREAM.rstrip())
    assert message_of(out + chat.end())["stop_reason"] == "end_turn"
    messages = MessagesToChatStream(created_s=1, include_usage=False)
    out = messages.feed(published.MESSAGES_STREAM.rstrip())
    assert completion_of(out + messages.end()).choices[0].finish_reason == "stop"


def test_nothing_comes_twice() -> None:
    stream = ChatToMessagesStream(model="m")
    stream.feed(published.CHAT_STREAM)
    assert stream.end()
    assert stream.end() == b""
    assert stream.feed(published.CHAT_STREAM) == b""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}, "rate_limit_error"),
        ({"error": {"message": "slow down", "type": "server_error", "code": None}}, "api_error"),
        ({"object": "error", "message": "slow down", "type": "BadRequestError", "code": 400}, "invalid_request_error"),
        ({"error": "slow down"}, "api_error"),
    ],
)
def test_an_error_among_chunks_becomes_an_error_event(body: dict[str, Any], kind: str) -> None:
    stream = ChatToMessagesStream(model="m")
    out = stream.feed(chunk({"content": "x"}) + b"data: " + json.dumps(body).encode() + b"\n\n" + DONE) + stream.end()
    assert stream.error
    last = events_of(out)[-1]
    assert last == {"type": "error", "error": {"type": kind, "message": "slow down"}}


def test_an_error_among_events_is_raised_by_the_other_sdk() -> None:
    stream = MessagesToChatStream(created_s=1, include_usage=True)
    out = stream.feed(published.MESSAGES_STREAM[:600] + b"\n\n" + published.MESSAGES_ERROR_EVENT) + stream.end()
    assert stream.error
    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        chunks_of(out)
    assert caught.value.code == "overloaded_error"


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"choices":7}\n\n', b"data: \xff\n\n"])
def test_chunks_that_cannot_be_read_end_in_an_error(data: bytes) -> None:
    stream = ChatToMessagesStream(model="m")
    out = stream.feed(data + published.CHAT_STREAM) + stream.end()
    assert stream.error
    assert [item["type"] for item in events_of(out)] == ["error"]


def test_an_event_of_more_than_a_mebibyte_is_an_error_however_it_comes() -> None:
    data = b"data: " + b" " * MOST_EVENT_BYTES + b"{}\n\n"
    for step in (len(data), 65536):
        stream = MessagesToChatStream(created_s=1, include_usage=True)
        out = b"".join(stream.feed(data[at : at + step]) for at in range(0, len(data), step))
        assert stream.error
        assert out.count(b"data: ") == 1
        assert stream.end() == b""


def test_calls_that_wait_are_bounded() -> None:
    stream = ChatToMessagesStream(model="m")
    stream.feed(calls(call(0, "{", "a", "f"), call(1, "{", "b", "g")))
    piece = calls(call(1, "x" * 100_000))
    for _ in range(11):
        stream.feed(piece)
    assert stream.error


def test_a_long_call_that_does_not_wait_is_not_bounded() -> None:
    stream = ChatToMessagesStream(model="m")
    parts = [calls(call(0, '{"x":"', "a", "f"))] + [calls(call(0, "x" * 100_000))] * 15
    out = b"".join(map(stream.feed, [*parts, calls(call(0, '"}'), finish="stop"), DONE])) + stream.end()
    assert len(message_of(out)["content"][0]["input"]["x"]) == 1_500_000


def test_too_many_calls_are_an_error() -> None:
    stream = ChatToMessagesStream(model="m")
    stream.feed(calls(*(call(index, "{}", f"c{index}", "f") for index in range(129))))
    assert stream.error
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    other = MessagesToChatStream(created_s=1, include_usage=False)
    for index in range(129):
        other.feed(event({"type": "content_block_start", "index": index, "content_block": block}))
    assert other.error
