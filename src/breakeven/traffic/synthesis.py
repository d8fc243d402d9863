"""Requests made up to look like traffic of which only windows are known, or like a trace at another volume.

Three things are drawn, each from a generator that is passed in.  **Swings**: a window's rate is split in half, the
halves again, and so on, in shares that scatter as neighbouring windows were seen to; **gaps** between requests, of a
gamma or Weibull renewal process as bursty as was fitted or stated; and **lengths**, around the window's means or
taken from requests that were seen.  Every window keeps its number of requests exactly.  Formulas: docs/model.md,
Running a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, lgamma, log, log2, sqrt
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, get_args

import numpy as np

from breakeven.traffic.arrivals import BATCH_ROWS, Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

Family = Literal["poisson", "gamma", "weibull"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

MOST_GAP_CV: Final = 20.0
"""Above it a Weibull's shape leaves what floats hold, and no trace was seen there."""

SMALLEST_CELL_REQUESTS: Final = 8
"""Below so many, scatter is that of the gaps."""

LAST_PLACE: Final = 1 - 1e-9
"""Of a window: its end is the next one's."""

SMALLEST_CELL_S: Final = 1.0
MOST_HALVINGS: Final = 12
LEAST_SWING: Final = 1e-4
MOST_SWING: Final = 0.5

INPUT_CV: Final = 1.0
"""Spread of inputs around a window's mean, log-normal; 0.96 in both of Azure's traces.  Outputs are exponential.  Both
shapes are what ServeGen found in production, but for the far tail of inputs (https://arxiv.org/abs/2505.09999)."""

LOCAL_REQUESTS: Final = 200
"""A gap is taken over the mean of so many around it."""

SHORTEST_GAP_RATIO: Final = 1e-6
"""Of the mean: what a log calls simultaneous is taken as this far apart."""

LEAST_GAIN: Final = 1e-3
"""In log likelihood a gap, by which another family must beat Poisson; below it no simulation tells them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """How unevenly requests come; ``gap_cv_ratio`` is the standard deviation of gaps over their mean, 1 for Poisson.

    ``swing_fraction``: relative scatter of each half of a window against its whole, at all scales below the window.
    """

    family: Family = "poisson"
    gap_cv_ratio: float = 1.0
    swing_fraction: float = 0.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what no process can have."""
        if self.family not in FAMILIES:
            raise ValueError(f"a burst's family is one of {', '.join(FAMILIES)}, got {self.family!r}")
        if not 0 < self.gap_cv_ratio <= MOST_GAP_CV:
            raise ValueError(f"the variation of gaps is above 0 and at most {MOST_GAP_CV:g}, got {self.gap_cv_ratio:g}")
        if self.family == "poisson" and self.gap_cv_ratio != 1:
            raise ValueError(f"gaps of a Poisson process vary by 1, got {self.gap_cv_ratio:g}")
        if not 0 <= self.swing_fraction <= MOST_SWING:
            raise ValueError(f"swings are between 0 and {MOST_SWING:g}, got {self.swing_fraction:g}")


class Counted(NamedTuple):
    """Windows in the order of time, none overlapping; arrays of shape (n,), tokens as sums."""

    start_s: Floats
    window_s: Floats
    requests: Ints
    input_tokens: Floats
    cached_input_tokens: Floats
    output_tokens: Floats


class Lengths(Protocol):
    """Draws the lengths of requests of one window: input, cached and output tokens, arrays of shape (count,)."""

    def __call__(self, count: int, means: tuple[float, float, float], chance: np.random.Generator) -> tuple[Ints, ...]:
        """Draw; ``means``: the window's input, cached and output tokens of a request."""


def around_means(count: int, means: tuple[float, float, float], chance: np.random.Generator) -> tuple[Ints, ...]:
    """Draw log-normal inputs and exponential outputs around the means; the cached share is that of the window."""
    into, cached, out = means
    sigma = sqrt(log(1 + INPUT_CV**2))
    prompts = _whole(into * np.exp(sigma * chance.standard_normal(count) - sigma**2 / 2))
    hits = np.floor(prompts * (cached / into if into > 0 else 0.0)).astype(np.int64)
    return prompts, hits, _whole(out * chance.exponential(1.0, count))


@dataclass(frozen=True, slots=True)
class Resampled:
    """Takes whole requests from those that were seen, so that input and output stay related as they were.

    ``seen`` has shape (n, 3): input, cached and output tokens.
    """

    seen: Ints

    def __call__(self, count: int, means: tuple[float, float, float], chance: np.random.Generator) -> tuple[Ints, ...]:
        """Draw with replacement; the means play no part."""
        del means
        chosen = self.seen[chance.integers(0, len(self.seen), count)]
        return chosen[:, 0], chosen[:, 1], chosen[:, 2]


def synthesise(counted: Counted, burst: Burst, lengths: Lengths, chance: np.random.Generator) -> Iterator[Arrivals]:
    """Yield requests window by window, in order, in batches of about ``BATCH_ROWS``; equal chance, equal requests.

    Times are seconds since the first window began.
    """
    waiting: list[Arrivals] = []
    rows = 0
    for index in np.flatnonzero(counted.requests):
        for batch in _window(counted, int(index), burst, lengths, chance):
            waiting.append(batch)
            rows += len(batch.at_s)
            if rows >= BATCH_ROWS:
                yield joined(waiting)
                waiting, rows = [], 0
    if waiting:
        yield joined(waiting)


def joined(batches: Iterable[Arrivals]) -> Arrivals:
    """Return batches as one."""
    columns = zip(*(batch[:4] for batch in batches), strict=True)
    return Arrivals(*(np.concatenate(column) for column in columns))


def fit_gaps(at_s: Floats) -> Burst:
    """Return the family and variation of gaps, each over the mean of the ``LOCAL_REQUESTS`` gaps around it.

    So a slow change of the rate is no burst.  With n gaps in a group and gamma gaps of shape k, a gap over its mean has
    the variance v = (n - 1) / (n k + 1), from which k follows; the variation is its root's inverse.  Of exponential,
    gamma and Weibull gaps with that variation the likeliest is taken.  Fewer than two groups: Poisson.
    """
    gaps = np.diff(np.sort(at_s))
    count = len(gaps) // LOCAL_REQUESTS
    if count < 2:
        return Burst()
    groups = gaps[: count * LOCAL_REQUESTS].reshape(count, LOCAL_REQUESTS)
    groups = groups[groups.sum(axis=1) > 0]
    scaled = (groups / groups.mean(axis=1, keepdims=True)).ravel()
    variance = float(scaled.var()) if len(scaled) else 0.0
    if not variance:
        return Burst()
    shape = ((LOCAL_REQUESTS - 1) / variance - 1) / LOCAL_REQUESTS
    cv = min(MOST_GAP_CV, 1 / sqrt(max(shape, MOST_GAP_CV**-2)))
    scaled = np.maximum(scaled, SHORTEST_GAP_RATIO)
    gains = {family: _log_likelihood(scaled, family, cv) - _log_likelihood(scaled, "poisson", 1) for family in FAMILIES}
    best = max(FAMILIES, key=lambda family: gains[family])
    return Burst(family=best, gap_cv_ratio=cv) if gains[best] > LEAST_GAIN else Burst()


def fit_swing(requests: npt.NDArray[np.number]) -> float:
    """Return the relative scatter of half against whole, from how windows scatter around their neighbours' mean.

    ``requests``: counts of equal windows in a row.  With e = (n - (before + after) / 2) / local mean, whose variance is
    1.5 that of a window, a window scatters by s with s^2 = var(e) / 1.5 - 1 / mean, the last part being chance; two
    halves of a whole then differ from it by s / sqrt 2.  Variances are by the median absolute deviation: a few
    outages are no swings.  0 with fewer than 5 windows.
    """
    counts = np.asarray(requests, dtype=float)
    if len(counts) < 5:
        return 0.0
    local = (counts[:-2] + counts[1:-1] + counts[2:]) / 3
    used = local > 0
    if not used.any():
        return 0.0
    off = (counts[1:-1] - (counts[:-2] + counts[2:]) / 2)[used] / local[used]
    scatter = float(np.median(np.abs(off)) / 0.6745)
    over_chance = scatter**2 / 1.5 - float(np.median(1 / local[used]))
    return min(MOST_SWING, sqrt(max(0.0, over_chance) / 2))


def weibull_shape(cv: float) -> float:
    """Return the shape of a Weibull distribution whose standard deviation over mean is ``cv``, by bisection."""
    low, high = 0.1, 100.0
    for _ in range(100):
        middle = sqrt(low * high)
        if gamma(1 + 2 / middle) / gamma(1 + 1 / middle) ** 2 - 1 > cv**2:
            low = middle
        else:
            high = middle
    return sqrt(low * high)


def _window(
    counted: Counted, index: int, burst: Burst, lengths: Lengths, chance: np.random.Generator
) -> Iterator[Arrivals]:
    """Yield one window's requests, a large window in several parts so that memory stays bounded."""
    count, window_s = int(counted.requests[index]), float(counted.window_s[index])
    edges = _edges(count, window_s, burst.swing_fraction, chance)
    parts = -(-count // BATCH_ROWS)
    sums = (counted.input_tokens[index], counted.cached_input_tokens[index], counted.output_tokens[index])
    means = (float(sums[0]) / count, float(sums[1]) / count, float(sums[2]) / count)
    for part in range(parts):
        first, last = count * part // parts, count * (part + 1) // parts
        places = (first + _places(last - first, burst, chance) * (last - first)) / count
        at_s = np.interp(places, edges, np.linspace(0, window_s, len(edges)))
        given, cached, made = lengths(last - first, means, chance)
        yield Arrivals(counted.start_s[index] - counted.start_s[0] + at_s, given, cached, made)


def _edges(count: int, window_s: float, swing_fraction: float, chance: np.random.Generator) -> Floats:
    """Return the share of a window's requests before each of its equal cells, from 0 to 1: a cascade of halvings.

    A half's share is Beta(a, a) with a = (1 / s^2 - 1) / 2, whose standard deviation is s / 2.
    """
    cells = min(window_s / SMALLEST_CELL_S, count / SMALLEST_CELL_REQUESTS)
    halvings = min(MOST_HALVINGS, int(log2(cells))) if cells >= 2 else 0
    if swing_fraction < LEAST_SWING or not halvings:
        return np.array([0.0, 1.0])
    shape = (1 / swing_fraction**2 - 1) / 2
    shares = np.ones(1)
    for _ in range(halvings):
        left = chance.beta(shape, shape, len(shares))
        shares = np.stack([shares * left, shares * (1 - left)], axis=1).ravel()
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    return np.asarray(edges / edges[-1])


def _places(count: int, burst: Burst, chance: np.random.Generator) -> Floats:
    """Return where requests lie in [0, 1): so many renewals, given that just so many came."""
    gaps = _gaps(count + 1, burst, chance)
    # The first gap began before the window: a part of it, evenly drawn, is seen.
    gaps[0] *= chance.random()
    ends = np.cumsum(gaps)
    places: Floats = np.minimum(ends[:-1] / ends[-1], LAST_PLACE)
    return places


def _gaps(count: int, burst: Burst, chance: np.random.Generator) -> Floats:
    if burst.family == "gamma":
        return chance.gamma(1 / burst.gap_cv_ratio**2, size=count)
    if burst.family == "weibull":
        return chance.weibull(weibull_shape(burst.gap_cv_ratio), size=count)
    return chance.exponential(size=count)


def _log_likelihood(gaps: Floats, family: Family, cv: float) -> float:
    """Return the mean log density of gaps of mean 1."""
    if family == "poisson":
        return float(-gaps.mean())
    if family == "gamma":
        shape = 1 / cv**2
        return float(np.mean((shape - 1) * np.log(gaps) - shape * gaps)) + shape * log(shape) - lgamma(shape)
    shape = weibull_shape(cv)
    scale = 1 / gamma(1 + 1 / shape)
    scaled = gaps / scale
    return float(np.mean((shape - 1) * np.log(scaled) - scaled**shape)) + log(shape / scale)


def _whole(tokens: Floats) -> Ints:
    return np.maximum(1, np.rint(tokens)).astype(np.int64)
