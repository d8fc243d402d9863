"""The course of a simulation: arrivals, and between them nodes that start, stop and fail.  Compiled by numba.

Whatever happens beside arrivals happens at an event: a node is ready, an outage begins, the timetable or the load asks
for another number of nodes, an hour is full, the line takes its turn.  A node fails at the end of the iteration that is
under way.
"""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled
from breakeven.capacity.dispatch import arrive, send, stand_in_line, take_turns, wait
from breakeven.capacity.engine import advance
from breakeven.capacity.fleet import (
    BUSY_S,
    BY_PHASE,
    FAILURES,
    LOST_INPUT,
    LOST_OUTPUT,
    REJECTED,
    RESENT,
    STARTS,
    USED_S,
)
from breakeven.capacity.pool import DOWN, DRAINING, NONE, OFF, STARTING, UP
from breakeven.capacity.prefixes import forget, release
from breakeven.capacity.scaling import look_at_load
from breakeven.capacity.tallying import reject, settle

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Demand, Fleet, Rules

LAST_S: Final = 1e300
"""Before an event that never comes."""


@compiled
def run(fleet: Fleet, demand: Demand, rules: Rules, first_block: int, ends: bool) -> None:  # noqa: C901, FBT001 - numba calls by place, and compiles all of it again for one more level of calls
    """Let a batch of requests arrive; those that are still under way at its last arrival stay so.

    ``first_block``: where the batch's blocks lie in the pool's.  ``ends``: it was the last batch, so that all requests
    under way end; those that no node is left for are rejected.
    """
    states, watch = fleet.pool.nodes, fleet.watch[0]
    nodes = len(states)
    for index in range(len(demand.arrived_s)):
        at_s = demand.arrived_s[index]
        if watch.event_s <= at_s:
            _pass_events(fleet, rules, at_s)
        for node in range(nodes):
            if states[node].due_s <= at_s:
                advance(fleet.pool, node, at_s)
        settle(fleet)
        if watch.in_line:
            take_turns(fleet, rules, at_s)
            _plan(fleet)
        slot = arrive(fleet, demand, index, first_block)
        if send(fleet, rules, slot, at_s):
            stand_in_line(fleet, rules, slot, at_s)
        if fleet.scaling.is_reactive and not watch.wanted:
            watch.wanted = 1
            watch.event_s = at_s
    while ends and watch.event_s <= (LAST_S if watch.waiting or watch.in_line else fleet.span_s):
        _pass_events(fleet, rules, watch.event_s)
    for node in range(nodes):
        if ends:
            advance(fleet.pool, node, inf)
    settle(fleet)
    if ends:
        _close(fleet)


@compiled
def _close(fleet: Fleet) -> None:
    """Reject what still waits for a node, and tell the time up to the end of the span."""
    watch, nodes, slots = fleet.watch[0], fleet.pool.nodes, fleet.pool.slots
    slot = watch.first_waiting
    for _ in range(watch.waiting):
        newer = slots[slot].newer
        reject(fleet, slot, REJECTED)
        slot = newer
    watch.waiting = 0
    for node in range(len(nodes)):
        if nodes[node].since_s < fleet.span_s:
            _become(fleet, node, nodes[node].phase, fleet.span_s)
    _tell_hour(fleet)


@compiled
def _pass_events(fleet: Fleet, rules: Rules, until_s: float) -> None:
    """Let happen what happens up to that time, and send the requests that wait for a node by then, or for room."""
    watch, nodes, slots = fleet.watch[0], fleet.pool.nodes, fleet.pool.slots
    while watch.event_s <= until_s:
        at_s = watch.event_s
        for node in range(len(nodes)):
            advance(fleet.pool, node, at_s)
        settle(fleet)
        _happen(fleet, at_s)
        slot, waiting = watch.first_waiting, watch.waiting
        watch.waiting = 0
        for _ in range(waiting):
            newer = slots[slot].newer
            send(fleet, rules, slot, at_s)
            slot = newer
        take_turns(fleet, rules, at_s)
        _plan(fleet)


@compiled
def _happen(fleet: Fleet, at_s: float) -> None:
    """Let happen what happens at a time."""
    watch = fleet.watch[0]
    _stop_drained(fleet)
    if watch.hour_s <= at_s:
        _tell_hour(fleet)
        watch.hours += 1
    _make_ready(fleet, at_s)
    _fail_due(fleet, at_s)
    _follow_timetable(fleet, at_s)
    look_at_load(fleet, at_s)
    _staff(fleet, at_s)


@compiled
def _plan(fleet: Fleet) -> None:
    """Find out when the next event is."""
    watch, nodes, outages, scaling = fleet.watch[0], fleet.pool.nodes, fleet.outages, fleet.scaling
    hour = watch.hours + 1
    watch.hour_s = 3600.0 * hour if hour < len(fleet.tally.by_hour) else inf
    soonest_s = min(watch.hour_s, watch.turn_s)
    if scaling.is_reactive:
        soonest_s = min(soonest_s, watch.look_s)
    if watch.outages < len(outages):
        soonest_s = min(soonest_s, outages[watch.outages, 0])
    if watch.changes < len(scaling.changes):
        soonest_s = min(soonest_s, scaling.changes[watch.changes, 0])
    for node in range(len(nodes)):
        soonest_s = min(soonest_s, nodes[node].ready_s)
    watch.event_s = soonest_s


@compiled
def _tell_hour(fleet: Fleet) -> None:
    """Write down what nodes did since the last full hour."""
    watch = fleet.watch[0]
    busy_s = used_s = 0.0
    for node in range(len(fleet.pool.nodes)):
        busy_s += fleet.pool.nodes[node].busy_s
        used_s += fleet.pool.nodes[node].used_s
    hour = fleet.tally.by_hour[watch.hours]
    hour[BUSY_S] += busy_s - watch.busy_before_s
    hour[USED_S] += used_s - watch.used_before_s
    watch.busy_before_s, watch.used_before_s = busy_s, used_s


@compiled
def _become(fleet: Fleet, node: int, phase: int, at_s: float) -> None:
    """Change a node's phase; the time of the last one is told by the hour."""
    nodes, rows = fleet.pool.nodes, fleet.tally.by_hour
    column = BY_PHASE[nodes[node].phase]
    from_s, end_s = nodes[node].since_s, min(at_s, fleet.span_s)
    while column >= 0 and from_s < end_s:
        row = min(int(from_s / 3600.0), len(rows) - 1)
        to_s = min(end_s, 3600.0 * (row + 1)) if row < len(rows) - 1 else end_s
        rows[row, column] += to_s - from_s
        from_s = to_s
    nodes[node].phase, nodes[node].since_s, nodes[node].ready_s = phase, at_s, inf


@compiled
def _stop_drained(fleet: Fleet) -> None:
    """Stop the nodes that were to end what they had, and have."""
    nodes = fleet.pool.nodes
    for node in range(len(nodes)):
        if nodes[node].phase == DRAINING and not nodes[node].waiting and not nodes[node].decoding:
            _become(fleet, node, OFF, max(nodes[node].since_s, nodes[node].now_s))
            forget(fleet.pool, node)


@compiled
def _make_ready(fleet: Fleet, at_s: float) -> None:
    nodes = fleet.pool.nodes
    for node in range(len(nodes)):
        if nodes[node].ready_s <= at_s:
            _become(fleet, node, UP if nodes[node].phase == STARTING else OFF, at_s)


@compiled
def _fail_due(fleet: Fleet, at_s: float) -> None:
    """Let nodes fail; their requests wait for another.  One that is off does not: another may be had for it."""
    watch, outages, nodes, slots = fleet.watch[0], fleet.outages, fleet.pool.nodes, fleet.pool.slots
    while watch.outages < len(outages) and outages[watch.outages, 0] <= at_s:
        node, until_s = int(outages[watch.outages, 1]), outages[watch.outages, 2]
        watch.outages += 1
        if nodes[node].phase in (OFF, DOWN):
            continue
        fleet.tally.counts[FAILURES] += 1
        slot, taken = _take_off(fleet, node)
        _become(fleet, node, DOWN, at_s)
        nodes[node].ready_s = max(until_s, at_s)
        for _ in range(taken):
            newer = slots[slot].newer
            wait(fleet, slot)
            slot = newer


@compiled
def _take_off(fleet: Fleet, node: int) -> tuple[int, int]:
    """Take all requests off a node, as if it had never had them.

    Return the first and how many they are, in a chain by ``newer``: those that decode by age, then those that wait.
    """
    nodes, slots = fleet.pool.nodes, fleet.pool.slots
    decoding, waiting = nodes[node].decoding, nodes[node].waiting
    first = nodes[node].head
    slot = nodes[node].newest
    if decoding:
        slots[slot].newer = first
    for _ in range(decoding):
        fleet.tally.counts[LOST_OUTPUT] += slots[slot].output - (slots[slot].end_step - nodes[node].step)
        slots[slot].done = slots[slot].prompt
        first, slot = slot, slots[slot].older
    slot = first
    for _ in range(decoding + waiting):
        _begin_anew(fleet, node, slot)
        slot = slots[slot].newer
    nodes[node].head = nodes[node].tail = nodes[node].newest = NONE
    nodes[node].decoding = nodes[node].waiting = nodes[node].waiting_tokens = 0
    nodes[node].kv_used = nodes[node].kv_promised = 0
    nodes[node].due_s = inf
    forget(fleet.pool, node)
    return first, decoding + waiting


@compiled
def _begin_anew(fleet: Fleet, node: int, slot: int) -> None:
    """Count what a node that failed had computed of a request, and set the request back to its beginning."""
    slots, lost = fleet.pool.slots, fleet.tally.counts
    lost[RESENT] += 1
    lost[LOST_INPUT] += max(0, slots[slot].done - slots[slot].cached)
    lost[LOST_OUTPUT] += slots[slot].written
    if slots[slot].blocks and slots[slot].kept:
        release(fleet.pool, node, slot)
    slots[slot].prompt -= slots[slot].written
    slots[slot].output += slots[slot].written
    slots[slot].written, slots[slot].done, slots[slot].cached = 0, 0, slots[slot].given
    slots[slot].idle_hits, slots[slot].first_s = 0, nan


@compiled
def _follow_timetable(fleet: Fleet, at_s: float) -> None:
    watch, scaling = fleet.watch[0], fleet.scaling
    while watch.changes < len(scaling.changes) and scaling.changes[watch.changes, 0] <= at_s:
        watch.wanted = watch.wanted if scaling.is_reactive else int(scaling.changes[watch.changes, 1])
        watch.changes += 1


@compiled
def _staff(fleet: Fleet, at_s: float) -> None:
    """Start or stop nodes, until as many serve or start as are wanted, or can be had."""
    nodes, wanted = fleet.pool.nodes, fleet.watch[0].wanted
    active = 0
    for node in range(len(nodes)):
        active += nodes[node].phase == UP or nodes[node].phase == STARTING
    for node in range(len(nodes)):
        if active < wanted and nodes[node].phase == DRAINING:
            _become(fleet, node, UP, at_s)
            active += 1
    for node in range(len(nodes)):
        if active < wanted and nodes[node].phase == OFF:
            _start(fleet, node, at_s)
            active += 1
    for node in range(len(nodes) - 1, -1, -1):
        if active > wanted and nodes[node].phase == STARTING:
            _become(fleet, node, OFF, at_s)
            active -= 1
    while active > wanted:
        _become(fleet, _least_laden(fleet), DRAINING, at_s)
        active -= 1
    _stop_drained(fleet)


@compiled
def _start(fleet: Fleet, node: int, at_s: float) -> None:
    fleet.tally.counts[STARTS] += 1
    if fleet.scaling.start_s > 0.0:
        _become(fleet, node, STARTING, at_s)
        fleet.pool.nodes[node].ready_s = at_s + fleet.scaling.start_s
    else:
        _become(fleet, node, UP, at_s)


@compiled
def _least_laden(fleet: Fleet) -> int:
    """Return the node that serves with the fewest requests, of equals the last."""
    nodes = fleet.pool.nodes
    chosen, fewest = NONE, 0
    for node in range(len(nodes)):
        load = nodes[node].waiting + nodes[node].decoding
        if nodes[node].phase == UP and (chosen == NONE or load <= fewest):
            chosen, fewest = node, load
    return chosen
