"""One message to a receiver that is no target: a POST on a connection of its own, answered or not.

For processes that may wait; it does not belong on the path of a request.  Redirections are not followed and proxies of
the environment not asked, since what is sent may carry credentials: it goes to the configured address alone.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.forbidden import is_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S: Final = 10.0
"""For a connection, and for each pause of an answer."""

MOST_BYTES: Final = 64 * 1024
_SHOWN_CHARACTERS: Final = 120
_OK: Final = range(200, 300)


class Place(NamedTuple):
    """Where a receiver is."""

    host: str
    port: int
    tls: bool
    path: str
    """With its query, if it has one; begins with a slash."""

    ca_file: str = ""
    """PEM file of the authorities that vouch for it; empty: those of the system."""


def post(place: Place, body: bytes, headers: Iterable[tuple[str, str]], *, timeout_s: float = TIMEOUT_S) -> str:
    """Send a message; return why it was not taken, or nothing where it was.  Never raises for what is out there."""
    connection = _Connection(place, timeout_s)
    said = {"content-type": "application/json", "user-agent": "breakeven", **dict(headers)}
    with closing(connection):
        try:
            connection.request("POST", place.path, body, said)
            response = connection.getresponse()
            answer = response.read(MOST_BYTES)
        except (OSError, HTTPException) as error:
            return reason_of(error, timeout_s)
    if response.status in _OK:
        return ""
    text = "".join(c for c in answer.decode("utf-8", "replace") if c.isprintable())[:_SHOWN_CHARACTERS].strip()
    return f"it answers {response.status}{f' ({text})' if text else ''}"


def open_socket(host: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers.  Raises ``OSError``.

    An address at which clouds tell machines their credentials is none: a name may come to mean one.
    """
    trouble = OSError(f"{host} has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if is_forbidden(str(where[0])):
            trouble = OSError(f"{where[0]} is no address for a receiver: machines get their credentials there")
            continue
        opened = socket.socket(family, kind, protocol)
        opened.settimeout(timeout_s)
        try:
            opened.connect(where)
        except OSError as error:
            opened.close()
            trouble = error
        else:
            return opened
    raise trouble


def reason_of(error: Exception, timeout_s: float) -> str:
    """Return in words why something out there could not be reached."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


class _Connection(HTTPConnection):
    """A connection to the configured address, which is checked when it is made."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        super().__init__(place.host, place.port, timeout=timeout_s)
        if place.tls:
            self.default_port = 443  # so that the Host header leaves it out
        self._ca_file = place.ca_file if place.tls else None
        self._timeout_s = timeout_s

    def connect(self) -> None:
        opened = open_socket(self.host, self.port, self._timeout_s)
        try:
            if self._ca_file is not None:
                context = ssl.create_default_context(cafile=self._ca_file or None)
                opened = context.wrap_socket(opened, server_hostname=self.host)
            self.sock = opened
        except BaseException:
            opened.close()
            raise
