"""Who a request is answered to, as its exchange knows it: a connection, or the gateway itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from breakeven.gateway.dialects import Dialect
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.shared import Carried


class Receiver(Protocol):
    """Where the bytes of an answer go."""

    dialect: Dialect
    transport: asyncio.Transport | None

    @property
    def takes_chunks(self) -> bool:
        """Whether it understands chunked answers; if not, a body of unknown length ends with the connection."""

    def write(self, data: bytes) -> None:
        """Send bytes; nothing when it has gone."""


class Client(Receiver, Protocol):
    """What is known of a request's sender, and how it is answered."""

    key: KeyState | None
    received_s: float
    """Unix seconds at which the request's head was complete."""

    passed: bytes
    """Header lines that its target is to see."""

    labels: dict[bytes, bytes]
    """Its ``x-breakeven-`` headers by lower-case name."""

    exchange: Carried | None
    """What is being done for it; None while nothing is."""

    @property
    def keeps_alive(self) -> bool:
        """Whether it can ask again after the answer, as far as is known now."""

    def reply(self, reply: Reply) -> None:
        """Send an answer of the gateway's own, the whole of it."""

    def done(self, *, close: bool = False) -> None:
        """End the answer; ``close``: and the connection."""
