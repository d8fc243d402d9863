"""However a stream is cut into packets, and whatever bytes are in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from outcomes import Outcome, by_events, cut, is_what_is_left, outcome, single_bytes
from recorded_streams import DONE, STREAMS

from breakeven.metering.stream import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable

texts = st.text(alphabet=st.sampled_from('ab "\\\n\r\u2028é漢😀{}:data[]'), max_size=12)
usages = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 99), "completion_tokens": st.integers(0, 99)},
    optional={"total_tokens": st.integers(0, 300), "prompt_cache_hit_tokens": st.integers(0, 120)},
)


@st.composite
def chunks(draw: st.DrawFn) -> str:
    chunk: dict[str, Any] = {"id": draw(st.sampled_from(["c", "d"]))}
    name = draw(st.sampled_from(["content", "content", "content", "reasoning_content", "reasoning", "refusal"]))
    text = draw(texts | st.none())
    if not draw(st.integers(0, 5)):
        chunk["echo"] = {name: text}
    if not draw(st.integers(0, 4)):
        chunk["choices"] = [{"index": 0, "text": text, "finish_reason": None}] * draw(st.sampled_from([1, 1, 2]))
    elif draw(st.integers(0, 5)):
        delta = {name: text}
        if not draw(st.integers(0, 3)):
            delta["refusal"] = "no"
        chunk["choices"] = [{"index": 0, "delta": delta}] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    if draw(st.booleans()):
        chunk["usage"] = draw(usages)
    if not draw(st.integers(0, 20)):
        chunk["error"] = draw(st.sampled_from([None, {"message": "x"}, "x"]))
    if not draw(st.integers(0, 5)):
        chunk["service_tier"] = draw(st.sampled_from(["flex", "priority", None]))
    return json.dumps(
        chunk, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    )


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event in any of the forms that the standard allows, or a broken one."""
    line_end = draw(st.sampled_from([b"\n"] * 6 + [b"\r\n", b"\r"]))
    kind = draw(st.integers(0, 12))
    if kind == 0:
        return draw(st.sampled_from([b": comment", b"", b"event: ping", b"data", b"data:"])) + line_end * 2
    data = draw(chunks()).encode() if kind > 1 else draw(st.binary(max_size=12))
    prefix = draw(st.sampled_from([b"data: "] * 6 + [b"data:", b"id: 1" + line_end + b"data: "]))
    if kind == 2:
        at = draw(st.integers(0, len(data)))
        return prefix + data[:at] + line_end + b"data: " + data[at:] + line_end * 2
    return prefix + data + line_end * 2


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    body = b"".join(draw(st.lists(events(), max_size=8)))
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body + draw(st.sampled_from([DONE, b"", b"data: [DONE]"]))
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 3)) == 0 else body


def make(*, hide_usage: bool, keeps_text: bool = False) -> Callable[[], StreamMeter]:
    return lambda: StreamMeter(hide_usage=hide_usage, keeps_text=keeps_text)


def but_for_skipping(found: Outcome, *, hide_usage: bool) -> Outcome:
    """Without what a malformed event makes different if a part of it may have gone on when it is judged."""
    malformed = found.facts[0]
    return found._replace(passed=b"", skipped_events=0) if malformed and not hide_usage else found


@given(streams(), st.lists(st.integers(0, 5000), max_size=12), st.booleans())
@settings(max_examples=400, deadline=None)
@example(b"data: [DONE]\r\n\r\n", [13], False)
@example(b"\xef\xbb\xbfdata: [DONE]\n\n", [1, 2, 5], True)
@example(b'data: {"choices":[],"usage":{}}\r\r\n\n', [34], True)
def test_packets_make_no_difference(body: bytes, places: list[int], hide_usage: bool) -> None:
    meter = make(hide_usage=hide_usage)
    whole = but_for_skipping(outcome(meter, [body]), hide_usage=hide_usage)
    for packets in (cut(body, places), single_bytes(body), by_events(body)):
        found = outcome(meter, packets)
        assert but_for_skipping(found, hide_usage=hide_usage) == whole
        assert is_what_is_left(found.passed + found.held, body)


@given(streams(), st.lists(st.integers(0, 5000), max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_packets_make_no_difference_to_the_text_that_is_kept(body: bytes, places: list[int], hide_usage: bool) -> None:
    meter = make(hide_usage=hide_usage, keeps_text=True)
    whole = outcome(meter, [body])
    for packets in (cut(body, places), single_bytes(body), by_events(body)):
        assert outcome(meter, packets) == whole


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"data: ", b"{", b"}", b"[DONE]", b"\n", b"\r", b":"])).map(b"".join),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_pass_unharmed(body: bytes, hide_usage: bool) -> None:
    meter = make(hide_usage=hide_usage)
    whole, apart = outcome(meter, [body]), outcome(meter, single_bytes(body))
    assert but_for_skipping(apart, hide_usage=hide_usage) == but_for_skipping(whole, hide_usage=hide_usage)
    assert hide_usage or apart.skipped_events or apart.passed + apart.held == body
    assert is_what_is_left(whole.passed + whole.held, body)
    assert whole.skipped_events or hide_usage or whole.passed + whole.held == body


@given(streams())
@settings(max_examples=300, deadline=None)
def test_what_is_forwarded_held_and_dropped_is_what_came(body: bytes) -> None:
    plain = outcome(make(hide_usage=False), [body])
    assert plain.skipped_events or plain.passed + plain.held == body
    hidden = outcome(make(hide_usage=True), [body])
    assert hidden._replace(passed=plain.passed) == plain
    assert is_what_is_left(hidden.passed, plain.passed)


@given(st.lists(chunks(), max_size=25))
@settings(max_examples=300, deadline=None)
def test_the_short_cut_for_like_events_counts_as_decoding_each_would(data: list[str]) -> None:
    """Against a model that decodes everything with the standard library."""
    assume(not data or not json.loads(data[0]).get("error"))  # that one would be held with all that follows
    packets = [f"data: {item}\n\n".encode() for item in data]
    meter = StreamMeter(hide_usage=True)
    forwarded = [meter.feed(packet) for packet in packets]
    text_bytes, content_events, dropped = _model([json.loads(item) for item in data])
    assert forwarded == [b"" if at in dropped else packet for at, packet in enumerate(packets)]
    assert (meter.events, meter.content_events) == (len(data), content_events)
    assert meter._text_bytes == text_bytes


def _model(found: list[dict[str, Any]]) -> tuple[int, int, set[int]]:
    text_bytes = content_events = 0
    dropped = set()
    for at, chunk in enumerate(found):
        deltas = [choice.get("delta", {"text": choice.get("text")}) for choice in chunk.get("choices", [])]
        size = sum(len(text.encode()) for delta in deltas for text in delta.values() if text)
        text_bytes += size
        content_events += size > 0
        if not deltas and chunk.get("usage") is not None and not chunk.get("error"):
            dropped.add(at)
    return text_bytes, content_events, dropped


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("hide_usage", [False, True])
def test_a_server_s_stream_can_be_cut_anywhere(name: str, hide_usage: bool) -> None:
    body = STREAMS[name].body
    for keeps_text in (False, True):
        meter = make(hide_usage=hide_usage, keeps_text=keeps_text)
        whole = outcome(meter, [body])
        for at in range(1, len(body)):
            assert outcome(meter, [body[:at], body[at:]]) == whole


@given(st.binary(max_size=8), st.binary(max_size=8))
@settings(max_examples=300, deadline=None)
def test_even_text_that_is_none_is_counted_the_same_by_both_ways(first: bytes, second: bytes) -> None:
    """Bytes that are no UTF-8, quotes and control characters, where the short cut expects text."""
    packets = [b'data: {"choices":[{"delta":{"content":"' + raw + b'"}}]}\n\n' for raw in (b"a", b"b", first, second)]
    body = b"".join(packets)
    for keeps_text in (False, True):
        meter = make(hide_usage=True, keeps_text=keeps_text)
        assert outcome(meter, packets) == outcome(meter, single_bytes(body))
