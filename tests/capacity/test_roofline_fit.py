"""The fit: the bundled rates are those of the bundled data, and what was left out is predicted."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import FITTED, Fitted, load_roofline
from breakeven.sources.yaml_file import check, read_yaml

if TYPE_CHECKING:
    from types import ModuleType

SCRIPTS = Path(__file__).parents[2] / "scripts"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _script() -> ModuleType:
    _load("roofline_beliefs")
    _load("roofline_doubts")
    return _load("fit_roofline")


@cache
def _bench() -> ModuleType:
    """Return the bench, which takes the fit's script for a module."""
    _script()
    return _load("bench_capacity")


@cache
def _rows() -> tuple[Any, Any]:
    start = _script().start()
    return start, _script().all_rows(start)


def _name(script: Any, anchor: Any, left: str) -> str:
    """Return what a row is left out with; a model by its id."""
    return str(anchor.measurement.model if left == "model" else script.group_of(anchor, left))


def _unseen(left: str, name: str, quantity: str) -> list[float]:
    """Return absolute errors on one group of rows by a fit that did not see it."""
    script, (start, rows) = _script(), _rows()
    names = np.array([_name(script, anchor, left) for anchor in rows.anchors])
    rates, engines = script.fit(script._part(rows, names != name), start)
    part = script._part(rows, names == name)
    ratio = script.predicted(part, start, rates, engines)[quantity] / part.measured(quantity)
    return [abs(float(value) - 1) for value in ratio if not np.isnan(value)]


def test_the_bundled_rates_are_what_the_fit_makes_of_the_bundled_data() -> None:
    start, rows = _rows()
    rates, engines = _script().fit(rows, start)
    bundled = load_roofline()
    assert bundled.provenance.data_sha256 == _script().data_sha256(), "run make fit-roofline"
    assert bundled.provenance.rows_count == len(rows.cases)
    assert asdict(bundled.rates) == pytest.approx(asdict(rates), rel=0.02)
    for engine in engines:
        assert bundled.engines[engine.engine].step_ratio == pytest.approx(engine.step_ratio, rel=0.02)
        assert bundled.engines[engine.engine].prefill_ratio == pytest.approx(engine.prefill_ratio, rel=0.02)


@pytest.mark.parametrize(
    ("left", "name", "quantity", "median", "worst_tenth"),
    [
        ("model", "qwen3-32b", "tpot", 0.18, 0.4),
        ("model", "qwen3-32b", "ttft", 0.35, 0.7),
        ("model", "minimax-m2.5", "tpot", 0.2, 0.4),
        ("model", "llama-3.1-405b", "throughput", 0.15, 0.3),
        ("gpu", "b300-sxm", "tpot", 0.2, 0.4),
        ("gpu", "l40s", "throughput", 0.15, 0.3),
        ("lengths", "8192/1024", "tpot", 0.2, 0.5),
    ],
)
def test_what_the_fit_has_not_seen_is_predicted(
    left: str, name: str, quantity: str, median: float, worst_tenth: float
) -> None:
    errors = _unseen(left, name, quantity)
    assert len(errors) >= 20
    assert np.median(errors) < median
    assert np.quantile(errors, 0.9) < worst_tenth


def test_the_fit_returns_the_rates_that_made_the_data() -> None:
    """Measurements replaced by the roofline's own figures give its rates back, so far as data decide them."""
    script, (start, rows) = _script(), _rows()
    bundled = load_roofline()
    made = script.predicted(rows, start, bundled.rates, tuple(bundled.engines.values()))
    again = script.predicted(rows, start, *script.fit(_with(rows, made), start))
    for quantity in ("tpot", "throughput"):
        assert np.median(np.abs(again[quantity] / made[quantity] - 1)) < 0.02


def _with(rows: Any, made: dict[str, Any]) -> Any:
    anchors = []
    for i, anchor in enumerate(rows.anchors):
        row = anchor.measurement
        times = {} if row.tpot_ms is None else {"tpot_ms": made["tpot"][i] * 1e3, "ttft_ms": made["ttft"][i] * 1e3}
        anchors.append(replace(anchor, measurement=replace(row, output_tokens_per_s=made["throughput"][i], **times)))
    return replace(rows, anchors=tuple(anchors))


def test_the_file_is_what_the_script_writes() -> None:
    fitted = check(read_yaml(FITTED), Fitted)
    assert _script().as_yaml(fitted) == FITTED.read_text(encoding="utf-8")


def test_groups_left_out_are_predicted_and_their_intervals_hold_nine_rows_in_ten() -> None:
    """The targets, on groups of shape, GPU and precision: medians of errors, coverage and half-widths."""
    judged = _bench().judge()
    rows = judged.rows
    mixture = np.array([case.architecture.is_mixture for case in rows.cases])
    inferencex = np.array([row.source == "inferencex" for row in rows.measurements])
    for name, here, most in (
        ("offline", ~mixture, 0.12),
        ("offline", mixture, 0.18),
        ("tpot", inferencex, 0.12),
        ("ttft", inferencex, 0.3),
    ):
        assert np.median(judged.errors(name, here)) < most, name
    every = np.ones(len(mixture), dtype=bool)
    for name in ("offline", "steady", "tpot", "ttft"):
        inside, half = judged.coverage(name, every)
        assert 0.85 < inside < 0.95, name
        assert half < 0.35, name
    page = _bench().page(judged)
    for told in ("InferenceX, TPOT", "FP4, TPOT", "PCIe", "Worst deployments", "TPOT 16 %", "| 12 % |"):
        assert told in page


def test_the_narrowest_range_of_skewed_errors_leaves_out_their_tail() -> None:
    """Of an exponential it begins at its lowest, and is narrower than what the percentiles span."""
    _script()
    module = sys.modules["roofline_doubts"]
    values = -np.log(1 - (np.arange(4000) + 0.5) / 4000)
    low, high = module.narrowest(values, 0.3, 0.9)
    assert low < np.quantile(values, 0.01)
    assert np.mean((low <= values) & (values <= high)) == pytest.approx(0.9, abs=0.001)
    assert high - low < 0.9 * np.ptp(np.quantile(values, [0.05, 0.95]))


def test_errors_that_grow_as_a_power_of_their_deviation_show_it() -> None:
    """Each engine has a level of its own, which does not count."""
    _script()
    deviation = np.geomspace(0.1, 1, 50)
    engine = np.array(["vllm", "sglang"] * 25)
    error = np.where(engine == "vllm", 0.5, -2.0) * deviation**1.3
    assert sys.modules["roofline_doubts"].growth(error, deviation, engine) == pytest.approx(1.3)


def test_every_interval_of_the_file_lies_around_what_is_predicted() -> None:
    """So an interval is never beside its likely value, and one for nine in ten holds the one for eight."""
    for item in load_roofline().doubts:
        assert item.low_ratio <= item.p10_ratio < 0 < item.p90_ratio <= item.high_ratio
        assert item.power_ratio > 0


def test_folds_keep_groups_together() -> None:
    script, (_, rows) = _script(), _rows()
    fold_of = script.folds(rows)
    names = np.array([script.group_of(anchor, "group") for anchor in rows.anchors])
    assert all(len(set(fold_of[names == name])) == 1 for name in set(names))
    assert len(set(fold_of)) == script.FOLDS


def test_every_measured_model_has_a_shape_and_every_engine_limits() -> None:
    roofline = load_roofline()
    assert {row.model for row in load_book().measurements} <= set(roofline.architectures)
    assert set(load_book().models) <= set(roofline.architectures)
    assert set(roofline.engines) == set(roofline.limits)


def test_there_is_a_band_for_every_kind_of_case() -> None:
    roofline = load_roofline()
    for model in ("llama-3.1-8b", "gpt-oss-20b"):
        for gpu in ("h100-sxm", "mi300x"):
            for engine in ("vllm", "TensorRT-LLM 1.1", "ollama"):
                for quantity in ("throughput", "tpot", "ttft"):
                    band = roofline.band(quantity, roofline.architectures[model], load_book().gpu(gpu), engine)
                    assert 0 < band.low < band.likely < band.high
