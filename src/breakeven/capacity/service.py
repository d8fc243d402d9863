"""The work of a request on a node, fitted to measured throughput at several lengths.

A node at saturation spends a * i + b * o + c * o * (i + o/2) node-seconds on a request with i
input and o output tokens: prefill, decode, and reading the KV cache that grows from i to i + o.
It is linear in the sums that a profile keeps, so capacity follows over the *joint* distribution
of lengths.  It says nothing about latency.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.hardware import Measurement
    from breakeven.quantities import Number

MIN_POINTS = 4
"""Lengths a fit needs: three coefficients and something left to err against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Node-seconds of a request: by input token, by output token, and by product of lengths.

    ``fit_error_fraction`` is the median error of the fit on its own points; None for a stated
    throughput, which has no points.
    """

    input_node_seconds: float
    output_node_seconds: float
    kv_node_seconds: float
    basis: str
    fit_error_fraction: float | None = None

    def node_seconds(
        self,
        *,
        input_tokens: Number,
        output_tokens: Number,
        input_output_tokens2: Number,
        output_output_tokens2: Number,
    ) -> Number:
        """Return the work of requests from their sums (see ``records.Moments``)."""
        return (
            self.input_node_seconds * input_tokens
            + self.output_node_seconds * output_tokens
            + self.kv_node_seconds * (input_output_tokens2 + output_output_tokens2 / 2)
        )

    def output_tokens_per_s(self, isl_tokens: float, osl_tokens: float) -> float:
        """Return the output throughput at fixed lengths, to set beside the measurements."""
        work = (
            self.input_node_seconds * isl_tokens
            + self.output_node_seconds * osl_tokens
            + self.kv_node_seconds * osl_tokens * (isl_tokens + osl_tokens / 2)
        )
        return osl_tokens / work

    def replicated(self, count: int) -> Service:
        """Return the service of a node that holds ``count`` such replicas."""
        return Service(
            input_node_seconds=self.input_node_seconds / count,
            output_node_seconds=self.output_node_seconds / count,
            kv_node_seconds=self.kv_node_seconds / count,
            basis=self.basis,
            fit_error_fraction=self.fit_error_fraction,
        )


def stated_service(
    *, output_tokens_per_s: float | None = None, total_tokens_per_s: float | None = None, basis: str
) -> Service:
    """Return the service of a plain stated throughput, of output tokens or of all tokens.

    Exactly one must be given; which of the two a bare "tok/s" means is a factor of four at 3:1.
    """
    if (output_tokens_per_s is None) == (total_tokens_per_s is None):
        raise ValueError("state the throughput either in output tokens/s or in total tokens/s")
    if output_tokens_per_s is not None:
        return Service(
            input_node_seconds=0.0,
            output_node_seconds=1 / output_tokens_per_s,
            kv_node_seconds=0.0,
            basis=basis,
        )
    assert total_tokens_per_s is not None
    each = 1 / total_tokens_per_s
    return Service(input_node_seconds=each, output_node_seconds=each, kv_node_seconds=0.0, basis=basis)


def fit_service(points: Sequence[Measurement], *, basis: str) -> Service:
    """Fit the three coefficients, none negative, to relative errors of the measured points.

    The best of the seven subsets of coefficients by least squares: exact for three, and free of a
    solver.  Raises ``ValueError`` with fewer than ``MIN_POINTS`` points.
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"a service needs {MIN_POINTS} measured lengths, got {len(points)}")
    isl = np.array([p.isl_tokens for p in points], dtype=float)
    osl = np.array([p.osl_tokens for p in points], dtype=float)
    seconds = osl / np.array([p.output_tokens_per_s for p in points])
    terms = np.stack([isl, osl, osl * (isl + osl / 2)], axis=1) / seconds[:, None]
    best, best_error = np.zeros(3), np.inf
    for size in (1, 2, 3):
        for chosen in combinations(range(3), size):
            solution = np.linalg.lstsq(terms[:, chosen], np.ones(len(points)), rcond=None)[0]
            error = float(np.sum((terms[:, chosen] @ solution - 1) ** 2))
            if (solution >= 0).all() and error < best_error:
                best, best_error = np.zeros(3), error
                best[list(chosen)] = solution
    return Service(
        input_node_seconds=float(best[0]),
        output_node_seconds=float(best[1]),
        kv_node_seconds=float(best[2]),
        basis=basis,
        fit_error_fraction=float(np.median(np.abs(terms @ best - 1))),
    )
