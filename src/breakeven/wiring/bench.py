"""Measures an endpoint: joins the question, the load and the files; event loop, clocks and chance come from here."""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np
import uvloop

from breakeven.bench.endpoint import Endpoint
from breakeven.bench.load import Bounds, Load
from breakeven.bench.probe import probe
from breakeven.bench.prompts import Measure, Prompts
from breakeven.bench.sweep import Rules, Sweep
from breakeven.bench.window import LoadAsked, Slo
from breakeven.capacity.calibration import (
    Calibration,
    Level,
    by_lengths,
    greatest_within,
    knee_of,
    usd_per_output_mtok,
)
from breakeven.errors import InputError
from breakeven.settings.address import read_address
from breakeven.settings.one_secret import read_secret
from breakeven.sources.calibration import write_calibration
from breakeven.sources.catalogue import load_book
from breakeven.upstreams.dial import Address, tls_context
from breakeven.upstreams.pool import Pool
from breakeven.wiring.bench_notes import notes_of
from breakeven.wiring.bench_question import (
    MOST_STREAMS,
    BenchRequest,
    Pairs,
    all_lengths,
    check_request,
    drawn_from,
    hardware_of,
    in_order,
    ladder,
    pairs_of,
    poisson,
    spread_around,
)
from breakeven.wiring.clock import SystemClock, current_date

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.bench.load import Asked
    from breakeven.bench.probe import Learned

CONNECT_S: Final = 10.0
_LEAST_WINDOW_S: Final = 5.0
_SPARE_FILES: Final = 64
_MOST_DOUBLED: Final = 4096
"""Streams at which a sweep without a knee ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """The levels of one pair of lengths."""

    isl_tokens: int
    osl_tokens: int
    levels: tuple[Level, ...]
    usd_per_output_mtok: tuple[float | None, ...]
    """By level; None without a price."""

    knee_count: int | None
    """Streams beyond which throughput hardly grows; None where that was not reached."""

    slo_count: int | None
    """Streams with the greatest throughput that keep the limits; None without limits, or where none do."""

    slo_requests_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What was measured."""

    url: str
    calibration: Calibration
    swept: tuple[Swept, ...]
    usd_per_hour: float | None
    sent_requests: int
    why: str
    """Why the sweep ended; empty when all that was asked for was measured."""

    was_stopped: bool
    """Whether somebody stopped it."""

    notes: tuple[str, ...]


class _Outcome:
    """What the event loop leaves behind, whole or stopped."""

    def __init__(self) -> None:
        self.levels: list[Level] = []
        self.why = ""
        self.example = ""
        self.sent_count = 0
        self.was_stopped = False
        self.learned: Learned | None = None


def run_bench(request: BenchRequest) -> BenchResult:
    """Measure.  Raises ``InputError``, ``UnknownNameError`` before anything is sent, or where nothing can be had."""
    check_request(request)
    hardware = hardware_of(request, load_book())
    pairs = pairs_of(request)
    key = read_secret(request.key, "--key") if request.key else ""
    outcome = _Outcome()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(request, pairs, key, outcome))
    if not outcome.levels:
        raise InputError(_nothing(request, outcome))
    calibration = Calibration(
        hardware=hardware.name,
        model=hardware.model,
        engine=hardware.engine,
        as_of=current_date(),
        levels=tuple(outcome.levels),
        gpu=hardware.gpu,
        gpus=hardware.gpus,
        precision=hardware.precision,
    )
    return BenchResult(
        url=request.url,
        calibration=calibration,
        swept=tuple(_swept(levels, request) for levels in by_lengths(outcome.levels)),
        usd_per_hour=request.usd_per_hour,
        sent_requests=outcome.sent_count,
        why=outcome.why,
        was_stopped=outcome.was_stopped,
        notes=notes_of(request, outcome.levels, outcome.learned, outcome.example),
    )


def save(result: BenchResult, path: Path) -> None:
    """Write what was measured as a calibration."""
    write_calibration(path, result.calibration)


async def _measure(request: BenchRequest, pairs: Pairs | None, key: str, outcome: _Outcome) -> None:
    """Probe, sweep, and leave in the outcome what was measured, also when stopped."""
    clock = SystemClock()
    chance = np.random.default_rng(request.seed)
    endpoint = Endpoint(read_address(request.url), request.model, key)
    open_count = _open_count(request)
    pool = Pool(_dialled(request), max_connections=2 * open_count + 8, clock=clock)
    load: Load | None = None
    sweep: Sweep | None = None
    try:
        learned = await probe(
            endpoint, pool, Prompts(chance, Measure()), clock,
            input_tokens=_longest(request, pairs), silent_s=request.silent_s,
        )  # fmt: skip
        outcome.learned = learned
        prompts = Prompts(chance, learned.measure, shared_tokens=request.shared_tokens)
        bounds = Bounds(
            most_requests=request.most_requests,
            most_s=request.most_s,
            silent_s=request.silent_s,
            open_count=open_count,
        )
        load = Load(endpoint, pool, prompts, bounds, clock)
        sweep = Sweep(load, _rules(request), time.process_time, request.progress)
        if request.notice is not None:
            request.notice(_notice(request, pairs))
        await _sweep(sweep, request, pairs, chance)
    except asyncio.CancelledError:
        outcome.was_stopped = True
    finally:
        if load is not None and sweep is not None:
            load.close()
            outcome.levels, outcome.why = sweep.levels, sweep.why
            outcome.example, outcome.sent_count = load.tally.example, load.sent_count
        pool.close()


async def _sweep(sweep: Sweep, request: BenchRequest, pairs: Pairs | None, chance: np.random.Generator) -> None:
    """Go through the loads that were asked for."""
    if pairs is not None and request.speedup_ratio is not None:
        times_s = iter((pairs.at_s - pairs.at_s[0]).tolist())
        await sweep.opened(times_s, in_order(pairs), LoadAsked(), speedup_ratio=request.speedup_ratio)
        return
    for asked in [None] if pairs is not None else all_lengths(request):
        for rate in request.rates:
            if not sweep.is_over:
                lengths = _asking(asked, pairs, request, chance)
                await sweep.opened(poisson(rate, chance), lengths, LoadAsked(asked, requests_per_s=rate))
        if not (request.rates or sweep.is_over):
            counts = iter(request.concurrencies) if request.concurrencies else ladder(_open_count(request))
            lengths = _asking(asked, pairs, request, chance)
            await sweep.closed(counts, lengths, asked, to_the_knee=not request.concurrencies)


def _asking(
    asked: Asked | None, pairs: Pairs | None, request: BenchRequest, chance: np.random.Generator
) -> Iterator[Asked]:
    if pairs is not None:
        return drawn_from(pairs, chance)
    assert asked is not None
    return spread_around(asked, request.spread_fraction, chance)


def _swept(levels: list[Level], request: BenchRequest) -> Swept:
    closed = sorted((level for level in levels if level.is_closed), key=lambda level: level.asked_count or 0)
    knee, kept = knee_of(closed), greatest_within(levels, request.slo_share_fraction)
    usd = request.usd_per_hour
    return Swept(
        isl_tokens=round(levels[0].isl_tokens),
        osl_tokens=round(levels[0].osl_tokens),
        levels=tuple(levels),
        usd_per_output_mtok=tuple(usd_per_output_mtok(level, usd) if usd else None for level in levels),
        knee_count=knee.asked_count if knee else None,
        slo_count=kept.asked_count if kept else None,
        slo_requests_per_s=kept.requests_per_s if kept else None,
    )


def _rules(request: BenchRequest) -> Rules:
    replays = request.speedup_ratio is not None
    return Rules(
        least_s=min(_LEAST_WINDOW_S, request.level_s),
        most_s=request.most_s if replays else request.level_s,
        narrow_fraction=-1.0 if replays else request.narrow_fraction,
        slo=Slo(
            ttft_s=inf if request.slo_ttft_ms is None else request.slo_ttft_ms / 1e3,
            tpot_s=inf if request.slo_tpot_ms is None else request.slo_tpot_ms / 1e3,
        ),
        slo_share_fraction=request.slo_share_fraction,
    )


def _open_count(request: BenchRequest) -> int:
    """Return the most streams that may be open, with room for their files.  Raises ``InputError`` without room."""
    wanted = max(request.concurrencies, default=_MOST_DOUBLED)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + _SPARE_FILES
    if soft < needed:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = (soft - _SPARE_FILES) // 2 if soft < needed else wanted
    if request.concurrencies and room < wanted:
        raise InputError(
            f"--concurrency {wanted} needs {needed:,} open files, and this process may have {soft:,}. "
            "Raise the limit (ulimit -n) or ask for fewer streams."
        )
    return max(1, min(room, wanted, MOST_STREAMS))


def _dialled(request: BenchRequest) -> Address:
    where = read_address(request.url)
    ca_file = str(request.ca_file) if request.ca_file else ""
    try:
        tls = tls_context(ca_file) if where.tls else None
    except (OSError, ValueError) as error:
        raise InputError(f"--ca-file {ca_file} holds no certificates that can be read: {error}.") from error
    return Address(host=where.host, port=where.port, tls=tls, connect_s=min(CONNECT_S, request.silent_s))


def _longest(request: BenchRequest, pairs: Pairs | None) -> int:
    """Return a length of prompts near the longest that will be sent."""
    return max(request.isl_tokens) if pairs is None else int(np.quantile(pairs.input_tokens, 0.9))


def _notice(request: BenchRequest, pairs: Pairs | None) -> str:
    most = request.most_requests
    isl = float(pairs.input_tokens.mean()) if pairs else max(request.isl_tokens)
    osl = float(pairs.output_tokens.mean()) if pairs else max(request.osl_tokens)
    return (
        f"At most {most:,} requests will be sent, in {request.most_s:,.0f} s: up to {most * isl / 1e6:,.1f} million "
        f"input and {most * osl / 1e6:,.1f} million output tokens. A paid API bills for them (--max-requests, "
        "--max-seconds)."
    )


def _nothing(request: BenchRequest, outcome: _Outcome) -> str:
    if outcome.was_stopped:
        return "Stopped before anything was measured."
    example = f" The first failure: {outcome.example}." if outcome.example else ""
    why = f" ({outcome.why})" if outcome.why else ""
    return (
        f"No request to {request.url} ended well while it was measured{why}.{example} "
        "Ask for shorter lengths, fewer streams or more time (--seconds, --max-seconds)."
    )
