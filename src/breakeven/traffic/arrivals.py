"""The requests of a trace in the order in which they came, in batches: what a simulation is fed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.traffic.schema import (
    AT_US,
    CACHED_INPUT_TOKENS,
    DEADLINE_S,
    INPUT_TOKENS,
    KEY,
    OUTPUT_TOKENS,
    PREFIX_BLOCKS,
    PRIORITY,
    TIME,
)
from breakeven.traffic.sums import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy.typing as npt

    from breakeven.traffic.flows import Flows
    from breakeven.traffic.trace import Trace

BATCH_ROWS: Final = 200_000
BLOCKS_BATCH_ROWS: Final = 20_000
"""Of a trace with the blocks of its prompts, which may be hundreds each."""


class Arrivals(NamedTuple):
    """Requests in order; arrays of shape (n,)."""

    at_s: npt.NDArray[np.float64]
    """Seconds since the first request of the trace."""

    input_tokens: npt.NDArray[np.int64]
    cached_input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    block_ends: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    """Where each prompt's blocks end in ``blocks``; of no length where the trace does not name them."""

    blocks: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    """Ids of the blocks of all prompts, one after another."""

    flow: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    """Index of each request's flow; of no length where nobody asked for them."""

    deadline_s: npt.NDArray[np.float64] = np.zeros(0)
    """Seconds from its coming, infinite where the log says none; of no length where nobody asked for flows."""


def arrivals_of(trace: Trace, flows: Flows | None = None) -> Iterator[Arrivals]:
    """Yield the requests of a trace that names each; memory does not grow with their number.

    With its ``flows`` it is told of each in which of them and how long it may wait.
    """
    table = trace.table
    at_us = table[AT_US] if AT_US in table.columns else table[TIME].epoch_seconds() * 1_000_000
    counts = [at_us.cast("int64").name(AT_US), table[INPUT_TOKENS], table[CACHED_INPUT_TOKENS], table[OUTPUT_TOKENS]]
    rows = BATCH_ROWS
    if trace.block_tokens:
        counts.append(table[PREFIX_BLOCKS])
        rows = BLOCKS_BATCH_ROWS
    if flows is not None:
        counts += [table[KEY], table[PRIORITY], table[DEADLINE_S]]
    chosen = table.select(*counts).order_by(AT_US)
    first_us: int | None = None
    backend = chosen._find_backend()  # noqa: SLF001 - Ibis' own way to batches does not work with DuckDB 2
    for batch in backend.con.sql(backend.compile(chosen)).to_arrow_reader(rows):
        columns = [np.asarray(column) for column in batch.columns[:4]]
        if not len(columns[0]):
            continue
        first_us = int(columns[0][0]) if first_us is None else first_us
        given, cached, made = (column.astype(np.int64) for column in columns[1:])
        found = Arrivals((columns[0] - first_us) / 1e6, given, cached, made)
        if trace.block_tokens:
            ends, blocks = _blocks(batch.columns[4])
            found = found._replace(block_ends=ends, blocks=blocks)
        if flows is not None:
            *_, keys, priorities, deadlines = batch.columns
            deadline_s = np.asarray(deadlines.fill_null(np.inf), dtype=np.float64)
            found = found._replace(flow=flows.index_of(keys, priorities), deadline_s=deadline_s)
        yield found


def first_arrival_s(trace: Trace) -> float:
    """Return when the first request of a trace came, in seconds since 1970, UTC."""
    table = trace.table
    at_us = table[AT_US] if AT_US in table.columns else table[TIME].epoch_seconds() * 1_000_000
    return float(fetch(table.aggregate(first=at_us.cast("int64").min()))[0]["first"]) / 1e6


def _blocks(lists: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each list of a column ends, and all of them as one array; a null is an empty list."""
    lengths = np.asarray(lists.value_lengths().fill_null(0))
    return np.cumsum(lengths, dtype=np.int64), np.ascontiguousarray(np.asarray(lists.flatten()), dtype=np.int64)
