"""The ledger's attempts one by one, with their texts, times and exact cost, for other programs to read.

Rows are read and written as they come, so the size of the ledger does not matter.  Here are CSV and JSON
lines; Parquet, which needs pyarrow, is ``wiring.ledger_export``'s.
"""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.errors import InputError, MissingExtraError
from breakeven.ledger import rows
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.ids import ATTEMPTS, request_text
from breakeven.ledger.query import Cards, usage_of
from breakeven.ledger.said import in_order, said_rows
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import TextIOBase
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard
    from breakeven.ledger.said import SaidAttempt

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ExportedAttempt(NamedTuple):
    """One attempt as it is exported; None where there is nothing to say."""

    request_id: str
    """As in the header ``x-breakeven-request-id``."""

    attempt: int
    """0 for the first."""

    time: datetime
    """When the request had come."""

    queued_at: datetime | None
    """When it was sent to the target."""

    first_byte_at: datetime | None
    ended_at: datetime
    key: str | None
    task: str | None
    tags: str | None
    episode: str | None
    model: str | None
    target: str | None
    priced_as: str | None
    decision: str | None
    fallback: str | None
    failure: str | None
    status: int | None
    outcome: str
    processing: str
    estimated: bool
    streamed: bool
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    rate_card: str | None
    cost_usd: Decimal | None
    """Unrounded; None when no price is known."""


_AS_THEY_ARE: Final = (
    "key", "task", "tags", "episode", "model", "target", "priced_as", "decision", "fallback", "failure", "status",
    "outcome", "processing", "cached_input_tokens", "cache_write_tokens", "output_tokens", "rate_card",
)  # fmt: skip


def attempts(store: Path) -> Iterator[ExportedAttempt]:
    """Yield every attempt by time, whether it is in the store or in the file of its day.

    Raises ``InputError`` where the store or a file cannot be read, and ``MissingExtraError`` where there are files
    without the packages to read them.
    """
    try:
        with reading(store) as folder, closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            cards = Cards(connection)
            parts: list[tuple[int, Callable[[], Iterator[SaidAttempt]]]] = [(0, partial(said_rows, connection))]
            if files := day_files(connection):
                read = reader_of_files()
                parts += [(file.first_id, partial(read, folder / file.name)) for file in files]
            for row in in_order(parts):
                yield exported(row, cards.get(row.rate_card or ""))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def reader_of_files() -> Callable[[Path], Iterator[SaidAttempt]]:
    """Return what reads the file of a day.  Raises ``MissingExtraError`` without pyarrow."""
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Rows of closed days are in Parquet files, and reading them needs pyarrow, which is not installed here. "
            "Install it with: pip install 'breakeven[plan]'"
        )
    from breakeven.ledger.day_file import read  # noqa: PLC0415 - pyarrow, which the core install leaves out

    return read


def write_csv(found: Iterable[ExportedAttempt], file: TextIOBase) -> int:
    """Write rows with a header line; return how many."""
    writer = csv.writer(file)
    writer.writerow(ExportedAttempt._fields)
    count = 0
    for row in found:
        writer.writerow([_written(value) for value in row])
        count += 1
    return count


def write_jsonl(found: Iterable[ExportedAttempt], file: TextIOBase) -> int:
    """Write one JSON object a line; return how many.  The cost is a string, exact to the last digit."""
    encoder = msgspec.json.Encoder()
    count = 0
    for row in found:
        said = row._asdict()
        said["cost_usd"] = None if row.cost_usd is None else f"{row.cost_usd:f}"
        file.write(encoder.encode(said).decode() + "\n")
        count += 1
    return count


def exported(row: SaidAttempt, card: RateCard | None) -> ExportedAttempt:
    """Return a row as it is exported, with the cost that follows from its card."""
    received_us, queued_us, first_us = row.received_us, row.queued_us, row.first_byte_us
    usage = usage_of(row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens)
    failed = row.outcome == rows.OUTCOMES[rows.FAILED]
    return ExportedAttempt(
        request_id=request_text(row.attempt_id),
        attempt=row.attempt_id % ATTEMPTS,
        time=_moment(received_us),
        queued_at=None if queued_us is None else _moment(received_us + queued_us),
        first_byte_at=None if first_us is None else _moment(received_us + first_us),
        ended_at=_moment(received_us + row.ended_us),
        estimated=bool(row.estimated),
        streamed=bool(row.streamed),
        input_tokens=usage.input_tokens,
        cost_usd=cost_usd(card, usage, attempts=1, failed=failed, over_tokens=row.over_tokens) if card else None,
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
    )


def _moment(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, bool):
        return int(value)
    return f"{value:f}" if isinstance(value, Decimal) else value
