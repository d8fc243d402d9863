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
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.store import connect, trouble_of
from breakeven.wiring.ledger import find_ledger, move_rest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from breakeven.traffic.trace import Trace

SCHEME: Final = "ledger:"
"""What the name of a ledger begins with where a file could be named too."""

BATCH_ROWS: Final = 50_000

_ANSWERED: Final = (rows.OK, rows.CUT, rows.CLIENT_LEFT)
"""Outcomes after which no other target was tried: at most one attempt of a request has one."""

_LABELS: Final = ("model", "target", "key", "task", "tags", "processing", "estimated", "is_answered", "is_first")
_COUNTS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_ASKED: Final = f"coalesce(d.text, '') NOT IN {EVALUATION}"
"""Shadows and judges are requests of our own, and no traffic to plan for."""

# ruff: noqa: S608 - names and numbers from here
_SERIES: Final = f"""
    SELECT s.id, m.text, coalesce(r.text, p.text), k.text, t.text, g.text,
    CASE s.processing {" ".join(f"WHEN {code} THEN '{name}'" for code, name in enumerate(rows.PROCESSINGS))} END,
    s.flags & 1, s.outcome IN {_ANSWERED} AND {_ASKED}, s.fallback = 0 AND {_ASKED}
    FROM series s LEFT JOIN text m ON m.id = s.model LEFT JOIN text p ON p.id = s.target
    LEFT JOIN text r ON r.id = s.priced_as LEFT JOIN text k ON k.id = s.key
    LEFT JOIN text t ON t.id = s.task LEFT JOIN text g ON g.id = s.tags LEFT JOIN text d ON d.id = s.decision"""
_ATTEMPTS: Final = f"SELECT received_us, series, {', '.join(_COUNTS)}, episode FROM attempt ORDER BY attempt_id"

_IN_FILES: Final = f"""
    SELECT received_us, {", ".join(_COUNTS)}, episode, model, coalesce(priced_as, target) AS target, key, task, tags,
    processing, CAST(estimated AS BIGINT) AS estimated,
    CAST(outcome IN {tuple(rows.OUTCOMES[code] for code in _ANSWERED)} AND {_ASKED.replace("d.text", "decision")}
    AS BIGINT) AS is_answered,
    CAST(fallback IS NULL AND {_ASKED.replace("d.text", "decision")} AS BIGINT) AS is_first"""
"""Rows of closed days, in the words of the others."""


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
        with (
            reading(place.store) as days,
            closing(connect(place.store, read_only=True, busy_s=10)) as connection,
        ):
            connection.execute("BEGIN")
            files = [days / file.name for file in day_files(connection)]
            backend = _backend()
            _load(backend, connection)
            _load_files(backend, files)
    except sqlite3.Error as error:
        raise InputError(trouble_of(place.store, error)) from error
    return _trace(backend, f"{SCHEME}{place.store}", note)


def dominant_target(trace: Trace) -> str | None:
    """Return the ``provider:model`` that most tokens went to; None where no target has a price."""
    table = trace.table
    priced = table.filter(table.target.contains(":"))
    sums = priced.group_by("target").aggregate(tokens=(priced.input_tokens + priced.output_tokens).sum())
    found = sums.order_by(sums.tokens.desc()).limit(1).to_pyarrow().to_pylist()
    return str(found[0]["target"]) if found else None


def _trace(backend: Any, source: str, note: str) -> Trace:
    import ibis

    from breakeven.traffic.schema import AT_US, DETAILS, PROCESSING, REQUEST_COLUMNS, REQUEST_SCHEMA
    from breakeven.traffic.sql import ask
    from breakeven.traffic.trace import Trace

    answered = backend.table("answered")
    silent = {name: ibis.null(type_) for name, type_ in DETAILS.items() if name != PROCESSING}
    joined = answered.mutate(**silent)
    ((answered_count, estimated),) = ask(backend, "SELECT count(*), sum(estimated) FROM answered")
    ((requests,),) = ask(backend, "SELECT count(*) FROM attempt JOIN series USING (series) WHERE is_first = 1")
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
        + [(name, pa.string()) for name in _LABELS[:-3]]
        + [(name, pa.int64()) for name in _LABELS[-3:]]
    )
    facts = pa.schema(
        [("received_us", pa.int64()), ("series", pa.int64())]
        + [(name, pa.int64()) for name in _COUNTS]
        + [("episode", pa.string())]
    )
    for table, schema, cursor in (
        ("series", labels, connection.execute(_SERIES)),
        ("attempt", facts, connection.execute(_ATTEMPTS)),
    ):
        reader = pa.RecordBatchReader.from_batches(schema, _batches(cursor, schema))
        backend.con.register("incoming", reader)
        ask(backend, f"CREATE TABLE {table} AS SELECT * FROM incoming")
        backend.con.unregister("incoming")
    ask(
        backend,
        "CREATE VIEW answered AS SELECT make_timestamp(received_us) AT TIME ZONE 'UTC' AS time, "
        "received_us AS at_us, * FROM attempt JOIN series USING (series) WHERE is_answered = 1",
    )


def _load_files(backend: Any, files: Sequence[Path]) -> None:
    """Bring the rows of closed days over: their labels as series with numbers below zero."""
    if not files:
        return
    from breakeven.traffic.sql import ask, text

    names = ", ".join(_LABELS)
    found = f"({_IN_FILES} FROM read_parquet([{', '.join(text(str(path)) for path in files)}]))"
    ask(
        backend,
        f"INSERT INTO series SELECT -row_number() OVER (), {names} FROM (SELECT DISTINCT {names} FROM {found})",
    )
    same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM f.{name}" for name in _LABELS)
    ask(
        backend,
        f"INSERT INTO attempt SELECT received_us, s.series, {', '.join(_COUNTS)}, episode FROM {found} f "
        f"JOIN (SELECT * FROM series WHERE series < 0) s ON {same}",
    )


def _batches(cursor: sqlite3.Cursor, schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    while found := cursor.fetchmany(BATCH_ROWS):
        columns = zip(*found, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
