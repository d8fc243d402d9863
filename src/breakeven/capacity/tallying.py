"""Tallies what requests took, where they ended, and frees their slots.  Compiled by numba."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled
from breakeven.capacity.fleet import (
    ALLOWED,
    API_OUTPUT,
    API_USD,
    BUCKET_RATIO,
    BUCKETS,
    EACH_TOKEN,
    FIRST_FLOW,
    FIRST_TOKEN,
    NODE_OUTPUT,
    ON_NODES,
    OVERFLOWED,
    QUEUE,
    REJECTED,
    SENT_OVER,
    SHORTEST_S,
    SPENT_USD,
    TPOT_S,
    TTFT_S,
    TURNED_AWAY,
    WENT_OVER,
    WHOLE,
)
from breakeven.capacity.pool import NONE

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Fleet, Tally

_PER_LOG: Final = 1.0 / log(BUCKET_RATIO)


@compiled
def settle(fleet: Fleet) -> None:
    """Tally the requests that ended on nodes, and free their slots."""
    slots, ended, tally = fleet.pool.slots, fleet.pool.ended, fleet.tally
    for place in range(ended[-1].slot):
        slot, at_s = ended[place].slot, ended[place].at_s
        written = slots[slot].written + slots[slot].output
        prompt = slots[slot].prompt - slots[slot].written
        arrived_s, beside_s = slots[slot].arrived_s, fleet.pool.pace.request_s
        first_s, lasts_s = slots[slot].first_s - arrived_s + beside_s, at_s - arrived_s + beside_s
        times = (slots[slot].begun_s - arrived_s, first_s, lasts_s)
        _count_times(tally, ON_NODES, written, times)
        _sum(tally, ON_NODES, (prompt, written), times)
        tally.sums[ON_NODES, 6] += slots[slot].hit
        tally.by_hour[hour_of(tally, arrived_s), NODE_OUTPUT] += written
        flow = slots[slot].flow
        if flow != NONE:
            _count_times(tally, fleet.line[flow].row, written, times)
            _sum(tally, FIRST_FLOW + flow, (prompt, written), times)
        _free(fleet, slot)
    ended[-1].slot = 0


@compiled
def send_over(fleet: Fleet, slot: int, api: int, at_s: float) -> None:
    """Let an API answer, after its time; what waited for a node waited for that as well."""
    slots, tally = fleet.pool.slots, fleet.tally
    prompt, output, arrived_s = slots[slot].prompt, slots[slot].output, slots[slot].arrived_s
    usd = fleet.bills[slot, api]
    fleet.apis[ALLOWED, api] -= 1.0
    hour = tally.by_hour[hour_of(tally, arrived_s)]
    hour[WENT_OVER] += 1
    hour[API_OUTPUT] += output
    hour[API_USD] += usd
    tally.sums[OVERFLOWED, 5] += usd
    fleet.apis[SPENT_USD, api] += usd
    ttft_s = at_s - arrived_s + fleet.apis[TTFT_S, api]
    times = (at_s - arrived_s, ttft_s, ttft_s + (output - 1) * fleet.apis[TPOT_S, api])
    _count_times(tally, OVERFLOWED, output, times)
    _sum(tally, OVERFLOWED, (prompt, output), times)
    if slots[slot].flow != NONE:
        tally.sums[FIRST_FLOW + slots[slot].flow, SENT_OVER] += 1
    _free(fleet, slot)


@compiled
def reject(fleet: Fleet, slot: int, why: int) -> None:
    """Count a request as one that nobody takes, and why: ``NO_ROOM``, ``TOO_LATE``, or ``REJECTED`` alone."""
    counts = fleet.tally.counts
    counts[REJECTED] += 1
    if why != REJECTED:
        counts[why] += 1
    if fleet.pool.slots[slot].flow != NONE:
        fleet.tally.sums[FIRST_FLOW + fleet.pool.slots[slot].flow, TURNED_AWAY] += 1
    _free(fleet, slot)


@compiled
def bucket_of(seconds: float) -> int:
    """Return the bucket of a time."""
    if seconds <= SHORTEST_S:
        return 0
    return min(BUCKETS - 1, int(log(seconds / SHORTEST_S) * _PER_LOG))


@compiled
def hour_of(tally: Tally, at_s: float) -> int:
    """Return the row of the hour of a time; the last one has all that is later."""
    return min(int(at_s / 3600.0), len(tally.by_hour) - 1)


@compiled
def _free(fleet: Fleet, slot: int) -> None:
    free = fleet.pool.free
    height = free[-1]
    free[height] = slot
    free[-1] = height + 1
    fleet.pool.slots[slot].blocks = 0


@compiled
def _count_times(tally: Tally, row: int, output: int, times: tuple[float, float, float]) -> None:
    queue_s, ttft_s, total_s = times
    tally.times[QUEUE, row, bucket_of(queue_s)] += 1
    tally.times[FIRST_TOKEN, row, bucket_of(ttft_s)] += 1
    tally.times[WHOLE, row, bucket_of(total_s)] += 1
    if output > 1:
        tally.times[EACH_TOKEN, row, bucket_of((total_s - ttft_s) / (output - 1))] += 1


@compiled
def _sum(tally: Tally, row: int, tokens: tuple[int, int], times: tuple[float, float, float]) -> None:
    sums = tally.sums[row]
    sums[0] += 1
    sums[1] += tokens[0]
    sums[2] += tokens[1]
    sums[3] += times[1]
    sums[4] += times[2]
