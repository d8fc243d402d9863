"""Writes the ledger's attempts to a file, by the ending of its name; the file appears when it is whole."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.export import ExportedAttempt, attempts, write_csv, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCH_ROWS: Final = 50_000
COST_DIGITS: Final = 18
"""Decimal places of a dollar in Parquet, whose decimals have a fixed number of them: a price per million
tokens may have 12.  CSV and JSON lines have the cost to the last digit, whatever it has."""

FORMATS: Final = (".csv", ".jsonl", ".parquet")


def export(store: Path, to: Path) -> int:
    """Write every attempt to a file that is not there yet; return how many.

    Raises ``InputError`` for another ending, a file that is there, and a place that cannot be written, and
    ``MissingExtraError`` for Parquet without the packages of the extra ``plan``.
    """
    if to.suffix not in FORMATS:
        raise InputError(f"{to} does not say in which form to write: end its name in {', '.join(FORMATS)}.")
    if to.exists():
        raise InputError(f"{to} is there already. Name another file, or remove it.")
    part = to.with_name(f"{to.name}.part")
    try:
        count = _write_parquet(store, part) if to.suffix == ".parquet" else _write_text(store, part, to.suffix)
        os.replace(part, to)  # noqa: PTH105 - one call beside the others on paths
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror or error}. Choose another place.") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _write_text(store: Path, path: Path, suffix: str) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return (write_csv if suffix == ".csv" else write_jsonl)(attempts(store), file)


def _write_parquet(store: Path, path: Path) -> int:
    from breakeven.wiring.plan import require_plan_extra

    require_plan_extra()
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment, text, number = pa.timestamp("us", "UTC"), pa.string(), pa.int64()
    kinds = {
        **dict.fromkeys(ExportedAttempt._fields, text),
        **dict.fromkeys(("time", "queued_at", "first_byte_at", "ended_at"), moment),
        **dict.fromkeys(("attempt", "status"), number),
        **dict.fromkeys(("estimated", "streamed"), pa.bool_()),
        **{name: number for name in ExportedAttempt._fields if name.endswith("_tokens")},
        "cost_usd": pa.decimal128(38, COST_DIGITS),
    }
    schema = pa.schema(list(kinds.items()))
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        for rows in _in_batches(attempts(store)):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(rows)
    return count


def _in_batches(found: Iterator[ExportedAttempt]) -> Iterator[list[ExportedAttempt]]:
    while rows := list(islice(found, BATCH_ROWS)):
        yield rows
