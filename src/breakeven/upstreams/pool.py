"""The connections to one target: idle ones are used again, newest first, and the rest are made on demand.

Newest first, because the oldest is the likeliest to have been closed at the other end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from breakeven.upstreams.connection import CONNECT_FAILED, SATURATED, Answering, KnownAnswer, UpstreamConnection
from breakeven.upstreams.dial import Address, NotConnectedError, dial
from breakeven.upstreams.heads import MAX_LESSONS

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.upstreams.heads import RepeatedHead

IDLE_S: Final = 60.0
"""Idle connections are closed after half to all of this time: most servers keep theirs for 60 to 75 s."""


class Pool:
    """Connections to one address, at most ``max_connections`` of them."""

    def __init__(self, address: Address, *, max_connections: int, clock: Clock) -> None:
        self.address = address
        self.known: KnownAnswer | None = None
        self._lessons = MAX_LESSONS
        self._lesson_s = 0.0
        self._max_connections = max_connections
        self._clock = clock
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._dialling: dict[Answering, asyncio.Task[None]] = {}
        self._retired = False

    @property
    def open_connections(self) -> int:
        """How many connections there are, being made ones included."""
        return len(self._open) + len(self._dialling)

    def idle(self) -> UpstreamConnection | None:
        """Return a kept connection, or None when one has to be made."""
        return self._idle.pop() if self._idle else None

    def connect(self, answering: Answering) -> None:
        """Make a connection for ``answering``, who is told how that went, never from within this call."""
        if self.open_connections >= self._max_connections:
            detail = f"{self.address.host}:{self.address.port} has its {self._max_connections} connections in use"
            self._clock.call_later(0, lambda: answering.not_connected(SATURATED, detail))
            return
        self._dialling[answering] = asyncio.get_running_loop().create_task(self._dial(answering))

    def forget(self, answering: Answering) -> None:
        """Do not tell ``answering`` of a connection any more; one that is being made is given up."""
        task = self._dialling.pop(answering, None)
        if task is not None:
            task.cancel()

    def keep(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        if self._retired:
            connection.drop()
        else:
            self._idle.append(connection)

    def remember(self, head: RepeatedHead | None, status: int, headers: dict[bytes, bytes]) -> None:
        """Keep the head of an answer that came whole in one packet, as long as that has been of use.

        Heads that bear the second differ once in a second, so one lesson a second is free.
        """
        now_s = self._clock.monotonic()
        if now_s - self._lesson_s >= 1:
            self._lesson_s, self._lessons = now_s, MAX_LESSONS
        if self._lessons and head is not None:
            self._lessons -= 1
            self.known = KnownAnswer(head, status, dict(headers))

    def gone(self, connection: UpstreamConnection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        if connection.answering is None and connection in self._idle:
            self._idle.remove(connection)

    def sweep(self) -> None:
        """Close connections that have been idle since the last sweep; called twice in ``IDLE_S``."""
        for connection in [c for c in self._idle if c.rested]:
            self._idle.remove(connection)
            connection.drop()
        for connection in self._idle:
            connection.rested = True

    def retire(self) -> None:
        """Close every connection once it carries nothing: no new request will come; those under way go on."""
        self._retired = True
        for connection in list(self._idle):
            connection.drop()

    def close(self) -> None:
        """Close every idle connection and make no new ones."""
        for task in self._dialling.values():
            task.cancel()
        for connection in list(self._idle):
            connection.drop()

    async def _dial(self, answering: Answering) -> None:
        made: list[UpstreamConnection] = []

        def make() -> UpstreamConnection:
            made.append(UpstreamConnection(self))
            return made[-1]

        try:
            connection = await dial(self.address, make)
        except NotConnectedError as error:
            self._give_up(made)
            self._dialling.pop(answering, None)
            answering.not_connected(error.reason, error.detail)
            return
        except BaseException:  # cancelled, perhaps when the connection had just been made
            self._give_up(made)
            raise
        is_awaited = self._dialling.pop(answering, None) is not None
        if connection.transport is None:
            if is_awaited:
                answering.not_connected(CONNECT_FAILED, f"{self.address.host}:{self.address.port} closed it at once")
            return
        self._open.add(connection)
        if is_awaited:
            answering.connected(connection)
        else:
            self.keep(connection)

    def _give_up(self, made: list[UpstreamConnection]) -> None:
        for connection in made:
            connection.drop()
            self.gone(connection)
