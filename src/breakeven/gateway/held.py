"""Where an answer goes that its client may not have yet: kept until it is checked, up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.answer import begun

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from breakeven.gateway.answer import StreamedAnswer, WholeAnswer
    from breakeven.gateway.client import Client, Receiver


class Held:
    """In a client's place: takes head and body, without the framing of HTTP, and sends nothing."""

    takes_chunks = False
    transport: asyncio.Transport | None = None

    def __init__(self, client: Client, most_bytes: int, full: Callable[[], None]) -> None:
        """Hold for a client so many bytes; ``full`` is called once there are more, which are then let go."""
        self.dialect = client.dialect
        self.too_long = False
        """Whether there was more than may be held."""

        self._client: Receiver = client
        self._full = full
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._parts: list[bytes] = []

    @property
    def why_too_long(self) -> str:
        """Why it was let go, for people."""
        return f"is longer than {self._most_bytes:,} bytes"

    def write(self, data: bytes) -> None:
        """Keep the next bytes."""
        if self.too_long:
            return
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._most_bytes:
            self.too_long = True
            self._full()
            self._parts.clear()

    def body(self, rest: bytes) -> bytes:
        """Return the body of what was held, with the bytes that end it."""
        return (b"".join(self._parts) + rest).partition(b"\r\n\r\n")[2]

    def open(self, answer: WholeAnswer | StreamedAnswer, line: bytes) -> None:
        """Send the client what is held, with one more header line, and whatever comes from now on."""
        self._client.write(begun(self._client, answer, self.body(b""), line))
        answer.go_to(self._client)
