"""Prometheus' text format, written by hand: families, their labels from a short list, and samples.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ALLOWED: Final = frozenset({"model", "target", "key", "outcome", "task", "type", "le"})
"""All labels there may be.  Nobody's name, tags or id is among them: those have no end of values."""

MAX_VALUE_CHARACTERS: Final = 256
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Sample = tuple[tuple[str, ...], int | float | Decimal]
"""Values of the family's labels, and a number."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: ``kind`` is counter, gauge or histogram."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    def __post_init__(self) -> None:
        unknown = set(self.labels) - ALLOWED
        if unknown:
            raise ValueError(f"{self.name}: {', '.join(sorted(unknown))} cannot be a label, only {sorted(ALLOWED)}")

    def write(self, samples: Iterable[Sample]) -> Iterator[str]:
        """Yield the lines of it; none at all when there is no sample."""
        lines = [f"{self.name}{self._labels(values)} {_number(number)}" for values, number in samples]
        if lines:
            yield from (f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}", *lines)

    def write_histogram(
        self, bounds: tuple[float, ...], samples: Iterable[tuple[tuple[str, ...], list[int], float]]
    ) -> Iterator[str]:
        """Yield the lines of a histogram from counts by bucket (one more than bounds) and sums."""
        lines: list[str] = []
        for values, counts, total in samples:
            so_far = 0
            for bound, count in zip((*(f"{bound:g}" for bound in bounds), "+Inf"), counts, strict=True):
                so_far += count
                lines.append(f"{self.name}_bucket{self._labels((*values, bound), 'le')} {so_far}")
            lines.append(f"{self.name}_sum{self._labels(values)} {_number(total)}")
            lines.append(f"{self.name}_count{self._labels(values)} {so_far}")
        if lines:
            yield from (f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}", *lines)

    def _labels(self, values: tuple[str, ...], *more: str) -> str:
        pairs = zip((*self.labels, *more), values, strict=True)
        text = ",".join(f'{label}="{value[:MAX_VALUE_CHARACTERS].translate(_ESCAPES)}"' for label, value in pairs)
        return f"{{{text}}}" if text else ""


def _number(number: float | Decimal) -> str:
    """Write a number without an exponent where it is exact."""
    return f"{number:f}" if isinstance(number, Decimal) else repr(number)
