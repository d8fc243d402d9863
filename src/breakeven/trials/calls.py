"""Requests of the process of trials to its own gateway: HTTP/1.1 over loopback, each in the name of a key.

The gateway takes them to the one target, or to the judge, that they name, and keeps a row of each.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import httptools

from breakeven.gateway.handover import BESIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.clock import Clock

CONNECT_S: Final = 5.0
ANSWER_S: Final = 900.0
"""Longest time for an answer: the gateway's own limits are shorter, unless its settings say otherwise."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of an answer."""


class Answer(NamedTuple):
    """What the gateway answered."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""

    body: bytes
    first_byte_us: int
    """From when the request was written; likewise the next."""

    ended_us: int


class Calls:
    """Connections to one gateway."""

    def __init__(self, host: str, port: int, secret: str, clock: Clock) -> None:
        """Take the gateway's address, and the secret with which it believes that these requests are its own."""
        self._address = host, port
        self._bearer = (BESIDE + secret.encode() + b":").decode()
        self._clock = clock
        self._idle: list[_Connection] = []

    async def ask(self, path: str, key: str, headers: Sequence[tuple[str, str]], passed: bytes, body: bytes) -> Answer:
        """Send one request in the name of a key, and return its answer.

        ``passed``: further lines of the head, as they came.  Raises ``OSError``, ``TimeoutError`` too.
        """
        lines = [
            f"POST {path} HTTP/1.1",
            f"host: {self._address[0]}:{self._address[1]}",
            f"authorization: Bearer {self._bearer}{key}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        head = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n" + passed + b"\r\n"
        while self._idle and not self._idle[-1].keeps:
            self._idle.pop()  # the gateway has closed it meanwhile
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await asyncio.wait_for(connection.ask(head + body), ANSWER_S)
        except BaseException:
            connection.abort()
            raise
        if connection.keeps:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _connect(self) -> _Connection:
        made = asyncio.get_running_loop().create_connection(lambda: _Connection(self._clock), *self._address)
        return (await asyncio.wait_for(made, CONNECT_S))[1]

    def close(self) -> None:
        """Let go of connections that carry nothing."""
        while self._idle:
            self._idle.pop().abort()


class _Connection(asyncio.Protocol):
    """One connection, with the callbacks of ``httptools.HttpResponseParser``."""

    def __init__(self, clock: Clock) -> None:
        self.keeps = False
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and wait for its answer."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed meanwhile")
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._answer = asyncio.get_running_loop().create_future()
        self._first_s = 0.0
        self._sent_s = self._clock.monotonic()
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.keeps = False
        self._fail(exc or ConnectionResetError("the gateway closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"this is no HTTP: {error}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._first_s = self._first_s or self._clock.monotonic()
        self._body += body
        if len(self._body) > MOST_BYTES:
            self._fail(ConnectionError(f"the answer has more than {MOST_BYTES:,} bytes"))

    def on_message_complete(self) -> None:
        self.keeps = self._parser.should_keep_alive()
        if self._answer is None or self._answer.done():
            return
        now_s = self._clock.monotonic()
        first_us, ended_us = (int((at_s - self._sent_s) * 1e6) for at_s in (self._first_s or now_s, now_s))
        status = self._parser.get_status_code()
        self._answer.set_result(Answer(status, self._headers, bytes(self._body), first_us, ended_us))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error if isinstance(error, OSError) else ConnectionError(str(error)))
