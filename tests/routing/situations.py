"""Situations for policies, made up by Hypothesis: columns with everything that they may hold, and who was tried."""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from breakeven.routing.view import Request, Targets

INTEGERS = ("serves", "healthy", "in_flight", "queue_length", "paid", "full", "in_hours")
_BITS = st.integers(0, 1)
_LOADS = st.integers(0, 3) | st.integers(0, 200)
_NUMBERS = {
    "kv_use_fraction": st.floats(0, 1),
    "predicted_ttft_s": st.floats() | st.floats(0.1, 0.15),
    "price_usd": st.floats(min_value=0) | st.sampled_from([0.0, 0.1, 0.2, nan]),
    "weight": st.sampled_from([0.0, 1.0, 0.1, 3.7, -1.0, nan]) | st.floats(0, 1e6),
}


class Situation(NamedTuple):
    """What a policy is called with."""

    targets: Targets
    request: Request
    tried: list[int]
    uniform: float

    def candidates(self) -> list[int]:
        """Return who may be chosen at all."""
        pairs = enumerate(zip(self.targets.serves, self.tried, strict=True))
        return [index for index, (serves, tried) in pairs if serves and not tried]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    count = draw(st.integers(1, 9))

    def column(name: str) -> list[float]:
        values = _LOADS if name in ("in_flight", "queue_length") else _NUMBERS.get(name, _BITS)
        return draw(st.lists(values, min_size=count, max_size=count))

    limits = st.just(inf) | st.sampled_from([0.0, 0.05, 0.1, 10.0, 20.0])
    request = Request(
        input_tokens=draw(st.integers(0, 10_000)),
        output_tokens=draw(st.integers(0, 10_000)),
        task=0,
        prefix_hash=draw(st.just(0) | st.integers(1, 9) | st.integers(0, (1 << 63) - 1)),
        priority=0,
        deadline_s=draw(limits),
        budget_usd=draw(limits),
        attempt=0,
        most_usd=draw(limits),
    )
    tried = draw(st.lists(_BITS, min_size=count, max_size=count) | st.just([0] * count))
    uniform = draw(st.floats(0, 1, exclude_max=True))
    return Situation(Targets._make(column(name) for name in Targets._fields), request, tried, uniform)


def as_arrays(view: Targets) -> Targets:
    return Targets._make(
        np.array(column, dtype=np.int64 if name in INTEGERS else np.float64)
        for name, column in zip(Targets._fields, view, strict=True)
    )


def as_tuples(view: Targets) -> Targets:
    return Targets._make(tuple(column) for column in view)
