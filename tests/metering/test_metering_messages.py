"""What is read off Anthropic's Messages API, what passes, and what waits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_events import (
    MESSAGE_STOP,
    MESSAGES,
    PING,
    START_USAGE,
    TEXT_START,
    block_delta,
    block_start,
    block_stop,
    message_delta,
    message_start,
    named,
    text_delta,
)
from recorded_streams import REQUEST_BYTES

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.metering.framing import MOST_EVENT_BYTES
from breakeven.metering.messages import MessagesMeter, read_count, read_message
from breakeven.metering.meter import MOST_HELD_BYTES
from breakeven.metering.reading import Reading

START = message_start(START_USAGE)


def watch(*packets: bytes, keeps_text: bool = False) -> tuple[MessagesMeter, bytes]:
    meter = MessagesMeter(keeps_text=keeps_text)
    passed = b"".join([meter.feed(packet) for packet in packets])
    return meter, passed + meter.close()


def read(*packets: bytes, complete: bool = True) -> Reading:
    return watch(*packets)[0].reading(REQUEST_BYTES, complete)


def message(usage: object, *content: object, **more: object) -> bytes:
    found: dict[str, Any] = {"id": "msg_01", "type": "message", "role": "assistant", "content": content, "usage": usage}
    return json.dumps({**found, **more}).encode()


@pytest.mark.parametrize("name", MESSAGES)
def test_a_server_s_stream_is_read_as_it_means(name: str) -> None:
    stream = MESSAGES[name]
    meter, passed = watch(*stream.events)
    reading = meter.reading(REQUEST_BYTES, complete=True)
    assert reading[:4] == stream.counts
    assert reading.estimated is stream.estimated
    assert meter.content_events == stream.content_events
    assert (meter.done, meter.malformed, meter.error, meter.skipped_events) == (True, False, False, 0)
    assert passed == b"".join(stream.events[:-1])
    assert meter.held == stream.events[-1]


def test_a_whole_event_passes_at_once_and_as_the_same_object() -> None:
    meter = MessagesMeter()
    for packet in (START, TEXT_START, PING, text_delta("a"), text_delta("\n"), block_stop(), b'data: {"x":1}\n\n'):
        assert meter.feed(packet) is packet


def test_no_part_of_an_event_passes_before_the_rest_for_it_may_be_the_last() -> None:
    meter = MessagesMeter()
    assert meter.feed(text_delta("a") + MESSAGE_STOP[:10]) == text_delta("a")
    assert meter.feed(MESSAGE_STOP[10:-1]) == b""
    assert not meter.done
    assert meter.feed(MESSAGE_STOP[-1:]) == b""
    assert (meter.done, meter.held) == (True, MESSAGE_STOP)


def test_the_last_event_is_held_with_all_that_follows_it_but_not_without_end() -> None:
    meter, passed = watch(text_delta("a") + MESSAGE_STOP, b": bye\n\n", b"x" * 2 * MOST_EVENT_BYTES)
    assert passed == text_delta("a")
    assert meter.held[: len(MESSAGE_STOP) + 8] == MESSAGE_STOP + b": bye\n\nx"
    assert len(meter.held) == MOST_EVENT_BYTES + MOST_HELD_BYTES


@pytest.mark.parametrize("ending", [MESSAGE_STOP[:-1], MESSAGE_STOP[:-2], b"data: [DONE]", b"data: [DONE]\n\n"])
def test_the_end_counts_without_its_blank_line_and_as_the_line_of_other_protocols(ending: bytes) -> None:
    meter, passed = watch(text_delta("a"), ending)
    assert (meter.done, meter.held, passed) == (True, ending, text_delta("a"))


def test_an_event_that_is_no_object_is_skipped_however_it_comes() -> None:
    for data in (b"data: hello\n\n", b"event: ping\ndata: []\n\n", b'data: {"type"\n\n', b"data: {}}\r\n\r\n"):
        for packets in ((data,), (data[:-3], data[-3:]), (PING + data,)):
            meter, passed = watch(*packets, text_delta("a"))
            assert (meter.malformed, meter.skipped_events, meter.content_events) == (True, 1, 2)
            assert passed == b"".join(packets).removesuffix(data) + text_delta("a")


def test_an_event_cut_in_the_middle_is_passed_on_and_no_fault_of_the_stream() -> None:
    meter, passed = watch(text_delta("a"), text_delta("b")[:-9])
    assert passed == text_delta("a") + text_delta("b")[:-9]
    assert (meter.malformed, meter.skipped_events, meter.events, meter.done) == (False, 0, 1, False)


@pytest.mark.parametrize(
    "data",
    [
        # https://docs.claude.com/en/docs/build-with-claude/streaming#error-events
        named('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b'event: error\ndata: {"error":"overloaded"}\n\n',
    ],
)
def test_an_error_is_seen_and_passes_unless_the_answer_may_be_continued(data: bytes) -> None:
    meter, passed = watch(START, text_delta("a"), data)
    assert (meter.error, meter.done, passed) == (True, False, START + text_delta("a") + data)
    meter, passed = watch(START, text_delta("a") + data, PING, keeps_text=True)
    assert (meter.error, meter.done, passed) == (True, False, START + text_delta("a"))
    assert (meter.held, meter.text(), meter.continuable) == (data + PING, "a", True)


def test_the_word_error_is_none() -> None:
    assert not watch(named('{"type":"ping","error":null}'), text_delta('{"type":"error"}'))[0].error


def test_counts_that_are_told_again_replace_the_first_and_others_stay() -> None:
    start = message_start(
        ',"usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":1,'
        '"service_tier":"batch"}'
    )
    last = message_delta(',"usage":{"output_tokens":9,"input_tokens":null,"cache_read_input_tokens":150}')
    batch = PROCESSINGS.index("batch")
    assert read(start, text_delta("a"), last, MESSAGE_STOP) == Reading(180, 9, 150, 20, batch, estimated=False)
    twice = message_delta(',"usage":{"output_tokens":4}') + last
    assert read(start, text_delta("a"), twice, MESSAGE_STOP).output_tokens == 9


def test_what_the_first_event_tells_of_the_output_is_never_the_last_word() -> None:
    assert read(START, complete=False) == Reading(377, 1, 0, 0, 0, estimated=True)
    assert read(START, *[text_delta("a")] * 9) == Reading(377, 9, 0, 0, 0, estimated=True)
    assert read(START, text_delta("a"), message_delta(',"usage":{"input_tokens":9}')) == Reading(
        9, 1, 0, 0, 0, estimated=True
    )


def test_told_output_stands_if_the_stream_breaks_behind_it_and_not_if_more_comes() -> None:
    last = message_delta(',"usage":{"output_tokens":5}')
    assert read(START, text_delta("a"), last, complete=False) == Reading(377, 5, 0, 0, 0, estimated=False)
    assert read(START, text_delta("a"), last, text_delta("a" * 40), complete=False) == Reading(
        377, 11, 0, 0, 0, estimated=True
    )


def test_explicit_zeros_are_believed() -> None:
    zero = ',"usage":{"input_tokens":0,"output_tokens":0}'
    assert read(message_start(zero), message_delta(zero), MESSAGE_STOP) == Reading(0, 0, 0, 0, 0, estimated=False)


def test_text_is_text_thinking_and_the_names_and_arguments_of_tools() -> None:
    for packet in (
        text_delta("12345678"),
        block_delta('{"type":"thinking_delta","thinking":"12345678"}'),
        block_delta('{"type":"input_json_delta","partial_json":"12345678"}'),
        block_start('{"type":"tool_use","name":"12345678","input":{}}'),
        block_start('{"type":"text","text":"12345678"}'),
        block_delta('{"type":"text_delta","text":["1234",{"text":"5678"}]}'),
    ):
        assert read(packet).output_tokens == 2, packet
    assert read(block_delta('{"type":"signature_delta","signature":"12345678"}')).output_tokens == 0


@pytest.mark.parametrize("bad", ["-1", '"12"', "12.5", "true", "[]", "1e300", "1" + "0" * 30])
def test_a_count_that_cannot_be_is_estimated_and_the_others_stand(bad: str) -> None:
    usage = f',"usage":{{"input_tokens":{bad},"output_tokens":7}}'
    assert read(message_delta(usage), MESSAGE_STOP) == Reading(53, 7, 0, 0, 0, estimated=True)
    usage = f',"usage":{{"input_tokens":9,"output_tokens":7,"cache_read_input_tokens":{bad}}}'
    assert read(message_delta(usage), MESSAGE_STOP) == Reading(9, 7, 0, 0, 0, estimated=True)
    body = message({"input_tokens": 9, "output_tokens": json.loads(bad)}, {"type": "text", "text": "12345"})
    assert read_message(body, REQUEST_BYTES) == Reading(9, 2, 0, 0, 0, estimated=True)


def test_a_message_that_came_whole_is_read_by_type() -> None:
    # https://docs.claude.com/en/api/messages
    usage = {
        "input_tokens": 2095,
        "cache_creation_input_tokens": 2051,
        "cache_read_input_tokens": 2052,
        "output_tokens": 503,
        "service_tier": "priority",
    }
    text = {"type": "text", "text": "Hi! My name is Claude."}
    assert read_message(message(usage, text), 0) == Reading(6198, 503, 2052, 2051, 3, estimated=False)
    tiers = {"standard": 0, "batch": 1, "priority": 3, None: 0}
    for tier, processing in tiers.items():
        assert read_message(message({**usage, "service_tier": tier}), 0).processing == processing


def test_without_usage_the_blocks_of_a_message_are_counted() -> None:
    call = {"type": "tool_use", "id": "toolu_01", "name": "look", "input": {"a": "12345"}}
    body = message(None, {"type": "text", "text": "é" * 8}, {"type": "thinking", "thinking": "1234"}, call)
    assert read_message(body, REQUEST_BYTES) == Reading(53, 10, 0, 0, 0, estimated=True)  # ceil((16 + 4 + 4 + 13) / 4)
    short = [{"type": "text", "text": "a"}] * 3
    assert read_message(message(None, *short, {"type": "text", "text": ""}, None, 7), 0).output_tokens == 3
    assert read_message(b"x" * 100, REQUEST_BYTES) == Reading(53, 25, 0, 0, 0, estimated=True)


def test_usage_is_found_in_a_message_whose_middle_was_not_kept() -> None:
    usage = {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 7, "service_tier": "batch"}
    body = message(usage, {"type": "text", "text": 'say "usage": {"input_tokens": 1} ' * 99})
    assert read_message(body[:200] + body[-300:], 0) == Reading(13, 7, 4, 0, 1, estimated=False)


def test_counting_tokens_uses_none() -> None:
    for body in (b'{"input_tokens":2095}', b"", b"x"):
        assert read_count(body, REQUEST_BYTES) == Reading(0, 0, 0, 0, 0, estimated=False)


NAMES = [
    "type", "usage", "message", "delta", "content_block", "content", "text", "thinking", "partial_json", "name",
    "input", "error", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "service_tier",
]  # fmt: skip
KINDS = st.sampled_from(["message_start", "content_block_delta", "message_delta", "message_stop", "error", "text"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(anything)
@settings(max_examples=300, deadline=None)
def test_no_json_is_too_strange_to_be_read(found: object) -> None:
    for body in (json.dumps(found).encode(), message(found), message({}, found), message(None, found)):
        reading = read_message(body, REQUEST_BYTES)
        assert reading.usage().input_tokens == reading.input_tokens
        meter, passed = watch(b"data: " + body + b"\n\n", keeps_text=True)
        assert meter.reading(REQUEST_BYTES, complete=True).usage().output_tokens >= 0
        assert passed + meter.held == (b"" if meter.malformed else b"data: " + body + b"\n\n")


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"usage":' * 100_000, b'{"content":[{"input":' + b"[" * 900 + b"]" * 900 + b"}]}"]
)
def test_depth_does_not_matter(body: bytes) -> None:
    assert read_message(body, 0).estimated


def test_nested_text_is_no_trap_however_deep() -> None:
    for depth in range(100, 1100, 50):
        deep = b'{"text":' * depth + b'"a"' + b"}" * depth
        assert read_message(b'x"service_tier":' + deep, 0).estimated
        assert read_message(b'{"content":[{"text":' + deep + b"}]}", 0).estimated
        assert read_message(b'{"content":[{"input":' + deep + b"}]}", 0).estimated
