"""What is fuzzed, and what must hold: every reader of logs, and the loader of scenarios.

Each target takes the bytes of one case and returns how it ended; whatever may not happen raises ``Violation``.
The readers are those of the registry and their seeds the fixtures in ``tests/traffic/fixtures``, in the folder
named like the reader's module: a file is a seed by itself, a folder in it a seed of files that are given together.
Reports of costs are fuzzed beside the usage that they belong to.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from unittest import mock

import duckdb
import ibis
from ibis.backends.sql.datatypes import DuckDBType
from ibis.expr.operations import DatabaseTable
from mutations import SECRET

from breakeven.errors import BreakevenError
from breakeven.sources.catalogue import load_book
from breakeven.sources.scenario import own_assumptions, read_scenario, stated_profile
from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.readers import READERS, detect
from breakeven.traffic.schema import REQUESTS, TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from breakeven.catalog.book import Book
    from breakeven.traffic.trace import Trace

TESTS: Final = Path(__file__).parents[1]
FIXTURES: Final = TESTS / "traffic" / "fixtures"
SCENARIO: Final = TESTS.parent / "docs" / "examples" / "scenario.yaml"

COSTS: Final = {"openai_cost": "openai_usage", "anthropic_cost": "anthropic_usage"}
"""Reports of costs and the usage beside which they are given: folders of fixtures."""

MOST_MESSAGE_CHARACTERS: Final = 12_000
MOST_LINE_CHARACTERS: Final = 1_500
"""Of a message about a file of a few dozen rows: some problems of each kind, a few hundred characters each."""

Files = tuple[tuple[str, bytes], ...]
"""Names and contents of files that are given together."""


class Violation(Exception):  # noqa: N818 - it is no error of the program's, it is what was looked for
    """Something happened that may not."""


class Target(Protocol):
    """Something to fuzz."""

    @property
    def name(self) -> str:
        """What it is called in commands and reports."""
        ...

    @property
    def seeds(self) -> tuple[Files, ...]:
        """What cases are made of."""
        ...

    def run(self, files: Files, *, strict: bool) -> str:
        """Return how the case ended, ``read`` or ``refused``; ``strict`` accepts no lost rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderTarget:
    """One format of log, read as the command line reads it; ``reader`` is what the reader calls itself.

    What was read strictly is summed up too: not all of it, because a profile takes longer than all the rest.
    """

    name: str
    reader: str
    seeds: tuple[Files, ...]

    def run(self, files: Files, *, strict: bool) -> str:
        with _written(files) as paths:
            try:
                trace = read_trace(paths, tolerate_fraction=0.05 if strict else 1.0)
            except BreakevenError as error:
                check_message(str(error))
                return "refused"
            check_trace(trace)
            if strict:
                check_profile(trace)
            return "read" if self._is_reader_of(paths) else "read as another format"

    def _is_reader_of(self, paths: Sequence[Path]) -> bool:
        return any(detect(read_head(path), Options()).name == self.reader for path in paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTarget:
    """The loader of scenarios, up to the figures that it takes from one."""

    name: str
    seeds: tuple[Files, ...]

    def run(self, files: Files, *, strict: bool) -> str:  # noqa: ARG002 - the protocol's signature
        with _written(files) as paths:
            try:
                scenario, document = read_scenario(paths[0])
                own_assumptions(scenario, document, _book(), date(2026, 11, 20))
                stated_profile(scenario)
            except BreakevenError as error:
                check_message(str(error), secret=None)
                return "refused"
            return "read"


def targets() -> dict[str, Target]:
    """Return everything that is fuzzed, by name."""
    readers = [
        ReaderTarget(name=folder, reader=name, seeds=seeds_of(folder)) for folder, name in reader_names().items()
    ]
    costs = [
        ReaderTarget(name=folder, reader=reader_names()[usage], seeds=_together(seeds_of(usage), seeds_of(folder)))
        for folder, usage in COSTS.items()
    ]
    scenario = ScenarioTarget(name="scenario", seeds=((_file(SCENARIO),),))
    every: tuple[Target, ...] = (*readers, *costs, scenario)
    return {target.name: target for target in every}


def reader_names() -> dict[str, str]:
    """Return the name of every reader in the registry, by the name of its module."""
    return {type(reader).__module__.rpartition(".")[2]: reader.name for reader in READERS}


def seeds_of(folder_name: str) -> tuple[Files, ...]:
    """Return the fixtures in a folder."""
    folder = FIXTURES / folder_name
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(
        tuple(_file(path) for path in sorted(entry.iterdir())) if entry.is_dir() else (_file(entry),)
        for entry in entries
        if entry.suffix != ".md"
    )


def check_message(message: str, secret: str | None = SECRET) -> None:
    """Raise where a message could not be shown to a person."""
    if not message.strip():
        raise Violation("a message without a word")
    if message != message.encode("utf-8", "replace").decode():
        raise Violation(f"a message that no terminal can show: {message[:300]!r}")
    if len(message) > MOST_MESSAGE_CHARACTERS:
        raise Violation(f"a message of {len(message):,} characters: {message[:300]!r}...")
    longest = max(message.splitlines(), key=len)
    if len(longest) > MOST_LINE_CHARACTERS:
        raise Violation(f"a line of {len(longest):,} characters: {longest[:300]!r}...")
    if secret and secret in message:
        raise Violation(f"a message that tells a secret: {message[:600]!r}")


def check_trace(trace: Trace) -> None:
    """Raise where the figures of a trace cannot be."""
    if not 0 <= trace.rows_lost <= trace.rows_read:
        raise Violation(f"{trace.rows_lost} rows lost of {trace.rows_read}")
    for text in (*trace.notes, *map(str, trace.problems)):
        check_message(text)
    names = [name for name in (*TOKEN_COLUMNS, REQUESTS) if name in trace.table.columns]
    rows = _rows(trace)
    if trace.kind == "trace" and rows.num_rows != trace.rows_read - trace.rows_lost:
        raise Violation(f"{rows.num_rows} rows of {trace.rows_read} read and {trace.rows_lost} lost")
    for name in names:
        values = [value for value in rows[name].to_pylist() if value is not None]
        if any(value < 0 for value in values):
            raise Violation(f"{name} is negative: {min(values)}")


def check_profile(trace: Trace) -> None:
    """Raise where the sums of a trace contradict its rows; a refusal must be fit to be read."""
    try:
        summed = profile(trace)
    except BreakevenError as error:
        check_message(str(error))
        return
    rows = _rows(trace)
    for name in TOKEN_COLUMNS:
        told = getattr(summed.usage, name)
        counted = sum(rows[name].to_pylist())
        in_cells = sum(getattr(cell.usage, name) for cell in summed.cells)
        if not told == counted == in_cells:
            raise Violation(f"the profile has {told} {name}, its cells {in_cells}, the rows {counted}")
    for note in summed.notes:
        check_message(note)
    for value in _figures(asdict(summed)):
        if not math.isfinite(value):
            raise Violation(f"a figure of the profile is {value}")


def _figures(values: Any) -> Iterator[float]:
    if isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _figures(value)
    elif isinstance(values, float):
        yield values


def _rows(trace: Trace) -> Any:
    """Return the trace's table, of which Ibis makes SQL once for all that are alike: that takes longer than to read."""
    sources = trace.table.op().find(DatabaseTable)
    alike = (trace.kind, *((source.name, source.schema) for source in sources))
    if alike not in _QUERIES:
        _QUERIES[alike] = str(ibis.to_sql(trace.table))
    return sources[0].source.con.sql(_QUERIES[alike]).to_arrow_table()


_QUERIES: Final[dict[Any, str]] = {}


@contextmanager
def one_database() -> Iterator[None]:
    """Let every trace share one DuckDB, each with a connection of its own: making a database takes longer than a case.

    What is staged is temporary, and goes with its connection.  One thread, because two cases at a time use both
    cores better.  Queries are parsed once where cases ask the same (files of all cases lie in one folder), and so
    are the names of types.
    """
    backend = ibis.duckdb.connect()
    database = backend.con
    backend.raw_sql("SET threads = 1")
    type_of = cache(DuckDBType.from_string)
    statement_of = lru_cache(maxsize=2_000)(duckdb.extract_statements)

    def reconnected(**_settings: Any) -> Any:
        if backend.con is not database:
            backend.con.close()
        backend.con = database.cursor()
        return backend

    def raw_sql(query: Any, **_settings: Any) -> Any:
        for statement in statement_of(query if isinstance(query, str) else query.sql("duckdb")):
            cursor = backend.con.execute(statement)
        return cursor

    with (
        mock.patch.object(ibis.duckdb, "connect", reconnected),
        mock.patch.object(DuckDBType, "from_string", type_of),
        mock.patch.object(backend, "raw_sql", raw_sql),
    ):
        yield


def _together(first: tuple[Files, ...], second: tuple[Files, ...]) -> tuple[Files, ...]:
    """Return every pair of seeds, the names made different."""
    return tuple((*one, *((f"2-{name}", content) for name, content in other)) for one in first for other in second)


@cache
def _book() -> Book:
    return load_book()


@contextmanager
def _written(files: Files) -> Iterator[list[Path]]:
    folder = (_MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())) / f"fuzz-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    try:
        paths = [folder / name for name, _ in files]
        for path, (_, content) in zip(paths, files, strict=True):
            path.write_bytes(content)
        yield paths
    finally:
        shutil.rmtree(folder)


_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


def _file(path: Path) -> tuple[str, bytes]:
    return path.name, path.read_bytes()
