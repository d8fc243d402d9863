"""Several kinds of node, for one traffic or several, as an integer programme over GPU types and ways to buy them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.capacity.mix import GAP_FRACTION, Choice, Fixed, Limit, best_mix, kinds_of
from breakeven.capacity.sizing import representative_ratios
from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from breakeven.capacity.mix import Kind, Mix
    from breakeven.capacity.schedule import Terms
    from breakeven.capacity.sizing import Ints
    from breakeven.economics.stack import StackLine
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.sides import Sided

MOST_ROWS: Final = 2_000_000
FEWEST_DEMANDS: Final = 5
"""Windows times demands to come are at most so many rows: of more, fewer demands stand for all."""

LEVELS: Final = 12
"""Into which the windows of a slot of the week are put; see ``kinds_of``."""

DAY_PARTS: Final = 8
TIME_LIMIT_S: Final = 30.0

PAID_ONCE: Final = "supporting services"
PAID_BY_MODEL: Final = "weight storage"
"""Lines of any pool, by key; engineers are by model too, and all else by traffic."""


@dataclass(frozen=True, kw_only=True)
class TrafficPools:
    """A traffic with the pools that may serve it: a sizing for each, of the same windows and overflow."""

    name: str
    sizings: tuple[Sizing, ...]

    @property
    def side(self) -> Sided:
        """The first pool's at likely values: what is of the traffic and its API is in all of them the same."""
        return self.sizings[0].likely


class Offer(NamedTuple):
    """Nodes that could be held: the indices of a traffic, of its pool, and of that pool's terms."""

    traffic: int
    pool: int
    terms: int


class FixedLines(NamedTuple):
    """A pool's lines before its nodes, by what they are paid for."""

    once: tuple[StackLine, ...]
    by_model: tuple[StackLine, ...]
    by_traffic: tuple[StackLine, ...]


@dataclass(frozen=True, kw_only=True)
class Programme:
    """What HiGHS is asked."""

    traffics: tuple[TrafficPools, ...]
    offers: tuple[Offer, ...]
    kinds: tuple[Kind, ...]
    choices: tuple[Choice, ...]
    fixed: tuple[Fixed, ...]

    def sizing(self, offer: Offer) -> Sizing:
        """Return the sizing of the pool that is offered."""
        return self.traffics[offer.traffic].sizings[offer.pool]

    def limit(self, gpu: str, most_gpus: int) -> Limit:
        """Return so many GPUs of a type, shared by all nodes that have it."""
        pools = [self.sizing(offer).question.pool for offer in self.offers]
        each = tuple(pool.gpus_per_node if pool.gpu == gpu else 0 for pool in pools)
        return Limit(name=gpu, most_count=most_gpus, each_count=each)

    def solve(self, most_gpus: Mapping[str, int], *, gap_fraction: float = GAP_FRACTION) -> Mix:
        """Return the cheapest nodes within so many GPUs of each type.  Raises ``InputError`` where time runs out."""
        limits = [self.limit(gpu, most) for gpu, most in most_gpus.items()]
        try:
            return best_mix(
                self.kinds,
                self.choices,
                fixed=self.fixed,
                limits=limits,
                gap_fraction=gap_fraction,
                time_limit_s=TIME_LIMIT_S,
            )
        except ValueError as error:
            raise InputError(f"These pools cannot be chosen among: {error}. Give fewer of them.") from None


def programme_of(traffics: Sequence[TrafficPools]) -> Programme:
    """Return the programme of traffics that each have nodes of their own, and share what is paid once."""
    offers = tuple(
        Offer(number, pool, terms)
        for number, traffic in enumerate(traffics)
        for pool, sizing in enumerate(traffic.sizings)
        for terms in range(len(sizing.likely.terms))
    )
    kinds = tuple(kind for number in range(len(traffics)) for kind in _kinds(traffics, number, offers))
    most = np.max([kind.busy_nodes for kind in kinds], axis=0)
    return Programme(
        traffics=tuple(traffics),
        offers=offers,
        kinds=kinds,
        choices=tuple(_choice(traffics, offer, float(most[index])) for index, offer in enumerate(offers)),
        fixed=_fixed(traffics, offers),
    )


def fixed_lines(side: Sided) -> FixedLines:
    """Return what any pool costs: services once, engineers and weights by model, the rest by traffic."""
    parts: dict[str, list[StackLine]] = {"once": [], "model": [], "traffic": []}
    for item in side.pool_lines:
        model = item.layer == "engineering" or item.key == PAID_BY_MODEL
        parts["once" if item.key == PAID_ONCE else "model" if model else "traffic"].append(item)
    return FixedLines(once=tuple(parts["once"]), by_model=tuple(parts["model"]), by_traffic=tuple(parts["traffic"]))


def slot_of(hour_of_week: Ints) -> Ints:
    """Return the part of the week for which nodes are bought by the hour: eights of weekdays, and of weekends."""
    part = (hour_of_week % 24) * DAY_PARTS // 24
    weekend = hour_of_week // 24 >= 5
    return np.asarray(part + weekend * DAY_PARTS)


def pool_title(sizing: Sizing) -> str:
    """Return what a pool is called, however its nodes are bought."""
    option = sizing.candidates[0].option
    return option.title.removesuffix(" (your figures)").removesuffix(f", {option.purchase}")


def _kinds(traffics: Sequence[TrafficPools], number: int, offers: Sequence[Offer]) -> list[Kind]:
    """Return a traffic's windows at each of a few demands, put together."""
    traffic = traffics[number]
    seen = traffic.side.work
    count = max(FEWEST_DEMANDS, MOST_ROWS // len(seen.busy_nodes))
    ratios = representative_ratios(traffic.sizings[0].ratios, count).tolist()
    work = np.stack([sizing.likely.work.busy_nodes for sizing in traffic.sizings], axis=1)
    usd = seen.busy_nodes * seen.node_hour_usd
    kinds = kinds_of(
        traffic.name,
        np.concatenate([work * ratio for ratio in ratios]),
        np.concatenate([usd * ratio for ratio in ratios]),
        np.tile(slot_of(seen.hour_of_week), len(ratios)),
        level_count=LEVELS,
    )
    return [
        replace(
            kind,
            busy_nodes=tuple(kind.busy_nodes[offer.pool] if offer.traffic == number else 0.0 for offer in offers),
        )
        for kind in kinds
    ]


def _choice(traffics: Sequence[TrafficPools], offer: Offer, most_busy_nodes: float) -> Choice:
    traffic = traffics[offer.traffic]
    terms: Terms = traffic.sizings[offer.pool].likely.terms[offer.terms]
    most = np.ceil(most_busy_nodes / (1 - terms.interruption_fraction) - 1e-9)
    return Choice(
        name=f"{traffic.name}:{offer.pool}:{terms.name}",
        model=traffic.name,
        node_usd_per_hour=terms.node_usd_per_hour,
        by_the_hour=terms.by_the_hour,
        interruption_fraction=terms.interruption_fraction,
        most_nodes=max(1, int(most)),
    )


def _fixed(traffics: Sequence[TrafficPools], offers: Sequence[Offer]) -> tuple[Fixed, ...]:
    """Return what is paid with the first node: of all, of each model, and of each traffic; the dearest pool's figure.

    An API's failures are a traffic's only where it has no nodes: with nodes it is theirs that count.
    """
    sides = [traffics[offer.traffic].sizings[offer.pool].likely for offer in offers]
    models = [traffics[offer.traffic].sizings[offer.pool].question.pool.model for offer in offers]

    def dearest(name: str, part: Callable[[FixedLines], tuple[StackLine, ...]], chosen: Iterable[int]) -> Fixed:
        indices = tuple(chosen)
        usd = max(usd_per_hour(part(fixed_lines(sides[index])), sides[index]) for index in indices)
        return Fixed(name=name, usd_per_hour=usd, choices=indices)

    found = [dearest("any", lambda lines: lines.once, range(len(offers)))]
    for model in dict.fromkeys(models):
        here = (index for index, name in enumerate(models) if name == model)
        found.append(dearest(model, lambda lines: lines.by_model, here))
    for number, traffic in enumerate(traffics):
        mine = (index for index, offer in enumerate(offers) if offer.traffic == number)
        paid = dearest(traffic.name, lambda lines: lines.by_traffic, mine)
        spared = usd_per_hour(traffic.side.api_alone_lines, traffic.side)
        found.append(Fixed(name=paid.name, usd_per_hour=paid.usd_per_hour - spared, choices=paid.choices))
    return tuple(found)


def usd_per_hour(lines: Iterable[StackLine], side: Sided) -> float:
    """Return the sum of a month's lines, an hour."""
    return sum(float(np.asarray(item.usd_per_month)) for item in lines) / side.hours_per_month
