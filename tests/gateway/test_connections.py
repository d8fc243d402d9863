"""How requests go out and how answers are framed, and their connections: used again, replaced, encrypted, tunnelled."""

from __future__ import annotations

import gzip
import json
import time
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.payloads import ASKING, TOLD
from gateway.wire import Line, chat_bytes

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import Call, ConnectProxy, ScriptedUpstream


# What goes out, and how answers are framed


def test_a_request_goes_out_byte_for_byte_with_the_targets_credentials_and_not_the_clients(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b'{ "model":"solo",\n "messages" : [{"role":"user","content":"\\ud83d\\ude00 \xc3\xa9"}], "x": 1.50 }'
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        assert line.chat(body, x_stainless_os="Linux", cookie="session=1").status == 200
    (call,) = upstream.calls("a")
    assert call.body == body
    assert (call.method, call.path) == ("POST", "/a/v1/chat/completions")
    assert call.headers["authorization"] == "Bearer sk-of-the-upstream"
    assert call.headers["x-team"] == "search"
    assert call.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert b"sk-be" not in call.head
    assert "cookie" not in call.headers


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_streams_may_end_with_their_connection(gateway: Gateway, upstream: ScriptedUpstream, framing: str) -> None:
    upstream.script("a", answers.stream(payloads.stream(5, TOLD), framing=framing))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **ASKING))
        assert line.chat(payloads.request("solo", **ASKING)).body == reply.body == b"".join(payloads.stream(5, TOLD))
    assert gateway.row(reply.request_id)["outcome"] == "ok"


@pytest.mark.parametrize("answer", [answers.until_close, answers.after_continue], ids=["until close", "after 1xx"])
def test_answers_without_a_length_and_after_interim_ones_are_whole(
    gateway: Gateway, upstream: ScriptedUpstream, answer: Answer
) -> None:
    upstream.script("a", answer)
    with gateway.line() as line:
        for _ in range(2):
            reply = line.chat(payloads.request("solo"))
            assert (reply.status, reply.json) == (200, payloads.completion())
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("ok", 157, 52)


def test_an_answer_that_is_compressed_unasked_reaches_the_client_and_is_estimated(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.gzipped)
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"), accept_encoding="gzip")
    assert reply.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body)) == payloads.completion()
    assert upstream.calls("a")[0].headers["accept-encoding"] == "identity"
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"]) == ("ok", True)


# Connections


def test_a_connection_is_used_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        for _ in range(5):
            assert line.chat(payloads.request("solo")).status == 200
    numbers = {call.connection.number for call in upstream.calls("a")}
    assert len(numbers) == 1


def test_a_connection_that_closes_as_the_next_request_comes_is_replaced_unnoticed(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.last_on_its_connection)
    with gateway.line() as line:
        replies = [line.chat(payloads.request("solo")) for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 6
    assert [gateway.row(reply.request_id)["outcome"] for reply in replies] == ["ok"] * 6
    assert len(upstream.calls("a")) == 6
    assert len({call.connection.number for call in upstream.calls("a")}) == 6


def test_a_server_that_always_closes_is_asked_at_most_twice(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole(), answers.close)
    with gateway.line() as line:
        assert line.chat(payloads.request("solo")).status == 200
        reply = line.chat(payloads.request("solo"))
    assert (reply.status, reply.code) == (502, "connection_lost")
    assert len(upstream.calls("a")) == 3, "once on the kept connection, once on a new one"
    assert gateway.row(reply.request_id)["failure"] == "connection_lost"


def test_an_engine_that_closes_after_a_hundred_requests_is_not_noticed(gateway: Gateway) -> None:
    request = payloads.request("tiny", max_tokens=1, ignore_eos=True)
    with gateway.line() as line:
        assert [line.chat(request).status for _ in range(130)] == [200] * 130


def test_a_target_is_reached_over_tls_when_its_authority_vouches_for_it(
    gateway: Gateway, secure_upstream: ScriptedUpstream
) -> None:
    secure_upstream.script("secure", answers.either(answers.whole(), answers.stream(payloads.stream(5, TOLD))))
    with gateway.line() as line:
        assert line.chat(payloads.request("secure")).json == payloads.completion()
        assert line.chat(payloads.request("secure", **ASKING)).body == b"".join(payloads.stream(5, TOLD))
    assert len({call.connection.number for call in secure_upstream.calls("secure")}) == 1


@pytest.mark.parametrize("model", ["secure", "tunnelled"])
@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_a_target_that_hangs_up_behind_its_answer_costs_a_slow_client_none_of_it(
    gateway: Gateway, secure_upstream: ScriptedUpstream, model: str, framing: str
) -> None:
    if framing == "length":
        answer = answers.whole(payloads.completion("z" * 120_000))
    else:
        big = [payloads.event(payloads.chunk({"content": "z" * 8000}))] * 15
        answer = answers.stream([*big, *payloads.stream(5, TOLD)], framing=framing)

    def answer_and_hang_up(call: Call) -> None:
        answer(call)
        call.close()

    secure_upstream.script(model, answer_and_hang_up)
    with Line(gateway.port, receive_buffer_bytes=4096) as line:
        line.send(chat_bytes(payloads.request(model, stream=framing != "length")))
        line.head()
        (call,) = secure_upstream.calls(model)
        assert call.over.wait(5)
        time.sleep(0.2)  # as long as the gateway needs to see that the target has hung up
        received = line.until(b"\r\n0\r\n\r\n")
    assert received.count(b"z") == 120_000
    assert (b"[DONE]" in received) == (framing != "length")
    row = gateway.row(line.request_id)
    assert (row["outcome"], row["failure"]) == ("ok", None)


def test_a_target_is_reached_through_a_proxy_which_sees_only_its_name(
    gateway: Gateway, secure_upstream: ScriptedUpstream, proxy: ConnectProxy
) -> None:
    secure_upstream.script("tunnelled", answers.whole())
    before = len(proxy.requests)
    with gateway.line() as line:
        reply = line.chat(payloads.request("tunnelled"))
    assert (reply.status, reply.json) == (200, payloads.completion())
    assert proxy.requests[before:] == [f"CONNECT localhost:{secure_upstream.port} HTTP/1.1"]
    assert "proxy-authorization" not in secure_upstream.calls("tunnelled")[0].headers
