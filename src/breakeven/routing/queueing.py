"""Who goes next when nobody has room: classes by priority, keys in turn within a class, and no waiting in vain.

- **Classes**: a request of higher priority goes before all of lower ones; but each ``AGED_TURN``-th turn goes to a
  lower class whose oldest request waited for longer than ``aged_after_s``, so that none waits for ever.
- **Keys**: within a class the keys share by expected tokens: start-time fair queueing (Goyal, Vin, Cheng 1997,
  https://doi.org/10.1109/90.649569).  Of two keys that have requests waiting all the while, neither is served more than
  the other by more than one request of each; a key that comes anew begins level with those that wait, and what it did
  not use before is no credit.  A key's own requests keep their order.
- **Deadlines**: a request that cannot make its own is handed back by ``late``, and is charged to nobody.
- **Room**: when the queue is full, somebody goes without: of the lowest class, the newest request of the key that has
  most waiting there (of equals the first by name); the newcomer itself where that would gain nothing.

Each operation takes O(log n) for n requests in a few classes.  Requests that leave early stay in its lists until they
come to the front or are more than half of them.  ``capacity.line`` does the same on arrays, for simulations.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_PRIORITY: Final = 100
"""Priorities go from minus this to this; higher ones go first."""

NO_ROOM: Final = "queue_full"
TOO_LATE: Final = "deadline_passed"
"""Why a request is sent back: ``FairQueue.put`` had no room for it; ``FairQueue.late`` found it."""

AGED_TURN: Final = 8
"""At most one turn of so many goes by age: an eighth is little for those who are more urgent, and no starvation."""

AGED_AFTER_S: Final = 5.0
"""Stated, not measured: long beside a turn, short beside the half minute that people and clients wait for an answer."""

TURN_S: Final = 0.05
"""How often it is looked whether there is room, beside each time that a request ends."""

_FEW: Final = 64
"""Leftovers that are not worth clearing up."""

Item = TypeVar("Item")


class Waiting(Generic[Item]):
    """A request that waits, and what decides about its turn."""

    __slots__ = ("deadline_s", "is_in", "item", "key", "priority", "since_s", "tokens")

    def __init__(self, item: Item, *, key: str, priority: int, tokens: int, since_s: float, deadline_s: float) -> None:
        """Describe it: times are of one stopwatch, and ``deadline_s`` may be infinite; ``tokens`` are all expected.

        At least one counts.
        """
        self.item = item
        self.key = key
        self.priority = priority
        self.tokens = max(1, tokens)
        self.since_s = since_s
        self.deadline_s = deadline_s
        self.is_in = False
        """Whether it is in a queue; false before, and once it was taken, sent back or removed."""


class FairQueue(Generic[Item]):
    """Requests that wait for room; changed by one event loop."""

    def __init__(self, *, most_requests: int, aged_after_s: float = AGED_AFTER_S) -> None:
        """Hold at most so many requests, at least one."""
        self._most_requests = most_requests
        self._aged_after_s = aged_after_s
        self._classes: dict[int, _Class[Item]] = {}
        self._deadlines: list[tuple[float, int, Waiting[Item]]] = []
        self._numbers = count()
        self._count = 0
        self._turns = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._count

    @property
    def next_deadline_s(self) -> float:
        """When the next request has to be begun that waits; infinity where none has to."""
        heap = self._deadlines
        while heap and not heap[0][2].is_in:
            heappop(heap)
        return heap[0][0] if heap else inf

    def put(self, waiting: Waiting[Item]) -> Waiting[Item] | None:
        """Let a request wait; return the one that has no room, which may be itself, or None where there is room."""
        without = self._without_room(waiting) if self._count >= self._most_requests else None
        if without is waiting:
            return without
        if without is not None:
            self.remove(without)
        found = self._classes.get(waiting.priority)
        if found is None:
            found = self._classes[waiting.priority] = _Class()
        waiting.is_in = True
        found.put(waiting, next(self._numbers))
        self._count += 1
        if waiting.deadline_s < inf:
            if len(self._deadlines) > _FEW + 2 * self._count:
                self._deadlines = [entry for entry in self._deadlines if entry[2].is_in]
                heapify(self._deadlines)
            heappush(self._deadlines, (waiting.deadline_s, next(self._numbers), waiting))
        return without

    def take(self, now_s: float) -> Waiting[Item] | None:
        """Take out the request whose turn it is; None where nobody waits.  To be called after ``late``."""
        if not self._classes:
            return None
        highest = max(self._classes)
        chosen = self._aged(highest, now_s) if self._turns >= AGED_TURN - 1 else highest
        self._turns = self._turns + 1 if chosen == highest else 0
        taken = self._classes[chosen].take(next(self._numbers))
        self._left(taken)
        return taken

    def late(self, now_s: float, begins_in_s: float = 0.0) -> list[Waiting[Item]]:
        """Take out all whose deadline passes before they could begin, which is in so many seconds at the soonest."""
        gone = []
        while self.next_deadline_s < now_s + begins_in_s:
            waiting = heappop(self._deadlines)[2]
            self.remove(waiting)
            gone.append(waiting)
        return gone

    def remove(self, waiting: Waiting[Item]) -> None:
        """Let a request go that need not be answered any more; nothing happens if it is not in."""
        if waiting.is_in:
            self._classes[waiting.priority].remove(waiting)
            self._left(waiting)

    def _left(self, waiting: Waiting[Item]) -> None:
        self._count -= 1
        if not self._classes[waiting.priority].count:
            del self._classes[waiting.priority]  # nobody is owed anything where nobody waits

    def _aged(self, highest: int, now_s: float) -> int:
        """Return the lower class whose oldest request waited for too long and for longest, else the highest.

        Of equals the more urgent one.
        """
        chosen, before_s = highest, now_s - self._aged_after_s
        for priority, found in sorted(self._classes.items()):
            if priority != highest and found.oldest_s() <= before_s:
                chosen, before_s = priority, found.oldest_s()
        return chosen

    def _without_room(self, newcomer: Waiting[Item]) -> Waiting[Item]:
        lowest = min(self._classes)
        if lowest > newcomer.priority:
            return newcomer
        found = self._classes[lowest]
        key, most = found.longest()
        if lowest == newcomer.priority and most <= found.counts.get(newcomer.key, 0) + 1:
            return newcomer
        return found.newest(key)


class _Class(Generic[Item]):
    """The requests of one priority."""

    __slots__ = ("ages", "count", "counts", "finished", "keys", "lengths", "most_finished", "order", "served", "starts")

    def __init__(self) -> None:
        self.count = 0
        self.served = 0.0
        """Virtual time, in tokens: the start of the request that was taken last."""

        self.starts: dict[str, tuple[float, int]] = {}
        """By key that has requests waiting, the virtual start of its first, and a number that rises as starts are set:
        of equal starts the one that was set first goes first."""

        self.order: list[tuple[float, int, str]] = []
        """Heap of starts; what ``starts`` does not say is out of date."""

        self.finished: dict[str, float] = {}
        """By key that has none waiting, the virtual end of its last; what lies before ``served`` is of no use."""

        self.most_finished = _FEW
        self.keys: dict[str, deque[Waiting[Item]]] = {}
        self.counts: dict[str, int] = {}
        """By key, how many wait."""

        self.lengths: list[tuple[int, str]] = []
        """Heap of counts, longest first; no count is higher than here, and some are lower."""

        self.ages: deque[Waiting[Item]] = deque()
        """All in the order in which they came."""

    def put(self, waiting: Waiting[Item], number: int) -> None:
        key = waiting.key
        if key not in self.starts:
            start = max(self.served, self.finished.pop(key, 0.0))
            self.starts[key], self.keys[key], self.counts[key] = (start, number), deque(), 0
            self.order = _pushed(self.order, (start, number, key), 2 * len(self.starts), self._starts())
        self.keys[key].append(waiting)
        self.counts[key] += 1
        self.count += 1
        self.lengths = _pushed(self.lengths, (-self.counts[key], key), 2 * self.count, self._lengths())
        if len(self.ages) > _FEW + 2 * self.count:
            self.ages = deque(other for other in self.ages if other.is_in)
        self.ages.append(waiting)

    def take(self, number: int) -> Waiting[Item]:
        start, set_at, key = heappop(self.order)
        while self.starts.get(key) != (start, set_at):
            start, set_at, key = heappop(self.order)
        waiting = self.keys[key].popleft()
        while not waiting.is_in:
            waiting = self.keys[key].popleft()
        self.served = start
        self._gone(waiting)
        finish = start + waiting.tokens
        if key in self.starts:
            self.starts[key] = finish, number
            heappush(self.order, (finish, number, key))
        else:
            self._remember(key, finish)
        return waiting

    def remove(self, waiting: Waiting[Item]) -> None:
        key = waiting.key
        start, _ = self.starts[key]
        self._gone(waiting)
        if key not in self.starts:
            self._remember(key, start)
        elif len(self.keys[key]) > _FEW + 2 * self.counts[key]:
            self.keys[key] = deque(other for other in self.keys[key] if other.is_in)

    def oldest_s(self) -> float:
        while not self.ages[0].is_in:
            self.ages.popleft()
        return self.ages[0].since_s

    def longest(self) -> tuple[str, int]:
        """Return the key that has most waiting, and how many."""
        while True:
            length, key = self.lengths[0]
            now = self.counts.get(key, 0)
            if now == -length:
                return key, now
            heappop(self.lengths)
            if now:
                heappush(self.lengths, (-now, key))

    def newest(self, key: str) -> Waiting[Item]:
        queue = self.keys[key]
        while not queue[-1].is_in:
            queue.pop()
        return queue[-1]

    def _gone(self, waiting: Waiting[Item]) -> None:
        key = waiting.key
        waiting.is_in = False
        self.count -= 1
        self.counts[key] -= 1
        if not self.counts[key]:
            del self.starts[key], self.keys[key], self.counts[key]

    def _remember(self, key: str, finish: float) -> None:
        if finish <= self.served:
            return
        if len(self.finished) >= self.most_finished:
            self.finished = {other: end for other, end in self.finished.items() if end > self.served}
            self.most_finished = _FEW + 2 * len(self.finished)
        self.finished[key] = finish

    def _starts(self) -> Iterable[tuple[float, int, str]]:
        return ((start, number, key) for key, (start, number) in self.starts.items())

    def _lengths(self) -> Iterable[tuple[int, str]]:
        return ((-length, key) for key, length in self.counts.items())


Entry = TypeVar("Entry", bound=tuple[Any, ...])


def _pushed(heap: list[Entry], entry: Entry, room: int, whole: Iterable[Entry]) -> list[Entry]:
    """Return the heap with one more entry; ``whole``, which has it too, in its place when that has grown too long."""
    if len(heap) <= _FEW + room:
        heappush(heap, entry)
        return heap
    fresh = list(whole)
    heapify(fresh)
    return fresh
