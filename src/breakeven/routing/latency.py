"""How long a target takes to begin its answers: a memory in which what is older counts for less.

Observations are kept as a histogram with buckets of 19 percent, so that any quantile can be told within half a bucket.
A newer observation is entered with a greater weight instead of making the older ones lighter, which costs the same
whatever has been seen.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp2, inf, log2, nan
from typing import Final

import msgspec

HALF_LIFE_S: Final = 60.0
"""After so long an observation counts half."""

FORGET_S: Final = 300.0
"""A target that was not heard of for so long is not known any more, and is tried anew."""

_BUCKETS_AN_OCTAVE: Final = 4
_SHORTEST_S: Final = 2.0**-10
_BUCKETS: Final = 80
"""From 1 ms to 1024 s; what is outside counts at the ends."""

_MOST_HALVES: Final = 40.0
"""A weight grows to so many doublings before all are made lighter."""


BOUNDS_S: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets that times to the first byte are counted in; one more bucket holds the rest."""


class FirstBytes(msgspec.Struct):
    """Times from a request to the first byte of its answer, counted by bucket, since the worker began."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, first_byte_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, first_byte_s)] += 1
        self.sum_s += first_byte_s


class Latency:
    """The time to first byte of one target, of late."""

    __slots__ = ("_counts", "_last_s", "_since_s", "_sum", "_weight")

    def __init__(self) -> None:
        self._counts = [0.0] * _BUCKETS
        self._weight = self._sum = self._since_s = 0.0
        self._last_s = -inf

    def observe(self, seconds: float, now_s: float) -> None:
        """Take what one answer took to begin; ``now_s`` is of a stopwatch that never goes back."""
        if not self._weight:
            self._since_s = now_s
        halves = (now_s - self._since_s) / HALF_LIFE_S
        if halves > _MOST_HALVES:
            self._rebase(now_s, halves)
            halves = 0.0
        weight = exp2(halves)
        bucket = int(_BUCKETS_AN_OCTAVE * log2(seconds / _SHORTEST_S)) if seconds > _SHORTEST_S else 0
        self._counts[bucket if bucket < _BUCKETS else -1] += weight
        self._weight += weight
        self._sum += weight * seconds
        self._last_s = now_s

    def predicted_s(self, now_s: float) -> float:
        """Return the expected seconds to the first byte: the mean; NaN when nothing is known, or not any more."""
        return self._sum / self._weight if now_s - self._last_s < FORGET_S else nan

    def quantile_s(self, share: float, now_s: float) -> float:
        """Return the seconds within which that share of answers began, 0 < share <= 1; NaN as for the prediction."""
        if now_s - self._last_s >= FORGET_S:
            return nan
        left = share * self._weight
        bucket = -1
        while left > 0.0 and bucket < _BUCKETS - 1:
            bucket += 1
            left -= self._counts[bucket]
        return _SHORTEST_S * exp2((bucket + 0.5) / _BUCKETS_AN_OCTAVE)

    def _rebase(self, now_s: float, halves: float) -> None:
        """Make all weights lighter, so that a new one is 1 again, before they grow out of a float's range."""
        lighter = exp2(-min(halves, 1000.0))
        self._counts = [count * lighter for count in self._counts]
        self._weight *= lighter
        self._sum *= lighter
        self._since_s = now_s
