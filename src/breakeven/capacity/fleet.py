"""Nodes behind a router: requests arrive, a policy of the gateway chooses where each goes, what they took is tallied.

Compiled by numba.  The policies are the gateway's own functions, called with columns of the same names: nodes first,
in their order, then the APIs that take what overflows.
"""

from __future__ import annotations

from math import inf, log, nan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.capacity.compiled import compiled
from breakeven.capacity.engine import advance, decode_s, enter, prompt_s
from breakeven.capacity.pool import NONE, Pool
from breakeven.routing import policies
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints

    Column = Any
    """An array, which stands in for the sequence that a policy asks for."""

ordered = compiled(policies.ordered)
weighted = compiled(policies.weighted)
least_busy = compiled(policies.least_busy)
lowest_latency = compiled(policies.lowest_latency)
cheapest = compiled(policies.cheapest)

POLICY_NAMES: Final = tuple(policies.POLICIES)
"""By the code of ``Rules.policy``."""

LOWEST_LATENCY: Final = POLICY_NAMES.index("lowest_latency")
ON_NODES, OVERFLOWED = range(2)
"""Rows of a tally."""

BUCKET_RATIO: Final = 1.01
SHORTEST_S: Final = 1e-5
BUCKETS: Final = 2400
"""Of times, each 1 % longer than the one before: from 10 µs to 66 hours; what is outside counts at the ends."""

_PER_LOG: Final = 1.0 / log(BUCKET_RATIO)


class Demand(NamedTuple):
    """Requests in the order in which they arrive; arrays of shape (n,)."""

    arrived_s: Floats
    prompt: Ints
    """Tokens, at least 1."""

    output: Ints
    """Tokens, at least 1."""

    cached: Ints
    """Of the prompt, in every node's cache of prefixes; fewer than the prompt."""

    uniform: Floats
    """Numbers in [0, 1), drawn for policies that draw."""

    api_usd: Floats
    """(n, APIs): what each would cost there."""


class Rules(NamedTuple):
    """How requests are sent."""

    policy: int
    """Index into ``POLICY_NAMES``."""

    most_waiting: int
    """A node with so many requests waiting takes no more while there is an API."""

    most_ttft_s: float
    """Nor one at which the first token is expected later than this."""


class Apis(NamedTuple):
    """Where requests overflow to; arrays by API, none if nothing does."""

    ttft_s: Floats
    tpot_s: Floats
    requests_per_s: Floats
    """What its rate limit lets through; infinite without one."""

    allowed: Floats
    """Requests that it would take now, by that limit; at most a minute's worth."""

    seen_s: Floats
    """When that was reckoned."""


class View(NamedTuple):
    """What the policies see; arrays by target, nodes before APIs: whole numbers, from ``kv_use_fraction`` on floats."""

    serves: Column
    healthy: Column
    in_flight: Column
    queue_length: Column
    kv_use_fraction: Column
    predicted_ttft_s: Column
    price_usd: Column
    weight: Column
    untried: Column


class Tally(NamedTuple):
    """What the requests that ended took; the first axis is ``ON_NODES`` or ``OVERFLOWED``."""

    ttft: Ints
    """(2, buckets): how many began within each time."""

    tpot: Ints
    """(2, buckets): seconds between tokens, of answers of two tokens and more."""

    total: Ints
    """(2, buckets): seconds to the end."""

    sums: Floats
    """(2, 6): requests, prompt and output tokens, seconds to the first token and to the end, and US dollars."""

    by_hour: Floats
    """(hours, 5): requests that came, requests that overflowed, output tokens of nodes and of APIs, and dollars."""

    rejected: Ints
    """(1,): requests that no node can hold and nobody else takes."""


class Fleet(NamedTuple):
    """Everything that the simulation goes on with from one batch of requests to the next."""

    pool: Pool
    apis: Apis
    seen: View
    tally: Tally


@compiled
def run(fleet: Fleet, demand: Demand, rules: Rules) -> None:
    """Let a batch of requests arrive; those that are still under way at its last arrival stay so."""
    states = fleet.pool.nodes
    nodes = len(states)
    for index in range(len(demand.arrived_s)):
        at_s = demand.arrived_s[index]
        for node in range(nodes):
            if states[node].due_s <= at_s:
                advance(fleet.pool, node, at_s)
        settle(fleet)
        target = _choose(fleet, demand, rules, index)
        if NONE < target < nodes:
            advance(fleet.pool, target, at_s)
        _send(fleet, demand, index, target)


@compiled
def finish(fleet: Fleet) -> None:
    """Let all requests under way end."""
    for node in range(len(fleet.pool.nodes)):
        advance(fleet.pool, node, inf)
    settle(fleet)


@compiled
def settle(fleet: Fleet) -> None:
    """Tally the requests that ended on nodes, and free their slots."""
    slots, ended, free = fleet.pool.slots, fleet.pool.ended, fleet.pool.free
    for place in range(ended.noted[0]):
        slot, at_s = ended.slot[place], ended.at_s[place]
        written = slots[slot].written + slots[slot].output
        prompt = slots[slot].prompt - slots[slot].written
        arrived_s, first_s = slots[slot].arrived_s, slots[slot].first_s
        _tally(fleet.tally, ON_NODES, (prompt, written), first_s - arrived_s, at_s - arrived_s)
        height = free[-1]
        free[height] = slot
        free[-1] = height + 1
    ended.noted[0] = 0


@compiled
def bucket_of(seconds: float) -> int:
    """Return the bucket of a time."""
    if seconds <= SHORTEST_S:
        return 0
    return min(BUCKETS - 1, int(log(seconds / SHORTEST_S) * _PER_LOG))


@compiled
def _tally(tally: Tally, row: int, tokens: tuple[int, int], ttft_s: float, total_s: float) -> None:
    prompt, output = tokens
    tally.ttft[row, bucket_of(ttft_s)] += 1
    tally.total[row, bucket_of(total_s)] += 1
    if output > 1:
        tally.tpot[row, bucket_of((total_s - ttft_s) / (output - 1))] += 1
    sums = tally.sums[row]
    sums[0] += 1
    sums[1] += prompt
    sums[2] += output
    sums[3] += ttft_s
    sums[4] += total_s


@compiled
def _choose(fleet: Fleet, demand: Demand, rules: Rules, index: int) -> int:
    """Return the target of a request; ``NONE``: nobody takes it."""
    nodes = len(fleet.pool.nodes)
    view, apis = fleet.seen, len(fleet.apis.ttft_s)
    predicts = rules.policy == LOWEST_LATENCY or (apis > 0 and rules.most_ttft_s < inf)
    fits = demand.prompt[index] - demand.cached[index] + demand.output[index] <= fleet.pool.pace.kv_tokens
    open_nodes = 0
    for node in range(nodes):
        _look(fleet, node)
        if predicts:
            _predict(fleet, demand, node, index)
        waits = view.queue_length[node] >= rules.most_waiting or view.predicted_ttft_s[node] > rules.most_ttft_s
        view.serves[node] = fits and not (apis > 0 and waits)
        open_nodes += view.serves[node]
    for api in range(apis):
        view.serves[nodes + api] = open_nodes == 0 and _allows(fleet.apis, api, demand.arrived_s[index])
        view.price_usd[nodes + api] = demand.api_usd[index, api]
    chosen = _by_policy(view, demand, rules, index)
    if chosen == NONE and fits:  # every API is at its limit: the nodes take it after all
        for node in range(nodes):
            view.serves[node] = 1
        chosen = _by_policy(view, demand, rules, index)
    return chosen


@compiled
def _look(fleet: Fleet, node: int) -> None:
    """Write down what a policy sees of a node; the cache as of the last look."""
    nodes, view = fleet.pool.nodes, fleet.seen
    waiting = nodes[node].waiting
    view.in_flight[node] = waiting + nodes[node].decoding
    view.queue_length[node] = waiting
    view.kv_use_fraction[node] = nodes[node].kv_used / fleet.pool.pace.kv_tokens


@compiled
def _predict(fleet: Fleet, demand: Demand, node: int, index: int) -> None:
    """Write down when a node would begin to answer a request: behind all prompts that wait there."""
    pace, nodes, view = fleet.pool.pace, fleet.pool.nodes, fleet.seen
    decoding = nodes[node].decoding
    tokens = nodes[node].waiting_tokens + demand.prompt[index] - demand.cached[index]
    step_s = decode_s(pace, decoding, nodes[node].kv_used) if decoding else pace.base_s
    rounds = 1 + tokens // max(1, pace.chunk_tokens - decoding)
    view.predicted_ttft_s[node] = (
        max(0.0, nodes[node].now_s - demand.arrived_s[index])
        + rounds * step_s
        + prompt_s(pace, tokens, 0.0, decoding == 0)
    )


@compiled
def _allows(apis: Apis, api: int, at_s: float) -> bool:
    """Whether an API's rate limit lets one more request through: a bucket that fills with time."""
    rate = apis.requests_per_s[api]
    if rate == inf:
        return True
    apis.allowed[api] = min(60.0 * rate, apis.allowed[api] + (at_s - apis.seen_s[api]) * rate)
    apis.seen_s[api] = at_s
    return bool(apis.allowed[api] >= 1.0)


@compiled
def _by_policy(view: View, demand: Demand, rules: Rules, index: int) -> int:
    """Call the policy, as the gateway does."""
    targets = Targets(
        view.serves, view.healthy, view.in_flight, view.queue_length, view.kv_use_fraction, view.predicted_ttft_s,
        view.price_usd, view.weight,
    )  # fmt: skip
    request = Request(demand.prompt[index], demand.output[index], 0, 0, 0, inf, inf, 0)
    uniform, untried = demand.uniform[index], view.untried
    if rules.policy == 0:
        return ordered(targets, request, untried, uniform)[0]
    if rules.policy == 1:
        return weighted(targets, request, untried, uniform)[0]
    if rules.policy == 2:
        return least_busy(targets, request, untried, uniform)[0]
    if rules.policy == LOWEST_LATENCY:
        return lowest_latency(targets, request, untried, uniform)[0]
    return cheapest(targets, request, untried, uniform)[0]


@compiled
def _send(fleet: Fleet, demand: Demand, index: int, target: int) -> None:
    """Put a request where it was sent."""
    tally, nodes = fleet.tally, len(fleet.pool.nodes)
    at_s, prompt, output = demand.arrived_s[index], demand.prompt[index], demand.output[index]
    hour = tally.by_hour[min(int(at_s / 3600.0), len(tally.by_hour) - 1)]
    hour[0] += 1
    if target == NONE:
        tally.rejected[0] += 1
        return
    if target >= nodes:
        api = target - nodes
        fleet.apis.allowed[api] -= 1.0
        hour[1] += 1
        hour[3] += output
        hour[4] += demand.api_usd[index, api]
        tally.sums[OVERFLOWED, 5] += demand.api_usd[index, api]
        ttft_s = fleet.apis.ttft_s[api]
        _tally(tally, OVERFLOWED, (prompt, output), ttft_s, ttft_s + (output - 1) * fleet.apis.tpot_s[api])
        return
    hour[2] += output
    slots, free = fleet.pool.slots, fleet.pool.free
    height = free[-1] - 1
    slot = free[height]
    free[-1] = height
    slots[slot].arrived_s = at_s
    slots[slot].prompt, slots[slot].output = prompt, output
    slots[slot].done, slots[slot].cached, slots[slot].written = 0, demand.cached[index], 0
    slots[slot].first_s = nan
    enter(fleet.pool, target, slot, at_s)
