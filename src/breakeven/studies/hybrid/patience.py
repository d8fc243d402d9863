"""What it saves that some work may wait: it takes the room that the rest leaves, within a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.sizing import Staircase, enough_nodes, representative_ratios
from breakeven.capacity.waiting import waited
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.studies.verdict.token_price import patient_price, price_traffic

if TYPE_CHECKING:
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.studies.hybrid.sides import World

WAIT_HOURS: Final = 24.0
DEMANDS: Final = 9
MOST_TRIED: Final = 400
"""Numbers of nodes tried at most; beyond, every so-manieth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much of the work may wait, how long, and what the overflow asks for it over its usual price."""

    share_fraction: float
    price_ratio: float
    most_wait_count: int
    """Of windows."""


def patience_of(found: Sizing) -> Patience | None:
    """Return what may wait: as stated, else as the trace says; None where nothing may."""
    profile = found.context.workload.profile
    stated = found.question.batchable_fraction
    share = profile.batchable_fraction if stated is None else stated
    if not share or profile.times is None:
        return None
    overflow, day = found.question.overflow, found.context.day
    cheap, paid = patient_price(profile.cells, overflow, day), price_traffic(profile.cells, overflow, day)
    usual_usd = paid.plain_input_usd + paid.output_usd
    ratio = (cheap.plain_input_usd + cheap.output_usd) / usual_usd if cheap is not None and usual_usd else 1.0
    wait = round(WAIT_HOURS * SECONDS_PER_HOUR / profile.times.window_s)
    return Patience(share_fraction=share, price_ratio=min(1.0, ratio), most_wait_count=wait)


def patient_staircase(found: Sizing, world: World, patience: Patience) -> Staircase:
    """Return the expected bill against nodes when that share of every window's work may wait.

    What waits too long overflows at the price for work that can wait.
    """
    side = found.worlds[world]
    work, share = side.work, patience.share_fraction
    ratios = representative_ratios(found.ratios, DEMANDS)
    most = enough_nodes(work, ratios)
    counts = np.unique(np.linspace(0, most, min(most, MOST_TRIED) + 1).round())
    tried = [
        waited(
            work.busy_nodes * ((1 - share) * ratio),
            work.busy_nodes * (share * ratio),
            counts,
            most_wait_windows=patience.most_wait_count,
            urgent_node_hour_usd=work.node_hour_usd,
            patient_node_hour_usd=work.node_hour_usd * patience.price_ratio,
        )
        for ratio in ratios.tolist()
    ]
    overflow = np.mean([item.urgent_usd_per_hour + item.patient_usd_per_hour for item in tried], axis=0)
    every = np.arange(most + 1.0)
    return Staircase(
        nodes_usd_per_hour=every * side.node_usd_per_hour,
        overflow_usd_per_hour=np.interp(every, counts, overflow),
        fixed_usd_per_hour=side.pool_fixed_usd_per_hour,
    )
