"""Makes a connection to a target: name lookup, TCP, CONNECT proxy, TLS, each failure under its own name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from breakeven.forbidden import is_forbidden
from breakeven.upstreams.connection import CONNECT_FAILED, CONNECT_TIMEOUT, PROXY_REFUSED, TLS_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

Connected = TypeVar("Connected", bound=asyncio.Protocol)

RECEIVE_BUFFER_BYTES: Final = 32 * 1024
"""Asked of the kernel (which doubles it): the default of 4 MB would take that much from a target for a
client that does not read.  At 50 ms to the target it still lets 1 MB/s through: 5,000 tokens a second."""

MAX_PROXY_HEAD_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a target is and how it is reached."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_s: float
    proxy_host: str = ""
    proxy_port: int = 0
    proxy_authorization: str = ""


class NotConnectedError(Exception):
    """No connection came to be: ``reason`` for the ledger, ``detail`` for people."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name, by the system's authorities or by a file of them."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(address: Address, make: Callable[[], Connected]) -> Connected:
    """Connect within ``connect_s``.  Raises ``NotConnectedError``."""
    try:
        async with asyncio.timeout(address.connect_s):
            return await _connect(address, make)
    except TimeoutError as error:
        raise NotConnectedError(
            CONNECT_TIMEOUT, f"no connection to {address.host}:{address.port} within {address.connect_s:g} s"
        ) from error


async def _connect(address: Address, make: Callable[[], Connected]) -> Connected:
    """Connect to the first of the host's addresses that answers, or of its proxy's."""
    host, port = (address.proxy_host, address.proxy_port) if address.proxy_host else (address.host, address.port)
    attempt = _through_proxy if address.proxy_host else _directly
    why = "it has no address"
    for family, where in await _resolved(host, port):
        if is_forbidden(where):
            why = f"{where} is no address for a target: machines get their credentials there"
            continue
        try:
            return await attempt(address, make, family, where)
        except ssl.SSLError as error:
            raise NotConnectedError(TLS_FAILED, f"{address.host}:{address.port}: {_tls_reason(error)}") from error
        except OSError as error:  # also where there is no IPv6, or no file left
            why = error.strerror or str(error)
    raise NotConnectedError(CONNECT_FAILED, f"{host}:{port}: {why}")


async def _resolved(host: str, port: int) -> list[tuple[int, str]]:
    """Return the host's addresses, each behind its family."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise NotConnectedError(CONNECT_FAILED, f"{host} cannot be resolved: {why}") from error
    return [(family, str(where[0])) for family, _, _, _, where in found]


async def _directly(address: Address, make: Callable[[], Connected], family: int, where: str) -> Connected:
    """Connect without a proxy: to leave the socket to the event loop takes a third less time than one of our own."""
    server_hostname = address.host if address.tls else None
    transport, connection = await asyncio.get_running_loop().create_connection(
        make, where, address.port, family=family, ssl=address.tls, server_hostname=server_hostname
    )
    _pause_below_tls(transport)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return connection


async def _through_proxy(address: Address, make: Callable[[], Connected], family: int, where: str) -> Connected:
    """Connect by the way of a proxy, at that address of it."""
    loop = asyncio.get_running_loop()
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)  # noqa: FBT003 - its only form
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(opened, (where, address.proxy_port))
        await _tunnel(opened, address)
        server_hostname = address.host if address.tls else None
        transport, connection = await loop.create_connection(
            make, sock=opened, ssl=address.tls, server_hostname=server_hostname
        )
        _pause_below_tls(transport)
    except BaseException:
        opened.close()
        raise
    return connection


def _pause_below_tls(transport: asyncio.Transport) -> None:
    """Have a connection that is paused read nothing from its socket either, where it is encrypted.

    Else TLS reads on, up to 256 KiB, and throws that away when it sees that the target has hung up.
    """
    limit = getattr(transport, "set_read_buffer_limits", None)
    if limit is not None:
        limit(1)


async def _tunnel(opened: socket.socket, address: Address) -> None:
    loop = asyncio.get_running_loop()
    authority = f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if address.proxy_authorization:
        lines.append(f"Proxy-Authorization: {address.proxy_authorization}")
    await loop.sock_sendall(opened, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # One byte at a time at the end: what follows the head belongs to the target.  A tunnel is opened
        # once a connection, so its few hundred small reads do not matter.
        byte = await loop.sock_recv(opened, 1)
        head += byte
        if not byte or len(head) > MAX_PROXY_HEAD_BYTES:
            raise NotConnectedError(
                PROXY_REFUSED, f"the proxy {address.proxy_host}:{address.proxy_port} ended the conversation"
            )
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2"):
        shown = head.split(b"\r\n", 1)[0].decode("latin-1")[:100]
        raise NotConnectedError(
            PROXY_REFUSED, f"the proxy {address.proxy_host}:{address.proxy_port} answered {shown!r}"
        )


def _tls_reason(error: ssl.SSLError) -> str:
    with contextlib.suppress(AttributeError):
        return f"its certificate is not accepted: {error.verify_message}"  # type: ignore[attr-defined]
    return f"TLS failed: {error.reason or error}"
