"""A worker's lease of one limit that several workers share: granted by all, spent here without asking.

What this worker was granted is kept by the mark of its window (the beginning of the day or month, the slot of a minute,
0 for what is under way), and is told to the others as the whole it is, never as a change: telling it twice, or again to
a server that has lost it, is harmless.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.limits.meter import RETRY_S, SLOT_S, SLOTS, meter_of
from breakeven.limits.rules import KINDS, window_edges

if TYPE_CHECKING:
    from breakeven.limits.rules import Rule

_DAY_S: Final = 86_400


class Link:
    """Whether the others can be asked, and what may be spent unasked while they cannot."""

    __slots__ = ("_slack", "_workers", "away")

    def __init__(self, slack: float, workers: int) -> None:
        """Take the share of each limit that all workers of this gateway together may spend unasked."""
        self._slack = slack
        self._workers = workers
        self.away = True

    def slack_of(self, rule: Rule) -> Rule:
        """Return what one worker may spend unasked, as a rule of its own."""
        return rule._replace(amount=int(rule.amount * self._slack / self._workers))


class Lease:
    """A meter that spends what was granted, and slack while nobody can be asked for more.

    A reservation from slack is granted by this worker to itself; the others learn of it when they are back.
    """

    __slots__ = (
        "_ends_s", "_link", "_slack", "asked", "base", "denied_amount", "denied_until_s", "dirty", "free", "granted",
        "mark", "pace", "place", "rule", "taken", "used",
    )  # fmt: skip

    def __init__(self, rule: Rule, now_s: float, link: Link) -> None:
        self._link = link
        self._slack = meter_of(link.slack_of(rule), now_s)
        self.rule = rule
        self.place = KINDS.index(rule.kind)
        self.free = 0
        """Granted and not reserved; below 0 where more was used than was reserved."""

        self.mark, self._ends_s = self._window(now_s)
        self.granted: dict[int, int] = {}
        """By mark, what counts as this worker's: reserved, used and free."""

        self.dirty: set[int] = set()
        """Marks of which the others know another amount, or may."""

        self.base = (self.mark, 0)
        """What this gateway had used before the start, and in which window."""

        self.used = 0
        """By all workers, as told last; what they hold in advance is in it."""

        self.taken = self.pace = self.asked = 0
        """Reserved since the last round; in the round before; waiting for an answer."""

        self.denied_amount, self.denied_until_s = 0, 0.0

    def follow(self, rule: Rule) -> None:
        """Go on under a rule with another amount."""
        self.rule = rule
        self._slack.follow(self._link.slack_of(rule))
        self.denied_until_s = 0.0

    def fits(self, amount: int, now_s: float) -> bool:
        """Whether an amount may be taken unasked."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        if self.free >= amount:
            return True
        return self._link.away and self._slack.fits(amount, now_s)

    def take(self, amount: int) -> int:
        """Take an amount; the mark's lowest bit says whether it came from slack."""
        self.taken += amount
        if self.free >= amount:
            self.free -= amount
            return self.mark << 1
        self._slack.take(amount)
        self.granted[self.mark] = self.granted.get(self.mark, 0) + amount
        self.dirty.add(self.mark)
        return self.mark << 1 | 1

    def correct(self, mark: int, delta: int) -> None:
        """Change what was taken."""
        window = mark >> 1
        if mark & 1:
            self._slack.correct(window, delta)
            self._change(window, delta)
        elif window == self.mark:
            self.free -= delta
        else:
            self._change(window, delta)

    def waits_s(self, amount: int, now_s: float) -> float:
        """Return the time until a day or a month ends; of a minute, until something may have changed."""
        if amount > self.rule.amount:
            return inf
        if self.rule.kind == "parallel":
            return RETRY_S
        return float(SLOT_S) if self.rule.window == "minute" else max(self._ends_s - now_s, 0.0)

    def add(self, amount: int, now_s: float) -> None:
        """Remember what was used before the start: the others may know of it already."""
        self.fits(0, now_s)
        self.base = (self.mark, self.base[1] + amount)

    def make_good(self, delta: int, now_s: float) -> None:
        """Change what was used in the present window by what was not taken: of what was granted, never of slack."""
        self.fits(0, now_s)
        self.correct(self.mark << 1, delta)

    # For the rounds in which workers tell each other

    def even(self, keep: int) -> None:
        """Give back what is free beyond ``keep``; make good what was used beyond what was granted."""
        surplus = self.free - min(max(self.free, 0), keep)
        if surplus:
            self.free -= surplus
            self._change(self.mark, -surplus)

    def receive(self, mark: int, amount: int) -> None:
        """Take what was granted; a grant for a window that has passed meanwhile is declined."""
        if mark == self.mark:
            self.free += amount
            self.granted[mark] = self.granted.get(mark, 0) + amount
        elif self.rule.window == "minute":
            self.granted.setdefault(mark, 0)
            self.dirty.add(mark)

    def expires_s(self, now_s: float) -> int:
        """Return how long the others keep what they know of the present window."""
        if self.rule.window in ("minute", "none"):
            return _DAY_S
        return int(self._ends_s - now_s) + _DAY_S

    def _change(self, mark: int, delta: int) -> None:
        known = self.granted.get(mark)
        if known is not None:  # else its window is over
            self.granted[mark] = known + delta
            self.dirty.add(mark)
        elif mark == self.mark:
            self.granted[mark] = delta
            self.dirty.add(mark)

    def _turn(self, now_s: float) -> None:
        """Begin a new window; what is left of a slot is given back, what is left of a day has no use any more."""
        slides = self.rule.window == "minute"
        if slides:
            self.even(0)
        self.mark, self._ends_s = self._window(now_s)
        self.free = 0
        self.granted = {mark: n for mark, n in self.granted.items() if slides and self.mark - mark < SLOTS}
        self.dirty &= self.granted.keys()
        self.denied_until_s = 0.0

    def _window(self, now_s: float) -> tuple[int, float]:
        """Return mark and end of the window of a moment."""
        if self.rule.kind == "parallel":
            return 0, inf
        if self.rule.window == "minute":
            slot = int(now_s) // SLOT_S
            return slot, float((slot + 1) * SLOT_S)
        return window_edges(self.rule.window, now_s)
