"""The text that is kept of a stream, and whether another target can go on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recorded_events import (
    CREATED,
    MESSAGE_ADDED,
    MESSAGE_STOP,
    PING,
    START_USAGE,
    TEXT_DONE,
    TEXT_START,
    block_delta,
    block_start,
    block_stop,
    lifecycle,
    message_delta,
    message_start,
    named,
    output_text,
    piece,
    text_delta,
)
from recorded_streams import DONE, STREAMS, event

from breakeven.metering.framing import MOST_EVENT_BYTES
from breakeven.metering.kept import MOST_KEPT_BYTES, KeptText
from breakeven.metering.messages import MessagesMeter
from breakeven.metering.responses import ResponsesMeter
from breakeven.metering.stream import StreamMeter

if TYPE_CHECKING:
    from breakeven.metering.meter import EventMeter

METERS = (StreamMeter, MessagesMeter, ResponsesMeter)


def keep(kind: type[EventMeter], *packets: bytes) -> tuple[str, bool]:
    """Feed each packet, and all of them in one, and return what is kept either way."""
    found = set()
    for way in (packets, (b"".join(packets),)):
        meter = kind(keeps_text=True)
        for packet in way:
            meter.feed(packet)
        found.add((meter.text(), meter.continuable))
    assert len(found) == 1
    return found.pop()


def chunk(choice: str) -> bytes:
    return event(f'{{"id":"c","choices":[{{"index":0,{choice},"finish_reason":null}}]}}')


def content(text: str) -> bytes:
    return chunk(f'"delta":{{"content":"{text}"}}')


ROLE = chunk('"delta":{"role":"assistant","content":""}')
REASONING = chunk('"delta":{"reasoning_content":"hmm"}')
START = message_start(START_USAGE)
THINKING = block_start('{"type":"thinking","thinking":""}') + block_delta('{"type":"thinking_delta","thinking":"hmm"}')


@pytest.mark.parametrize("kind", METERS)
def test_nothing_is_kept_unless_it_is_asked_for(kind: type[EventMeter]) -> None:
    meter = kind()
    for packet in (content("a"), text_delta("a"), output_text("a")):
        meter.feed(packet)
    assert (meter.text(), meter.continuable) == ("", False)


@pytest.mark.parametrize("kind", METERS)
def test_before_anything_has_come_all_of_it_can_be_had_elsewhere(kind: type[EventMeter]) -> None:
    assert keep(kind, b": keep-alive\n\n") == ("", True)


def test_the_text_of_a_chat_is_its_content() -> None:
    packets = [
        ROLE,
        content("Hello"),
        content(" World"),
        content(" \\n\\u00e9"),
        content("é😀"),
        content("a"),
        content("b"),
    ]
    assert keep(StreamMeter, *packets) == ("Hello World \néé😀ab", True)


def test_the_text_of_a_completion_is_its_text() -> None:
    packets = [chunk(f'"text":"{word}","logprobs":null') for word in ("Hello", " World", "!", "", "a", "\\u00e9")]
    assert keep(StreamMeter, *packets) == ("Hello World!aé", True)


def test_text_of_packets_that_go_the_short_cut_is_kept_with_the_rest() -> None:
    words = [f" word{number}" for number in range(50)]
    assert keep(StreamMeter, ROLE, *[content(word) for word in words]) == ("".join(words), True)


def test_reasoning_that_led_to_no_text_would_be_lost_and_before_the_text_it_has_done_its_work() -> None:
    more = [chunk(f'"delta":{{"reasoning_content":"{word}"}}') for word in "abcdef"]
    assert keep(StreamMeter, ROLE, REASONING, *more) == ("", False)
    assert keep(StreamMeter, ROLE, REASONING, *more, content("a")) == ("a", True)
    assert keep(StreamMeter, ROLE, content("a"), REASONING) == ("a", False)
    assert keep(MessagesMeter, START, THINKING) == ("", False)
    assert keep(MessagesMeter, START, THINKING, block_stop(), TEXT_START) == ("", False)
    assert keep(MessagesMeter, START, THINKING, block_stop(), TEXT_START, text_delta("a")) == ("a", True)
    assert keep(MessagesMeter, START, TEXT_START, text_delta("a"), THINKING) == ("a", False)
    thought = piece("response.reasoning_summary_text.delta", "hmm")
    assert keep(ResponsesMeter, *CREATED, thought) == ("", False)
    assert keep(ResponsesMeter, *CREATED, thought, *MESSAGE_ADDED, output_text("a")) == ("a", True)
    assert keep(ResponsesMeter, *CREATED, output_text("a"), thought) == ("a", False)


@pytest.mark.parametrize(
    "data",
    [
        chunk('"delta":{"tool_calls":[{"index":0,"function":{"name":"look","arguments":""}}]}'),
        chunk('"delta":{"tool_calls":[{"index":0}]}'),
        chunk('"delta":{"function_call":{"name":"look"}}'),
        chunk('"delta":{"refusal":"no"}'),
        event('{"choices":[{"index":1,"delta":{"content":""}}]}'),
        event('{"choices":[{"index":0,"delta":{"content":""}},{"index":1,"delta":{"content":""}}]}'),
        event('{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'),
        event('{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":""}]}}]}'),
    ],
)
def test_what_is_not_the_plain_text_of_one_answer_ends_the_hope_for_a_chat(data: bytes) -> None:
    assert keep(StreamMeter, ROLE, content("a")) == ("a", True)
    assert keep(StreamMeter, ROLE, content("a"), data, content("b")) == ("ab", False)


@pytest.mark.parametrize(
    "data",
    [
        block_start('{"type":"tool_use","name":"look","input":{}}', 1),
        block_start('{"type":"text","text":""}', 1),
        block_start('{"type":"server_tool_use","name":"web_search","input":{}}'),
        block_delta('{"type":"citations_delta","citation":{}}'),
        block_stop(),
        message_delta(',"usage":{"output_tokens":1}'),
    ],
)
def test_what_is_not_the_first_text_ends_the_hope_for_a_message(data: bytes) -> None:
    so_far = [START, TEXT_START, PING, text_delta("a"), PING]
    assert keep(MessagesMeter, *so_far) == ("a", True)
    assert keep(MessagesMeter, *so_far, data) == ("a", False)
    assert keep(MessagesMeter, *so_far, block_stop(), message_delta(""), MESSAGE_STOP) == ("a", False)


@pytest.mark.parametrize(
    "data",
    [
        named('{"type":"response.output_item.added","item":{"type":"function_call","name":"look"}}'),
        piece("response.function_call_arguments.delta", "{}"),
        piece("response.refusal.delta", "no"),
        MESSAGE_ADDED[0],
        MESSAGE_ADDED[1],
        TEXT_DONE[0],
        named('{"type":"response.output_text.annotation.added","annotation":{}}'),
        lifecycle("response.completed"),
    ],
)
def test_what_is_not_the_first_text_ends_the_hope_for_a_response(data: bytes) -> None:
    so_far = [*CREATED, *MESSAGE_ADDED, output_text("a"), b'data: {"type":"keepalive"}\n\n']
    assert keep(ResponsesMeter, *so_far) == ("a", True)
    assert keep(ResponsesMeter, *so_far, data) == ("a", False)


@pytest.mark.parametrize("name", STREAMS)
def test_no_stream_that_came_to_its_end_can_be_continued(name: str) -> None:
    assert not keep(StreamMeter, *STREAMS[name].events)[1]


@pytest.mark.parametrize(
    "error",
    [
        event('{"error":{"message":"overloaded","code":529}}'),
        event('{"object":"error","message":"too long","code":400}'),
        event('{"error":"overloaded"}'),
        event('{"error":{"code":502},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}'),
    ],
)
def test_an_error_waits_with_all_that_follows_for_another_target_may_go_on(error: bytes) -> None:
    for packets in (
        [content("a"), error, DONE],
        [content("a") + error + DONE],
        [content("a") + error[:20], error[20:] + DONE],
    ):
        meter = StreamMeter(hide_usage=False, keeps_text=True)
        passed = b"".join([meter.feed(packet) for packet in packets]) + meter.close()
        assert (passed, meter.held) == (content("a"), error + DONE)
        assert (meter.error, meter.done, meter.text(), meter.continuable) == (True, False, "a", True)


def test_only_whole_events_pass_so_that_a_break_leaves_no_half_of_one() -> None:
    meter = StreamMeter(hide_usage=False, keeps_text=True)
    assert meter.feed(content("a") + content("b")[:-5]) == content("a")
    assert meter.close() == content("b")[:-5]
    assert meter.text() == "a"
    meter = StreamMeter(hide_usage=False, keeps_text=True)
    assert meter.feed(content("a") + content("b")[:-1]) == content("a")
    assert (meter.close(), meter.text()) == (content("b")[:-1], "a")


def test_a_malformed_event_does_not_pass_and_leaves_the_text_as_it_was() -> None:
    assert keep(StreamMeter, content("a"), event("hello"), content("b")) == ("ab", True)


def test_usage_does_not_matter() -> None:
    usage = ',"usage":{"prompt_tokens":7,"completion_tokens":1}'
    running = event(f'{{"choices":[{{"index":0,"delta":{{"content":"b"}}}}]{usage}}}')
    assert keep(StreamMeter, content("a"), running, event(f'{{"choices":[]{usage}}}')) == ("ab", True)


def test_an_event_that_passed_unread_may_have_held_anything() -> None:
    big = event('{"choices":[],"x":"' + "x" * MOST_EVENT_BYTES + '"}')
    assert keep(StreamMeter, content("a"), big) == ("a", False)


@pytest.mark.parametrize("raw", [b"\xff", b"a\tb", b"\x00"])
def test_text_that_is_none_cannot_be_continued(raw: bytes) -> None:
    packets = [content(word) for word in "abc"] + [content("#").replace(b"#", raw)]
    assert not keep(StreamMeter, *packets)[1]


def test_what_looks_odd_and_is_text_can_be_continued() -> None:
    packets = [content(word) for word in ("a", "b", "\u2028", "\u200b", "\x7f", " ")]
    assert keep(StreamMeter, *packets) == ("ab\u2028\u200b\x7f ", True)


def test_text_is_not_kept_without_end() -> None:
    kept = KeptText()
    kept.add("x" * MOST_KEPT_BYTES)
    assert (kept.continuable, len(kept.text())) == (True, MOST_KEPT_BYTES)
    kept.add("x")
    assert (kept.continuable, len(kept.text())) == (False, MOST_KEPT_BYTES)
