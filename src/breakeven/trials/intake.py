"""Where copies arrive: a Unix socket in the ledger's folder, and a queue with a bound on what waits in memory."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from breakeven.gateway.copies import LENGTH_BYTES, MAX_BODY_BYTES, SOCKET_NAME, Copy
from breakeven.gateway.handover import short_path

MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
"""Of bodies and answers that wait."""

MAX_COPY_BYTES: Final = 4 * MAX_BODY_BYTES
_NEW_NAME: Final = f".{SOCKET_NAME}.new"
_CREATION_MODE: Final = 0o600
_log = logging.getLogger("breakeven.trials")
_decode: Final = msgspec.msgpack.Decoder(Copy).decode


class Intake:
    """Copies in the order in which they came; what is too much is dropped, and counted."""

    def __init__(self, folder: str) -> None:
        """Take the ledger's folder."""
        self._folder = folder
        self._copies: deque[tuple[Copy, int]] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Transport] = set()
        self._is_closed = False
        self.received_count = 0
        self.dropped_count = 0
        """Here and at the workers."""

    def __len__(self) -> int:
        return len(self._copies)

    async def listen(self) -> None:
        """Begin to take copies.  Raises ``OSError``."""
        listening = self._bound()
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Line(self), sock=listening)
        except BaseException:
            listening.close()
            raise

    def _bound(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(self._folder, _NEW_NAME) as path:
                Path(path).unlink(missing_ok=True)
                listening.bind(path)
                Path(path).chmod(_CREATION_MODE)
                listening.listen()
                self._inode = Path(path).stat().st_ino
                Path(path).rename(Path(self._folder, SOCKET_NAME))  # there once somebody listens, and not before
        except BaseException:
            listening.close()
            raise
        return listening

    def close(self) -> None:
        """Take no more."""
        self._is_closed = True
        if self._server is not None:
            path = Path(self._folder, SOCKET_NAME)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == self._inode:  # else it is another process's by now
                    path.unlink()
            self._server.close()
        for line in list(self._lines):
            line.abort()

    def joined(self, line: asyncio.Transport) -> None:
        """Hold the line of a worker; one that came just before the end is closed like the others."""
        if self._is_closed:
            line.abort()
        else:
            self._lines.add(line)

    def left(self, line: asyncio.Transport) -> None:
        """Forget a line."""
        self._lines.discard(line)

    def take(self, copy: Copy) -> None:
        """Put a copy behind the others, if there is room."""
        size_bytes = len(copy.body) + len(copy.answer)
        self.received_count += 1
        self.dropped_count += copy.dropped_count
        if self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            self.dropped_count += 1
            return
        self._copies.append((copy, size_bytes))
        self._queued_bytes += size_bytes
        self._arrived.set()

    async def next(self) -> Copy:
        """Return the copy that has waited longest, once there is one."""
        while not self._copies:
            self._arrived.clear()
            await self._arrived.wait()
        copy, size_bytes = self._copies.popleft()
        self._queued_bytes -= size_bytes
        return copy


class _Line(asyncio.Protocol):
    """The line of one worker."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._intake.joined(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._intake.left(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= LENGTH_BYTES:
            size_bytes = int.from_bytes(self._data[:LENGTH_BYTES], "big")
            end = LENGTH_BYTES + size_bytes
            if size_bytes > MAX_COPY_BYTES:
                self._give_up(f"a copy of {size_bytes:,} bytes")
                return
            if len(self._data) < end:
                return
            try:
                copy = _decode(self._data[LENGTH_BYTES:end])
            except msgspec.DecodeError as error:
                self._give_up(str(error))
                return
            del self._data[:end]
            self._intake.take(copy)

    def _give_up(self, why: str) -> None:
        _log.error("a worker sent what is no copy, and its line is closed: %s", why)
        self._transport.abort()


def is_listened_on(folder: Path) -> bool:
    """Whether a process takes copies in that folder of a ledger."""
    try:
        with short_path(str(folder), SOCKET_NAME) as path, closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(1.0)
            line.connect(path)
    except OSError:
        return False
    return True
