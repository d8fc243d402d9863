"""Many clients at once, who note which answers they received whole: unary and streamed, over kept connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from gateway import payloads
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UNARY_BYTES = chat_bytes(payloads.request("load"))
_STREAM_BYTES = chat_bytes(payloads.request("load", stream=True))

_ID = b"x-breakeven-request-id: "


class Load:
    """Clients that ask again and again until they are told to stop; a connection that breaks is made anew."""

    def __init__(self, port: int, clients: int = 24) -> None:
        self.whole: list[str] = []
        """Ids of the requests whose answers came whole, each as soon as its last byte has come."""

        self.refused = 0
        """Answers other than 200."""

        self._port = port
        self._clients = clients
        self._stopped = False

    def run(self, answers: int, then: Callable[[], None]) -> None:
        """Ask until so many more answers have come; then do what is to be done, in the middle; then stop asking."""
        self._wanted = len(self.whole) + answers
        asyncio.run(self._run(then))

    async def _run(self, then: Callable[[], None]) -> None:
        self._stopped = False
        self._enough = asyncio.Event()
        clients = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        async with asyncio.timeout(30):
            await self._enough.wait()
        then()
        self._stopped = True
        await asyncio.wait(clients, timeout=5)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, number: int) -> None:
        request = _STREAM_BYTES if number % 2 else _UNARY_BYTES
        while not self._stopped:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    while not self._stopped:
                        writer.write(request)
                        await self._receive(reader)
                finally:
                    writer.close()
            await asyncio.sleep(0.005)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head:
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
            whole = b"data: [DONE]" in body
        else:
            length = head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
            whole = True
        if head.startswith(b"HTTP/1.1 200 ") and whole:
            self.whole.append(head.split(_ID, 1)[1].split(b"\r\n", 1)[0].decode())
            if len(self.whole) >= self._wanted:
                self._enough.set()
        else:
            self.refused += 1


def missing_and_double(whole: Sequence[str], kept: Sequence[str]) -> tuple[set[str], set[str]]:
    """Ids of answers that no row tells of, and ids of which several rows say that they were answered."""
    counted: dict[str, int] = {}
    for request_id in kept:
        counted[request_id] = counted.get(request_id, 0) + 1
    return {one for one in whole if one not in counted}, {one for one, count in counted.items() if count > 1}
