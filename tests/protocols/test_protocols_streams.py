"""Streams are translated event by event; clients' own readers make of them what they should."""

from __future__ import annotations

import json
from typing import Any

import openai
import published_bodies as published
import pytest
from accumulated import chunks_of, completion_of, events_of, message_of

from breakeven.protocols.events import MOST_EVENT_BYTES
from breakeven.protocols.streams import ChatToMessagesStream, MessagesToChatStream

DONE = b"data: [DONE]\n\n"
CREATED_S = 1_700_000_000


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Return a chunk as a server would send it; made, not published."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(fields | more).encode() + b"\n\n"


def call(index: int | None, arguments: str | None = None, identity: str | None = None, name: str | None = None) -> Any:
    """Return a piece of a tool call."""
    piece: dict[str, Any] = {"function": {}}
    if index is not None:
        piece["index"] = index
    if identity is not None:
        piece |= {"id": identity, "type": "function"}
    if name is not None:
        piece["function"]["name"] = name
    if arguments is not None:
        piece["function"]["arguments"] = arguments
    return piece


def calls(*pieces: Any, finish: str | None = None, **more: Any) -> bytes:
    return chunk({"tool_calls": list(pieces)} | more, finish)


def to_messages(*parts: bytes) -> dict[str, Any]:
    stream = ChatToMessagesStream(model="asked")
    out = b"".join(stream.feed(part) for part in (*parts, DONE)) + stream.end()
    assert (stream.done, stream.error, stream.broken) == (True, False, False)
    return message_of(out)


def event(fields: dict[str, Any]) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


def to_chat(data: bytes, *, include_usage: bool = True) -> bytes:
    stream = MessagesToChatStream(created_s=CREATED_S, include_usage=include_usage)
    out = stream.feed(data) + stream.end()
    assert (stream.done, stream.error, stream.broken) == (True, False, False)
    return out


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


def test_the_pieces_of_parallel_calls_that_take_turns_reach_their_own_blocks() -> None:
    """https://github.com/praxis-proxy/ai/issues/266 and https://github.com/headroomlabs-ai/headroom/pull/2890."""
    message = to_messages(
        calls(call(0, "", "a", "first"), call(1, "", "b", "second")),
        calls(call(0, '{"x"'), call(1, '{"y"')),
        calls(call(1, ":2}"), call(0, ":1}"), finish="tool_calls"),
    )
    assert [(block["id"], block["name"], block["input"]) for block in message["content"]] == [
        ("a", "first", {"x": 1}),
        ("b", "second", {"y": 2}),
    ]


def test_a_call_goes_on_at_once_when_the_one_before_is_complete() -> None:
    stream = ChatToMessagesStream(model="m")
    stream.feed(calls(call(0, "{}", "a", "first")))
    out = stream.feed(calls(call(1, '{"y":', "b", "second")))
    assert [item["type"] for item in events_of(out)] == [
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


def test_parallel_calls_that_share_an_index_are_told_by_their_ids() -> None:
    """https://github.com/ai-dynamo/dynamo/pull/4723."""
    message = to_messages(calls(call(0, '{"x":1}', "a", "f")), calls(call(0, '{"y":2}', "b", "g"), finish="tool_calls"))
    assert [block["input"] for block in message["content"]] == [{"x": 1}, {"y": 2}]


def test_an_id_that_comes_again_with_each_piece_begins_no_new_call() -> None:
    message = to_messages(
        calls(call(0, '{"x"', "a", "f")), calls(call(0, ":1", "a", "f")), calls(call(0, "}", "other"), finish="stop")
    )
    assert [block["input"] for block in message["content"]] == [{"x": 1}]


def test_calls_without_index_and_id_are_told_by_their_names() -> None:
    message = to_messages(calls(call(None, '{"x":1}', name="f"), call(None, '{"y":2}', name="f"), finish="stop"))
    assert [block["input"] for block in message["content"]] == [{"x": 1}, {"y": 2}]
    assert len({block["id"] for block in message["content"]}) == 2
    assert all(block["id"] for block in message["content"])


def test_text_and_a_call_in_one_chunk_both_arrive() -> None:
    """https://github.com/BerriAI/litellm/issues/18238."""
    message = to_messages(calls(call(0, "{}", "a", "f"), content="First:", finish="tool_calls"))
    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert message["content"][1]["name"] == "f"


def test_a_call_is_a_tool_use_even_if_the_server_says_stop() -> None:
    """https://github.com/BerriAI/litellm/issues/34692 and https://github.com/maximhq/bifrost/issues/3638."""
    message = to_messages(chunk({"content": "I look."}), calls(call(0, "{}", "a", "f")), chunk({}, "stop"))
    assert message["stop_reason"] == "tool_use"


def test_a_call_that_was_cut_by_the_limit_says_so() -> None:
    message = to_messages(calls(call(0, "{}", "a", "f"), finish="length"))
    assert message["stop_reason"] == "max_tokens"


def test_no_empty_or_blank_text_block_stands_before_a_call() -> None:
    """https://github.com/BerriAI/litellm/issues/34692; a blank one is refused when it is sent back."""
    message = to_messages(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "\n\n"}),
        calls(call(0, "{}", "a", "f"), content="", finish="tool_calls"),
        chunk({"content": "\n"}),
    )
    assert [block["type"] for block in message["content"]] == ["thinking", "tool_use"]


def test_blank_text_stays_where_other_text_follows() -> None:
    message = to_messages(chunk({"content": "\n"}), chunk({"content": " a"}), chunk({"content": "\n"}, "stop"))
    assert message["content"] == [{"type": "text", "text": "\n a\n"}]


def test_text_after_a_call_follows_all_calls() -> None:
    message = to_messages(
        calls(call(0, '{"x"', "a", "f")), chunk({"content": "done"}), calls(call(0, ":1}"), finish="stop")
    )
    assert [block["type"] for block in message["content"]] == ["tool_use", "text"]
    assert message["content"][0]["input"] == {"x": 1}


def test_a_call_without_arguments_has_an_empty_input() -> None:
    message = to_messages(calls(call(0, "", "a", "f"), finish="tool_calls"))
    assert message["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]


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


def test_a_tool_use_without_any_input_has_arguments_that_can_be_decoded() -> None:
    """ "" is no JSON, and clients decode it."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    data = published.MESSAGES_STREAM.split(b"event: content_block_start")[0]
    data += event({"type": "content_block_start", "index": 0, "content_block": block})
    data += event({"type": "content_block_stop", "index": 0})
    data += event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}) + event({"type": "message_stop"})
    made = completion_of(to_chat(data)).choices[0].message.tool_calls
    assert made is not None
    assert made[0].type == "function"
    assert made[0].function.arguments == "{}"


def test_an_input_that_comes_with_its_block_is_not_lost() -> None:
    """https://github.com/BerriAI/litellm/issues/25836 is the same loss the other way."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}
    data = event({"type": "content_block_start", "index": 3, "content_block": block})
    data += event({"type": "content_block_stop", "index": 3}) + event({"type": "message_stop"})
    out = to_chat(data)
    assert rb'"arguments":"{\"x\": 1}"' in out
    assert b'"finish_reason":"tool_calls"' in out


def test_parallel_tool_uses_are_numbered_among_calls_not_blocks() -> None:
    data = published.MESSAGES_TOOLS_STREAM.replace(
        b"event: message_delta",
        event(
            {
                "type": "content_block_start",
                "index": 2,
                "content_block": {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            }
        )
        + event({"type": "content_block_stop", "index": 2})
        + b"event: message_delta",
    )
    made = completion_of(to_chat(data)).choices[0].message.tool_calls
    assert made is not None
    assert [item.id for item in made] == ["toolu_01T1x1fJ34qAmk2tNTrN7Up6", "toolu_2"]


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


def test_both_ways_and_back_says_the_same() -> None:
    there = MessagesToChatStream(created_s=1, include_usage=True)
    chat = there.feed(published.MESSAGES_TOOLS_STREAM) + there.end()
    message = to_messages(chat[: -len(DONE)])
    original = message_of(published.MESSAGES_TOOLS_STREAM)
    assert message["id"] == original["id"]
    assert message["content"] == original["content"]
    assert message["stop_reason"] == original["stop_reason"]
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (472, 89)
