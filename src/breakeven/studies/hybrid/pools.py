"""Several kinds of node for one traffic: an integer programme over GPU types and ways to buy them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.mix import Choice, best_mix, kinds_of
from breakeven.capacity.sizing import representative_ratios
from breakeven.studies.hybrid.result import Mixed, MixedPools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.schedule import Terms
    from breakeven.studies.hybrid.prepared import Sizing

DEMANDS: Final = 5
LEVELS: Final = 6
"""Into which the windows of a slot of the week are put; see ``kinds_of``."""

DAY_PARTS: Final = 8
TRAFFIC: Final = "traffic"
TIME_LIMIT_S: Final = 30.0


def mixed_pools(sizings: Sequence[Sizing]) -> MixedPools:
    """Return the cheapest nodes among all pools, ways to buy them and the overflow.

    All pools are taken to be good enough for all of the traffic.  What any pool costs is paid once, at the dearest
    pool's figure, however many kinds of node there are.  Slots are eight parts of weekdays and of weekends.
    """
    likely = [item.likely for item in sizings]
    ratios = representative_ratios(sizings[0].ratios, DEMANDS)
    offered = [(number, terms) for number, side in enumerate(likely) for terms in side.terms]
    work = np.stack([likely[number].work.busy_nodes for number, _ in offered], axis=1)
    everything = likely[0].work.busy_nodes * likely[0].work.node_hour_usd
    slot = _slots(likely[0].work.hour_of_week)
    kinds = kinds_of(
        TRAFFIC,
        np.concatenate([work * ratio for ratio in ratios.tolist()]),
        np.concatenate([everything * ratio for ratio in ratios.tolist()]),
        np.tile(slot, len(ratios)),
        level_count=LEVELS,
    )
    choices = [_choice(number, terms) for number, terms in offered]
    fixed = max(side.pool_fixed_usd_per_hour for side in likely)
    found = best_mix(kinds, choices, fixed_usd_per_hour=fixed, time_limit_s=TIME_LIMIT_S)
    weight = np.bincount([kind.index for kind in kinds], [kind.weight_fraction for kind in kinds])
    usd = np.array([kind.weight_fraction * kind.overflow_usd_per_hour for kind in kinds])
    served = usd @ found.served_fraction / usd.sum()
    held = [
        Mixed(
            pool=sizings[number].candidates[0].option.title.removesuffix(" (your figures)"),
            purchase=terms.name,
            mean_nodes=float(found.nodes[index] @ weight),
            most_count=int(found.nodes[index].max()),
            served_fraction=float(served[index]),
        )
        for index, (number, terms) in enumerate(offered)
        if found.nodes[index].any()
    ]
    bill = found.usd_per_hour + likely[0].api_fixed_usd_per_hour
    return MixedPools(
        held=tuple(held),
        usd_per_month=bill * likely[0].hours_per_month,
        gap_fraction=found.gap_fraction,
        proven=found.proven,
    )


def _choice(number: int, terms: Terms) -> Choice:
    return Choice(
        name=f"{number}:{terms.name}",
        model=TRAFFIC,
        node_usd_per_hour=terms.node_usd_per_hour,
        by_the_hour=terms.by_the_hour,
        interruption_fraction=terms.interruption_fraction,
    )


def _slots(hour_of_week: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    part = (hour_of_week % 24) * DAY_PARTS // 24
    weekend = hour_of_week // 24 >= 5
    return np.asarray(part + weekend * DAY_PARTS)
