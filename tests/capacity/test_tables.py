"""Peaks and up-times of many draws against exact ones, on the windows of the bundled hour and on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from breakeven.capacity.load import Windows, load
from breakeven.capacity.service import Service
from breakeven.capacity.tables import LoadTables, _linear

SERVICE = Service(input_node_seconds=2e-5, output_node_seconds=4e-4, kv_node_seconds=1e-8, basis="made up")
GENERATOR = np.random.default_rng(7)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Two weeks of ten minutes with a night, bursts and lengths that change by the hour."""
    count = 2016
    rate = 1.5 + np.sin(np.arange(count) / 144 * 2 * np.pi) + GENERATOR.gamma(2, 0.2, count)
    requests = GENERATOR.poisson(rate * 600)
    isl, osl = GENERATOR.lognormal(6.5, 0.4, count), GENERATOR.lognormal(5.0, 0.5, count)
    sums = np.stack([requests * isl, requests * osl, requests * isl * osl, requests * osl**2], axis=1)
    return Windows(sums=sums, index=np.arange(count), window_count=count, window_s=600.0, span_s=count * 600.0)


def test_peaks_of_draws_are_within_a_percent_of_exact_ones(windows: Windows) -> None:
    tables = LoadTables(windows)
    into, out = GENERATOR.lognormal(0, 0.1, 200), GENERATOR.lognormal(0, 0.2, 200)
    found = tables.peak_nodes(SERVICE, quantile_fraction=0.99, input_ratio=into, output_ratio=out)
    exact = [
        load(windows, SERVICE, input_ratio=i, output_ratio=o).peak_nodes(0.99) for i, o in zip(into, out, strict=True)
    ]
    assert found == pytest.approx(exact, rel=0.01)


def test_a_few_distinct_values_are_exact(windows: Windows) -> None:
    into = np.array([0.9, 1.0, 1.15, 1.0])
    found = LoadTables(windows).peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=into, output_ratio=1.0)
    exact = [load(windows, SERVICE, input_ratio=float(ratio)).peak_nodes(0.95) for ratio in into]
    assert found == pytest.approx(exact, rel=1e-12)


def test_one_value_is_exact(windows: Windows) -> None:
    found = LoadTables(windows).peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=1.1, output_ratio=0.8)
    assert found == load(windows, SERVICE, input_ratio=1.1, output_ratio=0.8).peak_nodes(0.95)


@pytest.mark.parametrize("axis_count", [1, 2, 3])
def test_a_table_is_read_as_scipy_reads_it_to_the_last_bit(axis_count: int) -> None:
    for _ in range(20):
        axes = [np.sort(GENERATOR.normal(size=GENERATOR.integers(2, 7))) for _ in range(axis_count)]
        table = GENERATOR.normal(size=[len(axis) for axis in axes])
        asked = [np.concatenate([axis, GENERATOR.uniform(axis[0], axis[-1], 500 - len(axis))]) for axis in axes]
        expected = RegularGridInterpolator(axes, table)(np.stack(asked, axis=-1))
        assert np.array_equal(_linear(axes, table, asked), expected)


def test_answers_of_one_service_are_kept_apart_by_how_many_values_were_asked_for(windows: Windows) -> None:
    tables, draws = LoadTables(windows), np.array([0.9, 1.0, 1.15])
    one = tables.peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=1.0, output_ratio=1.0)
    some = tables.peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=draws, output_ratio=1.0)
    again = tables.peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=1.0, output_ratio=1.0)
    assert tables.peak_nodes(SERVICE, quantile_fraction=0.95, input_ratio=draws, output_ratio=1.0) is some
    assert (one, isinstance(some, np.ndarray)) == (again, True)


def test_another_question_is_not_answered_with_the_last_answer(windows: Windows) -> None:
    tables = LoadTables(windows)
    first = tables.peak_nodes(SERVICE, quantile_fraction=0.9, input_ratio=1.0, output_ratio=1.0)
    second = tables.peak_nodes(SERVICE, quantile_fraction=0.99, input_ratio=1.0, output_ratio=1.0)
    assert first < second


def test_up_times_of_draws_are_close_to_exact_ones(windows: Windows) -> None:
    tables = LoadTables(windows)
    means = GENERATOR.lognormal(1.0, 0.4, 100)
    up, starts = tables.up_nodes(SERVICE, means)
    exact_up, exact_starts = load(windows, SERVICE).started_nodes(means)
    assert up == pytest.approx(exact_up, rel=0.002)
    assert starts == pytest.approx(exact_starts, rel=0.05)
