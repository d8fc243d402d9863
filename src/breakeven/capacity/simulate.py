"""Simulates a pool of nodes and what overflows from it, request by request, in bounded memory.

Demand comes in batches, so that a trace of any length streams through; what is kept of the past is a tally.  Equal
demand gives equal results, to the last digit: chance comes in with the demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.fleet import (
    BUCKET_RATIO,
    BUCKETS,
    ON_NODES,
    OVERFLOWED,
    SHORTEST_S,
    Apis,
    Demand,
    Fleet,
    Tally,
    View,
    finish,
    run,
)
from breakeven.capacity.pool import NODE, NONE, SLOT, Ended, Pool
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints
    from breakeven.capacity.fleet import Rules
    from breakeven.capacity.pool import Pace, Records

FIRST_SLOTS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Where requests overflow to."""

    ttft_s: float
    tpot_s: float
    requests_per_s: float = np.inf
    """Of its rate limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long requests took, from a tally of buckets of 1 %."""

    counts: np.ndarray[tuple[int], np.dtype[np.int64]]

    def quantile_s(self, fraction: float) -> float:
        """Return the time within which that share of requests was, 0 < fraction <= 1; NaN without requests."""
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        bucket = int(np.searchsorted(np.cumsum(self.counts), ceil(fraction * total - 1e-9)))
        return float(SHORTEST_S * BUCKET_RATIO ** (bucket + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulation came to; ``pool`` and ``api`` say where requests ended."""

    pool_ttft: Times
    pool_tpot: Times
    pool_total: Times
    api_ttft: Times
    pool_requests: int
    api_requests: int
    rejected_requests: int
    pool_output_tokens: int
    api_input_tokens: int
    api_output_tokens: int
    api_usd: float
    mean_ttft_s: float
    mean_total_s: float
    """Of requests on nodes."""

    busy_s: Floats
    """By node."""

    put_back_requests: int
    by_hour: Floats
    """(hours, 5): requests, requests that overflowed, output tokens of nodes and of APIs, and US dollars."""


class Simulation:
    """Equal nodes, the APIs behind them, and the demand so far."""

    def __init__(self, pace: Pace, nodes: int, rules: Rules, *, apis: tuple[Api, ...] = (), span_s: float) -> None:
        """Begin idle; ``span_s``: how long the demand lasts, for what is told by the hour."""
        self._rules = rules
        hours = max(1, ceil(span_s / SECONDS_PER_HOUR))
        self._fleet = Fleet(
            pool=_pool(pace, nodes),
            apis=_apis(apis),
            seen=_view(nodes, apis),
            tally=_tally(hours),
        )

    def feed(self, demand: Demand) -> None:
        """Let requests arrive, after all those before them."""
        count = len(demand.arrived_s)
        if self._fleet.pool.free[-1] < count:
            self._grow(count)
        run(self._fleet, demand, self._rules)

    @property
    def under_way(self) -> int:
        """Requests on nodes, as of the last arrival, or not looked at since."""
        nodes = self._fleet.pool.nodes
        return int(nodes["waiting"].sum() + nodes["decoding"].sum())

    def outcome(self) -> Outcome:
        """Let all requests end, and return what it came to."""
        finish(self._fleet)
        tally, nodes = self._fleet.tally, self._fleet.pool.nodes
        pool, api = tally.sums[ON_NODES], tally.sums[OVERFLOWED]
        served = max(1.0, float(pool[0]))
        return Outcome(
            pool_ttft=Times(counts=tally.ttft[ON_NODES]),
            pool_tpot=Times(counts=tally.tpot[ON_NODES]),
            pool_total=Times(counts=tally.total[ON_NODES]),
            api_ttft=Times(counts=tally.ttft[OVERFLOWED]),
            pool_requests=int(pool[0]),
            api_requests=int(api[0]),
            rejected_requests=int(tally.rejected[0]),
            pool_output_tokens=int(pool[2]),
            api_input_tokens=int(api[1]),
            api_output_tokens=int(api[2]),
            api_usd=float(api[5]),
            mean_ttft_s=float(pool[3]) / served,
            mean_total_s=float(pool[4]) / served,
            busy_s=nodes["busy_s"].copy(),
            put_back_requests=int(nodes["put_back"].sum()),
            by_hour=tally.by_hour,
        )

    def _grow(self, more: int) -> None:
        """Make room for more requests at once: all that arrive before the next look may be under way together."""
        pool = self._fleet.pool
        old = len(pool.slots)
        size = max(2 * old, old + more)
        slots, free = _slots(size)
        slots[:old] = pool.slots
        height = int(pool.free[-1])
        free[:height] = pool.free[:height]
        free[height : height + size - old] = np.arange(old, size)
        free[-1] = height + size - old
        self._fleet = self._fleet._replace(pool=pool._replace(slots=slots, free=free, ended=_ended(size)))


def _whole(*shape: int, value: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.full(shape, value, dtype=np.int64)


def _pool(pace: Pace, nodes: int) -> Pool:
    states = np.zeros(nodes, dtype=NODE)
    states["due_s"] = np.inf
    for name in ("head", "tail", "newest"):
        states[name] = NONE
    slots, free = _slots(FIRST_SLOTS)
    return Pool(
        pace=pace,
        nodes=states,
        ends=_whole(nodes, pace.max_requests),
        ending=_whole(nodes, pace.max_requests),
        slots=slots,
        free=free,
        ended=_ended(FIRST_SLOTS),
    )


def _slots(count: int) -> tuple[Records, Ints]:
    """Return so many slots, and the stack that says that all of them are free."""
    free = np.arange(count + 1, dtype=np.int64)
    free[-1] = count
    return np.zeros(count, dtype=SLOT), free


def _ended(count: int) -> Ended:
    return Ended(_whole(count), np.zeros(count), _whole(1))


def _apis(apis: tuple[Api, ...]) -> Apis:
    rates = np.array([api.requests_per_s for api in apis])
    return Apis(
        ttft_s=np.array([api.ttft_s for api in apis]),
        tpot_s=np.array([api.tpot_s for api in apis]),
        requests_per_s=rates,
        allowed=np.minimum(60.0 * rates, 1e18),
        seen_s=np.zeros(len(apis)),
    )


def _view(nodes: int, apis: tuple[Api, ...]) -> View:
    count = nodes + len(apis)
    expected = np.array([0.0] * nodes + [api.ttft_s for api in apis])
    return View(
        serves=_whole(count),
        healthy=_whole(count, value=1),
        in_flight=_whole(count),
        queue_length=_whole(count),
        kv_use_fraction=np.zeros(count),
        predicted_ttft_s=expected,
        price_usd=np.zeros(count),
        weight=np.ones(count),
        untried=_whole(count),
    )


def _tally(hours: int) -> Tally:
    return Tally(
        ttft=_whole(2, BUCKETS),
        tpot=_whole(2, BUCKETS),
        total=_whole(2, BUCKETS),
        sums=np.zeros((2, 6)),
        by_hour=np.zeros((hours, 5)),
        rejected=_whole(1),
    )
