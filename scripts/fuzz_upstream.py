"""What stands behind a gateway that is fuzzed: an upstream that takes nothing but what the gateway should send.

It answers everything, and says on its standard output, a JSON object a line, what it should not have got.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, cast

import httptools
from fuzz_cases import PATHS

RENAMED: Final = "its-own-name"
"""The only model that the target ``renamed`` may be asked for."""

_PLACES: Final = {b"plain": ("plain",), b"renamed": (RENAMED,)}
_SUFFIXES: Final = frozenset(path.removeprefix(b"/v1") for path in PATHS)
_SENT_HEADERS: Final = frozenset(
    {b"host", b"content-type", b"accept", b"accept-encoding", b"user-agent", b"content-length", b"anthropic-version",
     b"anthropic-beta", b"openai-beta"}
)  # fmt: skip
_USAGE: Final = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_WHOLE: Final = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()
_EVENTS: Final = (
    b"data: %b\n\ndata: [DONE]\n\n"
    % json.dumps(
        {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ).encode()
)


class Upstream(asyncio.Protocol):
    """What stands behind the gateway; it says what is wrong with a request on its standard output."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Read; what is no HTTP is a bug of whoever sent it."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._report(f"this is no HTTP: {error}", data)
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Begin with nothing."""
        self._url = b""
        self._names: list[bytes] = []
        self._pieces: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Collect."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect."""
        del value
        self._names.append(name.lower())

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Look at the whole request, and answer it."""
        body = b"".join(self._pieces)
        streamed = False
        try:
            streamed = self._check(body)
        except AssertionError as error:
            self._report(str(error), body)
        except RecursionError:
            pass  # nested more deeply than this reader reads
        except ValueError as error:
            self._report(f"this is no JSON: {error}", body)
        kind, data = (b"text/event-stream", _EVENTS) if streamed else (b"application/json", _WHOLE)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (kind, len(data)) + data)

    def _check(self, body: bytes) -> bool:
        """Return whether the request asks for a stream; ``AssertionError`` says what is wrong with it."""
        _, place, suffix = self._url.split(b"/", 2)
        assert self._parser.get_method() == b"POST", f"method {self._parser.get_method()!r}"
        assert b"/" + suffix in _SUFFIXES, f"path {self._url!r}"
        odd = set(self._names) - _SENT_HEADERS
        assert not odd, f"headers {odd}"
        assert len(self._names) == len(set(self._names)), f"headers twice: {self._names}"
        members: list[tuple[str, Any]] = []

        def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            members[:] = pairs  # the outermost object ends last
            return dict(pairs)

        text = body.decode("utf-8", "replace")
        asked = json.JSONDecoder(object_pairs_hook=keep, strict=False, parse_int=str).decode(text)
        assert isinstance(asked, dict), "a body that is no object"
        named = [value for name, value in members if name == "model"]
        assert len(named) == 1 or place == b"plain", f"{len(named)} models"
        assert all(name in _PLACES[place] for name in named[-1:]), f"model {named}"
        streamed = asked.get("stream") is True
        if streamed and suffix == b"chat/completions":
            assert (asked.get("stream_options") or {}).get("include_usage") is True, "a stream without usage"
        return streamed

    def _report(self, what: str, data: bytes) -> None:
        print(json.dumps({"upstream": what, "url": repr(self._url), "bytes": data.hex()}), flush=True)


async def serve(port: int) -> None:
    """Be that upstream until the process ends."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()
