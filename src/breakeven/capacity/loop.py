"""A closed loop: so many clients, each of which sends its next request when the last one has ended.

That is how served throughput is measured (``vllm bench serve --max-concurrency``).  Compiled by numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from breakeven.capacity.arrays import idle_pool
from breakeven.capacity.compiled import compiled
from breakeven.capacity.engine import advance, enter

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints
    from breakeven.capacity.pool import Pace, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What a closed loop came to, once it ran evenly."""

    ttft_s: float
    """Means, of the requests after the warm-up."""

    tpot_s: float
    output_tokens_per_s: float


def closed_loop(pace: Pace, lengths: tuple[Ints, Ints], clients: int, *, warm_up: int) -> Loop:
    """Run requests of these prompts and outputs, in their order, by so many clients on one node.

    ``warm_up``: how many of the first are in no figure.  Clients beyond what the node runs at once wait there.
    """
    prompt, output = lengths
    pool = idle_pool(pace, 1)
    if clients >= len(pool.slots):
        raise ValueError(f"{clients} clients are more than {len(pool.slots) - 1}")
    times = np.zeros((len(prompt), 3))
    run_loop(pool, prompt, output, clients, times)
    measured = times[warm_up:]
    many = output[warm_up:] > 1
    lasts_s = measured[:, 2] - measured[:, 1]
    ended_s = np.sort(times[:, 2])
    return Loop(
        ttft_s=float(np.mean(measured[:, 1] - measured[:, 0])) + pace.request_s,
        tpot_s=float(np.mean(lasts_s[many] / (output[warm_up:][many] - 1))),
        output_tokens_per_s=float(output[warm_up:].sum() / (ended_s[-1] - ended_s[warm_up])),
    )


@compiled
def run_loop(pool: Pool, prompt: Ints, output: Ints, clients: int, times: Floats) -> None:
    """Run a closed loop on the first node; ``times``: arrival, first token and end of each request, written here.

    A slot belongs to a client; ``given`` holds the number of its request, since nothing is cached.
    """
    nodes, slots, ended = pool.nodes, pool.slots, pool.ended
    sent = 0
    for slot in range(min(clients, len(prompt))):
        _next_request(pool, (prompt[sent], output[sent]), slot, 0.0)
        slots[slot].tries = sent
        sent += 1
    while nodes[0].waiting or nodes[0].decoding:
        advance(pool, 0, max(nodes[0].due_s, nodes[0].now_s + 1e-9))
        for place in range(ended[-1].slot):
            slot, at_s = ended[place].slot, ended[place].at_s
            number = slots[slot].tries
            times[number, 0], times[number, 1], times[number, 2] = slots[slot].arrived_s, slots[slot].first_s, at_s
            if sent < len(prompt):
                _next_request(pool, (prompt[sent], output[sent]), slot, at_s)
                slots[slot].tries = sent
                sent += 1
        ended[-1].slot = 0


@compiled
def _next_request(pool: Pool, lengths: tuple[int, int], slot: int, at_s: float) -> None:
    slots = pool.slots
    slots[slot].arrived_s = at_s
    slots[slot].begun_s = slots[slot].first_s = nan
    slots[slot].prompt, slots[slot].output = lengths
    slots[slot].given = slots[slot].cached = slots[slot].done = slots[slot].written = 0
    slots[slot].idle_hits = slots[slot].blocks = 0
    enter(pool, 0, slot, at_s)
