"""What tokens were spent on and at which prices: models, price cells, processing, parts of the input, failures.

One pass groups the requests by everything that tells them apart for a price or a reader; models, cells and
destinations are sums over these few groups.  Cells hold tokens, never dollars.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import ibis

from breakeven.records import Destinations, ModelShare, PriceCell
from breakeven.traffic.schema import (
    FAILED,
    HISTORY_TOKENS,
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    PROCESSING,
    REQUESTS,
    RETRY,
    SYSTEM_TOKENS,
    TOKEN_COLUMNS,
)
from breakeven.traffic.sums import add_up, fetch, microseconds_of, token_sums, usage_of
from breakeven.traffic.timing import DAY_S, MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from ibis.expr.types import NumericValue, Table, Value

    from breakeven.usage import TokenUsage

    Rows = Sequence[Mapping[str, Any]]

UNNAMED_MODEL: Final = ""
"""The name of requests that say no model, in a log where others do, so that shares add up."""

STANDARD: Final = "standard"
DEFERRED: Final = ("batch", "flex")
"""Processing that waits for spare capacity, and is sold at a discount."""

OVER: Final = "input_over"
SEGMENT: Final = "day_segment"
FRESH: Final = "fresh_tokens"
PARTED: Final = "parted_input_tokens"


def sums_by_category(
    table: Table, said: Collection[str], thresholds_tokens: Sequence[int], boundaries_s: Sequence[int]
) -> Rows:
    """Sum requests by model, price tier, part of the day, and whatever of processing, failure and retry is said."""
    keys: dict[str, Value] = {
        MODEL: table[MODEL],
        OVER: _largest_exceeded(table[INPUT_TOKENS], thresholds_tokens),
        SEGMENT: _day_segment(table, boundaries_s),
    }
    keys |= {name: table[name] for name in (PROCESSING, FAILED, RETRY) if name in said}
    return fetch(table.group_by(**keys).aggregate(requests=table.count(), **token_sums(table), **_parts(table, said)))


def _parts(table: Table, said: Collection[str]) -> dict[str, NumericValue]:
    """Sum the parts of the input over the requests that state any."""
    stated = [table[name] for name in (SYSTEM_TOKENS, HISTORY_TOKENS) if name in said]
    if not stated:
        return {}
    known = ibis.or_(*(part.notnull() for part in stated))
    parts = sum((part.fill_null(0) for part in stated), start=ibis.literal(0, type="int64"))
    fresh = ibis.greatest(table[INPUT_TOKENS] - parts, 0)
    return {part.get_name(): part.sum() for part in stated} | {
        FRESH: fresh.sum(where=known),
        PARTED: table[INPUT_TOKENS].sum(where=known),
    }


def _largest_exceeded(tokens: NumericValue, thresholds_tokens: Sequence[int]) -> NumericValue:
    largest_first = sorted({threshold for threshold in thresholds_tokens if threshold > 0}, reverse=True)
    if not largest_first:
        return ibis.literal(0, type="int64")
    return ibis.cases(*((tokens > threshold, threshold) for threshold in largest_first), else_=0).cast("int64")


def _day_segment(table: Table, boundaries_s: Iterable[int]) -> NumericValue:
    """Count the boundaries that lie at or before the request's time of day."""
    time_of_day_us = microseconds_of(table) % (DAY_S * MICROSECONDS)
    return sum(
        ((time_of_day_us >= boundary_s * MICROSECONDS).cast("int64") for boundary_s in sorted(set(boundaries_s))),
        start=ibis.literal(0, type="int64"),
    )


def cells_of(rows: Rows) -> tuple[PriceCell, ...]:
    """Return the price cells, by tier, part of the day and processing."""
    groups = _grouped(rows, lambda row: (row[OVER], row[SEGMENT], row.get(PROCESSING) or STANDARD))
    return tuple(
        PriceCell(
            input_over_tokens=over,
            day_segment=segment,
            requests=sums[REQUESTS],
            usage=usage_of(sums),
            processing=processing,
        )
        for (over, segment, processing), sums in sorted(groups.items())
    )


def shares_of(rows: Rows) -> tuple[ModelShare, ...]:
    """Return what each model received, most requests first; empty where no request names one."""
    groups = _grouped(rows, lambda row: row[MODEL] or UNNAMED_MODEL)
    if not set(groups) - {UNNAMED_MODEL}:
        return ()
    shares = (ModelShare(model=model, requests=sums[REQUESTS], usage=usage_of(sums)) for model, sums in groups.items())
    return tuple(sorted(shares, key=lambda share: (-share.requests, -share.usage.total_tokens, share.model)))


def deferred_fraction(rows: Rows) -> float | None:
    """Return the share of all tokens processed as batch or flex; None where no row says how it was processed."""
    if all(row.get(PROCESSING) is None for row in rows):
        return None
    deferred = sum(_tokens(row) for row in rows if row[PROCESSING] in DEFERRED)
    return deferred / max(sum(map(_tokens, rows)), 1)


def destinations_of(rows: Rows, said: Collection[str]) -> Destinations:
    """Return what tokens were spent on, None for what the log does not tell."""
    parted = {SYSTEM_TOKENS, HISTORY_TOKENS} & set(said)
    names = [*parted, FRESH, PARTED] if parted else []
    sums = {name: sum(row[name] or 0 for row in rows) for name in (OUTPUT_TOKENS, *names)}
    return Destinations(
        system_tokens=sums.get(SYSTEM_TOKENS),
        history_tokens=sums.get(HISTORY_TOKENS),
        fresh_tokens=sums.get(FRESH),
        parted_input_tokens=sums.get(PARTED),
        output_tokens=sums[OUTPUT_TOKENS],
        failed_usage=_spent(rows, FAILED) if FAILED in said else None,
        retry_usage=_spent(rows, RETRY) if RETRY in said else None,
    )


def _spent(rows: Rows, name: str) -> TokenUsage:
    return usage_of(add_up((row for row in rows if row[name]), TOKEN_COLUMNS))


def _tokens(row: Mapping[str, Any]) -> int:
    tokens: int = row[INPUT_TOKENS] + row[OUTPUT_TOKENS]
    return tokens


def _grouped(rows: Rows, key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, dict[str, int]]:
    parts: dict[Hashable, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[key(row)].append(row)
    return {name: add_up(part, (REQUESTS, *TOKEN_COLUMNS)) for name, part in parts.items()}
