"""What was measured at a real endpoint, and what it says of the hardware behind it.

A calibration is a list of levels: one load each, in a steady state.  It turns into rows like those of the catalogue
(``measurements_of``), into the work of a request (``measured_service``), and, in ``calibrated_pace``, into a pace.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - these annotations are resolved where a file is read
from dataclasses import dataclass, field, replace
from datetime import date  # noqa: TC003 - see above
from typing import TYPE_CHECKING, Final

from breakeven.capacity.service import MIN_POINTS, Service, fit_service
from breakeven.catalog.hardware import Measurement, MeasurementSource
from breakeven.catalog.roofline import engine_name
from breakeven.quantities import SECONDS_PER_HOUR, TOKENS_PER_MTOK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.catalog.book import Book

LEAST_GAIN_FRACTION: Final = 0.05
"""More throughput than this must come of a greater load, or the load before it is the knee."""

MEASURED_HERE: Final = "measured here"
_MET_FRACTION: Final = 0.03
"""A prompt of whole words meets a length to within a token or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long something took, over the requests of a level."""

    mean_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One load in its steady state; figures of requests that ended within the window, and without an error."""

    asked_count: int | None
    """Streams kept open at once (closed loop); None in an open loop."""

    asked_requests_per_s: float | None
    """Rate of arrivals (open loop); None in a closed loop."""

    asked_isl_tokens: int | None
    """Lengths that were asked for; both None where they were a trace's."""

    asked_osl_tokens: int | None
    concurrency_count: float
    """Requests under way, on average over the window."""

    window_s: float
    requests: int
    isl_tokens: float
    """Mean input of a request, as the endpoint counts it."""

    osl_tokens: float
    input_output_tokens2: float
    """Mean product of input and output of a request, for loads of mixed lengths."""

    output_output_tokens2: float
    cached_fraction: float
    """Share of the input that the endpoint said it had in its cache."""

    requests_per_s: float
    output_tokens_per_s: float
    throughput_error_fraction: float | None
    """Half of the 95 % interval of the throughput, over it, by batch means; None for a window too short to tell."""

    ttft: Times
    """From the request's last byte to the first text; connecting is not in it."""

    tpot: Times
    """By request: from the first text to the last, over the output tokens after the first."""

    itl: Times
    """Gaps between packets that bear text, whatever their number of tokens."""

    total: Times
    """From the request's last byte to the last text."""

    connect: Times
    told_fraction: float = 1.0
    """Share of requests whose tokens the endpoint told; of the others the pieces of text were counted."""

    early_fraction: float = 0.0
    """Share of requests that ended before the output that was asked for."""

    slo_fraction: float | None = None
    """Share of all requests, failed ones included, that kept the limits of TTFT and TPOT; None without limits."""

    lag_p99_ms: float = 0.0
    """Lateness of the client's own clock, which every time that it measures may have in it."""

    client_busy_fraction: float = 0.0
    """CPU time of the client over the window: near 1 the client is what was measured."""

    failures: Mapping[str, int] = field(default_factory=dict)
    """Requests that failed within the window, by kind."""

    @property
    def is_closed(self) -> bool:
        """Whether streams were kept open at once, rather than requests sent at a rate."""
        return self.asked_count is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Levels of one deployment.  ``gpu`` is None for hardware that no catalogue knows; ``hardware`` names it."""

    hardware: str
    model: str
    engine: str
    as_of: date
    levels: tuple[Level, ...]
    gpu: str | None = None
    gpus: int = 1
    precision: str | None = None

    @property
    def source(self) -> str:
        """How its figures are called wherever they are used."""
        return f"{MEASURED_HERE} on {self.as_of}"


def measurements_of(calibration: Calibration) -> tuple[Measurement, ...]:
    """Return rows like those of the catalogue: one a closed level, and one at maximum load for each pair of lengths.

    Nothing for hardware that is not in the catalogue.  Of levels with mixed lengths a row has their means.
    """
    if calibration.gpu is None or calibration.precision is None:
        return ()
    closed = [level for level in calibration.levels if level.is_closed]
    return (*(_row(calibration, level, level.asked_count) for level in closed), *_busiest_rows(calibration))


def with_calibration(book: Book, calibration: Calibration) -> Book:
    """Return the book with the rows that were measured here, and without those of the catalogue that they replace.

    Of the same deployment, the catalogue's rows at the same lengths go; all of them where the work of a request can be
    fitted to what was measured here alone.
    """
    here = measurements_of(calibration)
    if not here:
        return book
    enough = len(_busiest_rows(calibration)) >= MIN_POINTS
    lengths = {(row.isl_tokens, row.osl_tokens) for row in here}
    kept = [
        row
        for row in book.measurements
        if _deployed(row) != _deployed(here[0]) or not (enough or (row.isl_tokens, row.osl_tokens) in lengths)
    ]
    told = MeasurementSource(
        key=calibration.source,
        title=f"{calibration.model} on {calibration.hardware}, {calibration.source} by breakeven bench",
        url="",
        licence="",
        attribution="",
    )
    sources = {**book.measurement_sources, calibration.source: told}
    return replace(book, measurements=(*here, *kept), measurement_sources=sources)


def measured_here_first(rows: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Return the rows that were measured here, or all of them where none was: the upper steps of the ladder."""
    here = tuple(row for row in rows if row.basis == MEASURED_HERE)
    return here or tuple(rows)


def measured_service(calibration: Calibration) -> Service:
    """Return the work of a request, fitted to the greatest throughput at each pair of lengths.

    Raises ``ValueError`` with fewer than ``MIN_POINTS`` pairs of lengths.
    """
    points = _busiest_rows(calibration)
    return fit_service(points, basis=f"{len(points)} lengths {calibration.source}")


def knee_of(levels: Sequence[Level]) -> Level | None:
    """Return the lightest level within ``LEAST_GAIN_FRACTION`` of the greatest throughput.

    None where that is the heaviest of them: more might still gain.  ``levels``: of one pair of lengths, by rising load.
    """
    greatest = max((level.output_tokens_per_s for level in levels), default=0.0)
    near = [level for level in levels if level.output_tokens_per_s * (1 + LEAST_GAIN_FRACTION) >= greatest]
    return near[0] if near and near[0] is not levels[-1] else None


def is_past_knee(lighter: Level, heavier: Level) -> bool:
    """Whether the heavier load gained next to nothing, and its requests took longer."""
    gained = heavier.output_tokens_per_s - lighter.output_tokens_per_s
    slower = heavier.total.mean_ms > lighter.total.mean_ms
    return gained < LEAST_GAIN_FRACTION * lighter.output_tokens_per_s and slower


def greatest_within(levels: Iterable[Level], share_fraction: float) -> Level | None:
    """Return the level of greatest throughput at which at least that share of requests kept the limits."""
    kept = [level for level in levels if level.slo_fraction is not None and level.slo_fraction >= share_fraction]
    return max(kept, key=lambda level: level.output_tokens_per_s, default=None)


def usd_per_output_mtok(level: Level, usd_per_hour: float) -> float:
    """Return what a million output tokens cost at that load, input included; infinite where nothing came."""
    per_hour = level.output_tokens_per_s * SECONDS_PER_HOUR
    return usd_per_hour * TOKENS_PER_MTOK / per_hour if per_hour else float("inf")


def by_lengths(levels: Iterable[Level]) -> list[list[Level]]:
    """Return levels in groups of the same lengths asked for, in the order of each first one."""
    groups: dict[tuple[int | None, int | None], list[Level]] = {}
    for level in levels:
        groups.setdefault((level.asked_isl_tokens, level.asked_osl_tokens), []).append(level)
    return list(groups.values())


def _busiest_rows(calibration: Calibration) -> tuple[Measurement, ...]:
    groups = by_lengths(calibration.levels)
    best = [max(group, key=lambda level: level.output_tokens_per_s) for group in groups]
    return tuple(_row(calibration, level, None) for level in best)


def _row(calibration: Calibration, level: Level, concurrency_count: int | None) -> Measurement:
    steady = concurrency_count is not None
    return Measurement(
        model=calibration.model,
        gpu=calibration.gpu or calibration.hardware,
        gpus=calibration.gpus,
        precision=calibration.precision or "",
        engine=calibration.engine,
        isl_tokens=_length_tokens(level.isl_tokens, level.asked_isl_tokens),
        osl_tokens=_length_tokens(level.osl_tokens, level.asked_osl_tokens),
        output_tokens_per_s=level.output_tokens_per_s,
        basis=MEASURED_HERE,
        source=calibration.source,
        concurrency_count=concurrency_count,
        ttft_ms=level.ttft.p50_ms if steady else None,
        tpot_ms=level.tpot.p50_ms if steady else None,
        as_of=calibration.as_of,
    )


def _length_tokens(mean_tokens: float, asked_tokens: int | None) -> int:
    """Return the length by which a row is looked up: the one asked for, where it was met."""
    if asked_tokens is not None and abs(mean_tokens / asked_tokens - 1) <= _MET_FRACTION:
        return asked_tokens
    return max(1, round(mean_tokens))


def _deployed(row: Measurement) -> tuple[str, str, int, str, str]:
    return row.model, row.gpu, row.gpus, row.precision, engine_name(row.engine)
