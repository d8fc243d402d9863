"""Traffic that nobody seems to wait for: what could be sent as a batch, as far as a log can show it.

A log does not say who waits.  It shows streams (a key and a task), and a stream that runs like a job, many requests
in few hours of the day and so on day after day, can usually wait for a batch price.  People and products that serve
them are spread over more hours.  So this is an estimate, and a list of streams to ask about, not a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ibis

from breakeven.traffic.categories import DEFERRED
from breakeven.traffic.schema import INPUT_TOKENS, KEY, OUTPUT_TOKENS, PROCESSING, TASK
from breakeven.traffic.sums import fetch, microseconds_of
from breakeven.traffic.timing import DAY_S, HOUR_S, MICROSECONDS

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from breakeven.traffic.coverage import Coverage

SHORTEST_DAYS: Final = 7
"""A log below a week does not show what comes back."""

JOB_DAYS: Final = 5
JOB_HOURS_PER_DAY: Final = 3
JOB_REQUESTS_PER_HOUR: Final = 100
"""More than one each 36 seconds through the hour: faster than one person asks."""


def batchable_fraction(table: Table, seen: Coverage, total_tokens: int) -> tuple[float | None, tuple[str, ...]]:
    """Return the share of all tokens that jobs sent and that were not deferred already, and a note with their number.

    A job is a key and task that is seen on at least five days, in at most three hours of a day, with at least a
    hundred requests an hour, on average over the days and hours in which it is seen.  None below a week, and where
    the log names neither keys nor tasks.
    """
    names = [name for name in (KEY, TASK) if name in seen.said]
    if not names or seen.last_us - seen.first_us < SHORTEST_DAYS * DAY_S * MICROSECONDS or not total_tokens:
        return None, ()
    if PROCESSING in seen.said:
        table = table.filter(table[PROCESSING].isnull() | table[PROCESSING].notin(DEFERRED))
    hour = microseconds_of(table) // (HOUR_S * MICROSECONDS)
    hours = table.group_by([*names, hour.name("hour")]).aggregate(
        requests=table.count(), tokens=(table[INPUT_TOKENS] + table[OUTPUT_TOKENS]).sum()
    )
    hours = hours.mutate(day=hours.hour // 24)
    streams = hours.group_by(names).aggregate(
        requests=hours.requests.sum(), tokens=hours.tokens.sum(), hours=hours.count(), days=hours.day.nunique()
    )
    jobs = streams.filter(
        ibis.or_(*(streams[name].notnull() for name in names))
        & (streams.days >= JOB_DAYS)
        & (streams.hours <= streams.days * JOB_HOURS_PER_DAY)
        & (streams.requests >= streams.hours * JOB_REQUESTS_PER_HOUR)
    )
    row = fetch(jobs.aggregate(jobs=jobs.count(), tokens=jobs.tokens.sum()))[0]
    if not row["jobs"]:
        return 0.0, ()
    what = " and ".join(names)
    note = (
        f"{row['jobs']:,} of the streams by {what} run like jobs (at most {JOB_HOURS_PER_DAY} hours of a day, "
        f"{JOB_REQUESTS_PER_HOUR} requests an hour and more): their tokens count as fit for a batch; ask whether "
        "anybody waits for them"
    )
    return row["tokens"] / total_tokens, (note,)
