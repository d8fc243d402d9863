"""How far the estimator is off on measurements that it has not seen, and whether its intervals hold them.

Groups of a model's shape, a GPU and a precision are left out together, in ten folds: of a row's group neither the
fit nor the corrections know anything.  Errors are absolute errors of predicted over measured.  Intervals of a fold
are made of the errors on the other folds.  ``--write`` puts the page into docs/reference.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from fit_roofline import FOLDS, Rows, all_rows, data_sha256, start, unseen
from roofline_doubts import Array, Mask, Unseen, doubts

from breakeven.capacity.predict import ratio_interval
from breakeven.catalog.roofline import engine_name
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.capacity.predict import Figure
    from breakeven.capacity.roofline import Case
    from breakeven.catalog.hardware import Measurement

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "bench-capacity.md"
FIGURES: Final = {"offline": "max throughput", "tpot": "TPOT", "ttft": "TTFT", "steady": "throughput at a load"}
PEER: Final = (
    "aiconfigurator 0.12, NVIDIA's estimator from measured kernels, on 148 of these rows (Qwen3-32B and "
    "Qwen3-235B-A22B, its default database): TPOT 16 % (mean 31 %), TTFT 53 %."
)
INTRODUCTION: Final = f"""# How far the capacity estimator is off

Written by `make bench-capacity` (`scripts/bench_capacity.py --write`). Every row is predicted with its whole group left out: the
same model shape, GPU and precision, in {FOLDS} folds; neither the fit of the rates nor the corrections know anything of it. An
error is |predicted / measured - 1|. An interval is the narrowest that holds 92 % (of TTFT 89 %) of its engine's errors on other folds.
Left out of it all: rows marked with a fault, static batches, and rows whose model does not fit on the GPUs that they name.
How much deployments share of their errors (`LIKENESSES` in `scripts/roofline_beliefs.py`) was chosen on other folds of the same
groups, and the two shares while looking at these figures, so they are a little kind.
"""  # noqa: E501 - a page is as wide as the others
LEAST_ROWS: Final = 5
WORST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Rows, what was predicted of them unseen, and the ends of their intervals as logs of measured over predicted."""

    rows: Rows
    seen: Unseen
    low: dict[str, Array]
    high: dict[str, Array]

    def errors(self, quantity: str, here: Mask) -> Array:
        """Return absolute errors of predicted over measured."""
        off = self.seen.error[quantity][here]
        found: Array = np.abs(np.exp(-off[~np.isnan(off)]) - 1)
        return found

    def coverage(self, quantity: str, here: Mask) -> tuple[float, float]:
        """Return the share of rows within their interval, and the half-width of intervals at the median."""
        error = self.seen.error[quantity]
        judged = here & ~np.isnan(error)
        inside = (self.low[quantity] <= error) & (error <= self.high[quantity])
        half = (np.exp(self.high[quantity]) - np.exp(self.low[quantity])) / 2
        return float(np.mean(inside[judged])), float(np.median(half[judged]))


def judge() -> Judged:
    """Predict every row unseen, with intervals from the other folds."""
    roofline = start()
    rows = all_rows(roofline)
    seen = unseen(rows, roofline)
    low: dict[str, Array] = {name: np.full(len(rows.cases), np.nan) for name in FIGURES}
    high: dict[str, Array] = {name: np.full(len(rows.cases), np.nan) for name in FIGURES}
    for fold in range(FOLDS):
        known = replace(roofline, doubts=tuple(doubts(seen, seen.fold != fold)))
        for index in np.flatnonzero(seen.fold == fold):
            case = rows.cases[index]
            for name in ("tpot", "ttft", "steady") if case.concurrency_count else ("offline",):
                figure: Figure = "throughput" if name in {"offline", "steady"} else "ttft" if name == "ttft" else "tpot"
                ends = ratio_interval(known, figure, case, float(seen.deviation[name][index]))
                low[name][index], high[name][index] = np.log([ends.low, ends.high])
    return Judged(rows=rows, seen=seen, low=low, high=high)


def page(judged: Judged) -> str:
    """Return the page's text."""
    parts = [
        INTRODUCTION,
        *_targets(judged),
        "",
        PEER,
        "",
        *_coverage(judged),
        "",
        *_tables(judged),
        "",
        *_worst(judged),
    ]
    return "\n".join(parts) + "\n"


def _mask(judged: Judged, keep: Callable[[Measurement, Case], bool]) -> Mask:
    pairs = zip(judged.rows.measurements, judged.rows.cases, strict=True)
    return np.array([keep(row, case) for row, case in pairs], dtype=bool)


def _targets(judged: Judged) -> list[str]:
    """Return the figures beside their targets, FP4 and PCIe apart."""
    wanted: list[tuple[str, str, Callable[[Measurement, Case], bool], str]] = [
        ("TensorRT-LLM overview, dense, max throughput", "offline", _overview(mixture=False), "12 %"),
        ("TensorRT-LLM overview, mixture, max throughput", "offline", _overview(mixture=True), "18 %"),
        ("InferenceX, TPOT", "tpot", _is_inferencex, "12 %"),
        ("InferenceX, TTFT", "ttft", _is_inferencex, "30 %"),
        ("aiconfigurator's own runs, TPOT", "tpot", lambda row, _: row.source == "aiconfigurator-silicon", ""),
        ("aiconfigurator's own runs, TTFT", "ttft", lambda row, _: row.source == "aiconfigurator-silicon", ""),
        ("FP4, max throughput", "offline", _is_fp4, "apart"),
        ("FP4, TPOT", "tpot", _is_fp4, "apart"),
        ("FP4, TTFT", "ttft", _is_fp4, "apart"),
        ("PCIe, max throughput", "offline", lambda _, case: case.gpu.link == "pcie", "apart"),
    ]
    lines = ["| rows | n | median | mean | 90th percentile | target (median) |", "|---|---|---|---|---|---|"]
    for name, quantity, keep, target in wanted:
        error = judged.errors(quantity, _mask(judged, keep))
        lines.append(
            f"| {name} | {len(error):,} | **{np.median(error):.1%}** | {error.mean():.1%} | "
            f"{np.quantile(error, 0.9):.1%} | {target} |"
        )
    return lines


def _overview(*, mixture: bool) -> Callable[[Measurement, Case], bool]:
    return lambda row, case: row.source.startswith("trtllm") and case.architecture.is_mixture == mixture


def _is_inferencex(row: Measurement, _: Case) -> bool:
    return row.source == "inferencex"


def _is_fp4(_: Measurement, case: Case) -> bool:
    return case.precision == "fp4"


def _coverage(judged: Judged) -> list[str]:
    lines = [
        "| 90 % intervals | rows | within (target 85 to 95 %) | half-width, median (target 35 %) |",
        "|---|---|---|---|",
    ]
    classes: dict[str, Callable[[Measurement, Case], bool]] = {
        "all": lambda _row, _case: True,
        "dense": lambda _row, case: not case.architecture.is_mixture,
        "mixture": lambda _row, case: case.architecture.is_mixture,
    }
    for quantity, title in FIGURES.items():
        for name, keep in classes.items():
            here = _mask(judged, keep)
            count = int(np.sum(here & ~np.isnan(judged.seen.error[quantity])))
            inside, half = judged.coverage(quantity, here)
            lines.append(f"| {title}, {name} | {count:,} | {inside:.1%} | {half:.1%} |")
    return lines


def _tables(judged: Judged) -> list[str]:
    """Return the errors by source, GPU, engine, precision, family and layout."""
    by: dict[str, Callable[[Measurement, Case], str]] = {
        "source": lambda row, _: row.source,
        "GPU": lambda row, _: row.gpu,
        "engine": lambda row, _: engine_name(row.engine),
        "precision": lambda _, case: case.precision,
        "family": lambda row, _: re.split(r"[-\d]", row.model, maxsplit=1)[0],
        "model": lambda row, _: row.model,
        "layout": lambda _, case: _layout(case),
    }
    lines = ["Median · mean (rows):", ""]
    for title, name_of in by.items():
        lines += [f"| {title} | {' | '.join(FIGURES.values())} |", "|---|---|---|---|---|"]
        names = [name_of(row, case) for row, case in zip(judged.rows.measurements, judged.rows.cases, strict=True)]
        for name in sorted(set(names)):
            cells = [_cell(judged.errors(quantity, np.array(names) == name)) for quantity in FIGURES]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return lines[:-1]


def _layout(case: Case) -> str:
    if case.pipeline_stage_count > 1:
        return "pipeline"
    if case.attention_group_count > 1:
        return "data-parallel attention"
    return "expert parallel" if case.expert_group_count > 1 else "tensor parallel"


def _cell(error: Array) -> str:
    return f"{np.median(error):.1%} · {error.mean():.1%} ({len(error):,})" if len(error) else ""


def _worst(judged: Judged) -> list[str]:
    """Return the deployments whose rows are furthest off at the median."""
    lines = [f"Worst deployments of {LEAST_ROWS} rows or more, by the median of what their rows are judged by:", ""]
    lines += ["| deployment | rows | of | median error | measured / predicted |", "|---|---|---|---|---|"]
    found = []
    names = np.array(
        [f"{m.model} {m.precision}, {m.gpus}x {m.gpu}, {m.engine}" for m in judged.rows.measurements], dtype=object
    )
    for name in sorted(set(names)):
        for quantity in ("offline", "tpot", "ttft"):
            here = names == name
            error = judged.errors(quantity, here)
            if len(error) >= LEAST_ROWS:
                ratio = float(np.exp(np.nanmedian(judged.seen.error[quantity][here])))
                found.append((float(np.median(error)), name, quantity, len(error), ratio))
    for middle, name, quantity, count, ratio in sorted(found, reverse=True)[:WORST]:
        lines.append(f"| {name} | {count} | {FIGURES[quantity]} | {middle:.0%} | {ratio:.2f} |")
    return lines


def main() -> None:
    """Print the page, or write it, and say whether the bundled file is of these data."""
    text = page(judge())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE}")
    else:
        print(text)
    current = load_roofline().provenance.data_sha256 == data_sha256()
    print("roofline.yaml is of these data" if current else "roofline.yaml is of other data: run make fit-roofline")


if __name__ == "__main__":
    main()
