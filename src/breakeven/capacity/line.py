"""The gateway's line before full nodes, on arrays: ``routing.queueing`` for simulations.  Compiled by numba.

Class by class and key by key it decides as ``FairQueue`` does, request for request.  Where that keeps heaps this goes
through all flows, which takes less time as long as there are no thousands of them.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from breakeven.capacity.compiled import compiled
from breakeven.capacity.engine import advance
from breakeven.capacity.fleet import TOO_LATE
from breakeven.capacity.pool import NONE, UP
from breakeven.capacity.tallying import reject
from breakeven.routing.queueing import AGED_AFTER_S, AGED_TURN, TURN_S

if TYPE_CHECKING:
    from typing import Any

    from breakeven.capacity.fleet import Fleet

    Record = Any
    """One of an array of records."""


@compiled
def join(fleet: Fleet, most_requests: int, slot: int, at_s: float) -> int:
    """Let a request wait; return the one that has no room, which may be itself, or ``NONE`` where there is room."""
    watch = fleet.watch[0]
    without = _without_room(fleet, slot) if watch.in_line >= most_requests else NONE
    if without == slot:
        return without
    if without != NONE:
        leave(fleet, without)
    _append(fleet, slot)
    watch.late_s = min(watch.late_s, fleet.pool.slots[slot].deadline_s)
    if watch.turn_s == inf:
        watch.turn_s = next_turn_s(fleet, at_s)
        watch.event_s = min(watch.event_s, watch.turn_s)
    return without


@compiled
def take_next(fleet: Fleet, at_s: float) -> int:
    """Take out the request whose turn it is; somebody must wait."""
    line, watch, slots = fleet.line, fleet.watch[0], fleet.pool.slots
    highest = len(line) - 1
    while not line[highest].waiting:
        highest -= 1
    leader = line[highest].leader
    chosen = _aged(fleet, leader, at_s) if watch.turns >= AGED_TURN - 1 else leader
    watch.turns = watch.turns + 1 if chosen == leader else 0
    flow = _first_flow(fleet, chosen)
    slot = line[flow].first
    start = line[flow].start
    finish = start + max(1, slots[slot].prompt)
    line[chosen].served = start
    leave(fleet, slot)
    watch.number += 1
    if line[flow].waiting:
        line[flow].start, line[flow].number = finish, watch.number
    elif line[chosen].in_class:
        line[flow].finish = finish
    return int(slot)


@compiled
def send_back_late(fleet: Fleet, at_s: float) -> None:
    """Reject those whose deadline has passed."""
    line, watch, slots = fleet.line, fleet.watch[0], fleet.pool.slots
    if watch.late_s >= at_s:
        return
    soonest_s = inf
    for flow in range(len(line)):
        slot = line[flow].first
        for _ in range(line[flow].waiting):
            newer = slots[slot].newer
            if slots[slot].deadline_s < at_s:
                leave(fleet, slot)
                reject(fleet, slot, TOO_LATE)
            else:
                soonest_s = min(soonest_s, slots[slot].deadline_s)
            slot = newer
    watch.late_s = soonest_s


@compiled
def next_turn_s(fleet: Fleet, at_s: float) -> float:
    """Return when to look for room again: as something ends on a node, and every ``TURN_S``.

    Iterations that begin now are begun, so that it is known when they end.  While no node is there nothing ends, and it
    is looked again as somebody is late.
    """
    nodes, soonest_s = fleet.pool.nodes, inf
    for node in range(len(nodes)):
        if nodes[node].phase == UP:
            soonest_s = min(soonest_s, at_s + TURN_S)
            if nodes[node].due_s <= at_s:
                advance(fleet.pool, node, np.nextafter(at_s, inf))
            if nodes[node].due_s > at_s:
                soonest_s = min(soonest_s, nodes[node].due_s)
    return float(soonest_s if soonest_s < inf else np.nextafter(fleet.watch[0].late_s, inf))


@compiled
def leave(fleet: Fleet, slot: int) -> None:
    """Let a request go that waits."""
    line, slots = fleet.line, fleet.pool.slots
    flow = slots[slot].flow
    older, newer = slots[slot].older, slots[slot].newer
    if older != NONE:
        slots[older].newer = newer
    else:
        line[flow].first = newer
    if newer != NONE:
        slots[newer].older = older
    else:
        line[flow].last = older
    leader = line[flow].leader
    line[flow].waiting -= 1
    line[leader].in_class -= 1
    fleet.watch[0].in_line -= 1
    if not line[flow].waiting:
        line[flow].finish = line[flow].start
    if not line[leader].in_class:
        _forget(fleet, leader)


@compiled
def _forget(fleet: Fleet, leader: int) -> None:
    """Begin a class anew: nobody is owed anything where nobody waits."""
    line, flow = fleet.line, leader
    line[leader].served = 0.0
    while flow < len(line) and line[flow].leader == leader:
        line[flow].finish = 0.0
        flow += 1


@compiled
def _append(fleet: Fleet, slot: int) -> None:
    line, slots, watch = fleet.line, fleet.pool.slots, fleet.watch[0]
    flow = slots[slot].flow
    leader = line[flow].leader
    slots[slot].newer = slots[slot].older = NONE
    if line[flow].waiting:
        slots[slot].older = line[flow].last
        slots[line[flow].last].newer = slot
    else:
        watch.number += 1
        line[flow].start, line[flow].number = max(line[leader].served, line[flow].finish), watch.number
        line[flow].first = slot
    line[flow].last = slot
    line[flow].waiting += 1
    line[leader].in_class += 1
    watch.in_line += 1


@compiled
def _first_flow(fleet: Fleet, leader: int) -> int:
    """Return the flow of a class whose start is lowest, of equals the one that was set first."""
    line, flow, first = fleet.line, leader, NONE
    while flow < len(line) and line[flow].leader == leader:
        if line[flow].waiting and (first == NONE or _goes_before(line[flow], line[first])):
            first = flow
        flow += 1
    return first


@compiled
def _goes_before(flow: Record, other: Record) -> bool:
    return bool(flow.start < other.start or (flow.start == other.start and flow.number < other.number))


@compiled
def _aged(fleet: Fleet, highest: int, at_s: float) -> int:
    """Return the leader of the lower class whose oldest request waited too long and longest, else ``highest``."""
    line, chosen, before_s = fleet.line, highest, at_s - AGED_AFTER_S
    for flow in range(highest):
        if line[flow].waiting:
            since_s = fleet.pool.slots[line[flow].first].arrived_s
            if since_s <= before_s:
                chosen, before_s = line[flow].leader, since_s
    return chosen


@compiled
def _without_room(fleet: Fleet, slot: int) -> int:
    """Return who goes without: of the lowest class the newest of the flow with most waiting, or the newcomer."""
    line = fleet.line
    own = fleet.pool.slots[slot].flow
    longest = 0
    while not line[longest].waiting:
        longest += 1
    for flow in range(longest + 1, len(line)):
        if line[flow].leader != line[longest].leader:
            break
        if line[flow].waiting > line[longest].waiting:
            longest = flow
    if line[longest].priority > line[own].priority:
        return slot
    if line[longest].leader == line[own].leader and line[longest].waiting <= line[own].waiting + 1:
        return slot
    return int(line[longest].last)
