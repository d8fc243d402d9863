"""Where requests wait for a node while all of a route's are full and no API may take them: fairly, and not for ever."""

from __future__ import annotations

import re
from math import inf, isfinite
from typing import TYPE_CHECKING, Final, Protocol

from breakeven.gateway import replies
from breakeven.routing.queueing import MOST_PRIORITY, TURN_S, FairQueue, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.clock import Clock, Timer
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.replies import Reply
    from breakeven.gateway.snapshot import WaitingPlan

PRIORITY: Final = b"x-breakeven-priority"
DEADLINE: Final = b"x-breakeven-deadline-s"
"""The headers in which a client says that others may go first, and in how many seconds its answer must begin."""

_WHOLE: Final = re.compile(rb"-?[0-9]{1,9}")


class Labelled(Protocol):
    """A client, as a waiting room knows it."""

    @property
    def labels(self) -> Mapping[bytes, bytes]:
        """Headers in which it says something about its request."""


class Waits(Protocol):
    """A request, as a waiting room knows it."""

    key: KeyState
    payload: bytes

    @property
    def client(self) -> Labelled:
        """Who waits for its answer."""

    def wait(self, place: Place) -> None:
        """Wait at a place."""

    def admitted(self) -> None:
        """Go to a node: there is room."""

    def turned_away(self, refused: Reply) -> None:
        """Tell the client that there is none."""


class WaitingRoom:
    """The requests of one route that wait."""

    def __init__(self, plan: WaitingPlan, has_room: Callable[[float], bool], clock: Clock) -> None:
        self._plan = plan
        self._has_room = has_room
        self._clock = clock
        self._queue: FairQueue[Waits] = FairQueue(most_requests=plan.most_requests)
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    def admit(self, exchange: Waits) -> Reply | None:
        """Let a request wait; return its refusal if it is the one that has no room.  Another one may have to go."""
        now_s = self._clock.monotonic()
        priority, deadline_s = said(exchange)
        waiting = Waiting(
            exchange,
            key=exchange.key.name,
            priority=priority,
            tokens=len(exchange.payload) >> 2,
            since_s=now_s,
            deadline_s=now_s + min(deadline_s, self._plan.longest_s),
        )
        without = self._queue.put(waiting)
        if without is waiting:
            return _refusal("The nodes are full, and so is the queue before them.", "queue_full")
        if without is not None:
            without.item.turned_away(_refusal("More urgent requests have taken this one's place.", "queue_full"))
        exchange.wait(Place(self._queue, waiting))
        self._turn_later()
        return None

    def turn(self) -> None:
        """Send those for whom there is room now, and turn away those who have waited too long."""
        if not len(self._queue):
            return
        now_s = self._clock.monotonic()
        for late in self._queue.late(now_s):
            waited_s = now_s - late.since_s
            late.item.turned_away(_refusal(f"The nodes stayed full for {waited_s:.1f} s.", "no_room_in_time"))
        while self._has_room(now_s) and (waiting := self._queue.take(now_s)) is not None:
            waiting.item.admitted()
        self._turn_later()

    def _turn_later(self) -> None:
        if self._timer is None and len(self._queue):
            self._timer = self._clock.call_later(TURN_S, self._timed_turn)

    def _timed_turn(self) -> None:
        self._timer = None
        self.turn()


class Place:
    """A request's place in a queue, to be given up when its client leaves."""

    __slots__ = ("_queue", "_waiting")

    def __init__(self, queue: FairQueue[Waits], waiting: Waiting[Waits]) -> None:
        self._queue = queue
        self._waiting = waiting

    def cancel(self) -> None:
        """Leave the queue."""
        self._queue.remove(self._waiting)


def said(exchange: Waits) -> tuple[int, float]:
    """Return the priority of a request, which its client may only lower, and its deadline in seconds, perhaps none."""
    headers, priority = exchange.client.labels, exchange.key.priority
    if headers:
        text = headers.get(PRIORITY, b"")
        if _WHOLE.fullmatch(text):
            priority = max(-MOST_PRIORITY, min(priority, int(text)))
        try:
            deadline_s = float(headers.get(DEADLINE, b"inf"))
        except ValueError:
            deadline_s = inf
        return priority, deadline_s if isfinite(deadline_s) and deadline_s > 0 else inf
    return priority, inf


def _refusal(message: str, code: str) -> Reply:
    return replies.refusal(503, f"{message} Send the request again later.", code, extra=replies.RETRY_LATER)
