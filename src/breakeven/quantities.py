"""Units: the suffixes that names carry, the conversions between them, and intervals of doubt.

Every numeric field in the program says its unit in its name; ``UNIT_SUFFIXES`` is the whole
vocabulary and a test walks the fields.  Money is ``Decimal`` in the catalogue and the ledger
and ``float`` in models; ``float(decimal)`` happens in studies, and never the other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    Array = np.ndarray[tuple[Any, ...], np.dtype[np.floating[Any]]]
    Number = float | Array
    """One value, or one for each draw: formulas of operators take both, so a simulation runs the same code."""

    Values = Mapping[str, Number]
    """A value for every assumption, by key."""

HOURS_PER_MONTH: Final = 730.0
"""Hours in a month unless a scenario says otherwise: 8,760 a year over 12."""

DAYS_PER_MONTH: Final = HOURS_PER_MONTH / 24
HOURS_PER_YEAR: Final = 8760.0
MONTHS_PER_YEAR: Final = 12.0
SECONDS_PER_HOUR: Final = 3600.0
SECONDS_PER_DAY: Final = 86400.0
TOKENS_PER_MTOK: Final = 1_000_000
BYTES_PER_GB: Final = 1_000_000_000
WORK_HOURS_PER_YEAR: Final = 2080.0
"""Paid hours of one full-time engineer: 52 weeks of 40 hours."""


def everywhere(condition: bool | np.ndarray[tuple[Any, ...], np.dtype[np.bool_]]) -> bool:  # noqa: FBT001
    """Whether a condition holds for the one value, or for every draw."""
    return condition if isinstance(condition, bool) else bool(condition.all())


UNIT_SUFFIXES: Final[dict[str, str]] = {
    "_usd": "US dollars",
    "_usd2": "products of two amounts in US dollars, summed",
    "_usd_per_mtok": "US dollars for a million tokens",
    "_usd_per_request": "US dollars for a request",
    "_usd_per_success": "US dollars for an episode (or a request that belongs to none) that did its job",
    "_usd_per_hour": "US dollars for an hour",
    "_usd_per_unit_hour": "US dollars for one unit of provisioned throughput for an hour",
    "_usd_per_gpu_hour": "US dollars for one GPU for an hour",
    "_usd_per_gpu_second": "US dollars for one GPU for a second",
    "_usd_per_month": "US dollars a month",
    "_usd_per_year": "US dollars a year",
    "_usd_per_kwh": "US dollars for a kilowatt-hour",
    "_usd_per_kw_month": "US dollars for a kilowatt for a month",
    "_usd_per_gb_month": "US dollars for a gigabyte for a month",
    "_tokens": "tokens",
    "_mtok": "millions of tokens",
    "_mtok_per_month": "millions of tokens a month",
    "_tokens_per_month": "tokens a month",
    "_tokens_per_s": "tokens a second",
    "_tokens2": "products of two token counts, summed",
    "_requests": "requests",
    "_requests_per_month": "requests a month",
    "_requests_per_s": "requests a second",
    "_s": "seconds",
    "_ms": "milliseconds",
    "_us": "microseconds",
    "_hours": "hours",
    "_hours_per_month": "hours a month",
    "_minutes": "minutes",
    "_months": "months",
    "_years": "years",
    "_weeks": "weeks",
    "_days": "days",
    "_bytes": "bytes",
    "_gb": "gigabytes (10^9 bytes)",
    "_gb_per_s": "gigabytes a second",
    "_tflops": "dense tera-operations a second",
    "_w": "watts",
    "_px": "pixels",
    "_lines": "lines of a file",
    "_correlation": "a rank correlation, from -1 to 1",
    "_fraction": "a share between 0 and 1 (never percent)",
    "_ratio": "a quotient of two quantities of one unit",
    "_score": "a grade, on the scale that what holds it says",
    "_nats": "a natural logarithm of a wealth or a likelihood",
    "_fte": "full-time engineers",
    "_per_month": "events a month",
    "_per_year": "a yearly rate",
    "_count": "a number of things",
    "_nodes": "nodes",
    "_gpus": "GPUs",
    "_size": "elements of a vector",
    "_heads": "attention heads",
    "_experts": "experts of a layer",
    "_node_seconds": "node-seconds: one node fully busy for a second",
    "_node_hours": "node-hours",
}
"""Suffix → meaning.  Names that count without a suffix (``layers``) are in the test's own list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number in doubt: its 10th percentile, its most likely value and its 90th percentile.

    The unit is that of the field that holds it.
    """

    low: float
    likely: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.likely <= self.high:
            raise ValueError(f"an interval needs low <= likely <= high, got {self.low}, {self.likely}, {self.high}")

    @classmethod
    def exact(cls, value: float) -> Interval:
        """Return the interval of a number that is not in doubt."""
        return cls(low=value, likely=value, high=value)

    @property
    def is_exact(self) -> bool:
        """Whether the interval holds one value only."""
        return self.low == self.high

    def map(self, function: Callable[[float], float]) -> Interval:
        """Apply a monotonic function to the three values; a falling one swaps the ends."""
        first, likely, last = function(self.low), function(self.likely), function(self.high)
        return Interval(low=min(first, last), likely=likely, high=max(first, last))
