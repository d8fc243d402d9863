"""An OpenAI-compatible address that is asked for chat completions, one after the other or several at once.

An answer is kept as it comes, whole as JSON or as the events of a stream; the times are those of its bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.upstreams.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.clock import Clock
    from breakeven.upstreams.connection import UpstreamConnection
    from breakeven.upstreams.dial import Address

MOST_BYTES: Final = 16 << 20
"""Of an answer."""

LATER: Final = (408, 425, 429, 503, 529)
"""Statuses that say nothing of an answer, and may pass."""

LONGEST_REST_S: Final = 30.0
_FIRST_REST_S: Final = 1.0
_TRIES: Final = 3
_SERVER_ERRORS: Final = 499

TIMED_OUT: Final = "timed_out"
TOO_LARGE: Final = "answer_too_large"
_KEPT: Final = (b"retry-after", b"x-breakeven-request-id", b"x-breakeven-target")


class Heard(NamedTuple):
    """What came of one question."""

    status: int
    """Of HTTP; 0: there was no answer."""

    headers: Mapping[bytes, bytes]
    """The few that matter, by lower-case name."""

    body: bytes
    failure: str
    """Why there was no answer; empty: there was one, of whatever status."""

    first_byte_us: int
    """Of the body, from when the question had been written; likewise the next."""

    ended_us: int

    @property
    def may_pass(self) -> bool:
        """Whether the same question may get an answer a little later."""
        if self.failure:
            return self.failure not in {TIMED_OUT, TOO_LARGE}
        return self.status in LATER or self.status > _SERVER_ERRORS

    def rest_s(self, attempt: int) -> float:
        """Return how long to wait before it is asked again, the first time with ``attempt`` 1."""
        said = self.headers.get(b"retry-after", b"")
        asked_s = float(said) if said.isdigit() else _FIRST_REST_S * 2 ** (attempt - 1)
        return min(asked_s, LONGEST_REST_S)


class ChatEndpoint:
    """Connections to one address, and the head of what is sent there."""

    def __init__(
        self, address: Address, host_header: str, path: str, secret: str, *, clock: Clock, open_count: int
    ) -> None:
        """``path``: of the API, without ``/chat/completions``; ``open_count``: most questions at once."""
        self._pool = Pool(address, max_connections=open_count + 1, clock=clock)
        self._clock = clock
        lines = [
            f"POST {path}/chat/completions HTTP/1.1",
            f"host: {host_header}",
            *([f"authorization: Bearer {secret}"] if secret else []),
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            "accept-encoding: identity",
            "user-agent: breakeven-replay",
        ]
        self._head = "\r\n".join(lines).encode("latin-1")

    async def ask(self, body: bytes, labels: Iterable[tuple[str, str]], *, within_s: float) -> Heard:
        """Send one request and return what came of it; it never raises for what happens on the way."""
        more = "".join(f"\r\n{name}: {value}" for name, value in labels).encode("latin-1", "replace")
        request = b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (self._head, more, len(body), body)
        asking = _Asking(self._pool, self._clock, request)
        try:
            async with asyncio.timeout(within_s):
                asking.start()
                return await asking.heard
        except TimeoutError:
            return Heard(0, {}, b"", TIMED_OUT, 0, round(within_s * 1e6))
        finally:
            asking.leave()

    async def ask_patiently(self, body: bytes, labels: Sequence[tuple[str, str]], *, within_s: float) -> Heard:
        """Ask, and after a rest again where what came may pass: three times in all."""
        heard = await self.ask(body, labels, within_s=within_s)
        for attempt in range(1, _TRIES):
            if not heard.may_pass:
                break
            await asyncio.sleep(heard.rest_s(attempt))
            heard = await self.ask(body, labels, within_s=within_s)
        return heard

    def close(self) -> None:
        """Let go of every connection."""
        self._pool.close()


class _Asking:
    """One question on its way; it is its own ``upstreams.connection.Answering``."""

    def __init__(self, pool: Pool, clock: Clock, request: bytes) -> None:
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._pool = pool
        self._clock = clock
        self._request = request
        self._connection: UpstreamConnection | None = None
        self._sent_s = self._first_s = 0.0
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()

    def start(self) -> None:
        kept = self._pool.idle()
        if kept is not None:
            self.connected(kept)
        else:
            self._pool.connect(self)

    def leave(self) -> None:
        """Want nothing more of it."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None
        elif not self.heard.done() or self.heard.cancelled():
            self._pool.forget(self)

    def connected(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self._body.clear()
        connection.send(self, self._request)
        self._sent_s = self._clock.monotonic()

    def not_connected(self, reason: str, detail: str) -> None:
        self._tell(0, reason, detail.encode())

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        assert self._connection is not None
        self._take_head(status, headers)
        self._connection.pass_to(self._take)

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self._take_head(status, headers)
        self._take(body)
        self.complete()

    def complete(self) -> None:
        self._connection = None
        self._tell(self._status, "", bytes(self._body))

    def lost(self, reason: str, *, stale: bool) -> None:
        self._connection = None
        if stale:
            self._pool.connect(self)
        else:
            self._tell(0, reason, b"")

    def _take_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self._status = status
        lower = {name.lower(): value for name, value in headers.items()}
        self._headers = {name: lower[name] for name in _KEPT if name in lower}

    def _take(self, data: bytes) -> None:
        self._first_s = self._first_s or self._clock.monotonic()
        self._body += data
        if len(self._body) > MOST_BYTES:
            self._tell(0, TOO_LARGE, b"")

    def _tell(self, status: int, failure: str, body: bytes) -> None:
        if self.heard.done():
            return
        now_s = self._clock.monotonic()
        first_us = round((self._first_s - self._sent_s) * 1e6) if self._first_s else 0
        ended_us = round((now_s - self._sent_s) * 1e6) if self._sent_s else 0
        self.heard.set_result(Heard(status, self._headers, body, failure, first_us, ended_us))
