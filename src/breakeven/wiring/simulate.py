"""Joins a trace, the catalogue and a person's question about a pool that is yet to be rented."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.capacity.estimate import Deployment, basis_of
from breakeven.errors import InputError, Problem
from breakeven.routing.policies import POLICIES
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.read import read_trace
from breakeven.wiring.capacity import MAX_GPUS, PRECISIONS
from breakeven.wiring.plan import current_date, find_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.studies.simulation import Question, Simulated

MOST_NODES: Final = 1000
_POOL: Final = re.compile(
    r"(?P<gpus>[1-9]\d{0,3})x(?P<gpu>[^:]+):(?P<model>[^:]+)(:(?P<precision>[^:]+))?(:(?P<engine>[^:]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateRequest:
    """What a person asks."""

    files: tuple[Path, ...]
    pool: str
    """A node's GPUs, model, precision and engine: ``2xH100:llama-3.3-70b:fp8:vllm``; the last two may be left out."""

    nodes: int = 1
    overflow: str | None = None
    """Whose API takes what the nodes do not."""

    policy: str = "least_busy"
    most_waiting_requests: int = 100
    most_ttft_s: float = float("inf")
    overflow_ttft_s: float = 0.6
    overflow_tpot_s: float = 0.015
    usd_per_gpu_hour: float | None = None
    seed: int = 1
    as_of: date | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    tolerate_fraction: float = 0.05
    progress: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSimulation:
    """What was simulated, in the catalogue's names, and what came out."""

    pool: str
    nodes: int
    policy: str
    overflow: str | None
    basis: str
    """Where the speed of the nodes comes from."""

    simulated: Simulated
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

    _check(request)
    book, roofline = load_book(), load_roofline()
    question = _question(request, book)
    deployment = question.deployment
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
    rows, done = 3 * max(1, trace.rows_read - trace.rows_lost), 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if request.progress is not None:
            request.progress(min(1.0, done / rows))

    found = simulate(lambda: arrivals_of(trace), question, roofline, book.rentals_of(deployment.gpu.id), told)
    return PoolSimulation(
        pool=f"{deployment.gpus}x{deployment.gpu.id}:{deployment.model.id}:{deployment.precision}:{deployment.engine}",
        nodes=request.nodes,
        policy=request.policy,
        overflow=question.overflow.prices.target if question.overflow else None,
        basis=basis_of(deployment, roofline),
        simulated=found,
        notes=(*trace.notes, *(str(problem) for problem in trace.problems)),
    )


def _question(request: SimulateRequest, book: Book) -> Question:
    """Return the question in the catalogue's terms.  Raises ``InputError``, ``UnknownNameError``."""
    from breakeven.studies.simulation import Overflow, Question

    overflow = None
    if request.overflow is not None:
        prices = find_prices(book, request.overflow)
        overflow = Overflow(prices=prices, ttft_s=request.overflow_ttft_s, tpot_s=request.overflow_tpot_s)
    return Question(
        deployment=_deployment(request.pool, book),
        nodes=request.nodes,
        policy=request.policy,
        overflow=overflow,
        most_waiting_requests=request.most_waiting_requests,
        most_ttft_s=request.most_ttft_s,
        seed=request.seed,
        usd_per_gpu_hour=request.usd_per_gpu_hour,
        on=request.as_of or current_date(),
    )


def _check(request: SimulateRequest) -> None:
    problems = []
    if not 1 <= request.nodes <= MOST_NODES:
        problems.append(Problem(where="--nodes", what=f"{request.nodes} is not between 1 and {MOST_NODES:,}."))
    if request.policy not in POLICIES:
        problems.append(Problem(where="--policy", what=f"{request.policy!r} is none of {', '.join(POLICIES)}."))
    if request.most_waiting_requests < 0:
        problems.append(Problem(where="--most-waiting", what=f"{request.most_waiting_requests} is below 0."))
    for where, value in (
        ("--most-ttft-s", request.most_ttft_s),
        ("--overflow-ttft-s", request.overflow_ttft_s),
        ("--overflow-tpot-s", request.overflow_tpot_s),
    ):
        if not value > 0:
            problems.append(Problem(where=where, what=f"{value:g} s is not above 0."))
    if request.usd_per_gpu_hour is not None and not 0 < request.usd_per_gpu_hour < float("inf"):
        problems.append(Problem(where="--usd-per-gpu-hour", what=f"{request.usd_per_gpu_hour:g} is no price."))
    if problems:
        raise InputError("This cannot be simulated.", tuple(problems))


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
