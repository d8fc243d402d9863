"""Works out the hours of a virtual pool from requests of the ledger.  This needs numba."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from breakeven.capacity.corrected_pace import corrected_pace
from breakeven.capacity.virtual import WARM_UP_S, Asked, overflow_rules, simulate_hour, typical_lengths
from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import InputError
from breakeven.ledger.virtual import VirtualHour, VirtualPart
from breakeven.routing.fullness import Limits
from breakeven.studies.virtual.plan import changes_around

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.capacity.compiled import Ints
    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.virtual import Flags
    from breakeven.catalog.roofline import Roofline
    from breakeven.ledger.virtual import WatchedRows
    from breakeven.studies.virtual.plan import VirtualPool

    Paces = Callable[[float, float], Pace]
    """The pace of a node that serves requests of such lengths: input and output tokens."""


def paces_of(deployment: Deployment, roofline: Roofline) -> Paces:
    """Return the paces of a deployment, as `breakeven simulate` has them, each worked out once.

    They raise ``InputError`` where the model does not fit on the node.
    """
    known: dict[tuple[float, float], Pace] = {}

    def pace(isl_tokens: float, osl_tokens: float) -> Pace:
        lengths = isl_tokens, osl_tokens
        if lengths not in known:
            try:
                known[lengths] = corrected_pace(deployment, roofline, isl_tokens=isl_tokens, osl_tokens=osl_tokens)
            except ValueError as error:
                raise InputError(
                    f"A virtual pool's model does not fit on its node: {error}. Take more or larger GPUs in hardware:."
                ) from None
        return known[lengths]

    return pace


def asked_of(rows: WatchedRows, hour: int) -> Asked:
    """Return the requests of an hour and of the one before as the simulator takes them."""
    return Asked(
        arrived_s=(rows.received_us - (hour - 1) * HOUR_US) / 1e6,
        prompt=np.maximum(rows.counts[:, 0], 1),
        output=np.maximum(rows.counts[:, 3], 1),
        cached=np.ascontiguousarray(rows.counts[:, 1]),
    )


def virtual_hour(
    pool: VirtualPool, hour: int, rows: WatchedRows | None, paces: Paces, derived_from: str
) -> VirtualHour:
    """Return what an hour since 1970 would have been; ``rows``: of the hour and the one before, None where none came.

    Some node is paid in that hour.
    """
    changes = changes_around(pool.terms, hour)
    if rows is None or not len(rows.price):
        return VirtualHour(pool.terms.name, hour, changes.paid_us, 0, 0, {}, {}, derived_from, ())
    asked = asked_of(rows, hour)
    limits = Limits(
        most_waiting=pool.most_waiting_requests,
        most_kv_fraction=pool.most_kv_fraction,
        most_ttft_s=inf if pool.most_ttft_s is None else pool.most_ttft_s,
        back_ratio=pool.back_ratio,
    )
    found = simulate_hour(asked, paces(*typical_lengths(asked)), overflow_rules(limits), changes.by_time)
    return VirtualHour(
        pool.terms.name,
        hour,
        changes.paid_us,
        round(found.busy_s * 1e6),
        round(found.used_s * 1e6),
        _sparse(found.ttft_counts),
        _sparse(found.queue_counts),
        derived_from,
        _parts(rows, found.went_over, hour),
    )


def _sparse(counts: Ints) -> dict[int, int]:
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


def _parts(rows: WatchedRows, went_over: Flags, hour: int) -> tuple[VirtualPart, ...]:
    """Sum up the requests of the hour itself by their price and by where they would have gone."""
    of_hour = rows.received_us >= hour * HOUR_US
    groups = rows.price[of_hour] * 2 + went_over[of_hour]
    sums = np.zeros((2 * len(rows.prices), 5), dtype=np.int64)
    np.add.at(sums[:, 0], groups, 1)
    np.add.at(sums[:, 1:], groups, rows.counts[of_hour])
    return tuple(
        VirtualPart(*rows.prices[group // 2], int(group % 2), *sums[group].tolist())
        for group in np.flatnonzero(sums[:, 0])
    )


assert int(WARM_UP_S) * 1_000_000 == HOUR_US, "the hour before warms a pool up"
