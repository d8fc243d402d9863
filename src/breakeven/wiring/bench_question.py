"""What a person asks of ``breakeven bench``, checked: which endpoint, which load, which hardware."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, product
from math import inf, isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.bench.load import Asked
from breakeven.bench.prompts import MOST_PROMPT_TOKENS
from breakeven.errors import InputError, Problem
from breakeven.settings.address import read_address
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.read import read_trace
from breakeven.wiring.pool_text import deployment_of, is_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from breakeven.bench.sweep import Glance
    from breakeven.catalog.book import Book
    from breakeven.traffic.arrivals import Arrivals

MOST_STREAMS: Final = 16_384
MOST_STEPS: Final = 32
"""Levels that can be named in one call."""

_ADDED: Final = "/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What is asked, as it is written."""

    url: str
    model: str
    trace: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    isl_tokens: tuple[int, ...] = (512,)
    osl_tokens: tuple[int, ...] = (128,)
    spread_fraction: float = 0.0
    """Lengths lie evenly within this share of those."""

    shared_tokens: int = 0
    """Of the beginning that all prompts have in common."""

    concurrencies: tuple[int, ...] = ()
    """Levels of a closed loop; empty: from 1 on, doubling, to the knee."""

    rates: tuple[float, ...] = ()
    """Requests a second of open loops."""

    speedup_ratio: float | None = None
    """The trace's own times, that many times as fast; None: only its lengths."""

    slo_ttft_ms: float | None = None
    slo_tpot_ms: float | None = None
    slo_share_fraction: float = 0.95
    usd_per_hour: float | None = None
    pool: str | None = None
    engine: str | None = None
    key: str | None = None
    ca_file: Path | None = None
    level_s: float = 30.0
    narrow_fraction: float = 0.03
    most_requests: int = 10_000
    most_s: float = 600.0
    silent_s: float = 120.0
    seed: int = 1
    progress: Callable[[Glance], None] | None = None
    notice: Callable[[str], None] | None = None
    """Told, before anything but the probes is sent, how much may be."""


class Hardware(NamedTuple):
    """What stands behind the endpoint, as told."""

    name: str
    model: str
    engine: str
    gpu: str | None
    gpus: int
    precision: str | None


class Pairs(NamedTuple):
    """Lengths of requests to be drawn from, and the times of those that have any; arrays of shape (n,)."""

    at_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    input_tokens: np.ndarray[tuple[int], np.dtype[np.int64]]
    output_tokens: np.ndarray[tuple[int], np.dtype[np.int64]]


def check_request(request: BenchRequest) -> None:
    """Raise ``InputError`` with everything that is wrong with the numbers and the URL."""
    problems = [*_wrong_numbers(request), *_wrong_lists(request), *_wrong_together(request)]
    if wrong := _wrong_url(request.url):
        problems.insert(0, Problem(where="URL", what=f"{wrong[:1].upper()}{wrong[1:]}."))
    if not request.model.strip():
        problems.append(Problem(where="--model", what="it is empty.", fix="GET URL/models lists the names it knows."))
    if problems:
        raise InputError("This cannot be measured.", tuple(problems))


def hardware_of(request: BenchRequest, book: Book) -> Hardware:
    """Return what ``--pool`` names: GPUs that the catalogue knows, or anything else under its own name.

    Raises ``InputError``, ``UnknownNameError``.
    """
    text = request.pool or "this endpoint"
    if not is_pool(text):
        return Hardware(text, request.model, request.engine or "unknown", None, 1, None)
    node = deployment_of(text, book, engine=request.engine)
    return Hardware(f"{node.gpus}x{node.gpu.id}", node.model.id, node.engine, node.gpu.id, node.gpus, node.precision)


def pairs_of(request: BenchRequest) -> Pairs | None:
    """Return the lengths and times of the trace's first requests; None without a trace.  Raises ``InputError``."""
    if request.trace is None:
        return None
    trace = read_trace((request.trace,), mapping=dict(request.columns) or None)
    if trace.kind != "trace":
        raise InputError(
            f"{trace.source} holds totals, and a load needs the lengths of each request. "
            "Give a log with one row a request, or lengths with --isl and --osl."
        )
    first: Arrivals | None = next(iter(arrivals_of(trace)), None)
    if first is None:
        raise InputError(f"{trace.source} has no requests.")
    usable = (first.input_tokens > 0) & (first.output_tokens > 0) & (first.input_tokens <= MOST_PROMPT_TOKENS)
    if not usable.any():
        raise InputError(f"{trace.source} has no request with both input and output, so there is nothing to send.")
    return Pairs(first.at_s[usable], first.input_tokens[usable], first.output_tokens[usable])


def drawn_from(pairs: Pairs, chance: np.random.Generator) -> Iterator[Asked]:
    """Yield lengths of requests of the trace, drawn at random, without end."""
    while True:
        at = int(chance.integers(0, len(pairs.input_tokens)))
        yield Asked(int(pairs.input_tokens[at]), int(pairs.output_tokens[at]))


def in_order(pairs: Pairs) -> Iterator[Asked]:
    """Yield lengths of requests in the trace's order."""
    for isl, osl in zip(pairs.input_tokens.tolist(), pairs.output_tokens.tolist(), strict=True):
        yield Asked(isl, osl)


def spread_around(asked: Asked, fraction: float, chance: np.random.Generator) -> Iterator[Asked]:
    """Yield lengths that lie evenly within that share of some, without end."""
    while True:
        one, other = (1 + fraction * chance.uniform(-1, 1, 2)).tolist() if fraction else (1.0, 1.0)
        yield Asked(max(1, round(one * asked.input_tokens)), max(1, round(other * asked.output_tokens)))


def poisson(rate: float, chance: np.random.Generator) -> Iterator[float]:
    """Yield times at which requests come by chance, so many a second, without end."""
    at_s = 0.0
    while True:
        at_s += float(chance.exponential(1 / rate))
        yield at_s


def all_lengths(request: BenchRequest) -> list[Asked]:
    """Return every pair of the lengths that were named."""
    return [Asked(isl, osl) for isl, osl in product(request.isl_tokens, request.osl_tokens)]


def ladder(most: int) -> Iterator[int]:
    """Yield 1, 2, 4 and so on, and the most that there may be."""
    for power in count():
        if 2**power >= most:
            yield most
            return
        yield 2**power


def _wrong_numbers(request: BenchRequest) -> list[Problem]:
    above = {
        "--seconds": request.level_s,
        "--max-seconds": request.most_s,
        "--timeout-s": request.silent_s,
        "--speedup": request.speedup_ratio,
        "--slo-ttft-ms": request.slo_ttft_ms,
        "--slo-tpot-ms": request.slo_tpot_ms,
        "--usd-per-hour": request.usd_per_hour,
    }
    problems = [
        Problem(where=where, what=f"{value:g} is not a number above 0.")
        for where, value in above.items()
        if value is not None and not 0 < value < inf
    ]
    shares = {"--spread": request.spread_fraction, "--narrow": request.narrow_fraction}
    problems += [
        Problem(where=where, what=f"{value:g} is not a share of 0 or more and below 1.")
        for where, value in shares.items()
        if not 0 <= value < 1
    ]
    if not 0 < request.slo_share_fraction <= 1:
        problems.append(
            Problem(where="--slo-share", what=f"{request.slo_share_fraction:g} is not above 0 and up to 1.")
        )
    if request.most_requests < 1:
        problems.append(Problem(where="--max-requests", what=f"{request.most_requests} is not 1 or more."))
    if not 0 <= request.shared_tokens <= MOST_PROMPT_TOKENS:
        problems.append(Problem(where="--shared-prefix", what=f"{request.shared_tokens} is no length of a prompt."))
    return problems


def _wrong_lists(request: BenchRequest) -> list[Problem]:
    lists: tuple[tuple[str, Sequence[float], float], ...] = (
        ("--isl", request.isl_tokens, MOST_PROMPT_TOKENS),
        ("--osl", request.osl_tokens, MOST_PROMPT_TOKENS),
        ("--concurrency", request.concurrencies, MOST_STREAMS),
        ("--rate", request.rates, 100_000),
    )
    problems = [
        Problem(where=where, what=f"{value:g} is not above 0 and up to {most:,}.")
        for where, values, most in lists
        for value in values
        if not (isfinite(value) and 0 < value <= most)
    ]
    problems += [
        Problem(where=where, what=f"{len(values)} values are more than the {MOST_STEPS} that one call takes.")
        for where, values, _ in lists
        if len(values) > MOST_STEPS
    ]
    return problems


def _wrong_together(request: BenchRequest) -> list[Problem]:
    problems = []
    if request.rates and request.concurrencies:
        what = "--rate sends at a rate, --concurrency keeps so many streams open: one of the two."
        problems.append(Problem(where="--rate", what=what))
    if request.speedup_ratio is not None and (request.trace is None or request.rates or request.concurrencies):
        what = "it goes with --trace and without --rate and --concurrency: it sends at the trace's own times."
        problems.append(Problem(where="--speedup", what=what))
    return problems


def _wrong_url(url: str) -> str:
    try:
        path = read_address(url).path
    except ValueError as error:
        return str(error)
    return f"leave {_ADDED} out: it is added" if path.endswith(_ADDED) else ""
