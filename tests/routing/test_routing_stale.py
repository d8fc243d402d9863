"""Which of two ways to spread requests serves better when several processes see each other's with a delay."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from breakeven.routing.policies import overflow, two_choices
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Callable

NODES, SLOTS, WORK_S, USED, COUNT = 8, 16, 3.0, 0.92, 20_000
REQUEST = Request(0, 0, 0, 0, 0, inf, inf, 0)


def mean_wait_s(policy: Callable[..., tuple[int, int]], processes: int, look_s: float) -> float:
    """Return how long requests wait on nodes of so many slots with exponential times of work.

    A process knows its own requests at once, and those of others as of the last look.
    """
    chance = np.random.default_rng(1)
    gaps_s = chance.exponential(WORK_S / (USED * NODES * SLOTS), COUNT)
    work_s, uniform, who = chance.exponential(WORK_S, COUNT), chance.random(COUNT), chance.integers(0, processes, COUNT)
    own = [[0] * NODES for _ in range(processes)]
    others = [[0] * NODES for _ in range(processes)]
    free_at_s = [[0.0] * SLOTS for _ in range(NODES)]
    ends: list[tuple[float, int, int]] = []
    now_s = next_look_s = waited_s = 0.0
    for number in range(COUNT):
        now_s += gaps_s[number]
        while min(ends[0][0] if ends else inf, next_look_s) <= now_s:
            if ends and ends[0][0] <= next_look_s:
                _, node, process = heappop(ends)
                own[process][node] -= 1
                continue
            next_look_s += look_s
            all_of = [sum(column) for column in zip(*own, strict=True)]
            others = [[total - count for total, count in zip(all_of, mine, strict=True)] for mine in own]
        mine, seen = own[who[number]], others[who[number]]
        queue = [max(0, count + other - SLOTS) for count, other in zip(mine, seen, strict=True)]
        ones, zeros, unknown = [1] * NODES, [0] * NODES, [nan] * NODES
        view = Targets(ones, ones, mine, queue, unknown, unknown, unknown, ones, ones, zeros, ones)
        node, _ = policy(view, REQUEST, zeros, float(uniform[number]))
        mine[node] += 1
        begins_s = max(now_s, heappop(free_at_s[node]))
        waited_s += begins_s - now_s
        heappush(free_at_s[node], begins_s + work_s[number])
        heappush(ends, (begins_s + work_s[number], node, int(who[number])))
    return waited_s / COUNT


def test_few_processes_do_best_with_the_least_busy_of_all() -> None:
    assert mean_wait_s(overflow, 1, 1.0) < 0.6 * mean_wait_s(two_choices, 1, 1.0)
    assert mean_wait_s(overflow, 4, 1.0) < 0.8 * mean_wait_s(two_choices, 4, 1.0)


def test_many_processes_that_look_seldom_do_best_with_two_choices() -> None:
    assert mean_wait_s(two_choices, 16, 5.0) < 0.6 * mean_wait_s(overflow, 16, 5.0)
