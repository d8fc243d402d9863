"""Hands a client's connection over to the process that serves files and batches: those are no work for a worker.

The socket itself goes there, through a Unix socket in the ledger's folder that only the gateway's user may open, and
beside it a memory file with what was read so far and whose request it is.  The worker then forgets the connection: an
upload of any size streams to disk without it.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.gateway.replies import RETRY_LATER, Reply, refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

PATHS: Final = (b"/v1/files", b"/v1/batches")
SOCKET_NAME: Final = "batches.sock"
BEHALF: Final = b"be-batch-"
"""With what the bearer token begins that the batches' process brings for requests in the name of a key."""

BESIDE: Final = b"be-aside-"
"""Likewise, that the process of trials brings: for requests beside those of clients."""

_HOP: Final = re.compile(rb"(?im)^(?:upgrade|http2-settings|connection):[^\n]*\n")
_AWAY: Final = refusal(
    503,
    "Files and batches are not served at the moment; send the request again.",
    "batches_away",
    close=True,
    extra=RETRY_LATER,
)


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request as far as it was read, and the key that it brought."""

    key: str
    """Name of the key; empty where none is asked for."""

    team: str
    models: tuple[str, ...]
    """That the key may ask for; empty: all."""

    sensitivities: tuple[str, ...] = ()
    """Kinds of data that key, tags and headers mark it with."""

    read: bytes
    """From the first byte of the head."""


@contextmanager
def short_path(folder: str, name: str = SOCKET_NAME) -> Iterator[str]:
    """Give a path of a socket that is short enough for one, however deep the folder lies.  Raises ``OSError``."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


def hand_over(folder: str, transport: asyncio.Transport, handed: Handed) -> Reply | None:
    """Give a connection to the process beside the ledger in that folder; return a refusal when it is not there."""
    transport.pause_reading()
    try:
        if transport.get_write_buffer_size():
            raise BlockingIOError  # an earlier answer has not left yet, and would be lost
        with short_path(folder) as path:
            _send(path, transport.get_extra_info("socket").fileno(), msgspec.msgpack.encode(handed))
    except OSError:
        transport.resume_reading()
        return _AWAY
    transport.abort()  # closes our end alone: the other process has one of its own now
    return None


def _send(path: str, client: int, message: bytes) -> None:
    handle = os.memfd_create("breakeven-handover")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(message)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as line:
            line.setblocking(False)  # noqa: FBT003 - its only form
            line.connect(path)
            socket.send_fds(line, [b"\0"], [client, handle])
    finally:
        os.close(handle)


def without_hops(read: bytes) -> bytes:
    """Return the bytes of a request without what concerns the connection alone."""
    head, end, rest = read.partition(b"\r\n\r\n")
    return _HOP.sub(b"", head + b"\r\n") + end[2:] + rest
