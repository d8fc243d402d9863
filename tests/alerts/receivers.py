"""Receivers of alerts as there are: an HTTP server, which webhooks, Slack and an Alertmanager are, and a mail server.

Each listens on loopback, remembers what it was sent, and can go away and come back.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import socket
    import ssl
    from email.message import EmailMessage

PATIENCE_S = 20.0


class Sent(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any


class HttpReceiver:
    """Takes JSON by POST."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.sent: list[Sent] = []
        self.status = 200
        self.answer = b"{}"
        self.delay_s = 0.0
        self._tls = tls
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, at the second time on the same port."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(receiver.delay_s)
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._changed:
                    receiver.sent.append(Sent(self.path, headers, json.loads(body)))
                    receiver._changed.notify_all()
                self.send_response(receiver.status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        """Where it is, by a name for which its certificate stands."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def wait_for(self, count: int) -> list[Sent]:
        """Wait until so many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.sent) >= count, PATIENCE_S), self.sent
            return list(self.sent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Mail(NamedTuple):
    """One message, and how it came."""

    sender: str
    to: tuple[str, ...]
    message: EmailMessage
    is_encrypted: bool
    login: str
    """Base64 of what AUTH PLAIN was given; empty: nobody logged in."""


class MailReceiver:
    """Takes mail by SMTP: EHLO, STARTTLS where it has a certificate, AUTH PLAIN, MAIL, RCPT, DATA."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, from_the_start: bool = False, refuses: tuple[str, ...] = ()
    ) -> None:
        self.mails: list[Mail] = []
        self.password_status = b"235 welcome"
        self.tls = tls
        self.from_the_start = from_the_start
        self.refuses = refuses
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    _Session(receiver, self.request).serve()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Session:
    """One connection of a mail server."""

    def __init__(self, receiver: MailReceiver, line: socket.socket) -> None:
        self._receiver = receiver
        self._line = line
        self._file = line.makefile("rwb")
        self._is_encrypted = False
        self._login = self._sender = ""
        self._to: list[str] = []

    def serve(self) -> None:
        """Answer line by line."""
        try:
            if self._receiver.from_the_start:
                self._encrypt()
            self._say(b"220 tests")
            while words := self._file.readline().split():
                answer = getattr(self, f"_{words[0].decode().lower()}", None)
                self._say(answer(b" ".join(words[1:]).decode()) if answer is not None else b"250 fine")
        finally:
            self._file.close()
            self._line.close()

    def _say(self, text: bytes) -> None:
        self._file.write(text + b"\r\n")
        self._file.flush()

    def _encrypt(self) -> None:
        assert self._receiver.tls is not None
        self._file.close()
        self._line = self._receiver.tls.wrap_socket(self._line, server_side=True)
        self._file = self._line.makefile("rwb")
        self._is_encrypted = True

    def _ehlo(self, _: str) -> bytes:
        offers = b"250-STARTTLS\r\n" if self._receiver.tls and not self._is_encrypted else b""
        return b"250-tests\r\n" + offers + b"250 AUTH PLAIN"

    def _starttls(self, _: str) -> bytes:
        self._say(b"220 go on")
        self._encrypt()
        self._file.readline()  # EHLO once more
        return self._ehlo("")

    def _auth(self, said: str) -> bytes:
        self._login = said.removeprefix("PLAIN ")
        return self._receiver.password_status

    def _mail(self, said: str) -> bytes:
        self._sender = said.partition("<")[2].partition(">")[0]
        return b"250 fine"

    def _rcpt(self, said: str) -> bytes:
        name = said.partition("<")[2].partition(">")[0]
        if name in self._receiver.refuses:
            return b"550 nobody here"
        self._to.append(name)
        return b"250 fine"

    def _data(self, _: str) -> bytes:
        self._say(b"354 go on")
        lines = iter(self._file.readline, b".\r\n")
        message = message_from_bytes(b"".join(lines), policy=default)
        self._receiver.mails.append(Mail(self._sender, tuple(self._to), message, self._is_encrypted, self._login))
        return b"250 taken"

    def _quit(self, _: str) -> bytes:
        return b"221 bye"
