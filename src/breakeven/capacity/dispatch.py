"""Sends each request where a policy of the gateway says, or lets it wait for that.  Compiled by numba.

The policies are the gateway's own functions, called with columns of the same names: nodes first, in their order, then
the APIs that take what overflows.
"""

from __future__ import annotations

from math import floor, inf, nan
from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled
from breakeven.capacity.engine import advance, decode_s, enter, prompt_s
from breakeven.capacity.fleet import (
    ALLOWED,
    BUDGET_DOWNGRADE,
    CAME,
    CHEAPEST,
    COST_THRESHOLD,
    DAY,
    FULL,
    HEALTHY,
    IN_FLIGHT,
    IN_HOURS,
    KV_USE,
    LOWEST_LATENCY,
    MARGINAL_COST,
    NO_ROOM,
    OVERFLOW,
    PAID,
    PREDICTED_TTFT_S,
    PRICE_USD,
    QUEUE_LENGTH,
    REJECTED,
    REQUESTS_PER_S,
    SCHEDULE,
    SEEN_S,
    SERVES,
    SPENT_USD,
    TWO_CHOICES,
    UNTRIED,
    WEIGHT,
)
from breakeven.capacity.line import join, next_turn_s, send_back_late, take_next
from breakeven.capacity.pool import NONE, UP
from breakeven.capacity.tallying import hour_of, reject, send_over
from breakeven.routing import fullness, policies
from breakeven.routing.fullness import Limits
from breakeven.routing.policies.reasons import FULL_ANYWAY
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats
    from breakeven.capacity.fleet import Demand, Fleet, Rules, View

ordered = compiled(policies.ordered)
weighted = compiled(policies.weighted)
least_busy = compiled(policies.least_busy)
lowest_latency = compiled(policies.lowest_latency, allocates=True)
cheapest = compiled(policies.cheapest)
two_choices = compiled(policies.two_choices)
cost_threshold = compiled(policies.cost_threshold)
budget_downgrade = compiled(policies.budget_downgrade)
schedule = compiled(policies.schedule)
overflow = compiled(policies.overflow)
marginal_cost = compiled(policies.marginal_cost)
prefix_affinity = compiled(policies.prefix_affinity)
is_full = compiled(fullness.is_full)

WAITS: Final = -2
"""A request that fits on a node waits until one serves."""

DAY_S: Final = 86_400.0
WANTED_NODES: Final = 1
"""The column of ``Scaling.changes``; behind it stand hours, where somebody has any."""

_GOLDEN: Final = 0.6180339887498949
"""Added to a request's number each time it is sent again: what is left of the sum lies far from what came before."""


@compiled
def arrive(fleet: Fleet, demand: Demand, index: int, first_block: int) -> int:
    """Take a request in, and return its slot; its batch's blocks lie in the pool's from ``first_block`` on."""
    slots, free = fleet.pool.slots, fleet.pool.free
    height = free[-1] - 1
    slot = int(free[height])
    free[-1] = height
    at_s = demand.arrived_s[index]
    slots[slot].arrived_s, slots[slot].uniform, slots[slot].tries = at_s, demand.uniform[index], 0
    slots[slot].begun_s = slots[slot].first_s = nan
    slots[slot].prompt, slots[slot].output = demand.prompt[index], demand.output[index]
    slots[slot].given = slots[slot].cached = demand.cached[index]
    slots[slot].done, slots[slot].written, slots[slot].idle_hits, slots[slot].blocks = 0, 0, 0, 0
    block_tokens = fleet.pool.block_tokens
    if block_tokens and len(demand.block_ends):
        start = demand.block_ends[index - 1] if index else 0
        most = (demand.prompt[index] + block_tokens - 1) // block_tokens
        slots[slot].blocks = min(demand.block_ends[index] - start, most)
        slots[slot].blocks_at = first_block + start
        slots[slot].hits = slots[slot].kept = 0
        if slots[slot].blocks:
            slots[slot].given = slots[slot].cached = 0
    for api in range(fleet.bills.shape[1]):
        fleet.bills[slot, api] = demand.api_usd[index, api]
    slots[slot].flow = demand.flow[index] if len(demand.flow) else NONE
    slots[slot].deadline_s = demand.deadline_s[index] if len(demand.deadline_s) else inf
    fleet.tally.by_hour[hour_of(fleet.tally, at_s), CAME] += 1
    return slot


@compiled
def send(fleet: Fleet, rules: Rules, slot: int, at_s: float) -> bool:
    """Send a request to a node, which then has it, or to an API; else it waits for a node, or is rejected.

    Return whether it is to stand in line instead: at its first try, since nodes are full, or none is there.
    """
    nodes, slots = len(fleet.pool.nodes), fleet.pool.slots
    target, reason = _choose(fleet, rules, slot, at_s)
    slots[slot].tries += 1
    if target >= nodes:
        send_over(fleet, slot, target - nodes, at_s)
    elif target >= 0 and (reason != FULL_ANYWAY or not rules.line_requests or slots[slot].tries > 1):
        advance(fleet.pool, target, at_s)
        enter(fleet.pool, target, slot, at_s)
    elif rules.line_requests and slots[slot].tries == 1 and target != NONE:
        return True
    elif target == WAITS:
        wait(fleet, slot)
    else:
        reject(fleet, slot, REJECTED)
    return False


@compiled
def take_turns(fleet: Fleet, rules: Rules, at_s: float) -> None:
    """Send those in the line for whom there is room now, and reject those who have waited too long."""
    watch = fleet.watch[0]
    watch.turn_s = inf
    if watch.in_line:
        send_back_late(fleet, at_s)
        while _has_room(fleet, rules, at_s) and watch.in_line:
            send(fleet, rules, take_next(fleet, at_s), at_s)
    if watch.in_line:
        watch.turn_s = next_turn_s(fleet, at_s)


@compiled
def wait(fleet: Fleet, slot: int) -> None:
    """Let a request wait for a node, behind all others."""
    watch, slots = fleet.watch[0], fleet.pool.slots
    slots[slot].newer = NONE
    if watch.waiting:
        slots[watch.last_waiting].newer = slot
    else:
        watch.first_waiting = slot
    watch.last_waiting = slot
    watch.waiting += 1


@compiled
def stand_in_line(fleet: Fleet, rules: Rules, slot: int, at_s: float) -> None:
    """Let a request wait for room, or reject whoever has to go for it."""
    slots = fleet.pool.slots
    slots[slot].deadline_s = at_s + min(slots[slot].deadline_s, rules.line_longest_s)
    without = join(fleet, rules.line_requests, slot, at_s)
    if without != NONE:
        reject(fleet, without, NO_ROOM)


@compiled
def _has_room(fleet: Fleet, rules: Rules, at_s: float) -> bool:
    """Whether some node is not full, for a prompt without tokens."""
    nodes = fleet.pool.nodes
    for node in range(len(nodes)):
        if nodes[node].phase == UP:
            _look(fleet, node)
            if rules.most_ttft_s < inf:
                _predict(fleet, node, 0, at_s)
            _weigh(fleet, rules, node)
            if not fleet.seen.whole[FULL, node]:
                return True
    return False


@compiled
def _choose(fleet: Fleet, rules: Rules, slot: int, at_s: float) -> tuple[int, int]:
    """Return the target of a request, and the policy's reason.

    ``WAITS``: there is none yet; ``NONE``: nobody takes it.
    """
    states, slots, view, shares = fleet.pool.nodes, fleet.pool.slots, fleet.seen.whole, fleet.seen.shares
    nodes, apis, sees_all = len(states), fleet.apis.shape[1], rules.policy >= OVERFLOW
    sees_apis, weighs = sees_all or rules.policy == SCHEDULE, apis > 0 or rules.line_requests > 0
    predicts = rules.policy in (LOWEST_LATENCY, MARGINAL_COST) or (weighs and rules.most_ttft_s < inf)
    own_tokens = 0 if rules.line_requests else slots[slot].prompt - slots[slot].given  # room is judged by the node
    fits = slots[slot].prompt - slots[slot].given + slots[slot].output <= fleet.pool.pace.kv_tokens
    open_nodes = up_nodes = 0
    for node in range(nodes):
        is_up = states[node].phase == UP
        _look(fleet, node)
        if predicts:
            _predict(fleet, node, own_tokens, at_s)
        if weighs:
            _weigh(fleet, rules, node)
        view[SERVES, node] = is_up and fits and (sees_all or not view[FULL, node])
        open_nodes += view[SERVES, node]
        up_nodes += is_up
    for api in range(apis):
        view[SERVES, nodes + api] = (sees_apis or open_nodes == 0) and _allows(fleet.apis, api, at_s)
        shares[PRICE_USD, nodes + api] = fleet.bills[slot, api]
    if rules.policy == SCHEDULE:
        _open(fleet)
    budget_usd = _left_usd(fleet, rules, at_s) if rules.policy == BUDGET_DOWNGRADE else inf
    chosen, reason = _by_policy(fleet, rules, slot, budget_usd)
    if chosen == NONE and fits:  # every API is at its limit: the nodes take it after all
        if not up_nodes:
            return WAITS, reason
        for node in range(nodes):
            view[SERVES, node] = states[node].phase == UP
        chosen, reason = _by_policy(fleet, rules, slot, budget_usd)
    return chosen, reason


@compiled
def _open(fleet: Fleet) -> None:
    """Write down who is in its hours."""
    nodes, whole, changes = len(fleet.pool.nodes), fleet.seen.whole, fleet.scaling.changes
    if changes.shape[1] > WANTED_NODES + 1:
        latest = changes[fleet.watch[0].changes - 1]
        for target in range(whole.shape[1]):
            whole[IN_HOURS, target] = int(latest[WANTED_NODES + 1 + max(0, target - nodes + 1)])


@compiled
def _left_usd(fleet: Fleet, rules: Rules, at_s: float) -> float:
    """Return what is left of the day's budget, which is whole again at midnight."""
    day, left_usd = floor((at_s + rules.day_s) / DAY_S), rules.budget_day_usd
    for api in range(fleet.apis.shape[1]):
        if fleet.apis[DAY, api] != day:
            fleet.apis[DAY, api], fleet.apis[SPENT_USD, api] = day, 0.0
        left_usd -= fleet.apis[SPENT_USD, api]
    return left_usd


@compiled
def _look(fleet: Fleet, node: int) -> None:
    """Write down what a policy sees of a node; the cache as of the last look."""
    nodes, view = fleet.pool.nodes, fleet.seen
    waiting = nodes[node].waiting
    view.whole[IN_FLIGHT, node] = waiting + nodes[node].decoding
    view.whole[QUEUE_LENGTH, node] = waiting
    view.shares[KV_USE, node] = nodes[node].kv_used / fleet.pool.pace.kv_tokens


@compiled
def _weigh(fleet: Fleet, rules: Rules, node: int) -> None:
    """Write down whether a node has room for more, one without anything to do as if for the first time.

    Without an API or a line nobody asks.
    """
    whole, shares = fleet.seen.whole, fleet.seen.shares
    limits = Limits(rules.most_waiting, rules.most_kv_fraction, rules.most_ttft_s, rules.back_ratio)
    was_full = whole[FULL, node] if whole[IN_FLIGHT, node] else 0
    whole[FULL, node] = is_full(
        was_full, whole[QUEUE_LENGTH, node], shares[KV_USE, node], shares[PREDICTED_TTFT_S, node], limits
    )


@compiled
def _predict(fleet: Fleet, node: int, own_tokens: int, at_s: float) -> None:
    """Write down when a node would begin to answer a prompt of so many tokens: behind all prompts that wait there."""
    pace, nodes, view = fleet.pool.pace, fleet.pool.nodes, fleet.seen
    decoding = nodes[node].decoding
    tokens = nodes[node].waiting_tokens + own_tokens
    step_s = decode_s(pace, decoding, nodes[node].kv_used) if decoding else pace.base_s
    rounds = 1 + tokens // max(1, pace.chunk_tokens - decoding)
    view.shares[PREDICTED_TTFT_S, node] = (
        pace.request_s
        + max(0.0, nodes[node].now_s - at_s)
        + rounds * step_s
        + prompt_s(pace, tokens, 0.0, decoding == 0)
    )


@compiled
def _allows(apis: Floats, api: int, at_s: float) -> bool:
    """Whether an API's rate limit lets one more request through: a bucket that fills with time."""
    rate = apis[REQUESTS_PER_S, api]
    if rate == inf:
        return True
    apis[ALLOWED, api] = min(60.0 * rate, apis[ALLOWED, api] + (at_s - apis[SEEN_S, api]) * rate)
    apis[SEEN_S, api] = at_s
    return bool(apis[ALLOWED, api] >= 1.0)


@compiled
def _by_policy(fleet: Fleet, rules: Rules, slot: int, budget_usd: float) -> tuple[int, int]:  # noqa: C901, PLR0911 - numba calls no functions out of a table
    """Call the policy, as the gateway does; it knows how the prompt begins by its first block."""
    slots = fleet.pool.slots
    targets = _targets(fleet.seen)
    first = int(fleet.pool.references[slots[slot].blocks_at].id) + 1 if slots[slot].blocks else 0
    tries = slots[slot].tries
    request = Request(slots[slot].prompt, slots[slot].output, 0, first, 0, inf, budget_usd, tries, rules.most_usd)
    uniform, untried = (slots[slot].uniform + tries * _GOLDEN) % 1.0, fleet.seen.whole[UNTRIED]
    if rules.policy == 0:
        return ordered(targets, request, untried, uniform)
    if rules.policy == 1:
        return weighted(targets, request, untried, uniform)
    if rules.policy == 2:
        return least_busy(targets, request, untried, uniform)
    if rules.policy == LOWEST_LATENCY:
        return lowest_latency(targets, request, untried, uniform)
    if rules.policy == CHEAPEST:
        return cheapest(targets, request, untried, uniform)
    if rules.policy == TWO_CHOICES:
        return two_choices(targets, request, untried, uniform)
    if rules.policy == COST_THRESHOLD:
        return cost_threshold(targets, request, untried, uniform)
    if rules.policy == BUDGET_DOWNGRADE:
        return budget_downgrade(targets, request, untried, uniform)
    if rules.policy == SCHEDULE:
        return schedule(targets, request, untried, uniform)
    if rules.policy == OVERFLOW:
        return overflow(targets, request, untried, uniform)
    if rules.policy == MARGINAL_COST:
        return marginal_cost(targets, request, untried, uniform)
    return prefix_affinity(targets, request, untried, uniform)


@compiled
def _targets(view: View) -> Targets:
    return Targets(
        view.whole[SERVES],
        view.whole[HEALTHY],
        view.whole[IN_FLIGHT],
        view.whole[QUEUE_LENGTH],
        view.shares[KV_USE],
        view.shares[PREDICTED_TTFT_S],
        view.shares[PRICE_USD],
        view.shares[WEIGHT],
        view.whole[PAID],
        view.whole[FULL],
        view.whole[IN_HOURS],
    )
