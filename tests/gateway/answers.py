"""What a scripted upstream can be told to do with a request: the good, the slow, the broken."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from gateway import payloads
from gateway.scripted import PATIENCE_S

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from gateway.scripted import Call

    Answer = Callable[[Call], None]

LAST_CHUNK = b"0\r\n\r\n"


def chunked(data: bytes) -> bytes:
    """Bytes as one chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: int, *headers: str) -> bytes:
    """A response's head."""
    return "\r\n".join([f"HTTP/1.1 {status} Scripted", *headers, "", ""]).encode("latin-1")


def whole(body: dict[str, Any] | bytes | None = None, *headers: str, status: int = 200) -> Answer:
    """Answer with a length: a chat completion unless told otherwise."""
    data = body if isinstance(body, bytes) else json.dumps(payloads.completion() if body is None else body).encode()

    def answer(call: Call) -> None:
        length = f"content-length: {len(data)}"
        call.send(head(status, "content-type: application/json", length, *headers) + data)

    return answer


def failure(status: int, *headers: str) -> Answer:
    """Answer with an error in OpenAI's shape."""
    return whole(payloads.error(f"scripted failure {status}"), *headers, status=status)


def either(unary: Answer, streamed: Answer) -> Answer:
    """Answer requests for a stream one way and others the other way."""
    return lambda call: (streamed if call.json.get("stream") else unary)(call)


def raw(*pieces: bytes) -> Answer:
    """Send bytes as they are, piece by piece, then close."""

    def answer(call: Call) -> None:
        for piece in pieces:
            call.send(piece)
        call.close()

    return answer


def stream(
    events: Iterable[bytes],
    *,
    gap_s: float = 0.0,
    framing: str = "chunked",
    packets: Callable[[bytes], list[bytes]] | None = None,
    then: Answer | None = None,
) -> Answer:
    """Stream events, a packet each unless ``packets`` cuts the bytes on the wire differently.

    ``framing`` is ``chunked`` or ``close`` (ends with the connection).  ``then`` takes over after the last event,
    before the end of the body is said.
    """
    events = list(events)

    def answer(call: Call) -> None:
        in_chunks = framing == "chunked"
        framed: Iterable[bytes] = (chunked(data) for data in events) if in_chunks else events
        call.send(
            head(200, "content-type: text/event-stream", "transfer-encoding: chunked" if in_chunks else "x-no: length")
        )
        if packets is not None:
            framed = packets(b"".join(framed))
        for data in framed:
            call.send(data)
            call.wait(gap_s)
        if then is not None:
            then(call)
        if not in_chunks:
            call.close()
        call.send(LAST_CHUNK)

    return answer


def by_bytes(count: int) -> Callable[[bytes], list[bytes]]:
    """Cut into packets of that many bytes."""
    return lambda data: [data[at : at + count] for at in range(0, len(data), count)]


def close(call: Call) -> None:
    """Close without another word."""
    call.close()


def reset(call: Call) -> None:
    """Reset the connection."""
    call.reset()


def end_body_and_close(call: Call) -> None:
    """End the body as if all were well, then close: a stream that is cut and says that it is whole."""
    call.send(LAST_CHUNK)
    call.close()


def lost_after_head(call: Call) -> None:
    """Promise a body, and reset the connection instead."""
    call.send(head(200, "content-type: application/json", "content-length: 100"))
    call.reset()


def trickle(call: Call) -> None:
    """Send comments for ever: never silent, never done."""
    while True:
        call.send(chunked(b": still there\n\n"))
        call.wait(0.05)


def last_event(payload: dict[str, Any]) -> Answer:
    """Send one more event, and let the body end."""
    return lambda call: call.send(chunked(payloads.event(payload)))


def broken_framing(call: Call) -> None:
    """Send what cannot be the length of a chunk."""
    call.send(b"not a length\r\n")


def silent(call: Call) -> None:
    """Say nothing until the other side has had enough."""
    call.wait()


def silent_after_head(call: Call) -> None:
    """Send a head that promises a body, and nothing more."""
    call.send(head(200, "content-type: application/json", "content-length: 100"))
    call.wait()


def short_body(call: Call) -> None:
    """Promise 100 bytes more than come."""
    body = json.dumps(payloads.completion()).encode()
    call.send(head(200, "content-type: application/json", f"content-length: {len(body) + 100}") + body)
    call.close()


def until_close(call: Call) -> None:
    """Send a whole answer that ends where the connection ends."""
    call.send(head(200, "content-type: application/json") + json.dumps(payloads.completion()).encode())
    call.close()


def after_continue(call: Call) -> None:
    """Send interim answers before the real one."""
    call.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    whole()(call)


def gzipped(call: Call) -> None:
    """Compress, although nobody asked for it."""
    data = gzip.compress(json.dumps(payloads.completion()).encode())
    whole(data, "content-encoding: gzip")(call)


def large_head(size_bytes: int) -> Answer:
    """Answer with a head of about that many bytes, in lines of 1 KiB."""
    lines = [f"x-padding-{number}: {'p' * 1000}" for number in range(size_bytes // 1024)]
    return whole(None, *lines)


def last_on_its_connection(call: Call) -> None:
    """Answer whole and keep the connection, but close it, unread, as the next request comes."""
    call.connection.ends_when_asked_again = True
    whole()(call)


def once(happened: threading.Event, then: Answer) -> Answer:
    """Go on when something has happened."""

    def answer(call: Call) -> None:
        assert happened.wait(PATIENCE_S)
        then(call)

    return answer


def slow(seconds: float, then: Answer) -> Answer:
    """Take that long before answering."""

    def answer(call: Call) -> None:
        call.wait(seconds)
        then(call)

    return answer


def flood(event_bytes: int = 16 * 1024, events: int = 100_000) -> Answer:
    """Stream as much as the other side takes."""
    data = payloads.event(payloads.chunk({"content": "x" * event_bytes}))
    return stream([data] * events)
