"""When a second target is asked because the first is slow to begin; the first that begins serves, the other is dropped.

A hedge costs another request, so only a share of requests may have one, and only those slower than nearly all others
of their kind are at the same target.  A request of which the client has seen anything is never hedged.  The rule is
that of Dean and Barroso, "The Tail at Scale" (2013, https://doi.org/10.1145/2408776.2408794).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import ceil

from breakeven.routing.latency import Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedging:
    """How often and how late hedges are sent."""

    after_fraction: float = 0.95
    """The quantile of the target's time to first byte that must have passed, below 1."""

    share_fraction: float = 0.05
    """Most hedges, as a share of requests."""

    saved_requests: float = 10.0
    """Most hedges that a quiet time saves up."""

    least_s: float = 0.05
    """Never sooner, however fast the target is."""

    @property
    def least_observed(self) -> int:
        """Answers that must have been seen before the quantile says anything: one of them lies beyond it."""
        return ceil(1 / (1 - self.after_fraction))


class Hedges:
    """What one model's targets took to begin, streams and whole answers apart, and how many hedges are earned.

    Whole answers begin when they end, so that the two have nothing to do with each other.
    """

    __slots__ = ("_observed", "_rule", "_seen", "earned_requests")

    def __init__(self, rule: Hedging) -> None:
        """Begin with nothing known and nothing earned."""
        self._rule = rule
        self._seen: defaultdict[tuple[int, bool], Latency] = defaultdict(Latency)
        self._observed: defaultdict[tuple[int, bool], int] = defaultdict(int)
        self.earned_requests = 0.0

    def served(self, index: int, seconds: float, now_s: float, *, streamed: bool) -> None:
        """Take what the answer of the target at ``index`` took to begin; each such request earns a part of a hedge."""
        self.observe(index, seconds, now_s, streamed=streamed)
        rule = self._rule
        self.earned_requests = min(rule.saved_requests, self.earned_requests + rule.share_fraction)

    def observe(self, index: int, seconds: float, now_s: float, *, streamed: bool) -> None:
        """Take a time to first byte, or the wait of an attempt that was overtaken: at least so long it would be."""
        self._observed[index, streamed] += 1
        self._seen[index, streamed].observe(seconds, now_s)

    def due(self, index: int, waited_s: float, now_s: float, *, streamed: bool) -> bool:
        """Whether a request that has waited so long for the target at ``index`` is hedged now."""
        rule, kind = self._rule, (index, streamed)
        if self.earned_requests < 1.0 or waited_s < rule.least_s or self._observed[kind] < rule.least_observed:
            return False
        return waited_s >= self._seen[kind].quantile_s(rule.after_fraction, now_s)

    def spend(self) -> None:
        """Pay for a hedge that is sent."""
        self.earned_requests -= 1.0
