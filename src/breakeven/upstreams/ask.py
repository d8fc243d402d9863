"""One short question to a server, such as how busy it is: a GET on a connection of its own, answered whole or not.

Asked in HTTP/1.0, so that the answer ends with its connection and comes in one piece.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from breakeven.upstreams.dial import NotConnectedError, dial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.upstreams.dial import Address

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of an answer: a page of metrics has some tens of kilobytes."""

_HEAD_END: Final = b"\r\n\r\n"


def question(path: str, host_header: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the bytes that ask for a path."""
    lines = [f"GET {path} HTTP/1.0", f"host: {host_header}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join([*lines, "accept-encoding: identity", "user-agent: breakeven"]) + "\r\n\r\n").encode("latin-1")


async def ask(address: Address, asked: bytes, *, within_s: float) -> bytes | None:
    """Return the body of an answer with status 200; None where there is none within that time, or a larger one."""
    said = await ask_or_why(address, asked, within_s=within_s)
    return said if isinstance(said, bytes) else None


async def ask_or_why(address: Address, asked: bytes, *, within_s: float) -> bytes | str:
    """Return the body of an answer with status 200, or why there is none, in a few words."""
    answer: _Answer | None = None
    try:
        async with asyncio.timeout(within_s):
            answer = await dial(address, _Answer)
            answer.transport.write(asked)
            return await answer.whole
    except NotConnectedError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {within_s:g} s"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if answer is not None:
            answer.transport.abort()


class _Answer(asyncio.Protocol):
    """Everything that comes until the other end closes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.whole: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Keep what came, up to a bound; a server that keeps the connection has said how long its answer is."""
        self._data += data
        if len(self._data) > MOST_BYTES:
            self._tell(f"an answer of more than {MOST_BYTES >> 20} MiB")
            return
        head, end, body = self._data.partition(_HEAD_END)
        length = _length(head) if end else None
        if length is not None and len(body) >= length:
            self._tell(_body(head, body[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take what has come for the answer."""
        head, end, body = self._data.partition(_HEAD_END)
        is_whole = bool(end) and exc is None and _length(head) is None
        self._tell(_body(head, body) if is_whole else "the connection was closed before the answer was whole")

    def _tell(self, said: bytes | str) -> None:
        if not self.whole.done():
            self.whole.set_result(said)


def _body(head: bytearray, body: bytearray) -> bytes | str:
    status = head.split(b" ", 2)[1:2]
    if status == [b"200"]:
        return bytes(body)
    return f"status {status[0].decode()}" if status and status[0].isdigit() else "what answers there speaks no HTTP"


def _length(head: bytearray) -> int | None:
    for line in bytes(head).split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None
