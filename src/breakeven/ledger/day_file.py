"""One day's rows as a Parquet file: written whole, looked over again before it counts, read in batches.

This needs pyarrow, of the extra ``plan``; nothing that a gateway's process carries imports it.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from breakeven.ledger.said import SaidAttempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_GROUP_ROWS: Final = 100_000
_MASK: Final = 0xFFFFFFFF
_TEXTS: Final = (
    "key", "task", "tags", "model", "target", "priced_as", "decision", "fallback", "failure", "outcome", "processing",
    "rate_card",
)  # fmt: skip
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(SaidAttempt._fields, pa.int64()),
    **dict.fromkeys(("queued_us", "first_byte_us", "ended_us"), pa.uint32()),
    **dict.fromkeys((*_TEXTS, "episode"), pa.string()),
    **dict.fromkeys(("estimated", "streamed"), pa.bool_()),
    "status": pa.int32(),
}
SCHEMA: Final[Any] = pa.schema(list(_TYPES.items()))
_IN_STEPS: Final = (
    "attempt_id",
    "received_us",
    "queued_us",
    "first_byte_us",
    "ended_us",
    "input_tokens",
    "output_tokens",
)
"""Numbers that seldom repeat, and lie near each other: kept as differences."""

_SUMMED: Final = (
    "attempt_id", "received_us", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
)  # fmt: skip
_PLACES: Final = [SaidAttempt._fields.index(name) for name in _SUMMED]
SUMS_IN_SQL: Final = ", ".join(["count(*)", *(f"coalesce(sum({name} & {_MASK}), 0)" for name in _SUMMED)])
"""``Sums`` of rows in the store, in its own words; ids and times by their low 32 bits, which no sum overflows."""


class Sums(NamedTuple):
    """What rows add up to: told of the rows that were written, and of those that a file has."""

    rows: int = 0
    attempt_id: int = 0
    received_us: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: Iterable[int]) -> Sums:
        """Add other sums."""
        return Sums._make(a + b for a, b in zip(self, other, strict=True))


def sums_of(rows: Iterable[SaidAttempt]) -> Sums:
    """Sum rows up."""
    found = list(rows)
    columns = list(zip(*found, strict=True))
    return Sums(len(found), *(sum(value & _MASK for value in columns[place]) for place in _PLACES)) if found else Sums()


def write(path: Path, rows: Iterator[SaidAttempt]) -> Sums:
    """Write rows, in the order in which they come, and bring them to the disk; return what they add up to."""
    total = Sums()
    with path.open("xb") as file:
        with pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            compression_level=6,
            use_dictionary=[name for name in SCHEMA.names if name not in _IN_STEPS],
            column_encoding=dict.fromkeys(_IN_STEPS, "DELTA_BINARY_PACKED"),
        ) as writer:
            while batch := list(islice(rows, _GROUP_ROWS)):
                total = total.plus(sums_of(batch))
                writer.write_batch(_batch_of(batch), row_group_size=_GROUP_ROWS)
        file.flush()
        os.fsync(file.fileno())
    return total


def check(path: Path) -> Sums:
    """Read a file over again; return what its rows add up to."""
    total = Sums()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(_SUMMED), use_threads=False):
            sums = (pc.sum(pc.bit_wise_and(batch.column(name), _MASK)).as_py() for name in _SUMMED)
            total = total.plus((batch.num_rows, *sums))
    return total


def read(path: Path) -> Iterator[SaidAttempt]:
    """Yield the rows of a file."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=SCHEMA.names, batch_size=20_000, use_threads=False):
            yield from map(SaidAttempt._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def read_some(path: Path, attempt_ids: Sequence[int]) -> list[SaidAttempt]:
    """Return the rows of a file that have these ids; groups of rows without any are not read."""
    table = pq.read_table(path, columns=SCHEMA.names, filters=pc.field("attempt_id").isin(attempt_ids))
    return [SaidAttempt._make(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def ids_of(path: Path) -> list[int]:
    """Return the ids of a file's attempts."""
    found: list[int] = pq.read_table(path, columns=["attempt_id"]).column("attempt_id").to_pylist()
    return found


def keys_of_episodes(path: Path, episodes: Sequence[str]) -> set[tuple[str, str]]:
    """Return which of these episodes a file has, each with the key of its requests; an empty one for none."""
    table = pq.read_table(path, columns=["episode", "key"], filters=pc.field("episode").isin(episodes))
    columns = (column.to_pylist() for column in table.columns)
    return {(episode, key or "") for episode, key in zip(*columns, strict=True)}


def _batch_of(rows: list[SaidAttempt]) -> Any:
    arrays = []
    for field, column in zip(SCHEMA, zip(*rows, strict=True), strict=True):
        values = map(bool, column) if field.type == pa.bool_() else column
        arrays.append(pa.array(values, field.type))
    return pa.record_batch(arrays, schema=SCHEMA)
