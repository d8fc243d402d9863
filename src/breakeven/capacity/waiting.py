"""Work that may wait, in the troughs of work that may not: what a pool of so many nodes then leaves to the overflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from breakeven.quantities import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What overflowed, by number of nodes: means over all windows, in nodes busy; arrays of shape (m,)."""

    urgent_nodes: Array
    patient_nodes: Array
    urgent_usd_per_hour: Array
    patient_usd_per_hour: Array


def waited(
    urgent: Array,
    patient: Array,
    nodes: Array,
    *,
    most_wait_windows: int,
    urgent_node_hour_usd: Array,
    patient_node_hour_usd: Array,
) -> Waited:
    """Return what overflows when patient work takes the room that urgent work leaves.

    ``urgent`` and ``patient`` are work by window in nodes, ``nodes`` the numbers of nodes tried.  First come, first
    served: with A(t) the patient work that came and C(t) what is done with by window t,
    served = min(room, A(t) - C(t)), and what came before window t - most_wait_windows and is not done overflows at
    the price of window t.  So it never waits longer, and never runs before it came.  What still waits at the end is
    served or overflows as those before it, in the room of the first windows: the time is taken as a cycle.
    """
    if most_wait_windows < 0:
        raise ValueError(f"work waits for 0 windows or more, got {most_wait_windows}")
    count = len(urgent)
    room = np.maximum(nodes[None, :] - urgent[:, None], 0.0)
    over = np.maximum(urgent[:, None] - nodes[None, :], 0.0)
    came = np.concatenate([[0.0], np.cumsum(np.concatenate([patient, np.zeros(count)]))])
    done = np.zeros(len(nodes))
    missed, missed_usd = np.zeros(len(nodes)), np.zeros(len(nodes))
    left = room.copy()
    for step in range(count + min(most_wait_windows, count)):
        window = step % count
        served = np.minimum(left[window], came[step + 1] - done)
        left[window] -= served
        done = done + served
        late = np.maximum(came[max(0, step + 1 - most_wait_windows)] - done, 0.0)
        done = done + late
        missed += late
        missed_usd += late * patient_node_hour_usd[window]
    late = came[-1] - done
    missed += late
    missed_usd += late * (patient_node_hour_usd[-1] if count else 0.0)
    return Waited(
        urgent_nodes=over.mean(axis=0),
        patient_nodes=missed / count,
        urgent_usd_per_hour=(over * urgent_node_hour_usd[:, None]).mean(axis=0),
        patient_usd_per_hour=missed_usd / count,
    )


def levelled(urgent: Array, patient: Array, *, most_wait_windows: int) -> float:
    """Return the fewest nodes, not rounded, that serve all of it when patient work may wait so many windows.

    By bisection between the mean of all work and the peak without waiting.
    """
    low, high = float((urgent + patient).mean()), float((urgent + patient).max())
    ones = np.ones(len(urgent))
    for _ in range(50):
        middle = (low + high) / 2
        found = waited(
            urgent,
            patient,
            np.array([middle]),
            most_wait_windows=most_wait_windows,
            urgent_node_hour_usd=ones,
            patient_node_hour_usd=ones,
        )
        overflows = found.urgent_nodes[0] + found.patient_nodes[0] > 1e-9 * (low + high)
        low, high = (middle, high) if overflows else (low, middle)
    return high
