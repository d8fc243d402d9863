"""Joins a trace, the catalogue and a person's question about a pool that is yet to be rented."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.traffic.arrivals import arrivals_of, first_arrival_s
from breakeven.traffic.flows import Flows, flows_of
from breakeven.traffic.likeness import likeness_of
from breakeven.traffic.replay import Replay
from breakeven.wiring.kept_code import keep_compiled
from breakeven.wiring.simulate_check import SimulateRequest, burst_of, check, priorities_of
from breakeven.wiring.simulate_question import asked_of
from breakeven.wiring.traffic_read import read_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from breakeven.studies.simulation import Question, Simulated, Sweep
    from breakeven.traffic.arrivals import Arrivals
    from breakeven.traffic.trace import Trace
    from breakeven.wiring.simulate_question import Asked

__all__ = ["PoolSimulation", "PoolSweep", "SimulateRequest", "run_simulation", "run_sweep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSimulation:
    """What was simulated, in the catalogue's names, and what came out."""

    pool: str
    nodes: int
    policy: str
    overflow: tuple[str, ...]
    basis: str
    """Where the speed of the nodes comes from."""

    simulated: Simulated
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSweep:
    """The same with several numbers of nodes."""

    pool: str
    policy: str
    overflow: tuple[str, ...]
    basis: str
    slo_ttft_s: float | None
    slo_tpot_s: float | None
    slo_quantile_fraction: float
    sweep: Sweep
    notes: tuple[str, ...]


def run_simulation(request: SimulateRequest) -> PoolSimulation:
    """Read the trace and run it through the pool.  Raises ``InputError`` with every problem of the question."""
    keep_compiled()
    from breakeven.studies.simulation import simulate

    with _prepared(request) as ready:
        question = ready.asked.question
        told = _counter(request, 3 * ready.requests)
        found = simulate(ready.arrivals, question, load_roofline(), ready.asked.rentals, told, spread=ready.threads.map)
    return PoolSimulation(
        pool=ready.asked.pool,
        nodes=question.nodes,
        policy=request.policy,
        overflow=tuple(api.prices.target for api in question.overflow),
        basis=ready.asked.basis,
        simulated=found,
        notes=ready.notes,
    )


def run_sweep(request: SimulateRequest) -> PoolSweep:
    """Run a trace through the pool with each of ``counts`` nodes, on all cores.  Raises as ``run_simulation`` does."""
    keep_compiled()
    from breakeven.studies.simulation import sweep

    with _prepared(request) as ready:
        question = ready.asked.question
        told = _counter(request, 3 * len(request.counts) * ready.requests)
        questions = [replace(question, nodes=nodes) for nodes in request.counts]
        found = sweep(ready.arrivals, questions, load_roofline(), ready.asked.rentals, told, spread=ready.threads.map)
    return PoolSweep(
        pool=ready.asked.pool,
        policy=request.policy,
        overflow=tuple(api.prices.target for api in question.overflow),
        basis=ready.asked.basis,
        slo_ttft_s=request.slo_ttft_s,
        slo_tpot_s=request.slo_tpot_s,
        slo_quantile_fraction=request.slo_quantile_fraction,
        sweep=found,
        notes=ready.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A question with its requests, which begin anew at each call."""

    asked: Asked
    arrivals: Callable[[], Iterable[Arrivals]]
    requests: int
    notes: tuple[str, ...]
    threads: ThreadPoolExecutor


@contextmanager
def _prepared(request: SimulateRequest) -> Iterator[_Prepared]:
    check(request)
    asked = asked_of(request, load_book(), load_roofline())
    trace = read_traffic(
        request.files, columns=request.columns, zone=request.zone, tolerate_fraction=request.tolerate_fraction
    )
    problems = tuple(str(problem) for problem in trace.problems)
    question = _of_trace(asked.question, trace, request)
    with _requests(request, trace, question) as (arrivals, count, notes), ThreadPoolExecutor(os.cpu_count()) as threads:
        yield _Prepared(
            asked=replace(asked, question=question),
            arrivals=arrivals,
            requests=max(1, count),
            notes=(*_cache_notes(question), *_line_notes(question), *notes, *trace.notes, *problems),
            threads=threads,
        )


def _makes_up(request: SimulateRequest, trace: Trace) -> bool:
    """Whether requests are made up: of windows, and where another volume or burst is asked for."""
    return trace.kind != "trace" or request.burst is not None or request.scale_ratio != 1


@contextmanager
def _requests(
    request: SimulateRequest, trace: Trace, question: Question
) -> Iterator[tuple[Callable[[], Iterable[Arrivals]], int, tuple[str, ...]]]:
    """Yield the requests, how many they are, and what is to be said of them.

    Those of a trace are sorted once and kept in a file until the simulations are done; others are made up anew for each
    simulation, the same ones each time.
    """
    if not _makes_up(request, trace):
        flows = Flows(question.line.flows, priorities_of(request.key_priorities)) if question.line else None
        with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
            yield Replay(arrivals_of(trace, flows), Path(folder)), trace.rows_read - trace.rows_lost, ()
        return
    likeness = likeness_of(trace, seed=request.seed).scaled(request.scale_ratio)
    if request.burst is not None:
        likeness = likeness.with_burst(burst_of(request.burst))
    yield likeness.arrivals(request.seed), int(likeness.counted.requests.sum()), likeness.notes


def _counter(request: SimulateRequest, rows: int) -> Callable[[int], None]:
    """Return what is told of requests done, by several threads, and tells the share of all."""
    done, lock = 0, Lock()

    def told(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            if request.progress is not None:
                request.progress(min(1.0, done / rows))

    return told


def _of_trace(question: Question, trace: Trace, request: SimulateRequest) -> Question:
    """Return the question with what the trace says beside its requests; made-up ones share no blocks and no keys.

    Raises ``InputError`` for priorities of keys that no request has.
    """
    goes_by_time = question.upkeep.week_nodes or any(question.hours) or question.budget_day_usd < inf
    begins = datetime.fromtimestamp(first_arrival_s(trace), UTC) if goes_by_time else None
    if _makes_up(request, trace):
        if request.key_priorities:
            raise InputError(
                "--key-priority: the requests are made up, and none of them has a key, so that it would change "
                "nothing. Leave it out, or simulate a log of requests with a key each, without --scale and --burst."
            )
        return replace(question, begins=begins)
    line = question.line
    if line is not None:
        line = replace(line, flows=flows_of(trace, priorities_of(request.key_priorities)).flows)
    return replace(question, block_tokens=trace.block_tokens, begins=begins, line=line)


def _line_notes(question: Question) -> list[str]:
    """Say where nobody waits before or beside others."""
    if question.line is None or len(question.line.flows) > 1:
        return []
    return ["All requests are of one key and one priority: they wait in line first come, first served."]


def _cache_notes(question: Question) -> list[str]:
    """Say how prefixes were found, where that is not what the trace says of each request."""
    if question.prefix_hit_fraction is not None:
        return [f"Nodes find {question.prefix_hit_fraction:.0%} of every prompt in their caches, as stated."]
    if question.block_tokens is not None:
        return [f"Nodes cache the trace's blocks of {question.block_tokens} tokens, in the room that requests leave."]
    return []
