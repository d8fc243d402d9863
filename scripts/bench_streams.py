"""Both ends of the streaming benchmark: an upstream that streams at a steady pace, and many clients that read.

    bench_streams.py serve PORT              an upstream whose answers have EVENTS events, GAP_S apart
    bench_streams.py load PORT STREAMS ...   STREAMS clients, REQUESTS streams each, one after the other

The load prints one line of JSON.  Both run on uvloop, in processes of their own, so that neither delays the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any, Final, cast

import httptools
import uvloop

EVENTS: Final = 100
GAP_S: Final = 0.02
REQUESTS: Final = 2
MODEL: Final = "tiny-stream"
PATIENCE_S: Final = 120.0

_SHARED: Final = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_730_000_000, "model": MODEL}


def _chunk(fields: dict[str, Any]) -> bytes:
    event = b"data: %b\n\n" % json.dumps(_SHARED | fields).encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN: Final = _chunk({"choices": [{"index": 0, "delta": {"content": " token"}, "finish_reason": None}]})
_USAGE: Final = {"prompt_tokens": 57, "completion_tokens": EVENTS, "total_tokens": 57 + EVENTS}
LAST: Final = (
    _chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    + _chunk({"choices": [], "usage": _USAGE})
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)
_MODELS: Final = b'{"object":"list","data":[{"id":"%b","object":"model","owned_by":"vllm","max_model_len":4096}]}' % (
    MODEL.encode()
)


class Upstream(asyncio.Protocol):
    """Answers a chat request with a stream, and everything else with the list of models."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._sent_events = 0

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Note what is asked for."""
        self._url = url

    def on_message_complete(self) -> None:
        """Answer."""
        if not self._url.startswith(b"/v1/chat"):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_MODELS)
            self._transport.write(head + _MODELS)
            return
        self._transport.write(_HEAD)
        self._sent_events = 0
        self._loop.call_later(GAP_S, self._send_next)

    def _send_next(self) -> None:
        if self._transport.is_closing():
            return
        if self._sent_events == EVENTS:
            self._transport.write(LAST)
            return
        self._sent_events += 1
        self._transport.write(TOKEN)
        self._loop.call_later(GAP_S, self._send_next)


class Tally:
    """What all clients of a load have seen."""

    def __init__(self) -> None:
        self.finished = 0
        self.refused = 0
        self.events = 0
        self.first_byte_s: list[float] = []
        self.longest_gap_s: list[float] = []

    def told(self, wanted: int) -> dict[str, float]:
        """Return the figures that are reported."""
        return {
            "wanted": wanted,
            "finished": self.finished,
            "refused": self.refused,
            "events": self.events,
            "first_byte_p99_ms": 1e3 * quantile(self.first_byte_s, 0.99),
            "longest_gap_p99_ms": 1e3 * quantile(self.longest_gap_s, 0.99),
        }


class Client(asyncio.Protocol):
    """Reads one stream after the other over one connection."""

    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self._left = REQUESTS
        self._first = True
        self._tail = b""
        self._at_s = self._longest_gap_s = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Note when bytes came, and whether they are the last of this stream."""
        now = time.perf_counter()
        if self._first:
            self._first = False
            self._tally.first_byte_s.append(now - self._at_s)
            self._tally.refused += not data.startswith(b"HTTP/1.1 200 ")
        else:
            self._longest_gap_s = max(self._longest_gap_s, now - self._at_s)
        self._at_s = now
        self._tail = (self._tail + data)[-32:]
        if self._tail.endswith(b"0\r\n\r\n") and b"[DONE]" in self._tail:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """End early."""
        del exc
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._first, self._tail, self._longest_gap_s = True, b"", 0.0
        self._at_s = time.perf_counter()
        self._transport.write(self._request)

    def _end(self) -> None:
        self._tally.finished += 1
        self._tally.events += EVENTS
        self._tally.longest_gap_s.append(self._longest_gap_s)
        self._left -= 1
        if self._left:
            self._send()
        else:
            self._transport.close()


def quantile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies; nan of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def request_bytes(headers: list[str]) -> bytes:
    """Return a streamed chat request."""
    messages = [{"role": "user", "content": "hello " * 50}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps({"model": MODEL, "messages": messages, **options}).encode()
    lines = ["Host: 127.0.0.1", "Content-Type: application/json", *headers, f"Content-Length: {len(body)}", "", ""]
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + "\r\n".join(lines).encode() + body


async def serve(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def load(port: int, streams: int, headers: list[str]) -> dict[str, float]:
    """Open all connections, read everything, and return the figures."""
    loop = asyncio.get_running_loop()
    tally, request = Tally(), request_bytes(headers)
    clients = []
    for _ in range(streams):
        _, client = await loop.create_connection(lambda: Client(tally, request), "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait([client.done for client in clients], timeout=PATIENCE_S)
    return tally.told(wanted=streams * REQUESTS)


def main() -> None:
    """Run one end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["serve", "load"])
    parser.add_argument("port", type=int)
    parser.add_argument("streams", type=int, nargs="?", default=1)
    parser.add_argument("--header", action="append", default=[])
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if args.role == "serve":
            runner.run(serve(args.port))
        else:
            json.dump(runner.run(load(args.port, args.streams, args.header)), sys.stdout)


if __name__ == "__main__":
    main()
