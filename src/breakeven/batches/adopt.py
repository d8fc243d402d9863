"""Takes the connections that workers hand over, and serves each with one request.

Nobody but the gateway's own user can open the socket on which they come; what comes there was checked by a worker.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from breakeven.batches.records import Caller
from breakeven.batches.shapes import RefusedError
from breakeven.gateway.handover import SOCKET_NAME, Handed, short_path

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BACKLOG: Final = 128
MAX_CONNECTIONS: Final = 256
_NEW_NAME: Final = f".{SOCKET_NAME}.new"
SEND_BUFFER_BYTES: Final = 256 * 1024
"""Asked of the kernel for each client: contents are large, and a worker's connections have small ones."""


class Adoption:
    """Where connections arrive."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        """Serve them with an application; the socket is in the folder."""
        self._app = app
        self._folder = folder
        self._config = uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            proxy_headers=False,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()

    def listen(self) -> None:
        """Open the socket; one that an earlier process left is replaced."""
        made = self._folder / _NEW_NAME
        made.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.fchmod(self._listening.fileno(), 0o600)  # before it has a name
        with short_path(str(self._folder), _NEW_NAME) as path:
            self._listening.bind(path)
        self._listening.listen(BACKLOG)
        self._listening.setblocking(False)  # noqa: FBT003 - its only form
        self._inode = made.stat().st_ino
        made.rename(self._folder / SOCKET_NAME)  # there once somebody listens, and not before
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    async def close(self) -> None:
        """Take no more, and let the answers under way go."""
        asyncio.get_running_loop().remove_reader(self._listening)
        with suppress(FileNotFoundError):
            if (self._folder / SOCKET_NAME).stat().st_ino == self._inode:  # else it is another process's by now
                (self._folder / SOCKET_NAME).unlink()
        self._listening.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=1.0)

    def _accept(self) -> None:
        try:
            line, _ = self._listening.accept()
        except OSError:
            return  # whoever asked has gone
        line.setblocking(False)  # noqa: FBT003 - its only form
        loop = asyncio.get_running_loop()
        loop.add_reader(line, self._take, line)

    def _take(self, line: socket.socket) -> None:
        """Take what a worker sends over its line: a client's socket, and a memory file."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(line)
        handles: list[int] = []
        try:
            with line:
                _, handles, _, _ = socket.recv_fds(line, 1, 2)
            client, memory = handles
            with open(memory, "rb") as file:  # noqa: PTH123 - a handle has no path
                file.seek(0)
                handed = msgspec.msgpack.decode(file.read(), type=Handed)
        except (OSError, ValueError):
            for handle in handles:
                _close(handle)
            return
        opened = socket.socket(fileno=client)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        task = loop.create_task(self._serve(opened, handed))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _serve(self, opened: socket.socket, handed: Handed) -> None:
        caller = Caller(key=handed.key, team=handed.team, models=handed.models, sensitivities=handed.sensitivities)
        loop = asyncio.get_running_loop()
        too_many = len(self._state.connections) >= MAX_CONNECTIONS

        def protocol() -> _Connection:
            app = _busy if too_many else _OneRequest(self._app, caller)
            return _Connection(self._config, self._state, loop, app, handed.read)

        try:
            await loop.connect_accepted_socket(protocol, opened)
        except OSError:
            opened.close()


class _Connection(HttpToolsProtocol):
    """A connection of which a part was read elsewhere."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, loop: asyncio.AbstractEventLoop, app: Any, read: bytes
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={}, _loop=loop)
        self.app = app
        self._read = read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.data_received(self._read)  # at once: what comes now comes behind it


class _OneRequest:
    """The application for one client's request: it knows whose it is, and closes the connection behind it."""

    def __init__(self, app: ASGIApp, caller: Caller) -> None:
        self._app = app
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = self._caller

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)


async def _busy(scope: Any, receive: Any, send: Any) -> None:
    refused = RefusedError(503, "too_many_connections", "Too many files are on their way; send the request again.")
    shown = refused.answer
    shown.headers["retry-after"] = "2"
    shown.headers["connection"] = "close"
    await shown(scope, receive, send)


def _close(handle: int) -> None:
    try:
        os.close(handle)
    except OSError:
        return
