"""Counts what happens to requests, in constant memory for what comes with every packet."""

from __future__ import annotations

from collections import Counter
from math import log
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORTEST_GAP_S: Final = 1e-6
_GAP_RATIO: Final = 1.02
"""Width of a bucket of gaps: a hundred years have 1,900 of them."""

_PER_LOG: Final = 1 / log(_GAP_RATIO)
_BUCKETS: Final = 1024
_MOST_SHOWN: Final = 300


class Ended(NamedTuple):
    """A request that ended well; times by the stopwatch."""

    asked_s: float
    sent_s: float
    first_s: float
    last_s: float
    ended_s: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    asked_tokens: int
    """Output that was asked for."""

    pieces: int
    """Events with text."""

    told: bool
    """Whether the endpoint told the tokens."""


class Tally:
    """What has happened since it was last cleared; ``pieces`` and ``ended_count`` since the beginning."""

    def __init__(self) -> None:
        self.pieces = 0
        """Events with text, of all requests."""

        self.last_end = (0.0, 0)
        """When a request last ended well, and the pieces by then."""

        self.ended_count = 0
        self.failed_count = 0
        self.ended: list[Ended] = []
        self.failures: Counter[str] = Counter()
        self.example = ""
        """What the first failure of all said."""

        self._gaps = [0] * _BUCKETS

    def clear(self) -> None:
        """Forget requests and gaps: a window begins."""
        self.ended = []
        self.failures = Counter()
        self._gaps = [0] * _BUCKETS

    def gap(self, gap_s: float) -> None:
        """Count the time between two packets with text."""
        bucket = int(log(gap_s / _SHORTEST_GAP_S) * _PER_LOG) if gap_s > _SHORTEST_GAP_S else 0
        self._gaps[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1

    def end(self, ended: Ended) -> None:
        """Count a request that ended well."""
        self.ended_count += 1
        self.ended.append(ended)
        self.last_end = (ended.ended_s, self.pieces)

    def fail(self, kind: str, detail: str) -> None:
        """Count one that did not."""
        self.failed_count += 1
        self.failures[kind] += 1
        if not self.example:
            self.example = f"{kind}: {detail[:_MOST_SHOWN]}" if detail else kind

    def gap_quantiles_s(self, fractions: Sequence[float]) -> list[float]:
        """Return gaps within which those shares lie, and before them the mean; zeros where there were none."""
        total = sum(self._gaps)
        if not total:
            return [0.0] * (len(fractions) + 1)
        middles = [_SHORTEST_GAP_S * _GAP_RATIO ** (bucket + 0.5) for bucket in range(_BUCKETS)]
        mean = sum(count * middle for count, middle in zip(self._gaps, middles, strict=True)) / total
        found = [mean]
        for fraction in fractions:
            left = fraction * total
            for count, middle in zip(self._gaps, middles, strict=True):
                left -= count
                if left <= 0:
                    found.append(middle)
                    break
            else:
                found.append(middles[-1])
        return found
