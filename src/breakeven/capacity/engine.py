"""One node as an engine runs it: continuous batching, chunked prefill, a KV cache that may run out.  Compiled by numba.

Time goes from iteration to iteration.  In each, every running request gets one token, and what is left of the token
budget goes to prompts that wait; while none can be let in, the batch stays the same until a request ends, so that all
iterations up to that end, or up to the next arrival, are taken in one step of closed form, exactly.

All state lies in arrays that are changed in place; what is indexed by node and by slot (a place for one request) is
described in ``capacity.pool``.
"""

from __future__ import annotations

from math import ceil, hypot, inf, isnan, sqrt
from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled, push, take
from breakeven.capacity.pool import NONE
from breakeven.capacity.prefixes import hold, keep, look_up, release, trim

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Records
    from breakeven.capacity.pool import Pace, Pool

MOST_STEPS: Final = 1 << 50
"""Taken at once: more than any request is long."""


@compiled
def decode_s(pace: Pace, decoding: int, kv_used: int) -> float:
    """Return the seconds of an iteration without prompts."""
    last = len(pace.weights_s) - 1
    products = hypot(pace.weights_s[min(decoding, last)], pace.token_s * decoding)
    return pace.base_s + decoding * (pace.sequence_s + pace.link_token_s) + products + kv_used * pace.kv_token_s


@compiled
def prompt_s(pace: Pace, tokens: int, pairs: float, alone: bool) -> float:  # noqa: FBT001 - numba calls by place
    """Return what prompts add to an iteration; ``alone``: nothing decodes, so the weights are read for them."""
    products = pace.token_s * tokens
    if alone:
        products = hypot(products, pace.weights_s[min(tokens, len(pace.weights_s) - 1)])
    return pace.prompt_ratio * (products + pairs * pace.pair_s + tokens * pace.link_token_s)


@compiled
def steps_until(first_s: float, growth_s: float, left_s: float) -> int:
    """Return the fewest iterations that take at least ``left_s``, each longer than the last by ``growth_s``."""
    if left_s <= first_s:
        return 1
    if left_s > first_s * MOST_STEPS:
        return MOST_STEPS
    if growth_s <= 1e-12 * first_s:
        return ceil(left_s / first_s)
    half = first_s - growth_s / 2
    return max(1, ceil((sqrt(half * half + 2 * growth_s * left_s) - half) / growth_s))


@compiled
def enter(pool: Pool, node: int, slot: int, now_s: float) -> None:
    """Let a request wait at a node, behind all others."""
    nodes, slots = pool.nodes, pool.slots
    slots[slot].hit = NONE
    if not nodes[node].waiting and not nodes[node].decoding:
        nodes[node].now_s = max(nodes[node].now_s, now_s)
    slots[slot].newer = NONE
    if nodes[node].waiting:
        slots[nodes[node].tail].newer = slot
    else:
        nodes[node].head = slot
    nodes[node].tail = slot
    nodes[node].waiting += 1
    nodes[node].waiting_tokens += slots[slot].prompt - slots[slot].cached
    nodes[node].due_s = nodes[node].now_s


@compiled
def advance(pool: Pool, node: int, until_s: float) -> None:
    """Run a node's iterations until one ends at ``until_s`` or later, or nothing is left to do.

    Those that end are noted in ``ended``, which must have room for all requests on the node.
    """
    nodes = pool.nodes
    while nodes[node].now_s < until_s and (nodes[node].waiting or nodes[node].decoding):
        if _is_full(pool, node):
            _put_back(pool, node)
        elif nodes[node].waiting and _may_begin(pool, node, 0):
            _mixed(pool, node)
        elif nodes[node].decoding:
            _decode(pool, node, until_s)
        else:
            break
    nodes[node].due_s = nodes[node].now_s if nodes[node].waiting else _next_end_s(pool, node)


@compiled
def _next_end_s(pool: Pool, node: int) -> float:
    """Return when the next request ends at a node where none waits; or an earlier time at which one is put back."""
    nodes = pool.nodes
    decoding = nodes[node].decoding
    if not decoding:
        return inf
    steps = pool.ends[node, 0].step - nodes[node].step
    if not pool.pace.reserves_output:
        steps = min(steps, (pool.pace.kv_tokens - nodes[node].kv_used) // decoding)
    first_s = decode_s(pool.pace, decoding, nodes[node].kv_used)
    return float(nodes[node].now_s + steps * (first_s + decoding * pool.pace.kv_token_s * (steps - 1) / 2))


@compiled
def _is_full(pool: Pool, node: int) -> bool:
    """Whether those that decode have no room for one more token each."""
    nodes = pool.nodes
    free = pool.pace.kv_tokens - nodes[node].kv_used
    return bool(not pool.pace.reserves_output and nodes[node].decoding > 0 and free < nodes[node].decoding)


@compiled
def _may_begin(pool: Pool, node: int, begun: int) -> bool:
    """Whether the first that waits may compute some of its prompt in an iteration in which ``begun`` others did."""
    pace, nodes, slots = pool.pace, pool.nodes, pool.slots
    slot = nodes[node].head
    if slots[slot].done > slots[slot].cached:
        return True
    if nodes[node].decoding + begun >= pace.max_requests:
        return False
    if slots[slot].blocks:
        look_up(pool, node, slot)
    needed = slots[slot].prompt - slots[slot].cached + slots[slot].idle_hits + nodes[node].decoding
    if pace.reserves_output:
        needed += slots[slot].output - nodes[node].decoding
    used = nodes[node].kv_used + nodes[node].kv_promised
    return bool(used + needed <= pace.kv_tokens)


@compiled
def _let_in(pool: Pool, node: int, slot: int) -> None:
    """Begin a request's prompt, behind what the cache has of it."""
    nodes, slots = pool.nodes, pool.slots
    slots[slot].done = slots[slot].cached
    nodes[node].kv_used += slots[slot].prompt - slots[slot].cached
    if pool.pace.reserves_output:
        nodes[node].kv_promised += slots[slot].output - 1
    if slots[slot].hit == NONE:
        slots[slot].hit = slots[slot].cached
        nodes[node].hit_tokens += slots[slot].cached
        nodes[node].prompt_tokens += slots[slot].prompt
    if isnan(slots[slot].begun_s):
        slots[slot].begun_s = nodes[node].now_s
    if slots[slot].blocks:
        hold(pool, node, slot)
    if pool.block_tokens:
        trim(pool, node)


@compiled
def _mixed(pool: Pool, node: int) -> None:
    """Run one iteration with as much of the waiting prompts as it takes."""
    pace, nodes, slots = pool.pace, pool.nodes, pool.slots
    decoding, kv_used = nodes[node].decoding, nodes[node].kv_used
    left = max(1, pace.chunk_tokens - decoding)
    tokens, begun = 0, 0
    pairs = 0.0
    while left > 0 and nodes[node].waiting and _may_begin(pool, node, begun):
        slot = nodes[node].head
        if slots[slot].done <= slots[slot].cached:
            _let_in(pool, node, slot)
        chunk = min(left, slots[slot].prompt - slots[slot].done)
        pairs += chunk * (slots[slot].done + chunk / 2)
        slots[slot].done += chunk
        if slots[slot].blocks:
            keep(pool, node, slot)
        tokens += chunk
        left -= chunk
        nodes[node].waiting_tokens -= chunk
        if slots[slot].done < slots[slot].prompt:
            break
        nodes[node].head = slots[slot].newer
        nodes[node].waiting -= 1
        _begin(pool, node, slot)
        begun += 1
    lasts_s = prompt_s(pace, tokens, pairs, decoding == 0)
    lasts_s += decode_s(pace, decoding, kv_used) if decoding else pace.base_s
    prompts_s = prompt_s(pace, tokens, pairs, alone=False)
    if not decoding:
        prompts_s += pace.base_s * tokens / pace.chunk_tokens
    _pass(pool, node, lasts_s, prompts_s, (1, decoding, float(kv_used)))
    _end_due(pool, node, decoding)
    slot = nodes[node].newest
    for _ in range(begun):
        older = slots[slot].older
        _first_token(pool, node, slot)
        slot = older


@compiled
def _decode(pool: Pool, node: int, until_s: float) -> None:
    """Run iterations without prompts, as many as nothing changes in, but for one that puts a request back."""
    pace, nodes = pool.pace, pool.nodes
    decoding = nodes[node].decoding
    room = (pace.kv_tokens - nodes[node].kv_used - nodes[node].kv_promised) // decoding
    first_s = decode_s(pace, decoding, nodes[node].kv_used)
    growth_s = decoding * pace.kv_token_s
    steps = min(pool.ends[node, 0].step - nodes[node].step, steps_until(first_s, growth_s, until_s - nodes[node].now_s))
    if not pace.reserves_output:
        steps = min(steps, room)
    held = nodes[node].kv_used + decoding * (steps - 1) / 2
    _pass(pool, node, steps * (first_s + growth_s * (steps - 1) / 2), 0.0, (steps, decoding, held))
    _end_due(pool, node, decoding)


@compiled
def saturated_s(pace: Pace, decoding: int, held: float, promised: float) -> float:
    """Return the share of so many requests, and so many held tokens, in an iteration as large as the cache allows.

    As large is with as many requests as fit at the mean length of these, but no more than the engine runs at once.
    """
    last = len(pace.weights_s) - 1
    full = min(float(pace.max_requests), pace.kv_tokens * decoding / max(held + promised, 1.0))
    products = hypot(pace.weights_s[min(int(full), last)], pace.token_s * full)
    fixed_s = (pace.base_s + products) * decoding / max(full, 1.0)
    return fixed_s + decoding * (pace.sequence_s + pace.link_token_s) + held * pace.kv_token_s


@compiled
def _pass(pool: Pool, node: int, lasts_s: float, prompts_s: float, batch: tuple[int, int, float]) -> None:
    """Let time pass at a node; ``batch``: how many iterations, requests that wrote a token in each, tokens held.

    ``prompts_s`` is what prompts would have taken in the largest iterations.
    """
    nodes = pool.nodes
    steps, decoding, held = batch
    used_s = prompts_s
    if decoding:
        used_s += steps * saturated_s(pool.pace, decoding, held, nodes[node].kv_promised)
    nodes[node].now_s += lasts_s
    nodes[node].busy_s += lasts_s
    nodes[node].used_s += min(used_s, lasts_s)
    nodes[node].step += steps
    nodes[node].kv_used += steps * decoding
    if pool.pace.reserves_output:
        nodes[node].kv_promised -= steps * decoding
    if pool.block_tokens:
        trim(pool, node)


@compiled
def _begin(pool: Pool, node: int, slot: int) -> None:
    """Count a request, its prompt computed, among those that decode; when it ends is entered with its first token."""
    nodes, slots = pool.nodes, pool.slots
    newest = nodes[node].newest
    slots[slot].older, slots[slot].newer = newest, NONE
    if newest != NONE:
        slots[newest].newer = slot
    nodes[node].newest = slot


@compiled
def _first_token(pool: Pool, node: int, slot: int) -> None:
    nodes, slots = pool.nodes, pool.slots
    if isnan(slots[slot].first_s):
        slots[slot].first_s = nodes[node].now_s
    slots[slot].end_step = nodes[node].step + slots[slot].output - 1
    if slots[slot].output > 1:
        push(pool.ends[node], nodes[node].decoding, slots[slot].end_step, slot)
        nodes[node].decoding += 1
    else:
        _leave(pool, node, slot)
        _note(pool.ended, slot, nodes[node].now_s)


@compiled
def _end_due(pool: Pool, node: int, decoding: int) -> None:
    """End those of ``decoding`` requests whose last token was written."""
    nodes = pool.nodes
    ends = pool.ends[node]
    while decoding and ends[0].step <= nodes[node].step:
        slot = ends[0].slot
        take(ends, decoding, 0)
        decoding -= 1
        _leave(pool, node, slot)
        _note(pool.ended, slot, nodes[node].now_s)
    nodes[node].decoding = decoding


@compiled
def _leave(pool: Pool, node: int, slot: int) -> None:
    """Free what a request that decodes holds; it has written all tokens up to this iteration."""
    nodes, slots = pool.nodes, pool.slots
    older, newer = slots[slot].older, slots[slot].newer
    if older != NONE:
        slots[older].newer = newer
    if newer != NONE:
        slots[newer].older = older
    else:
        nodes[node].newest = older
    if slots[slot].blocks:
        release(pool, node, slot)
    nodes[node].kv_used -= slots[slot].prompt - slots[slot].cached + _written(pool, node, slot) - 1


@compiled
def _written(pool: Pool, node: int, slot: int) -> int:
    """Return the tokens that a request has written since its prompt was computed."""
    nodes, slots = pool.nodes, pool.slots
    return int(slots[slot].output - (slots[slot].end_step - nodes[node].step))


@compiled
def _put_back(pool: Pool, node: int) -> None:
    """Let the request that came last wait again, before all others; it will compute anew what it has written."""
    nodes, slots = pool.nodes, pool.slots
    nodes[node].put_back += 1
    head = nodes[node].head
    if nodes[node].waiting and slots[head].done > slots[head].cached:  # it is in its prompt, and came after all others
        if slots[head].blocks:
            release(pool, node, head)
        nodes[node].kv_used -= slots[head].prompt - slots[head].cached
        slots[head].cached = slots[head].given
        nodes[node].waiting_tokens += slots[head].done - slots[head].given
        slots[head].done = 0
        return
    slot, decoding = nodes[node].newest, nodes[node].decoding
    written = _written(pool, node, slot)
    _leave(pool, node, slot)
    for at in range(decoding):
        if pool.ends[node, at].slot == slot:
            take(pool.ends[node], decoding, at)
            break
    nodes[node].decoding = decoding - 1
    slots[slot].prompt += written
    slots[slot].output -= written
    slots[slot].written += written
    slots[slot].done = 0
    slots[slot].cached = slots[slot].given
    slots[slot].newer = nodes[node].head if nodes[node].waiting else NONE
    if not nodes[node].waiting:
        nodes[node].tail = slot
    nodes[node].head = slot
    nodes[node].waiting += 1
    nodes[node].waiting_tokens += slots[slot].prompt - slots[slot].cached


@compiled
def _note(ended: Records, slot: int, at_s: float) -> None:
    count = ended[-1].slot
    ended[count].slot, ended[count].at_s = slot, at_s
    ended[-1].slot = count + 1
