"""The durable record of files and batches: one SQLite file, and the contents beside it.

WAL with ``synchronous=NORMAL``, as the ledger's store: what was committed survives kill -9 of any process.  A batch's
progress and the size of its results are committed together, so results that were written without being counted are cut
off at the next start, and no line is answered twice or never.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.batches.records import ENDED, Batch, Line, StoredFile

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

BUSY_S: Final = 30.0
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS file (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, filename TEXT NOT NULL,
        purpose TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,
        sensitivities TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX IF NOT EXISTS file_owner ON file (owner, number)",
    """CREATE TABLE IF NOT EXISTS batch (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
        ended INTEGER NOT NULL, input_file TEXT NOT NULL, content BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS batch_owner ON batch (owner, number)",
    "CREATE INDEX IF NOT EXISTS batch_open ON batch (number) WHERE ended = 0",
    # Lines that were taken from an input file and have no result yet.
    """CREATE TABLE IF NOT EXISTS open_line (
        batch INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        tries INTEGER NOT NULL, as_call INTEGER NOT NULL, PRIMARY KEY (batch, number)
    ) WITHOUT ROWID""",
    # What a provider's batch API was given, and has not answered yet.
    """CREATE TABLE IF NOT EXISTS job (
        number INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, content BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS sent_line (
        job INTEGER NOT NULL, digest BLOB NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, PRIMARY KEY (job, digest)
    ) WITHOUT ROWID""",
)
_FILE: Final = "id, owner, filename, purpose, size_bytes, created_s, expires_s, sensitivities"
_MARKED: Final = "ALTER TABLE file ADD COLUMN sensitivities TEXT NOT NULL DEFAULT ''"
"""What stores lack that were made before files kept their marks."""

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound


class Store:
    """Files and batches of one gateway."""

    def __init__(self, folder: Path) -> None:
        """Open it, and make it where there is none."""
        self.folder = folder
        self.contents = folder / "files"
        self.contents.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.connection = sqlite3.connect(
            folder / "batches.sqlite", timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", *_TABLES):
            self.connection.execute(statement)
        if "sensitivities" not in {row[1] for row in self.connection.execute("PRAGMA table_info(file)")}:
            self.connection.execute(_MARKED)

    def close(self) -> None:
        """Let go of it."""
        self.connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit what is done within, all or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # SQLite ends it by itself when the disk is full
                self.connection.execute("ROLLBACK")
            raise

    # Files

    def path(self, file: str) -> Path:
        """Return where the content of a file is."""
        return self.contents / file

    def add_file(self, file: StoredFile) -> None:
        """Note a file whose content is there."""
        self.connection.execute(
            f"INSERT OR IGNORE INTO file ({_FILE}) VALUES (?,?,?,?,?,?,?,?)",
            (*msgspec.structs.astuple(file)[:-1], ",".join(file.sensitivities)),
        )

    def file(self, name: str, owner: str) -> StoredFile | None:
        """Return a file of this owner's."""
        row = self.connection.execute(f"SELECT {_FILE} FROM file WHERE id = ? AND owner = ?", (name, owner)).fetchone()
        return _file(row) if row else None

    def files(
        self, owner: str, purpose: str | None, after: str | None, limit: int, *, newest: bool
    ) -> list[StoredFile]:
        """Return so many files of an owner's from behind another one."""
        clause, values = _page("file", owner, after, newest=newest)
        if purpose is not None:
            clause = clause.replace(" ORDER", " AND purpose = ? ORDER")
            values.append(purpose)
        rows = self.connection.execute(f"SELECT {_FILE} FROM file {clause} LIMIT ?", (*values, limit))
        return [_file(row) for row in rows]

    def stored_bytes(self, owner: str) -> int:
        """Return what is kept of an owner's files."""
        row = self.connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM file WHERE owner = ?", (owner,))
        total: int = row.fetchone()[0]
        return total

    def delete_file(self, name: str) -> None:
        """Forget a file and its content."""
        self.connection.execute("DELETE FROM file WHERE id = ?", (name,))
        self.path(name).unlink(missing_ok=True)

    def is_in_use(self, name: str) -> bool:
        """Whether some batch still reads it."""
        found = self.connection.execute("SELECT 1 FROM batch WHERE ended = 0 AND input_file = ?", (name,))
        return found.fetchone() is not None

    def expired_files(self, now_s: float) -> list[str]:
        """Return the files whose time is over, and which nothing reads."""
        rows = self.connection.execute(
            "SELECT id FROM file WHERE expires_s <= ? AND id NOT IN (SELECT input_file FROM batch WHERE ended = 0)",
            (now_s,),
        )
        return [name for (name,) in rows]

    def forget_strays(self, in_work: Container[str]) -> None:
        """Remove contents that nobody knows of: whoever wrote them died before noting them, or after forgetting them.

        ``in_work`` are the files of batches that have not ended.  Nobody may be taking uploads meanwhile.
        """
        known = {name for (name,) in self.connection.execute("SELECT id FROM file")}
        for path in self.contents.iterdir():
            is_upload = path.name.startswith(".") and path.name.endswith(".new")
            if is_upload or not (path.name.startswith(".") or path.name in known or path.name in in_work):
                path.unlink()

    # Batches

    def add_batch(self, batch: Batch) -> None:
        """Note a new batch, and give it its number."""
        with self.together():
            done = self.connection.execute(
                "INSERT INTO batch (id, owner, ended, input_file, content) VALUES (?,?,0,?,'')",
                (batch.id, batch.owner, batch.input_file),
            )
            batch.number = int(done.lastrowid or 0)
            self.write(batch)

    def change(self, batch: Batch, **fields: Any) -> None:
        """Change a batch in the store, and only then in memory: it is as it was where the store takes nothing."""
        self.write(msgspec.structs.replace(batch, **fields))
        for name, value in fields.items():
            setattr(batch, name, value)

    def write(self, batch: Batch) -> None:
        """Keep a batch as it is now."""
        self.connection.execute(
            "UPDATE batch SET content = ?, ended = ? WHERE number = ?",
            (msgspec.msgpack.encode(batch), batch.status in ENDED, batch.number),
        )

    def batch(self, name: str, owner: str) -> Batch | None:
        """Return a batch of this owner's."""
        row = self.connection.execute("SELECT content FROM batch WHERE id = ? AND owner = ?", (name, owner)).fetchone()
        return _batch(row[0]) if row else None

    def batches(self, owner: str, after: str | None, limit: int) -> list[Batch]:
        """Return so many batches of an owner's, the newest first, from behind another one."""
        clause, values = _page("batch", owner, after, newest=True)
        rows = self.connection.execute(f"SELECT content FROM batch {clause} LIMIT ?", (*values, limit))
        return [_batch(row[0]) for row in rows]

    def open_batches(self) -> list[Batch]:
        """Return all that have not ended, the oldest first."""
        rows = self.connection.execute("SELECT content FROM batch WHERE ended = 0 ORDER BY number")
        return [_batch(row[0]) for row in rows]

    def open_lines(self, batch: int) -> list[Line]:
        """Return the lines of a batch that were taken and have no result."""
        rows = self.connection.execute(
            "SELECT number, offset, size_bytes, tries, as_call FROM open_line WHERE batch = ? ORDER BY number", (batch,)
        )
        return [Line(row[0], row[1], row[2], row[3], as_call=bool(row[4])) for row in rows]

    def put_lines(self, batch: int, lines: Iterable[Line]) -> None:
        """Note lines that were taken."""
        rows = [(batch, *msgspec.structs.astuple(line)) for line in lines]
        self.connection.executemany("INSERT OR REPLACE INTO open_line VALUES (?,?,?,?,?,?)", rows)

    def drop_lines(self, batch: int, numbers: Iterable[int]) -> None:
        """Forget lines that have their results."""
        rows = [(batch, number) for number in numbers]
        self.connection.executemany("DELETE FROM open_line WHERE batch = ? AND number = ?", rows)


def _page(table: str, owner: str, after: str | None, *, newest: bool) -> tuple[str, list[Any]]:
    order, sign = ("DESC", "<") if newest else ("ASC", ">")
    clause, values = "WHERE owner = ?", [owner]
    if after is not None:
        clause += f" AND number {sign} (SELECT number FROM {table} WHERE id = ? AND owner = ?)"
        values += [after, owner]
    return f"{clause} ORDER BY number {order}", values


def _file(row: tuple[Any, ...]) -> StoredFile:
    *told, marks = row
    names = _FILE.split(", ")[:-1]
    return StoredFile(**dict(zip(names, told, strict=True)), sensitivities=tuple(marks.split(",")) if marks else ())


def _batch(content: bytes) -> Batch:
    return msgspec.msgpack.decode(content, type=Batch)
