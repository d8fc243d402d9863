"""What goes wrong at targets before a client has seen anything: another one is tried, and each is tried once.

The faults are those of other gateways, as users report them: cut streams that end in a clean ``[DONE]``, retries
that multiply, zeros that are counted again, usage that depends on how a stream was cut into packets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.payloads import ASKING, STREAMED, TOLD
from gateway.wire import events

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream


# Falling back


def test_targets_are_tried_in_their_order_and_each_attempt_leaves_a_row(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.failure(503))
    upstream.script("c", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("trio"))
    assert (reply.status, reply.json) == (200, payloads.completion())
    assert reply.headers["x-breakeven-target"] == "c"
    rows = gateway.rows(reply.request_id, 3)
    assert [(row["number"], row["target"], row["outcome"], row["status"]) for row in rows] == [
        (0, "a", "failed", 500),
        (1, "b", "failed", 503),
        (2, "c", "ok", 200),
    ]
    assert [(row["fallback"], row["failure"]) for row in rows] == [
        (None, "status_500"),
        ("status_500", "status_503"),
        ("status_503", None),
    ]
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows] == [(0, 0), (0, 0), (157, 52)]


FAILURES: dict[str, Answer] = {
    **{f"status_{status}": answers.failure(status) for status in (401, 403, 404, 408, 429, 500, 502, 503, 529)},
    "status_500 in HTML": answers.whole(b"<html>Bad Gateway</html>", status=500),
    "connection_lost by close": answers.close,
    "connection_lost by reset": answers.reset,
    "connection_lost in a body": answers.short_body,
    "connection_lost after the head": answers.lost_after_head,
    "malformed_answer": answers.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "malformed_answer in its length": answers.raw(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}"),
    "answer_head_too_large": answers.large_head(200 * 1024),
    "first_token_timeout": answers.silent,
    "first_token_timeout after the head": answers.silent_after_head,
}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("fault", FAILURES)
def test_another_target_answers_when_the_first_one_fails(
    gateway: Gateway, upstream: ScriptedUpstream, fault: str, stream: bool
) -> None:
    upstream.script("hasty", FAILURES[fault])
    upstream.script("b", answers.either(answers.whole(), answers.stream(payloads.stream(3, TOLD))))
    with gateway.line() as line:
        reply = line.chat(payloads.request("hasty-then-b", stream=stream))
    assert reply.status == 200
    assert reply.headers["x-breakeven-target"] == "b"
    assert len(upstream.calls("b")) == 1
    first, second = gateway.rows(reply.request_id, 2)
    reason = fault.split(" ", maxsplit=1)[0]
    assert (first["target"], first["outcome"], first["failure"]) == ("hasty", "failed", reason)
    assert (second["target"], second["outcome"], second["fallback"]) == ("b", "ok", reason)
    assert (second["input_tokens"], second["output_tokens"], second["estimated"]) == (157, 52, False)


UNREACHABLE = {
    "nobody": "connect_failed",
    "hole": "connect_timeout",
    "mistrusted": "tls_failed",
    "misnamed": "tls_failed",
    "turned-away": "proxy_refused",
}


@pytest.mark.parametrize(("name", "reason"), UNREACHABLE.items())
def test_another_target_answers_when_the_first_one_cannot_be_reached(
    gateway: Gateway, upstream: ScriptedUpstream, secure_upstream: ScriptedUpstream, name: str, reason: str
) -> None:
    upstream.script("b", answers.whole())
    secure_upstream.script(name, answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request(f"{name}-then-b"))
    assert (reply.status, reply.headers["x-breakeven-target"]) == (200, "b")
    first, second = gateway.rows(reply.request_id, 2)
    assert (first["target"], first["failure"], first["status"]) == (name, reason, None)
    assert (first["queued_us"], first["first_byte_us"], first["input_tokens"]) == (None, None, 0)
    assert second["fallback"] == reason
    assert secure_upstream.calls(name) == [], "a request went to a server that is not the one it claims to be"


@pytest.mark.parametrize(("name", "reason"), UNREACHABLE.items())
def test_a_target_that_cannot_be_reached_and_has_no_substitute_is_said_to_be(
    gateway: Gateway, secure_upstream: ScriptedUpstream, name: str, reason: str
) -> None:
    secure_upstream.script(name, answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request(name))
    assert (reply.status, reply.code) == (504 if reason == "connect_timeout" else 502, reason)
    assert gateway.row(reply.request_id)["outcome"] == "failed"
    assert secure_upstream.calls(name) == []


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_error_of_the_client_is_not_tried_elsewhere(
    gateway: Gateway, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.script("a", answers.failure(status))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("pair"))
    assert (reply.status, reply.json) == (status, payloads.error(f"scripted failure {status}"))
    assert upstream.calls("b") == []
    assert gateway.row(reply.request_id)["failure"] == f"status_{status}"


def test_no_more_attempts_are_made_than_the_model_allows(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for place in "abc":
        upstream.script(place, answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("trio-tried-twice"))
    assert (reply.status, reply.headers["x-breakeven-target"]) == (500, "b")
    assert [len(upstream.calls(place)) for place in "abc"] == [1, 1, 0]
    assert len(gateway.rows(reply.request_id, 2)) == 2


def test_each_target_is_tried_once_and_the_last_ones_answer_is_passed_on(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.failure(503))
    upstream.script("c", answers.failure(429, "retry-after: 12"))
    with gateway.line() as line:
        reply = line.chat(payloads.request("trio", **STREAMED))
    assert (reply.status, reply.json) == (429, payloads.error("scripted failure 429"))
    assert reply.headers["retry-after"] == "12"
    assert [len(upstream.calls(place)) for place in "abc"] == [1, 1, 1]


@pytest.mark.parametrize("status", [401, 403])
def test_a_target_that_refuses_our_credentials_is_not_the_clients_fault(
    gateway: Gateway, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.script("a", answers.failure(status))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"))
    assert (reply.status, reply.code) == (502, f"status_{status}")
    assert b"scripted failure" not in reply.body


# Time


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers.silent, "first_token_timeout"),
        (answers.silent_after_head, "first_token_timeout"),
        (answers.stream(payloads.stream(100, TOLD), gap_s=0.05), "total_timeout"),
        (answers.stream(payloads.words(1), then=answers.silent), "between_tokens_timeout"),
    ],
    ids=["no head", "no body", "too long", "a pause"],
)
def test_a_target_that_takes_too_long_is_given_up_and_told_so(
    gateway: Gateway, upstream: ScriptedUpstream, answer: Answer, reason: str
) -> None:
    upstream.script("hasty", answer)
    with gateway.line() as line:
        reply = line.chat(payloads.request("hasty", **STREAMED))
    (call,) = upstream.calls("hasty")
    assert call.gone.wait(5), "the target works on"
    assert gateway.row(reply.request_id)["failure"] == reason
    if reason == "first_token_timeout":
        assert (reply.status, reply.code) == (504, reason)
    else:
        assert json.loads(events(reply.body)[-1])["error"]["code"] == reason


def test_a_slow_answer_within_its_limits_is_whole(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("hasty", answers.slow(0.15, answers.stream(payloads.stream(5, TOLD), gap_s=0.06)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("hasty", **ASKING))
    assert reply.body == b"".join(payloads.stream(5, TOLD))
    row = gateway.row(reply.request_id)
    assert row["outcome"] == "ok"
    assert row["first_byte_us"] - row["queued_us"] >= 100_000
    assert row["ended_us"] - row["first_byte_us"] >= 300_000
