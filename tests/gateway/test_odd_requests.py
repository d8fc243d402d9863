"""Requests that are odd, wrong, or come before their turn: answered or refused, and nobody else notices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway import answers, payloads
from gateway.gateway import KEY

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream


def chat(body: bytes, *lines: str, length: int | None = None, key: str = KEY) -> bytes:
    size = len(body) if length is None else length
    head = ["POST /v1/chat/completions HTTP/1.1", "host: x", f"authorization: Bearer {key}", *lines]
    return "\r\n".join([*head, f"content-length: {size}", "", ""]).encode() + body


def test_a_wish_for_http_2_is_ignored(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The JDK's client brings one with every first request on a connection without TLS."""
    upstream.script("a", answers.whole())
    body = json.dumps(payloads.request("solo")).encode()
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    with gateway.line() as line:
        for _ in range(3):
            line.send(chat(body, *wish))
            assert line.reply().json == payloads.completion()


def test_bytes_beyond_the_announced_body_end_the_connection_after_the_answer(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    body = json.dumps(payloads.request("solo")).encode()
    with gateway.line() as line:
        line.send(chat(body + b"}}\x00", length=len(body)))
        assert line.reply().json == payloads.completion()
    with gateway.line() as line:
        assert line.chat(payloads.request("solo")).json == payloads.completion()


def test_a_request_behind_one_that_was_refused_at_once_is_not_mixed_up_with_the_next(gateway: Gateway) -> None:
    with gateway.line() as line:
        line.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + chat(b'{"model": "solo"}'))
        assert line.reply().status == 200
        assert line.ended()


def test_trailers_count_towards_the_bound_of_the_head(gateway: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with gateway.line() as line:
        line.send(head + b"0\r\n")
        for number in range(64):
            line.send(b"x-%d: %b\r\n" % (number, b"p" * 1000))
        assert line.reply().status in (401, 431)


def test_a_null_option_of_streams_is_replaced(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    asked = payloads.request("solo", stream=True) | {"stream_options": None}
    with gateway.line() as line:
        line.chat(asked)
    sent = upstream.calls("a")[-1].body
    assert sent.count(b'"stream_options"') == 1
    assert json.loads(sent)["stream_options"] == {"include_usage": True}
