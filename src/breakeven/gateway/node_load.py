"""How busy a node of a pool is, between one look at its engine and the next, and whether it counts as full.

What the engine told last is carried on with what this process has sent there and what has ended since.  Where it
tells nothing, what this process has under way there is all that is known, so several workers know each their own.
"""

from __future__ import annotations

from math import inf, isnan, nan
from typing import TYPE_CHECKING, Final

from breakeven.engines.dialects import UNKNOWN
from breakeven.routing.fullness import is_full

if TYPE_CHECKING:
    from breakeven.engines.dialects import EngineLoad
    from breakeven.routing.fullness import Limits

_ANY: Final = 1 << 62
_NEWEST_SHARE: Final = 0.1
"""Weight of the newest request in the mean time that one takes."""


class NodeLoad:
    """The load of one node, as one worker knows it."""

    __slots__ = (
        "_base_ttft_s",
        "_by_queue_alone",
        "_in_flight",
        "_limits",
        "_request_s",
        "_running",
        "_stated_slots",
        "_waiting",
        "full",
        "kv_use_fraction",
        "queue",
        "room_until",
        "slots",
        "told",
    )  # fmt: skip

    def __init__(self, limits: Limits, stated_slots: int | None) -> None:
        """Know nothing yet; ``stated_slots``: how many requests it works on at once, if anybody said so."""
        self._limits = limits
        self._stated_slots = stated_slots
        self.slots = stated_slots or 0
        """How many requests it works on at once: as its engine showed, else as stated; 0: not known."""

        self.told = UNKNOWN
        """What its engine told last; unknown: nothing of late."""

        self.full = 0
        """Whether it counted as full at the last look."""

        self.queue = 0
        """Requests that waited there at the last look."""

        self.room_until = -1
        """With so many requests of our own under way there, or fewer, nobody waits and it is not full; -1: look."""

        self._by_queue_alone = limits.most_ttft_s == inf
        self.kv_use_fraction = 0.0
        self._running = self._waiting = self._in_flight = 0
        self._base_ttft_s = nan
        self._request_s = 0.0

    def take(self, told: EngineLoad, in_flight: int, base_ttft_s: float) -> None:
        """Take what the engine tells, or that it tells nothing, with so many requests of our own under way there.

        ``base_ttft_s``: after which an answer begins where nobody waits; NaN where that is not known.
        """
        self.told = told
        self._in_flight = in_flight
        self._running = told.running_requests or 0
        self._waiting = told.waiting_requests or 0
        self.kv_use_fraction = told.kv_use_fraction or 0.0
        if not told.is_known:
            self.slots = self._stated_slots or 0
        elif self._waiting:
            self.slots = max(1, self._running)  # more does not fit, or it would be at work
        elif self.slots:
            self.slots = max(self.slots, self._running)
        self._base_ttft_s = base_ttft_s
        self.room_until = -1
        self.look(in_flight)

    def ended(self, request_s: float) -> None:
        """Learn how long a request took there."""
        mean_s = self._request_s
        self._request_s = mean_s + _NEWEST_SHARE * (request_s - mean_s) if mean_s else request_s

    def look(self, in_flight: int) -> int:
        """Return whether it counts as full, with so many requests of our own under way there now; note its queue."""
        if in_flight <= self.room_until:
            self.queue = 0
            return 0
        self.queue = self._queue_length(in_flight)
        ttft_s = self._ttft_s(self.queue)
        was_full = self.full and in_flight + self._beside() > 0  # one without anything to do is judged anew
        self.full = int(is_full(was_full, self.queue, self.kv_use_fraction, ttft_s, self._limits))
        if self.full:
            self.room_until = -1
        elif not self.slots:
            self.room_until = _ANY if self._by_queue_alone else -1
        else:
            self.room_until = self.slots - self._beside() if self._by_queue_alone else -1
        return self.full

    def predicted_ttft_s(self, in_flight: int) -> float:
        """Return when a request would begin to be answered there; NaN where that is not known."""
        self.look(in_flight)
        return self._ttft_s(self.queue)

    def _ttft_s(self, queue: int) -> float:
        if not queue or not self.slots:
            return self._base_ttft_s
        return self._base_ttft_s + queue * self._request_s / self.slots

    def _queue_length(self, in_flight: int) -> int:
        """Return how many requests wait there.

        None as long as it is not known how many it works on: an engine that tells shows that by the first queue.
        """
        if not self.slots:
            return 0
        return max(0, in_flight + self._beside() - self.slots)

    def _beside(self) -> int:
        """Return how many requests were there beside our own when its engine told."""
        return self._running + self._waiting - self._in_flight if self.told.is_known else 0

    @property
    def base_ttft_s(self) -> float | None:
        """Time to the first byte without a queue, of late; None where that is not known."""
        return None if isnan(self._base_ttft_s) else self._base_ttft_s
