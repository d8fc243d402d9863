"""What the translations of streams in both directions have in common: cutting into events, failing and ending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from breakeven.protocols.events import MOST_EVENT_BYTES, EventReader
from breakeven.protocols.tables import UNREADABLE

MOST_CALLS: Final = 128
"""Most calls of tools in one answer, which is the most tools that OpenAI takes in a request."""

_TOO_LONG: Final = (
    f"The target sent an event of more than {MOST_EVENT_BYTES} bytes, so its stream was given up. Ask again."
)
_UNREADABLE_EVENT: Final = "The target sent an event that cannot be read, so its stream was given up. Ask again."
TOO_MANY_CALLS: Final = (
    f"The target called more than {MOST_CALLS} tools at once, so its stream was given up. Ask again."
)


class StreamTranslation(ABC):
    """One stream's bytes in, the other protocol's out.

    What comes out is the same however the stream was cut into packets, nothing raises, and nothing follows an error.
    """

    __slots__ = ("_ended", "_reader", "broken", "done", "error")

    def __init__(self) -> None:
        self._reader = EventReader()
        self._ended = False
        self.done = False
        """The terminator has come: what is left is to be taken from ``end``."""

        self.error = False
        """An error has passed: the target's own, or one about what it sent."""

        self.broken = False
        """The stream ended without its terminator, or an error."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream, and return those to send now."""
        out: list[bytes] = []
        for payload in self._reader.feed(data):
            self._take_event(payload, out)
        if self._reader.oversized and not (self.done or self.error):
            self._fail(_TOO_LONG, out)
        return b"".join(out)

    def end(self) -> bytes:
        """Take the end of the stream, and return what ends the other one: nothing, if it is broken or had an error."""
        out: list[bytes] = []
        for payload in self._reader.close():
            if self._terminates(payload):
                self.done = True
        if self._ended or self.error:
            return b""
        self._ended = True
        if not self.done:
            self.broken = True
            return b""
        self._finish(out)
        return b"".join(out)

    def _take_event(self, payload: bytes, out: list[bytes]) -> None:
        if self.done or self.error:
            return
        if self._terminates(payload):
            self.done = True
            return
        try:
            self._take(payload, out)
        except UNREADABLE:
            self._fail(_UNREADABLE_EVENT, out)

    def _fail(self, message: str, out: list[bytes]) -> None:
        """Give the stream up with an error."""
        self.error = True
        out.append(self._error_event(message))

    @abstractmethod
    def _terminates(self, payload: bytes) -> bool:
        """Whether this is the last event of a stream that ended properly."""

    @abstractmethod
    def _take(self, payload: bytes, out: list[bytes]) -> None:
        """Translate one event.  Raises one of ``UNREADABLE``."""

    @abstractmethod
    def _finish(self, out: list[bytes]) -> None:
        """Add the events that end the stream."""

    @abstractmethod
    def _error_event(self, message: str) -> bytes:
        """Return an error of the other protocol."""
