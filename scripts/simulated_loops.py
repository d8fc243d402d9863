"""How closed loops in the simulator compare with InferenceX's measured ones, as users have it and unseen.

Each loop is run as it was measured (``as_measured``), at the measured number of clients, of which the pace knows
nothing: it is corrected at loads of its own.  A row is judged three times: with the uncorrected pace; as users have it,
where the corrections may know the row itself; and with its whole group of shape, GPU and precision unknown to the fit
and to the corrections, in the ten folds by which the estimator is judged.  ``bench_simulate.py`` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from fit_roofline import all_rows, fit, folds, rows_of

from breakeven.capacity.corrected_pace import as_measured, corrected_pace
from breakeven.capacity.estimate import Deployment
from breakeven.capacity.likeness import case_of
from breakeven.capacity.pace import pace_of

if TYPE_CHECKING:
    from fit_roofline import Rows

    from breakeven.capacity.pool import Pace
    from breakeven.catalog.book import Book
    from breakeven.catalog.roofline import Anchor, Roofline

Ratios = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """Corrected paces by one roofline, each found once for a deployment and its lengths."""

    book: Book
    roofline: Roofline
    found: dict[tuple[object, ...], Pace] = field(default_factory=dict)

    def of(self, anchor: Anchor) -> Pace:
        """Return the pace that a simulation of the row's deployment and lengths has."""
        row = anchor.measurement
        served = row.model, row.gpu, row.gpus, row.precision, row.engine, row.expert_group_count
        key = (*served, row.isl_tokens, row.osl_tokens)
        if key not in self.found:
            lengths = {"isl_tokens": row.isl_tokens, "osl_tokens": row.osl_tokens}
            self.found[key] = corrected_pace(_deployment(anchor, self.book), self.roofline, **lengths)
        return self.found[key]


def compare(book: Book, roofline: Roofline) -> None:
    """Print simulated over measured TTFT and TPOT of every loop, by pace, and the error unseen by clients."""
    rows = all_rows(roofline)
    fold_of = folds(rows)
    known = Paces(book=book, roofline=roofline)
    unseen = {fold: Paces(book=book, roofline=_without(rows, fold_of == fold, roofline)) for fold in set(fold_of)}
    clients, found = [], []
    for anchor, fold in zip(rows.anchors, fold_of, strict=True):
        if _is_plain(anchor):
            plain = pace_of(_deployment(anchor, book), roofline)
            found.append([_over_measured(anchor, pace) for pace in (plain, known.of(anchor), unseen[fold].of(anchor))])
            clients.append(int(anchor.measurement.concurrency_count or 1))
    _tell(np.array(found), np.array(clients))


def _tell(ratios: Ratios, clients: Ratios) -> None:
    """Print ratios of shape (rows, paces, TTFT and TPOT)."""
    print(f"\nclosed loops of {len(ratios):,} rows of InferenceX, run as measured: simulated over measured")
    for place, pace in enumerate(("uncorrected", "corrected, as used", "corrected, its group unseen")):
        for figure, name in enumerate(("TTFT", "TPOT")):
            found = ratios[:, place, figure]
            low, middle, high = np.quantile(found, [0.1, 0.5, 0.9])
            error = np.abs(found - 1)
            print(
                f"  {name}, {pace:28} median {middle:.2f}, 10 % to 90 % {low:.2f} to {high:.2f}, "
                f"error: median {np.median(error):.1%}, 90 % within {np.quantile(error, 0.9):.0%}"
            )
    by_clients = [
        (count, np.median(np.abs(ratios[clients == count, -1] - 1), axis=0)) for count in sorted(set(clients))
    ]
    print("  its group unseen, median error of TTFT and TPOT by clients:")
    print("  " + "; ".join(f"{count}: {ttft:.0%}, {tpot:.0%}" for count, (ttft, tpot) in by_clients))


def _without(rows: Rows, left: Ratios, roofline: Roofline) -> Roofline:
    """Return the roofline fitted to and corrected by all rows but some."""
    rest = rows_of([anchor for anchor, gone in zip(rows.anchors, left, strict=True) if not gone])
    rates, engines = fit(rest, roofline)
    return replace(roofline, rates=rates, engines={item.engine: item for item in engines}, anchors=rest.anchors)


def _is_plain(anchor: Anchor) -> bool:
    """Whether a row is a closed loop of InferenceX on GPUs that all share each layer, as the simulator has it."""
    row = anchor.measurement
    groups = row.pipeline_stage_count * row.attention_group_count
    return row.source == "inferencex" and bool(row.ttft_ms and row.tpot_ms) and groups == 1


def _deployment(anchor: Anchor, book: Book) -> Deployment:
    """Return what was measured; a model that only the roofline knows has a catalogue entry made up, of its shape."""
    row, case = anchor.measurement, case_of(anchor)
    known = book.has_model(row.model)
    model = book.model(row.model) if known else replace(next(iter(book.models.values())), id=row.model)
    return Deployment(
        model=model,
        gpu=anchor.gpu,
        gpus=row.gpus,
        precision=case.precision,
        engine=row.engine,
        expert_group_count=row.expert_group_count,
    )


def _over_measured(anchor: Anchor, pace: Pace) -> tuple[float, float]:
    row = anchor.measurement
    assert row.ttft_ms
    assert row.tpot_ms
    loop = as_measured(pace, row.isl_tokens, row.osl_tokens, int(row.concurrency_count or 1))
    return 1000 * loop.ttft_s / row.ttft_ms, 1000 * loop.tpot_s / row.tpot_ms
