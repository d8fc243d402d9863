"""Simulates a pool of nodes and what overflows from it, request by request, in bounded memory.

Demand comes in batches, so that a trace of any length streams through; what is kept of the past is a tally.  Equal
demand gives equal results, to the last digit: chance comes in with the demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.capacity.arrays import NO_OUTAGES, as_many, fresh_fleet, grown, idle_pool, nobody, open_apis, with_blocks
from breakeven.capacity.course import run
from breakeven.capacity.fleet import (
    BUCKET_RATIO,
    EACH_TOKEN,
    FAILURES,
    FIRST_CLASS,
    FIRST_FLOW,
    FIRST_TOKEN,
    LOST_INPUT,
    LOST_OUTPUT,
    NO_ROOM,
    ON_NODES,
    OVERFLOWED,
    QUEUE,
    REJECTED,
    RESENT,
    SHORTEST_S,
    STARTS,
    TOO_LATE,
    WHOLE,
)

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints
    from breakeven.capacity.fleet import Demand, Fleet, Rules, Scaling
    from breakeven.capacity.pool import Pace


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
    pool_queue: Times
    """Until the prompt was first begun."""

    api_ttft: Times
    api_tpot: Times
    pool_requests: int
    api_requests: int
    rejected_requests: int
    no_room_requests: int
    """Of those rejected, for want of room in the line; the next at their deadline there."""

    too_late_requests: int
    pool_input_tokens: int
    pool_cached_tokens: int
    """Of the input, what nodes had in their caches of prefixes, or the demand said that they have."""

    pool_output_tokens: int
    api_input_tokens: int
    api_output_tokens: int
    api_usd: float
    mean_ttft_s: float
    mean_total_s: float
    """Of requests on nodes."""

    busy_s: Floats
    """By node: within iterations."""

    used_s: Floats
    """By node: what the same tokens take in iterations as large as the cache allows."""

    hit_tokens: Ints
    """By node: of ``asked_tokens``, what was found in its cache; of requests taken off again too."""

    asked_tokens: Ints
    put_back_requests: int
    resent_requests: int
    """Sent again since their node failed; a request counts as often as that happened to it."""

    lost_input_tokens: int
    lost_output_tokens: int
    """Computed by nodes that failed before the request ended."""

    node_starts_count: int
    node_failures_count: int
    by_hour: Floats
    """(hours, 11): see ``CAME`` to ``DOWN_S`` of ``fleet``."""

    class_ttft: tuple[Times, ...]
    """By class of the line, the lowest priority first, of requests on nodes; so is the next."""

    class_queue: tuple[Times, ...]
    flow_sums: Floats
    """(flows, 7): see ``Tally.sums``."""


class Details(NamedTuple):
    """What the demand tells of requests beside their times and lengths."""

    block_tokens: int = 0
    """Of the blocks by which it tells its prompts' contents; 0 where it does not."""

    priorities: tuple[int, ...] = ()
    """Of the flows by which it tells who waits in line with whom, rising; none where there is no line."""


PLAIN: Final = Details()


class Simulation:
    """Equal nodes, the APIs behind them, and the demand so far."""

    def __init__(
        self,
        pace: Pace,
        nodes: int,
        rules: Rules,
        *,
        apis: tuple[Api, ...] = (),
        span_s: float,
        scaling: Scaling | None = None,
        outages: Floats = NO_OUTAGES,
        details: Details = PLAIN,
    ) -> None:
        """Begin idle; ``nodes``: how many there are at most, all of them without ``scaling``.

        ``span_s``: how long the demand lasts, for what is told by the hour, and paid.  ``outages``: see ``Fleet``.
        Raises ``ValueError`` for a line without flows, or with priorities that fall.
        """
        if rules.line_requests and not details.priorities:
            raise ValueError("a line needs to know who waits in it with whom, got no priorities of flows")
        if list(details.priorities) != sorted(details.priorities):
            raise ValueError(f"priorities of flows rise, got {details.priorities}")
        self._rules = rules
        ways = [[getattr(api, name) for api in apis] for name in ("ttft_s", "tpot_s", "requests_per_s")]
        self._fleet = fresh_fleet(
            idle_pool(pace, nodes, block_tokens=details.block_tokens),
            open_apis(*(np.array(way, dtype=float) for way in ways)),
            scaling=as_many(nodes) if scaling is None else scaling,
            outages=outages,
            span_s=span_s,
            priorities=details.priorities,
        )

    def feed(self, demand: Demand) -> None:
        """Let requests arrive, after all those before them.  Raises ``ValueError`` where a line lacks their flows."""
        count = len(demand.arrived_s)
        if self._rules.line_requests and len(demand.flow) != count:
            raise ValueError(f"{count} requests come to a line, and {len(demand.flow)} tell their flow")
        if len(demand.flow) and not 0 <= demand.flow.min() <= demand.flow.max() < len(self._fleet.line):
            raise ValueError(f"flows lie between 0 and {len(self._fleet.line) - 1}, got {demand.flow}")
        if len(demand.deadline_s) not in {0, count}:
            raise ValueError(f"{count} requests come, and {len(demand.deadline_s)} tell their deadline")
        if self._fleet.pool.free[-1] < count:
            self._fleet = grown(self._fleet, count)
        first_block = 0
        if self._fleet.pool.block_tokens:
            self._fleet, first_block = with_blocks(self._fleet, demand.blocks)
        run(self._fleet, demand, self._rules, first_block, False)  # noqa: FBT003 - numba calls by place

    @property
    def under_way(self) -> int:
        """Requests on nodes or waiting for one, as of the last arrival, or not looked at since."""
        nodes, watch = self._fleet.pool.nodes, self._fleet.watch[0]
        return int(nodes["waiting"].sum() + nodes["decoding"].sum() + watch["waiting"] + watch["in_line"])

    def outcome(self) -> Outcome:
        """Let all requests end, and return what it came to."""
        run(self._fleet, nobody(self._fleet.bills.shape[1]), self._rules, 0, True)  # noqa: FBT003 - see above
        return _outcome(self._fleet)


def _outcome(fleet: Fleet) -> Outcome:
    tally, nodes = fleet.tally, fleet.pool.nodes
    pool, api = tally.sums[ON_NODES], tally.sums[OVERFLOWED]
    served = max(1.0, float(pool[0]))
    return Outcome(
        pool_ttft=Times(counts=tally.times[FIRST_TOKEN, ON_NODES]),
        pool_tpot=Times(counts=tally.times[EACH_TOKEN, ON_NODES]),
        pool_total=Times(counts=tally.times[WHOLE, ON_NODES]),
        pool_queue=Times(counts=tally.times[QUEUE, ON_NODES]),
        api_ttft=Times(counts=tally.times[FIRST_TOKEN, OVERFLOWED]),
        api_tpot=Times(counts=tally.times[EACH_TOKEN, OVERFLOWED]),
        pool_requests=int(pool[0]),
        api_requests=int(api[0]),
        rejected_requests=int(tally.counts[REJECTED]),
        no_room_requests=int(tally.counts[NO_ROOM]),
        too_late_requests=int(tally.counts[TOO_LATE]),
        pool_input_tokens=int(pool[1]),
        pool_cached_tokens=int(pool[6]),
        pool_output_tokens=int(pool[2]),
        api_input_tokens=int(api[1]),
        api_output_tokens=int(api[2]),
        api_usd=float(api[5]),
        mean_ttft_s=float(pool[3]) / served,
        mean_total_s=float(pool[4]) / served,
        busy_s=nodes["busy_s"].copy(),
        used_s=nodes["used_s"].copy(),
        hit_tokens=nodes["hit_tokens"].copy(),
        asked_tokens=nodes["prompt_tokens"].copy(),
        put_back_requests=int(nodes["put_back"].sum()),
        resent_requests=int(tally.counts[RESENT]),
        lost_input_tokens=int(tally.counts[LOST_INPUT]),
        lost_output_tokens=int(tally.counts[LOST_OUTPUT]),
        node_starts_count=int(tally.counts[STARTS]),
        node_failures_count=int(tally.counts[FAILURES]),
        by_hour=tally.by_hour,
        class_ttft=tuple(Times(counts=counts) for counts in tally.times[FIRST_TOKEN, FIRST_CLASS:]),
        class_queue=tuple(Times(counts=counts) for counts in tally.times[QUEUE, FIRST_CLASS:]),
        flow_sums=tally.sums[FIRST_FLOW:],
    )
