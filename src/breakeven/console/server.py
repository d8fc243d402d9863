"""The server around the application: bounded in connections, heads and waiting, and stopped from outside."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import h11
import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from breakeven.console.app import HEADERS
from breakeven.console.call import JSON, RefusedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

MAX_CONNECTIONS: Final = 128
MAX_HEAD_BYTES: Final = 16 * 1024
HEAD_S: Final = 10.0
"""How long a connection may be open without a whole head of a request."""

STOP_S: Final = 5
"""How long answers under way may take once it is to stop."""

CHECK_S: Final = 0.5
"""How often it is asked whether to go on."""


class _Connection(H11Protocol):
    """One connection for one request; closed when none comes, and at once when there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self.loop.call_later(HEAD_S, self._expect_head)

    def _expect_head(self) -> None:
        if self.cycle is None:  # which uvicorn's annotation does not say
            self.transport.abort()  # type: ignore[unreachable]

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as every error is answered."""
        body = msgspec.json.encode(RefusedError(400, "no_http", msg).answer.content)
        headers = {**HEADERS, "Content-Type": JSON, "Content-Length": str(len(body))}
        head = h11.Response(status_code=400, headers=[(name.encode(), text.encode()) for name, text in headers.items()])
        try:
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # an answer is under way; it is the last one
        self.transport.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to who asks whether to go on."""
        yield


async def serve(app: Starlette, listening: socket.socket, goes_on: Callable[[], bool]) -> None:
    """Serve on a listening socket as long as ``goes_on()``; then let answers under way end."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while goes_on() and not serving.done():
        await asyncio.wait([serving], timeout=CHECK_S)
    server.should_exit = True
    await serving
