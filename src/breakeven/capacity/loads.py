"""A deployment against its load: TTFT, TPOT and tokens/s at every concurrency, and the most that keeps an SLO."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.predict import Array, predict, ratio_interval
from breakeven.capacity.roofline import requests_that_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.predict import Figure
    from breakeven.capacity.roofline import Case
    from breakeven.catalog.roofline import Roofline
    from breakeven.quantities import Interval

MOST_POINTS: Final = 200
"""Concurrencies that are tried for an SLO: every one up to here, beyond it steps of a few per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is served at one concurrency; intervals as in ``Rates``."""

    concurrency_count: int
    ttft_ms: Interval
    tpot_ms: Interval
    output_tokens_per_s: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """The longest time to a first token and between tokens that are still good; None: any."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None

    def keeps(self, load: Load) -> bool:
        """Whether the likely times keep both."""
        first = self.ttft_ms is None or load.ttft_ms.likely <= self.ttft_ms
        return first and (self.tpot_ms is None or load.tpot_ms.likely <= self.tpot_ms)


NO_SLO: Final = Slo()


def loads_of(case: Case, roofline: Roofline, concurrencies: Sequence[int]) -> tuple[Load, ...]:
    """Return the case at rising concurrencies.

    A first token and the next one never come sooner in more company: where corrections say so, the times at the
    smaller concurrency count.
    """
    if not concurrencies:
        return ()
    cases = [replace(case, concurrency_count=float(count)) for count in sorted(concurrencies)]
    found = predict(cases, roofline)
    ttft, tpot = (np.maximum.accumulate(times) for times in (found.ttft_s, found.tpot_s))
    counts = np.array(sorted(concurrencies), dtype=float)
    output = counts * case.osl_tokens / (ttft + (case.osl_tokens - 1) * tpot)

    def interval(figure: Figure, values: Array, deviations: Array, index: int) -> Interval:
        ratio = ratio_interval(roofline, figure, cases[index], float(deviations[index]))
        return ratio.map(lambda each: each * float(values[index]))

    return tuple(
        Load(
            concurrency_count=count,
            ttft_ms=interval("ttft", ttft * 1e3, found.ttft_deviation, index),
            tpot_ms=interval("tpot", tpot * 1e3, found.tpot_deviation, index),
            output_tokens_per_s=interval("throughput", output, found.output_deviation, index),
        )
        for index, count in enumerate(sorted(concurrencies))
    )


def doublings(case: Case, roofline: Roofline) -> tuple[int, ...]:
    """Return 1, 2, 4 … and last all that the node runs at once; nothing where not even one fits."""
    most = largest_batch(case, roofline)
    powers = [2**power for power in range(most.bit_length()) if 2**power < most]
    return (*powers, most) if most else ()


def largest_batch(case: Case, roofline: Roofline) -> int:
    """Return how many requests of these lengths the node runs at once under a steady load."""
    return max(0, floor(requests_that_fit(replace(case, concurrency_count=1.0), roofline)))


def within(case: Case, roofline: Roofline, slo: Slo) -> Load | None:
    """Return the greatest concurrency whose likely times keep the SLO, and what it serves; None where not even one.

    All that the node runs at once is the most that is tried: beyond it requests wait for a place.
    """
    most = largest_batch(case, roofline)
    if not most:
        return None
    tried = np.unique(np.round(np.geomspace(1, most, MOST_POINTS)).astype(int))
    tried = np.arange(1, most + 1) if most <= MOST_POINTS else tried
    good = [load for load in loads_of(case, roofline, [int(count) for count in tried]) if slo.keeps(load)]
    return good[-1] if good else None
