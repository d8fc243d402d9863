"""The requests of a trace in the order in which they came, in batches: what a simulation is fed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.traffic.schema import AT_US, CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from breakeven.traffic.trace import Trace

BATCH_ROWS: Final = 200_000


class Arrivals(NamedTuple):
    """Requests in order; arrays of shape (n,)."""

    at_s: npt.NDArray[np.float64]
    """Seconds since the first request of the trace."""

    input_tokens: npt.NDArray[np.int64]
    cached_input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]


def arrivals_of(trace: Trace) -> Iterator[Arrivals]:
    """Yield the requests of a trace that names each; memory does not grow with their number."""
    table = trace.table
    at_us = table[AT_US] if AT_US in table.columns else table[TIME].epoch_seconds() * 1_000_000
    chosen = table.select(
        at_us.cast("int64").name(AT_US), table[INPUT_TOKENS], table[CACHED_INPUT_TOKENS], table[OUTPUT_TOKENS]
    ).order_by(AT_US)
    first_us: int | None = None
    backend = chosen._find_backend()  # noqa: SLF001 - Ibis' own way to batches does not work with DuckDB 2
    for batch in backend.con.sql(backend.compile(chosen)).to_arrow_reader(BATCH_ROWS):
        columns = [np.asarray(column) for column in batch.columns]
        if not len(columns[0]):
            continue
        first_us = int(columns[0][0]) if first_us is None else first_us
        yield Arrivals((columns[0] - first_us) / 1e6, *(column.astype(np.int64) for column in columns[1:]))
