"""Clients that leave, read slowly, send too much, too slowly or no HTTP at all; and a stop that waits for them."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.gateway import running_gateway, settings, target, wait_for
from gateway.wire import Line, chat_bytes, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

CANCELLED_S = 3.0
"""A client that leaves stops the target's work within this time: a second is promised, of a machine that has it."""


# Leaving


def close_orderly(line: Line) -> None:
    line.socket.close()


LEAVING = {"closes": close_orderly, "resets": Line.reset}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_a_client_that_leaves_before_the_first_token_stops_the_target(
    gateway: Gateway, upstream: ScriptedUpstream, leave: Callable[[Line], None], stream: bool
) -> None:
    upstream.script("a", answers.silent)
    before = len(gateway.all_rows())
    line = gateway.line()
    line.send(chat_bytes(payloads.request("solo", stream=stream)))
    (call,) = upstream.calls("a", at_least=1)
    leave(line)
    assert call.gone.wait(CANCELLED_S)
    row = gateway.newest_row(after=before, outcome="client_left")
    assert (row["estimated"], row["failure"], row["first_byte_us"]) == (True, "client_left", None)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] == 0


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
def test_a_client_that_leaves_in_the_middle_stops_the_target_and_is_billed_for_what_passed(
    gateway: Gateway, upstream: ScriptedUpstream, leave: Callable[[Line], None]
) -> None:
    upstream.script("a", answers.stream(payloads.words(20), then=answers.silent))
    line = gateway.line()
    line.send(chat_bytes(payloads.request("solo", stream=True)))
    line.head()
    line.until(b" word19")
    (call,) = upstream.calls("a")
    leave(line)
    assert call.gone.wait(CANCELLED_S)
    row = gateway.row(line.request_id)
    assert (row["outcome"], row["estimated"], row["failure"]) == ("client_left", True, "client_left")
    assert row["output_tokens"] >= 20


@pytest.mark.parametrize("when", ["before the first token", "in the middle"])
def test_a_client_that_has_sent_a_second_request_is_seen_to_leave_during_the_first(
    gateway: Gateway, upstream: ScriptedUpstream, when: str
) -> None:
    words = payloads.words(3) if when == "in the middle" else []
    upstream.script("a", answers.stream(words, then=answers.silent))
    request = chat_bytes(payloads.request("solo", stream=True))
    line = gateway.line()
    line.send(request + request)
    if words:
        line.until(b" word2")
    (call,) = upstream.calls("a", at_least=1)
    line.socket.close()
    assert call.gone.wait(CANCELLED_S)
    assert len(upstream.calls("a")) == 1


def test_a_second_request_before_the_first_is_answered_ends_the_connection_after_the_first(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.slow(0.1, answers.whole()))
    request = chat_bytes(payloads.request("solo"))
    with gateway.line() as line:
        line.send(request + request)
        reply = line.reply()
        assert (reply.status, reply.json) == (200, payloads.completion())
        assert line.ended()
    assert len(upstream.calls("a")) == 1


def test_a_client_that_leaves_while_the_target_is_being_connected_to_leaves_a_row(gateway: Gateway) -> None:
    before = len(gateway.all_rows())
    line = gateway.line()
    line.send(chat_bytes(payloads.request("hole"), x_breakeven_task="leaves-early"))
    line.socket.close()
    row = gateway.newest_row(after=before, task="leaves-early")
    assert (row["outcome"], row["queued_us"], row["input_tokens"]) == ("client_left", None, 0)


# Reading slowly

MOST_HELD_BYTES = 256 * 1024


@pytest.mark.parametrize("kind", ["streamed", "unary"])
def test_a_client_that_does_not_read_holds_at_most_256_kib_and_then_gets_everything(
    gateway: Gateway, upstream: ScriptedUpstream, kind: str
) -> None:
    text = "z" * 1_500_000
    whole = answers.whole(payloads.completion(text))
    stream = answers.stream(
        [payloads.event(payloads.chunk({"content": "z" * 8000})) for _ in range(187)]
        + [payloads.event(payloads.chunk({"content": "z" * 4000}))]
    )
    upstream.script("brisk", answers.either(whole, stream))
    with Line(gateway.port, receive_buffer_bytes=4096) as line:
        line.send(chat_bytes(payloads.request("brisk", stream=kind == "streamed")))
        line.head()
        (call,) = upstream.calls("brisk")
        stuck = settled(lambda: call.sent_bytes)
        assert not call.over.is_set()
        # What the upstream's own kernel and the client's hold is theirs.
        assert stuck <= MOST_HELD_BYTES + upstream.send_buffer_bytes + 2 * 4096
        received = line.until(b"0\r\n\r\n")
    assert received.count(b"z") == 1_500_000
    assert call.over.wait(5)


def settled(figure: Callable[[], int], break_s: float = 1.5) -> int:
    """The value of a figure once it has not grown for some time: longer than the target may be silent."""
    last, since = figure(), time.monotonic()
    while time.monotonic() - since < break_s:
        time.sleep(0.02)
        if (now := figure()) != last:
            last, since = now, time.monotonic()
    return last


def test_a_client_that_reads_slowly_is_not_taken_for_a_target_that_is_silent(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    events = [payloads.event(payloads.chunk({"content": "z" * 8000})) for _ in range(100)]
    upstream.script("brisk", answers.stream(events))
    with Line(gateway.port, receive_buffer_bytes=4096) as line:
        line.send(chat_bytes(payloads.request("brisk", stream=True)))
        line.head()
        (call,) = upstream.calls("brisk")
        settled(lambda: call.sent_bytes)
        assert not call.gone.is_set()


def test_a_connection_whose_last_client_read_slowly_serves_the_next_one(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Of many sizes, some end just when the client's buffer is full and the target has been told to wait."""
    for size in range(80_000, 400_000, 20_000):
        answer = payloads.completion("z" * size)
        upstream.script("brisk", answers.whole(answer), answers.whole())
        with Line(gateway.port, receive_buffer_bytes=4096) as line:
            line.send(chat_bytes(payloads.request("brisk")))
            (first,) = upstream.calls("brisk", at_least=1)
            settled(lambda first=first: first.sent_bytes, 0.05)  # type: ignore[misc]
            assert line.reply().json == answer
        with gateway.line() as line:
            assert line.chat(payloads.request("brisk")).json == payloads.completion(), size


# Sending what must be refused


def test_a_body_that_is_no_chat_request_is_a_bad_request(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    bodies = [
        b"{",
        b"[]",
        b"null",
        b'"solo"',
        b'{"model": 3}',
        b'{"messages": []}',
        b'{"model":"solo"}x',
        b"\xff\xfe{}",
    ]
    bodies.append(b'{"model": "solo", "stream": "yes"}')
    bodies.append(b"[" * 100_000)
    with gateway.line() as line:
        for body in bodies:
            reply = line.chat(body)
            assert (reply.status, reply.code) == (400, "invalid_request"), body[:40]
        assert line.chat(payloads.request("solo")).status == 200, "the connection is still good"
    assert len(upstream.calls("a")) == 1


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer sk-be-wrong", "Basic c2stYmU6", "sk-be-of-the-tests", "Bearer sk-be-of-the-test"],
)
@pytest.mark.parametrize("path", ["POST /v1/chat/completions", "GET /v1/models", "GET /v1/models/solo"])
def test_nobody_gets_in_without_a_key(gateway: Gateway, path: str, authorization: str) -> None:
    method, _, where = path.partition(" ")
    body = payloads.request("solo") if method == "POST" else None
    with gateway.line() as line:
        reply = line.ask(method, where, body, authorization=authorization)
    assert (reply.status, reply.code) == (401, "invalid_api_key")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert b"sk-be" not in reply.body


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /v1/chat/completions", 405),
        ("PUT /v1/chat/completions", 405),
        ("POST /v1/models", 405),
        ("DELETE /v1/models/solo", 405),
        ("POST /health", 405),
        ("GET /", 404),
        ("GET /v1/files", 404),
        ("POST /v1/chat/completions/", 404),
        ("POST /V1/chat/completions", 404),
        ("GET /v1/models/no-such-model", 404),
        ("GET /v1/models/a", 404),
        ("POST //v1/chat/completions", 404),
        ("GET /v1/../health", 404),
        ("GET /health", 200),
        ("GET /v1/models?limit=3", 200),
    ],
)
def test_paths_and_methods_that_do_not_exist_are_said_not_to(gateway: Gateway, request_line: str, status: int) -> None:
    method, _, path = request_line.partition(" ")
    with gateway.line() as line:
        reply = line.ask(method, path)
        assert reply.status == status
        assert line.ask("GET", "/health").status == 200, "the connection is still good"
    if status == 405:
        assert reply.headers["allow"] in ("GET", "POST")


def test_a_model_that_is_not_configured_is_not_found_and_leaves_no_row(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo-but-not"))
        assert (reply.status, reply.code) == (404, "model_not_found")
        last = line.chat(payloads.request("solo"))
    gateway.row(last.request_id)
    assert {row["model"] for row in gateway.all_rows()}.isdisjoint({"solo-but-not"})


BODY = b'{"model":"solo","messages":[]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-be-of-the-tests\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)

SMUGGLED = {
    "a length and chunks": HEAD + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + BODY,
    "chunks and a length": HEAD + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + BODY,
    "two lengths": HEAD + LENGTH + b"content-length: 3\r\n\r\n" + BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"content-length: 30, 30\r\n\r\n" + BODY,
    "a signed length": HEAD + b"content-length: +30\r\n\r\n" + BODY,
    "a negative length": HEAD + b"content-length: -30\r\n\r\n" + BODY,
    "a length in hex": HEAD + b"content-length: 0x1e\r\n\r\n" + BODY,
    "a length beyond any number": HEAD + b"content-length: 99999999999999999999999\r\n\r\n" + BODY,
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"content-length: 30\n\n" + BODY,
    "a bare line feed before a length": HEAD + b"x-a: b\n" + LENGTH + b"\r\n" + BODY,
    "a bare carriage return in a value": HEAD + b"x-a: b\rcontent-length: 0\r\n" + LENGTH + b"\r\n" + BODY,
    "a blank before the colon": HEAD + b"content-length : 30\r\n\r\n" + BODY,
    "a folded line": HEAD + b"x-a: b\r\n content-length: 3\r\n" + LENGTH + b"\r\n" + BODY,
    "chunks under another encoding": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n" + BODY,
    "an encoding that is not known": HEAD + b"transfer-encoding: xchunked\r\n\r\n" + BODY,
    "a chunk without a length": HEAD + b"transfer-encoding: chunked\r\n\r\n\r\n" + BODY,
    "a chunk's length beyond any number": HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + BODY,
    "a zero byte in a name": HEAD + b"x\x00a: b\r\n" + LENGTH + b"\r\n" + BODY,
    "a zero byte in a value": HEAD + b"x-a: b\x00c\r\n" + LENGTH + b"\r\n" + BODY,
    "no method": b" /v1/chat/completions HTTP/1.1\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
    "HTTP of another kind": b"POST /v1/chat/completions HTTP/9.9\r\n"
    + HEAD.split(b"\r\n", 1)[1]
    + LENGTH
    + b"\r\n"
    + BODY,
    "a target of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("attempt", SMUGGLED)
def test_what_two_servers_could_read_differently_is_refused_and_the_connection_closed(
    gateway: Gateway, upstream: ScriptedUpstream, attempt: str
) -> None:
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        line.send(SMUGGLED[attempt] + request_bytes("GET", "/health"))
        reply = line.reply()
        assert reply.status == 400
        assert reply.headers["connection"] == "close"
        assert line.ended()
    assert upstream.calls("a") == []


def test_a_body_in_chunks_is_taken(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    pieces = b"".join(answers.chunked(BODY[at : at + 4]) for at in range(0, len(BODY), 4))
    with gateway.line() as line:
        line.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        assert line.reply().status == 200
    (call,) = upstream.calls("a")
    assert call.body == BODY


def test_a_request_that_comes_byte_by_byte_is_taken(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        for byte in HEAD + LENGTH + b"\r\n" + BODY:
            line.send(bytes([byte]))
        assert line.reply().status == 200


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        line.send(HEAD + LENGTH + b"expect: 100-continue\r\n\r\n")
        assert line.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.send(BODY)
        assert line.reply().status == 200


def test_a_client_that_waits_for_leave_and_has_no_key_is_refused_before_its_body(gateway: Gateway) -> None:
    with gateway.line() as line:
        line.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + LENGTH + b"expect: 100-continue\r\n\r\n")
        assert line.reply().status == 401


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_an_old_client_gets_an_answer_that_ends_with_its_connection(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    sent = payloads.stream(5, payloads.TOLD)
    upstream.script("a", answers.either(answers.whole(), answers.stream(sent)))
    body = payloads.request("solo", **(payloads.ASKING if stream else {}))
    with gateway.line() as line:
        line.send(chat_bytes(body).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        reply = line.reply()
        assert line.ended()
    assert "transfer-encoding" not in reply.headers
    assert reply.body == b"".join(sent) if stream else reply.json == payloads.completion()


# Bounds

MOST_CONNECTIONS = 6
STRICT = {
    "header_bytes": 4096,
    "body_bytes": 16_384,
    "header_s": 0.5,
    "body_s": 0.5,
    "idle_s": 1,
    "connections": MOST_CONNECTIONS,
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway with narrow bounds."""
    configured = settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}, limits=STRICT)
    with running_gateway(tmp_path_factory.mktemp("strict"), configured) as started:
        yield started


@pytest.mark.parametrize("shape", ["one long line", "many lines", "a long path"])
def test_a_head_beyond_the_bound_is_refused(strict: Gateway, shape: str) -> None:
    lines = {"one long line": {"x-a": "p" * 5000}, "many lines": {f"x-{n}": "p" * 50 for n in range(100)}}
    path = f"/health?{'p' * 5000}" if shape == "a long path" else "/health"
    with strict.line() as line:
        line.send(request_bytes("GET", path, **lines.get(shape, {})))
        reply = line.reply()
        assert (reply.status, reply.code) == (431, "head_too_large")
        assert line.ended()


def test_a_head_without_an_end_is_cut_off_at_the_bound(strict: Gateway) -> None:
    with strict.line() as line:
        line.send(b"GET /health HTTP/1.1\r\n" + b"x-a: b\r\n" * 1000)
        assert line.reply().code == "head_too_large"
        wait_for(lambda: breaks(line, b"x-a: b\r\n" * 1000), "the rest of the head is taken for ever")


def breaks(line: Line, data: bytes) -> bool:
    """Whether sending fails."""
    try:
        line.send(data)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_beyond_the_bound_is_refused(strict: Gateway, upstream: ScriptedUpstream, framing: str) -> None:
    upstream.script("a", answers.whole())
    with strict.line() as line:
        if framing == "length":
            line.send(HEAD + b"content-length: 16385\r\n\r\n")
        else:
            line.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + answers.chunked(b"p" * 16_385))
        reply = line.reply()
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert line.ended()
    assert upstream.calls("a") == []


def test_a_body_at_the_bound_is_taken(strict: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    body = BODY[:-1] + b" " * (16_384 - len(BODY)) + b"}"
    with strict.line() as line:
        assert line.chat(body).status == 200
    assert upstream.calls("a")[0].body == body


def test_a_head_that_is_sent_a_byte_now_and_then_is_cut_off(strict: Gateway) -> None:
    with strict.line() as line:
        for byte in HEAD * 3:
            if select.select([line.socket], [], [], 0.05)[0]:
                break
            line.send(bytes([byte]))
        assert line.reply().code == "head_timeout"
        assert line.ended()


@pytest.mark.parametrize(
    ("sent", "code"),
    [(HEAD, "head_timeout"), (HEAD + LENGTH + b"\r\n" + BODY[:5], "body_timeout")],
    ids=["head", "body"],
)
def test_a_request_that_stops_half_way_is_told_so_and_cut_off(strict: Gateway, sent: bytes, code: str) -> None:
    with strict.line() as line:
        line.send(sent)
        reply = line.reply()
        assert (reply.status, reply.code) == (408, code)
        assert line.ended()


def test_connections_without_a_request_are_closed_after_a_while(strict: Gateway) -> None:
    with strict.line() as fresh, strict.line() as used:
        assert used.ask("GET", "/health").status == 200
        assert fresh.ended()
        assert used.ended()


def test_there_are_at_most_so_many_connections_and_then_room_again(strict: Gateway) -> None:
    with_room = [strict.line() for _ in range(MOST_CONNECTIONS)]
    try:
        for line in with_room:
            assert line.ask("GET", "/health").status == 200
        with strict.line() as one_more:
            reply = one_more.reply()
            assert (reply.status, reply.code) == (503, "too_many_connections")
            assert one_more.ended()
    finally:
        for line in with_room:
            line.socket.close()

    def room() -> bool:
        with strict.line() as line:
            return line.ask("GET", "/health").status == 200

    wait_for(room, "there is no room although everybody has left")


# Stopping


@pytest.fixture
def alone(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway that may be stopped."""
    limits = {"drain_s": 1}
    return start_gateway(settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}}, limits=limits))


def test_a_stop_lets_streams_finish_and_sends_new_requests_elsewhere(
    alone: Gateway, upstream: ScriptedUpstream
) -> None:
    events = payloads.stream(30, payloads.TOLD)
    stopping = threading.Event()

    def second_half(call: Call) -> None:
        assert stopping.wait(10)
        for data in events[15:]:
            call.send(answers.chunked(data))

    upstream.script("a", answers.stream(events[:15], then=second_half))
    with alone.line() as running, alone.line() as idle:
        assert idle.ask("GET", "/health").status == 200
        running.send(chat_bytes(payloads.request("solo", **payloads.ASKING)))
        received = running.until(b" word10")
        alone.terminate()
        assert idle.ended()
        with alone.line() as late:
            reply = late.chat(payloads.request("solo"))
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "stopping", "2")
            assert late.ended()
        stopping.set()
        received += running.until(b"0\r\n\r\n")
    assert all(data in received for data in events)
    assert alone.wait() == 0
    (row,) = alone.all_rows()
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("ok", 157, 52, False)


def test_a_stop_waits_only_so_long_and_keeps_the_rows_of_what_it_cuts(
    alone: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.stream(payloads.words(12), then=answers.silent))
    with alone.line() as line:
        line.send(chat_bytes(payloads.request("solo", stream=True)))
        line.until(b" word11")
        assert alone.stop() == 0
        assert b"[DONE]" not in line.seen
    (row,) = alone.all_rows()
    assert (row["outcome"], row["estimated"]) == ("client_left", True)
    assert row["output_tokens"] >= 12


def test_a_second_gateway_on_the_same_address_says_why_it_does_not_start(alone: Gateway) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "breakeven", "up", "--config", str(alone.folder / "breakeven.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert str(alone.port) in second.stderr
    with alone.line() as line:
        assert line.ask("GET", "/health").status == 200
