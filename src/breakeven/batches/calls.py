"""Sends lines of batches to the gateway: HTTP/1.1 over loopback, a connection for each line that is out at a time.

The gateway takes them as it takes any request, for the key in whose name the line is: limits, budgets and the ledger
count them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import httptools

from breakeven.gateway.handover import BEHALF
from breakeven.routing.queueing import MOST_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT_S: Final = 5.0
ANSWER_S: Final = 1800.0
"""Longest time for an answer: the gateway's own limits are shorter, unless its settings say otherwise."""

IDLE: Final = (("x-breakeven-priority", str(-MOST_PRIORITY)), ("x-breakeven-batch", "idle"))
"""Says to the gateway that everybody else goes first, and that the line waits for idle capacity."""


class Answer(NamedTuple):
    """What the gateway answered."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""

    body: bytes


class Calls:
    """Connections to one gateway."""

    def __init__(self, host: str, port: int, secret: str) -> None:
        self._address = host, port
        self._bearer = (BEHALF + secret.encode() + b":").decode()
        self._idle: list[_Connection] = []

    async def ask(self, path: str, key: str, labels: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send one request in the name of a key, and return its answer.  Raises ``OSError``, ``TimeoutError`` too."""
        lines = [
            f"POST {path} HTTP/1.1",
            f"host: {self._address[0]}:{self._address[1]}",
            f"authorization: Bearer {self._bearer}{key}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in labels),
        ]
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        kept = self._idle.pop() if self._idle else None
        connection = kept or await self._connect()
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
        loop = asyncio.get_running_loop()
        made = loop.create_connection(_Connection, *self._address)
        return (await asyncio.wait_for(made, CONNECT_S))[1]

    def close(self) -> None:
        """Let go of connections that carry nothing."""
        while self._idle:
            self._idle.pop().abort()


class _Connection(asyncio.Protocol):
    """One connection, with the callbacks of ``httptools.HttpResponseParser``."""

    def __init__(self) -> None:
        self.keeps = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and wait for its answer."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed meanwhile")
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
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
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.keeps = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error if isinstance(error, OSError) else ConnectionError(str(error)))
