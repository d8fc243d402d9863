"""What a virtual pool is, as plain values that travel from the settings to the process that simulates it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.economics.pool_hours import HOUR_US, PaidNode, PoolTerms, own_prices, pool_hours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.economics.pool_hours import NodePrice
    from breakeven.ledger.virtual import WatchedHour

RULES_VERSION: Final = 1
"""Counts up when an hour would come out differently from the same requests; hours are then worked out anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPool:
    """A pool that is only simulated."""

    terms: PoolTerms
    """Its nodes, prices and fixed lines; a node that nobody dated is paid from the beginning of the ledger on."""

    deployment: str
    """One node: ``2xH100:llama-3.3-70b:fp8``."""

    engine: str
    models: tuple[str, ...] = ()
    """By the names that clients use, those whose requests it is shown; empty: all."""

    most_waiting_requests: int = 4
    """Requests waiting inside a node with which it counts as full; likewise the next two."""

    most_kv_fraction: float = 0.95
    most_ttft_s: float | None = None
    back_ratio: float = 0.7
    """Of each limit, below which it counts as free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPlan:
    """What the process beside the gateway is told."""

    store: str
    pools: tuple[VirtualPool, ...]


class Changes(NamedTuple):
    """The nodes of a pool in an hour and in the one before it."""

    by_time: tuple[tuple[float, int], ...]
    """From when on, in seconds from the beginning of the hour before, there are how many; the first is at 0."""

    paid_us: int
    """Of all nodes, in the hour itself."""


def changes_around(terms: PoolTerms, hour: int) -> Changes:
    """Return how many nodes are paid when, in one hour since 1970 and in the hour before it."""
    begins_us, ends_us = (hour - 1) * HOUR_US, (hour + 1) * HOUR_US
    times = {begins_us}
    for node in terms.nodes:
        times |= {moment for moment in (node.since_us, node.until_us) if moment and begins_us < moment < ends_us}
    found: list[tuple[float, int]] = []
    for at_us in sorted(times):
        count = sum(node.since_us <= at_us and (node.until_us is None or at_us < node.until_us) for node in terms.nodes)
        if not found or found[-1][1] != count:
            found.append(((at_us - begins_us) / 1e6, count))
    return Changes(tuple(found), sum(item.paid_us for item in pool_hours(terms, hour + 1, hour)))


def paid_hours(terms: PoolTerms, hours: tuple[int, int]) -> list[int]:
    """Return the hours [from, before) in which some node is paid."""
    return sorted({item.hour for item in pool_hours(terms, hours[1], hours[0])})


def digest_of(pool: VirtualPool, hour: int, watched: Mapping[int, WatchedHour]) -> str:
    """Return a hash of all that an hour follows from: its requests, those of the hour before, and the pool."""
    simulated = replace(pool, terms=PoolTerms(name=pool.terms.name))
    around = [watched[at].digest.hex() if at in watched else "" for at in (hour - 1, hour)]
    said = msgspec.json.encode((RULES_VERSION, simulated, changes_around(pool.terms, hour), around))
    return hashlib.sha256(said).hexdigest()[:32]


def as_if_there(pool: VirtualPool, hours: tuple[int, int]) -> VirtualPool:
    """Return the pool as if all its nodes had been there in these hours.

    A node's first price, its own or that of the whole pool, holds before it was known as well; those that follow hold
    when they do.
    """
    begins_us = hours[0] * HOUR_US
    terms = pool.terms
    nodes = tuple(PaidNode(name=node.name, since_us=begins_us) for node in terms.nodes)
    prices: list[NodePrice] = []
    for node in nodes:
        own = own_prices(terms.prices, node.name)
        prices += (replace(price, since_us=min(price.since_us, begins_us)) for price in own[:1])
        prices += own[1:]
    return replace(pool, terms=replace(terms, nodes=nodes, prices=tuple(prices)))
