"""Reads rows for the ledger: an export with everything that it says, any other trace with what it knows."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger import rows
from breakeven.ledger.export import ExportedAttempt
from breakeven.ledger.ids import ATTEMPTS, request_id
from breakeven.ledger.intake import BATCH_ROWS, Incoming

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

IMPORTED: Final = "import:"
"""What a row from elsewhere has in place of a policy's reason, with its source: what ``--where decision=`` finds."""

_NO_ANSWER: Final = "failed"
_REPEATED: Final = "retry"
_MOST: Final = (1 << 32) - 1
_LABELS: Final = ("key", "task", "tags", "model", "target", "priced_as", "decision", "fallback", "failure")
_OWN_MOMENTS: Final = ("time", "queued_at", "first_byte_at", "ended_at")
_OWN_NUMBERS: Final = (
    "attempt", "status", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"
)  # fmt: skip
_OWN_FLAGS: Final = ("estimated", "streamed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What is said of a file by whoever imports it."""

    source: str
    """What its rows are called after."""

    provider: str = ""
    """Who sold the models; empty: as the rows say, else the likeliest seller of each."""

    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    tolerate_fraction: float = 0.05


class Reading(NamedTuple):
    """Rows by time, and what has to be told of the file they are from."""

    rows: Iterator[Incoming]
    notes: tuple[str, ...]


def read_rows(path: Path, options: ImportOptions) -> Reading:
    """Read the rows of one file.  Raises ``InputError`` where it has none that can be used."""
    source = options.source
    if is_export(path):
        return Reading(_own_rows(path, source), ())
    from breakeven.traffic.read import read_trace

    trace = read_trace(
        [path], mapping=dict(options.columns), zone=options.zone, tolerate_fraction=options.tolerate_fraction
    )
    if trace.kind != "trace":
        raise InputError(
            f"{path} holds {'windows of totals' if trace.kind == 'windows' else 'a bill'}, and the ledger keeps single "
            "requests. Import a log of requests; `breakeven plan` reads totals as they are."
        )
    problems = (str(problem) for problem in trace.problems)
    return Reading(_trace_rows(trace.table, source, _Sellers(options.provider)), (*trace.notes, *problems))


def is_export(path: Path) -> bool:
    """Whether a file is an export of a ledger, by the names of its columns."""
    names = path.name.removesuffix(".gz")
    try:
        if names.endswith(".parquet"):
            import pyarrow.parquet as pq

            found = list(pq.read_schema(path).names)
        elif names.endswith((".csv", ".jsonl")):
            opened = gzip.open if path.name.endswith(".gz") else open
            with opened(path, "rt", encoding="utf-8") as file:
                line = file.readline(100_000)
            found = next(csv.reader([line])) if names.endswith(".csv") else list(json.loads(line))
        else:
            return False
    except (OSError, ValueError, StopIteration):  # the readers of traces say what is wrong with it
        return False
    return set(found) == set(ExportedAttempt._fields)


class _Sellers:
    """Under which name a model's prices are looked up."""

    __slots__ = ("_known", "_provider")

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._known: dict[tuple[str, str], str] = {}

    def name(self, target: str, model: str) -> str:
        """Return ``provider:model``; empty where nobody knows."""
        if (target, model) not in self._known:
            self._known[target, model] = self._find(target, model)
        return self._known[target, model]

    def _find(self, target: str, model: str) -> str:
        if self._provider:
            return f"{self._provider}:{model}" if model else ""
        if ":" in target:
            return target
        from breakeven.sources.genai import price_list

        try:
            return price_list(model).target if model else ""
        except UnknownNameError:
            return ""


def _trace_rows(table: Any, source: str, sellers: _Sellers) -> Iterator[Incoming]:
    """Yield a trace's requests by time; of one moment always in the same order."""
    from breakeven.traffic.schema import PREFIX_BLOCKS, REQUEST_COLUMNS, TIME

    names = [name for name in REQUEST_COLUMNS if name not in (TIME, PREFIX_BLOCKS)]
    backend = table.get_backend()
    chosen = f"SELECT epoch_us({TIME}), {', '.join(names)} FROM ({backend.compile(table)})"  # noqa: S608 - names from here
    found = backend.raw_sql(f"{chosen} ORDER BY ALL")
    while batch := found.fetchmany(BATCH_ROWS):
        yield from (_of_trace(at_us, dict(zip(names, said, strict=True)), source, sellers) for at_us, *said in batch)


def _of_trace(at_us: int, row: Mapping[str, Any], source: str, sellers: _Sellers) -> Incoming:
    said = {name: row[name] or "" for name in ("key", "task", "tags", "model", "target")}
    failed = bool(row["failed"])
    labels = (
        *said.values(),
        sellers.name(said["target"], said["model"]),
        f"{IMPORTED}{source}",
        _REPEATED if row["retry"] else "",
        _NO_ANSWER if failed else "",
    )
    return Incoming(
        attempt_id=None,
        received_us=at_us,
        queued_us=rows.UNKNOWN_US,
        first_byte_us=rows.UNKNOWN_US,
        ended_us=0,
        labels=labels,
        status=0,
        outcome=rows.FAILED if failed else rows.OK,
        processing=rows.PROCESSINGS.index(row["processing"] or "standard"),
        flags=0,
        tokens=_tokens(row),
        episode=row["episode"] or "",
    )


def _own_rows(path: Path, source: str) -> Iterator[Incoming]:
    """Yield the rows of an export, which stand in it by time."""
    import duckdb

    kinds = {
        **dict.fromkeys(_OWN_MOMENTS, "TIMESTAMPTZ"),
        **dict.fromkeys(_OWN_NUMBERS, "BIGINT"),
        **dict.fromkeys(_OWN_FLAGS, "BOOLEAN"),
    }
    names = ExportedAttempt._fields
    chosen = ", ".join(
        f"epoch_us({name}::TIMESTAMPTZ)" if name in _OWN_MOMENTS else f"{name}::{kinds.get(name, 'VARCHAR')}"
        for name in names
    )
    with duckdb.connect() as connection:
        try:
            found = connection.execute(f"SELECT {chosen} FROM {_reader(path)}", [str(path)])  # noqa: S608 - names from here
            while batch := found.fetchmany(BATCH_ROWS):
                yield from (_of_export(dict(zip(names, row, strict=True)), source) for row in batch)
        except (duckdb.Error, ValueError, TypeError) as error:
            raise InputError(f"{path} looks like an export of a ledger, but cannot be read as one: {error}") from error


def _reader(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return "read_parquet(?)"
    if name.endswith(".csv"):
        return "read_csv(?, header = true, delim = ',', quote = '\"', escape = '\"', all_varchar = true)"
    columns = ", ".join(f"{column}: 'VARCHAR'" for column in ExportedAttempt._fields)
    return f"read_json(?, format = 'newline_delimited', columns = {{{columns}}})"


def _of_export(row: dict[str, Any], source: str) -> Incoming:
    at_us = row["time"]
    row["decision"] = " ".join(filter(None, (f"{IMPORTED}{source}", row["decision"])))
    return Incoming(
        attempt_id=request_id(row["request_id"]) + row["attempt"] % ATTEMPTS,
        received_us=at_us,
        queued_us=_later(at_us, row["queued_at"]),
        first_byte_us=_later(at_us, row["first_byte_at"]),
        ended_us=_later(at_us, row["ended_at"]),
        labels=tuple(row[name] or "" for name in _LABELS),
        status=row["status"] or 0,
        outcome=rows.OUTCOMES.index(row["outcome"]),
        processing=rows.PROCESSINGS.index(row["processing"]),
        flags=row["estimated"] * rows.ESTIMATED | row["streamed"] * rows.STREAMED,
        tokens=_tokens(row),
        episode=row["episode"] or "",
    )


def _later(at_us: int, moment_us: int | None) -> int:
    return rows.UNKNOWN_US if moment_us is None else min(max(moment_us - at_us, 0), _MOST)


def _tokens(row: Mapping[str, Any]) -> tuple[int, int, int, int]:
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    given, cached, written, output = (min(max(row[name], 0), _MOST) for name in names)
    return given, cached, written, output
