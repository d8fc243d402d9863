"""The ledger as a trace: ``breakeven plan ledger:FOLDER`` plans for the gateway's own traffic.

One row a request, that of the attempt which answered it.  Rows go from SQLite to DuckDB in batches, so the
ledger may be larger than the memory; what a plan asks then runs there, as for a file.
"""

from __future__ import annotations

import sqlite3
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, Problem
from breakeven.ledger import rows
from breakeven.ledger.store import connect, trouble_of
from breakeven.wiring.ledger import find_ledger, move_rest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.traffic.trace import Trace

SCHEME: Final = "ledger:"
"""What the name of a ledger begins with where a file could be named too."""

BATCH_ROWS: Final = 50_000

_ANSWERED: Final = (rows.OK, rows.CUT, rows.CLIENT_LEFT)
"""Outcomes after which no other target was tried: at most one attempt of a request has one."""

_SERIES: Final = """
    SELECT s.id, m.text, coalesce(r.text, p.text), k.text, t.text, g.text, s.processing, s.flags & 1
    FROM series s LEFT JOIN text m ON m.id = s.model LEFT JOIN text p ON p.id = s.target
    LEFT JOIN text r ON r.id = s.priced_as LEFT JOIN text k ON k.id = s.key
    LEFT JOIN text t ON t.id = s.task LEFT JOIN text g ON g.id = s.tags
    WHERE s.outcome IN (?, ?, ?)"""
_ATTEMPTS: Final = (
    "SELECT received_us, series, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, episode "
    "FROM attempt ORDER BY attempt_id"
)


def is_ledger(name: object) -> bool:
    """Whether that names a ledger rather than a file."""
    return str(name).startswith(SCHEME)


def ledger_trace(name: object) -> Trace:
    """Return the requests of a ledger, ``ledger:FOLDER`` or ``ledger:`` alone for the one of the settings here.

    ``target`` is ``provider:model`` where the target has a price, else its name.  Raises ``InputError`` where there
    is no store, or no answered request in it.
    """
    folder = str(name).removeprefix(SCHEME)
    place = find_ledger(Path(folder) if folder else None)
    note = move_rest(place)
    try:
        with closing(connect(place.store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            requests = connection.execute(
                "SELECT coalesce(sum(attempts), 0) FROM rollup_hour JOIN series s ON s.id = series WHERE s.fallback = 0"
            ).fetchone()[0]
            backend = _backend()
            _load(backend, connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(place.store, error)) from error
    return _trace(backend, f"{SCHEME}{place.store}", requests, note)


def dominant_target(trace: Trace) -> str | None:
    """Return the ``provider:model`` that most tokens went to; None where no target has a price."""
    table = trace.table
    priced = table.filter(table.target.contains(":"))
    sums = priced.group_by("target").aggregate(tokens=(priced.input_tokens + priced.output_tokens).sum())
    found = sums.order_by(sums.tokens.desc()).limit(1).to_pyarrow().to_pylist()
    return str(found[0]["target"]) if found else None


def _trace(backend: Any, source: str, requests: int, note: str) -> Trace:
    import ibis

    from breakeven.traffic.schema import AT_US, DETAILS, PROCESSING, REQUEST_COLUMNS, REQUEST_SCHEMA
    from breakeven.traffic.sql import ask
    from breakeven.traffic.trace import Trace

    answered = backend.table("answered")
    words = answered.processing_code.cases(*enumerate(rows.PROCESSINGS))
    joined = answered.mutate(**{name: ibis.null(type_) for name, type_ in DETAILS.items()} | {PROCESSING: words})
    ((answered_count, estimated),) = ask(backend, "SELECT count(*), sum(estimated) FROM answered")
    if not answered_count:
        raise InputError(f"{source}: no request in it was answered, so there is no traffic to plan for.")
    notes = [note] if note else []
    if estimated:
        notes.append(
            f"{estimated:,} of {answered_count:,} requests have estimated token counts: their answers broke off."
        )
    lost = max(requests - answered_count, 0)
    failed = Problem(where=source, what=f"{lost:,} of {requests:,} requests were answered by no target.")
    return Trace(
        kind="trace",
        source=source,
        table=joined.select(*REQUEST_COLUMNS, AT_US).cast(REQUEST_SCHEMA),
        rows_read=answered_count + lost,
        rows_lost=lost,
        problems=(failed,) if lost else (),
        notes=tuple(notes),
    )


def _backend() -> Any:
    """Open a database for one trace, as a trace reader does: in memory, spilling to a folder of its own."""
    import ibis

    spill = Path(tempfile.gettempdir()) / f"breakeven-{uuid.uuid4().hex}"
    backend = ibis.duckdb.connect(temp_directory=str(spill))
    backend.raw_sql("SET TimeZone = 'UTC'")
    return backend


def _load(backend: Any, connection: sqlite3.Connection) -> None:
    """Bring series and attempts over, and join them there."""
    import pyarrow as pa

    from breakeven.traffic.sql import ask

    labels = pa.schema(
        [("series", pa.int64())]
        + [(name, pa.string()) for name in ("model", "target", "key", "task", "tags")]
        + [("processing_code", pa.int64()), ("estimated", pa.int64())]
    )
    counts = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    facts = pa.schema(
        [("received_us", pa.int64()), ("series", pa.int64())]
        + [(name, pa.int64()) for name in counts]
        + [("episode", pa.string())]
    )
    for table, schema, cursor in (
        ("series", labels, connection.execute(_SERIES, _ANSWERED)),
        ("attempt", facts, connection.execute(_ATTEMPTS)),
    ):
        reader = pa.RecordBatchReader.from_batches(schema, _batches(cursor, schema))
        backend.con.register("incoming", reader)
        ask(backend, f"CREATE TABLE {table} AS SELECT * FROM incoming")  # noqa: S608 - two names from here
        backend.con.unregister("incoming")
    ask(
        backend,
        "CREATE VIEW answered AS SELECT make_timestamp(received_us) AT TIME ZONE 'UTC' AS time, "
        "received_us AS at_us, * FROM attempt JOIN series USING (series)",
    )


def _batches(cursor: sqlite3.Cursor, schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    while found := cursor.fetchmany(BATCH_ROWS):
        columns = zip(*found, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
