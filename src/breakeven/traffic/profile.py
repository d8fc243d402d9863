"""Sums a trace up as a profile: totals, lengths, price cells, models, and how they spread over time.

Everything is an Ibis expression over the canonical table, run where the rows are; only the sums
come here.  No SQL, and no function that one database has and others lack, so that the same code
runs on a file, on the gateway's ledger and on a cluster.  It neither reads files nor judges rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ibis

from breakeven.errors import InputError
from breakeven.records import LengthQuantiles, ModelShare, Moments, PriceCell, TrafficProfile
from breakeven.traffic.schema import INPUT_TOKENS, MODEL, MONTH, OUTPUT_TOKENS, REQUESTS, TIME
from breakeven.traffic.sums import fetch, moments_of, request_sums, token_sums, usage_of
from breakeven.traffic.timing import DAY_S, MICROSECONDS, microseconds_of, spread_over_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ibis.expr.types import NumericValue, Table

    from breakeven.traffic.trace import Trace

QUANTILES: Final = (0.1, 0.5, 0.9, 0.99)
EXACT_QUANTILE_ROWS: Final = 50_000_000
"""Above this many rows quantiles are approximate: exact ones hold every value in memory."""

UNNAMED_MODEL: Final = ""
"""The name of requests that say no model, in a log where others do, so that shares add up."""


def profile(
    trace: Trace, *, input_thresholds_tokens: Sequence[int] = (), day_boundaries_s: Sequence[int] = ()
) -> TrafficProfile:
    """Sum a trace or a bill up.

    ``input_thresholds_tokens`` are the input lengths above which a rate card changes its price,
    ``day_boundaries_s`` the seconds after midnight UTC at which it does; together they cut the
    traffic into cells.  Raises ``InputError`` for a trace of one instant, which shows no rate.

    A bill has one cell, since its totals cannot be cut, and no lengths and times.  Its second
    moments are 0 even where the number of requests is known: products of mean lengths would pass
    for a distribution that nobody observed.
    """
    if trace.kind == "bill":
        return _bill_profile(trace)
    table = trace.table
    totals = _totals(table, trace.rows_read - trace.rows_lost)
    if totals["first_at"] == totals["last_at"]:
        raise InputError(
            f"{trace.source}: no time but {totals['first_at']} (requests: {totals[REQUESTS]:,}), so no rate follows. "
            "Give a log that spans some time."
        )
    return TrafficProfile(
        source=trace.source,
        kind="trace",
        rows_read=trace.rows_read,
        rows_lost=trace.rows_lost,
        usage=usage_of(totals),
        moments=moments_of(totals),
        months=0.0,
        input_lengths=_lengths(totals, INPUT_TOKENS),
        output_lengths=_lengths(totals, OUTPUT_TOKENS),
        cells=_cells(table, input_thresholds_tokens, day_boundaries_s),
        models=_shares(fetch(table.group_by(MODEL).aggregate(requests=table.count(), **token_sums(table)))),
        times=spread_over_time(table, totals["first_at"], totals["last_at"], totals[REQUESTS]),
    )


def day_segment_count(day_boundaries_s: Iterable[int]) -> int:
    """Return how many segments a day has that is cut at these seconds after midnight UTC."""
    return len(set(day_boundaries_s)) + 1


def _totals(table: Table, rows: int) -> dict[str, Any]:
    aggregates = request_sums(table)
    for name in (INPUT_TOKENS, OUTPUT_TOKENS):
        column = table[name]
        quantile = column.quantile if rows <= EXACT_QUANTILE_ROWS else column.approx_quantile
        aggregates[f"{name}_quantiles"] = quantile(list(QUANTILES))
        aggregates[f"{name}_max"] = column.max()
    return fetch(table.aggregate(**aggregates, first_at=table[TIME].min(), last_at=table[TIME].max()))[0]


def _lengths(totals: Mapping[str, Any], name: str) -> LengthQuantiles:
    p10, p50, p90, p99 = map(float, totals[f"{name}_quantiles"])
    return LengthQuantiles(
        mean_tokens=totals[name] / totals[REQUESTS],
        p10_tokens=p10,
        p50_tokens=p50,
        p90_tokens=p90,
        p99_tokens=p99,
        max_tokens=totals[f"{name}_max"],
    )


def _cells(table: Table, thresholds_tokens: Sequence[int], boundaries_s: Sequence[int]) -> tuple[PriceCell, ...]:
    """Sum tokens by the largest threshold exceeded and the part of the day."""
    cut = {
        "input_over": _largest_exceeded(table[INPUT_TOKENS], thresholds_tokens),
        "segment": _day_segment(table, boundaries_s),
    }
    rows = fetch(table.group_by(**cut).aggregate(requests=table.count(), **token_sums(table)))
    cells = (
        PriceCell(
            input_over_tokens=row["input_over"],
            day_segment=row["segment"],
            requests=row[REQUESTS],
            usage=usage_of(row),
        )
        for row in rows
    )
    return tuple(sorted(cells, key=lambda cell: (cell.input_over_tokens, cell.day_segment)))


def _largest_exceeded(tokens: NumericValue, thresholds_tokens: Sequence[int]) -> NumericValue:
    largest_first = sorted({threshold for threshold in thresholds_tokens if threshold > 0}, reverse=True)
    if not largest_first:
        return ibis.literal(0, type="int64")
    return ibis.cases(*((tokens > threshold, threshold) for threshold in largest_first), else_=0).cast("int64")


def _day_segment(table: Table, boundaries_s: Sequence[int]) -> NumericValue:
    """Count the boundaries that lie at or before the request's second of the day."""
    second = microseconds_of(table) // MICROSECONDS % DAY_S
    return sum(
        ((second >= boundary).cast("int64") for boundary in sorted(set(boundaries_s))),
        start=ibis.literal(0, type="int64"),
    )


def _shares(rows: Iterable[Mapping[str, Any]]) -> tuple[ModelShare, ...]:
    """Return what each model received, most requests first; empty where no request names one."""
    shares = [
        ModelShare(model=row[MODEL] or UNNAMED_MODEL, requests=row[REQUESTS] or 0, usage=usage_of(row)) for row in rows
    ]
    if all(share.model == UNNAMED_MODEL for share in shares):
        return ()
    return tuple(sorted(shares, key=lambda share: (-share.requests, share.model)))


def _bill_profile(trace: Trace) -> TrafficProfile:
    table = trace.table
    by_model = fetch(table.group_by(MODEL).aggregate(requests=table[REQUESTS].sum(), **token_sums(table)))
    # Requests that only some rows state would give a mean length over the wrong tokens: all or none.
    requests = ibis.ifelse(table[REQUESTS].count() == table.count(), table[REQUESTS].sum(), 0)
    totals = fetch(table.aggregate(requests=requests, months=table[MONTH].nunique(), **token_sums(table)))[0]
    usage = usage_of(totals)
    return TrafficProfile(
        source=trace.source,
        kind="bill",
        rows_read=trace.rows_read,
        rows_lost=trace.rows_lost,
        usage=usage,
        moments=Moments(
            requests=totals[REQUESTS],
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            input_output_tokens2=0.0,
            output_output_tokens2=0.0,
        ),
        months=float(totals["months"]),
        input_lengths=None,
        output_lengths=None,
        cells=(PriceCell(input_over_tokens=0, day_segment=0, requests=totals[REQUESTS], usage=usage),),
        models=_shares(by_model),
        times=None,
    )
