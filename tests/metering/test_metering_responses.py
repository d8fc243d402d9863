"""What is read off OpenAI's Responses API, what passes, and what waits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_events import CREATED, MESSAGE_ADDED, RESPONSES, lifecycle, named, output_text, piece, response_usage
from recorded_streams import REQUEST_BYTES

from breakeven.metering.framing import MOST_EVENT_BYTES
from breakeven.metering.reading import Reading
from breakeven.metering.responses import MOST_RESPONSE_BYTES, ResponsesMeter, read_response

COMPLETED = lifecycle("response.completed", usage=response_usage((7, 5)))


def watch(*packets: bytes, keeps_text: bool = False) -> tuple[ResponsesMeter, bytes]:
    meter = ResponsesMeter(keeps_text=keeps_text)
    passed = b"".join([meter.feed(packet) for packet in packets])
    return meter, passed + meter.close()


def read(*packets: bytes, complete: bool = True) -> Reading:
    return watch(*packets)[0].reading(REQUEST_BYTES, complete)


def response(usage: object, *output: object, **more: object) -> bytes:
    return json.dumps({"id": "resp_1", "object": "response", "output": output, "usage": usage, **more}).encode()


@pytest.mark.parametrize("name", RESPONSES)
def test_a_server_s_stream_is_read_as_it_means(name: str) -> None:
    stream = RESPONSES[name]
    meter, passed = watch(*stream.events)
    reading = meter.reading(REQUEST_BYTES, complete=True)
    assert reading[:4] == stream.counts
    assert reading.estimated is stream.estimated
    assert meter.content_events == stream.content_events
    assert (meter.done, meter.malformed, meter.error, meter.skipped_events) == (True, False, False, 0)
    assert passed == b"".join(stream.events[:-1])
    assert meter.held == stream.events[-1]


def test_a_whole_event_passes_at_once_and_as_the_same_object() -> None:
    meter = ResponsesMeter()
    for packet in (*CREATED, *MESSAGE_ADDED, output_text("a"), output_text("\n"), b'data: {"type":"keepalive"}\n\n'):
        assert meter.feed(packet) is packet


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
@pytest.mark.parametrize("after", [b"", b"data: [DONE]\n\n"])
def test_the_event_that_ends_a_response_is_held_with_all_that_follows(kind: str, after: bytes) -> None:
    last = lifecycle(f"response.{kind}", usage=response_usage((7, 5)))
    for packets in ((output_text("a"), last, after), (output_text("a") + last + after,), (output_text("a"), last[:-1])):
        meter, passed = watch(*packets)
        assert (meter.done, meter.error, passed) == (kind != "failed", kind == "failed", output_text("a"))
        assert meter.held == b"".join(packets).removeprefix(output_text("a"))
        assert meter.reading(0, complete=True) == Reading(7, 5, 0, 0, 0, estimated=False)


def test_the_line_of_other_protocols_ends_a_response_too() -> None:
    meter, passed = watch(output_text("a"), b"data: [DONE]\n\n")
    assert (meter.done, meter.held, passed) == (True, b"data: [DONE]\n\n", output_text("a"))
    assert meter.reading(8, complete=True) == Reading(2, 1, 0, 0, 0, estimated=True)


def test_a_last_event_of_megabytes_is_read_and_held_and_one_beyond_the_bound_passes() -> None:
    image = [{"type": "image_generation_call", "result": "x" * 3 * MOST_EVENT_BYTES}]
    big = lifecycle("response.completed", output=image, usage=response_usage((7, 5)))
    meter, passed = watch(*[big[at : at + 65536] for at in range(0, len(big), 65536)])
    assert (meter.done, passed, meter.held == big) == (True, b"", True)
    assert meter.reading(0, complete=True) == Reading(7, 5, 0, 0, 0, estimated=False)
    image[0]["result"] = "x" * MOST_RESPONSE_BYTES
    beyond = lifecycle("response.completed", output=image, usage=response_usage((7, 5)))
    meter, passed = watch(beyond)
    assert (meter.done, passed == beyond, meter.reading(0, complete=True).estimated) == (False, True, True)


@pytest.mark.parametrize(
    "data",
    [
        # https://platform.openai.com/docs/api-reference/responses-streaming/error
        named(
            '{"type":"error","code":"ERR_SOMETHING","message":"Something went wrong","param":null,"sequence_number":1}'
        ),
        # https://github.com/prism-php/prism/blob/main/tests/Fixtures/openai/stream-unknown-error-responses-1.json
        named('{"type":"error","sequence_number":2,"error":{"code":"unknown-error","message":"Foobar","param":null}}'),
        b'data: {"error":{"message":"overloaded"}}\n\n',
    ],
)
def test_an_error_is_seen_and_passes_unless_the_answer_may_be_continued(data: bytes) -> None:
    failed = lifecycle("response.failed", error={"code": "server_error"})
    meter, passed = watch(output_text("a"), data, failed)
    assert (meter.error, meter.done, meter.held) == (True, False, failed)
    assert passed == output_text("a") + data
    meter, passed = watch(output_text("a"), data, failed, keeps_text=True)
    assert (meter.error, meter.done, meter.held, passed) == (True, False, data + failed, output_text("a"))


def test_a_response_whose_error_is_null_has_none() -> None:
    assert not watch(*CREATED, named('{"type":"response.output_text.delta","delta":"x","error":null}'))[0].error


def test_an_event_that_is_no_object_is_skipped_however_it_comes() -> None:
    data = b'event: response.output_text.delta\ndata: {"type":\n\n'
    for packets in ((data,), (data[:-3], data[-3:]), (output_text("b") + data,)):
        meter, passed = watch(*packets, output_text("a"))
        assert (meter.malformed, meter.skipped_events) == (True, 1)
        assert passed == b"".join(packets).removesuffix(data) + output_text("a")


@pytest.mark.parametrize(
    "kind",
    [
        "output_text", "refusal", "function_call_arguments", "custom_tool_call_input", "reasoning_text",
        "reasoning_summary_text", "reasoning", "mcp_call_arguments", "code_interpreter_call_code",
    ],
)  # fmt: skip
def test_text_is_all_that_the_model_writes(kind: str) -> None:
    meter, _ = watch(piece(f"response.{kind}.delta", "12345678"))
    assert (meter.content_events, meter.reading(0, complete=True).output_tokens) == (1, 2)


def test_what_the_model_does_not_write_is_no_text() -> None:
    done = named('{"type":"response.output_text.done","text":"12345678"}')
    meter, _ = watch(piece("response.audio.delta", "AAAA"), done, output_text(""))
    assert (meter.content_events, meter.reading(0, complete=True).output_tokens) == (0, 0)


def test_usage_before_the_last_event_does_not_count() -> None:
    early = lifecycle("response.in_progress", usage=response_usage((0, 0)), service_tier="flex")
    assert read(early, output_text("a"), complete=False) == Reading(53, 1, 0, 0, 2, estimated=True)


def test_processing_is_what_the_last_event_says_was_used() -> None:
    last = lifecycle("response.completed", usage=response_usage((7, 5)), service_tier="priority")
    assert read(*CREATED, last).processing == 3
    assert read(lifecycle("response.created", service_tier="flex"), COMPLETED).processing == 0


def test_a_response_that_came_whole_is_read_by_type() -> None:
    # https://platform.openai.com/docs/api-reference/responses/object
    usage = response_usage((328, 52), cached=128, reasoning=40)
    assert read_response(response(usage, service_tier="flex"), 0) == Reading(328, 52, 128, 0, 2, estimated=False)
    # xAI's reasoning stands beside its output at times; the total tells.
    beside = {**response_usage((12, 2), reasoning=317), "total_tokens": 331}
    assert read_response(response(beside), 0) == Reading(12, 319, 0, 0, 0, estimated=False)


def test_without_usage_the_items_of_a_response_are_counted() -> None:
    text = {"type": "message", "content": [{"type": "output_text", "text": "é" * 8}, {"refusal": "1234"}]}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "1234"}]}
    call = {"type": "function_call", "name": "look", "arguments": "12345"}
    usages: list[object] = [None, [], {"input_tokens": None}]
    for usage in usages:
        body = response(usage, text, thought, call, None)
        assert read_response(body, REQUEST_BYTES) == Reading(53, 9, 0, 0, 0, estimated=True)  # ceil(33 / 4)
    assert read_response(response(None, *[{"name": "a"}] * 3), 0).output_tokens == 3
    assert read_response(b"x" * 100, REQUEST_BYTES) == Reading(53, 25, 0, 0, 0, estimated=True)


def test_usage_is_found_in_a_response_whose_middle_was_not_kept() -> None:
    text = {"content": [{"text": 'say "usage": {"input_tokens": 1} ' * 99}]}
    body = response(response_usage((9, 7), cached=4), text, service_tier="flex")
    assert read_response(body[:200] + body[-300:], 0) == Reading(9, 7, 4, 0, 2, estimated=False)


@pytest.mark.parametrize("bad", [-1, "12", 12.5, True, [], 10**10, 10**30])
def test_a_count_that_cannot_be_is_estimated_and_the_others_stand(bad: object) -> None:
    usage = {"input_tokens": bad, "output_tokens": 7}
    for reading in (
        read_response(response(usage), REQUEST_BYTES),
        read(lifecycle("response.completed", usage=usage)),
    ):
        assert reading == Reading(53, 7, 0, 0, 0, estimated=True)


NAMES = [
    "type", "usage", "response", "delta", "item", "output", "content", "summary", "text", "refusal", "name",
    "arguments", "error", "input_tokens", "output_tokens", "input_tokens_details", "cached_tokens", "service_tier",
    "total_tokens",
]  # fmt: skip
KINDS = st.sampled_from(["response.completed", "response.failed", "response.output_text.delta", "error", "message"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(anything)
@settings(max_examples=300, deadline=None)
def test_no_json_is_too_strange_to_be_read(found: object) -> None:
    for body in (json.dumps(found).encode(), response(found), response(None, found), response({}, type=found)):
        reading = read_response(body, REQUEST_BYTES)
        assert reading.usage().input_tokens == reading.input_tokens
        meter, passed = watch(b"data: " + body + b"\n\n", keeps_text=True)
        assert meter.reading(REQUEST_BYTES, complete=True).usage().output_tokens >= 0
        assert passed + meter.held == (b"" if meter.malformed else b"data: " + body + b"\n\n")
