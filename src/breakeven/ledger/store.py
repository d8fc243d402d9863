"""The store: one SQLite file, opened in a way that survives kill -9, with what a writer needs of it.

WAL with ``synchronous=NORMAL``: a commit is in the kernel's page cache when it returns, so kill -9 of any
process loses nothing.  Power loss may lose the last commits (never half of one); a spool segment is removed
only after ``sync()``, so that rows moved long ago are not among them.  Opens no file that is not named.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger import outbox
from breakeven.ledger.rollups import add_cells
from breakeven.ledger.schema import SERIES_COLUMNS, VERSION, check_version, make_tables, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from breakeven.ledger.cards import KnownCard

BUSY_S: Final = 1.0
"""How long another writer (a key being made, say) is waited for."""

ROWS_PER_INSERT: Final = 50
"""Rows of one statement: 0.7 µs a row less than one by one, most of it in the binding's own loop."""

_MAX_KNOWN: Final = 200_000
_CANNOT_SHARE: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)

# ruff: noqa: S608 - the names in these statements stand in this package, and values are bound
_ROW: Final = "(?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_ONE: Final = f"INSERT INTO attempt VALUES {_ROW}"
_INSERT_MANY: Final = f"INSERT INTO attempt VALUES {','.join([_ROW] * ROWS_PER_INSERT)}"
_FACTS: Final = (
    "SELECT received_us, ended_us, input_tokens, output_tokens, text FROM attempt JOIN series s ON s.id = series "
    "LEFT JOIN text ON text.id = s.decision WHERE attempt_id = ?"
)
_FIND_SERIES: Final = f"SELECT id FROM series WHERE {' AND '.join(f'{name} = ?' for name in SERIES_COLUMNS)}"
_ADD_SERIES: Final = f"INSERT INTO series VALUES (NULL{',?' * len(SERIES_COLUMNS)})"

AttemptRow = tuple[int, int, int, int, int, int, int, int, int, int, str | None]
"""A row of ``attempt``: id, four times, series, four token counts, episode."""

SeriesKey = tuple[int | str, ...]
"""Values of ``SERIES_COLUMNS``."""


class StoreMissingError(InputError):
    """There is no store at that path."""


def connect(path: Path, *, create: bool = False, read_only: bool = False, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Open a store in autocommit mode, and make it where ``create`` allows.

    Raises ``StoreMissingError``, ``InputError`` for a file that is no store of this version, and
    ``sqlite3.Error`` where the file cannot be used (``trouble_of`` puts that into words).
    """
    if not create and not path.is_file():
        raise StoreMissingError(
            f"There is no ledger at {path}. Start the gateway (breakeven up) with that ledger, or name another "
            "with --ledger FOLDER or --config FILE."
        )
    if create:
        with suppress(OSError):  # SQLite says it better
            path.parent.mkdir(parents=True, exist_ok=True)
    mode = "ro" if read_only else "rwc" if create else "rw"
    try:
        return _opened(path, f"mode={mode}", create=create, busy_s=busy_s)
    except sqlite3.OperationalError as error:
        if not (read_only and _is_whole_alone(path) and error.sqlite_errorcode & 0xFF in _CANNOT_SHARE):
            raise
        # Readers of a WAL share a file beside the store, which cannot be made in a folder that is read-only.
        # There is no WAL either, so nobody can be writing, and the store may be read as it lies.
        return _opened(path, "mode=ro&immutable=1", create=False, busy_s=busy_s)


def _opened(path: Path, how: str, *, create: bool, busy_s: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, create=create)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_whole_alone(path: Path) -> bool:
    """Whether the file holds everything: there is no WAL beside it."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        return not wal.stat().st_size
    except OSError:
        return True


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    if not check_version(connection, path):
        if not create:
            raise StoreMissingError(f"{path} is empty. Start the gateway (breakeven up) to fill it.")
        connection.execute("PRAGMA journal_mode = WAL")
        make_tables(connection)
    elif connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
        _upgrade(path)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -8000")


def sync_store(path: Path) -> None:
    """Bring everything committed to the disk itself.  Raises ``OSError``.

    That is the WAL: pages that have left it were brought there by SQLite before.  The store's own file must not be
    opened beside SQLite: to close a file gives up all locks of the process on it, SQLite's too. Then another process
    that closes the store takes the WAL away from under this one, and what is committed to it later is lost.
    """
    with suppress(FileNotFoundError):  # there is no WAL once the last one who used it has let go
        file = os.open(f"{path}-wal", os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _upgrade(path: Path) -> None:
    """Bring an older store up to date, whoever opens it first: readers too, which must not wait for a writer."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10, isolation_level=None)
    with closing(connection):
        upgrade(connection)


def trouble_of(path: Path, error: sqlite3.Error) -> str:
    """Say in one sentence why a store cannot be used, and what to do."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what, fix = {
        sqlite3.SQLITE_BUSY: ("is locked by another process", "End what holds it."),
        sqlite3.SQLITE_LOCKED: ("is locked by another process", "End what holds it."),
        sqlite3.SQLITE_READONLY: ("cannot be written (read-only)", "Make file and folder writable."),
        sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Free some space."),
        sqlite3.SQLITE_IOERR: ("cannot be read or written", "Look after the disk; it may be full."),
        sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Look whether its folder is there and may be used."),
        sqlite3.SQLITE_CORRUPT: ("is damaged", "Put a backup in its place; the spool keeps what is newer."),
        sqlite3.SQLITE_NOTADB: ("is no SQLite database", "Put a backup in its place, or move it away."),
    }.get(primary, ("cannot be used", ""))
    return f"The store {path} {what} ({error}). {fix}".strip()


class Store:
    """The writer's view of one store: numbers of texts, series and cards, and one transaction at a time.

    It is opened by the first ``begin``, made when it is not there.  Once it was seen, its absence is an
    error: a volume that was taken away must not be answered with an empty store in its place.
    """

    __slots__ = ("_busy_s", "_cards", "_connection", "_identity", "_series", "_tells", "_texts", "_told", "path")

    def __init__(self, path: Path, *, busy_s: float = BUSY_S, tells: bool | None = None) -> None:
        """Take its path; ``tells``: whether somebody outside is to be told what comes, None: as the store says."""
        self.path = path
        self._tells = tells
        self._told: bool | None = None
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._texts: dict[tuple[int, str], int] = {}
        self._series: dict[SeriesKey, int] = {}
        self._cards: set[str] = set()

    def begin(self) -> None:
        """Begin a transaction.  Raises ``sqlite3.Error`` or ``InputError`` when the store cannot be used."""
        if self._identity is not None and self._identity != _identity(self.path):
            self.give_up()
            self._check_seen()
        if self._connection is None:
            _align_modes(self.path)
            connection = connect(self.path, create=self._identity is None, busy_s=self._busy_s)
            # Pages wait in the WAL until there are 4,000 (16 MB): pages that are written often are copied once.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            self._connection = connection
            self._identity = _identity(self.path)
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction: what it did survives kill -9 from here on."""
        self.connection.execute("COMMIT")
        for known in (self._texts, self._series):
            if len(known) > _MAX_KNOWN:
                known.clear()

    def give_up(self) -> None:
        """Undo the transaction, and forget everything that was learnt from the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
        self._texts.clear()
        self._series.clear()
        self._cards.clear()
        self._told = None

    close = give_up

    def sync(self) -> None:
        """Bring everything committed to the disk itself, so that power loss does not undo it."""
        sync_store(self.path)

    def positions(self) -> dict[str, int]:
        """Return how many bytes of each segment have been moved."""
        return dict(self.connection.execute("SELECT segment, moved_bytes FROM spool_position"))

    def set_position(self, segment: str, moved_bytes: int) -> None:
        """Take down how far a segment has been moved: in the transaction that moves its rows."""
        self.connection.execute("INSERT OR REPLACE INTO spool_position VALUES (?, ?)", (segment, moved_bytes))

    def forget_position(self, segment: str) -> None:
        """Drop the position of a segment that has been removed."""
        self.connection.execute("DELETE FROM spool_position WHERE segment = ?", (segment,))

    def text_id(self, kind: int, text: str) -> int:
        """Return the number of a text, which is given one when it is new; 0 for the empty text."""
        if not text:
            return 0
        found = self._texts.get((kind, text))
        if found is None:
            row = self.connection.execute("SELECT id FROM text WHERE kind = ? AND text = ?", (kind, text)).fetchone()
            found = row[0] if row else self._insert("INSERT INTO text VALUES (NULL, ?, ?)", (kind, text))
            self._texts[kind, text] = found
        return found

    def series_id(self, key: SeriesKey) -> int:
        """Return the number of a series, which is given one when it is new."""
        found = self._series.get(key)
        if found is None:
            row = self.connection.execute(_FIND_SERIES, key).fetchone()
            found = row[0] if row else self._insert(_ADD_SERIES, key)
            self._series[key] = found
        return found

    def keep_card(self, card: KnownCard) -> None:
        """Write a rate card down, once."""
        if card.id not in self._cards:
            self.connection.execute("INSERT OR IGNORE INTO rate_card VALUES (?, ?)", (card.id, card.content))
            self._cards.add(card.id)

    def keep_lists(self, lists: Iterable[tuple[str, str]]) -> None:
        """Write price lists down: target and content, in place of what was known of that target before."""
        self.connection.executemany("INSERT OR REPLACE INTO price_list VALUES (?, ?)", lists)

    def insert_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Insert attempts.  Raises ``sqlite3.IntegrityError`` when one of them is there already."""
        whole = len(rows) // ROWS_PER_INSERT * ROWS_PER_INSERT
        if whole:
            flat = [value for row in rows[:whole] for value in row]
            step = ROWS_PER_INSERT * len(rows[0])
            self.connection.executemany(_INSERT_MANY, [flat[at : at + step] for at in range(0, len(flat), step)])
        self.connection.executemany(_INSERT_ONE, rows[whole:])

    def tell(self, rows: Sequence[AttemptRow]) -> None:
        """Take attempts down for those who are to be told of them, if anybody is."""
        if self._is_told():
            outbox.ATTEMPTS.put(self.connection, [row[0] for row in rows])

    def tell_outcomes(self, outcome_ids: Sequence[str]) -> None:
        """Take outcomes down for the same."""
        if self._is_told():
            outbox.OUTCOMES.put(self.connection, outcome_ids)

    def attempt(self, attempt_id: int) -> tuple[int, ...] | None:
        """Return what tells an attempt from another one: received, ended, input, output; None when unknown."""
        row: tuple[int, ...] | None = self.connection.execute(
            "SELECT received_us, ended_us, input_tokens, output_tokens FROM attempt WHERE attempt_id = ?", (attempt_id,)
        ).fetchone()
        return row

    def facts(self, attempt_id: int) -> tuple[int, int, int, int, str | None] | None:
        """Return the same, and the decision; None when unknown."""
        row: tuple[int, int, int, int, str | None] | None = self.connection.execute(_FACTS, (attempt_id,)).fetchone()
        return row

    def add_to_hours(self, sums: Iterable[tuple[int, ...]]) -> None:
        """Add (hour, series, attempts, four token sums) to the roll-ups."""
        add_cells(self.connection, sums)

    @property
    def connection(self) -> sqlite3.Connection:
        """The store itself, inside a transaction that ``begin`` began."""
        assert self._connection is not None, "begin() comes first"
        return self._connection

    def _is_told(self) -> bool:
        if self._told is None:
            self._told = outbox.settle(self.connection, wanted=self._tells)
        return self._told

    def _insert(self, statement: str, values: Sequence[int | str]) -> int:
        number = self.connection.execute(statement, values).lastrowid
        assert number is not None
        return number

    def _check_seen(self) -> None:
        """Refuse to go on where the file that was written is no longer there."""
        if _identity(self.path) is None:
            raise StoreMissingError(
                f"The store {self.path} is gone since it was last written. Put it back; to begin a new one, "
                "start the gateway again."
            )


def _align_modes(path: Path) -> None:
    """Give WAL and shared memory the store's mode: made while it was read-only, they would stay so for ever."""
    for ending in ("-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        with suppress(OSError):  # there is none; or it is another user's, which the next statement will tell
            mode = path.stat().st_mode
            if beside.stat().st_mode != mode:
                beside.chmod(mode)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
