"""Fits the roofline to the measured throughput table, and judges it on parts that the fit had not seen.

It writes ``roofline.yaml``: rates, engines, what errors deployments share, and how far it errs on what was left out.
``bench_capacity.py`` prints the errors and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from roofline_beliefs import ENGINES, LIKENESSES, PREFILL_PRIOR, PRIOR, STEP_PRIOR
from roofline_doubts import QUANTITY_NAMES, Array, Mask, Unseen, doubts

from breakeven.capacity.likeness import case_of, shape_of, teaches
from breakeven.capacity.predict import predict
from breakeven.capacity.roofline import Case, Work, speed, work_of
from breakeven.catalog.roofline import (
    Anchor,
    Band,
    EngineRates,
    Left,
    Provenance,
    Quantity,
    Rates,
    Roofline,
    engine_name,
)
from breakeven.sources.catalogue import DATA
from breakeven.sources.roofline import FITTED, Fitted, roofline_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.catalog.hardware import Measurement

Part = Left | Literal["lengths", "group"]
"""What is left out of a fit to judge it.  A group: a model's shape, a GPU and a precision."""

PRIOR_WEIGHT = 1.0
HUBER = 0.1
"""Log errors beyond this count linearly: the table holds misfiled rows and cold starts."""

TTFT_WEIGHT = 0.3
"""TTFT counts less: it depends on how a benchmark starts its requests."""

FOLDS: Final = 10
QUANTITIES: Final[tuple[Quantity, ...]] = ("throughput", "tpot", "ttft")
BUSY_REQUESTS = 64
"""Concurrency from which a steady throughput judges what an engine serves when saturated."""

MIN_BAND_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Measurements with their cases."""

    anchors: tuple[Anchor, ...]
    cases: tuple[Case, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Return the measurements."""
        return tuple(anchor.measurement for anchor in self.anchors)

    def only(self, keep: Callable[[Measurement], bool]) -> Rows:
        """Return the rows whose measurement the function keeps."""
        return rows_of([anchor for anchor in self.anchors if keep(anchor.measurement)])

    def measured(self, quantity: Quantity, *, busy_only: bool = True) -> Array:
        """Return what was measured, in seconds or tokens/s; nan where it does not judge the quantity."""
        return np.array([_measured(m, quantity, busy_only=busy_only) for m in self.measurements])


def _measured(row: Measurement, quantity: Quantity, *, busy_only: bool) -> float:
    steady = row.concurrency_count is not None
    if quantity == "throughput":
        return (
            float("nan")
            if busy_only and steady and (row.concurrency_count or 0) < BUSY_REQUESTS
            else row.output_tokens_per_s
        )
    value = row.tpot_ms if quantity == "tpot" else row.ttft_ms
    return float("nan") if value is None else value / 1e3


def rows_of(anchors: Sequence[Anchor]) -> Rows:
    """Return the rows of some anchors."""
    return Rows(anchors=tuple(anchors), cases=tuple(case_of(anchor) for anchor in anchors))


def _part(rows: Rows, keep: Mask) -> Rows:
    return rows_of([anchor for anchor, kept in zip(rows.anchors, keep, strict=True) if kept])


def all_rows(roofline: Roofline) -> Rows:
    """Return the measurements that a single node can have made.

    Left out: rows whose model does not fit on the GPUs that they name, static batches, and rows with a fault.
    """
    return rows_of([anchor for anchor in roofline.anchors if teaches(anchor, roofline)])


def fit(rows: Rows, roofline: Roofline) -> tuple[Rates, tuple[EngineRates, ...]]:
    """Return the rates that minimise robust squared log errors, each configuration weighing the root of its rows."""
    work = work_of(rows.cases, roofline)
    offline = np.array([m.concurrency_count is None for m in rows.measurements])
    first = np.where(offline, rows.measured("throughput"), rows.measured("tpot"))
    ttft = rows.measured("ttft")
    keys = [
        (m.model, m.gpu, m.gpus, m.precision, engine_name(m.engine), m.concurrency_count is None)
        for m in rows.measurements
    ]
    counts = Counter(keys)
    weight = np.array([counts[key] ** -0.25 for key in keys])
    weight /= np.sqrt(np.mean(weight**2))
    priors = [*(PRIOR[item.name] for item in fields(Rates)), STEP_PRIOR, STEP_PRIOR, *[PREFILL_PRIOR] * 3]
    centre, spread = np.log([p[0] for p in priors]), np.array([p[1] for p in priors])

    def errors(theta: Array) -> Array:
        rates, engines = _rates(theta)
        found = speed(work, rates, _engines_of(work, engines))
        main = np.log(np.where(offline, found.output_tokens_per_s, found.tpot_s) / first)
        late = np.where(offline, 0.0, np.log(found.ttft_s / np.where(offline, 1.0, ttft)))
        robust = _huber(np.concatenate([main * weight, late * weight * TTFT_WEIGHT]))
        return np.concatenate([robust, PRIOR_WEIGHT * (theta - centre) / spread])

    best = _least_squares(errors, centre)
    return _rates(np.log([float(f"{value:.4g}") for value in np.exp(best)]))


def _rates(theta: Array) -> tuple[Rates, tuple[EngineRates, ...]]:
    """Return parameters from their logarithms."""
    values = [float(value) for value in np.exp(theta)]
    count = len(fields(Rates))
    rates = Rates(**{item.name: value for item, value in zip(fields(Rates), values, strict=False)})
    steps, prefills = [1.0, *values[count : count + 2]], values[count + 2 :]
    engines = [
        EngineRates(engine=name, step_ratio=step, prefill_ratio=prefill)
        for name, step, prefill in zip(ENGINES, steps, prefills, strict=True)
    ]
    return rates, tuple(engines)


def _engines_of(work: Work, engines: Sequence[EngineRates]) -> list[EngineRates]:
    by_name = {item.engine: item for item in engines}
    return [by_name[name] for name in work.engines]


def _huber(errors: Array) -> Array:
    """Return values whose squares are the pseudo-Huber loss: error near zero, its root far from it."""
    size: Array = HUBER * np.sqrt(2 * (np.sqrt(1 + (errors / HUBER) ** 2) - 1))
    return np.copysign(size, errors)


def _least_squares(function: Callable[[Array], Array], start: Array, steps: int = 60) -> Array:
    """Minimise a sum of squares by Levenberg-Marquardt with differences for derivatives."""
    theta, damping, small = start, 1e-2, 1e-3
    values = function(theta)
    for _ in range(steps):
        slopes = np.stack([(function(theta + small * axis) - values) / small for axis in np.eye(len(theta))], axis=1)
        normal, slope = slopes.T @ slopes, slopes.T @ values
        moved = theta - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slope)
        after = function(moved)
        better = after @ after < values @ values
        gain = 1 - (after @ after) / (values @ values)
        if better:
            theta, values = moved, after
        damping = damping / 5 if better else damping * 5
        if better and gain < 1e-6:
            break
    return theta


def predicted(rows: Rows, roofline: Roofline, rates: Rates, engines: Sequence[EngineRates]) -> dict[Quantity, Array]:
    """Return what the roofline says of the rows, in seconds and tokens/s."""
    work = work_of(rows.cases, roofline)
    known = replace(roofline, rates=rates, engines={item.engine: item for item in engines})
    found = speed(work, rates, [known.engine_rates(name) for name in work.engines])
    return {"throughput": found.output_tokens_per_s, "tpot": found.tpot_s, "ttft": found.ttft_s}


def group_of(anchor: Anchor, left: Part) -> str:
    """Return the name of what a row is left out with: models of one shape go together."""
    row = anchor.measurement
    names = {
        "model": str(shape_of(anchor.architecture)),
        "gpu": row.gpu,
        "engine": engine_name(row.engine),
        "lengths": f"{row.isl_tokens}/{row.osl_tokens}",
        "group": f"{shape_of(anchor.architecture)} {row.gpu} {row.precision}",
    }
    return names[left]


def folds(rows: Rows) -> Array:
    """Return in which of ten folds each row is: whole groups, the largest first, each to the smallest fold."""
    names = [group_of(anchor, "group") for anchor in rows.anchors]
    counts, sizes, of = Counter(names), [0] * FOLDS, {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        of[name] = min(range(FOLDS), key=lambda fold: sizes[fold])
        sizes[of[name]] += counts[name]
    return np.array([of[name] for name in names], dtype=float)


def unseen(rows: Rows, roofline: Roofline) -> Unseen:
    """Return how every row is predicted that nothing of its group was known of."""
    fold_of = folds(rows)
    error: dict[str, Array] = {name: np.full(len(rows.cases), np.nan) for name in QUANTITY_NAMES}
    deviation: dict[str, Array] = {name: np.full(len(rows.cases), np.nan) for name in QUANTITY_NAMES}
    offline = np.array([case.concurrency_count is None for case in rows.cases])
    for fold in dict.fromkeys(fold_of):
        here = fold_of == fold
        rest, part = _part(rows, ~here), _part(rows, here)
        rates, engines = fit(rest, roofline)
        known = replace(roofline, rates=rates, engines={item.engine: item for item in engines}, anchors=rest.anchors)
        found = predict(part.cases, known)
        output = np.log(part.measured("throughput", busy_only=False) / found.output_tokens_per_s)
        error["offline"][here] = np.where(offline[here], output, np.nan)
        error["steady"][here] = np.where(offline[here], np.nan, output)
        error["tpot"][here] = np.log(part.measured("tpot") / found.tpot_s)
        error["ttft"][here] = np.log(part.measured("ttft") / found.ttft_s)
        deviation["offline"][here] = deviation["steady"][here] = found.output_deviation
        deviation["tpot"][here], deviation["ttft"][here] = found.tpot_deviation, found.ttft_deviation
    names = tuple(engine_name(case.engine) for case in rows.cases)
    return Unseen(fold=fold_of, engine=names, error=error, deviation=deviation)


def held_out(rows: Rows, roofline: Roofline, left: Part) -> dict[Quantity, Array]:
    """Return measured over predicted of every row, each from a fit without its whole group; nan where not measured.

    An engine that was left out is predicted as one that is not known.
    """
    names = np.array([group_of(anchor, left) for anchor in rows.anchors])
    ratios: dict[Quantity, Array] = {quantity: np.full(len(names), np.nan) for quantity in QUANTITIES}
    for name in dict.fromkeys(names):
        rates, engines = fit(_part(rows, names != name), roofline)
        if left == "engine":
            engines = tuple(item for item in engines if item.engine != name)
        part = _part(rows, names == name)
        for quantity, value in predicted(part, roofline, rates, engines).items():
            ratios[quantity][names == name] = part.measured(quantity) / value
    return ratios


def bands(rows: Rows, roofline: Roofline) -> list[Band]:
    """Return the percentiles of measured over predicted for each quantity, class, and part left out, by engine too."""
    mixture = np.array([case.architecture.is_mixture for case in rows.cases])
    engine = np.array([engine_name(case.engine) for case in rows.cases])
    found: list[Band] = []
    lefts: tuple[Left, ...] = ("model", "gpu", "engine")
    for left in lefts:
        ratios = held_out(rows, roofline, left)
        for quantity in QUANTITIES:
            for kind in (False, True):
                here = (mixture == kind) & ~np.isnan(ratios[quantity])
                groups = {None: here} | {name: here & (engine == name) for name in ENGINES if left != "engine"}
                for name, rows_here in groups.items():
                    if name is None or rows_here.sum() >= MIN_BAND_ROWS:
                        found.append(
                            _band(quantity, is_mixture=kind, left=left, engine=name, ratios=ratios[quantity][rows_here])
                        )
    return found


def _band(quantity: Quantity, *, is_mixture: bool, left: Left, engine: str | None, ratios: Array) -> Band:
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return Band(
        quantity=quantity,
        is_mixture=is_mixture,
        left=left,
        engine=engine,
        low_ratio=round(float(low), 3),
        likely_ratio=round(float(middle), 3),
        high_ratio=round(float(high), 3),
        rows_count=len(ratios),
    )


def start() -> Roofline:
    """Return the roofline before any fit: the priors, and the facts."""
    rates, engines = _rates(np.log([*(PRIOR[item.name][0] for item in fields(Rates)), 1, 1, *[PREFILL_PRIOR[0]] * 3]))
    provenance = Provenance(fitted_on="nothing", rows_count=0, data_sha256="", gpus_seen=(), as_of=date.min)
    return roofline_of(
        Fitted(provenance=provenance, rates=rates, engines=engines, bands=(), likenesses=LIKENESSES, doubts=())
    )


def data_sha256() -> str:
    """Return the checksum of the measurements and of the shapes that the fit reads."""
    names = ("throughput.csv", "roofline_models.yaml", "roofline_engines.yaml", "roofline_links.yaml")
    return hashlib.sha256(b"".join((DATA / name).read_bytes() for name in names)).hexdigest()


def fitted(on: date) -> Fitted:
    """Fit and judge everything: what the file holds."""
    roofline = start()
    rows = all_rows(roofline)
    rates, engines = fit(rows, roofline)
    provenance = Provenance(
        fitted_on="throughput.csv: TensorRT-LLM performance overview, InferenceX, aiconfigurator (Apache-2.0)",
        rows_count=len(rows.cases),
        data_sha256=data_sha256(),
        gpus_seen=tuple(sorted({case.gpu.id for case in rows.cases})),
        as_of=on,
    )
    return Fitted(
        provenance=provenance,
        rates=rates,
        engines=engines,
        bands=tuple(bands(rows, roofline)),
        likenesses=LIKENESSES,
        doubts=tuple(doubts(unseen(rows, roofline))),
    )


def as_yaml(item: Fitted) -> str:
    """Return the file's text."""
    head = (
        "# Written by make fit-roofline; do not edit. Units are in the names; breakeven.catalog.roofline says what\n"
        "# each is. Bands: measured over the uncorrected roofline, 10th, 50th and 90th percentile, on rows whose\n"
        "# whole model, GPU or engine was left out. Likenesses: what errors deployments share. Doubts: where what is\n"
        "# left of the corrected one lies, in deviations ^ power, with groups of model, GPU and precision left out:\n"
        "# low to high is the narrowest range for 90 %, p10 and p90 are percentiles.\n"
    )
    lines = ["provenance:"]
    lines += [f"  {key}: {_plain(value)}" for key, value in asdict(item.provenance).items()]
    lines += ["rates:", *(f"  {key}: {value:g}" for key, value in asdict(item.rates).items())]
    lines += ["engines:", *(f"- {_flow(asdict(engine))}" for engine in item.engines)]
    lines += ["bands:", *(f"- {_flow(asdict(band))}" for band in item.bands)]
    lines += ["likenesses:", *(f"- {_flow(asdict(likeness))}" for likeness in item.likenesses)]
    lines += ["doubts:", *(f"- {_flow(asdict(doubt))}" for doubt in item.doubts)]
    return head + "\n".join(lines) + "\n"


def _flow(values: dict[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_plain(value)}" for key, value in values.items()) + "}"


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, str | tuple | list) else str(value)


def main() -> None:
    """Write the file."""
    FITTED.write_text(as_yaml(fitted(datetime.now(tz=UTC).date())), encoding="utf-8")
    print(f"wrote {FITTED}")


if __name__ == "__main__":
    main()
