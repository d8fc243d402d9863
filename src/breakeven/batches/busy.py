"""When lines of batches were under way: tells requests of people that came beside them from those that did not."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

KEPT_S: Final = 240.0
MOST_MOMENTS: Final = 20_000


class Busy:
    """Moments at which that began and ended."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()
        """Begun and ended in turn, the first of them a beginning."""

    def begin(self, at_s: float) -> None:
        """Note that the first line is sent."""
        self._moments.append(at_s)

    def end(self, at_s: float) -> None:
        """Note that the last one has its answer."""
        self._moments.append(at_s)
        while len(self._moments) > 2 and (self._moments[1] < at_s - KEPT_S or len(self._moments) > MOST_MOMENTS):
            self._moments.popleft()
            self._moments.popleft()

    def within(self, from_s: float, until_s: float) -> bool:
        """Whether any line was under way at some moment of that time."""
        moments = list(self._moments)
        before = bisect_left(moments, from_s)
        return before % 2 == 1 or bisect_left(moments, until_s) > before
