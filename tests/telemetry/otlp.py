"""A receiver of spans and events as a collector is one: OTLP over HTTP in this process, with the published messages."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

Values = dict[str, Any]


class Seen(NamedTuple):
    """A span as it came."""

    trace: str
    span: str
    name: str
    kind: int
    starts_ns: int
    ends_ns: int
    failed: bool
    values: Values
    resource: Values


class SeenEvent(NamedTuple):
    """A log record as it came."""

    trace: str
    span: str
    name: str
    at_ns: int
    observed_ns: int
    values: Values
    resource: Values


class Reply(NamedTuple):
    """What is answered to one request."""

    status: int = 200
    rejected: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """In place of the published message."""

    hang_up: bool = False
    """Close the connection behind the answer, without saying so."""


GOOD = Reply()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that senders reset, as they do when they are killed."""


class OtlpReceiver:
    """Takes spans and events on a port of its own; it can go away and come back."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        """Of requests that were answered with 200."""

        self.events: list[SeenEvent] = []
        """The same."""

        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers by lower-case name, and body of all that came."""

        self.script: list[Reply] = []
        """Answers to the next requests with spans; then all is well."""

        self.script_of_logs: list[Reply] = []
        """Answers to the next requests with events."""

        self._changed = threading.Condition()
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self._open: set[Any] = set()
        self.port = port
        self.start()

    @property
    def url(self) -> str:
        """What stands in the settings."""
        return f"{'https://localhost' if self._tls else 'http://127.0.0.1'}:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                owner._open.add(self.connection)

            def do_POST(self) -> None:
                owner._answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away: nobody listens, and connections are closed."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def wait_for(self, count: int, patience_s: float = 15.0) -> list[Seen]:
        """Return all spans once there are so many of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, patience_s), self.seen
            return list(self.seen)

    def wait_for_all(self, ids: list[str], patience_s: float = 15.0) -> None:
        """Wait until there are spans of these requests, once or more often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ids() >= set(ids), patience_s), self._ids()

    def wait_for_events(self, count: int, patience_s: float = 15.0) -> list[SeenEvent]:
        """Return all events once there are so many of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, patience_s), self.events
            return list(self.events)

    def _ids(self) -> set[str]:
        return {span.values["breakeven.request_id"] for span in self.seen}

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        is_logs = handler.path.endswith("/v1/logs")
        with self._changed:
            script = self.script_of_logs if is_logs else self.script
            reply = script.pop(0) if script else GOOD
            self.requests.append((handler.path, headers, body))
            if reply.status == 200 and is_logs:
                self.events += read_events(body)
            elif reply.status == 200:
                self.seen += read(body)
            self._changed.notify_all()
        written = _told(reply.rejected, is_logs=is_logs) if reply.body is None else reply.body
        handler.send_response(reply.status)
        for name, value in (*reply.headers, ("content-length", str(len(written)))):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(written)
        handler.close_connection = reply.hang_up


def _told(rejected: int, *, is_logs: bool) -> bytes:
    if not rejected:
        return b""
    if is_logs:
        part = ExportLogsPartialSuccess(rejected_log_records=rejected)
        return bytes(ExportLogsServiceResponse(partial_success=part).SerializeToString())
    told = ExportTracePartialSuccess(rejected_spans=rejected)
    return bytes(ExportTraceServiceResponse(partial_success=told).SerializeToString())


def read_events(body: bytes) -> Iterator[SeenEvent]:
    """Yield the log records of a request."""
    for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                yield SeenEvent(
                    trace=record.trace_id.hex(),
                    span=record.span_id.hex(),
                    name=record.event_name,
                    at_ns=record.time_unix_nano,
                    observed_ns=record.observed_time_unix_nano,
                    values=_values(record.attributes),
                    resource=resource,
                )


def read(body: bytes) -> Iterator[Seen]:
    """Yield the spans of a request."""
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Seen(
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    starts_ns=span.start_time_unix_nano,
                    ends_ns=span.end_time_unix_nano,
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                    values=_values(span.attributes),
                    resource=resource,
                )


CLIENT = Span.SPAN_KIND_CLIENT


def _values(attributes: Any) -> Values:
    found: Values = {}
    item: KeyValue
    for item in attributes:
        assert item.key not in found, item.key
        found[item.key] = getattr(item.value, item.value.WhichOneof("value") or "")
    return found
