"""One hour of a pool that exists only in the simulator: what of real requests it would have served, and how.

An hour follows from its own requests and those of the hour before, which warm the pool up, and from nothing else: so it
is the same whenever it is worked out, and hours can be worked out in any order, again, or after a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.capacity.arrays import NO_OUTAGES, fresh_fleet, grown, idle_pool, nobody, open_apis, timetable
from breakeven.capacity.course import run
from breakeven.capacity.engine import advance
from breakeven.capacity.fleet import (
    BUSY_S,
    FIRST_TOKEN,
    ON_NODES,
    OVERFLOW,
    OVERFLOWED,
    QUEUE,
    USED_S,
    Demand,
    Rules,
)
from breakeven.capacity.tallying import settle
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    import numpy.typing as npt

    from breakeven.capacity.compiled import Floats, Ints
    from breakeven.capacity.fleet import Fleet
    from breakeven.capacity.pool import Pace
    from breakeven.routing.fullness import Limits

    Flags = npt.NDArray[np.bool_]

WARM_UP_S: Final = float(SECONDS_PER_HOUR)
"""How long the pool has run when the hour begins: requests that take longer are rare."""

ENDS_S: Final = WARM_UP_S + SECONDS_PER_HOUR

_AT_A_TIME: Final = 48
"""Powers of 2 that a float adds up exactly, with a few to spare."""

_USD: Final = 5
"""What requests cost at the API, among ``Tally.sums``."""

_BILLS: Final = np.array([[2.0**place] for place in range(_AT_A_TIME)])
_NO_CHANCE: Final = np.zeros(_AT_A_TIME)
LENGTH_STEPS: Final = 2
"""Mean lengths are rounded to so many steps an octave, so that few paces have to be worked out."""


class Asked(NamedTuple):
    """Requests in the order of their arrival; arrays of shape (n,)."""

    arrived_s: Floats
    """From the beginning of the hour before."""

    prompt: Ints
    """Tokens, at least 1."""

    output: Ints
    """Tokens, at least 1."""

    cached: Ints
    """Of the prompt, what the node finds cached."""

    def part(self, begin: int, end: int) -> Asked:
        """Return the requests [begin, end) of these."""
        return Asked(self.arrived_s[begin:end], self.prompt[begin:end], self.output[begin:end], self.cached[begin:end])


class Simulated(NamedTuple):
    """What became of it."""

    went_over: Flags
    """(n,): whether each request went to the API; of all that was asked, the hour before included."""

    busy_s: float
    """Of all nodes in the hour: within iterations."""

    used_s: float
    """The same work in iterations as large as the cache allows: the part of the paid time that was needed."""

    ttft_counts: Ints
    """By bucket (``fleet.BUCKET_RATIO``), times to the first token of requests that nodes served and that had not got
    it, or not ended, when the hour began."""

    queue_counts: Ints
    """Likewise, until their prompts were first begun."""


def overflow_rules(limits: Limits) -> Rules:
    """Return the rules by which a gateway with the policy ``overflow`` sends requests to nodes with these limits."""
    return Rules(
        OVERFLOW,
        int(min(limits.most_waiting, 1 << 31)),
        float(limits.most_ttft_s),
        float(limits.most_kv_fraction),
        float(limits.back_ratio),
    )


def typical_lengths(asked: Asked) -> tuple[float, float]:
    """Return the mean input and output tokens, each rounded to a step of 2^(1/2); (1, 1) without requests."""
    if not len(asked.prompt):
        return 1.0, 1.0
    means = float(asked.prompt.mean()), float(asked.output.mean())
    first, second = (2.0 ** (round(LENGTH_STEPS * np.log2(max(mean, 1.0))) / LENGTH_STEPS) for mean in means)
    return float(first), float(second)


def simulate_hour(asked: Asked, pace: Pace, rules: Rules, changes: tuple[tuple[float, int], ...]) -> Simulated:
    """Send requests to the pool's nodes, and what it has no room for to an API that takes everything.

    ``changes``: from when on the pool has how many nodes, in seconds from the beginning of the hour before; the first
    is at 0, at least one number is not 0.
    """
    fleet = fresh_fleet(
        idle_pool(pace, max(count for _, count in changes)),
        open_apis(np.zeros(1), np.zeros(1), np.full(1, np.inf)),
        scaling=timetable(changes),
        outages=NO_OUTAGES,
        span_s=ENDS_S + SECONDS_PER_HOUR,
    )
    count = len(asked.arrived_s)
    fleet = grown(fleet, count) if fleet.pool.free[-1] < count else fleet
    went_over = np.zeros(count, dtype=np.bool_)
    first = int(np.searchsorted(asked.arrived_s, WARM_UP_S))
    _feed(fleet, asked.part(0, first), rules, went_over[:first])
    for node in range(len(fleet.pool.nodes)):
        advance(fleet.pool, node, WARM_UP_S)  # else what has ended by then is tallied at the next arrival
    settle(fleet)
    before = fleet.tally.times[:, ON_NODES].copy()
    _feed(fleet, asked.part(first, count), rules, went_over[first:])
    run(fleet, nobody(1), rules, 0, True)  # noqa: FBT003 - numba calls by place
    times = fleet.tally.times[:, ON_NODES] - before
    hour = fleet.tally.by_hour[int(WARM_UP_S // SECONDS_PER_HOUR)]
    return Simulated(
        went_over=went_over,
        busy_s=float(hour[BUSY_S]),
        used_s=float(hour[USED_S]),
        ttft_counts=times[FIRST_TOKEN],
        queue_counts=times[QUEUE],
    )


def _feed(fleet: Fleet, asked: Asked, rules: Rules, went_over: Flags) -> None:
    """Let requests arrive, and note of each whether it went to the API.

    The simulator tallies what requests cost there, and no more of each.  So they are billed by powers of 2, a few at a
    time, and the sum says which of them went: exactly, and without compiling the simulator once more around a loop.
    """
    sums = fleet.tally.sums[OVERFLOWED]
    for begin in range(0, len(asked.prompt), _AT_A_TIME):
        part = asked.part(begin, begin + _AT_A_TIME)
        count = len(part.prompt)
        prompt = np.maximum(part.prompt, 1)
        sums[_USD] = 0.0
        demand = Demand(
            arrived_s=part.arrived_s,
            prompt=prompt,
            output=np.maximum(part.output, 1),
            cached=np.clip(part.cached, 0, prompt - 1),
            uniform=_NO_CHANCE[:count],
            api_usd=_BILLS[:count],
        )
        run(fleet, demand, rules, 0, False)  # noqa: FBT003 - numba calls by place
        if sums[_USD]:
            bits = int(sums[_USD])
            went_over[begin : begin + count] = [bits >> place & 1 for place in range(count)]
