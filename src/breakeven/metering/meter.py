"""What the meters of all protocols share: the way of an event through them, the terminator held back, the reading.

The lines are those of server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).  The reading is the same
however the stream is cut into packets, no byte is altered, and nothing raises.  Whether the stream is a success is not
judged here.

What is decided for all of them, and why:

- An event that is no JSON object is skipped: clients fail on it.  It counts as one that bears content, since something
  was generated for it.  If a part of it has gone on, or the stream ended within it, the rest follows.
- Comments, empty data, unknown events and unknown fields pass untouched.
- An event of more than a bound passes unread: no target can make us hold more.
- An event that carries an error is held back with all that follows where it is the first of all, or with
  ``keeps_text``, for another target may go on in its place; whoever does not look for one forwards ``held``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from breakeven.metering.framing import DROP, LAST, MOST_EVENT_BYTES, PASS, EventFramer
from breakeven.metering.kept import KeptText
from breakeven.metering.reading import Reading, processing_of, tokens_of_bytes
from breakeven.metering.told import settle

if TYPE_CHECKING:
    from breakeven.metering.wire import Usage

MOST_HELD_BYTES: Final = 1 << 16
"""Most that is kept of the line ``data: [DONE]`` and what comes after it: no client reads on."""

_LINE_FEED: Final = 10
_CARRIAGE_RETURN: Final = 13


class EventMeter:
    """The meter of one streamed answer; a protocol says in ``_judge`` what an event means.

    It passes whole events only: any of them may turn out to be the last.
    """

    __slots__ = (
        "_content_events", "_error_held", "_events", "_framer", "_hide_usage", "_idle", "_kept", "_over",
        "_service_tier", "_text_bytes", "_told", "_told_at", "_told_doubtful", "_told_last", "_whole_events", "done",
        "error", "error_event", "held", "malformed", "skipped_events",
    )  # fmt: skip

    most_event_bytes: ClassVar[int] = MOST_EVENT_BYTES
    """Longest event that is held and read."""

    def __init__(self, *, hide_usage: bool = False, keeps_text: bool = False) -> None:
        """``hide_usage``: we asked for the usage event and the client did not, so it is dropped, where there is one.

        ``keeps_text``: remember the text that passes, for ``text`` and ``continuable``.
        """
        self._hide_usage = hide_usage
        self._whole_events = True
        self._kept = KeptText() if keeps_text else None
        self._framer: EventFramer | None = None
        """Made when something comes that is not a whole event: many streams never need it."""

        self._idle = True
        """The next byte begins an event, and the terminator has not come."""

        self._over = False
        """Nothing more goes on: the terminator has come, or an error that is held."""

        self._error_held = False
        """What is held begins with an event that tells of a failure."""

        self._text_bytes = 0
        self._service_tier: str | None = None
        self._told: Usage | None = None
        self._told_doubtful = False
        self._told_last = False
        """Usage came in an event without text: not a running count beside content, in which more may be on its way."""

        self._told_at = -1
        """``content_events`` when the output was told last; -1 before."""

        self._events = self._content_events = 0
        self.malformed = False
        """Some event was no JSON object."""

        self.skipped_events = 0
        """Malformed events that were not forwarded."""

        self.error = False
        """Some event carried an error."""

        self.error_event = b""
        """What the first of them carried."""

        self.done = False
        """The terminator has come, and it is none that tells of a failure."""

        self.held = b""
        """The terminator's bytes and those after it, or those of an error, kept back from what ``feed`` returns."""

    @property
    def most_held_bytes(self) -> int:
        """Most that is kept of the terminator and what comes after it: never less than all of an event."""
        return self.most_event_bytes + MOST_HELD_BYTES

    @property
    def events(self) -> int:
        """Events with data that were read, the terminator not among them where it is a line."""
        self._settle()
        return self._events

    @property
    def content_events(self) -> int:
        """Those of them that bear content."""
        self._settle()
        return self._content_events

    @property
    def unsaid(self) -> bool:
        """Whether no event has gone on, nor any part of one: at most comments."""
        unread = self._framer is not None and self._framer.unread
        return self.events == int(self._error_held) and not self.done and not unread

    @property
    def continuable(self) -> bool:
        """Whether the answer so far is plain text alone and not at its end, so that it can be continued.

        Never without ``keeps_text``.
        """
        self._settle()
        unread = self._framer is not None and self._framer.unread
        return self._kept is not None and self._kept.continuable and not self.done and not unread

    def text(self) -> str:
        """Return the visible text of the events that ``feed`` has passed; nothing without ``keeps_text``.

        What ``close`` returns is not in it: to continue a broken stream, leave that out.
        """
        self._settle()
        return self._kept.text() if self._kept is not None else ""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body and return those to forward now: all the events that are complete."""
        if self._idle and data[-2:] == b"\n\n" and len(data) <= self.most_event_bytes:
            start = data.find(b"data: {")
            if start == 0 or (start > 0 and data[:7] == b"event: " and data.find(b"\n") == start - 1):
                payload = data[start + 6 : -2]
                if _LINE_FEED not in payload and _CARRIAGE_RETURN not in data:
                    verdict = self._judge(payload, False, False)  # noqa: FBT003 - hot path
                    return data if verdict == PASS else self._withhold(data, verdict)
        return self._hold(data) if self._over else self._feed_framer(data)

    def close(self) -> bytes:
        """Take the end of the body, whole or cut, and return what is left to forward before ``held``.

        To be called before ``reading`` is final: an event without its blank line is read here, if it can be, and a
        terminator without a line end found.  Calling it again is harmless.
        """
        framer = self._framer
        if framer is None or self._over:
            return b""
        forward, terminator = framer.close()
        if terminator:
            self._hold(terminator)
        return forward

    def reading(self, request_body_bytes: int, complete: bool) -> Reading:  # noqa: FBT001 - the gateway's call
        """Return the tokens of what has passed so far.

        ``complete``: the body ended as its framing promised.  Told usage stands as it is if it came after all content;
        of a stream that was cut, only if it came without content beside it.  Otherwise told input stands, and output is
        the larger of what was told and what passed, *estimated*.
        """
        self._settle()
        input_tokens = tokens_of_bytes(request_body_bytes)
        output_tokens = max(self._content_events, tokens_of_bytes(self._text_bytes))
        processing = processing_of(self._service_tier)
        if self._told is None:
            return Reading(input_tokens, output_tokens, 0, 0, processing, estimated=True)
        reading = settle(self._told, input_tokens, output_tokens, processing, self._told_doubtful)
        if self._told_at == self._content_events and (complete or self._told_last):
            return reading
        return reading._replace(output_tokens=max(reading.output_tokens, output_tokens), estimated=True)

    def _settle(self) -> None:
        """Count what has passed on a short cut and is not counted yet; a protocol that has none leaves nothing."""

    def _judge(self, payload: bytes, cut: bool, sent: bool) -> int:  # noqa: FBT001 - hot path
        """Count one event; return what is to become of it, as ``EventFramer`` asks."""
        raise NotImplementedError

    def _feed_framer(self, data: bytes) -> bytes:
        framer = self._framer
        if framer is None:
            framer = self._framer = EventFramer(self._judge, whole_events=True, most_event_bytes=self.most_event_bytes)
        if self.events:
            framer.at_start = False
            framer.whole_events = self._whole_events  # until then the first one may be an error, to be held
        forward, terminator = framer.feed(data)
        self._idle = framer.idle
        if terminator:
            self._hold(terminator)
        return forward

    def _withhold(self, data: bytes, verdict: int) -> bytes:
        """Forward nothing of an event that is to be dropped, or is the last."""
        return self._hold(data) if verdict == LAST else b""

    def _hold(self, data: bytes) -> bytes:
        """Keep back the terminator, and whatever comes after it."""
        self._idle = False
        self._over = True
        self.done = not self._error_held
        self.held += data[: self.most_held_bytes - len(self.held)]
        return b""

    def _count_text(self, length_bytes: int) -> None:
        if length_bytes:
            self._content_events += 1
            self._text_bytes += length_bytes

    def _take_error(self, payload: bytes, *, sent: bool) -> int:
        """Note an error, and hold it back if the answer may be continued, or begun, elsewhere.

        ``sent``: a part of its event has gone on.
        """
        self.error = True
        self.error_event = self.error_event or payload
        self._error_held = self._kept is not None or (self._events == 1 and not sent)
        return LAST if self._error_held else PASS

    def _skip(self, *, cut: bool, sent: bool) -> int:
        """Count an event that is no JSON object, unless it was only cut; drop it if all of it is here."""
        if cut:
            return PASS
        self._events += 1
        self._content_events += 1
        self.malformed = True
        if sent:
            return PASS
        self.skipped_events += 1
        return DROP
