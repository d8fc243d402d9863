"""Calls of tools in streams: whole, in pieces, in parallel, and with text around them."""

from __future__ import annotations

import published_bodies as published
from accumulated import completion_of, events_of
from made_streams import call, calls, chunk, event, to_chat, to_messages

from breakeven.protocols.streams import ChatToMessagesStream


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
