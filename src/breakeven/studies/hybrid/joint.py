"""Sizes several traffics in one programme: each with nodes of its own, all with the same GPUs to be had."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

from breakeven.studies.hybrid.bills import by_worlds, peak_nodes, way
from breakeven.studies.hybrid.joint_bills import (
    api_use,
    bill,
    cheapest_pool,
    held_nodes,
    held_use,
    nodes_use,
    own_lines,
)
from breakeven.studies.hybrid.joint_words import joint_reasons, joint_warnings
from breakeven.studies.hybrid.pools import TrafficPools, programme_of
from breakeven.studies.hybrid.result import BillLine, JointLimit, JointSize, JointTraffic, MixedPools, MoreGpus
from breakeven.studies.hybrid.sides import WORLDS
from breakeven.studies.hybrid.study import ALL_API, ALL_POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.capacity.mix import Mix
    from breakeven.studies.hybrid.joint_bills import Use
    from breakeven.studies.hybrid.pools import Programme
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.result import Way
    from breakeven.studies.hybrid.sides import World

EACH_PURE: Final = "each traffic all API or all nodes"
ONLY: Final = "traffic"
"""What a traffic is called that has no name."""

HELD: Final = "hybrids, sized together"
MOST_DIVISIONS: Final = 2_000
"""Of traffics among their pools and APIs that are tried; of more, only those with each traffic's cheapest pool."""

GAP_FRACTION: Final = 1e-5
"""Of what nodes save: smaller than for pools alone, since what a GPU more is worth is a difference of two bills."""


@dataclass(frozen=True, kw_only=True)
class _Served:
    """A way to serve traffics, in each world."""

    name: str
    nodes: int
    gpus: Mapping[str, int]
    """By type, at likely values."""

    uses: Callable[[World], list[Use]]

    def fits(self, most_gpus: Mapping[str, int]) -> bool:
        return all(self.gpus.get(gpu, 0) <= most for gpu, most in most_gpus.items())

    def usd_per_hour(self, world: World) -> float:
        return sum(bill(self.uses(world)).values())

    def unserved(self, hours_per_month: float) -> BillLine:
        usd = [sum(use.unserved_usd_per_hour for use in self.uses(world)) * hours_per_month for world in WORLDS]
        return BillLine(key=self.name, usd_per_month=by_worlds(usd))

    def way(self, traffics: Sequence[TrafficPools]) -> Way:
        return way(traffics[0].sizings[0], self.name, self.nodes, lambda world: bill(self.uses(world)))


def joint_size(
    traffics: Sequence[TrafficPools], most_gpus: Mapping[str, int], *, notes: Sequence[str] = ()
) -> JointSize:
    """Return what to hold for all traffics within so many GPUs of each type, against serving each in one way alone.

    The programme's nodes are billed window by window over all demands to come, and in each world.
    """
    programme = programme_of(traffics)
    free = programme.solve({}, gap_fraction=GAP_FRACTION)
    limits = [programme.limit(gpu, most) for gpu, most in most_gpus.items()]
    fits = all(limit.used_count(free.nodes) <= limit.most_count for limit in limits)
    found = free if fits else programme.solve(most_gpus, gap_fraction=GAP_FRACTION)
    held, pure = _held(programme, found), _pure(traffics, most_gpus)
    hours = traffics[0].side.hours_per_month
    result = JointSize(
        traffics=tuple(_traffic(programme, found, number) for number in range(len(traffics))),
        ways=tuple(item.way(traffics) for item in (*pure, held)),
        savings=tuple(
            BillLine(
                key=item.name,
                usd_per_month=by_worlds(
                    [(item.usd_per_hour(world) - held.usd_per_hour(world)) * hours for world in WORLDS]
                ),
            )
            for item in pure
        ),
        unserved=tuple(item.unserved(hours) for item in pure),
        beyond_limits=tuple(item.name for item in pure if not item.fits(most_gpus)),
        limits=tuple(_limit(programme, most_gpus, gpu, found, binds=not fits) for gpu in most_gpus),
        limits_usd_per_month=max(0.0, found.usd_per_hour - free.usd_per_hour) * hours,
        gap_usd_per_month=found.gap_usd_per_hour * hours,
        proven=found.proven,
        reasons=(),
        warnings=(*joint_warnings(traffics), *notes),
    )
    return replace(result, reasons=joint_reasons(result))


def mixed_pools(sizings: Sequence[Sizing]) -> MixedPools:
    """Return the cheapest nodes among all pools, ways to buy them and the overflow, for one traffic.

    All pools are taken to be good enough for all of the traffic.
    """
    programme = programme_of([TrafficPools(name=ONLY, sizings=tuple(sizings))])
    found = programme.solve({})
    hours = sizings[0].likely.hours_per_month
    return MixedPools(
        held=held_nodes(programme, found, 0),
        usd_per_month=_held(programme, found).usd_per_hour("likely") * hours,
        gap_fraction=found.gap_fraction,
        proven=found.proven,
    )


def _held(programme: Programme, found: Mix) -> _Served:
    def uses(world: World) -> list[Use]:
        return [held_use(programme, found, number, world) for number in range(len(programme.traffics))]

    return _Served(name=HELD, nodes=int(found.nodes.sum(axis=0).max()), gpus={}, uses=uses)


def _pure(traffics: Sequence[TrafficPools], most_gpus: Mapping[str, int]) -> list[_Served]:
    """Return all API, all nodes, and of several traffics the best way within the limits to give each one or other."""
    pools = [cheapest_pool(traffic) for traffic in traffics]
    found = [_divided(traffics, [None] * len(traffics), ALL_API), _divided(traffics, pools, ALL_POOL)]
    if len(traffics) == 1:
        return found
    some = prod(1 + len(traffic.sizings) for traffic in traffics) <= MOST_DIVISIONS
    each = [
        (None, *(range(len(traffic.sizings)) if some else (pool,)))
        for traffic, pool in zip(traffics, pools, strict=True)
    ]
    divided = [_divided(traffics, chosen, EACH_PURE) for chosen in product(*each)]
    fitting = [item for item in divided if item.fits(most_gpus)]
    return [*found, min(fitting, key=lambda item: item.usd_per_hour("likely"))]


def _divided(traffics: Sequence[TrafficPools], pools: Sequence[int | None], name: str) -> _Served:
    """Return each traffic served by nodes of that pool for its peak; by the API alone where it is None."""

    def uses(world: World) -> list[Use]:
        return [
            api_use(traffic, world) if pool is None else nodes_use(traffic, world, pool)
            for traffic, pool in zip(traffics, pools, strict=True)
        ]

    nodes, gpus = 0, dict[str, int]()
    for traffic, pool in zip(traffics, pools, strict=True):
        if pool is not None:
            sizing = traffic.sizings[pool]
            count, node = peak_nodes(sizing, "likely"), sizing.question.pool
            nodes += count
            gpus[node.gpu] = gpus.get(node.gpu, 0) + count * node.gpus_per_node
    return _Served(name=name, nodes=nodes, gpus=gpus, uses=uses)


def _traffic(programme: Programme, found: Mix, number: int) -> JointTraffic:
    traffic = programme.traffics[number]
    first, pool = traffic.sizings[0], cheapest_pool(traffic)
    held = held_nodes(programme, found, number)
    overflow = held_use(programme, found, number, "likely").tokens_usd_per_hour or 0.0
    everything = api_use(traffic, "likely").tokens_usd_per_hour or 0.0
    mine = [index for index, offer in enumerate(programme.offers) if offer.traffic == number]
    peak = peak_nodes(traffic.sizings[pool], "likely")
    return JointTraffic(
        name=traffic.name,
        overflow=first.question.overflow.target,
        held=held,
        overflow_fraction=overflow / everything if everything else 0.0,
        demand_ratio=first.demand_ratio,
        ways=(
            way(first, ALL_API, 0, lambda world: own_lines(api_use(traffic, world))),
            way(first, ALL_POOL, peak, lambda world: own_lines(nodes_use(traffic, world, pool))),
            way(
                first,
                HELD,
                int(found.nodes[mine].sum(axis=0).max()),
                lambda world: own_lines(held_use(programme, found, number, world)),
            ),
        ),
    )


def _limit(programme: Programme, most_gpus: Mapping[str, int], gpu: str, found: Mix, *, binds: bool) -> JointLimit:
    """Return how much of a limit is used, and what GPUs beyond it would save: the programme solved again for each."""
    limit = programme.limit(gpu, most_gpus[gpu])
    hours = programme.traffics[0].side.hours_per_month
    more = []
    for count in sorted({1, *limit.each_count} - {0}) if binds else ():
        again = programme.solve({**most_gpus, gpu: most_gpus[gpu] + count}, gap_fraction=GAP_FRACTION)
        saved = max(0.0, found.usd_per_hour - again.usd_per_hour) * hours
        more.append(MoreGpus(gpus_count=count, saved_usd_per_month=saved))
    return JointLimit(gpu=gpu, most_count=limit.most_count, used_count=limit.used_count(found.nodes), more=tuple(more))
