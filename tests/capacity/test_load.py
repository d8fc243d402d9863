"""Loads, peaks and whole nodes, on windows made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from breakeven.capacity.load import load, serving_nodes, windows_of
from breakeven.capacity.memory import weights_gb
from breakeven.capacity.service import stated_service
from breakeven.records import Moments, TrafficTimes, Window

SERVICE = stated_service(output_tokens_per_s=100, basis="stated")


def _times(output_tokens_by_window: dict[int, int], *, windows: int) -> TrafficTimes:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = tuple(
        Window(
            index=index,
            moments=Moments(
                requests=1,
                input_tokens=0,
                output_tokens=tokens,
                input_output_tokens2=0.0,
                output_output_tokens2=float(tokens**2),
            ),
        )
        for index, tokens in output_tokens_by_window.items()
    )
    return TrafficTimes(
        first_at=start,
        last_at=start + timedelta(seconds=60 * windows),
        span_s=60.0 * windows,
        window_s=60.0,
        window_count=windows,
        windows=rows,
        hour_of_week_requests_per_s=(None,) * 168,
        peak_to_mean_ratio=1.0,
        burstiness_ratio=1.0,
        gap_cv_ratio=1.0,
    )


def test_a_window_with_six_thousand_tokens_keeps_one_node_of_a_hundred_per_second_busy() -> None:
    observed = load(windows_of(_times({0: 6000, 2: 12000}, windows=4)), SERVICE)
    assert list(observed.busy_nodes) == [1.0, 2.0]
    assert observed.mean_nodes == pytest.approx(0.75)


def test_quantiles_count_the_empty_windows_too() -> None:
    observed = load(windows_of(_times({0: 6000, 2: 12000}, windows=4)), SERVICE)
    assert observed.peak_nodes(0.5) == 0.0
    assert observed.peak_nodes(0.75) == 1.0
    assert observed.peak_nodes(1.0) == 2.0


def test_scale_to_zero_pays_for_whole_nodes_in_the_windows_that_need_them() -> None:
    observed = load(windows_of(_times({0: 3000, 2: 12000}, windows=4)), SERVICE)
    up, starts_per_hour = observed.started_nodes(np.array([observed.mean_nodes, 2 * observed.mean_nodes]))
    assert up == pytest.approx([(1 + 0 + 2 + 0) / 4, (1 + 0 + 4 + 0) / 4])
    assert starts_per_hour == pytest.approx([3 * 15, 5 * 15])


def test_nodes_are_whole_and_at_least_the_minimum() -> None:
    assert [serving_nodes(x) for x in (0.0, 0.2, 1.0, 1.0 + 1e-15, 1.01)] == [1, 1, 1, 1, 2]
    assert serving_nodes(0.5, min_nodes=3) == 3


def test_seventy_billion_parameters_at_16_bit_are_140_gb() -> None:
    assert weights_gb(70e9, "fp16") == pytest.approx(140)
