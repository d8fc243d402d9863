"""Nodes of the simulator behind the gateway's own queue and policy, in plain Python: the line must do the same."""

from __future__ import annotations

from math import inf, nan, nextafter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from breakeven.capacity.arrays import as_many, fresh_fleet, grown, idle_pool, open_apis
from breakeven.capacity.engine import advance, enter
from breakeven.capacity.pool import NONE
from breakeven.routing.fullness import Limits, is_full
from breakeven.routing.policies import overflow
from breakeven.routing.policies.reasons import FULL_ANYWAY
from breakeven.routing.queueing import TURN_S, FairQueue, Waiting
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Demand, Rules
    from breakeven.capacity.pool import Pace

GOLDEN = 0.6180339887498949


class Served(NamedTuple):
    """What became of each request; NaN and False where it did not happen."""

    begun_s: list[float]
    ended_s: list[float]
    no_room: list[bool]
    too_late: list[bool]


class ByTurns:
    """A pool whose requests wait in a ``FairQueue``, under the policy ``overflow`` and without an API."""

    def __init__(self, pace: Pace, nodes: int, rules: Rules, wanted: Demand, flows: list[tuple[int, str]]) -> None:
        count = len(wanted.output)
        fleet = fresh_fleet(
            idle_pool(pace, nodes),
            open_apis(*np.zeros((3, 0))),
            scaling=as_many(nodes),
            outages=np.zeros((0, 3)),
            span_s=1.0,
        )
        self.pool = grown(fleet, count).pool
        self.rules, self.wanted, self.flows = rules, wanted, flows
        self.queue: FairQueue[int] = FairQueue(most_requests=rules.line_requests)
        self.full = [0] * nodes
        self.turn_s = inf
        self.tries = [0] * count
        self.served = Served([nan] * count, [nan] * count, [False] * count, [False] * count)

    def run(self) -> Served:
        """Let all requests come, and end."""
        for index, arrived_s in enumerate(self.wanted.arrived_s):
            self._turns(float(arrived_s))
            self._move(float(arrived_s), due=True)
            if len(self.queue):
                self._turn(float(arrived_s))
            self._come(index, float(arrived_s))
        while len(self.queue):
            self._turns(self.turn_s)
        self._move(inf)
        return self.served

    def _come(self, index: int, at_s: float) -> None:
        slots, wanted = self.pool.slots, self.wanted
        slots[index]["arrived_s"], slots[index]["begun_s"], slots[index]["first_s"] = at_s, nan, nan
        for name in ("prompt", "output"):
            slots[index][name] = getattr(wanted, name)[index]
        if not self._send(index, at_s):
            priority, key = self.flows[wanted.flow[index]]
            waiting = Waiting(
                index,
                key=key,
                priority=priority,
                tokens=int(wanted.prompt[index]),
                since_s=at_s,
                deadline_s=at_s + min(float(wanted.deadline_s[index]), self.rules.line_longest_s),
            )
            was_empty = not len(self.queue)
            without = self.queue.put(waiting)
            if without is not None:
                self.served.no_room[without.item] = True
            if was_empty:
                self.turn_s = self._next_turn_s(at_s)

    def _turns(self, until_s: float) -> None:
        while self.turn_s <= until_s:
            self._move(self.turn_s)
            self._turn(self.turn_s)

    def _turn(self, at_s: float) -> None:
        for late in self.queue.late(at_s):
            self.served.too_late[late.item] = True
        while self._has_room() and (waiting := self.queue.take(at_s)) is not None:
            self._send(waiting.item, at_s)
        self.turn_s = self._next_turn_s(at_s) if len(self.queue) else inf

    def _next_turn_s(self, at_s: float) -> float:
        for node, state in enumerate(self.pool.nodes):
            if state["due_s"] <= at_s:
                advance(self.pool, node, nextafter(at_s, inf))
        times_s: list[float] = self.pool.nodes["due_s"].tolist()
        return min([at_s + TURN_S, *(due_s for due_s in times_s if due_s > at_s)])

    def _move(self, until_s: float, *, due: bool = False) -> None:
        ended = self.pool.ended
        for node in range(len(self.pool.nodes)):
            if not due or self.pool.nodes[node]["due_s"] <= until_s:
                advance(self.pool, node, until_s)
        for slot, at_s in ended[: ended[-1]["slot"]].tolist():
            self.served.ended_s[slot] = at_s
            self.served.begun_s[slot] = float(self.pool.slots[slot]["begun_s"])
        ended[-1]["slot"] = 0

    def _look(self) -> list[int]:
        limits = Limits(self.rules.most_waiting, self.rules.most_kv_fraction, inf, self.rules.back_ratio)
        for node, state in enumerate(self.pool.nodes):
            kv_use = float(state["kv_used"]) / self.pool.pace.kv_tokens
            self.full[node] = int(is_full(self.full[node], int(state["waiting"]), kv_use, nan, limits))
        return self.full

    def _has_room(self) -> bool:
        return not all(self._look())

    def _send(self, index: int, at_s: float) -> bool:
        """Send a request to a node; return False where it is to wait instead."""
        full, states = self._look(), self.pool.nodes
        waiting = states["waiting"].tolist()
        alike: Any = [1] * len(full)
        targets = Targets(
            serves=alike,
            healthy=alike,
            in_flight=(states["waiting"] + states["decoding"]).tolist(),
            queue_length=waiting,
            kv_use_fraction=[0.0] * len(full),
            predicted_ttft_s=[nan] * len(full),
            price_usd=[0.0] * len(full),
            weight=[1.0] * len(full),
            paid=alike,
            full=full,
            in_hours=alike,
        )
        uniform = (float(self.wanted.uniform[index]) + self.tries[index] * GOLDEN) % 1.0
        request = Request(0, 0, 0, 0, 0, inf, inf, 0, inf)
        node, reason = overflow(targets, request, [0] * len(full), uniform)
        self.tries[index] += 1
        if reason == FULL_ANYWAY and self.tries[index] == 1:
            return False
        assert node != NONE
        advance(self.pool, node, at_s)
        enter(self.pool, node, index, at_s)
        return True
