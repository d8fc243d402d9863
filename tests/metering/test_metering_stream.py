"""What is read off a stream, what passes, and what waits."""

from __future__ import annotations

import pytest
from recorded_streams import DONE, REQUEST_BYTES, STREAMS, Recorded, event

from breakeven.metering.framing import MOST_EVENT_BYTES
from breakeven.metering.meter import MOST_HELD_BYTES
from breakeven.metering.reading import Reading, tokens_of_bytes
from breakeven.metering.stream import StreamMeter

USAGE = event('{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}')


def text(content: str, rest: str = "") -> bytes:
    return event(f'{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{content}"}}}}]{rest}}}')


def watch(*packets: bytes, hide_usage: bool = False) -> tuple[StreamMeter, bytes]:
    meter = StreamMeter(hide_usage=hide_usage)
    passed = b"".join([meter.feed(packet) for packet in packets])
    return meter, passed + meter.close()


def read(*packets: bytes, complete: bool = True) -> Reading:
    return watch(*packets)[0].reading(REQUEST_BYTES, complete)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("hide_usage", [False, True])
def test_a_server_s_stream_is_read_as_it_means(name: str, hide_usage: bool) -> None:
    stream: Recorded = STREAMS[name]
    meter, passed = watch(*stream.events, hide_usage=hide_usage)
    reading = meter.reading(REQUEST_BYTES, complete=True)
    assert reading[:4] == stream.counts
    assert reading.estimated is stream.estimated
    assert meter.content_events == stream.content_events
    assert (meter.done, meter.malformed, meter.error) == (True, False, False)
    hidden = stream.usage_events if hide_usage else ()
    assert passed == b"".join(part for at, part in enumerate(stream.events[:-1]) if at not in hidden)
    assert meter.held == stream.events[-1]


def test_a_whole_event_passes_at_once_and_as_the_same_object() -> None:
    for hide_usage in (False, True):
        meter = StreamMeter(hide_usage=hide_usage)
        for packet in (text("a"), text("b"), text("\\n"), text("c", ',"usage":null')):
            assert meter.feed(packet) is packet


def test_without_hiding_a_part_of_an_event_passes_at_once_behind_the_first() -> None:
    meter = StreamMeter(hide_usage=False)
    assert meter.feed(b'data: {"choi') == b""
    assert meter.feed(b'ces":[]}\n\n') == b'data: {"choices":[]}\n\n'
    assert meter.feed(b'data: {"choi') == b'data: {"choi'
    assert meter.feed(b'ces":[]}\n') == b'ces":[]}\n'
    assert meter.feed(b"\n") == b"\n"
    assert meter.events == 2


def test_with_hiding_an_event_passes_when_it_is_complete() -> None:
    meter = StreamMeter(hide_usage=True)
    assert meter.feed(b'data: {"choices":[]}\n') == b""
    assert meter.feed(b"\nda") == b'data: {"choices":[]}\n\n'


def test_a_line_waits_only_as_long_as_it_may_become_the_terminator() -> None:
    meter = StreamMeter(hide_usage=False)
    meter.feed(text("a"))
    assert meter.feed(b"event: x\nda") == b"event: x\n"
    assert meter.feed(b"ta: [DO") == b""
    assert meter.feed(b"WN]") == b"data: [DOWN]"
    assert meter.feed(b"\n\ndata: [DONE]") == b"\n\n"
    assert not meter.done
    assert meter.feed(b"\n") == b""
    assert (meter.done, meter.held) == (True, b"data: [DONE]\n")


def test_the_terminator_is_held_with_all_that_follows_it_but_not_without_end() -> None:
    meter, passed = watch(text("a") + DONE, b": bye\n\n", b"x" * MOST_HELD_BYTES)
    assert passed == text("a")
    assert meter.held == (DONE + b": bye\n\n" + b"x" * MOST_HELD_BYTES)[:MOST_HELD_BYTES]


@pytest.mark.parametrize(
    "ending", [b"data: [DONE]", b"data:[DONE]\r", b"\xef\xbb\xbfdata: [DONE]\n", b"data: [DONE] \n"]
)
def test_a_terminator_counts_without_its_blank_line(ending: bytes) -> None:
    meter, passed = watch(ending)
    assert (meter.done, meter.held, passed) == (True, ending, b"")


def test_a_byte_order_mark_is_one_at_the_start_alone() -> None:
    for before in (b": hello\n\n", text("a")):
        meter, passed = watch(before, b"\xef\xbb\xbfdata: [DONE]\n\n")
        assert (meter.done, passed) == (False, before + b"\xef\xbb\xbfdata: [DONE]\n\n")


def test_a_terminator_inside_an_event_ends_that_event() -> None:
    meter, passed = watch(b'data: {"choices":[{"delta":{"content":"a"}}]}\ndata: [DONE]\n\n', hide_usage=True)
    assert passed == b'data: {"choices":[{"delta":{"content":"a"}}]}\n'
    assert (meter.done, meter.content_events, meter.held) == (True, 1, b"data: [DONE]\n\n")


def test_a_usage_event_is_hidden_even_if_the_stream_ends_before_its_blank_line() -> None:
    meter, passed = watch(text("a"), USAGE[:-1], hide_usage=True)
    assert passed == text("a")
    assert meter.reading(REQUEST_BYTES, complete=True) == Reading(7, 5, 0, 0, 0, estimated=False)


def test_an_event_cut_in_the_middle_is_passed_on_and_no_fault_of_the_stream() -> None:
    meter, passed = watch(text("a"), USAGE[:40], hide_usage=True)
    assert passed == text("a") + USAGE[:40]
    assert (meter.malformed, meter.events) == (False, 1)


def test_what_is_not_told_is_estimated_from_events_or_from_text_whichever_is_more() -> None:
    assert read(*[text("a")] * 9) == Reading(53, 9, 0, 0, 0, estimated=True)
    assert read(text("a" * 41)) == Reading(53, 11, 0, 0, 0, estimated=True)
    assert read(text("é" * 20)).output_tokens == 10
    assert read() == Reading(53, 0, 0, 0, 0, estimated=True)


def test_text_is_content_reasoning_refusal_and_tool_calls() -> None:
    call = (
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function",'
        '"function":{"name":"look","arguments":"{\\"a\\":1}"}}]}}]}'
    )
    for data, length_bytes in [
        ('{"choices":[{"delta":{"reasoning":"12345678","reasoning_content":"12345678"}}]}', 8),
        ('{"choices":[{"delta":{"refusal":"12345678","content":null}}]}', 8),
        ('{"choices":[{"delta":{"function_call":{"arguments":"12345678"}}}]}', 8),
        ('{"choices":[{"delta":{"content":"1234"}},{"index":1,"delta":{"content":"1234"}}]}', 8),
        (call, 11),
    ]:
        assert read(event(data)).output_tokens == -(-length_bytes // 4), data


def test_text_that_stays_the_same_beside_text_that_changes_is_counted_each_time() -> None:
    packets = [event(f'{{"choices":[{{"delta":{{"content":"{word}","refusal":"1234567"}}}}]}}') for word in "abcd"]
    assert read(*packets).output_tokens == 8


@pytest.mark.parametrize("together", [1, 7])
def test_alike_chunks_are_counted_whenever_one_asks(together: int) -> None:
    texts = ["word" * (number % 40 + 1) for number in range(30 * together)]
    often, once = StreamMeter(keeps_text=True), StreamMeter()
    for at in range(0, len(texts), together):
        packet = b"".join(text(one) for one in texts[at : at + together])
        assert often.feed(packet) == once.feed(packet) == packet
        seen = texts[: at + together]
        assert (often.events, often.content_events) == (len(seen), len(seen))
        assert (often.text(), often.continuable) == ("".join(seen), True)
    assert often.reading(0, complete=False) == once.reading(0, complete=False)
    assert once.content_events == len(texts)
    assert once.reading(0, complete=False).output_tokens == tokens_of_bytes(sum(map(len, texts)))


def test_text_that_is_no_answer_is_not_counted_though_it_looks_like_one() -> None:
    words = ("a", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccccccccccccccc")
    packets = [event(f'{{"echo":{{"content":"{word}"}},"choices":[{{"delta":{{"content":"a"}}}}]}}') for word in words]
    assert read(*packets).output_tokens == 3


def test_usage_of_a_stream_that_was_cut_stands_only_if_no_content_was_beside_it() -> None:
    running = ',"usage":{"prompt_tokens":7,"completion_tokens":1}'
    assert read(text("a"), USAGE, complete=False) == Reading(7, 5, 0, 0, 0, estimated=False)
    assert read(text("a", running), complete=False) == Reading(7, 1, 0, 0, 0, estimated=True)
    assert read(text("a", running), complete=True) == Reading(7, 1, 0, 0, 0, estimated=False)


def test_usage_told_before_the_content_ends_gives_the_input_alone() -> None:
    early = event('{"choices":[{"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":7,"completion_tokens":0}}')
    assert read(early, text("a"), text("b")) == Reading(7, 2, 0, 0, 0, estimated=True)


def test_explicit_zeros_are_believed() -> None:
    zero = event('{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}')
    assert read(text("a"), zero) == Reading(0, 0, 0, 0, 0, estimated=False)


MALFORMED = ("hello", "[]", "5", "null", '{"choices":', "{}}", '"a"')


@pytest.mark.parametrize("data", MALFORMED)
@pytest.mark.parametrize("hide_usage", [False, True])
def test_an_event_that_is_no_object_is_skipped_and_counts_as_one_of_content(data: str, hide_usage: bool) -> None:
    for packets in ((text("a"), event(data), text("b") + DONE), (text("a") + event(data) + text("b"), DONE)):
        meter, passed = watch(*packets, hide_usage=hide_usage)
        assert (meter.malformed, meter.skipped_events) == (True, 1)
        assert passed == text("a") + text("b")
        assert meter.reading(0, complete=True) == Reading(0, 3, 0, 0, 0, estimated=True)


@pytest.mark.parametrize("data", MALFORMED)
def test_of_an_event_that_is_no_object_the_rest_follows_what_has_gone_on(data: str) -> None:
    first, whole = text("a"), event(data)
    meter, passed = watch(first, whole[:-1], whole[-1:])
    assert (meter.malformed, meter.skipped_events, meter.content_events, passed) == (True, 0, 2, first + whole)
    meter, passed = watch(first, whole[:-1], whole[-1:], hide_usage=True)
    assert (meter.malformed, meter.skipped_events, meter.content_events, passed) == (True, 1, 2, first)


def test_of_a_skipped_event_that_ends_in_returns_not_even_a_line_feed_remains() -> None:
    meter, passed = watch(b"data: hello\r\r", b"\n" + text("a"))
    assert (meter.skipped_events, passed) == (1, text("a"))


@pytest.mark.parametrize(
    "data",
    [b": ping\n\n", b"data:\n\n", b"data\n\n", b"event: hello\n\n", b"retry: 1\n\n", b"\n\n", b'data: {"x":1}\n\n'],
)
def test_what_is_strange_but_not_malformed_passes_untouched(data: bytes) -> None:
    for hide_usage in (False, True):
        meter, passed = watch(text("a"), data, text("b"), hide_usage=hide_usage)
        assert (meter.skipped_events, passed) == (0, text("a") + data + text("b"))


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"error":{"message":"overloaded","code":529}}\n\n',
        b'data: {"error":"overloaded"}\n\n',
        b'event: error\ndata: {"error":{"message":"overloaded"}}\n\n',
        b'data: {"object":"error","message":"too long","type":"BadRequestError","code":400}\n\n',
        b'data: {"error":{"code":"server_error"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}\n\n',
        b'data: {"error":{"message":"x"},"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
    ],
)
def test_an_error_in_the_stream_is_seen_and_passes(data: bytes) -> None:
    meter, passed = watch(text("a"), data, hide_usage=True)
    assert meter.error
    assert passed == text("a") + data


@pytest.mark.parametrize("hide_usage", [False, True])
@pytest.mark.parametrize("at", [1, 20, None])
def test_a_stream_that_begins_with_an_error_is_held_for_another_target_may_begin_it(
    hide_usage: bool, at: int | None
) -> None:
    carried = b'{"error":{"message":"overloaded","code":529}}'
    data = b"data: " + carried + b"\n\n"
    meter, passed = watch(b": hello\n\n", data[:at], data[at:] if at else b"", DONE, hide_usage=hide_usage)
    assert (meter.error, meter.done, passed) == (True, False, b": hello\n\n")
    assert (meter.error_event, meter.held) == (carried, data + DONE)


@pytest.mark.parametrize(
    "data", ['{"error":null,"choices":[]}', '{"choices":[{"delta":{"content":"\\"error\\":{}"}}]}']
)
def test_the_word_error_is_none(data: str) -> None:
    assert not watch(event(data))[0].error


def test_processing_is_what_the_last_service_tier_says() -> None:
    tiers = {"default": 0, "auto": 0, "scale": 0, "on_demand": 0, "batch": 1, "flex": 2, "priority": 3, "fast": 3}
    for tier, processing in tiers.items():
        assert read(text("a", f',"service_tier":"{tier}"'), USAGE).processing == processing
    assert read(text("a", ',"service_tier":"flex"'), text("a", ',"service_tier":null')).processing == 2
    assert read(text("a", ',"service_tier":7')).processing == 0


def test_an_event_beyond_the_bound_passes_unread_as_it_comes() -> None:
    big = text("x" * 3 * MOST_EVENT_BYTES)
    meter = StreamMeter(hide_usage=True)
    passed = bytearray()
    for at in range(0, len(big), 65536):
        passed += meter.feed(big[at : at + 65536])
        assert at - len(passed) <= MOST_EVENT_BYTES
    assert bytes(passed) == big
    passed += meter.feed(text("y") + USAGE)
    assert bytes(passed) == big + text("y")
    assert (meter.events, meter.malformed, meter.reading(0, complete=True).output_tokens) == (2, False, 5)


def test_a_usage_event_beyond_the_bound_is_neither_read_nor_hidden_however_it_comes() -> None:
    big = event('{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5},"x":"' + "x" * MOST_EVENT_BYTES + '"}')
    for packets in ((big,), (big[:9], big[9:]), (big[:-1], big[-1:]), (text("a")[:-1], b"\n" + big)):
        meter, passed = watch(*packets, hide_usage=True)
        assert passed == b"".join(packets)
        assert meter.reading(0, complete=True).estimated


def test_closing_twice_and_reading_early_do_no_harm() -> None:
    meter = StreamMeter(hide_usage=True)
    assert meter.reading(8, complete=False) == Reading(2, 0, 0, 0, 0, estimated=True)
    meter.feed(b"data: {")
    assert (meter.close(), meter.close()) == (b"data: {", b"")
