"""How many lines of batches may be under way beside the requests of people who wait.

The promise: the 99th percentile of their times to first token stays within a tenth of what it is without batches.
That is the same as: of requests that come beside batches, at most one in a hundred begins later than 1.1 times that
percentile.  A controller that aims at an edge is beyond it half of the time, and a 99th percentile of some hundred
requests is not known to a tenth; so it aims lower, at 1.03 times, and watches the 95th as well, where what batches do
shows in five times as many requests.  Requests that are later are counted while there are batches, and what goes
beyond one in a hundred, or one in twenty, is a debt that stops them from growing until it is paid (``late_debts``); the
load of the pool's engines tells sooner, and both move the number of lines as congestion moves a TCP window: up by
little, down by half (``batch_slots``).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

AIMED_FRACTION: Final = 0.03
"""By so much a percentile may grow."""

MOST_DEBT: Final = 20.0
"""A debt is not remembered beyond this: after it the traffic is another."""

FULL_KV_FRACTION: Final = 0.85
STEP_REQUESTS: Final = 0.05
STEP_FRACTION: Final = 0.02
"""By the larger of so much it grows with each look where people ask."""

CREDIT_DEVIATIONS: Final = 2.0
"""Of the late requests that a minute may bring by chance: so much may be saved up, where there are many of them."""

FREE_FRACTION: Final = 0.1
"""Of what a pool runs at once, that is left free so that the next request begins at once."""


class Tail(NamedTuple):
    """A percentile of people's times to first token."""

    late_fraction: float
    """Of requests, that may be later."""

    stop_debt: float
    """At which batches stop: chance alone makes a number of late ones vary with the root of the share."""


TAILS: Final = (Tail(0.01, stop_debt=3.0), Tail(0.05, stop_debt=6.0))


class PoolLoad(NamedTuple):
    """The load of the nodes that batches go to, together."""

    running_requests: int
    """Those of batches included."""

    batch_requests: int
    """Of batches that are under way."""

    waiting_requests: int
    kv_use_fraction: float
    """Of the fullest node; 0 where it is not known."""

    capacity_requests: int
    """That run at once; 0 where it is not known."""


class People(NamedTuple):
    """Requests that are not of batches."""

    ended_requests: int
    """Since the last look, while there were batches."""

    late_requests: tuple[int, ...]
    """Of these, that began too late beside batches: a number for each of ``TAILS``."""

    recent_requests: int
    """Of the last minute."""


class Bounds(NamedTuple):
    """What the settings allow."""

    most_requests: int
    most_share_fraction: float
    """Of the pool's capacity."""


def batch_slots(before: float, load: PoolLoad, people: People, debts: Sequence[float], bounds: Bounds) -> float:
    """Return how many lines may be under way from now on; the whole part counts.

    ``before`` is what this returned last, ``debts`` as ``late_debts`` returns them; ``bounds`` are never exceeded.

    It halves when requests wait in an engine, when a KV cache is nearly full, and when people's requests began late and
    leave a debt; it stops growing as long as there is one, and is 0 with a great one.  Else, where all of it is used,
    it grows: slowly where people ask, since how they fare is known only when they have their answers; by one and a
    quarter where nobody does.
    """
    most = float(bounds.most_requests)
    if load.capacity_requests:
        others = max(load.running_requests - load.batch_requests, 0)
        free = load.capacity_requests * (1.0 - FREE_FRACTION) - others
        most = max(0.0, min(most, load.capacity_requests * bounds.most_share_fraction, free))
    if any(debt >= tail.stop_debt for debt, tail in zip(debts, TAILS, strict=True)):
        return 0.0
    is_late = any(late > 0 and debt > 0.0 for late, debt in zip(people.late_requests, debts, strict=True))
    if load.waiting_requests > 0 or load.kv_use_fraction >= FULL_KV_FRACTION or is_late:
        return min(before, most) / 2.0
    if max(debts) > 0.0 or load.batch_requests < int(before):
        return min(before, most)
    careful = before + max(STEP_REQUESTS, STEP_FRACTION * before)
    return min(careful if people.recent_requests else before * 1.25 + 1.0, most)


def late_debts(before: Sequence[float], people: People) -> tuple[float, ...]:
    """Return, by ``TAILS``, the requests that were late beyond the share that may be; ``before`` is what they were.

    Those that begin in time while there are batches pay it back, whether a line runs beside them or not.  Where many
    ask, some are always late by chance, so a credit (below 0) may be saved up: two deviations of what a minute may
    bring, beyond the first four.  Where nobody asks there is neither.
    """
    if not people.recent_requests:
        return (0.0,) * len(TAILS)
    debts = zip(before, people.late_requests, TAILS, strict=True)
    return tuple(_debt(owed, late, tail.late_fraction, people) for owed, late, tail in debts)


def _debt(before: float, late_requests: int, late_fraction: float, people: People) -> float:
    deviation = sqrt(late_fraction * people.recent_requests)
    credit = CREDIT_DEVIATIONS * max(deviation - CREDIT_DEVIATIONS, 0.0)
    return min(max(before + late_requests - late_fraction * people.ended_requests, -credit), MOST_DEBT)


def latest_s(alone_s: Sequence[float]) -> tuple[float, ...]:
    """Return, by ``TAILS``, the time to first token from which a request is late; empty where too little is known.

    ``alone_s`` are times without batches beside them, of late; from 50 on they tell a 99th percentile well enough to
    work with.
    """
    if len(alone_s) < 50:
        return ()
    ordered = sorted(alone_s)
    places = (min(int(len(ordered) * (1.0 - tail.late_fraction)), len(ordered) - 1) for tail in TAILS)
    return tuple(ordered[place] * (1.0 + AIMED_FRACTION) for place in places)


def needs_rest(latest: Sequence[float], alone_age_s: float, people_requests: int, *, rests_for_s: float) -> bool:
    """Whether batches should pause so that it is seen how soon people are answered without them.

    ``latest`` as ``latest_s`` returns it; ``alone_age_s``: how old the newest time without batches is;
    ``people_requests`` of the last minute: where nobody asks, nobody is disturbed.  A pause ends after half a minute,
    whatever was seen.
    """
    if rests_for_s >= 30.0 or people_requests < 20:
        return False
    return not latest or rests_for_s > 0.0 or alone_age_s > 600.0
