"""Whole answers of one protocol become the other's."""

from __future__ import annotations

import json
from typing import Any

import published_bodies as published
import pytest
from openai.types.chat import ChatCompletion

from breakeven.protocols import UntranslatableError
from breakeven.protocols.answers import chat_answer_to_messages, messages_answer_to_chat

CREATED_S = 1_700_000_000


def to_messages(body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(chat_answer_to_messages(json.dumps(body).encode()))
    return made


def to_chat(body: dict[str, Any]) -> dict[str, Any]:
    made = messages_answer_to_chat(json.dumps(body).encode(), created_s=CREATED_S)
    ChatCompletion.model_validate_json(made)
    fields: dict[str, Any] = json.loads(made)
    return fields


def chat(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message, "finish_reason": finish} | more]}


def test_the_published_completion_becomes_a_message() -> None:
    assert to_messages(published.CHAT_ANSWER) == {
        "id": "msg_B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "type": "message",
        "role": "assistant",
        "model": "gpt-4.1-2025-04-14",
        "content": [{"type": "text", "text": "Hello! How can I assist you today?"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 19,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 10,
            "service_tier": "standard",
        },
    }


def test_the_published_call_becomes_a_tool_use() -> None:
    message = to_messages(published.CHAT_TOOLS_ANSWER)
    assert message["content"] == [
        {
            "type": "tool_use",
            "id": "call_abc123",
            "name": "get_current_weather",
            "input": {"location": "Boston, MA"},
        }
    ]
    assert message["stop_reason"] == "tool_use"


def test_the_published_message_becomes_a_completion() -> None:
    assert to_chat(published.MESSAGES_ANSWER) == {
        "id": "chatcmpl-01XFDUDYJgAACzvnptvVoYEL",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": "claude-sonnet-4-5",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello!", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 6,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        },
    }


def test_the_published_tool_use_becomes_a_call() -> None:
    choice = to_chat(published.MESSAGES_TOOLS_ANSWER)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["id"] == "toolu_01A09q90qw90lq917835lq9"
    assert json.loads(call["function"]["arguments"]) == {"location": "San Francisco, CA", "unit": "celsius"}


@pytest.mark.parametrize("body", [published.MESSAGES_ANSWER, published.MESSAGES_TOOLS_ANSWER])
def test_there_and_back_an_answer_is_the_same(body: dict[str, Any]) -> None:
    back = to_messages(to_chat(body))
    assert {name: back[name] for name in body if name != "usage"} == {
        name: value for name, value in body.items() if name != "usage"
    }


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        (None, "end_turn"),
        ("abort", "end_turn"),
    ],
)
def test_finish_reasons_become_stop_reasons(finish: str | None, stop: str) -> None:
    assert to_messages(chat({"content": "x"}, finish))["stop_reason"] == stop


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        (None, "stop"),
        ("new_one", "stop"),
    ],
)
def test_stop_reasons_become_finish_reasons(stop: str | None, finish: str) -> None:
    assert to_chat(published.MESSAGES_ANSWER | {"stop_reason": stop})["choices"][0]["finish_reason"] == finish


def test_calls_decide_the_reason_where_the_server_says_the_usual_one() -> None:
    """https://github.com/BerriAI/litellm/issues/34692."""
    message = published.CHAT_TOOLS_ANSWER["choices"][0]["message"]
    assert to_messages(chat(message, "stop"))["stop_reason"] == "tool_use"
    assert to_messages(chat(message, "length"))["stop_reason"] == "max_tokens"
    body = published.MESSAGES_TOOLS_ANSWER | {"stop_reason": "end_turn"}
    assert to_chat(body)["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("name", ["stop_reason", "matched_stop"])
def test_the_stop_sequence_that_a_server_tells_is_told(name: str) -> None:
    message = to_messages(chat({"content": "x"}, "stop", **{name: "END"}))
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")
    token = to_messages(chat({"content": "x"}, "stop", **{name: 128001}))
    assert (token["stop_reason"], token["stop_sequence"]) == ("end_turn", None)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_an_answer_without_text_has_no_text_block(content: str | None) -> None:
    assert to_messages(chat({"content": content}))["content"] == []


def test_a_message_without_text_has_a_text_unless_it_calls() -> None:
    assert to_chat(published.MESSAGES_ANSWER | {"content": []})["choices"][0]["message"]["content"] == ""
    content = published.MESSAGES_TOOLS_ANSWER["content"][1:]
    assert to_chat(published.MESSAGES_ANSWER | {"content": content})["choices"][0]["message"]["content"] is None


def test_thinking_and_reasoning_are_the_same() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    message = to_chat(published.MESSAGES_ANSWER | {"content": content})["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm", "ab")
    assert to_messages(chat(message))["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "ab"},
    ]


def test_a_refusal_is_text_with_its_stop_reason() -> None:
    message = to_messages(chat({"content": None, "refusal": "I can't."}))
    assert message["content"] == [{"type": "text", "text": "I can't."}]
    assert message["stop_reason"] == "refusal"


def test_calls_without_an_id_get_ones_that_differ_and_stay() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = chat({"content": None, "tool_calls": [call, call | {"id": ""}]})
    ids = [block["id"] for block in to_messages(body)["content"]]
    assert ids == ["call_1_0", "call_1_1"]
    assert [block["id"] for block in to_messages(body)["content"]] == ids


def test_what_was_read_from_a_cache_or_written_to_it_is_told_apart_and_together() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 7, "output_tokens": 2}
    details = {"output_tokens_details": {"thinking_tokens": 1}, "service_tier": "priority"}
    body = to_chat(published.MESSAGES_ANSWER | {"usage": usage | details})
    assert body["usage"] == {
        "prompt_tokens": 60,
        "completion_tokens": 2,
        "total_tokens": 62,
        "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 7},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert body["service_tier"] == "priority"
    assert to_messages(body)["usage"] == usage | details


@pytest.mark.parametrize(
    ("usage", "cached", "written"),
    [
        (published.CHAT_CACHED_USAGE, 1920, 0),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, 4, 0),
        ({"prompt_tokens": 10, "cached_tokens": 4}, 4, 0),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_tokens": 3}}, 4, 3),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}, 40, 0),
    ],
)
def test_servers_names_for_cached_tokens_are_known(usage: dict[str, Any], cached: int, written: int) -> None:
    made = to_messages(chat({"content": "x"}) | {"usage": usage})["usage"]
    assert made["cache_read_input_tokens"] == cached
    assert made["cache_creation_input_tokens"] == written
    assert made["input_tokens"] == max(0, usage["prompt_tokens"] - cached - written)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b'{"error":{}}', b"\xff", b"[" * 9999],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(UntranslatableError, match="no chat completion"):
        chat_answer_to_messages(body)
    with pytest.raises(UntranslatableError, match="no message"):
        messages_answer_to_chat(body, created_s=1)
