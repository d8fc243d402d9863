"""The bills of several traffics that are served together: what each pays for itself, and what they share, paid once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.sizing import HOURS_PER_WEEK
from breakeven.studies.hybrid.bills import by_layer, peak_nodes
from breakeven.studies.hybrid.pools import fixed_lines, pool_title, slot_of, usd_per_hour
from breakeven.studies.hybrid.result import Mixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.capacity.mix import Mix
    from breakeven.economics.stack import StackLine
    from breakeven.quantities import Array
    from breakeven.studies.hybrid.bills import Lines
    from breakeven.studies.hybrid.pools import Offer, Programme, TrafficPools
    from breakeven.studies.hybrid.sides import Sided, World

    _Stated = tuple[tuple[StackLine, ...], Sided]
    """Lines, and the side whose month they are of."""


NO_WORK: Final = 1e-12
"""Nodes busy in a window without work, to divide by."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a traffic is served in one world: by which of its pools, what nodes and tokens come to, US dollars an hour.

    ``tokens_usd_per_hour`` of None: no API stands behind the nodes.
    """

    traffic: TrafficPools
    world: World
    pools: tuple[int, ...] = ()
    nodes_usd_per_hour: float = 0.0
    tokens_usd_per_hour: float | None = None
    unserved_usd_per_hour: float = 0.0
    """What nodes without an API leave unserved, at the overflow's price: nobody is paid for it."""

    @property
    def sides(self) -> list[Sided]:
        """The pools that are held."""
        return [self.traffic.sizings[pool].worlds[self.world] for pool in self.pools]


def api_use(traffic: TrafficPools, world: World) -> Use:
    """Return a traffic that is served by its API alone, over the demands to come."""
    first = traffic.sizings[0]
    usd = first.worlds[world].work.all_overflow_usd_per_hour * float(first.ratios.mean())
    return Use(traffic=traffic, world=world, tokens_usd_per_hour=usd)


def nodes_use(traffic: TrafficPools, world: World, pool: int) -> Use:
    """Return a traffic that is served by one pool's nodes alone, as many as its peak needs."""
    sizing = traffic.sizings[pool]
    side, count = sizing.worlds[world], peak_nodes(sizing, world)
    return Use(
        traffic=traffic,
        world=world,
        pools=(pool,),
        nodes_usd_per_hour=count * side.node_usd_per_hour,
        unserved_usd_per_hour=_left_usd_per_hour(traffic, count / np.maximum(side.work.busy_nodes, NO_WORK), world),
    )


def cheapest_pool(traffic: TrafficPools) -> int:
    """Return the pool that serves the traffic's peak at the lowest bill, at likely values."""
    bills = [sum(bill([nodes_use(traffic, "likely", pool)]).values()) for pool in range(len(traffic.sizings))]
    return bills.index(min(bills))


def held_use(programme: Programme, found: Mix, traffic: int, world: World) -> Use:
    """Return a traffic with what the programme holds for it, billed window by window over all demands to come.

    Nodes bought by the hour pay their starts too; both are left out of the programme.
    """
    pools, up = programme.traffics[traffic], _up(programme, found, traffic)
    reach = np.zeros(len(pools.side.work.busy_nodes))
    for offer, nodes in up:
        reach += _reach(pools, offer, nodes, world)
    return Use(
        traffic=pools,
        world=world,
        pools=tuple(sorted({offer.pool for offer, _ in up})),
        nodes_usd_per_hour=sum(_paid_usd_per_hour(pools, offer, nodes, world) for offer, nodes in up),
        tokens_usd_per_hour=_left_usd_per_hour(pools, reach, world),
    )


def held_nodes(programme: Programme, found: Mix, traffic: int) -> tuple[Mixed, ...]:
    """Return what is held for a traffic at likely values; each kind of node serves what those before it leave."""
    pools = programme.traffics[traffic]
    work, ratios = pools.side.work, pools.sizings[0].ratios.tolist()
    usd = work.busy_nodes * work.node_hour_usd
    everything = float(usd.sum()) * sum(ratios)
    seen = np.bincount(work.hour_of_week, minlength=HOURS_PER_WEEK) / len(work.hour_of_week)
    below, held = np.zeros(len(usd)), []
    for offer, nodes in _up(programme, found, traffic):
        reach = _reach(pools, offer, nodes, "likely")
        served = sum(float(usd @ np.clip(ratio - below, 0.0, reach)) for ratio in ratios)
        below = below + reach
        terms = pools.sizings[offer.pool].likely.terms[offer.terms]
        held.append(
            Mixed(
                pool=pool_title(pools.sizings[offer.pool]),
                purchase=terms.name,
                mean_nodes=float(nodes @ seen) if terms.by_the_hour else float(nodes.mean()),
                most_count=int(nodes.max()),
                served_fraction=served / everything if everything else 0.0,
            )
        )
    return tuple(held)


def own_lines(use: Use) -> Lines:
    """Return what a traffic pays for itself."""
    side = use.traffic.sizings[0].worlds[use.world]
    lines: Lines = {}
    if use.tokens_usd_per_hour is not None:
        lines["overflow tokens" if use.pools else "tokens"] = use.tokens_usd_per_hour
    if use.pools:
        lines["nodes"] = use.nodes_usd_per_hour
        pool = _dearest([(fixed_lines(held).by_traffic, held) for held in use.sides])
        lines |= by_layer(pool, side.hours_per_month, "pool")
    if use.tokens_usd_per_hour is None:
        standing = by_layer(use.sides[0].standby_lines, side.hours_per_month, "pool")
        return _sum([lines, standing])
    beside = [item for item in side.api_lines if item.layer != "engineering"]
    alone = () if use.pools else side.api_alone_lines
    return _sum([lines, by_layer((*beside, *alone), side.hours_per_month, "API")])


def shared_lines(uses: Sequence[Use]) -> Lines:
    """Return what several traffics pay together: services once, a model's engineers once, an API's once."""
    once: list[_Stated] = []
    models: dict[str, list[_Stated]] = {}
    apis: dict[str, list[_Stated]] = {}
    for use in uses:
        for pool, side in zip(use.pools, use.sides, strict=True):
            lines = fixed_lines(side)
            once.append((lines.once, side))
            models.setdefault(use.traffic.sizings[pool].question.pool.model, []).append((lines.by_model, side))
        if use.tokens_usd_per_hour is not None:
            side = use.traffic.sizings[0].worlds[use.world]
            people = tuple(item for item in side.api_lines if item.layer == "engineering")
            apis.setdefault(use.traffic.sizings[0].question.overflow.target, []).append((people, side))
    hours = uses[0].traffic.side.hours_per_month
    pools = [by_layer(_dearest(stated), hours, "pool") for stated in ([once] if once else []) + list(models.values())]
    return _sum([*pools, *(by_layer(_dearest(stated), hours, "API") for stated in apis.values())])


def bill(uses: Sequence[Use]) -> Lines:
    """Return all lines of several traffics together."""
    return _sum([*(own_lines(use) for use in uses), shared_lines(uses)])


def _paid_usd_per_hour(traffic: TrafficPools, offer: Offer, up: Array, world: World) -> float:
    """Return what nodes up by hour of the week come to, as ``schedule_usd_per_hour`` has it."""
    side = traffic.sizings[offer.pool].worlds[world]
    terms, hours = side.terms[offer.terms], side.work.hour_of_week
    if not terms.by_the_hour:
        return terms.node_usd_per_hour * float(up.mean())
    seen = np.bincount(hours, minlength=HOURS_PER_WEEK) / len(hours)
    starts = float(np.clip(np.diff(up, prepend=up[-1]), 0, None).sum()) * terms.start_hours / HOURS_PER_WEEK
    return terms.node_usd_per_hour * (float(up @ seen) + starts)


def _up(programme: Programme, found: Mix, traffic: int) -> list[tuple[Offer, Array]]:
    """Return what is held for a traffic, by hour of the week; what is always up first."""
    slots = slot_of(np.arange(HOURS_PER_WEEK))
    up = [
        (offer, found.nodes[index][slots].astype(float))
        for index, offer in enumerate(programme.offers)
        if offer.traffic == traffic and found.nodes[index].any()
    ]
    return sorted(up, key=lambda item: item[0].terms)


def _reach(traffic: TrafficPools, offer: Offer, up: Array, world: World) -> Array:
    """Return what nodes up by hour of the week can serve in each window, over its work."""
    side = traffic.sizings[offer.pool].worlds[world]
    there = up[side.work.hour_of_week] * (1 - side.terms[offer.terms].interruption_fraction)
    return np.asarray(there / np.maximum(side.work.busy_nodes, NO_WORK))


def _left_usd_per_hour(traffic: TrafficPools, reach: Array, world: World) -> float:
    """Return what nodes leave, at the overflow's price, that can serve so many times the work seen in each window."""
    first = traffic.sizings[0]
    work = first.worlds[world].work
    usd = work.busy_nodes * work.node_hour_usd
    return float(np.mean([(usd * np.maximum(ratio - reach, 0.0)).mean() for ratio in first.ratios.tolist()]))


def _dearest(stated: Sequence[_Stated]) -> tuple[StackLine, ...]:
    return max(stated, key=lambda item: usd_per_hour(*item))[0]


def _sum(parts: Iterable[Lines]) -> Lines:
    total: Lines = {}
    for part in parts:
        for key, usd in part.items():
            total[key] = total.get(key, 0.0) + usd
    return total
