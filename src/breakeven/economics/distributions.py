"""Distributions of assumptions: the value at a probability, from low, likely, high and a family's name.

``low`` and ``high`` are the 10th and the 90th percentile, and they hold exactly in every family; what
``likely`` means depends on the family.  No value leaves the range that its unit allows.  Nothing here
draws: probabilities come in, values go out (``draws`` draws).
"""

from __future__ import annotations

from math import isfinite, log, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
from scipy.special import betainc, betaincinv, btdtria, ndtr, ndtri

from breakeven.catalog.assumptions import natural_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.catalog.assumptions import Distribution
    from breakeven.quantities import Array

TAIL: Final = 0.1
"""Probability below ``low``, and above ``high``."""

_Z: Final = float(ndtri(1 - TAIL))
_HALVINGS: Final = 60


class Doubt(Protocol):
    """A number in doubt, such as ``catalog.assumptions.Assumption``."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def unit(self) -> str:
        """Its unit, as the catalogue writes it."""

    @property
    def low(self) -> float:
        """Its 10th percentile."""

    @property
    def likely(self) -> float:
        """Its most likely value, or its median: see ``quantile``."""

    @property
    def high(self) -> float:
        """Its 90th percentile."""

    @property
    def distribution(self) -> Distribution:
        """The family's name."""


class _Curve(NamedTuple):
    """A distribution function and its inverse."""

    cdf: Callable[[float], float]
    inverse: Callable[[Array], Array]


def quantile(doubt: Doubt, probability: Array) -> Array:
    """Return the values below which ``doubt`` lies with the given probabilities (inside 0 to 1), in its unit.

    The 10th percentile is ``low`` and the 90th ``high``, always.  ``likely`` is

    - fixed: the value;
    - triangular: the mode.  One triangle has these three; its ends lie outside ``low`` and ``high``;
    - lognormal: the median.  Its logarithm is normal on either side of it, with a spread of its own
      (two-piece), so that the three percentiles hold;
    - beta: not used.  The two percentiles leave no freedom on 0 to 1, and the mode falls where it falls.

    The tail of a tenth beyond ``low`` or ``high`` that would leave ``natural_range`` is drawn from what of it lies
    inside; between ``low`` and ``high`` nothing changes.  Where ``low`` is the end of the range itself
    (0 as the 10th percentile of a share), that tenth *is* the end: zero has probability 0.1.

    Raises ``ValueError`` when the three figures cannot have the family, or leave the natural range.
    """
    least, greatest = natural_range(doubt.key, doubt.unit)
    if not least <= doubt.low <= doubt.likely <= doubt.high <= greatest:
        said = f"{doubt.low:g}, {doubt.likely:g}, {doubt.high:g}"
        raise ValueError(f"{doubt.key} needs {least:g} <= low <= likely <= high <= {greatest:g}, got {said}")
    if doubt.distribution == "fixed" or doubt.low == doubt.high:
        return np.full_like(probability, doubt.likely)
    curve = _CURVES[doubt.distribution](doubt)
    below, upto = curve.cdf(least), (curve.cdf(greatest) if isfinite(greatest) else 1.0)
    if below > 0 or upto < 1:
        probability = np.interp(probability, (0.0, TAIL, 1 - TAIL, 1.0), (below, TAIL, 1 - TAIL, upto))
    return np.clip(curve.inverse(probability), least, greatest)


def _triangular(doubt: Doubt) -> _Curve:
    """Fit the triangle of which ``low``, ``likely`` and ``high`` are 10th percentile, mode and 90th percentile.

    With width w and m the share of it (and of the mass) below the mode, low = start + w sqrt(m/10) and
    high = end - w sqrt((1-m)/10).  m solves
    (m - sqrt(m/10)) / (1 - sqrt(m/10) - sqrt((1-m)/10)) = (likely - low) / (high - low),
    whose left side rises from 0 at m = 0.1 to 1 at m = 0.9, so there is one triangle for any three values.
    """
    wanted = (doubt.likely - doubt.low) / (doubt.high - doubt.low)
    share = _root(lambda m: (m - sqrt(TAIL * m)) / (1 - sqrt(TAIL * m) - sqrt(TAIL * (1 - m))) - wanted, TAIL, 1 - TAIL)
    width = (doubt.high - doubt.low) / (1 - sqrt(TAIL * share) - sqrt(TAIL * (1 - share)))
    start = doubt.low - width * sqrt(TAIL * share)
    end = start + width

    def cdf(value: float) -> float:
        if value <= start or value >= end:
            return float(value >= end)
        at = (value - start) / width
        return at**2 / share if at <= share else 1 - (1 - at) ** 2 / (1 - share)

    def inverse(probability: Array) -> Array:
        rising = np.sqrt(probability * share)
        falling = 1 - np.sqrt((1 - probability) * (1 - share))
        return np.asarray(start + width * np.where(probability <= share, rising, falling))

    return _Curve(cdf, inverse)


def _lognormal(doubt: Doubt) -> _Curve:
    if doubt.low <= 0:
        raise ValueError(f"{doubt.key}: a lognormal number is above 0, got low = {doubt.low:g}")
    middle, under, over = log(doubt.likely), log(doubt.likely / doubt.low) / _Z, log(doubt.high / doubt.likely) / _Z

    def cdf(value: float) -> float:
        if value <= 0:
            return 0.0
        away = log(value) - middle
        spread = under if away < 0 else over
        return float(ndtr(away / spread)) if spread else float(away >= 0)

    def inverse(probability: Array) -> Array:
        z = ndtri(probability)
        return np.asarray(np.exp(middle + np.where(z < 0, under, over) * z))

    return _Curve(cdf, inverse)


def _beta(doubt: Doubt) -> _Curve:
    """Fit the two shapes of a beta distribution to the two percentiles.

    For each second shape one first shape puts a tenth below ``low``; the larger the pair, the narrower the
    distribution and the more of it lies below ``high``.
    """
    if not 0 < doubt.low < doubt.high < 1:
        raise ValueError(f"{doubt.key}: a beta share lies inside 0 to 1, got {doubt.low:g} and {doubt.high:g}")

    def first_shape(second: float) -> float:
        return float(btdtria(TAIL, second, doubt.low))

    def surplus(log_second: float) -> float:
        second = np.exp(log_second)
        return float(betainc(first_shape(second), second, doubt.high)) - (1 - TAIL)

    second = float(np.exp(_root(surplus, *_BETA_LOG_SHAPES)))
    first = first_shape(second)
    return _Curve(lambda value: float(betainc(first, second, value)), lambda p: betaincinv(first, second, p))


_BETA_LOG_SHAPES: Final = (-7.0, 16.0)
"""From all the mass at the two ends to a spread of about a thousandth."""


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses 0 between two points, by halving."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


_CURVES: Final[dict[str, Callable[[Doubt], _Curve]]] = {
    "triangular": _triangular,
    "lognormal": _lognormal,
    "beta": _beta,
}
