"""Streams that begin with an error or break in the middle: begun elsewhere, or gone on from what was sent."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from breakeven.gateway.relay import Relay
from gateway import answers, payloads
from gateway.gateway import TIMEOUTS, settings, target
from gateway.wire import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]


def _text(body: bytes) -> str:
    """The text of a streamed answer, put together as a client does."""
    chunks = [json.loads(data) for data in events(body) if data != "[DONE]"]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(piece for piece in pieces if piece)


def _begun(count: int) -> list[bytes]:
    """The beginning of a stream: its role and that many words."""
    return [payloads.event(payloads.chunk({"role": "assistant", "content": ""})), *payloads.words(count)]


# Streams that begin with an error


@pytest.mark.parametrize("usage", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_that_begins_with_an_error_goes_to_the_next_target(
    start_gateway: Start, upstream: ScriptedUpstream, usage: dict[str, Any]
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}))
    overloaded = b'data: {"error":{"message":"overloaded","code":502}}\n\n'
    upstream.script("a", answers.stream([b": wait\n\n", overloaded]))
    upstream.script("b", answers.stream(payloads.stream(2, payloads.TOLD)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("pair", **payloads.STREAMED, **usage))
    assert _text(reply.body.removeprefix(b": wait\n\n")) == " word0 word1"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert b"overloaded" not in reply.body


def test_what_an_error_within_a_stream_says_counts_as_a_status_would(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    breaker = {"failed_requests": 1, "open_s": 60}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}, breaker=breaker))
    too_long = payloads.error("the prompt is too long for this model: prompt is too long")
    upstream.script("a", answers.stream([payloads.event(too_long)]))
    upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
    with gateway.line() as line:
        for _ in range(3):
            reply = line.chat(payloads.request("pair", **payloads.STREAMED))
            assert b"too long" in reply.body, "the client's own mistake goes back to it"
            assert b"[DONE]" not in reply.body
    assert len(upstream.calls("a")) == 3, "a mistake of a client closes the target for nobody"
    assert upstream.calls("b") == []


# Streams that break


def _continuing(upstream: ScriptedUpstream, prefill: str = "continue_final_message") -> dict[str, Any]:
    targets = {
        "a": target(upstream.url("a")),
        "b": target(upstream.url("b"), prefill=prefill),
        "plain": target(upstream.url("plain")),
        "quick": target(upstream.url("quick"), timeouts=TIMEOUTS | {"between_tokens_s": 0.3}),
    }
    models = {
        "going-on": {"targets": ["a", "b"]},
        "past-another": {"targets": ["a", "plain", "b"]},
        "nowhere": {"targets": ["a", "plain"]},
        "forbidden": {"targets": ["a", "b"], "continue_streams": False},
        "silent": {"targets": ["quick", "b"]},
    }
    return settings(targets, models)


@pytest.mark.parametrize(
    ("prefill", "told"),
    [
        ("continue_final_message", {"continue_final_message": True, "add_generation_prompt": False}),
        ("prefix", {}),
        ("plain", {}),
    ],
)
@pytest.mark.parametrize("fault", [answers.close, answers.reset], ids=["closed", "reset"])
def test_a_stream_that_breaks_goes_on_elsewhere_from_what_was_sent(
    start_gateway: Start, upstream: ScriptedUpstream, prefill: str, told: dict[str, object], fault: Any
) -> None:
    gateway = start_gateway(_continuing(upstream, prefill))
    upstream.script("a", answers.stream(_begun(3), then=fault))
    upstream.script("b", answers.stream([*payloads.words(2), *payloads.stream(0, payloads.TOLD)]))
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert _text(reply.body) == " word0 word1 word2 word0 word1"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    asked = upstream.calls("b")[-1].json
    last = {"role": "assistant", "content": " word0 word1 word2"} | ({"prefix": True} if prefill == "prefix" else {})
    assert asked["messages"] == [*payloads.PROMPT, last]
    assert {name: asked[name] for name in told} == told
    rows = gateway.rows(reply.request_id, 2)
    assert [(row["target"], row["outcome"]) for row in rows] == [("a", "cut"), ("b", "ok")]
    assert (rows[0]["estimated"], rows[1]["output_tokens"]) == (True, 52)
    assert rows[1]["fallback"] == "connection_lost"


def test_a_silent_stream_and_one_with_an_error_event_go_on_too(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("quick", answers.stream(_begun(2), then=lambda call: call.wait()))
    upstream.script("a", answers.stream([*payloads.words(2), payloads.event(payloads.error("out of memory"))]))
    for model in ("silent", "going-on"):
        upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
        with gateway.line() as line:
            reply = line.chat(payloads.request(model, **payloads.STREAMED))
        assert _text(reply.body) == " word0 word1 word0"
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert b"out of memory" not in reply.body


def test_targets_that_cannot_continue_are_passed_over(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(1), then=answers.close))
    upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
    upstream.script("plain", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("past-another", **payloads.STREAMED))
    assert _text(reply.body) == " word0 word0"
    assert upstream.calls("plain") == []


@pytest.mark.parametrize("model", ["nowhere", "forbidden"])
def test_a_stream_that_cannot_go_on_ends_in_an_error_and_never_in_done(
    start_gateway: Start, upstream: ScriptedUpstream, model: str
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(2), then=answers.close))
    with gateway.line() as line:
        reply = line.chat(payloads.request(model, **payloads.STREAMED))
    assert b"[DONE]" not in reply.body
    assert json.loads(events(reply.body)[-1])["error"]["code"] == "connection_lost"
    assert gateway.row(reply.request_id)["outcome"] == "cut"


@pytest.mark.parametrize("fault", [answers.close, answers.reset, answers.broken_framing, answers.silent])
@pytest.mark.parametrize("model", ["going-on", "forbidden"])
def test_a_stream_that_has_said_that_it_is_over_is_whole_whatever_becomes_of_its_connection(
    start_gateway: Start, upstream: ScriptedUpstream, model: str, fault: Any
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(payloads.stream(2, payloads.TOLD), then=fault))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request(model, **payloads.ASKING))
    assert reply.body == b"".join(payloads.stream(2, payloads.TOLD))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["output_tokens"], row["estimated"]) == ("ok", 52, False)
    assert upstream.calls("b") == []


def test_a_target_that_goes_on_waits_for_a_client_that_has_not_read_what_came_before() -> None:
    connection = SimpleNamespace(send=lambda *_: None, is_paused=False)
    connection.pause = lambda: setattr(connection, "is_paused", True)
    relay = object.__new__(Relay)
    relay.sent, relay.upstream, relay.paused = b"", None, False
    relay.shared = cast("Any", SimpleNamespace(clock=SimpleNamespace(monotonic=lambda: 0.0)))
    relay.client = cast("Any", SimpleNamespace(passed=b""))
    relay.spoken = cast("Any", SimpleNamespace(place=0))
    relay.offer = cast("Any", SimpleNamespace(target=SimpleNamespace(request_heads=(b"",))))
    relay.pause()  # by what the first target said last
    relay.connected(cast("Any", connection))
    assert connection.is_paused


def test_a_stream_whose_second_target_fails_too_ends_in_an_error(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(2), then=answers.close))
    upstream.script("b", answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert _text(reply.body.partition(b'data: {"error"')[0]) == " word0 word1"
    assert b"[DONE]" not in reply.body
    rows = gateway.rows(reply.request_id, 2)
    assert [(row["target"], row["outcome"]) for row in rows] == [("a", "cut"), ("b", "cut")]


def test_tool_calls_are_not_continued(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_continuing(upstream))
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a'}}
    begun = payloads.event(payloads.chunk({"role": "assistant", "tool_calls": [call]}))
    upstream.script("a", answers.stream([begun], then=answers.close))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert b"[DONE]" not in reply.body
    assert upstream.calls("b") == []
