"""Tells a gateway what its answers were worth: ``from breakeven.client import Outcomes``.

It blocks until the gateway has written what it was told, and tries again where that failed: saying the same twice
changes nothing.  It needs the standard library alone, may be shared by threads, and reads no environment.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, Self, TypedDict, Unpack
from urllib.parse import urlsplit

from breakeven.errors import BreakevenError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

PATH: Final = "/breakeven/v1/outcomes"
MAX_OUTCOMES: Final = 1000
MAX_BODY_BYTES: Final = 1_000_000
"""Of one message: a little less than the gateway takes."""

FIRST_WAIT_S: Final = 0.2
MAX_WAIT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Said(TypedDict, total=False):
    """One outcome: what it is about (``request_id`` or ``episode``), and at least one thing said of it."""

    request_id: str
    """The answer's header ``x-breakeven-request-id``."""

    episode: str
    success: bool
    score: float
    human_minutes: float | Decimal
    """Somebody's work to check or mend the answer."""

    comment: str
    demonstration: str
    """What the answer should have been."""

    name: str
    source: Literal["user", "code", "judge", "human"]
    at: datetime
    """When it came about, if that is not now; UTC where it has no zone."""

    id: str
    """To say something else under later; without one, each name and source of a subject has one outcome."""


class NotKeptError(BreakevenError):
    """A gateway did not keep outcomes; ``status`` is its answer's, 0 where there was none, ``code`` its error's."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class Outcomes:
    """A gateway that is told outcomes; ``with`` closes its connection at the end."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        attempts: int = 5,
        timeout_s: float = 10.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the gateway's address (also as the base URL of a model's client, ending in ``/v1``) and a virtual key.

        Each message is sent up to ``attempts`` times; ``wait`` is called with the seconds between two of them.
        Raises ``InputError`` for an address that is none.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{base_url!r} is no gateway's address: write http://HOST:PORT.")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        try:
            self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        except ValueError as error:  # the port
            raise InputError(f"{base_url!r} is no gateway's address: {error}.") from error
        self._path = parts.path.rstrip("/").removesuffix("/v1") + PATH
        self._headers = {"content-type": "application/json", "user-agent": "breakeven-outcomes"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._attempts = max(attempts, 1)
        self._wait = wait
        self._lock = Lock()

    def say(self, **said: Unpack[Said]) -> str:
        """Say one outcome; return its id once the gateway has it.

        Raises ``InputError`` for what the gateway does not take, and ``NotKeptError`` where it cannot be told.
        """
        return self._send(_written(said))[0]

    def say_all(self, many: Iterable[Said]) -> list[str]:
        """Say any number of outcomes, in as few messages as they fit in; return their ids.

        Each message is kept whole or not at all; those before one that fails are kept.  Raises as ``say``.
        """
        return [name for message in _messages(many) for name in self._send(message)]

    def close(self) -> None:
        """Close the connection; the next outcome opens another."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, message: bytes) -> list[str]:
        """Send one message until it is kept.  Raises ``InputError`` and ``NotKeptError``."""
        wait_s = FIRST_WAIT_S
        for number in range(1, self._attempts + 1):
            again_s, trouble = 0.0, NotKeptError("")
            try:
                with self._lock:
                    status, retry_after, body = self._ask(message)
            except (OSError, HTTPException) as error:
                trouble = NotKeptError(f"The gateway at {self._where} cannot be told outcomes: {_reason(error)}.")
            else:
                if status == 200:
                    return _ids(body)
                trouble = self._refused(status, body)
                again_s = float(retry_after) if retry_after.isdigit() else 0.0
            if number == self._attempts or (trouble.status and trouble.status not in _AGAIN):
                raise trouble
            self._wait(min(max(wait_s, again_s), MAX_WAIT_S))
            wait_s *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _ask(self, message: bytes) -> tuple[int, str, bytes]:
        try:
            self._connection.request("POST", self._path, message, self._headers)
            response = self._connection.getresponse()
            body = response.read(MAX_ANSWER_BYTES)
        except BaseException:
            self._connection.close()  # what it may still say belongs to no later message
            raise
        if not response.isclosed():
            self._connection.close()
        return response.status, response.getheader("retry-after") or "", body

    def _refused(self, status: int, body: bytes) -> NotKeptError:
        """Return what an answer says is wrong.  Raises ``InputError`` where sending it again cannot help."""
        try:
            said = json.loads(body)["error"]
            message, code = str(said["message"]), str(said["code"])
        except (ValueError, KeyError, TypeError):
            message, code = f"status {status}, from something that is no gateway of Breakeven", ""
        if status in (400, 413):
            raise InputError(f"The gateway does not take this outcome: {message}")
        return NotKeptError(f"The gateway at {self._where} did not keep outcomes: {message}", status, code)

    @property
    def _where(self) -> str:
        return f"{self._connection.host}:{self._connection.port}"


def _messages(many: Iterable[Said]) -> Iterator[bytes]:
    """Yield lists of outcomes, each within the bounds of a message."""
    parts: list[bytes] = []
    size_bytes = 2
    for said in many:
        part = _written(said)
        if parts and (len(parts) == MAX_OUTCOMES or size_bytes + len(part) + 1 > MAX_BODY_BYTES):
            yield b"[%b]" % b",".join(parts)
            parts, size_bytes = [], 2
        parts.append(part)
        size_bytes += len(part) + 1
    if parts:
        yield b"[%b]" % b",".join(parts)


def _written(said: Said) -> bytes:
    return json.dumps(said, default=_plain).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise InputError(f"{value!r} cannot be said in an outcome: it is a {type(value).__name__}.")


def _ids(body: bytes) -> list[str]:
    try:
        return [str(name) for name in json.loads(body)["ids"]]
    except (ValueError, KeyError, TypeError) as error:
        raise NotKeptError("What answered is no gateway of Breakeven: its answer names no outcomes.", 200) from error


def _reason(error: OSError | HTTPException) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
