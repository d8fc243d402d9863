"""Requests a second of the simulator on one core, and how a closed loop in it compares with measured ones.

Speed: a million requests with the lengths of Azure's chat trace, on 8 nodes and on one; arrivals are a Poisson process
at loads from light to heavy.  Compiling is not in the times; ``--requests N`` takes another number, and tells the
memory that it took.  Measured: InferenceX's sweeps in the catalogue, by ``simulated_loops.py``.
Run by ``make bench-simulate``.  It reports; nothing is asserted.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.wiring.kept_code import keep_compiled

keep_compiled()

from simulated_loops import compare  # noqa: E402 - numba keeps what is imported from here on

from breakeven.capacity.estimate import Deployment  # noqa: E402 - likewise
from breakeven.capacity.fleet import POLICY_NAMES, Demand, Rules  # noqa: E402 - likewise
from breakeven.capacity.pace import pace_of  # noqa: E402 - likewise
from breakeven.capacity.simulate import Details, Simulation  # noqa: E402 - likewise
from breakeven.sources.catalogue import load_book  # noqa: E402 - likewise
from breakeven.sources.roofline import load_roofline  # noqa: E402 - likewise
from breakeven.traffic.arrivals import arrivals_of  # noqa: E402 - likewise
from breakeven.traffic.read import read_trace  # noqa: E402 - likewise
from breakeven.traffic.sample import sample_path  # noqa: E402 - likewise

if TYPE_CHECKING:
    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome

    Lengths = list[np.ndarray[tuple[int], np.dtype[np.int64]]]

NODES: Final = 8
BATCH: Final = 200_000
RATES: Final = (10.0, 20.0, 40.0, 60.0)
"""Requests a second, of all nodes."""

LINE_RATE: Final = 100.0
FLOWS: Final = 30
LEAST_BUSY: Final = Rules(POLICY_NAMES.index("least_busy"), 1 << 60, np.inf)
IN_LINE: Final = Rules(POLICY_NAMES.index("overflow"), 4, np.inf, 1.0, 0.8, line_requests=1000, line_longest_s=30.0)

VIDUR_REQUESTS_PER_S: Final = 1170.0
"""Its own event loop with a constant-time predictor and metrics off, these lengths, one replica."""


def main() -> int:
    """Print CPU seconds and requests a second by load, then the closed loops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    count = parser.parse_args().requests
    book, roofline = load_book(), load_roofline()
    node = Deployment(model=book.model("llama-3.3-70b"), gpu=book.gpu("H100"), gpus=2, precision="fp8", engine="vllm")
    pace = pace_of(node, roofline)
    trace = list(arrivals_of(read_trace([sample_path()])))
    lengths = [np.concatenate([getattr(batch, name) for batch in trace]) for name in ("input_tokens", "output_tokens")]
    _simulated(pace, lengths, NODES, RATES[0], 1000)
    print(f"{count:,} requests, mean {lengths[0].mean():,.0f} in and {lengths[1].mean():,.0f} out")
    print(
        "nodes   a second   CPU s   simulated a second   over Vidur   nodes busy   in use   TTFT p50   ms a token p50"
    )
    rates = RATES if count <= 1_000_000 else RATES[2:3]
    for nodes, rate in [*((NODES, rate) for rate in rates), *([(1, rates[0] / 2)] if count <= 1_000_000 else [])]:
        began_s = time.process_time()
        outcome, span_s = _simulated(pace, lengths, nodes, rate, count)
        spent_s = time.process_time() - began_s
        busy, used = (seconds.sum() / (nodes * span_s) for seconds in (outcome.busy_s, outcome.used_s))
        times = f"{outcome.pool_ttft.quantile_s(0.5):8.3f}   {1000 * outcome.pool_tpot.quantile_s(0.5):14.1f}"
        ours = count / spent_s
        over = f"{ours:18,.0f}   {ours / VIDUR_REQUESTS_PER_S:10,.0f}"
        print(f"{nodes:5}   {rate:8g}   {spent_s:5.2f}   {over}   {busy:10.0%}   {used:6.0%}   {times}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if count <= 1_000_000:
        _tell_line(pace, lengths, count)
    print(f"peak memory of the process: {peak_mb:,.0f} MB")
    if count <= 1_000_000:
        compare(book, roofline)
    return 0


def _tell_line(pace: Pace, lengths: Lengths, count: int) -> None:
    """Print what requests take that wait in the gateway's line: a third more of them than the nodes can do."""
    _simulated(pace, lengths, NODES, LINE_RATE, 1000, rules=IN_LINE)
    began_s = time.process_time()
    outcome, _ = _simulated(pace, lengths, NODES, LINE_RATE, count, rules=IN_LINE)
    spent_s = time.process_time() - began_s
    print(
        f"in line, {FLOWS} flows of 3 priorities, {LINE_RATE:g} a second: {spent_s:.2f} CPU s, "
        f"{outcome.rejected_requests / count:.0%} turned away"
    )


def _simulated(
    pace: Pace, lengths: Lengths, nodes: int, rate: float, count: int, *, rules: Rules = LEAST_BUSY
) -> tuple[Outcome, float]:
    """Run so many requests; return what came out and how long they lasted."""
    chance = np.random.Generator(np.random.PCG64(1))
    details = Details(priorities=tuple(sorted(flow % 3 for flow in range(FLOWS))))
    simulation = Simulation(pace, nodes, rules, span_s=count / rate, details=details)
    at_s = 0.0
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        arrived_s = at_s + np.cumsum(chance.exponential(1 / rate, size))
        at_s = float(arrived_s[-1])
        picked = chance.integers(0, len(lengths[0]), size)
        simulation.feed(
            Demand(
                arrived_s=arrived_s,
                prompt=np.maximum(lengths[0][picked], 1),
                output=np.maximum(lengths[1][picked], 1),
                cached=np.zeros(size, dtype=np.int64),
                uniform=chance.random(size),
                api_usd=np.zeros((size, 0)),
                flow=picked % FLOWS if rules.line_requests else np.zeros(0, dtype=np.int64),
            )
        )
    return simulation.outcome(), at_s


if __name__ == "__main__":
    sys.exit(main())
