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
    from breakeven.catalog.hardware import Measurement

WORST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One measurement that was left out, and its two predictions."""

    row: Measurement
    error_ratio: float
    peer_error_ratio: float


def left_out() -> list[Left]:
    """Predict every row of every configuration with enough other lengths."""
    groups: dict[tuple[str, str, int, str, str], list[Measurement]] = defaultdict(list)
    for row in load_book().measurements:
        if row.basis == "measured-max-throughput" and row.concurrency_count is None:
            groups[(row.model, row.gpu, row.gpus, row.precision, row.engine)].append(row)
    found = []
    for rows in groups.values():
        if len(rows) <= MIN_POINTS:
            continue
        for row in rows:
            others = [other for other in rows if other is not row]
            predicted = fit_service(others, basis="left out").output_tokens_per_s(row.isl_tokens, row.osl_tokens)
            found.append(
                Left(
                    row=row,
                    error_ratio=predicted / row.output_tokens_per_s - 1,
                    peer_error_ratio=_peer(others, row) / row.output_tokens_per_s - 1,
                )
            )
    return found


def _peer(others: list[Measurement], row: Measurement) -> float:
    """Return the output tokens/s that the total tokens/s of the nearest measured length would give."""

    def distance(other: Measurement) -> float:
        return abs(log(other.isl_tokens / row.isl_tokens)) + abs(log(other.osl_tokens / row.osl_tokens))

    near = min(others, key=distance)
    total = near.output_tokens_per_s * (near.isl_tokens + near.osl_tokens) / near.osl_tokens
    return total * row.osl_tokens / (row.isl_tokens + row.osl_tokens)


def main() -> None:
    """Print the table by GPU and precision, and the worst rows by name."""
    found = left_out()
    print("| rows | n | median abs | p90 abs | p10 to p90 signed | nearest length: median abs | p90 abs |")
    print("|---|---|---|---|---|---|---|")
    groups: dict[str, list[Left]] = {"all": found}
    for item in found:
        groups.setdefault(item.row.gpu, []).append(item)
    for item in found:
        groups.setdefault(item.row.precision, []).append(item)
    for name, items in groups.items():
        ours = np.array([item.error_ratio for item in items])
        peer = np.abs([item.peer_error_ratio for item in items])
        low, high = np.quantile(ours, [0.1, 0.9])
        print(
            f"| {name} | {len(items)} | {np.median(np.abs(ours)):.1%} | {np.quantile(np.abs(ours), 0.9):.1%} "
            f"| {low:+.1%} to {high:+.1%} | {np.median(peer):.1%} | {np.quantile(peer, 0.9):.1%} |"
        )
    ratio = 1 / (1 + np.array([item.error_ratio for item in found]))
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    print(f"\nmeasured over predicted, 10th / 50th / 90th percentile: {low:.2f} / {middle:.2f} / {high:.2f}")
    print("\nworst rows:")
    for item in sorted(found, key=lambda item: -abs(item.error_ratio))[:WORST]:
        row = item.row
        print(
            f"  {row.model} on {row.gpus}x {row.gpu} {row.precision}, {row.engine}, "
            f"{row.isl_tokens}/{row.osl_tokens}: {item.error_ratio:+.0%}"
        )


if __name__ == "__main__":
    main()
