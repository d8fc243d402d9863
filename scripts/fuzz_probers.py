"""The clients that send the cases, and hold every answer against what a parser here says of the request."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final, cast

import httptools
from fuzz_cases import CANARY, case
from gateway_process import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuzz_tally import Tally

PATIENCE_S: Final = 10.0
"""A connection on which nothing happens for so long hangs."""

WAITING_CASES: Final = 64
"""One in so many unfinished requests waits for the gateway to lose patience; from the others the client leaves."""

_KEY: Final = KEY.encode()


class Expected:
    """What a parser says of the bytes of a case."""

    def __init__(self, data: bytes) -> None:
        self.begun = self.whole = 0
        self.sure = True
        self.keeps_alive = False
        self.head = False
        """Some request is HEAD, so that answers are not what they look like."""

        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.sure = False
        self.unfinished = self.sure and self.begun > self.whole
        self.sure = self.sure and self.begun == self.whole == 1

    def on_message_begin(self) -> None:
        """Count."""
        self.begun += 1

    def on_message_complete(self) -> None:
        """Count; of the first, note what it means for the connection."""
        self.whole += 1
        self.head |= self._parser.get_method() == b"HEAD"
        if self.whole == 1:
            self.keeps_alive = self._parser.should_keep_alive()


class Prober(asyncio.Protocol):
    """One client that sends one case after the other, over a connection as long as it lasts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._number = -1
        self._pieces: tuple[bytes, ...] = ()
        self._at = 0
        self._expected = Expected(b"")
        self._received = b""
        self._answers = 0
        self._in_answer = self._ends_with_connection = False
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._used = False
        """Whether the connection has carried another case."""

        self.since_s = 0.0

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the case that waits for it."""
        self._transport = cast("asyncio.Transport", transport)
        self._used = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Go on with the next case over a new connection."""
        del exc
        self._transport = None
        if self._in_answer and self._ends_with_connection:
            self.on_message_complete()
        if self._in_answer:
            self._fail("the connection ended within an answer")
        elif self._expected.sure and not self._answers:
            if self._used:  # the gateway may close a kept connection just when it is used again: clients try once more
                self._run.tally.counts["tried again"] += 1
                self._try()
                return
            self._fail("a whole request got no answer")
        self._run.tally.counts["closed"] += not self._answers
        self._next()

    def eof_received(self) -> None:
        """Let the transport close."""

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        self.since_s = self._run.now_s
        self._received += data
        if self._expected.head:
            self._read_bare_head()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")
            self._in_answer, self._answers = False, 1  # told once
            self._leave()
            return
        if self._answers and not self._in_answer:
            self._answered()

    # The answer

    def _read_bare_head(self) -> None:
        """Read the answer to HEAD, which is a head alone; the parser would wait for a body."""
        head, end, rest = self._received.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head, end, rest = rest.partition(b"\r\n\r\n")
        if not end:
            return
        self._answers = 1
        self._headers = {b"connection": b"close"} if b"connection: close" in head else {}
        status = head.split(b" ", 2)[1]
        self._run.tally.counts[status.decode()] += 1
        if status[:1] not in b"24":
            self._fail(f"status {status.decode()}")
        if rest and self._expected.sure and self._keeps_alive():
            self._fail("a body in the answer to HEAD, on a connection that stays open")
            self._leave()
        else:
            self._answered()

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._in_answer = True
        self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect."""
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._body.append(data)

    def on_headers_complete(self) -> None:
        """Note whether the answer ends with the connection."""
        names = self._headers.keys()
        self._ends_with_connection = not {b"content-length", b"transfer-encoding"} & names

    def on_message_complete(self) -> None:
        """Judge an answer; interim ones are passed over."""
        status = self._parser.get_status_code()
        self._in_answer = False
        if status < 200:
            return
        self._answers += 1
        self._run.tally.counts[str(status)] += 1
        wrong = self._wrong(status, b"".join(self._body))
        if wrong:
            self._fail(wrong)

    def _wrong(self, status: int, body: bytes) -> str:
        """Return what is wrong with an answer, or nothing."""
        data = b"".join(self._pieces)
        if not (200 <= status < 300 or 400 <= status < 500):
            return f"status {status}"
        if CANARY in self._headers:
            return "a header was smuggled into the answer"
        if status < 300 and _KEY not in data and b"/health" not in data:
            return "an answer without a key"
        if self._headers.get(b"content-type") == b"application/json":
            try:
                said = json.loads(body)
            except ValueError:
                return "an answer that is no JSON"
            if status >= 400 and not (isinstance(said, dict) and isinstance(said.get("error"), dict)):
                return "an error without its object"
        return ""

    def _answered(self) -> None:
        """Go on: over the same connection where it stays open."""
        if self._expected.sure:
            if self._answers > 1:
                self._fail(f"{self._answers} answers to one request")
            if self._keeps_alive():
                self._next()
            # else the gateway has to close it
        elif self._at >= len(self._pieces):
            self._leave()

    def _keeps_alive(self) -> bool:
        return self._expected.keeps_alive and self._headers.get(b"connection") != b"close"

    # The case

    def begin(self) -> None:
        """Begin with the first case."""
        self._next()

    def _next(self) -> None:
        number = next(self._run.numbers, None)
        if number is None:
            self._number = -1
            self._leave()
            self._run.ended()
            return
        self._number = number
        self._pieces = case(self._run.seed, number, _KEY)
        self._expected = Expected(b"".join(self._pieces))
        self._used = self._transport is not None
        self._try()

    def _try(self) -> None:
        self._at = self._answers = 0
        self._in_answer = self._ends_with_connection = False
        self._received = b""
        self._parser = httptools.HttpResponseParser(self)
        self.since_s = self._run.now_s
        if self._transport is not None and not self._transport.is_closing():
            self._send()
        elif self._transport is None:
            self._run.connect(self)

    def _send(self) -> None:
        transport, number = self._transport, self._number
        if transport is None or transport.is_closing():
            return
        transport.write(self._pieces[self._at])
        self._at += 1
        if self._at < len(self._pieces):
            self._loop.call_later(0.001 * (self._at % 3), self._send_more, number)
        elif self._expected.unfinished and not self._expected.whole and number % WAITING_CASES:
            transport.write_eof()

    def _send_more(self, number: int) -> None:
        if number == self._number and (self._expected.sure or not self._answers):
            self._send()
        elif number == self._number:
            self._leave()

    def check(self) -> None:
        """Say that the connection hangs, if it does."""
        if self._number >= 0 and self._run.now_s - self.since_s > PATIENCE_S:
            self._fail(f"nothing for {PATIENCE_S:g} s")
            self.since_s = self._run.now_s
            self._leave()

    def _leave(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, why: str) -> None:
        self._run.tally.fail(self._number, why, self._pieces, self._received)


class Run:
    """The cases of one process."""

    def __init__(self, port: int, seed: int, numbers: Iterator[int], tally: Tally) -> None:
        self.port = port
        self.seed = seed
        self.numbers = numbers
        self.tally = tally
        self.now_s = time.monotonic()
        self._open = 0
        self._done = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()

    async def all(self, connections: int) -> None:
        """Send all of them."""
        probers = [Prober(self) for _ in range(connections)]
        self._open = connections
        for prober in probers:
            prober.begin()
        while not self._done.is_set():
            await asyncio.sleep(0.25)
            self.now_s = time.monotonic()
            for prober in probers:
                prober.check()

    def connect(self, prober: Prober) -> None:
        """Make a connection for a prober."""
        task = asyncio.get_running_loop().create_task(self._connect(prober))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, prober: Prober) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: prober, "127.0.0.1", self.port)
        except OSError as error:
            self.tally.fail(-1, f"no connection: {error}", (), b"")
            await asyncio.sleep(0.5)
            self.connect(prober)

    def ended(self) -> None:
        """Count a prober that has no more cases."""
        self._open -= 1
        if not self._open:
            self._done.set()
