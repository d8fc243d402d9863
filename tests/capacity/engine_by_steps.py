"""A node as ``capacity.engine`` has it, iteration by iteration and request by request, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.pool import Pace


@dataclass
class Running:
    """One request."""

    number: int
    arrived_s: float
    prompt: int
    output: int
    cached: int
    done: int = 0
    written: int = 0
    """Since its prompt was computed last."""

    first_s: float = nan
    end_s: float = nan


def ends_of(pace: Pace, requests: Sequence[tuple[float, int, int, int]]) -> list[tuple[float, float]]:
    """Return when each request (arrival, prompt, output, cached) began and ended on one node."""
    coming = [Running(number, *request) for number, request in enumerate(requests)]
    everyone = list(coming)
    waiting: list[Running] = []
    decoding: list[Running] = []
    now_s = 0.0
    while coming or waiting or decoding:
        if not waiting and not decoding:
            now_s = max(now_s, coming[0].arrived_s)
        while coming and coming[0].arrived_s <= now_s:
            waiting.append(coming.pop(0))
        while not pace.reserves_output and decoding and pace.kv_tokens - _held(waiting, decoding) < len(decoding):
            if waiting and waiting[0].done > waiting[0].cached:
                waiting[0].done = 0
                continue
            last = decoding.pop()
            last.prompt, last.output = last.prompt + last.written, last.output - last.written
            last.done = last.written = 0
            waiting.insert(0, last)
        now_s = _iterate(pace, now_s, waiting, decoding)
    return [(request.first_s, request.end_s) for request in everyone]


def _held(waiting: list[Running], decoding: list[Running]) -> int:
    begun = sum(request.prompt - request.cached for request in waiting if request.done > request.cached)
    return begun + sum(request.prompt - request.cached + request.written - 1 for request in decoding)


def _may_begin(pace: Pace, request: Running, waiting: list[Running], decoding: list[Running], before: int) -> bool:
    if request.done > request.cached:
        return True
    needed = request.prompt - request.cached + before
    promised = 0
    if pace.reserves_output:
        needed += request.output - before
        promised = sum(other.output - other.written for other in decoding)
        promised += sum(other.output - 1 for other in waiting if other.done > other.cached)
    return len(decoding) < pace.max_requests and _held(waiting, decoding) + promised + needed <= pace.kv_tokens


def _iterate(pace: Pace, now_s: float, waiting: list[Running], decoding: list[Running]) -> float:
    """Run one iteration in place; return when it ends."""
    before, held = list(decoding), _held([], decoding) + sum(r.prompt - r.cached for r in waiting if r.done > r.cached)
    left, tokens, pairs = max(1, pace.chunk_tokens - len(before)), 0, 0.0
    while left and waiting and _may_begin(pace, waiting[0], waiting, decoding, len(before)):
        request = waiting[0]
        request.done = max(request.done, request.cached)
        chunk = min(left, request.prompt - request.done)
        pairs += chunk * (request.done + chunk / 2)
        request.done += chunk
        tokens, left = tokens + chunk, left - chunk
        if request.done < request.prompt:
            break
        request.written = 1
        decoding.append(waiting.pop(0))
    count = len(before)
    weights = pace.weights_s
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
    for request in decoding:
        if request.first_s != request.first_s:
            request.first_s = now_s
        if request.written >= request.output:
            request.end_s = now_s
    decoding[:] = [request for request in decoding if request.written < request.output]
    return now_s
