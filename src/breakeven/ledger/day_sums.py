"""Sums of the rows in the file of a closed day, by hour, labels and size of input.  This needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from breakeven.economics.pool_hours import HOUR_US
from breakeven.ledger import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    DaySum = tuple[int, tuple[Any, ...], int, int, tuple[int, int, int, int], int]
    """Hour, values of ``schema.SERIES_COLUMNS`` with texts as texts, threshold, attempts, four counts, time served."""

_LABELS: Final = (
    "key", "task", "tags", "model", "target", "priced_as", "decision", "fallback", "failure", "status", "outcome",
    "processing", "estimated", "streamed", "rate_card", "over_tokens",
)  # fmt: skip
_COUNTS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_COLUMNS: Final = [*_LABELS, *_COUNTS, "received_us", "queued_us", "ended_us"]
_BATCH_ROWS: Final = 100_000


def sums_of_file(path: Path, thresholds: Sequence[int]) -> Iterator[DaySum]:
    """Yield the sums of a file's rows, batch by batch; ``thresholds`` ascend."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=_COLUMNS, batch_size=_BATCH_ROWS, use_threads=False):
            yield from _sums(pa.Table.from_batches([batch]), thresholds)


def _sums(table: Any, thresholds: Sequence[int]) -> Iterator[DaySum]:
    over: Any = pa.array([0] * table.num_rows, pa.int64())
    for threshold in thresholds:
        over = pc.if_else(pc.greater(table["input_tokens"], threshold), threshold, over)
    queued = pc.cast(table["queued_us"], pa.int64())
    served = pc.max_element_wise(pc.subtract(pc.cast(table["ended_us"], pa.int64()), queued), 0, skip_nulls=False)
    plain = table.drop_columns(["over_tokens", "received_us", "queued_us", "ended_us"])
    plain = plain.append_column("own_over", table["over_tokens"]).append_column("over", over)
    plain = plain.append_column("hour", pc.divide(table["received_us"], HOUR_US))
    plain = plain.append_column("served", pc.fill_null(served, 0))
    keys = [*("own_over" if name == "over_tokens" else name for name in _LABELS), "over", "hour"]
    sums = plain.group_by(keys).aggregate([("hour", "count"), *((name, "sum") for name in (*_COUNTS, "served"))])
    for row in sums.to_pylist():
        counts = (row["input_tokens_sum"], row["cached_input_tokens_sum"], row["cache_write_tokens_sum"],
                  row["output_tokens_sum"])  # fmt: skip
        yield row["hour"], _labels(row), row["over"], row["hour_count"], counts, row["served_sum"]


def _labels(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        *(row[name] or "" for name in _LABELS[:9]),
        row["status"] or 0,
        rows.OUTCOMES.index(row["outcome"]),
        rows.PROCESSINGS.index(row["processing"]),
        row["estimated"] * rows.ESTIMATED | row["streamed"] * rows.STREAMED,
        row["rate_card"] or "",
        row["own_over"],
    )
