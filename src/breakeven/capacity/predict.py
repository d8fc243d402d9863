"""How fast cases are, with what measurements of alike deployments correct, and intervals of doubt."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from breakeven.capacity.likeness import expected_errors
from breakeven.capacity.roofline import Case, speed, work_of
from breakeven.catalog.roofline import engine_name
from breakeven.quantities import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.roofline import Doubt, Roofline

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Figure = Literal["ttft", "tpot", "throughput"]
Width = Literal[80, 90]

REPEAT_RATIO: Final[dict[Figure, float]] = {"throughput": 0.10, "tpot": 0.10, "ttft": 0.22}
"""By how much of a logarithm two runs of one benchmark differ at most, in nine pairs of ten of one engine version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Times in seconds and output tokens/s of the node, arrays of shape (n,), and the log deviation of each.

    ``running`` is how many requests are served at once.
    """

    ttft_s: Array
    tpot_s: Array
    output_tokens_per_s: Array
    running: Array
    ttft_deviation: Array
    tpot_deviation: Array
    output_deviation: Array


def predict(cases: Sequence[Case], roofline: Roofline, *, unseen: bool = False) -> Prediction:
    """Return the roofline's times and throughput, corrected by its anchors; ``unseen`` as in ``expected_errors``.

    Steady throughput follows from the two times, C osl / (TTFT + (osl - 1) TPOT), and so does its deviation: theirs,
    each weighing its share of a request's time.
    """
    work = work_of(cases, roofline)
    found = speed(work, roofline.rates, [roofline.engine_rates(case.engine) for case in cases])
    errors = expected_errors(cases, roofline, work=work, unseen=unseen)
    ttft = found.ttft_s * np.exp(errors.ttft)
    tpot = found.tpot_s * np.exp(errors.tpot)
    decode = (work.osl_tokens - 1) * tpot
    first = ttft / (ttft + decode)
    steady = work.asked * work.osl_tokens / (ttft + decode)
    offline = found.output_tokens_per_s * np.exp(-errors.offline)
    deviation = np.hypot(first * errors.ttft_deviation, (1 - first) * errors.tpot_deviation)
    return Prediction(
        ttft_s=ttft,
        tpot_s=tpot,
        output_tokens_per_s=np.where(work.is_offline, offline, steady),
        running=found.running,
        ttft_deviation=errors.ttft_deviation,
        tpot_deviation=errors.tpot_deviation,
        output_deviation=np.where(work.is_offline, errors.offline_deviation, deviation),
    )


def doubt_of(roofline: Roofline, figure: Figure, case: Case) -> Doubt | None:
    """Return what was judged of a figure of a case: of its engine, else of all engines; None where nothing was."""
    steady = "offline" if case.concurrency_count is None else "steady"
    quantity = steady if figure == "throughput" else figure
    judged = {item.engine: item for item in roofline.doubts if item.quantity == quantity}
    return judged.get(engine_name(case.engine), judged.get(None))


def ratio_interval(roofline: Roofline, figure: Figure, case: Case, deviation: float, width: Width = 90) -> Interval:
    """Return measured over predicted, likely 1: the narrowest range that held 90 %, or the middle 80 % (10th to 90th).

    Where nothing was judged: the ends of a normal distribution.
    """
    item = doubt_of(roofline, figure, case)
    if item is None:
        ends, spread = ((-1.645, 1.645) if width == 90 else (-1.282, 1.282)), deviation
    else:
        ends = (item.low_ratio, item.high_ratio) if width == 90 else (item.p10_ratio, item.p90_ratio)
        spread = deviation**item.power_ratio
    low, high = (float(np.exp(end * spread)) for end in ends)
    return Interval(low=low, likely=1.0, high=high)


def measured_interval(figure: Figure, values: Sequence[float]) -> Interval:
    """Return the median of measurements, and 90 % of what other runs would show: never exact."""
    ratio = float(np.exp(REPEAT_RATIO[figure]))
    return Interval(low=min(values) / ratio, likely=median(values), high=max(values) * ratio)
