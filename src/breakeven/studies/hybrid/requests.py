"""The requests that are simulated for an SLO: those of the trace, or made up where it holds only totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.errors import InputError
from breakeven.studies.hybrid.demand import work_of
from breakeven.studies.hybrid.sides import capacity_share, token_ratios
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.synthesis import Burst, Counted, around_means, fit_swing, synthesise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from breakeven.capacity.sizing import Work
    from breakeven.records import TrafficTimes
    from breakeven.studies.hybrid.demand import OverflowPrice, TokenRatios
    from breakeven.studies.hybrid.prepared import Sizing
    from breakeven.traffic.arrivals import Arrivals
    from breakeven.traffic.trace import Trace

MOST_REQUESTS: Final = 2_000_000
"""Simulated for each number of nodes: of more, every so-manieth window is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Requests to simulate, begun anew at each call, and how long they last.

    ``work`` is the same requests as the rule sees them: by window, with no queue.
    """

    arrivals: Callable[[], Iterable[Arrivals]]
    span_s: float
    work: Work
    each_node_seconds: float
    """Of a request on average, as the rule sees it."""

    price: OverflowPrice
    tokens: TokenRatios


def requests_of(found: Sizing, trace: Trace, *, seed: int = 1) -> Requests:
    """Return the requests of the trace at the median of next month's load.

    A log of requests comes faster or slower by that ratio; totals become as many requests in each window, spread
    and sized as ``synthesise`` draws them.  Beyond ``MOST_REQUESTS`` every so-manieth window of totals is taken, laid
    end to end, and only the first of a log.
    """
    times = found.context.workload.profile.times
    assert times is not None, "refused before"
    ratio = found.demand_ratio.likely
    work = seen_work(found, times).scaled(ratio)
    if trace.kind == "trace":
        total = found.context.workload.profile.moments.requests
        span_s = times.span_s / ratio * min(1.0, MOST_REQUESTS / max(1, total))
        return _requests(found, lambda: _faster(arrivals_of(trace), ratio), span_s, work)
    if not found.context.workload.profile.moments.requests:
        raise InputError(
            f"{trace.source} does not count requests, so none can be simulated for an SLO. Leave out --slo-ttft-s."
        )
    counted, kept = counted_windows(times, ratio)
    swing = fit_swing(np.array([window.moments.requests for window in times.windows]))
    burst = Burst(swing_fraction=swing)

    def arrivals() -> Iterator[Arrivals]:
        return synthesise(counted, burst, around_means, np.random.default_rng(seed))

    chosen = work.at_windows(kept)
    return _requests(found, arrivals, len(kept) * times.window_s, chosen)


def counted_windows(
    times: TrafficTimes, ratio: float, *, most_requests: int = MOST_REQUESTS
) -> tuple[Counted, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return windows of so many times the requests laid end to end, and which they are: a sample of too many."""
    total = sum(window.moments.requests for window in times.windows) * ratio
    step = max(1, int(np.ceil(total / most_requests)))
    kept = np.arange(0, times.window_count, step)
    sums = np.zeros((times.window_count, 3))
    for window in times.windows:
        seen = window.moments
        sums[window.index] = seen.requests, seen.input_tokens, seen.output_tokens
    here = sums[kept] * ratio
    requests = np.rint(here[:, 0]).astype(np.int64)
    # Whole requests at the window's own mean lengths.
    mean = np.divide(here[:, 1:], here[:, :1], out=np.zeros((len(kept), 2)), where=here[:, :1] > 0)
    counted = Counted(
        start_s=np.arange(len(kept), dtype=np.float64) * np.float64(times.window_s),
        window_s=np.full(len(kept), times.window_s),
        requests=requests,
        input_tokens=mean[:, 0] * requests,
        cached_input_tokens=np.zeros(len(kept)),
        output_tokens=mean[:, 1] * requests,
    )
    return counted, kept


def seen_work(found: Sizing, times: TrafficTimes) -> Work:
    """Return a trace's own windows, one for one, as work at the likely throughput, even where there is but an hour."""
    candidate = found.candidates[0]
    values = {key: item.likely for key, item in found.context.with_own(candidate.own).items()}
    return work_of(
        times,
        candidate.option.service,
        found.price,
        capacity_fraction=capacity_share(candidate, found.context, values, found.capacity_fraction),
        tokens=token_ratios(found.context, candidate.option.model, values),
        as_seen=True,
    )


def _faster(batches: Iterable[Arrivals], ratio: float) -> Iterator[Arrivals]:
    count = 0
    for batch in batches:
        if count >= MOST_REQUESTS:
            return
        count += len(batch.at_s)
        yield batch._replace(at_s=batch.at_s / ratio)


def _requests(found: Sizing, arrivals: Callable[[], Iterable[Arrivals]], span_s: float, work: Work) -> Requests:
    tokens = token_ratios(found.context, found.candidates[0].option.model, dict(found.context.likely()))
    each = node_seconds_each(found, tokens)
    return Requests(
        arrivals=arrivals, span_s=span_s, work=work, each_node_seconds=each, price=found.price, tokens=tokens
    )


def node_seconds_each(found: Sizing, tokens: TokenRatios) -> float:
    """Return the work of an average request of the trace by the pool's service."""
    seen = found.context.workload.profile.moments
    into, out = tokens.pool_input_ratio, tokens.pool_output_ratio
    work = found.candidates[0].option.service.node_seconds(
        input_tokens=seen.input_tokens * into,
        output_tokens=seen.output_tokens * out,
        input_output_tokens2=seen.input_output_tokens2 * into * out,
        output_output_tokens2=seen.output_output_tokens2 * out**2,
    )
    return float(work) / max(1, seen.requests)
