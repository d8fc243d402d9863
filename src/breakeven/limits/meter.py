"""Counters of one rule each: what is used in its window, and whether more fits.

All three say the same four things, each in constant time: ``fits`` whether an amount may be taken now, ``take`` takes
it and returns a mark of the window, ``correct`` changes what was taken under a mark, and ``waits_s`` says when it may
fit.  A clock that goes back changes nothing: the window of the latest moment stays.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from breakeven.limits.rules import KINDS, window_edges

if TYPE_CHECKING:
    from breakeven.limits.rules import Rule

MINUTE_S: Final = 60
SLOT_S: Final = 2
SLOTS: Final = MINUTE_S // SLOT_S + 1
"""Slots that count: those of the last minute, and the one that is partly in it."""

RETRY_S: Final = 1.0
"""After how long it is worth asking again where nobody can know."""


class Meter(Protocol):
    """What counts for one rule."""

    rule: Rule
    place: int
    """Place of its kind in ``KINDS``: which of a request's amounts it counts."""

    @property
    def used(self) -> int:
        """What is taken of the limit, as of the last ``fits``."""

    def fits(self, amount: int, now_s: float) -> bool:
        """Whether an amount may be taken at a moment (Unix seconds)."""

    def take(self, amount: int) -> int:
        """Take an amount at the moment of the last ``fits``, and return the mark of its window."""

    def correct(self, mark: int, delta: int) -> None:
        """Change what was taken under a mark; nothing happens where its window is over."""

    def waits_s(self, amount: int, now_s: float) -> float:
        """Return in how many seconds an amount that does not fit may fit; infinity: never."""

    def follow(self, rule: Rule) -> None:
        """Go on under a rule that counts the same with another amount."""

    def add(self, amount: int, now_s: float) -> None:
        """Count what was used in this window and not taken: before the meter was made, or beyond what was settled."""


class Calendar:
    """Counts in a day or a month, UTC: at its end everything begins anew."""

    __slots__ = ("_begins_s", "_ends_s", "place", "rule", "used")

    def __init__(self, rule: Rule, now_s: float) -> None:
        self.follow(rule)
        self.place = KINDS.index(rule.kind)
        self.used = 0
        self._begins_s, self._ends_s = window_edges(rule.window, now_s)

    def follow(self, rule: Rule) -> None:
        """Go on under a rule with another amount."""
        self.rule = rule

    def fits(self, amount: int, now_s: float) -> bool:
        """Whether an amount may be taken."""
        if now_s >= self._ends_s:
            self._begins_s, self._ends_s = window_edges(self.rule.window, now_s)
            self.used = 0
        return self.used + amount <= self.rule.amount

    def take(self, amount: int) -> int:
        """Take an amount; the mark is the window's beginning."""
        self.used += amount
        return self._begins_s

    def correct(self, mark: int, delta: int) -> None:
        """Change what was taken."""
        if mark == self._begins_s:
            self.used += delta

    def waits_s(self, amount: int, now_s: float) -> float:
        """Return the time until the window ends."""
        return max(self._ends_s - now_s, 0.0) if amount <= self.rule.amount else inf

    def add(self, amount: int, now_s: float) -> None:
        """Count what was used and not taken."""
        self.fits(0, now_s)
        self.used += amount


class Sliding:
    """Counts in the last minute, so that no 60 seconds, wherever they begin, see more than the limit.

    Amounts are kept by the slot of ``SLOT_S`` seconds in which they were taken, slot(t) = floor(t / SLOT_S); at t the
    slots slot(t) - 60 / SLOT_S … slot(t) count in full.  Any moment of the last 60 s lies in one of them, so the bound
    is strict, and it is tight but for one slot: what was taken frees its place after 60 to 62 s.  (Two buckets weighted
    by time, and a bucket that refills, both admit nearly twice the limit in some minutes.)
    """

    __slots__ = ("_ring", "_slot", "place", "rule", "used")

    def __init__(self, rule: Rule, now_s: float) -> None:
        self.follow(rule)
        self.place = KINDS.index(rule.kind)
        self.used = 0
        self._slot = int(now_s) // SLOT_S
        self._ring = [0] * SLOTS

    def follow(self, rule: Rule) -> None:
        """Go on under a rule with another amount."""
        self.rule = rule

    def fits(self, amount: int, now_s: float) -> bool:
        """Whether an amount may be taken."""
        slot = int(now_s) // SLOT_S
        if slot > self._slot:
            self._slide(slot)
        return self.used + amount <= self.rule.amount

    def take(self, amount: int) -> int:
        """Take an amount; the mark is the slot's number."""
        slot = self._slot
        self._ring[slot % SLOTS] += amount
        self.used += amount
        return slot

    def correct(self, mark: int, delta: int) -> None:
        """Change what was taken."""
        if self._slot - mark < SLOTS:
            self._ring[mark % SLOTS] += delta
            self.used += delta

    def waits_s(self, amount: int, now_s: float) -> float:
        """Return the time until enough slots have left the minute."""
        over = self.used + amount - self.rule.amount
        if amount > self.rule.amount:
            return inf
        for slot in range(self._slot - SLOTS + 1, self._slot + 1):
            over -= self._ring[slot % SLOTS]
            if over <= 0:
                return max((slot + SLOTS) * SLOT_S - now_s, 0.0)
        return RETRY_S

    def add(self, amount: int, now_s: float) -> None:
        """Count what was used just now."""
        self.fits(0, now_s)
        self.take(amount)

    def _slide(self, slot: int) -> None:
        if slot - self._slot >= SLOTS:
            self._ring = [0] * SLOTS
            self.used = 0
        else:
            for passed in range(self._slot + 1, slot + 1):
                self.used -= self._ring[passed % SLOTS]
                self._ring[passed % SLOTS] = 0
        self._slot = slot


class Gauge:
    """Counts what is under way at the moment."""

    __slots__ = ("place", "rule", "used")

    def __init__(self, rule: Rule) -> None:
        self.follow(rule)
        self.place = KINDS.index(rule.kind)
        self.used = 0

    def follow(self, rule: Rule) -> None:
        """Go on under a rule with another amount."""
        self.rule = rule

    def fits(self, amount: int, now_s: float) -> bool:  # noqa: ARG002 - all meters are asked alike
        """Whether one more may begin."""
        return self.used + amount <= self.rule.amount

    def take(self, amount: int) -> int:
        """Count one more; there is one window only."""
        self.used += amount
        return 0

    def correct(self, mark: int, delta: int) -> None:  # noqa: ARG002 - all meters are asked alike
        """Count one less."""
        self.used += delta

    def waits_s(self, amount: int, now_s: float) -> float:  # noqa: ARG002 - all meters are asked alike
        """Return a guess: nobody knows when a request ends."""
        return RETRY_S if amount <= self.rule.amount else inf

    def add(self, amount: int, now_s: float) -> None:
        """Nothing was under way before."""


def meter_of(rule: Rule, now_s: float) -> Meter:
    """Make the meter of a rule."""
    if rule.kind == "parallel":
        return Gauge(rule)
    return Sliding(rule, now_s) if rule.window == "minute" else Calendar(rule, now_s)
