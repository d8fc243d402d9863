"""What a client's connection asks of the desk at which its requests arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from breakeven.gateway.replies import Reply

Connection_contra = TypeVar("Connection_contra", contravariant=True)


class Reception(Protocol[Connection_contra]):
    """Who decides what becomes of a request; each answer is a refusal, or None."""

    def admit(self, connection: Connection_contra) -> bool:
        """Count a connection in, unless there are too many."""

    def gone(self, connection: Connection_contra) -> None:
        """Count it out."""

    def check_head(self, connection: Connection_contra, method: bytes, path: bytes) -> Reply | None:
        """Check a head before its body is read."""

    def check_now(self, connection: Connection_contra) -> Reply | None:
        """Check what may have changed since the same head was accepted."""

    def act(self, connection: Connection_contra, path: bytes, body: bytes) -> None:
        """Act on a whole request."""

    def carry(self, connection: Connection_contra, body: bytes) -> Reply | None:
        """Carry a request for a model to a target."""

    def hand_over(self, connection: Connection_contra, read: bytes) -> Reply | None:
        """Give the connection to another process, with what was read of its request."""
