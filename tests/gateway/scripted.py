"""An upstream that does as it is told, above all what upstreams should not do, and remembers what it was asked.

It speaks through plain blocking sockets, a thread a connection, so that every byte and every way to end a
connection is the script's.  One server plays many targets: the first part of the path is the *place*, and each
place has its own script.  An answer is a function that is handed the ``Call`` and writes what it likes.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 10.0
"""How long anything here waits for what must come before it says that it did not."""


class EndOfConnectionError(Exception):
    """The answer is over and the connection with it."""


class Call:
    """One request as it came, and the means to answer it."""

    def __init__(self, connection: Connection, head: bytes, body: bytes) -> None:
        self.connection = connection
        self.head = head
        self.body = body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ", 2)
        fields = [line.split(":", 1) for line in lines[1:] if line]
        self.headers = {name.strip().lower(): value.strip() for name, value in fields}
        self.sent_bytes = 0
        self.gone = threading.Event()
        """Set when the other side has closed before the answer was whole."""

        self.over = threading.Event()
        """Set when its answer has done what it does."""

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def place(self) -> str:
        """The first part of the path."""
        return self.path.split("/")[1]

    def send(self, data: bytes) -> None:
        """Write, counting what the kernel takes; notices when the other side has gone."""
        view = memoryview(data)
        try:
            while view:
                taken = self.connection.socket.send(view)
                self.sent_bytes += taken
                view = view[taken:]
        except OSError:
            self.leave()

    def wait(self, seconds: float | None = None) -> None:
        """Do nothing for that long (None: until the other side has gone, at most ``PATIENCE_S``), but notice that."""
        until = time.monotonic() + (PATIENCE_S if seconds is None else seconds)
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection.socket], [], [], min(left, 0.2))
            if readable and self.connection.ended():
                self.leave()
            elif readable:
                time.sleep(min(left, 0.01))  # a request that came too early lies there unread

    def leave(self) -> None:
        """Note that the other side has gone, and stop."""
        self.gone.set()
        raise EndOfConnectionError

    def close(self) -> None:
        """End the connection in the orderly way."""
        raise EndOfConnectionError

    def reset(self) -> None:
        """End the connection with RST."""
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise EndOfConnectionError


class Connection:
    """One accepted connection, read a request at a time."""

    def __init__(self, opened: socket.socket, number: int) -> None:
        self.socket = opened
        self.number = number
        self.ends_when_asked_again = False
        """Close as the next request comes, unread: what a server does whose keep-alive has just run out."""

        self._read = b""

    def ended(self) -> bool:
        """Whether the other side has closed; bytes that wait are left where they are."""
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self._read += self.socket.recv(1 << 16) or self._raise_end()
                return False
            return not self.socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def next_call(self) -> Call:
        """Read the next request.  Raises ``EndOfConnectionError`` when there is none."""
        if self.ends_when_asked_again:
            select.select([self.socket], [], [], PATIENCE_S)
            raise EndOfConnectionError
        while b"\r\n\r\n" not in self._read:
            self._read_on()
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        lower = head.lower()
        length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) if b"content-length:" in lower else 0
        while len(self._read) < length:
            self._read_on()
        body, self._read = self._read[:length], self._read[length:]
        return Call(self, head, body)

    def _read_on(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            raise EndOfConnectionError from None
        self._read += data or self._raise_end()

    @staticmethod
    def _raise_end() -> bytes:
        raise EndOfConnectionError


class ScriptedUpstream:
    """A server on a free port of the loopback interface; scripts by place, calls remembered."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._scripts: dict[str, list[Callable[[Call], None]]] = {}
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self.connection_count = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # accepted sockets inherit it
        self.send_buffer_bytes = self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        """What the kernel takes from an answer beyond what the other side has received."""

        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def url(self, place: str, host: str = "127.0.0.1") -> str:
        """Base URL of a place, as a configuration has it."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/{place}/v1"

    def script(self, place: str, *answers: Callable[[Call], None]) -> None:
        """Answer the next requests at a place so, one after the other, the last one for ever; forget earlier calls."""
        with self._changed:
            self._scripts[place] = list(answers)
            self._calls[place] = []

    def calls(self, place: str, at_least: int = 0) -> list[Call]:
        """The requests that came to a place since its script was set, once there are that many."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._calls[place]) >= at_least, PATIENCE_S)
            assert enough, f"{place} was asked {len(self._calls[place])} times, not {at_least}"
            return list(self._calls[place])

    def close_connections(self) -> None:
        """Close every connection that is open now."""
        for opened in list(self._open):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening, close everything."""
        self._listener.close()
        self.close_connections()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connection_count += 1
            self._start(self._serve, accepted, self.connection_count)

    def _serve(self, accepted: socket.socket, number: int) -> None:
        with accepted:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                opened = self._tls.wrap_socket(accepted, server_side=True) if self._tls else accepted
            except OSError:
                return  # the client did not like the certificate
            with opened:
                self._open.add(opened)
                with contextlib.suppress(EndOfConnectionError):
                    self._converse(Connection(opened, number))
                self._open.discard(opened)

    def _converse(self, connection: Connection) -> None:
        while True:
            call = connection.next_call()
            answer = self._remember(call)
            try:
                answer(call)
            finally:
                call.over.set()

    def _remember(self, call: Call) -> Callable[[Call], None]:
        with self._changed:
            self._calls[call.place].append(call)
            self._changed.notify_all()
            script = self._scripts.get(call.place)
            if not script:
                return unscripted
            return script.pop(0) if len(script) > 1 else script[0]


def unscripted(call: Call) -> None:
    """Answer a place that has no script: with a status that no test expects."""
    body = b'{"error": {"message": "no script for this place"}}'
    call.send(b"HTTP/1.1 418 No Script\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


class ConnectProxy:
    """A CONNECT proxy that opens tunnels for those who bring its authorization, and remembers who asked."""

    def __init__(self, authorization: str = "") -> None:
        self._authorization = authorization
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[str] = []
        """First line of each request."""

        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(accepted,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = client.recv(1)
                if not byte:
                    return
                head += byte
            lines = head.decode("latin-1").split("\r\n")
            self.requests.append(lines[0])
            wanted = f"proxy-authorization: {self._authorization}".lower()
            if self._authorization and wanted not in [line.lower() for line in lines]:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            host, _, port = lines[0].split(" ")[1].rpartition(":")
            with socket.create_connection((host, int(port))) as target:
                client.sendall(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                _join(client, target)


class BlackHole:
    """A port at which connections are never made: its queue is full and nobody takes from it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._listener.getsockname()[1]
        self._callers: list[socket.socket] = []

    def __enter__(self) -> Self:
        for _ in range(3):  # one more than the kernel takes into a queue of length 0, and one for good measure
            caller = socket.socket()
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(("127.0.0.1", self.port))
            self._callers.append(caller)
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (*self._callers, self._listener):
            opened.close()


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until either side ends."""
    while True:
        readable, _, _ = select.select([one, other], [], [])
        for source, sink in ((one, other), (other, one)):
            if source in readable:
                try:
                    data = source.recv(1 << 16)
                    sink.sendall(data)
                except OSError:
                    return
                if not data:
                    return


@contextlib.contextmanager
def scripted_upstream(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedUpstream]:
    """A scripted upstream while the context lasts."""
    upstream = ScriptedUpstream(tls)
    try:
        yield upstream
    finally:
        upstream.close()
