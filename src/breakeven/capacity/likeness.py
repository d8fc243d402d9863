"""What measurements say of the roofline where nobody measured: its errors, carried over to what is alike.

The log of measured over predicted is taken as a sum of errors that deployments share which are alike: of the same
shape, engine version, generation of GPU and so on (``Likeness`` says how large each is).  Given the measurements,
the expected error of a new case and its deviation follow as for any Gaussian process.  Near a measured deployment
its measurements decide; far from all, the roofline is left as it is and the deviation grows.
Formulas and errors: docs/model.md, Before anybody has measured.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.roofline import Case, Work, requests_that_fit, speed, work_of
from breakeven.catalog.roofline import engine_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.models import Architecture
    from breakeven.catalog.roofline import Anchor, EngineRates, Likeness, Rates, Regime, Roofline

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Key = tuple[object, ...]

NOISE_RATIO: Final[dict[Regime, float]] = {"offline": 0.1, "tpot": 0.05, "ttft": 0.12}
"""Deviation of one measurement from its deployment's own curve, as a log ratio."""

SECOND_LOOKS: Final = 3
"""How often measurements are weighed again by how far they lie from what the others say."""

LARGEST_ERROR: Final[dict[Regime, float]] = {"offline": 0.5, "tpot": 0.5, "ttft": 1.0}
"""Log errors beyond this teach no more than this: the table holds misfiled rows and cold starts."""

LENGTH_SCALES: Final[dict[Regime, tuple[float, ...]]] = {
    "offline": (1.5, 1.5, 1.5, 1.0, 3.0),
    "tpot": (1.5, 1.5, 1.5, 1.0, 0.7),
    "ttft": (1.5, 1.5, 1.5, 5.0, 1.5),
}
"""Over how much of the logarithm of load, input, output, GPUs and active parameters errors stay alike."""

_SMALL: Final = 0.01
_BY_TIME: Final[dict[str, tuple[str, ...]]] = {
    "overhead": ("step_us", "layer_us", "expert_us", "sequence_us", "collective_us", "pcie_collective_us"),
    "first": ("first_token_us",),
    "queue": ("queue_ratio", "wave_ratio"),
}
_BY_RATE: Final[dict[str, tuple[str, ...]]] = {
    "read": ("weight_read_ratio", "expert_read_ratio"),
    "compute": ("compute_16bit_ratio", "compute_8bit_ratio", "compute_4bit_ratio"),
    "kv": ("kv_read_ratio", "attention_compute_ratio"),
    "link": ("link_ratio", "pcie_link_ratio"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Expected log of measured over predicted times, and its deviation: arrays of shape (n,).

    ``offline`` is of the time of a token in a queue that never empties: of throughput it is the negative.
    """

    offline: Array
    tpot: Array
    ttft: Array
    offline_deviation: Array
    tpot_deviation: Array
    ttft_deviation: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Features:
    """What likeness is judged by: places of the smooth errors, shares of terms by regime, and traits."""

    places: Array
    shares: dict[Regime, Array]
    traits: dict[str, list[Key]]
    _joined: dict[tuple[str, ...], list[Key]] = field(default_factory=dict, repr=False, compare=False)

    def joined(self, names: tuple[str, ...]) -> list[Key]:
        """Return several traits of each case as one; kept, since what was measured is asked again and again."""
        if names not in self._joined:
            self._joined[names] = list(zip(*(self.traits[name] for name in names), strict=True))
        return self._joined[names]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """The measurements of one regime with their weights: all that a new case's expected error needs."""

    rows: _Features
    weights: Array
    inverse: Array


def case_of(anchor: Anchor) -> Case:
    """Return what was measured as a case."""
    row = anchor.measurement
    # gpt-oss exists in 4 bits only; the table keeps the label "fp8" that its source has on Hopper.
    precision = "fp4" if row.model.startswith("gpt-oss") else row.precision
    return Case(
        architecture=anchor.architecture,
        gpu=anchor.gpu,
        gpus=row.gpus,
        precision=precision,
        engine=row.engine,
        isl_tokens=row.isl_tokens,
        osl_tokens=row.osl_tokens,
        concurrency_count=row.concurrency_count,
        pipeline_stage_count=row.pipeline_stage_count,
        attention_group_count=row.attention_group_count,
        expert_group_count=row.expert_group_count,
    )


def teaches(anchor: Anchor, roofline: Roofline) -> bool:
    """Whether a measurement can be compared: no static batch, and a model that fits on the GPUs it names."""
    row = anchor.measurement
    static_batch = row.concurrency_count is not None and (row.tpot_ms is None or row.ttft_ms is None)
    return not static_batch and requests_that_fit(case_of(anchor), roofline) >= 1


def expected_errors(
    cases: Sequence[Case], roofline: Roofline, *, work: Work | None = None, unseen: bool = False
) -> Errors:
    """Return the errors of the roofline to expect of the cases, from its anchors; without anchors: none known.

    ``work`` is that of the cases, where it is known already.  ``unseen``: of each case as if nothing had been measured
    of its model's shape, GPU and precision, but for how much the other measurements count.  Of a regime that no case
    is in nothing is computed: a queue that never empties has no TTFT.
    """
    found = _features(cases, roofline, work_of(cases, roofline) if work is None else work)
    mean: dict[str, Array] = {}
    deviation: dict[str, Array] = {}
    loads = {case.concurrency_count is None for case in cases}
    for regime in NOISE_RATIO:
        mean[regime], deviation[regime] = np.zeros(len(cases)), np.full(len(cases), NOISE_RATIO[regime])
        if (regime == "offline") not in loads:
            continue
        likenesses = [item for item in roofline.likenesses if item.regime == regime]
        own = _own_variance(likenesses, found.shares[regime])
        learned = _learned(roofline, regime)
        if learned is not None:
            alike = _alike(likenesses, regime, found, learned.rows)
            mean[regime], known = _given(learned, alike, _groups(found) if unseen else None)
            own = own - known
        deviation[regime] = np.sqrt(np.maximum(own, 0) + NOISE_RATIO[regime] ** 2)
    return Errors(
        offline=mean["offline"],
        tpot=mean["tpot"],
        ttft=mean["ttft"],
        offline_deviation=deviation["offline"],
        tpot_deviation=deviation["tpot"],
        ttft_deviation=deviation["ttft"],
    )


def _groups(features: _Features) -> list[Key]:
    return features.joined(("shape", "gpu", "precision"))


def _given(learned: _Learned, alike: Array, groups: list[Key] | None) -> tuple[Array, Array]:
    """Return the mean of new errors and how much of their variance is known; of ``groups`` nothing is learned.

    Rows g leave by blocks of the inverse P: P_kk - P_kg P_gg^-1 P_gk is the inverse of what is kept, and the weights
    change alike.
    """
    if groups is None:
        return alike @ learned.weights, np.einsum("ij,ij->i", alike @ learned.inverse, alike)
    mean, known = np.zeros(len(alike)), np.zeros(len(alike))
    measured = _groups(learned.rows)
    for group in dict.fromkeys(groups):
        here = np.array([item == group for item in groups])
        gone = np.array([item == group for item in measured])
        rows = np.where(gone, 0.0, alike[here])
        mixed = rows @ learned.inverse
        mean[here], known[here] = rows @ learned.weights, np.einsum("ij,ij->i", mixed, rows)
        if gone.any():
            block = learned.inverse[np.ix_(gone, gone)]
            across = mixed[:, gone]
            mean[here] -= across @ np.linalg.solve(block, learned.weights[gone])
            known[here] -= np.einsum("ij,ij->i", across, np.linalg.solve(block, across.T).T)
    return mean, known


def shape_of(architecture: Architecture) -> Key:
    """Return what makes two models the same to a GPU, whatever their weights hold."""
    return (architecture.layers, architecture.hidden_size, architecture.query_heads, architecture.routed_experts)


@lru_cache(maxsize=12)
def _learned(roofline: Roofline, regime: Regime) -> _Learned | None:
    """Return what the anchors teach of a regime, None where none do; kept, since it takes most of a second."""
    of_regime = (a for a in roofline.anchors if (a.measurement.concurrency_count is None) == (regime == "offline"))
    anchors = [anchor for anchor in of_regime if teaches(anchor, roofline)]
    return _learn(anchors, regime, roofline) if anchors else None


def _learn(anchors: Sequence[Anchor], regime: Regime, roofline: Roofline) -> _Learned:
    cases = [case_of(anchor) for anchor in anchors]
    work = work_of(cases, roofline)
    rows = _features(cases, roofline, work)
    likenesses = [item for item in roofline.likenesses if item.regime == regime]
    found = speed(work, roofline.rates, [roofline.engine_rates(case.engine) for case in cases])
    if regime == "offline":
        error = np.log(found.output_tokens_per_s / _column(anchors, "output_tokens_per_s"))
    else:
        predicted = found.tpot_s if regime == "tpot" else found.ttft_s
        error = np.log(_column(anchors, f"{regime}_ms") / 1e3 / predicted)
    error = np.clip(error, -LARGEST_ERROR[regime], LARGEST_ERROR[regime])
    keys = [(shape_of(case.architecture), case.gpu.id, case.gpus, case.precision, case.engine) for case in cases]
    counts = Counter(keys)
    # Rows of one deployment err together, so that many of them weigh like the root of their number.
    noise = NOISE_RATIO[regime] ** 2 * np.sqrt([counts[key] for key in keys])
    alike = _alike(likenesses, regime, rows, rows)
    noise = _second_looks(alike, error, noise, NOISE_RATIO[regime])
    inverse: Array = np.linalg.inv(alike + np.diag(noise)).astype(float)
    return _Learned(rows=rows, weights=inverse @ error, inverse=inverse)


def _second_looks(alike: Array, error: Array, noise: Array, usual_ratio: float) -> Array:
    """Return the variance of each measurement's noise, greater the further it lies from what is expected of it.

    As of Student's t with one degree of freedom, by reweighting: a cold start teaches its likes next to nothing, and
    a usual measurement twice as much as with the noise of all.
    """
    found = noise
    for _ in range(SECOND_LOOKS):
        off = found * np.linalg.solve(alike + np.diag(found), error)
        found = noise * (1 + (off / usual_ratio) ** 2) / 2
    return found


def _column(anchors: Sequence[Anchor], name: str) -> Array:
    return np.array([getattr(anchor.measurement, name) for anchor in anchors], dtype=float)


def _features(cases: Sequence[Case], roofline: Roofline, work: Work) -> _Features:
    engines = [roofline.engine_rates(case.engine) for case in cases]
    columns = [
        work.running,
        [case.isl_tokens for case in cases],
        work.osl_tokens,
        [case.gpus for case in cases],
        [case.architecture.active_parameters / 1e9 for case in cases],
    ]
    places = np.log(np.array(columns, dtype=float)).T
    return _Features(places=places, shares=_shares(work, roofline.rates, engines), traits=_traits(cases))


def _traits(cases: Sequence[Case]) -> dict[str, list[Key]]:
    return {
        "shape": [shape_of(case.architecture) for case in cases],
        "gpu": [(case.gpu.id,) for case in cases],
        "generation": [(bool(case.gpu.fp4_tflops), bool(case.gpu.fp8_tflops), case.gpu.link) for case in cases],
        "gpus": [(case.gpus,) for case in cases],
        "precision": [(case.precision,) for case in cases],
        "kind": [(case.architecture.is_mixture,) for case in cases],
        "engine": [(engine_name(case.engine),) for case in cases],
        "version": [_version(case.engine) for case in cases],
        "layout": [
            (case.pipeline_stage_count > 1, case.attention_group_count > 1, case.expert_group_count > 1)
            for case in cases
        ],
    }


def same_version(asked: str, measured: str) -> bool:
    """Whether a measurement is of the engine that is asked for: of its version too, by two numbers, if one is named."""
    wanted, found = _version(asked), _version(measured)
    return wanted == found or (len(wanted) == 1 and wanted[0] == found[0])


def _version(engine: str) -> Key:
    """Return an engine's name and the first two numbers of its version: ``vllm``, ``0``, ``19`` of vLLM 0.19.1."""
    _, _, version = engine.partition(" ")
    return (engine_name(engine), *version.strip().rstrip("+").split(".")[:2])


def _shares(work: Work, rates: Rates, engines: Sequence[EngineRates]) -> dict[Regime, Array]:
    """Return by how much each term's error passes into the times: d log time / d log term, shape (n, terms)."""
    base = speed(work, rates, engines)
    columns: dict[Regime, list[Array]] = {"offline": [], "tpot": [], "ttft": []}
    slower = [(names, 1 + _SMALL) for names in _BY_TIME.values()]
    slower += [(names, 1 / (1 + _SMALL)) for names in _BY_RATE.values()]
    raised = [
        speed(work, replace(rates, **{name: getattr(rates, name) * factor for name in names}), engines)
        for names, factor in slower
    ]
    later = [replace(engine, prefill_ratio=engine.prefill_ratio * (1 + _SMALL)) for engine in engines]
    raised.append(speed(work, rates, later))
    for found in raised:
        columns["offline"].append(np.log(base.output_tokens_per_s / found.output_tokens_per_s))
        columns["tpot"].append(np.log(found.tpot_s / base.tpot_s))
        columns["ttft"].append(np.log(found.ttft_s / base.ttft_s))
    return {regime: np.stack(rows, axis=1) / np.log(1 + _SMALL) for regime, rows in columns.items()}


def _own_variance(likenesses: Sequence[Likeness], shares: Array) -> Array:
    squares = np.sum(shares**2, axis=1)
    total = np.zeros(len(shares))
    for item in likenesses:
        total = total + item.share_ratio**2 * squares + item.constant_ratio**2 + item.smooth_ratio**2
    return total


def _alike(likenesses: Sequence[Likeness], regime: Regime, one: _Features, other: _Features) -> Array:
    """Return how much of their errors each of one and each of the other share, shape (n, m)."""
    shared = one.shares[regime] @ other.shares[regime].T
    here, there = (rows.places / np.array(LENGTH_SCALES[regime]) for rows in (one, other))
    gaps = np.sum(here**2, axis=1)[:, None] + np.sum(there**2, axis=1) - 2 * here @ there.T
    near = np.exp(-np.maximum(gaps, 0) / 2)
    total = np.zeros(shared.shape)
    for item in likenesses:
        each = item.share_ratio**2 * shared + item.constant_ratio**2 + item.smooth_ratio**2 * near
        total += np.where(_same(item, one, other), each, 0.0) if item.alike else each
    return total


def _same(item: Likeness, one: _Features, other: _Features) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    left, right = one.joined(item.alike), other.joined(item.alike)
    codes = {key: code for code, key in enumerate(dict.fromkeys([*left, *right]))}
    same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        np.array([codes[key] for key in left])[:, None] == np.array([codes[key] for key in right])[None, :]
    )
    return same
