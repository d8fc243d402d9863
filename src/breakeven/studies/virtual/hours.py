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
    from collections.abc import Callable, Sequence

    from breakeven.capacity.compiled import Ints
    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.virtual import Simulated
    from breakeven.catalog.roofline import Roofline
    from breakeven.ledger.virtual import WatchedRow
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


def asked_of(rows: Sequence[WatchedRow], hour: int) -> Asked:
    """Return the requests of an hour and of the one before, in order, as the simulator takes them."""
    begins_us = (hour - 1) * HOUR_US
    return Asked(
        arrived_s=np.array([row.received_us - begins_us for row in rows], dtype=float) / 1e6,
        prompt=np.maximum(np.array([row.input_tokens for row in rows], dtype=np.int64), 1),
        output=np.maximum(np.array([row.output_tokens for row in rows], dtype=np.int64), 1),
        cached=np.array([row.cached_input_tokens for row in rows], dtype=np.int64),
    )


def virtual_hour(
    pool: VirtualPool, hour: int, rows: Sequence[WatchedRow], paces: Paces, derived_from: str
) -> VirtualHour:
    """Return what an hour since 1970 would have been; ``rows``: of the hour and the one before, by their time."""
    changes = changes_around(pool.terms, hour)
    asked = asked_of(rows, hour)
    if not len(rows) or not any(count for _, count in changes.by_time):
        return VirtualHour(pool.terms.name, hour, changes.paid_us, 0, 0, {}, {}, derived_from, _parts(rows, None, hour))
    limits = Limits(
        most_waiting=pool.most_waiting,
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
        _parts(rows, found, hour),
    )


def _sparse(counts: Ints) -> dict[int, int]:
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


def _parts(rows: Sequence[WatchedRow], found: Simulated | None, hour: int) -> tuple[VirtualPart, ...]:
    """Sum up the requests of the hour itself by their price and by where they would have gone."""
    sums: dict[tuple[str, int, int], list[int]] = {}
    for place, row in enumerate(rows):
        if row.received_us < hour * HOUR_US:
            continue
        went_over = 1 if found is None else int(found.went_over[place])
        total = sums.setdefault((row.rate_card, row.over_tokens, went_over), [0] * 5)
        for at, count in enumerate((1, *row[3:])):
            total[at] += count
    return tuple(VirtualPart(*key, *total) for key, total in sorted(sums.items()))


assert int(WARM_UP_S) * 1_000_000 == HOUR_US, "the hour before warms a pool up"
