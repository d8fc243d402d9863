"""From level to level: ramp-up left out, a window in the steady state, and when to stop.

In a closed loop the next level adds streams to those that run, so that the endpoint is never let idle; the window
begins once as many requests have ended as there are streams.  In an open loop it begins after two requests' time.
Nothing is measured of the ramp-down: what is under way at the end is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.bench.load import arrive
from breakeven.bench.window import LoadAsked, Slo, Window
from breakeven.capacity.calibration import LEAST_GAIN_FRACTION, Level, is_past_knee

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.bench.load import Asked, Load
    from breakeven.bench.window import Known

LOOK_S: Final = 0.1
_GLANCE_S: Final = 0.02
"""Between two looks at a window, and at the ramp-up before it, whose end must not be missed."""

MOST_FAILED_FRACTION: Final = 0.1
LEAST_FAILED: Final = 5
"""Failures of a level beyond which it is not gone on with, as a share of its requests and as a number."""

_GENERATIONS: Final = 2
_REFINED: Final = 3
"""Levels tried between the last that kept the limits and the first that did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a level is known well enough, and when a sweep has gone far enough."""

    least_s: float
    most_s: float
    """Of a window, and of the ramp-up before it."""

    narrow_fraction: float
    """Half of the interval of throughput, over it, at which a window ends."""

    slo: Slo
    slo_share_fraction: float
    """Share of requests that is to keep the limits."""


class Glance(NamedTuple):
    """What goes on, for a display."""

    what: str
    steady: bool
    under_way: int
    ended: int
    failed: int
    known: Known | None


class Sweep:
    """Levels of one load after the other; those that were measured stand in ``levels``, and why it ended in ``why``."""

    def __init__(
        self, load: Load, rules: Rules, cpu_s: Callable[[], float], told: Callable[[Glance], None] | None
    ) -> None:
        self.levels: list[Level] = []
        self.why = ""
        self._load = load
        self._rules = rules
        self._cpu_s = cpu_s
        self._told = told or (lambda _: None)
        self._failed = False
        self._failed_before = 0
        self._ended_before = 0

    @property
    def is_over(self) -> bool:
        """Whether no further load should be begun: a bound is reached, or the endpoint fails."""
        return bool(self._load.spent) or self._failed

    async def closed(
        self, counts: Iterator[int], lengths: Iterator[Asked], asked: Asked | None, *, to_the_knee: bool
    ) -> None:
        """Keep so many streams open, level by level; ``to_the_knee``: stop where more is of no use.

        ``asked``: the lengths, where they are not a trace's.
        """
        load = self._load
        load.lengths = lengths
        self.why = ""
        levels: list[Level] = []
        for count in counts:
            level = await self._closed_level(LoadAsked(asked, streams=count))
            if level is None:
                break
            levels.append(level)
            if self._broken():
                break
            if to_the_knee and (why := self._far_enough(levels)):
                self.why = why
                break
        if to_the_knee and not load.spent:
            await self._refine(levels, asked)
        load.stop()

    async def opened(
        self, times_s: Iterator[float], lengths: Iterator[Asked], asked: LoadAsked, *, speedup_ratio: float = 1.0
    ) -> None:
        """Send requests at those times, so many times as fast."""
        load = self._load
        load.lengths = lengths
        self._begin_level()
        arrivals = asyncio.create_task(arrive(load, times_s, speedup_ratio, self._broken))
        try:
            await self._until(lambda: bool(load.tally.ended) or arrivals.done(), asked)
            request_s = max((item.last_s - item.sent_s for item in load.tally.ended), default=0.0)
            begins_s = load.clock.monotonic() + request_s
            await self._until(lambda: load.clock.monotonic() >= begins_s or arrivals.done(), asked)
            level = await self._window(asked, arrivals.done)
        finally:
            arrivals.cancel()
        if level is not None:
            self.levels.append(level)
        load.stop()

    async def _closed_level(self, asked: LoadAsked) -> Level | None:
        load, count = self._load, asked.streams or 1
        self._begin_level()
        wanted = load.tally.ended_count + count
        load.keep(count)
        await self._until(lambda: load.tally.ended_count >= wanted, asked)
        level = await self._window(asked, lambda: False)
        if level is not None:
            self.levels.append(level)
        return level

    async def _until(self, ready: Callable[[], bool], asked: LoadAsked) -> None:
        """Wait for a ramp-up, at most as long as for a window."""
        load = self._load
        ends_s = load.clock.monotonic() + self._rules.most_s
        while not ready() and not self._broken() and not self._idle() and load.clock.monotonic() < ends_s:
            await asyncio.sleep(_GLANCE_S)
            self._show(asked, None)

    async def _window(self, asked: LoadAsked, over: Callable[[], bool]) -> Level | None:
        rules, load = self._rules, self._load
        window = Window(load, self._cpu_s)
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                known = window.look()
                self._show(asked, known)
                enough = len(window.ended) >= _GENERATIONS * (asked.streams or 1) and window.lasts_s >= rules.least_s
                if (enough and known.error_fraction <= rules.narrow_fraction) or window.lasts_s >= rules.most_s:
                    break
                if over() or self._broken() or self._idle():
                    break
        except asyncio.CancelledError:
            level = window.level(rules.slo, asked)
            if level is not None:
                self.levels.append(level)
            raise
        return window.level(rules.slo, asked)

    async def _refine(self, levels: list[Level], asked: Asked | None) -> None:
        """Look between the last level that kept the limits and the first that did not."""
        kept = [level.asked_count or 0 for level in levels if self._keeps(level)]
        missed = [level.asked_count or 0 for level in levels if not self._keeps(level)]
        if not (self._rules.slo.is_set and kept and missed):
            return
        low, high = max(kept), min(missed)
        for _ in range(_REFINED):
            middle = (low + high) // 2
            if middle in (low, high) or self._load.spent:
                return
            level = await self._closed_level(LoadAsked(asked, streams=middle))
            if level is None:
                return
            low, high = (middle, high) if self._keeps(level) else (low, middle)

    def _far_enough(self, levels: list[Level]) -> str:
        level = levels[-1]
        if self._rules.slo.is_set and not self._keeps(level):
            return "the limits were no longer kept"
        gained_nothing = [is_past_knee(*pair) for pair in pairwise(levels)][-2:]
        if gained_nothing == [True, True] or (gained_nothing[-1:] == [True] and _is_sure(levels[-2:])):
            return "more streams gave no more tokens"
        return ""

    def _keeps(self, level: Level) -> bool:
        return (level.slo_fraction or 0.0) >= self._rules.slo_share_fraction

    def _begin_level(self) -> None:
        tally = self._load.tally
        self._failed_before, self._ended_before = tally.failed_count, tally.ended_count
        tally.clear()

    def _broken(self) -> bool:
        tally = self._load.tally
        failed = tally.failed_count - self._failed_before
        whole = failed + tally.ended_count - self._ended_before
        broken = failed >= LEAST_FAILED and failed > MOST_FAILED_FRACTION * whole
        if broken:
            self._failed = True
            self.why = f"{failed:,} of {whole:,} requests failed"
        return broken

    def _idle(self) -> bool:
        """Whether nothing is left to wait for: a bound is reached, and all that was sent has come back."""
        load = self._load
        self.why = load.spent or self.why
        return load.is_out_of_time or bool(load.spent and not load.under_way)

    def _show(self, asked: LoadAsked, known: Known | None) -> None:
        tally = self._load.tally
        ended = tally.ended_count - self._ended_before
        failed = tally.failed_count - self._failed_before
        self._told(Glance(str(asked), known is not None, self._load.under_way, ended, failed, known))


def _is_sure(levels: list[Level]) -> bool:
    """Whether throughput is known well enough to see a gain."""
    return all((level.throughput_error_fraction or 1.0) <= LEAST_GAIN_FRACTION for level in levels)
