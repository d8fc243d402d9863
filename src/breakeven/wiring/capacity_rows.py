"""Estimates every row of a table of measurements, without looking at what was measured."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from math import hypot, isfinite
from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.capacity.likeness import case_of, same_version, shape_of
from breakeven.capacity.memory import stored_bytes
from breakeven.capacity.predict import measured_interval, predict, ratio_interval
from breakeven.capacity.roofline import Case
from breakeven.catalog.roofline import engine_name
from breakeven.errors import InputError
from breakeven.quantities import BYTES_PER_GB, Interval
from breakeven.sources.catalogue import load_book
from breakeven.sources.measured_rows import MEASURED, Asked, Reader, read_table
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.capacity.predict import Figure, Prediction
    from breakeven.catalog.hardware import Measurement
    from breakeven.catalog.roofline import Roofline

FIGURES: Final[dict[Figure, str]] = {
    "throughput": "predicted_output_tok_s_total",
    "ttft": "predicted_ttft_ms",
    "tpot": "predicted_tpot_ms",
}
BASIS: Final = "prediction_basis"
PROBLEM: Final = "prediction_problem"
TYPICAL_DEVIATION: Final = 0.2
"""What an unknown architecture adds to the log deviation: how far models of one size differ."""

Answer = dict["Figure", Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureErrors:
    """How far the predictions of a figure were from what the table had measured."""

    rows_count: int
    median_error_fraction: float
    mean_error_fraction: float
    within_interval_fraction: float
    median_half_width_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsEstimated:
    """What became of the rows of a table; intervals are those of 90 %."""

    rows_count: int
    estimated_count: int
    by_basis: dict[str, int]
    not_estimated: dict[str, int]
    errors: dict[str, FigureErrors]


def estimate_rows(path: Path, out: Path, *, unseen: bool = False) -> RowsEstimated:
    """Write the table with a prediction in each row, in the order that it has.

    ``unseen``: as if the catalogue had no measurement of a row's model, GPU and precision.
    Raises ``InputError`` when a file cannot be read or written.
    """
    _can_be_written(path, out)
    table = read_table(path)
    added = [*(f"{name}{end}" for name in FIGURES.values() for end in ("", "_low", "_high")), BASIS, PROBLEM]
    again = [name for name in added if name in table.columns]
    if again:
        raise InputError(f"{path} has the column(s) {', '.join(again)} already: give the table without predictions.")
    roofline = load_roofline()
    reader = Reader(load_book(), roofline)
    asked = [reader.asked(row) for row in table.rows]
    asked = [_fitting(item) for item in asked]
    answers = _answers([item for item in asked if isinstance(item, Asked)], roofline, unseen=unseen)
    told = iter(answers)
    done = [next(told) if isinstance(item, Asked) else ({}, "", item) for item in asked]
    _write(out, [*table.columns, *added], [row | _cells(*each) for row, each in zip(table.rows, done, strict=True)])
    reasons = Counter(_reason(problem) for _, _, problem in done if problem)
    return RowsEstimated(
        rows_count=len(done),
        estimated_count=sum(bool(answer) for answer, _, _ in done),
        by_basis=dict(Counter(basis.split(":", 1)[0] for answer, basis, _ in done if answer)),
        not_estimated=dict(reasons),
        errors=_errors(table.rows, [answer for answer, _, _ in done]),
    )


def _reason(problem: str) -> str:
    """Return a problem without the values of its row, so that alike ones are counted together."""
    return re.sub(r"'[^']*'|\d[\d,.]*", "…", problem.split(";", 1)[0])


def _can_be_written(path: Path, out: Path) -> None:
    if out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"--out {out} is the table itself; name another file, nothing of yours is overwritten.")
    if out.is_dir():
        raise InputError(f"--out {out} cannot be written: it is a folder.")
    if not out.parent.is_dir():
        raise InputError(f"--out {out} cannot be written: there is no folder {out.parent}.")


def _fitting(asked: Asked | str) -> Asked | str:
    """Return the row, or why its model cannot have been on its GPUs."""
    if isinstance(asked, str):
        return asked
    need = sum(stored_bytes(asked.architecture, asked.precision)) / BYTES_PER_GB
    have = asked.gpu.memory_gb * asked.gpus
    if need > have:
        return f"needs {need:,.0f} GB for weights alone; {asked.gpus}x {asked.gpu.name} has {have:,.0f} GB"
    return asked


def _case(asked: Asked) -> Case:
    return Case(
        architecture=asked.architecture,
        gpu=asked.gpu,
        gpus=asked.gpus,
        precision=asked.precision,
        engine=asked.engine,
        isl_tokens=asked.isl_tokens,
        osl_tokens=asked.osl_tokens,
        concurrency_count=asked.concurrency_count,
        pipeline_stage_count=asked.pipeline_stage_count,
        attention_group_count=asked.attention_group_count,
        expert_group_count=asked.expert_group_count,
    )


def _key(case: Case) -> tuple[object, ...]:
    """Return what a measurement and a row must share to be of the same thing."""
    load = (case.isl_tokens, case.osl_tokens, case.concurrency_count)
    layout = (case.pipeline_stage_count, case.attention_group_count)
    return (*_deployment(case), *layout, *load)


def _deployment(case: Case) -> tuple[object, ...]:
    return (shape_of(case.architecture), case.gpu.id, case.gpus, case.precision, engine_name(case.engine))


def _answers(asked: Sequence[Asked], roofline: Roofline, *, unseen: bool) -> list[tuple[Answer, str, str]]:
    """Return for each row its figures, where they come from, and no problem."""
    if not asked:
        return []
    measured: dict[object, list[Measurement]] = defaultdict(list)
    near: Counter[object] = Counter()
    for anchor in [] if unseen else roofline.anchors:
        case = case_of(anchor)
        near[_deployment(case)] += 1
        measured[_key(case)].append(anchor.measurement)
    cases = [_case(item) for item in asked]
    found = predict(cases, roofline, unseen=unseen)
    answers = []
    for index, (item, case) in enumerate(zip(asked, cases, strict=True)):
        rows = [] if item.is_typical else measured.get(_key(case), [])
        rows = [row for row in rows if same_version(item.engine, row.engine)]
        count = 0 if item.is_typical else near[_deployment(case)]
        if rows:
            answer, told = _spread(rows), f"measured: {len(rows)} in the catalogue"
        else:
            answer = _predicted(found, index, case, roofline, TYPICAL_DEVIATION if item.is_typical else 0.0)
            told = f"{'typical' if item.is_typical else 'estimated'}: roofline and alike measurements"
            told = f"nearby: corrected by {count} measurement(s) of this deployment" if count else told
        answers.append((answer, "; ".join((told, *item.notes)), ""))
    return answers


def _predicted(found: Prediction, index: int, case: Case, roofline: Roofline, extra: float) -> Answer:
    """Return the figures of one case; ``extra`` is log deviation on top."""
    values: dict[Figure, tuple[float, float]] = {
        "throughput": (float(found.output_tokens_per_s[index]), float(found.output_deviation[index])),
    }
    if case.concurrency_count is not None:
        values["ttft"] = (float(found.ttft_s[index]) * 1e3, float(found.ttft_deviation[index]))
        values["tpot"] = (float(found.tpot_s[index]) * 1e3, float(found.tpot_deviation[index]))
    answer: Answer = {}
    for figure, (value, deviation) in values.items():
        ratio = ratio_interval(roofline, figure, case, hypot(deviation, extra))
        answer[figure] = Interval(low=ratio.low * value, likely=ratio.likely * value, high=ratio.high * value)
    return answer


def _spread(rows: Sequence[Measurement]) -> Answer:
    columns: dict[Figure, list[float]] = {
        "throughput": [row.output_tokens_per_s for row in rows],
        "ttft": [row.ttft_ms for row in rows if row.ttft_ms is not None],
        "tpot": [row.tpot_ms for row in rows if row.tpot_ms is not None],
    }
    return {figure: measured_interval(figure, values) for figure, values in columns.items() if values}


def _cells(answer: Answer, basis: str, problem: str) -> dict[str, str]:
    cells = {BASIS: basis, PROBLEM: problem}
    for figure, name in FIGURES.items():
        value = answer.get(figure)
        ends = ("", "", "") if value is None else tuple(f"{x:.6g}" for x in (value.likely, value.low, value.high))
        cells |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return cells


def _write(out: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror or error}.") from error


def _errors(rows: Sequence[dict[str, str]], answers: Sequence[Answer]) -> dict[str, FigureErrors]:
    """Return how far off the predictions were, where the table says what was measured."""
    found = {}
    for figure, column in MEASURED.items():
        pairs = [
            (value, answer[figure])
            for row, answer in zip(rows, answers, strict=True)
            if figure in answer and (value := _positive(row.get(column, "")))
        ]
        if pairs:
            off = [abs(answer.likely / value - 1) for value, answer in pairs]
            found[figure] = FigureErrors(
                rows_count=len(pairs),
                median_error_fraction=median(off),
                mean_error_fraction=sum(off) / len(off),
                within_interval_fraction=sum(a.low <= value <= a.high for value, a in pairs) / len(pairs),
                median_half_width_fraction=median((a.high - a.low) / 2 / a.likely for _, a in pairs),
            )
    return found


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None
