"""Streams of the Messages and Responses APIs as servers send them, each with where its shape is from.

Shapes are from the pages named; texts are shortened and ids replaced.  What is ``made`` is described there, and shown
nowhere.
"""

from __future__ import annotations

import json
from typing import Any

from recorded_streams import Recorded

_SDK = "https://github.com/anthropics/anthropic-sdk-python/blob/main/tests/lib/streaming/fixtures/"


def named(data: str) -> bytes:
    """Return an event that is named after its type, as both APIs send them."""
    kind = json.loads(data)["type"]
    return f"event: {kind}\ndata: {data}\n\n".encode()


def message_start(usage: str) -> bytes:
    """Return the first event of a message; ``usage`` is what stands behind its other fields."""
    return named(
        '{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant",'
        f'"model":"claude-sonnet-4-20250514","content":[],"stop_reason":null,"stop_sequence":null{usage}}}}}'
    )


def block_start(block: str, index: int = 0) -> bytes:
    """Return the start of a block of content."""
    return named(f'{{"type":"content_block_start","index":{index},"content_block":{block}}}')


def block_delta(delta: str, index: int = 0) -> bytes:
    """Return a piece of a block of content."""
    return named(f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}')


def text_delta(text: str, index: int = 0) -> bytes:
    """Return a piece of text."""
    return block_delta(f'{{"type":"text_delta","text":{json.dumps(text)}}}', index)


def block_stop(index: int = 0) -> bytes:
    """Return the end of a block of content."""
    return named(f'{{"type":"content_block_stop","index":{index}}}')


def message_delta(usage: str, stop_reason: str = "end_turn") -> bytes:
    """Return the event that tells why a message ended, and what it used."""
    return named(f'{{"type":"message_delta","delta":{{"stop_reason":"{stop_reason}","stop_sequence":null}}{usage}}}')


TEXT_START = block_start('{"type":"text","text":""}')
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MESSAGE_STOP = named('{"type":"message_stop"}')
START_USAGE = (
    ',"usage":{"input_tokens":377,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,'
    '"service_tier":"standard"}'
)

MESSAGES = {
    "anthropic, text and a tool": Recorded(
        _SDK + "tool_use_response.txt",
        (
            message_start(START_USAGE),
            TEXT_START,
            PING,
            text_delta("I"),
            text_delta("'ll check the current weather in Paris for you."),
            block_stop(),
            block_start(
                '{"type":"tool_use","id":"toolu_01","name":"get_weather","caller":{"type":"direct"},"input":{}}', 1
            ),
            block_delta('{"type":"input_json_delta","partial_json":""}', 1),
            block_delta('{"type":"input_json_delta","partial_json":"{\\"locati"}', 1),
            block_delta('{"type":"input_json_delta","partial_json":"on\\": \\"Paris\\"}"}', 1),
            block_stop(1),
            message_delta(',"usage":{"output_tokens":65}', "tool_use"),
            MESSAGE_STOP,
        ),
        (377, 65, 0, 0),
        content_events=5,  # two of text, the tool's name, two of its arguments
    ),
    "anthropic, thinking": Recorded(
        "https://docs.claude.com/en/docs/build-with-claude/streaming#streaming-with-extended-thinking; usage made",
        (
            message_start(
                ',"usage":{"input_tokens":12,"cache_creation_input_tokens":2051,"cache_read_input_tokens":188086,'
                '"cache_creation":{"ephemeral_5m_input_tokens":2051,"ephemeral_1h_input_tokens":0},"output_tokens":1,'
                '"service_tier":"priority"}'
            ),
            block_start('{"type":"thinking","thinking":"","signature":""}'),
            block_delta('{"type":"thinking_delta","thinking":"I need to find the GCD"}'),
            block_delta('{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}'),
            block_stop(),
            block_start('{"type":"text","text":""}', 1),
            text_delta("The greatest common divisor is **21**.", 1),
            block_stop(1),
            message_delta(',"usage":{"output_tokens":89}'),
            MESSAGE_STOP,
        ),
        (190149, 89, 188086, 2051),
        content_events=2,
    ),
    "anthropic, a tool that the server runs, after which the input is told again": Recorded(
        "https://docs.claude.com/en/docs/build-with-claude/streaming#streaming-with-web-search-tool-use",
        (
            message_start(
                ',"usage":{"input_tokens":2679,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
                '"output_tokens":3}'
            ),
            TEXT_START,
            text_delta("I'll check"),
            block_stop(),
            block_start('{"type":"server_tool_use","id":"srvtoolu_014","name":"web_search","input":{}}', 1),
            block_delta('{"type":"input_json_delta","partial_json":"{\\"query\\": \\"weather NYC\\"}"}', 1),
            block_stop(1),
            block_start(
                '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_014","content":[{"type":"web_search_result",'
                '"title":"Weather in New York City","url":"https://world-weather.info","encrypted_content":"Ev0D"}]}',
                2,
            ),
            block_stop(2),
            block_start('{"type":"text","text":""}', 3),
            text_delta("Here's the current weather", 3),
            block_stop(3),
            message_delta(
                ',"usage":{"input_tokens":10682,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
                '"output_tokens":510,"server_tool_use":{"web_search_requests":1}}'
            ),
            MESSAGE_STOP,
        ),
        (10682, 510, 0, 0),
        content_events=4,
    ),
    "usage told at the end alone": Recorded(
        _SDK + "usage_omitted_with_optional_fields_response.txt",
        (
            message_start(""),
            TEXT_START,
            text_delta("Hello"),
            block_stop(),
            message_delta(
                ',"usage":{"input_tokens":12,"cache_creation_input_tokens":4,"cache_read_input_tokens":3,'
                '"output_tokens":6,"output_tokens_details":{"thinking_tokens":2},'
                '"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0}}'
            ),
            MESSAGE_STOP,
        ),
        (19, 6, 3, 4),
        content_events=1,
    ),
    "an answer of another model, with a block of a kind that is not known here": Recorded(
        _SDK + "fallback_response.txt",
        (
            message_start(',"usage":{"input_tokens":25,"output_tokens":1}'),
            block_start(
                '{"type":"fallback","from":{"model":"claude-opus-4-7"},"to":{"model":"claude-sonnet-4-5"},'
                '"trigger":{"type":"refusal","category":null}}'
            ),
            block_stop(),
            block_start('{"type":"text","text":""}', 1),
            text_delta("Hello there!", 1),
            block_stop(1),
            message_delta(',"usage":{"output_tokens":8}'),
            MESSAGE_STOP,
        ),
        (25, 8, 0, 0),
        content_events=1,
    ),
    "vllm, whose cache counts come with the end": Recorded(
        "https://github.com/vllm-project/vllm/pull/40912, which describes it; numbers made",
        (
            message_start(',"usage":{"input_tokens":96,"output_tokens":0}'),
            TEXT_START,
            text_delta("v"),
            text_delta("LLM"),
            block_stop(),
            message_delta(
                ',"usage":{"input_tokens":16,"output_tokens":3,"cache_read_input_tokens":80,'
                '"cache_creation_input_tokens":0}'
            ),
            MESSAGE_STOP,
        ),
        (96, 3, 80, 0),
        content_events=2,
    ),
    "llama.cpp, with its cache": Recorded(
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-task.cpp; numbers made",
        (
            message_start(',"usage":{"cache_read_input_tokens":30,"input_tokens":45,"output_tokens":0}'),
            TEXT_START,
            text_delta("Hi"),
            block_stop(),
            message_delta(',"usage":{"output_tokens":31}'),
            MESSAGE_STOP,
        ),
        (75, 31, 30, 0),
        content_events=1,
    ),
    "no usage at all": Recorded(
        "made",
        (message_start(""), TEXT_START, text_delta("Hello, all of you"), block_stop(), MESSAGE_STOP),
        (53, 5, 0, 0),  # ceil(210 / 4) and ceil(17 / 4)
        estimated=True,
        content_events=1,
    ),
    "returns, and data alone": Recorded(
        "https://html.spec.whatwg.org/multipage/server-sent-events.html; made",
        (
            b'\xef\xbb\xbfdata: {"type":"message_start","message":{"usage":{"input_tokens":5}}}\r\n\r\n',
            b": keep-alive\r\n\r\n",
            b'event: content_block_delta\rid: 7\rdata:{"type":"content_block_delta",\rdata:"delta":{"text":"Hi"}}\r\r',
            b'data: {"type":"message_delta","usage":{"output_tokens":3}}\n\n',
            b': the end\nevent: message_stop\r\ndata: {"type":"message_stop"}\r\n\r\n',
        ),
        (5, 3, 0, 0),
        content_events=1,
    ),
}

_RESPONSE: dict[str, Any] = {
    "id": "resp_67c9",
    "object": "response",
    "created_at": 1741290958,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": "You are a helpful assistant.",
    "model": "gpt-4.1-2025-04-14",
    "output": [],
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "auto",
    "tools": [],
    "usage": None,
    "metadata": {},
}


def lifecycle(kind: str, **fields: object) -> bytes:
    """Return an event that holds all of a response."""
    return named(json.dumps({"type": kind, "response": {**_RESPONSE, **fields}}, separators=(",", ":")))


def piece(kind: str, delta: str) -> bytes:
    """Return an event that brings a piece of text."""
    place = '"item_id":"msg_67c9","output_index":0,"content_index":0'
    return named(f'{{"type":"{kind}",{place},"delta":{json.dumps(delta)}}}')


def output_text(delta: str) -> bytes:
    """Return a piece of the visible text."""
    return piece("response.output_text.delta", delta)


def response_usage(counts: tuple[int, int], *, cached: int = 0, reasoning: int = 0) -> dict[str, object]:
    """Return the usage of a response; ``counts`` are input and output."""
    return {
        "input_tokens": counts[0],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": counts[1],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": sum(counts),
    }


CREATED = (lifecycle("response.created"), lifecycle("response.in_progress"))
MESSAGE_ADDED = (
    named(
        '{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_67c9","type":"message",'
        '"status":"in_progress","role":"assistant","content":[]}}'
    ),
    named(
        '{"type":"response.content_part.added","item_id":"msg_67c9","output_index":0,"content_index":0,'
        '"part":{"type":"output_text","text":"","annotations":[]}}'
    ),
)
_MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi there!"}]}
TEXT_DONE = (
    named('{"type":"response.output_text.done","item_id":"msg_67c9","output_index":0,"text":"Hi there!"}'),
    named(json.dumps({"type": "response.output_item.done", "output_index": 0, "item": _MESSAGE})),
)

RESPONSES = {
    "openai": Recorded(
        "https://platform.openai.com/docs/api-reference/responses/create?lang=curl (streaming)",
        (
            *CREATED,
            *MESSAGE_ADDED,
            output_text("Hi"),
            output_text(" there!"),
            *TEXT_DONE,
            lifecycle(
                "response.completed",
                status="completed",
                output=[_MESSAGE],
                service_tier="default",
                usage={
                    "input_tokens": 37,
                    "output_tokens": 11,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 48,
                },
            ),
        ),
        (37, 11, 0, 0),
        content_events=2,
    ),
    "openai, reasoning and a call, cut off by its limit": Recorded(
        "https://platform.openai.com/docs/api-reference/responses-streaming; numbers made",
        (
            *CREATED,
            named(
                '{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning",'
                '"summary":[]},"sequence_number":2}'
            ),
            piece("response.reasoning_summary_text.delta", "First, let's"),
            named(
                '{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_1","type":"function_call",'
                '"status":"in_progress","arguments":"","call_id":"call_1","name":"get_weather"},"sequence_number":5}'
            ),
            piece("response.function_call_arguments.delta", '{"location":"'),
            lifecycle(
                "response.incomplete",
                status="incomplete",
                incomplete_details={"reason": "max_output_tokens"},
                usage=response_usage((2006, 300), cached=1920, reasoning=256),
                service_tier="priority",
            ),
        ),
        (2006, 300, 1920, 0),
        content_events=3,
    ),
    "a server that sends the line of the other APIs too": Recorded(
        "https://docs.ai-stats.phaseo.app/v1/sdk-reference/python/responses, for the line; the rest is made",
        (
            *CREATED,
            output_text("Hi"),
            lifecycle("response.completed", usage=response_usage((15, 3))) + b"data: [DONE]\n\n",
        ),
        (15, 3, 0, 0),
        content_events=1,
    ),
    "vllm, whose reasoning is text": Recorded(
        "https://github.com/vllm-project/vllm/pull/35184; usage made",
        (
            *CREATED,
            named(
                '{"item":{"id":"0442","summary":[],"type":"reasoning","content":null,"status":"in_progress"},'
                '"output_index":0,"sequence_number":2,"type":"response.output_item.added"}'
            ),
            named(
                '{"content_index":8,"delta":" say","item_id":"0442","output_index":0,"sequence_number":11,'
                '"type":"response.reasoning_text.delta"}'
            ),
            named(
                '{"content_index":9,"delta":" hello","item_id":"0442","output_index":0,"sequence_number":12,'
                '"type":"response.reasoning_text.delta"}'
            ),
            *MESSAGE_ADDED,
            output_text("Hi"),
            lifecycle("response.completed", usage=response_usage((15, 30), cached=8, reasoning=20)),
        ),
        (15, 30, 8, 0),
        content_events=3,
    ),
    "no usage": Recorded(
        "made",
        (*CREATED, output_text("Hello, all of you"), lifecycle("response.completed")),
        (53, 5, 0, 0),
        estimated=True,
        content_events=1,
    ),
}
