"""Streams are translated event by event; clients' own readers make of them what they should."""

from __future__ import annotations

import json

import published_bodies as published
import pytest
from accumulated import chunks_of, completion_of, message_of
from made_streams import CREATED_S, DONE, chunk, event, to_chat, to_messages

from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream


def test_the_published_stream_of_chunks_becomes_a_message() -> None:
    message = to_messages(published.CHAT_STREAM)
    assert message["id"] == "msg_123"
    assert message["model"] == "asked"
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)


def test_the_published_stream_of_a_call_becomes_a_tool_use() -> None:
    message = to_messages(published.CHAT_TOOLS_STREAM)
    assert message["content"] == [
        {
            "type": "tool_use",
            "id": "call_DdmO9pD3xa9XTPNJ32zg2hcA",
            "name": "get_weather",
            "input": {"location": "Paris, France"},
        }
    ]
    assert message["stop_reason"] == "tool_use"


def test_the_published_stream_of_events_becomes_a_completion() -> None:
    completion = completion_of(to_chat(published.MESSAGES_STREAM))
    assert completion.id == "chatcmpl-1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyy"
    assert completion.model == "claude-sonnet-4-5-20250929"
    assert completion.created == CREATED_S
    assert completion.choices[0].message.content == "Hello!"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (25, 15)


def test_the_published_stream_of_a_tool_use_becomes_a_call() -> None:
    choice = completion_of(to_chat(published.MESSAGES_TOOLS_STREAM)).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Okay, let's check the weather for San Francisco, CA:"
    assert choice.message.tool_calls is not None
    (made,) = choice.message.tool_calls
    assert made.type == "function"
    assert made.id == "toolu_01T1x1fJ34qAmk2tNTrN7Up6"
    assert made.function.name == "get_weather"
    assert json.loads(made.function.arguments) == {"location": "San Francisco, CA", "unit": "fahrenheit"}


def test_thinking_becomes_reasoning_and_its_signature_is_dropped() -> None:
    out = to_chat(published.MESSAGES_THINKING_STREAM)
    deltas = [chunk.choices[0].delta.model_dump() for chunk in chunks_of(out) if chunk.choices]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas).endswith("453 = 400 + 50 + 3")
    assert "".join(delta.get("content") or "" for delta in deltas) == "27 * 453 = 12,231"
    assert b"EqQB" not in out


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_becomes_thinking_before_the_text(name: str) -> None:
    both = {"reasoning_content": "hm", "reasoning": "hm"}
    message = to_messages(chunk({name: "let "}), chunk({name: "me"}), chunk(both), chunk({"content": "yes"}, "stop"))
    assert message["content"] == [
        {"type": "thinking", "thinking": "let mehm", "signature": ""},
        {"type": "text", "text": "yes"},
    ]


def test_usage_that_comes_after_the_end_is_told_with_input_and_caches_apart() -> None:
    """https://github.com/envoyproxy/ai-gateway/pull/2350: cached tokens must not count twice."""
    usage = f'data: {{"id":"c","choices":[],"usage":{json.dumps(published.CHAT_CACHED_USAGE)}}}\n\n'.encode()
    message = to_messages(chunk({"content": "x"}), chunk({}, "stop"), usage)
    assert message["usage"] == {
        "input_tokens": 86,
        "cache_read_input_tokens": 1920,
        "cache_creation_input_tokens": 0,
        "output_tokens": 300,
    }


def test_usage_of_later_events_replaces_what_was_told_before() -> None:
    """https://github.com/envoyproxy/ai-gateway/pull/2239: message_delta tells totals."""
    start = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1}
    data = (
        event({"type": "message_start", "message": {"id": "msg_1", "model": "c", "content": [], "usage": start}})
        + event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}})
        + event({"type": "message_delta", "delta": {}, "usage": {"input_tokens": 11, "output_tokens": 9}})
        + event({"type": "message_stop"})
    )
    usage = completion_of(to_chat(data)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (23, 9, 32)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 5
    assert usage.prompt_tokens_details.cache_write_tokens == 7


def test_usage_comes_only_to_those_who_asked() -> None:
    assert b"usage" not in to_chat(published.MESSAGES_STREAM, include_usage=False)
    asked = chunks_of(to_chat(published.MESSAGES_STREAM))
    assert [bool(chunk.usage) for chunk in asked] == [False] * (len(asked) - 1) + [True]
    assert asked[-1].choices == []


def test_a_ping_becomes_a_comment() -> None:
    assert b": ping\n\n" in to_chat(published.MESSAGES_STREAM)


def test_the_stop_sequence_that_vllm_tells_is_told() -> None:
    done = json.dumps(
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    )
    message = to_messages(chunk({"content": "x"}), f"data: {done}\n\n".encode())
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    message = to_messages(chunk({"refusal": "I can't."}), chunk({}, "stop"))
    assert message["content"] == [{"type": "text", "text": "I can't."}]
    assert message["stop_reason"] == "refusal"


def test_azures_event_before_the_first_choice_begins_nothing() -> None:
    """https://github.com/AbanteAI/archive-old-cli-mentat/issues/429."""
    first = b'data: {"choices":[],"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
    stream = ChatToMessagesStream(model="m")
    assert stream.feed(first) == b""
    assert to_messages(first, published.CHAT_STREAM)["id"] == "msg_123"


def test_both_ways_and_back_says_the_same() -> None:
    there = MessagesToChatStream(created_s=1, include_usage=True)
    chat = there.feed(published.MESSAGES_TOOLS_STREAM) + there.end()
    message = to_messages(chat[: -len(DONE)])
    original = message_of(published.MESSAGES_TOOLS_STREAM)
    assert message["id"] == original["id"]
    assert message["content"] == original["content"]
    assert message["stop_reason"] == original["stop_reason"]
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (472, 89)
