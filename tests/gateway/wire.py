"""HTTP written by hand: for requests that no client library would send, and connections that end badly."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE_S = 10.0


class Reply(NamedTuple):
    """A response that was received whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def request_id(self) -> str:
        """The gateway's id of the request."""
        return self.headers["x-breakeven-request-id"]

    @property
    def code(self) -> str:
        """The code of an error."""
        code: str = self.json["error"]["code"]
        return code


class CutOffError(Exception):
    """The connection ended before the response did; ``received`` is what came of its body."""

    def __init__(self, received: bytes) -> None:
        self.received = received
        super().__init__(f"the connection ended after {received[-300:]!r}")


class Line:
    """One connection to the gateway."""

    def __init__(self, port: int, *, receive_buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._read = b""
        self.seen = bytearray()
        """Everything that was ever received."""

        self.headers: dict[str, str] = {}
        """Of the newest response, by lower-case name."""

    @property
    def request_id(self) -> str:
        """The gateway's id of the newest response's request."""
        return self.headers["x-breakeven-request-id"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request and receive the whole response."""
        self.send(request_bytes(method, path, body, **headers))
        return self.reply()

    def chat(self, body: object, **headers: str) -> Reply:
        """Send a chat request and receive the whole response."""
        self.send(chat_bytes(body, **headers))
        return self.reply()

    def reply(self) -> Reply:
        """Receive a whole response.  Raises ``CutOffError`` when it does not come to its end."""
        status, headers = self.head()
        return Reply(status, headers, self._body(headers))

    def head(self) -> tuple[int, dict[str, str]]:
        """Receive the head of a response; interim ones are passed over."""
        while True:
            while b"\r\n\r\n" not in self._read:
                self._more(b"")
            head, self._read = self._read.split(b"\r\n\r\n", 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            fields = (line.split(":", 1) for line in lines)
            status = int(first.split(" ")[1])
            if status >= 200:
                self.headers = {name.lower(): value.strip() for name, value in fields}
                return status, self.headers

    def until(self, wanted: bytes) -> bytes:
        """Receive until these bytes have come; returns everything up to and with them."""
        while wanted not in self._read:
            self._more(self._read)
        at = self._read.index(wanted) + len(wanted)
        found, self._read = self._read[:at], self._read[at:]
        return found

    def ended(self) -> bool:
        """Wait until the gateway closes; whether it did, saying nothing more."""
        try:
            return self.socket.recv(1) == b"" and not self._read
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def reset(self) -> None:
        """Leave rudely."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return self._chunks()
        if "content-length" in headers:
            return self._take(int(headers["content-length"]), b"")
        body, self._read = self._read, b""
        while data := self._receive(body):
            body += data
        return body

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._read:
                self._more(body)
            size, self._read = self._read.split(b"\r\n", 1)
            body += self._take(int(size, 16), body)
            self._take(2, body)
            if size == b"0":
                return body

    def _take(self, length: int, before: bytes) -> bytes:
        while len(self._read) < length:
            self._more(before + self._read)
        taken, self._read = self._read[:length], self._read[length:]
        return taken

    def _more(self, received: bytes) -> None:
        data = self._receive(received)
        if not data:
            raise CutOffError(received)
        self._read += data

    def _receive(self, received: bytes) -> bytes:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            raise CutOffError(received) from None
        self.seen += data
        return data


def request_bytes(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """A request with the tests' key; header names with underscores for hyphens, empty ones are left out."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"host": "gateway", "authorization": "Bearer sk-be-of-the-tests"}
    if data:
        fields |= {"content-type": "application/json", "content-length": str(len(data))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value), "", ""]
    return "\r\n".join(lines).encode("latin-1") + data


def chat_bytes(body: object, **headers: str) -> bytes:
    """A chat request."""
    return request_bytes("POST", "/v1/chat/completions", body, **headers)


def events(body: bytes) -> list[str]:
    """What the events of a stream carry."""
    return [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: ")]
