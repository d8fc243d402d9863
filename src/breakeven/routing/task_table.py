"""Which tasks may go to the cheap target: what was measured of each, its lower bound, and the choice that follows.

A difference is the weak target's score less the strong one's on the same prompt, between -1 and 1.  A task is allowed
only where even the lower confidence bound of its mean difference is above minus the margin; a point estimate would let
tasks through by luck half the time.  A task that the table does not know goes to the strong target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIDENCE_FRACTION: Final = 0.95
"""One-sided, of every bound here."""

CONFIDENT_Z: Final = NormalDist().inv_cdf(CONFIDENCE_FRACTION)
POWER_FRACTION: Final = 0.8
LEAST_PAIRS: Final = 100
"""Fewer pairs of a task decide nothing; 100 to 200 tell apart tasks that differ as real ones do."""

_MADE_PAIRS: Final = 2


class Differences(NamedTuple):
    """Paired differences of one task, as the sums that its bound needs."""

    pairs: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean difference; 0 without pairs."""
        return self.total / self.pairs if self.pairs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """What was measured of one task, and whether the cheap target may have it."""

    task: str
    pairs_count: int
    difference_fraction: float
    """Mean of weak less strong: -0.03 is three points of a hundred worse."""

    low_fraction: float
    """Its lower bound, one-sided, at 95 %."""

    allowed: bool
    needed_pairs_count: int | None = None
    """Pairs after which a task with this mean and spread would be allowed; None where no number would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTable:
    """What one cheap target may have beside the safe one that it was measured against."""

    weak: str
    """Name of the target, or of the pool, that the table speaks of."""

    strong: str
    margin_fraction: float
    rows: tuple[TaskRow, ...] = ()
    allowed: frozenset[str] = field(init=False)
    """Names of the allowed tasks."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", frozenset(row.task for row in self.rows if row.allowed))


def differences(values: Iterable[float]) -> Differences:
    """Sum paired differences up."""
    pairs, total, squares = 0, 0.0, 0.0
    for value in values:
        pairs += 1
        total += value
        squares += value * value
    return Differences(pairs, total, squares)


def lower_bound(found: Differences, z: float = CONFIDENT_Z) -> float:
    """Return the one-sided lower confidence bound of a mean paired difference; -1 without pairs.

    Two pairs are added, one at -1 and one at +1, and the normal bound is taken, after the interval of Agresti and Min
    (2005, https://doi.org/10.1002/sim.1781) for matched pairs, a little wider; scores may be shares here.
    """
    if not found.pairs:
        return -1.0
    count = found.pairs + _MADE_PAIRS
    mean = found.total / count
    variance = max((found.squares + _MADE_PAIRS) / count - mean * mean, 0.0)
    return max(mean - z * sqrt(variance / count), -1.0)


def pairs_needed(mean: float, variance: float, margin: float) -> float:
    """Return how many pairs show with 80 % power that a mean difference is above -margin; infinite where it is not.

    n = (z95 + z80)^2 x variance / (mean + margin)^2, the size of a one-sided test of a paired mean; at least
    ``LEAST_PAIRS``.
    """
    room = mean + margin
    if room <= 0:
        return inf
    z = CONFIDENT_Z + NormalDist().inv_cdf(POWER_FRACTION)
    return max(ceil(z * z * variance / (room * room)), LEAST_PAIRS)


def judged(task: str, found: Differences, margin: float, least_pairs: int = LEAST_PAIRS) -> TaskRow:
    """Return a task's row: allowed if there are pairs enough and the lower bound is above -margin."""
    low = lower_bound(found)
    allowed = bool(task) and found.pairs >= least_pairs and low >= -margin
    variance = max(found.squares / found.pairs - found.mean**2, 0.0) if found.pairs else 0.0
    needed = pairs_needed(found.mean, variance, margin) if found.pairs else float(least_pairs)
    if found.pairs < least_pairs:  # too early to say of any task that it is worse
        needed = max(needed, least_pairs) if needed < inf else float(least_pairs)
    return TaskRow(
        task=task,
        pairs_count=found.pairs,
        difference_fraction=found.mean,
        low_fraction=low,
        allowed=allowed,
        needed_pairs_count=None if allowed or needed == inf else int(max(needed, found.pairs + 1)),
    )


def guards(targets: Sequence[str], tables: Iterable[TaskTable]) -> tuple[frozenset[str] | None, ...]:
    """Return for each target of a route the tasks that it may have; None: all of them, as no table speaks of it.

    A table that names a pool speaks of all its nodes, ``POOL/NODE``.  Made once for a snapshot.
    """
    allowed = {table.weak: table.allowed for table in tables}
    return tuple(allowed.get(name, allowed.get(name.partition("/")[0])) for name in targets)


def allowed_for(eligible: Sequence[bool], guard: Sequence[frozenset[str] | None], task: str) -> tuple[bool, ...]:
    """Return who of the eligible may have a request of a task; an empty task is unknown and goes to no guarded target.

    Where nobody would be left, everybody who is eligible may: an answer of a cheap target beats none.
    """
    found = tuple(able and (held is None or task in held) for able, held in zip(eligible, guard, strict=True))
    return found if any(found) else tuple(eligible)
