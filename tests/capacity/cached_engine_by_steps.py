"""A node with a cache of prefixes as ``capacity.engine`` has it, iteration by iteration and token by token."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import hypot, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.pool import Pace


@dataclass
class Asking:
    """One request; ``blocks`` are the ids of its prompt's blocks."""

    arrived_s: float
    prompt: int
    output: int
    blocks: tuple[int, ...]
    length: int = 0
    """Of the prompt, with what was written before it was put back."""

    done: int = 0
    written: int = 0
    cached: int | None = None
    """What was found when it was let in; None while it waits."""

    held: list[int] = field(default_factory=list)
    settled: int = 0
    private: int = 0
    hit: int | None = None
    first_s: float = nan
    end_s: float = nan


class Cache:
    """Blocks that requests hold, counted, and those that nobody holds, by when they were used last."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.uses: dict[int, int] = {}
        self.tokens: dict[int, int] = {}
        self.idle: OrderedDict[int, None] = OrderedDict()

    def held_tokens(self) -> int:
        return sum(self.tokens[block] for block in self.uses)

    def idle_tokens(self) -> int:
        return sum(self.tokens[block] for block in self.idle)

    def found(self, request: Asking) -> list[int]:
        hits: list[int] = []
        for block in request.blocks:
            if block not in self.uses and block not in self.idle:
                break
            hits.append(block)
        return hits

    def hold(self, block: int) -> None:
        self.idle.pop(block, None)
        self.uses[block] = self.uses.get(block, 0) + 1

    def release(self, request: Asking) -> None:
        for block in reversed(request.held):
            self.uses[block] -= 1
            if not self.uses[block]:
                del self.uses[block]
                self.idle[block] = None
        request.held = []

    def trim(self, room: int) -> None:
        while self.idle and self.idle_tokens() > room:
            self.tokens.pop(self.idle.popitem(last=False)[0])


def run_by_steps(
    pace: Pace, requests: Sequence[tuple[float, int, int, tuple[int, ...]]], block_tokens: int
) -> list[Asking]:
    """Return the requests (arrival, prompt, output, blocks) with their times and hits on one node."""
    coming = [Asking(*request) for request in requests]
    for request in coming:
        request.length = request.prompt
    everyone = list(coming)
    cache = Cache(block_tokens)
    waiting: list[Asking] = []
    decoding: list[Asking] = []
    now_s = 0.0
    while coming or waiting or decoding:
        if not waiting and not decoding:
            now_s = max(now_s, coming[0].arrived_s)
        while coming and coming[0].arrived_s <= now_s:
            waiting.append(coming.pop(0))
        while decoding and pace.kv_tokens - _used(cache, waiting, decoding) < len(decoding):
            _put_back(cache, waiting, decoding)
        now_s = _iterate(pace, now_s, cache, (waiting, decoding))
        cache.trim(pace.kv_tokens - _used(cache, waiting, decoding))
    return everyone


def _used(cache: Cache, waiting: list[Asking], decoding: list[Asking]) -> int:
    """Tokens that requests hold: shared blocks once, and what is their own."""
    return cache.held_tokens() + sum(request.private for request in (*waiting, *decoding))


def _put_back(cache: Cache, waiting: list[Asking], decoding: list[Asking]) -> None:
    if waiting and waiting[0].cached is not None:
        last = waiting[0]
    else:
        last = decoding.pop()
        last.length += last.written
        waiting.insert(0, last)
    cache.release(last)
    last.done = last.written = last.settled = last.private = 0
    last.cached = None


def _iterate(pace: Pace, now_s: float, cache: Cache, queues: tuple[list[Asking], list[Asking]]) -> float:
    waiting, decoding = queues
    before, held = list(decoding), _used(cache, waiting, decoding)
    left, tokens, pairs = max(1, pace.chunk_tokens - len(before)), 0, 0.0
    while left and waiting and _lets_in(pace, cache, queues, len(before)):
        request = waiting[0]
        chunk = min(left, request.length - request.done)
        pairs += chunk * (request.done + chunk / 2)
        request.done += chunk
        _settle(cache, request)
        tokens, left = tokens + chunk, left - chunk
        if request.done < request.length:
            break
        request.written = 1
        decoding.append(waiting.pop(0))
    count, weights = len(before), pace.weights_s
    lasts_s = pace.base_s
    if count:
        lasts_s += count * (pace.sequence_s + pace.link_token_s) + held * pace.kv_token_s
        lasts_s += hypot(weights[min(count, len(weights) - 1)], pace.token_s * count)
    if tokens:
        products = pace.token_s * tokens
        products = products if count else hypot(products, weights[min(tokens, len(weights) - 1)])
        lasts_s += pace.prompt_ratio * (products + pairs * pace.pair_s + tokens * pace.link_token_s)
    now_s += lasts_s
    for request in before:
        request.written += 1
        request.private += 1
    cache.trim(pace.kv_tokens - _used(cache, waiting, decoding))
    _end(cache, decoding, now_s)
    return now_s


def _lets_in(pace: Pace, cache: Cache, queues: tuple[list[Asking], list[Asking]], before: int) -> bool:
    """Whether the first that waits is in its prompt, or may begin; then it holds what was found."""
    waiting, decoding = queues
    request = waiting[0]
    if request.cached is not None:
        return True
    hits = cache.found(request)
    cached = min(len(hits) * cache.block_tokens, request.prompt, request.length - 1)
    idle = sum(cache.tokens[block] for block in hits if block in cache.idle)
    needed = request.length - cached + idle + before
    if len(decoding) >= pace.max_requests or _used(cache, waiting, decoding) + needed > pace.kv_tokens:
        return False
    for block in hits:
        cache.hold(block)
    request.held, request.settled, request.cached, request.done = hits, len(hits), cached, cached
    request.private = request.length - cached
    request.hit = cached if request.hit is None else request.hit
    cache.trim(pace.kv_tokens - _used(cache, waiting, decoding))
    return True


def _settle(cache: Cache, request: Asking) -> None:
    """Enter the blocks computed so far that nobody else has entered."""
    while request.settled < len(request.blocks):
        start = request.settled * cache.block_tokens
        end = min(request.prompt, start + cache.block_tokens)
        if end > request.done:
            return
        block = request.blocks[request.settled]
        if block not in cache.uses and block not in cache.idle:
            cache.tokens[block] = end - start
            cache.hold(block)
            request.held.append(block)
            request.private -= end - start
        request.settled += 1


def _end(cache: Cache, decoding: list[Asking], now_s: float) -> None:
    for request in decoding:
        if request.first_s != request.first_s:
            request.first_s = now_s
        if request.length - request.prompt + request.written >= request.output:
            request.end_s = now_s
    # Of those that end at once, the order is that of the heap; blocks are released by age of the request here.
    for request in [request for request in decoding if request.end_s == now_s]:
        cache.release(request)
        decoding.remove(request)
