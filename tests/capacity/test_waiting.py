"""Work that may wait: it fills troughs, never runs before it came, and overflows when it has waited too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.capacity.waiting import Waited, levelled, waited

if TYPE_CHECKING:
    from breakeven.quantities import Array


def _waited(urgent: Array, patient: Array, nodes: list[float], wait: int) -> Waited:
    ones = np.ones(len(urgent))
    return waited(
        urgent,
        patient,
        np.array(nodes),
        most_wait_windows=wait,
        urgent_node_hour_usd=ones * 10,
        patient_node_hour_usd=ones * 5,
    )


def test_patient_work_takes_the_room_that_the_night_leaves() -> None:
    urgent = np.array([4.0] * 12 + [0.0] * 12)
    patient = np.array([2.0] * 12 + [0.0] * 12)
    assert levelled(urgent, patient, most_wait_windows=24) == pytest.approx(4, abs=1e-6)
    assert levelled(urgent, patient, most_wait_windows=0) == pytest.approx(6, abs=1e-6)
    found = _waited(urgent, patient, [4.0], 24)
    assert found.patient_nodes[0] == pytest.approx(0)
    assert found.urgent_nodes[0] == pytest.approx(0)


def test_waiting_lowers_the_peak_the_longer_it_may() -> None:
    hours = np.arange(168)
    load = 5 + 4 * np.sin(2 * np.pi * hours / 24)
    peaks = [levelled(load * 0.7, load * 0.3, most_wait_windows=wait) for wait in (0, 3, 8, 24)]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] == pytest.approx(9)
    assert peaks[-1] < 0.75 * peaks[0]


def test_what_waited_too_long_overflows_at_its_own_price() -> None:
    urgent = np.array([1.0] * 10)
    patient = np.array([1.0] + [0.0] * 9)
    found = _waited(urgent, patient, [0.0, 1.0, 1.25, 2.0], 2)
    assert found.patient_nodes == pytest.approx([0.1, 0.1, 0.025, 0.0])
    assert found.patient_usd_per_hour == pytest.approx([0.5, 0.5, 0.125, 0.0])
    assert found.urgent_nodes == pytest.approx([1, 0, 0, 0])
    assert found.urgent_usd_per_hour == pytest.approx([10, 0, 0, 0])


def test_work_of_the_last_windows_is_served_in_the_first() -> None:
    urgent = np.array([0.0, 1.0, 1.0])
    patient = np.array([0.0, 0.0, 1.0])
    assert _waited(urgent, patient, [1.0], 1).patient_nodes[0] == pytest.approx(0)
    assert _waited(urgent, patient, [1.0], 0).patient_nodes[0] == pytest.approx(1 / 3)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=2, max_size=30), st.integers(0, 10), st.floats(0, 8)
)
def test_no_more_is_served_than_fits_and_waiting_never_hurts(
    loads: list[tuple[float, float]], wait: int, nodes: float
) -> None:
    urgent, patient = np.array(loads).T
    found = _waited(urgent, patient, [nodes], wait)
    over = float(found.urgent_nodes[0] + found.patient_nodes[0])
    total = float((urgent + patient).mean())
    assert over >= total - nodes - 1e-9
    assert found.urgent_nodes[0] == pytest.approx(np.maximum(urgent - nodes, 0).mean(), abs=1e-9)
    assert -1e-9 <= found.patient_nodes[0] <= patient.mean() + 1e-9
    at_once = _waited(urgent, patient, [nodes], 0)
    assert found.patient_nodes[0] <= at_once.patient_nodes[0] + 1e-9


def test_a_wait_below_none_is_refused() -> None:
    with pytest.raises(ValueError, match="waits for 0 windows"):
        _waited(np.ones(2), np.ones(2), [1.0], -1)
