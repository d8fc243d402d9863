"""Errors of the roofline on measurements that it has not seen: whole models, GPUs, engines and lengths left out.

Errors are absolute errors of predicted over measured.  Beside them stands aiconfigurator, NVIDIA's estimator
from kernel measurements: its error was computed on 148 of the same rows (Qwen3-32B and Qwen3-235B-A22B, its
default database) as 16 % at the median for TPOT and 53 % for TTFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from fit_roofline import QUANTITIES, Part, Rows, all_rows, data_sha256, group_of, held_out, start

from breakeven.catalog.roofline import engine_name
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from breakeven.catalog.roofline import Quantity

    Array = npt.NDArray[np.float64]

LEFT: Final[tuple[Part, ...]] = ("model", "gpu", "engine", "lengths")
PEER = "aiconfigurator 0.12 on 148 Qwen3 rows: TPOT 16% (mean 31%), TTFT 53%"


def row(name: str, ratios: Mapping[Quantity, Array], here: npt.NDArray[np.bool_]) -> str:
    """Return one line of a table: median, mean and 90th percentile of the error of each quantity."""
    cells = []
    for quantity in QUANTITIES:
        seen = ratios[quantity][here]
        error = np.abs(1 / seen[~np.isnan(seen)] - 1)
        if not len(error):
            cells.append("")
            continue
        middle, high = np.quantile(error, [0.5, 0.9])
        cells.append(f"{middle:.1%} · {error.mean():.1%} · {high:.1%} ({len(error)})")
    return f"| {name} | " + " | ".join(cells) + " |"


def table(rows: Rows, ratios: Mapping[Quantity, Array]) -> str:
    """Return the errors by class, engine, GPU and model as a Markdown table."""
    lines = [
        "| rows | throughput: median · mean · p90 (n) | TPOT | TTFT |",
        "|---|---|---|---|",
        row("all", ratios, np.ones(len(rows.cases), dtype=bool)),
    ]
    groups = [
        ["mixture" if case.architecture.is_mixture else "dense" for case in rows.cases],
        [engine_name(case.engine) for case in rows.cases],
        [case.gpu.id for case in rows.cases],
        [group_of(m, "model") for m in rows.measurements],
    ]
    for names in groups:
        lines += [row(name, ratios, np.array(names) == name) for name in sorted(set(names))]
    return "\n".join(lines)


def main() -> None:
    """Print a table for each way of leaving out, and whether the bundled file is of these data."""
    roofline = start()
    rows = all_rows(roofline)
    for left in LEFT:
        print(f"\nleft out of the fit: the whole {left}\n")
        print(table(rows, held_out(rows, roofline, left)))
    print(f"\n{PEER}")
    current = load_roofline().provenance.data_sha256 == data_sha256()
    print("roofline.yaml is of these data" if current else "roofline.yaml is of other data: run make fit-roofline")


if __name__ == "__main__":
    main()
