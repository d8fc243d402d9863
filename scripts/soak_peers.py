"""Both sides of the soak: an upstream that behaves in every way that upstreams do, and clients that do the same.

    soak_peers.py serve PORT             the upstream; the first part of the path says how it behaves
    soak_peers.py load PORT SECONDS ...  the clients; writes one line for each answer that came, and a summary

Equal seeds ask for the same things in the same order on each connection; what overtakes what is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import numpy as np
import uvloop
from gateway_process import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from typing import TextIO

BEHAVIOURS: Final = ("good", "fails", "busy", "lost", "silent", "malformed", "cut")
"""Of the upstream, by place; ``nobody`` besides, where nobody listens."""

SETTINGS_TIMEOUTS: Final = {"connect_s": 2, "first_token_s": 0.4, "between_tokens_s": 2, "total_s": 30}
EVENTS: Final = 24
GAP_S: Final = 0.004
MOST_BYTES: Final = 8 * 2**20
PATIENCE_S: Final = 40.0

_USAGE: Final = {"prompt_tokens": 57, "completion_tokens": EVENTS, "total_tokens": 57 + EVENTS}
_SHARED: Final = {"id": "chatcmpl-1", "created": 1_730_000_000, "model": "soak"}
_JSON_HEAD: Final = b"HTTP/1.1 %d Soak\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ERROR: Final = b'{"error":{"message":"as told","type":"server_error","param":null,"code":null}}'


def _event(fields: dict[str, Any]) -> bytes:
    data = b"data: %b\n\n" % json.dumps(_SHARED | {"object": "chat.completion.chunk"} | fields).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


_TOKEN: Final = _event({"choices": [{"index": 0, "delta": {"content": " token"}, "finish_reason": None}]})
_LAST: Final = (
    _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    + _event({"choices": [], "usage": _USAGE})
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


def _completion(size_bytes: int) -> bytes:
    message = {"role": "assistant", "content": "x" * size_bytes}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps(_SHARED | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


class Upstream(asyncio.Protocol):
    """One connection to the upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._sent_events = 0

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Note the place."""
        self._url = url

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer as the place does."""
        body = b"".join(self._body)
        self._body.clear()
        place = self._url.split(b"/")[1].decode()
        asked = json.loads(body)
        write = self._transport.write
        if place == "good" and not asked.get("stream"):
            answer = _completion(asked.get("answer_bytes", 200))
            write(_JSON_HEAD % (200, len(answer)) + answer)
        elif place == "good" or (place == "cut" and asked.get("stream")):
            write(_STREAM_HEAD)
            self._sent_events = 0
            self._send_next(EVENTS if place == "good" else EVENTS // 2)
        elif place == "cut":
            write(_JSON_HEAD % (200, 5000) + b'{"id":')
            self._transport.close()
        elif place in ("fails", "busy"):
            write(_JSON_HEAD % (500 if place == "fails" else 429, len(_ERROR)) + _ERROR)
        elif place == "lost":
            self._transport.abort()
        elif place == "malformed":
            write(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}")

    def _send_next(self, events: int) -> None:
        if self._transport.is_closing():
            return
        if self._sent_events < events:
            self._sent_events += 1
            self._transport.write(_TOKEN)
            asyncio.get_running_loop().call_later(GAP_S, self._send_next, events)
        elif events < EVENTS:
            self._transport.close()
        else:
            self._transport.write(_LAST)


class UnexpectedError(Exception):
    """The gateway did what it should not; ``str()`` says what."""


class Client:
    """One client that asks for one thing after the other, of every kind."""

    def __init__(
        self, port: int, rng: np.random.Generator, told: TextIO, counts: Counter[str], only: Collection[str] = ()
    ) -> None:
        """``told`` gets a line for each head of an answer: the request's id, and how many attempts it took."""
        self._port = port
        self._rng = rng
        self._told = told
        self._counts = counts
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._unary: 30, self._stream: 24, self._fallback: 14, self._failing: 6, self._cut: 6, self._refused: 6,
            self._large_request: 2, self._large_answer: 2, self._leave_early: 3, self._leave_in_stream: 3,
            self._leave_in_request: 3, self._read_slowly: 1,
        }  # fmt: skip
        self._kinds = [kind for kind in kinds if not only or kind.__name__.strip("_") in only]
        shares = np.cumsum([kinds[kind] for kind in self._kinds])
        self._shares = shares / shares[-1]

    async def run(self, until_s: float) -> None:
        """Ask until a moment of the stopwatch; what goes wrong is counted, with an example of each."""
        while time.monotonic() < until_s:
            kind = self._kinds[int(np.searchsorted(self._shares, self._rng.random(), side="right"))]
            name = kind.__name__.strip("_")
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await kind()
                self._counts[name] += 1
            except (UnexpectedError, OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._counts["unexpected"] += 1
                print(f"{name}: {type(error).__name__} {error}", file=sys.stderr, flush=True)
                self._leave()
        self._leave()

    async def _unary(self) -> None:
        await self._expect(200, self._chat("good"))

    async def _stream(self) -> None:
        body = await self._expect(200, self._chat("good", stream=True))
        if not body.endswith(b"data: [DONE]\n\n") or body.count(b" token") != EVENTS:
            raise UnexpectedError(f"a stream of {len(body)} bytes that ends in {body[-100:]!r}")

    async def _fallback(self) -> None:
        model = ("fails", "lost", "silent", "malformed", "nobody")[int(self._rng.integers(5))]
        await self._expect(200, self._chat(f"{model}-then-good", stream=bool(self._rng.integers(2))))

    async def _failing(self) -> None:
        await self._expect((429, 500), self._chat("fails-then-busy", stream=bool(self._rng.integers(2))))

    async def _cut(self) -> None:
        if self._rng.integers(2):
            await self._expect(502, self._chat("cut"))
            return
        body = await self._expect(200, self._chat("cut", stream=True))
        self._leave()
        if b"[DONE]" in body or b"connection_lost" not in body:
            raise UnexpectedError(f"a cut stream that ends in {body[-300:]!r}")

    async def _refused(self) -> None:
        choice = int(self._rng.integers(4))
        request = self._chat("no-such-model") if choice == 0 else self._request(b'{"model": 7}')
        if choice == 2:
            request = request.replace(KEY.encode(), b"sk-of-nobody")
        elif choice == 3:
            request = request.replace(b"/v1/chat", b"/v7/chat")
        await self._expect((404, 400, 401, 404)[choice], request, ledger=False)

    async def _large_request(self) -> None:
        await self._expect(200, self._chat("good", filling="x" * self._size()))

    async def _large_answer(self) -> None:
        await self._expect(200, self._chat("good", answer_bytes=self._size()))

    async def _leave_early(self) -> None:
        """Leave when the request is sent and nothing has come."""
        _, writer = await self._connected()
        writer.write(self._chat(("silent-then-good", "good")[int(self._rng.integers(2))]))
        await asyncio.sleep(float(self._rng.random()) * 0.02)
        self._counts["left without a head"] += 1
        self._leave(rudely=bool(self._rng.integers(2)))

    async def _leave_in_stream(self) -> None:
        reader, writer = await self._connected()
        writer.write(self._chat("good", stream=True))
        await self._head(reader)
        for _ in range(int(self._rng.integers(1, EVENTS))):
            await reader.readuntil(b" token")
        self._leave(rudely=bool(self._rng.integers(2)))

    async def _leave_in_request(self) -> None:
        _, writer = await self._connected()
        request = self._chat("good", filling="x" * int(self._rng.integers(100_000)))
        writer.write(request[: int(self._rng.integers(1, len(request)))])
        await asyncio.sleep(float(self._rng.random()) * 0.02)
        self._leave(rudely=bool(self._rng.integers(2)))

    async def _read_slowly(self) -> None:
        reader, writer = await self._connected()
        writer.write(self._chat("good", answer_bytes=400_000))
        status, _, _ = await self._head(reader)
        received = b""
        while status == 200 and not received.endswith(b"\r\n0\r\n\r\n"):
            await asyncio.sleep(0.01)
            data = await reader.read(16_384)
            received += data
            if not data:
                status = 0
        if status != 200:
            raise UnexpectedError(f"{status} for a slow reader, who got {len(received)} bytes")

    async def _expect(self, wanted: int | tuple[int, ...], request: bytes, *, ledger: bool = True) -> bytes:
        """Send a request, receive the whole answer and return its body."""
        reader, writer = await self._connected()
        writer.write(request)
        await writer.drain()
        status, head, length = await self._head(reader)
        body = await (self._chunks(reader) if length < 0 else reader.readexactly(length))
        expected = wanted if isinstance(wanted, tuple) else (wanted,)
        if status not in expected or (b"x-breakeven-request-id" in head) != ledger:
            raise UnexpectedError(f"{status}, not {expected}: {head!r} {body[:300]!r}")
        if b"connection: close" in head:
            self._leave()
        return body

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, bytes, int]:
        """Receive a head: status, the head itself, length of the body; -1 where it is chunked."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        request_id = fields.get(b"x-breakeven-request-id")
        if request_id is not None:
            print(request_id.decode(), fields.get(b"x-breakeven-attempts", b"1").decode(), file=self._told)
        length = -1 if b"transfer-encoding" in fields else int(fields[b"content-length"])
        return int(head.split(b" ", 2)[1]), head, length

    @staticmethod
    async def _chunks(reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body

    def _size(self) -> int:
        """Return a size between 1 KiB and 8 MiB, each power of two as likely as the others."""
        return min(int(1024 * 2 ** (self._rng.random() * 13)), MOST_BYTES - 1024)

    @staticmethod
    def _request(body: bytes) -> bytes:
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: soak\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (KEY.encode(), len(body), body)
        )

    def _chat(self, model: str, *, filling: str = "Due when?", **fields: Any) -> bytes:
        messages = [{"role": "user", "content": filling}]
        return self._request(json.dumps({"model": model, "messages": messages, **fields}).encode())

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self._reader, self._writer

    def _leave(self, *, rudely: bool = False) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        if rudely:
            opened: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


async def serve(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def load(given: argparse.Namespace) -> Counter[str]:
    """Let clients ask for that long, and return how often what happened."""
    counts: Counter[str] = Counter()
    until_s = time.monotonic() + given.seconds
    only = frozenset(filter(None, given.only.split(",")))
    with given.told.open("w") as told:
        seeds = np.random.SeedSequence(given.seed).spawn(given.clients)
        clients = [Client(given.port, np.random.default_rng(seed), told, counts, only) for seed in seeds]
        await asyncio.gather(*(client.run(until_s) for client in clients))
    return counts


def main() -> None:
    """Be one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("serve", "load"))
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float, nargs="?", default=0)
    parser.add_argument("--clients", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--told", type=Path, default=Path(os.devnull), help="where the answers' ids are written")
    parser.add_argument("--only", default="", help="kinds of requests, separated by commas; default: all")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if given.what == "serve":
            runner.run(serve(given.port))
        else:
            print(json.dumps(runner.run(load(given))))


if __name__ == "__main__":
    main()
