"""One request on its way: sends it, takes the stream as it comes, and says how it ended.

Constant work for each packet: the stopwatch, the meter, one count.  Nothing of the answer is kept but what an error
says, and nothing that comes can make it hold more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from breakeven.bench.tally import Ended
from breakeven.metering.stream import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.bench.tally import Tally
    from breakeven.clock import Clock
    from breakeven.upstreams.connection import UpstreamConnection
    from breakeven.upstreams.pool import Pool

NOT_STREAMED: Final = "not_streamed"
CUT: Final = "stream_cut"
ERROR_EVENT: Final = "error_in_stream"
EMPTY: Final = "no_text"
ENDLESS: Final = "went_on_past_its_bound"
TIMED_OUT: Final = "timed_out"

_MOST_SAID_BYTES: Final = 2048
"""Kept of the body of an error."""

_SPARE_EVENTS: Final = 256
"""Beyond four times the output that was asked for a stream is taken for one without an end."""


class Caller(Protocol):
    """Who is told when a request is over, and whose stopwatch, connections and counts it uses."""

    clock: Clock
    pool: Pool
    tally: Tally
    reuses: bool
    """Whether kept connections are used again: some servers close them after every stream."""

    def stale(self) -> None:
        """Learn that a kept connection was closed at the other end."""

    def over(self, call: Call) -> None:
        """Learn that it is over; it has been counted."""


class Call:
    """A request; it is its own ``upstreams.connection.Answering``."""

    __slots__ = (
        "_caller", "_first_s", "_input_tokens", "_most_events", "_output_tokens", "_request", "_said", "_status",
        "asked_s", "connection", "failure", "last_s", "meter", "reading", "sent_s",
    )  # fmt: skip

    def __init__(self, caller: Caller, request: bytes, input_tokens: int, output_tokens: int) -> None:
        """``input_tokens``: as they are meant to be, where the endpoint does not tell them."""
        self._caller = caller
        self._request = request
        self._output_tokens = output_tokens
        self._most_events = 4 * output_tokens + _SPARE_EVENTS
        self._input_tokens = input_tokens
        self.meter = StreamMeter()
        self.connection: UpstreamConnection | None = None
        self.asked_s = self.sent_s = self._first_s = self.last_s = 0.0
        self.failure = ""
        self.reading: Ended | None = None
        self._status = 0
        self._said = b""

    def start(self) -> None:
        """Send it on a kept connection or a new one."""
        caller = self._caller
        self.asked_s = caller.clock.monotonic()
        kept = caller.pool.idle()
        if kept is not None and caller.reuses:
            self.connected(kept)
            return
        if kept is not None:
            kept.drop()
        caller.pool.connect(self)

    def give_up(self, kind: str) -> None:
        """End it here, as one that failed."""
        if self.connection is None:
            self._caller.pool.forget(self)
        else:
            self.connection.drop()
        self._fail(kind, "")

    def drop(self) -> None:
        """End it here, uncounted."""
        if self.connection is None:
            self._caller.pool.forget(self)
        else:
            self.connection.drop()

    # What the connection tells

    def connected(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        self.connection = connection
        connection.send(self, self._request)
        self.sent_s = self.last_s = self._caller.clock.monotonic()

    def not_connected(self, reason: str, detail: str) -> None:
        """Fail."""
        self._fail(reason, detail)

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take what follows as a stream, or as what an error says."""
        assert self.connection is not None
        self._status = status if status != 200 or _is_stream(headers) else -1
        self.connection.pass_to(self._take if self._status == 200 else self._listen)

    def whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take an answer that came at once."""
        self._status = status if status != 200 or _is_stream(headers) else -1
        if self._status == 200:
            self._take(body)
        else:
            self._listen(body)
        if not self.failure:
            self.complete()

    def complete(self) -> None:
        """Judge what has come."""
        if self._status != 200:
            self._refused()
            return
        meter = self.meter
        meter.close()
        if meter.error:
            self._fail(ERROR_EVENT, meter.error_event[:_MOST_SAID_BYTES].decode("utf-8", "replace"))
        elif not meter.content_events:
            self._fail(EMPTY, "the stream ended without any text")
        else:
            self._end()

    def lost(self, reason: str, *, stale: bool) -> None:
        """Try again where a kept connection had been closed; else fail."""
        if stale:
            self._caller.stale()
            self.connection = None
            self._caller.pool.connect(self)
        elif self.meter.done:  # the end of the body is all that is missing
            self.complete()
        else:
            self._fail(CUT if self._first_s else reason, f"after {self.meter.content_events} pieces of text")

    # Its own affairs

    def _take(self, data: bytes) -> None:
        caller, meter = self._caller, self.meter
        before = meter.content_events
        meter.feed(data)
        pieces = meter.content_events - before
        if not pieces:
            return
        now_s = caller.clock.monotonic()
        caller.tally.pieces += pieces
        if self._first_s:
            caller.tally.gap(now_s - self.last_s)
        else:
            self._first_s = now_s
        self.last_s = now_s
        if meter.content_events > self._most_events:
            self.give_up(ENDLESS)

    def _listen(self, data: bytes) -> None:
        if len(self._said) < _MOST_SAID_BYTES:
            self._said += data[: _MOST_SAID_BYTES - len(self._said)]

    def _refused(self) -> None:
        said = self._said.decode("utf-8", "replace")
        if self._status == -1:
            self._fail(NOT_STREAMED, said)
        else:
            self._fail(f"http_{self._status}", said)

    def _fail(self, kind: str, detail: str) -> None:
        self.failure = kind
        self._said = self._said or detail.encode()
        self._caller.tally.fail(kind, detail)
        self._caller.over(self)

    def _end(self) -> None:
        caller, meter = self._caller, self.meter
        reading = meter.reading(0, complete=True)
        told = not reading.estimated
        self.reading = Ended(
            asked_s=self.asked_s,
            sent_s=self.sent_s,
            first_s=self._first_s,
            last_s=self.last_s,
            ended_s=caller.clock.monotonic(),
            input_tokens=reading.input_tokens if told else self._input_tokens,
            cached_tokens=reading.cached_input_tokens if told else 0,
            output_tokens=reading.output_tokens if told else meter.content_events,
            asked_tokens=self._output_tokens,
            pieces=meter.content_events,
            told=told,
        )
        caller.tally.end(self.reading)
        caller.over(self)

    @property
    def said(self) -> str:
        """What the endpoint said where it failed, or what happened."""
        return self._said.decode("utf-8", "replace")


def _is_stream(headers: Mapping[bytes, bytes]) -> bool:
    kinds = [value for name, value in headers.items() if name.lower() == b"content-type"]
    return bool(kinds) and kinds[0].lower().startswith(b"text/event-stream")
