"""What goes wrong at targets: another one is tried while the client has seen nothing, and nothing is hidden later.

The faults are those of other gateways, as users report them: cut streams that end in a clean ``[DONE]``, retries
that multiply, zeros that are counted again, usage that depends on how a stream was cut into packets.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.wire import CutOffError, chat_bytes, events

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import ConnectProxy, ScriptedUpstream

STREAMED = {"stream": True}
ASKING = {"stream": True, "stream_options": {"include_usage": True}}
TOLD = payloads.usage(157, 52)

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
    rows = gateway.rows(reply.request_id)
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
    first, second = gateway.rows(reply.request_id)
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
    first, second = gateway.rows(reply.request_id)
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
    assert len(gateway.rows(reply.request_id)) == 2


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


# Streams that break after the client has seen some of them

BREAKS: dict[str, tuple[Answer, str]] = {
    "closed": (answers.close, "connection_lost"),
    "reset": (answers.reset, "connection_lost"),
    "ended without a word": (answers.end_body_and_close, "ended_without_done"),
    "silent": (answers.silent, "between_tokens_timeout"),
    "endless": (answers.trickle, "total_timeout"),
    "told of an error": (answers.last_event(payloads.error("the engine fell over")), "error_event"),
    "malformed": (answers.broken_framing, "malformed_answer"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_never_ends_as_if_it_were_whole(
    gateway: Gateway, upstream: ScriptedUpstream, fault: str
) -> None:
    answer, reason = BREAKS[fault]
    seen_by_client = threading.Event()
    upstream.script("hasty", answers.stream(payloads.words(4), then=answers.once(seen_by_client, answer)))
    upstream.script("b", answers.stream(payloads.stream(3)))
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("hasty-then-b", **STREAMED)))
        line.head()
        line.until(b" word3")
        seen_by_client.set()
        with contextlib.suppress(CutOffError):
            line.until(b"\r\n0\r\n\r\n")
    assert b"[DONE]" not in line.seen
    assert upstream.calls("b") == [], "what the client has seen cannot be taken back: no other target may begin anew"
    row = gateway.row(line.request_id)
    assert (row["outcome"], row["failure"], row["estimated"]) == ("cut", reason, True)
    assert row["output_tokens"] >= 4
    assert row["input_tokens"] > 0


def test_an_error_event_says_why_the_stream_ends(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.stream(payloads.words(2), then=answers.reset))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **STREAMED))
    *words, last = events(reply.body)
    assert len(words) == 2
    assert json.loads(last)["error"]["code"] == "connection_lost"


def test_a_large_answer_that_breaks_ends_early_instead_of_being_completed(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = json.dumps(payloads.completion("x" * 400_000)).encode()
    upstream.script("a", answers.raw(answers.head(200, f"content-length: {len(body)}"), body[:-1000]))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        with pytest.raises(CutOffError) as cut:
            line.chat(payloads.request("pair"))
        row = gateway.row(line.request_id)
    assert body.startswith(cut.value.received)
    assert upstream.calls("b") == []
    assert (row["outcome"], row["failure"], row["estimated"]) == ("cut", "connection_lost", True)
    assert row["output_tokens"] > 0


def test_a_large_answer_arrives_whole_and_is_metered_exactly(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = payloads.completion("y" * 1_000_000)
    upstream.script("a", answers.whole(answer))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"))
    assert reply.json == answer
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("ok", 157, 52, False)


# What targets tell of usage

UNUSUAL: dict[str, list[bytes]] = {
    "a choice beside the usage": [
        *payloads.stream(5, done=False),
        payloads.event(payloads.chunk({}, usage=TOLD)),
        payloads.event("[DONE]"),
    ],
    "usage in every event": [
        *(payloads.event(payloads.chunk({"content": "x"}, usage=payloads.usage(157, n))) for n in range(1, 53)),
        payloads.event("[DONE]"),
    ],
    "no choices before the first": [
        payloads.event(payloads.chunk({}) | {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        *payloads.stream(5, TOLD),
    ],
    "no choices at all in an event": [payloads.event({"id": "x", "object": "ping"}), *payloads.stream(5, TOLD)],
    "comments and blank lines": [b": keep-alive\n\n", b"\n", b"retry: 100\n\n", *payloads.stream(5, TOLD)],
    "carriage returns": [data.replace(b"\n", b"\r\n") for data in payloads.stream(5, TOLD)],
    "no blank after the colon": [data.replace(b"data: ", b"data:", 1) for data in payloads.stream(5, TOLD)],
    "null where numbers may be": [
        payloads.event(payloads.chunk({"content": None}, usage=None)),
        *payloads.stream(5, {**TOLD, "prompt_tokens_details": None, "completion_tokens_details": None}),
    ],
}


@pytest.mark.parametrize("shape", UNUSUAL)
def test_unusual_streams_pass_byte_for_byte_and_their_usage_is_read_however_they_are_cut(
    gateway: Gateway, upstream: ScriptedUpstream, shape: str
) -> None:
    sent = UNUSUAL[shape]
    ids = []
    with gateway.line() as line:
        for packets in (None, answers.by_bytes(1), answers.by_bytes(7), answers.by_bytes(64)):
            upstream.script("a", answers.stream(sent, packets=packets))
            reply = line.chat(payloads.request("solo", **ASKING))
            assert reply.body == b"".join(sent)
            ids.append(reply.request_id)
    rows = [gateway.row(request_id) for request_id in ids]
    assert [(row["outcome"], row["input_tokens"], row["output_tokens"]) for row in rows] == [("ok", 157, 52)] * 4


@pytest.mark.parametrize("asked", [STREAMED, ASKING], ids=["usage hidden", "usage asked for"])
def test_an_event_that_is_no_json_is_skipped(
    gateway: Gateway, upstream: ScriptedUpstream, asked: dict[str, object]
) -> None:
    upstream.script("a", answers.stream([payloads.event("{not json"), *payloads.stream(5, TOLD)]))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **asked))
    assert b"not json" not in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("ok", 157, 52)


@pytest.mark.parametrize("shape", ["the usual", *UNUSUAL])
def test_who_did_not_ask_for_usage_sees_none_of_its_own_event(
    gateway: Gateway, upstream: ScriptedUpstream, shape: str
) -> None:
    sent = {"the usual": payloads.stream(5, TOLD), **UNUSUAL}[shape]
    hidden = [data for data in sent if b'"choices": []' in data and b'"usage"' in data]
    upstream.script("a", answers.stream(sent, packets=answers.by_bytes(11)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **STREAMED))
    assert reply.body == b"".join(data for data in sent if data not in hidden)
    assert upstream.calls("a")[0].json["stream_options"] == {"include_usage": True}
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("ok", 157, 52)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_zeros_that_a_target_tells_are_believed(gateway: Gateway, upstream: ScriptedUpstream, stream: bool) -> None:
    zeros = payloads.usage(0, 0)
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=zeros)), answers.stream(payloads.stream(5, zeros)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("ok", 0, 0, False)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_cached_tokens_are_a_part_of_the_input_and_told_apart(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    told = payloads.usage(2000, 10, cached_tokens=1536)
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=told)), answers.stream(payloads.stream(5, told)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["input_tokens"], row["cached_input_tokens"], row["output_tokens"]) == (2000, 1536, 10)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_usage_that_is_not_told_is_estimated_and_said_to_be(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=None)), answers.stream(payloads.stream(30)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"]) == ("ok", True)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] >= (30 if stream else 5)


def test_a_target_that_cannot_tell_stream_usage_is_not_asked_to(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    sent = payloads.stream(12)
    upstream.script("uncounted", answers.stream(sent))
    with gateway.line() as line:
        reply = line.chat(payloads.request("uncounted", **STREAMED))
    assert reply.body == b"".join(sent)
    (call,) = upstream.calls("uncounted")
    assert call.json == payloads.request("uncounted", **STREAMED)
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"]) == ("ok", True)
    assert row["output_tokens"] >= 12


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_a_model_with_another_name_at_its_target_keeps_its_own_in_the_ledger(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("renamed", answers.either(answers.whole(), answers.stream(payloads.stream(5, TOLD))))
    with gateway.line() as line:
        reply = line.chat(payloads.request("renamed", stream=stream, seed=7))
    (call,) = upstream.calls("renamed")
    assert (call.json["model"], call.json["seed"]) == ("its-own-name", 7)
    row = gateway.row(reply.request_id)
    assert (row["model"], row["priced_as"]) == ("renamed", "tests:priced")


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


# How answers are framed


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
    assert call.gone.wait(1), "the target works on"
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
