"""Makes the arrays in which a simulation's state lies, and larger ones of them."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.fleet import (
    BUCKETS,
    FIRST_CLASS,
    FIRST_FLOW,
    FLOW,
    HEALTHY,
    IN_HOURS,
    PAID,
    PREDICTED_TTFT_S,
    TTFT_S,
    WATCH,
    WEIGHT,
    Demand,
    Fleet,
    Scaling,
    Tally,
    View,
)
from breakeven.capacity.pool import BLOCK, END, ENDED, NODE, NONE, REFERENCE, SLOT, UP, Pool
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.compiled import Floats, Ints, Records
    from breakeven.capacity.pool import Pace

FIRST_SLOTS: Final = 4096

MOST_BLOCKS: Final = 1 << 20
"""Of a node's cache of prefixes: a bound on memory that no real node comes near."""

NO_OUTAGES: Final = np.zeros((0, 3))


def as_many(nodes: int, *, start_s: float = 0.0) -> Scaling:
    """Return that so many nodes are wanted at all times; ``start_s``: how long one takes that comes back."""
    return timetable(((0.0, nodes),), start_s=start_s)


def timetable(changes: tuple[tuple[float, int], ...], *, start_s: float = 0.0) -> Scaling:
    """Return that from each time on so many nodes are wanted; the first time is 0."""
    counts = [count for _, count in changes]
    return Scaling(
        changes=np.array(changes, dtype=float),
        is_reactive=False,
        least=min(counts),
        most=max(counts),
        waiting=0.0,
        used=0.0,
        check_s=1.0,
        up_after_s=0.0,
        down_after_s=0.0,
        idle_s=0.0,
        start_s=float(start_s),
    )


def fresh_fleet(
    pool: Pool, apis: Floats, *, scaling: Scaling, outages: Floats, span_s: float, priorities: Sequence[int] = ()
) -> Fleet:
    """Return a fleet on which nothing has happened yet; the first nodes serve.

    ``priorities``: of each flow that may stand in line, rising; equal ones are a class.
    """
    nodes = pool.nodes
    first = int(scaling.changes[0, 1])
    nodes["phase"][:first] = UP
    watch = np.zeros(1, dtype=WATCH)
    watch["hour_s"] = watch["turn_s"] = watch["late_s"] = np.inf
    watch["wanted"], watch["changes"] = first, 1
    return Fleet(
        pool=pool,
        apis=apis,
        seen=_view(len(nodes), apis),
        tally=_tally(max(1, ceil(span_s / SECONDS_PER_HOUR)), priorities),
        bills=np.zeros((len(pool.slots), apis.shape[1])),
        scaling=scaling,
        outages=outages,
        watch=watch,
        line=_line(priorities),
        span_s=float(span_s),
    )


def idle_pool(pace: Pace, nodes: int, *, block_tokens: int = 0) -> Pool:
    """Return nodes on which nothing runs and that are off."""
    states = np.zeros(nodes, dtype=NODE)
    states["due_s"] = states["ready_s"] = np.inf
    for name in ("head", "tail", "newest", "oldest", "latest"):
        states[name] = NONE
    slots, free = _slots(FIRST_SLOTS)
    return Pool(
        pace=pace,
        nodes=states,
        ends=np.zeros((nodes, pace.max_requests), dtype=END),
        slots=slots,
        free=free,
        ended=np.zeros(FIRST_SLOTS + 1, dtype=ENDED),
        block_tokens=block_tokens,
        blocks=_blocks(pace, nodes, block_tokens),
        references=np.zeros(0, dtype=REFERENCE),
    )


def grown(fleet: Fleet, more: int) -> Fleet:
    """Return a fleet with room for so many more requests, at least twice as many as before."""
    pool = fleet.pool
    old = len(pool.slots)
    size = max(2 * old, old + more)
    slots, free = _slots(size)
    slots[:old] = pool.slots
    height = int(pool.free[-1])
    free[:height] = pool.free[:height]
    free[height : height + size - old] = np.arange(old, size)
    free[-1] = height + size - old
    bills = np.zeros((size, fleet.bills.shape[1]))
    bills[:old] = fleet.bills
    return fleet._replace(
        pool=pool._replace(slots=slots, free=free, ended=np.zeros(size + 1, dtype=ENDED)), bills=bills
    )


def with_blocks(fleet: Fleet, blocks: Ints) -> tuple[Fleet, int]:
    """Return a fleet that knows the blocks of requests to come, and where the first of them lies.

    Those of requests that have ended are dropped.
    """
    pool = fleet.pool
    live = np.flatnonzero(pool.slots["blocks"])
    counts, starts = pool.slots["blocks"][live], pool.slots["blocks_at"][live]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(live) else 0
    old = np.repeat(starts - (ends - counts), counts) + np.arange(total)
    pool.slots["blocks_at"][live] = ends - counts
    references = np.empty(total + len(blocks), dtype=REFERENCE)
    references[:total] = pool.references[old]
    references["id"][total:], references["block"][total:] = blocks, NONE
    return fleet._replace(pool=pool._replace(references=references)), total


def nobody(apis: int) -> Demand:
    """Return demand without a request."""
    return Demand(np.zeros(0), whole(0), whole(0), whole(0), np.zeros(0), np.zeros((0, apis)))


def open_apis(ttft_s: Floats, tpot_s: Floats, requests_per_s: Floats) -> Floats:
    """Return APIs that have taken nothing yet, in the rows of ``Fleet.apis``."""
    allowed = np.minimum(60.0 * requests_per_s, 1e18)
    return np.stack([ttft_s, tpot_s, requests_per_s, allowed, *np.zeros((3, len(ttft_s)))])


def whole(*shape: int, value: int = 0) -> Ints:
    """Return an array of whole numbers."""
    return np.full(shape, value, dtype=np.int64)


def _slots(count: int) -> tuple[Records, Ints]:
    """Return so many slots, and the stack that says that all of them are free."""
    free = np.arange(count + 1, dtype=np.int64)
    free[-1] = count
    return np.zeros(count, dtype=SLOT), free


def _blocks(pace: Pace, nodes: int, block_tokens: int) -> Records:
    """Return empty caches of prefixes, each at most half full."""
    most = min(MOST_BLOCKS, pace.kv_tokens // block_tokens + 1) if block_tokens else 1
    blocks = np.zeros((nodes, 1 << (2 * most - 1).bit_length()), dtype=BLOCK)
    blocks["found"] = NONE
    blocks["newer"][:, :most] = np.arange(1, most + 1)
    blocks["newer"][:, most - 1] = NONE
    return blocks


def _view(nodes: int, apis: Floats) -> View:
    count = nodes + apis.shape[1]
    view = View(whole(8, count), np.zeros((4, count)))
    view.whole[HEALTHY], view.whole[IN_HOURS], view.shares[WEIGHT] = 1, 1, 1.0
    view.whole[PAID, :nodes] = 1
    view.shares[PREDICTED_TTFT_S, nodes:] = apis[TTFT_S]
    return view


def _line(priorities: Sequence[int]) -> Records:
    """Return flows of which nobody waits."""
    line = np.zeros(len(priorities), dtype=FLOW)
    line["first"] = line["last"] = NONE
    if len(line):
        line["priority"] = priorities
        _, leaders, places = np.unique(line["priority"], return_index=True, return_inverse=True)
        line["leader"], line["row"] = leaders[places], FIRST_CLASS + places
    return line


def _tally(hours: int, priorities: Sequence[int]) -> Tally:
    classes = len(set(priorities))
    return Tally(
        times=whole(4, FIRST_CLASS + classes, BUCKETS),
        sums=np.zeros((FIRST_FLOW + len(priorities), 7)),
        by_hour=np.zeros((hours, 11)),
        counts=whole(8),
    )
