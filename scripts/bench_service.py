"""Leave-one-out error of the service model on the measured throughput table, beside a simple peer.

Each measured length is predicted from the other lengths of the same configuration.  The peer takes
the total tokens/s of the nearest measured length, which is what a calculator does that knows one
throughput.  Errors are of throughput: predicted / measured - 1.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np

from breakeven.capacity.service import MIN_POINTS, fit_service
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.hardware import Measurement

WORST = 5
TWIN = 0.05
"""A length within this share of another, in and out, is its twin: near copies flatter a leave-one-out error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One measurement that was left out, its two predictions, and where it lies among the lengths that remained."""

    row: Measurement
    error_ratio: float
    peer_error_ratio: float
    is_inside: bool
    has_twin: bool

    @property
    def name(self) -> str:
        """Say which measurement it is."""
        row = self.row
        return f"{row.model}, {row.gpus}x {row.gpu} {row.precision}, {row.engine}, {row.isl_tokens}/{row.osl_tokens}"


def left_out() -> list[Left]:
    """Predict every row of every configuration with enough other lengths."""
    groups: dict[tuple[str, str, int, str, str], list[Measurement]] = defaultdict(list)
    for row in load_book().measurements:
        if row.basis == "measured-max-throughput" and row.concurrency_count is None:
            groups[(row.model, row.gpu, row.gpus, row.precision, row.engine)].append(row)
    return [_left(rows, row) for rows in groups.values() if len(rows) > MIN_POINTS for row in rows]


def _left(rows: Sequence[Measurement], row: Measurement) -> Left:
    others = [other for other in rows if other is not row]
    predicted = fit_service(others, basis="left out").output_tokens_per_s(row.isl_tokens, row.osl_tokens)
    isl, osl = ([other.isl_tokens for other in others], [other.osl_tokens for other in others])
    return Left(
        row=row,
        error_ratio=predicted / row.output_tokens_per_s - 1,
        peer_error_ratio=_peer(others, row) / row.output_tokens_per_s - 1,
        is_inside=min(isl) <= row.isl_tokens <= max(isl) and min(osl) <= row.osl_tokens <= max(osl),
        has_twin=any(_near(i, row.isl_tokens) and _near(o, row.osl_tokens) for i, o in zip(isl, osl, strict=True)),
    )


def _near(length: int, other: int) -> bool:
    return abs(length / other - 1) < TWIN


def _peer(others: Sequence[Measurement], row: Measurement) -> float:
    """Return the output tokens/s that the total tokens/s of the nearest measured length would give."""

    def distance(other: Measurement) -> float:
        return abs(log(other.isl_tokens / row.isl_tokens)) + abs(log(other.osl_tokens / row.osl_tokens))

    near = min(others, key=distance)
    total = near.output_tokens_per_s * (near.isl_tokens + near.osl_tokens) / near.osl_tokens
    return total * row.osl_tokens / (row.isl_tokens + row.osl_tokens)


def table(found: Sequence[Left]) -> str:
    """Return the errors as a Markdown table: all, by place among the lengths, by GPU, by precision."""
    groups = {
        "all": list(found),
        "no twin left": [item for item in found if not item.has_twin],
        "between the lengths left": [item for item in found if item.is_inside],
        "beyond them": [item for item in found if not item.is_inside],
    }
    for key in ("gpu", "precision"):
        for name in dict.fromkeys(getattr(item.row, key) for item in found):
            groups[name] = [item for item in found if getattr(item.row, key) == name]
    head = (
        "| rows | n | median abs | p90 abs | p10 to p90 signed | nearest length: median abs | p90 abs |\n"
        "|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_table_row(name, items) for name, items in groups.items())])


def _table_row(name: str, items: Sequence[Left]) -> str:
    ours = np.array([item.error_ratio for item in items])
    peer = np.abs([item.peer_error_ratio for item in items])
    low, high = np.quantile(ours, [0.1, 0.9])
    return (
        f"| {name} | {len(items)} | {np.median(np.abs(ours)):.1%} | {np.quantile(np.abs(ours), 0.9):.1%} "
        f"| {low:+.1%} to {high:+.1%} | {np.median(peer):.1%} | {np.quantile(peer, 0.9):.1%} |"
    )


def measured_over_predicted(found: Sequence[Left]) -> tuple[float, float, float]:
    """Return the 10th, 50th and 90th percentile of measured over predicted: the assumption ``throughput_ratio``."""
    ratio = 1 / (1 + np.array([item.error_ratio for item in found]))
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    return float(low), float(middle), float(high)


def main() -> None:
    """Print the table, what it means for the assumption, and the worst rows by name."""
    found = left_out()
    print(table(found))
    low, middle, high = measured_over_predicted(found)
    print(f"\nmeasured over predicted, 10th / 50th / 90th percentile: {low:.2f} / {middle:.2f} / {high:.2f}")
    print("\nworst rows:")
    for item in sorted(found, key=lambda item: -abs(item.error_ratio))[:WORST]:
        print(f"  {item.name}: {item.error_ratio:+.0%}")


if __name__ == "__main__":
    main()
