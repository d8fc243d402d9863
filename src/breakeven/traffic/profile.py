"""Sums a trace up as a profile: totals, lengths, price cells, models, and how they spread over time.

Everything is an Ibis expression over the canonical table, run where the rows are; only the sums
come here.  No SQL, and no function that one database has and others lack, so that the same code
gives the same numbers on a file, on the gateway's ledger and on a cluster.  It neither reads files nor judges rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.records import TrafficProfile
from breakeven.traffic.categories import cells_of, deferred_fraction, destinations_of, shares_of, sums_by_category
from breakeven.traffic.coverage import coverage_of
from breakeven.traffic.growth import growth_of
from breakeven.traffic.lengths import lengths_of
from breakeven.traffic.progress import Steps
from breakeven.traffic.reuse import reuse_of
from breakeven.traffic.schema import INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS
from breakeven.traffic.sql import damage_told
from breakeven.traffic.sums import SUMS, add_up, moments_of, usage_of
from breakeven.traffic.timing import MICROSECONDS, span_s, spread_over_time, sums_by_hour_and_window, whole_days
from breakeven.traffic.totals import bill_profile, windows_profile
from breakeven.traffic.unattended import batchable_fraction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.traffic.progress import Progress
    from breakeven.traffic.trace import Trace

STEPS: Final = 8


def profile(
    trace: Trace,
    *,
    input_thresholds_tokens: Sequence[int] = (),
    day_boundaries_s: Sequence[int] = (),
    progress: Progress | None = None,
) -> TrafficProfile:
    """Sum a trace, windows of totals or a bill up.

    ``input_thresholds_tokens`` are the input lengths above which a rate card changes its price,
    ``day_boundaries_s`` the seconds after midnight UTC at which it does; together they cut the
    traffic into cells, as far as it can be cut.  ``progress`` is told the share of the work that is done.
    Raises ``InputError`` for a trace of one instant, which shows no rate.
    """
    backend = trace.table.get_backend() if progress is not None else None
    with damage_told(trace.source):
        if trace.kind == "bill":
            return bill_profile(trace)
        if trace.kind == "windows":
            return windows_profile(trace, day_boundaries_s)
        return _trace_profile(trace, input_thresholds_tokens, day_boundaries_s, Steps(STEPS, progress, backend))


def _trace_profile(
    trace: Trace, input_thresholds_tokens: Sequence[int], day_boundaries_s: Sequence[int], step: Steps
) -> TrafficProfile:
    table = trace.table
    seen = step(coverage_of, table)
    if seen.first_us == seen.last_us:
        raise InputError(
            f"{trace.source}: no time but {seen.first_at} (requests: {seen.requests:,}), so no rate follows. "
            "Give a log that spans some time."
        )
    hours = step(sums_by_hour_and_window, table, seen)
    totals = add_up(hours, SUMS)
    usage = usage_of(totals)
    categories = step(sums_by_category, table, seen.said, input_thresholds_tokens, day_boundaries_s)
    input_lengths, output_lengths = (
        step(lengths_of, table, name, totals[REQUESTS], totals[name]) for name in (INPUT_TOKENS, OUTPUT_TOKENS)
    )
    times, gap_notes = step(spread_over_time, table, seen, hours)
    reuse, reuse_notes = step(reuse_of, table, seen, trace.block_tokens)
    batchable, batchable_notes = step(batchable_fraction, table, seen, usage.total_tokens)
    first_s = seen.first_us / MICROSECONDS
    return TrafficProfile(
        source=trace.source,
        kind="trace",
        rows_read=trace.rows_read,
        rows_lost=trace.rows_lost,
        usage=usage,
        moments=moments_of(totals),
        months=0.0,
        input_lengths=input_lengths,
        output_lengths=output_lengths,
        cells=cells_of(categories),
        models=shares_of(categories),
        times=times,
        growth=growth_of(whole_days(hours, first_s, first_s + span_s(seen))),
        reuse=reuse,
        destinations=destinations_of(categories, seen.said),
        batch_fraction=deferred_fraction(categories),
        batchable_fraction=batchable,
        notes=(*gap_notes, *reuse_notes, *batchable_notes),
    )
