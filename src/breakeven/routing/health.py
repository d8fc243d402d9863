"""A circuit breaker for each target: whether it may be tried, told from how its last attempts ended.

A target that fails too often is left alone for a while (it is *open*); then exactly one request goes there as a probe,
and the others only once the probe was answered.  A target that says when it wants to be asked again is *held* until
then.  The hot path pays one look at ``Health.troubled``: while it is false nothing needs to be told or asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.routing.kinds import NOTHING, OURS, OVERLOADED, RATE_LIMITED, WELL

if TYPE_CHECKING:
    from breakeven.routing.kinds import Kind

_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a target counts as down, and for how long."""

    failed_requests: int = 5
    """Failures that open it: so many in a row, or within the window if they are also ``failed_fraction`` of it."""

    failed_fraction: float = 0.5
    """Least share of failures in the window: a few among thousands of answers say nothing."""

    window_s: float = 30.0
    """From the first failure; after as much time without opening, all is forgotten."""

    open_s: float = 5.0
    """How long it stays open the first time; twice as long after each probe that fails."""

    max_open_s: float = 120.0
    refused_requests: int = 3
    """Refusals in a row of our own credentials, quota or model that open it."""

    refused_open_s: float = 300.0
    """How long it then stays open: that lasts until a person has done something."""

    max_held_s: float = 60.0
    """Longest time for which a target's own word (``Retry-After``) is taken."""

    jitter_fraction: float = 0.2
    """Share of an open time that chance may take off, so that not all workers probe at once."""

    probe_s: float = 900.0
    """After so long without word of a probe another may go: no answer takes longer than a request's total time."""


class Health:
    """What is remembered of one target; changed by the one event loop that sends requests there.

    Times are seconds of one stopwatch; chance comes in as ``uniform``, a number in [0, 1).
    """

    __slots__ = (
        "_answered", "_breaker", "_doublings", "_failed", "_held_until_s", "_open", "_open_until_s", "_probe_until_s",
        "_refused", "_since_s", "troubled",
    )  # fmt: skip

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self.troubled = False
        """Whether anything is remembered; while not, it may be tried, and ``started`` and ``succeeded`` do nothing."""

        self._open = False
        self._open_until_s = self._held_until_s = self._probe_until_s = -inf
        self._since_s = 0.0
        self._failed = self._answered = self._refused = self._doublings = 0

    def may_try(self, now_s: float) -> bool:
        """Whether a request may go there now; asking changes nothing."""
        if not self.troubled:
            return True
        if now_s < self._held_until_s:
            return False
        return not self._open or (now_s >= self._open_until_s and now_s >= self._probe_until_s)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds after which it may be worth to ask again."""
        return max(0.0, self._held_until_s - now_s, (self._open_until_s - now_s) if self._open else 0.0)

    def started(self, now_s: float) -> bool:
        """Note that an attempt begins there, and return whether it is the probe, which its end must say too.

        One that is sent before its time, because there is nobody else, is a probe as well.
        """
        if not self._open or now_s < self._probe_until_s:
            return False
        self._probe_until_s = now_s + self._breaker.probe_s
        return True

    def succeeded(self, now_s: float, *, probe: bool = False) -> None:
        """Note an attempt that was answered as it should.

        While it is open only the probe counts: the end of an answer that began before says nothing about now.
        """
        if not self.troubled:
            return
        self._refused = 0
        if self._open:
            if probe:
                self._close(now_s)
            return
        self._answered += 1
        if now_s - self._since_s > self._breaker.window_s and now_s >= self._held_until_s:
            self.troubled = False
            self._doublings = 0

    def failed(
        self,
        now_s: float,
        kind: Kind,
        retry_after_s: float | None = None,
        *,
        uniform: float = 0.0,
        probe: bool = False,
    ) -> None:
        """Note an attempt that failed; ``retry_after_s``: when the target wants to be asked again, if it says so.

        What is no fault of the target's counts as an answer, or not at all.
        """
        if kind.says == NOTHING:
            self.abandoned(probe=probe)
            return
        if kind.says == WELL:
            self.succeeded(now_s, probe=probe)
            return
        if not self.troubled:
            self.troubled = True
            self._begin_window(now_s)
        if kind.says == OURS:
            self._note_refusal(now_s, uniform, probe=probe)
            return
        if retry_after_s is not None and kind in (RATE_LIMITED, OVERLOADED):
            self._held_until_s = max(self._held_until_s, now_s + min(retry_after_s, self._breaker.max_held_s))
            if kind is RATE_LIMITED:  # it works, and has said when
                if probe:
                    self._close(now_s)
                return
        self._note_failure(now_s, uniform, probe=probe)

    def abandoned(self, *, probe: bool) -> None:
        """Note an attempt whose end will not be known, as when its client left."""
        if probe:
            self._probe_until_s = -inf

    def _note_failure(self, now_s: float, uniform: float, *, probe: bool) -> None:
        breaker = self._breaker
        if self._open:
            if probe and now_s >= self._open_until_s:
                self._doublings += 1
                self._open_for(now_s, self._next_open_s(), uniform)
            else:  # one that began before it opened, or that was sent although it is open
                self.abandoned(probe=probe)
            return
        if self._answered and now_s - self._since_s > breaker.window_s:
            self._doublings = 0
            self._begin_window(now_s)
        self._failed += 1
        enough = breaker.failed_fraction * (self._failed + self._answered)
        if self._failed >= breaker.failed_requests and self._failed >= enough:
            self._open_for(now_s, self._next_open_s(), uniform)

    def _note_refusal(self, now_s: float, uniform: float, *, probe: bool) -> None:
        self._refused += 1
        if probe if self._open else self._refused >= self._breaker.refused_requests:
            self._open_for(now_s, self._breaker.refused_open_s, uniform)

    def _open_for(self, now_s: float, open_s: float, uniform: float) -> None:
        self._open = True
        self._probe_until_s = -inf
        self._open_until_s = now_s + open_s * (1.0 - self._breaker.jitter_fraction * uniform)

    def _next_open_s(self) -> float:
        longer_s = self._breaker.open_s * 2.0 ** min(self._doublings, _MOST_DOUBLINGS)
        return min(self._breaker.max_open_s, longer_s)

    def _close(self, now_s: float) -> None:
        self._open = False
        self._refused = 0
        self._probe_until_s = -inf
        self._begin_window(now_s)

    def _begin_window(self, now_s: float) -> None:
        self._since_s = now_s
        self._failed = self._answered = 0
