"""However a stream of the Messages or Responses API is cut into packets, and whatever bytes are in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import by_events, cut, is_what_is_left, outcome, single_bytes
from recorded_events import MESSAGES, RESPONSES

from breakeven.metering.messages import MessagesMeter
from breakeven.metering.responses import ResponsesMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.metering.meter import EventMeter

RECORDED = MESSAGES | {f"responses: {name}": stream for name, stream in RESPONSES.items()}
METERS: list[Callable[[], EventMeter]] = [
    MessagesMeter,
    ResponsesMeter,
    lambda: MessagesMeter(keeps_text=True),
    lambda: ResponsesMeter(hide_usage=True, keeps_text=True),
]

texts = st.text(alphabet=st.sampled_from('ab "\\\n\r\u2028é漢😀{}:data[]'), max_size=12)
counts = st.none() | st.integers(-1, 99)
usages = st.none() | st.dictionaries(
    st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens", "total_tokens"]), counts
)
KINDS = [
    "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
    "message_delta", "ping", "message_stop", "error",
    "response.created", "response.output_item.added", "response.output_text.delta", "response.output_text.delta",
    "response.reasoning_text.delta", "response.refusal.delta", "response.completed", "response.failed",
]  # fmt: skip
PARTS = ["text", "text_delta", "thinking", "thinking_delta", "tool_use", "message", "reasoning", "function_call"]


@st.composite
def data(draw: st.DrawFn) -> tuple[str, str]:
    """Return what an event says, and its name."""
    kind = draw(st.sampled_from(KINDS))
    part = {"type": draw(st.sampled_from(PARTS)), draw(st.sampled_from(["text", "thinking", "name"])): draw(texts)}
    found: dict[str, Any] = {
        "message": {"usage": draw(usages)},
        "response": {"usage": draw(usages), "service_tier": draw(st.sampled_from(["flex", None]))},
        "usage": draw(usages),
        "item": part,
        "content_block": part,
        "delta": draw(texts) if kind.startswith("response.") else part,
        "error": draw(st.sampled_from([None, None, None, {"message": "x"}, "x"])),
    }
    names = draw(st.sets(st.sampled_from(sorted(found))))
    event = {"type": kind, **{name: found[name] for name in sorted(names)}}
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    return json.dumps(event, ensure_ascii=draw(st.booleans()), separators=separators), kind


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event in any of the forms that the standard allows, or a broken one."""
    line_end = draw(st.sampled_from([b"\n"] * 6 + [b"\r\n", b"\r"]))
    kind = draw(st.integers(0, 12))
    if kind == 0:
        return draw(st.sampled_from([b": comment", b"", b"event: ping", b"data", b"data:"])) + line_end * 2
    said, name = draw(data())
    raw = said.encode() if kind > 1 else draw(st.binary(max_size=12))
    first = b"event: " + name.encode() + line_end
    prefix = draw(st.sampled_from([first + b"data: "] * 6 + [b"data: ", b"data:", b"id: 1" + line_end + b"data: "]))
    if kind == 2:
        at = draw(st.integers(0, len(raw)))
        return prefix + raw[:at] + line_end + b"data: " + raw[at:] + line_end * 2
    return prefix + raw + line_end * 2


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    body = b"".join(draw(st.lists(events(), max_size=8)))
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body + draw(st.sampled_from([b"data: [DONE]\n\n", b""]))
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 3)) == 0 else body


@given(streams(), st.lists(st.integers(0, 5000), max_size=12), st.sampled_from(METERS))
@settings(max_examples=300, deadline=None)
def test_packets_make_no_difference(body: bytes, places: list[int], make: Callable[[], EventMeter]) -> None:
    whole = outcome(make, [body])
    for packets in (cut(body, places), single_bytes(body), by_events(body)):
        assert outcome(make, packets) == whole


@given(streams(), st.sampled_from(METERS))
@settings(max_examples=150, deadline=None)
def test_only_malformed_events_are_missing_from_what_came(body: bytes, make: Callable[[], EventMeter]) -> None:
    found = outcome(make, [body])
    assert is_what_is_left(found.passed + found.held, body)
    assert found.skipped_events or found.passed + found.held == body


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"data: ", b"event: message_stop", b"{", b"}", b"[DONE]", b"\n", b"\r", b":"])).map(
        b"".join
    ),
    st.sampled_from(METERS),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_pass_unharmed(body: bytes, make: Callable[[], EventMeter]) -> None:
    whole = outcome(make, [body])
    assert outcome(make, single_bytes(body)) == whole
    assert is_what_is_left(whole.passed + whole.held, body)
    assert whole.skipped_events or whole.passed + whole.held == body


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("keeps_text", [False, True])
def test_a_server_s_stream_can_be_cut_anywhere(name: str, keeps_text: bool) -> None:
    body = RECORDED[name].body
    kind = MessagesMeter if name in MESSAGES else ResponsesMeter

    def make() -> EventMeter:
        return kind(keeps_text=keeps_text)

    whole = outcome(make, [body])
    assert whole.passed + whole.held == body
    for at in range(1, len(body)):
        assert outcome(make, [body[:at], body[at:]]) == whole


@pytest.mark.parametrize("name", RECORDED)
def test_a_stream_that_breaks_anywhere_is_read_and_passes(name: str) -> None:
    body = RECORDED[name].body
    kind = MessagesMeter if name in MESSAGES else ResponsesMeter
    for at in range(len(body)):
        found = outcome(kind, [body[:at]])
        assert found.passed + found.held == body[:at]
        assert (found.skipped_events, found.facts[0]) == (0, False)
