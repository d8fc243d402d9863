"""Joins a trace, the catalogue and a person's question about a pool that is yet to be rented."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from breakeven.capacity.estimate import Deployment, basis_of
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.traffic.arrivals import arrivals_of, first_arrival_s
from breakeven.traffic.read import read_trace
from breakeven.traffic.replay import Replay
from breakeven.wiring.capacity import MAX_GPUS, PRECISIONS
from breakeven.wiring.plan import current_date, find_prices
from breakeven.wiring.simulate_check import SimulateRequest, check, overflow_values, week_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.catalog.book import Book
    from breakeven.studies.simulation import Question, Simulated, Sweep, Upkeep
    from breakeven.traffic.trace import Trace

__all__ = ["PoolSimulation", "PoolSweep", "SimulateRequest", "keep_compiled", "run_simulation", "run_sweep"]

_POOL: Final = re.compile(
    r"(?P<gpus>[1-9]\d{0,3})x(?P<gpu>[^:]+):(?P<model>[^:]+)(:(?P<precision>[^:]+))?(:(?P<engine>[^:]+))?"
)


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


def keep_compiled() -> None:
    """Have numba keep what it compiles in a folder for just these sources; to be called before they are imported.

    Its own place beside each file knows only that file, and would go on with old code of the files that it calls.
    Where there is no such folder to be had, everything is compiled anew, which takes some ten seconds.
    """
    import numba

    package = Path(__file__).parents[1]
    sources = sorted([*package.glob("capacity/*.py"), *package.glob("routing/*.py")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = Path.home() / ".cache" / "breakeven" / f"compiled-{digest[:16]}"
    with suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        vars(numba.config)["CACHE_DIR"] = str(folder)


def run_simulation(request: SimulateRequest) -> PoolSimulation:
    """Read the trace and run it through the pool.  Raises ``InputError`` with every problem of the question."""
    keep_compiled()
    from breakeven.studies.simulation import simulate

    check(request)
    book, roofline = load_book(), load_roofline()
    question = _question(request, book)
    deployment = question.deployment
    trace = _trace(request)
    question = _of_trace(question, trace)
    rows = 3 * max(1, trace.rows_read - trace.rows_lost)
    with _replayed(trace) as arrivals, ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        found = simulate(
            arrivals,
            question,
            roofline,
            book.rentals_of(deployment.gpu.id),
            _counter(request, rows),
            spread=threads.map,
        )
    return PoolSimulation(
        pool=_pool_name(deployment),
        nodes=question.nodes,
        policy=request.policy,
        overflow=tuple(api.prices.target for api in question.overflow),
        basis=basis_of(deployment, roofline),
        simulated=found,
        notes=(*_cache_notes(question), *trace.notes, *(str(problem) for problem in trace.problems)),
    )


def run_sweep(request: SimulateRequest) -> PoolSweep:
    """Run a trace through the pool with each of ``counts`` nodes, on all cores.  Raises as ``run_simulation`` does."""
    keep_compiled()
    from breakeven.studies.simulation import sweep

    check(request)
    book, roofline = load_book(), load_roofline()
    question = _question(request, book)
    deployment = question.deployment
    trace = _trace(request)
    question = _of_trace(question, trace)
    rows = 3 * len(request.counts) * max(1, trace.rows_read - trace.rows_lost)
    with _replayed(trace) as arrivals, ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        found = sweep(
            arrivals,
            [replace(question, nodes=nodes) for nodes in request.counts],
            roofline,
            book.rentals_of(deployment.gpu.id),
            _counter(request, rows),
            spread=threads.map,
        )
    return PoolSweep(
        pool=_pool_name(deployment),
        policy=request.policy,
        overflow=tuple(api.prices.target for api in question.overflow),
        basis=basis_of(deployment, roofline),
        slo_ttft_s=request.slo_ttft_s,
        slo_tpot_s=request.slo_tpot_s,
        slo_quantile_fraction=request.slo_quantile_fraction,
        sweep=found,
        notes=(*_cache_notes(question), *trace.notes, *(str(problem) for problem in trace.problems)),
    )


def _trace(request: SimulateRequest) -> Trace:
    trace = read_trace(
        request.files,
        mapping=dict(request.columns) or None,
        zone=request.zone,
        tolerate_fraction=request.tolerate_fraction,
    )
    if trace.kind != "trace":
        raise InputError(
            f"{trace.source} holds totals, and a simulation needs the time and the tokens of each request. "
            "Give a log with one row a request."
        )
    return trace


@contextmanager
def _replayed(trace: Trace) -> Iterator[Replay]:
    """Yield the trace's requests, sorted once and kept in a file until the simulations are done."""
    with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
        yield Replay(arrivals_of(trace), Path(folder))


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


def _question(request: SimulateRequest, book: Book) -> Question:
    """Return the question in the catalogue's terms.  Raises ``InputError``, ``UnknownNameError``."""
    from breakeven.studies.simulation import Goal, Overflow, Question

    upkeep = _upkeep(request)
    overflow = tuple(
        Overflow(prices=find_prices(book, name), ttft_s=ttft_s, tpot_s=tpot_s, most_requests_per_s=rate)
        for name, ttft_s, tpot_s, rate in overflow_values(request)
    )
    return Question(
        deployment=_deployment(request.pool, book),
        nodes=max(upkeep.week_nodes) if upkeep.week_nodes else request.nodes,
        policy=request.policy,
        overflow=overflow,
        most_waiting_requests=request.most_waiting_requests,
        most_ttft_s=request.most_ttft_s,
        seed=request.seed,
        usd_per_gpu_hour=request.usd_per_gpu_hour,
        on=request.as_of or current_date(),
        upkeep=upkeep,
        goal=Goal(
            ttft_s=request.slo_ttft_s,
            tpot_s=request.slo_tpot_s,
            quantile_fraction=request.slo_quantile_fraction,
        ),
        prefix_hit_fraction=request.prefix_hit_fraction,
    )


def _upkeep(request: SimulateRequest) -> Upkeep:
    from breakeven.studies.simulation import Reactive, Upkeep

    reactive = None
    if request.min_nodes is not None:
        reactive = Reactive(
            min_nodes=request.min_nodes,
            waiting_requests=request.scale_waiting_requests,
            used_fraction=request.scale_used_fraction,
            up_after_s=request.scale_up_after_s,
            down_after_s=request.scale_down_after_s,
            idle_s=request.idle_s,
        )
    return Upkeep(
        start_s=request.cold_start_s,
        mtbf_s=request.mtbf_hours * SECONDS_PER_HOUR if request.mtbf_hours is not None else None,
        repair_s=request.repair_s,
        week_nodes=week_of(request.schedule) if request.schedule is not None else (),
        reactive=reactive,
    )


def _of_trace(question: Question, trace: Trace) -> Question:
    """Return the question with what the trace says beside its requests."""
    begins = datetime.fromtimestamp(first_arrival_s(trace), UTC) if question.upkeep.week_nodes else None
    return replace(question, block_tokens=trace.block_tokens, begins=begins)


def _cache_notes(question: Question) -> list[str]:
    """Say how prefixes were found, where that is not what the trace says of each request."""
    if question.prefix_hit_fraction is not None:
        return [f"Nodes find {question.prefix_hit_fraction:.0%} of every prompt in their caches, as stated."]
    if question.block_tokens is not None:
        return [f"Nodes cache the trace's blocks of {question.block_tokens} tokens, in the room that requests leave."]
    return []


def _pool_name(deployment: Deployment) -> str:
    model, precision, engine = deployment.model.id, deployment.precision, deployment.engine
    return f"{deployment.gpus}x{deployment.gpu.id}:{model}:{precision}:{engine}"


def _deployment(text: str, book: Book) -> Deployment:
    found = _POOL.fullmatch(text)
    if found is None:
        raise InputError(
            f"--pool {text[:80]!r} is not of the form GPUSxGPU:MODEL:PRECISION:ENGINE. "
            "Write, for example, 2xH100:llama-3.3-70b:fp8:vllm; the last two may be left out."
        )
    model, gpu, gpus = book.model(found["model"]), book.gpu(found["gpu"]), int(found["gpus"])
    precision = found["precision"] or model.precisions[0]
    if gpus > MAX_GPUS:
        raise InputError(f"--pool: a node has 1 to {MAX_GPUS} GPUs, not {gpus}. Say how many nodes with --nodes.")
    if precision not in PRECISIONS:
        raise InputError(f"--pool: the precision {precision!r} is none of {', '.join(PRECISIONS)}.")
    return Deployment(model=model, gpu=gpu, gpus=gpus, precision=precision, engine=found["engine"] or "vllm")
