"""Sends spans or events to a receiver by OTLP over HTTP, one request at a time, and says what became of them.

What an answer means is https://opentelemetry.io/docs/specs/otlp/#otlphttp-response.  Redirections are not followed,
proxies of the environment not asked: what is sent has credentials, and goes to the configured address alone.
"""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from breakeven.forbidden import is_forbidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.telemetry.plan import TelemetryPlan

TIMEOUT_S: Final = 10.0
"""For a connection, and for each pause of an answer."""

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_RETRY_AFTER_S: Final = 300.0
_OK: Final = 200
_UNUSABLE: Final = frozenset({400, 413, 415, 422})
"""Statuses that say that these will never be taken; the others may pass, or somebody puts them right."""


class Signal(NamedTuple):
    """What can be sent, as OTLP parts it: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request."""

    path: str
    """Behind the receiver's base URL."""

    rejected: Callable[[bytes], int]
    """How many of those that it was sent a receiver threw away, by its answer; raises ``DecodeError``."""


TRACES: Final = Signal(
    "/v1/traces", lambda body: ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
)
LOGS: Final = Signal(
    "/v1/logs", lambda body: ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records
)


class Answer(NamedTuple):
    """What became of spans or events that were sent."""

    taken: bool
    """The receiver is done with them, and is not sent them again."""

    refused_count: int = 0
    """Of them, that it threw away; -1 for all."""

    why: str = ""
    """What is wrong; empty where nothing is."""

    retry_after_s: float = 0.0
    """How long the receiver asks to be left alone."""


class Receiver:
    """The address to which one kind goes; it keeps its connection."""

    def __init__(self, plan: TelemetryPlan, signal: Signal) -> None:
        self._signal = signal
        self._path = f"{plan.path}{signal.path}"
        self.shown = f"{plan.shown}{signal.path}"
        """Its address, fit to be shown."""

        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": f"breakeven/{plan.version}",
            **dict(plan.headers),
        }
        self._connection = _Connection(plan)

    def send(self, message: bytes) -> Answer:
        """Send one message, and wait for its answer; what cannot be reached is told in ``why``, never raised."""
        was_open = self._connection.sock is not None
        try:
            return self._sent(message)
        except ConnectionError as error:
            self.close()
            if not was_open:
                return Answer(taken=False, why=_reason(error))
        except (OSError, HTTPException) as error:
            self.close()
            return Answer(taken=False, why=_reason(error))
        return self.send(message)  # a kept connection had been closed at the other end: another is made

    def _sent(self, message: bytes) -> Answer:
        self._connection.request("POST", self._path, message, self._headers)
        response = self._connection.getresponse()
        body = response.read(MAX_ANSWER_BYTES)
        if not response.isclosed():
            self.close()  # too long an answer: the rest of it is not waited for
        if response.status == _OK:
            return self._partly(body)
        if response.status in _UNUSABLE:
            return Answer(taken=True, refused_count=-1, why=f"status {response.status}")
        retry_after_s = _seconds(response.getheader("retry-after"))
        return Answer(taken=False, why=f"it answers {response.status}", retry_after_s=retry_after_s)

    def _partly(self, body: bytes) -> Answer:
        """Read of a successful answer how much the receiver threw away all the same."""
        try:
            count = self._signal.rejected(body)
        except DecodeError:  # receivers that answer in JSON, or with a text, have taken everything
            count = 0
        return Answer(taken=True, refused_count=count, why="its answer says so" if count else "")

    def close(self) -> None:
        """Let go of the connection; the next message makes another."""
        self._connection.close()


class _Connection(HTTPConnection):
    """A connection to the configured address, checked whenever it is made: a name may come to mean another one."""

    def __init__(self, plan: TelemetryPlan) -> None:
        super().__init__(plan.host, plan.port, timeout=TIMEOUT_S)
        if plan.tls:
            self.default_port = 443  # so that the Host header leaves it out
        self._ca_file = plan.ca_file if plan.tls else None

    def connect(self) -> None:
        opened = _open(self.host, self.port)
        try:
            if self._ca_file is not None:
                context = ssl.create_default_context(cafile=self._ca_file or None)
                opened = context.wrap_socket(opened, server_hostname=self.host)
            self.sock = opened
        except BaseException:
            opened.close()
            raise


def _open(host: str, port: int) -> socket.socket:
    """Connect to the first of the host's addresses that answers.  Raises ``OSError``."""
    trouble = OSError(f"{host} has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if is_forbidden(str(where[0])):
            trouble = OSError(f"{where[0]} is no address for a receiver: machines get their credentials there")
            continue
        opened = socket.socket(family, kind, protocol)
        opened.settimeout(TIMEOUT_S)
        try:
            opened.connect(where)
        except OSError as error:
            opened.close()
            trouble = error
        else:
            return opened
    raise trouble


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _seconds(retry_after: str | None) -> float:
    """Return what a ``Retry-After`` in seconds asks for; one with a date is left to our own back-off."""
    text = (retry_after or "").strip()
    return min(float(text), MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() else 0.0
