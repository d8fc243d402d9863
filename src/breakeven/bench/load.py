"""Keeps requests under way at an endpoint: as many as are asked for, or at the times that are asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.bench.call import TIMED_OUT, Call
from breakeven.bench.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.bench.endpoint import Endpoint
    from breakeven.bench.prompts import Prompts
    from breakeven.clock import Clock, Timer
    from breakeven.upstreams.pool import Pool

NOT_SENT: Final = "not_sent"
"""An arrival of an open loop for which no connection was left."""

REST_S: Final = 1.0
"""Before a stream of a closed loop tries again after a failure, so that an endpoint in trouble is left in peace."""

_BURST: Final = 16
_BURST_S: Final = 0.01
"""Most requests sent at once when there are more to keep under way, and the pause before more."""

_WATCH_S: Final = 0.25
_TICK_S: Final = 0.02
_TICKS_KEPT: Final = 5000
_MOST_STALE: Final = 3
"""Kept connections found closed before none are used again."""


class Asked(NamedTuple):
    """Lengths of one request."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is never gone beyond, whatever else is asked."""

    most_requests: int
    most_s: float
    silent_s: float
    """Without anything from the endpoint before a request counts as failed."""

    open_count: int
    """Most requests under way at once."""


class Load:
    """Requests under way at one endpoint; it is the ``call.Caller`` of all of them."""

    def __init__(self, endpoint: Endpoint, pool: Pool, prompts: Prompts, bounds: Bounds, clock: Clock) -> None:
        self.clock = clock
        self.pool = pool
        self.tally = Tally()
        self.reuses = True
        self.sent_count = 0
        self.lengths: Iterator[Asked] = iter(())

        self._endpoint = endpoint
        self._prompts = prompts
        self._bounds = bounds
        self._began_s = clock.monotonic()
        self._calls: set[Call] = set()
        self._wanted_count = 0
        self._resting_count = 0
        self._stale_count = 0
        self._filling = False
        self._area_s = 0.0
        self._area_at_s = self._began_s
        self._timers: list[Timer] = []
        self._late_s: deque[float] = deque(maxlen=_TICKS_KEPT)
        self._watch()
        self._tick()

    @property
    def under_way(self) -> int:
        """How many requests there are."""
        return len(self._calls)

    @property
    def spent(self) -> str:
        """Which bound has been reached; empty while none is."""
        if self.sent_count >= self._bounds.most_requests:
            return f"the {self._bounds.most_requests:,} requests of --max-requests are sent"
        if self.is_out_of_time:
            return f"the {self._bounds.most_s:,.0f} s of --max-seconds are over"
        return ""

    @property
    def is_out_of_time(self) -> bool:
        """Whether it has gone on for as long as it may."""
        return self.clock.monotonic() - self._began_s >= self._bounds.most_s

    def keep(self, count: int) -> None:
        """Keep that many requests under way from now on; those beyond it are let end."""
        self._wanted_count = count
        self._fill()

    def send(self) -> None:
        """Send one now, as an open loop does."""
        if len(self._calls) >= self._bounds.open_count:
            self.tally.fail(NOT_SENT, f"{len(self._calls):,} requests were under way")
        else:
            self._launch()

    def stop(self) -> None:
        """Send no more and drop what is under way, uncounted."""
        self._wanted_count = 0
        self._area()
        calls, self._calls = self._calls, set()
        for call in calls:
            call.drop()

    def close(self) -> None:
        """Stop, and close every connection."""
        self.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.pool.close()

    def stream_seconds(self) -> float:
        """Return the time that requests have been under way, added up."""
        self._area()
        return self._area_s

    def forget_lateness(self) -> None:
        """Begin anew to note how late the clock's calls come."""
        self._late_s.clear()

    def lateness_s(self, fraction: float) -> float:
        """Return the lateness within which that share of the clock's calls came."""
        late = sorted(self._late_s)
        return late[min(len(late) - 1, int(fraction * len(late)))] if late else 0.0

    # What calls tell

    def stale(self) -> None:
        """Use kept connections no more where they are closed time and again."""
        self._stale_count += 1
        self.reuses = self.reuses and self._stale_count < _MOST_STALE

    def over(self, call: Call) -> None:
        """Send the next one in its place."""
        if call not in self._calls:
            return
        self._area()
        self._calls.discard(call)
        if call.failure and self._wanted_count:
            self._resting_count += 1
            self.clock.call_later(REST_S, self._rested)
        else:
            self._fill()

    # Its own affairs

    def _rested(self) -> None:
        self._resting_count -= 1
        self._fill()

    def _fill(self) -> None:
        """Send what is missing, in small bursts: no endpoint is asked for thousands of answers in one instant."""
        for _ in range(_BURST):
            if len(self._calls) + self._resting_count >= self._wanted_count or self.spent:
                return
            self._launch()
        if not self._filling:
            self._filling = True
            self.clock.call_later(_BURST_S, self._go_on)

    def _go_on(self) -> None:
        self._filling = False
        self._fill()

    def _launch(self) -> None:
        asked = next(self.lengths, None)
        if asked is None or self.sent_count >= self._bounds.most_requests:
            self._wanted_count = 0
            return
        request = self._endpoint.request(self._prompts.text(asked.input_tokens), asked.output_tokens)
        call = Call(self, request, asked.input_tokens, asked.output_tokens)
        self.sent_count += 1
        self._area()
        self._calls.add(call)
        call.start()

    def _area(self) -> None:
        now_s = self.clock.monotonic()
        self._area_s += len(self._calls) * (now_s - self._area_at_s)
        self._area_at_s = now_s

    def _watch(self) -> None:
        """Give up requests of which nothing is heard."""
        silent_since_s = self.clock.monotonic() - self._bounds.silent_s
        for call in [call for call in self._calls if call.connection and call.last_s < silent_since_s]:
            call.give_up(TIMED_OUT)
        self._timers[:1] = [self.clock.call_later(_WATCH_S, self._watch)]

    def _tick(self) -> None:
        due_s = self.clock.monotonic() + _TICK_S

        def tick() -> None:
            self._late_s.append(max(0.0, self.clock.monotonic() - due_s))
            self._tick()

        self._timers[1:] = [self.clock.call_later(_TICK_S, tick)]


async def arrive(load: Load, times_s: Iterator[float], speedup_ratio: float, halted: Callable[[], bool]) -> None:
    """Send a request at each of those times, in seconds from now, that many times as fast."""
    began_s = load.clock.monotonic()
    for at_s in times_s:
        left_s = began_s + at_s / speedup_ratio - load.clock.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)
        if halted() or load.spent:
            return
        load.send()
