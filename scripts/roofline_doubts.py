"""How far what was not seen lies from what was predicted, in deviations: the ends of intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from breakeven.catalog.roofline import Doubt

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

QUANTITY_NAMES: Final[tuple[Literal["offline", "steady", "tpot", "ttft"], ...]] = ("offline", "steady", "tpot", "ttft")
HELD: Final = {"offline": 0.92, "steady": 0.92, "tpot": 0.92, "ttft": 0.89}
"""The share of rows within an interval that is to hold 90 % of others, by quantity.

Rows of a group err together, and there are few groups: made of 90 %, intervals of TPOT would hold 85 % of others, too
few.  Those of TTFT are made of a little less, to be of use: of 90 % they would hold 87 % within 36 %.
"""

PLACES: Final = 25
"""At how many places between the lowest and the highest the narrowest range is looked for."""

LEAST_SHARE: Final = 0.005
"""The share of rows that lies beyond either end at least: none at all would be one row's error."""

LEAST_ERROR: Final = 0.01
"""Log errors below this count as this: the logarithm of a lucky row's would outweigh all others."""

LEAST_ROWS: Final = 100
"""Of an engine with fewer rows its own ends would be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What was predicted of each row by a fit and anchors without its whole group, against what was measured.

    By quantity, of shape (n,): the log of measured over predicted, nan where not measured, and its deviation.
    """

    fold: Array
    engine: tuple[str, ...]
    error: dict[str, Array]
    deviation: dict[str, Array]


def doubts(seen: Unseen, keep: Mask | None = None) -> list[Doubt]:
    """Return the ends of intervals made of the rows to keep, by quantity: of all engines, and of each."""
    engines = np.array(seen.engine)
    kept = np.ones(len(engines), dtype=bool) if keep is None else keep
    found = []
    for name in QUANTITY_NAMES:
        here = kept & ~np.isnan(seen.error[name])
        error, deviation, engine = seen.error[name][here], seen.deviation[name][here], engines[here]
        power = growth(error, deviation, engine)
        groups = {None: np.ones(len(error), dtype=bool)} | {each: engine == each for each in sorted(set(engine))}
        for each, rows in groups.items():
            if each is None or rows.sum() >= LEAST_ROWS:
                found.append(_doubt(name, each, power, error[rows], deviation[rows]))
    return found


def growth(error: Array, deviation: Array, engine: np.ndarray[tuple[int, ...], np.dtype[np.str_]]) -> float:
    """Return the slope of log |error| on log deviation within engines, by least squares."""
    size, expected = np.log(np.maximum(np.abs(error), LEAST_ERROR)), np.log(deviation)
    for each in set(engine):
        here = engine == each
        size[here] -= size[here].mean()
        expected[here] -= expected[here].mean()
    return round(float(size @ expected / (expected @ expected)), 2)


def _doubt(
    name: Literal["offline", "steady", "tpot", "ttft"], engine: str | None, power: float, error: Array, deviation: Array
) -> Doubt:
    scale = deviation**power
    low, high = narrowest(error / scale, float(np.median(scale)), HELD[name])
    p10, p90 = (float(end) for end in np.quantile(error / scale, [0.1, 0.9]))
    return Doubt(
        quantity=name,
        engine=None if engine is None else str(engine),
        power_ratio=power,
        low_ratio=round(low, 3),
        p10_ratio=round(p10, 3),
        p90_ratio=round(p90, 3),
        high_ratio=round(high, 3),
        rows_count=len(error),
    )


def narrowest(scaled: Array, scale: float, held: float) -> tuple[float, float]:
    """Return the ends of the range that holds this share of the values and is narrowest as a ratio, at a usual scale.

    At most a tenth lies beyond either end, so that it holds the middle 80 %.
    Errors are skewed: a first token comes seven times later than expected, but never seven times earlier.
    """
    below = np.linspace(max(LEAST_SHARE, 0.9 - held), min(0.1, 1 - held - LEAST_SHARE), PLACES)
    lows, highs = np.quantile(scaled, below), np.quantile(scaled, below + held)
    best = int(np.argmin(np.exp(highs * scale) - np.exp(lows * scale)))
    return float(lows[best]), float(highs[best])
