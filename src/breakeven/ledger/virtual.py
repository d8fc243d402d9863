"""Virtual pools on the ledger: the requests they are shown, and the hours that they would have had.

An hour is a fact beside a hash of all that it was worked out from: the sums of its requests and of the hour before,
and the terms of the pool.  Where the hash is another one now (rows came late, a price was corrected, a node was added
yesterday), the hour is worked out again.  So there is no cursor, writing an hour twice changes nothing, and whatever
ends the process, each hour is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.economics.pool_hours import HOUR_US, PoolTerms
from breakeven.errors import InputError
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.days import day_files, days_folder, reading
from breakeven.ledger.export import reader_of_files
from breakeven.ledger.ids import id_of_slot, import_slot
from breakeven.ledger.rollups import HOURS_PER_DAY
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from breakeven.capacity.compiled import Ints

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

BUSY_S: Final = 10.0
SLACK_US: Final = 600_000_000
"""How far the time in a row's id may be from the time in the row before all rows are looked through."""

_BATCH_ROWS: Final = 20_000
_COUNTS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_SUMS: Final = ("attempts", *_COUNTS)
_OF_API: Final = (
    f"outcome IN ({', '.join(map(str, ANSWERED))}) AND NOT coalesce((SELECT instr(t.text, '/') FROM text t "
    f"WHERE t.id = s.target), 0) AND s.decision NOT IN (SELECT d.id FROM text d WHERE d.text IN {EVALUATION})"
)
"""Answered by a target that is no node: at most one attempt of a request is, and none that was made to compare."""


class WatchedRows(NamedTuple):
    """Answered requests in the order in which they came; arrays of n, 48 bytes a request."""

    received_us: Ints
    price: Ints
    """Index into ``prices``."""

    counts: Ints
    """(n, 4): tokens of input, cached input, cache writes and output."""

    prices: tuple[tuple[str, int], ...]
    """Rate cards, and the size that the input exceeds."""


class WatchedHour(NamedTuple):
    """What the roll-ups say of the requests of one hour."""

    requests: int
    digest: bytes


class VirtualPart(NamedTuple):
    """Requests of an hour that have one price, and that the pool would have served or left to the API."""

    rate_card: str
    over_tokens: int
    went_over: int
    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int


class VirtualHour(NamedTuple):
    """A fact: what one hour since 1970 of a pool would have been.  Times are pairs of a bucket and a count."""

    pool: str
    hour: int
    paid_us: int
    busy_us: int
    """Of all nodes: within iterations."""

    used_us: int
    """What the same tokens take in full batches."""

    ttft_counts: Mapping[int, int]
    queue_counts: Mapping[int, int]
    derived_from: str
    parts: tuple[VirtualPart, ...]


class Watched:
    """What a store has of the requests to some models that an API answered; inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, store: Path, models: Sequence[str]) -> None:
        """Take the store, and the models by the names that clients use; none: all."""
        self._connection = connection
        self._store = store
        self._models = frozenset(models)
        found = connection.execute(
            "SELECT s.id, s.rate_card, s.over_tokens, coalesce(m.text, '') FROM series s "
            f"LEFT JOIN text m ON m.id = s.model WHERE {_OF_API} ORDER BY s.id"
        )
        known = [((card, over), number, model) for number, card, over, model in found]
        self._prices = tuple(sorted({price for price, _, _ in known}))
        self._series = {number: price for price, number, model in known if not models or model in self._models}

    def hours(self, hours: tuple[int, int]) -> dict[int, WatchedHour]:
        """Return what the roll-ups say of hours [from, before) that have anything."""
        found = self._connection.execute(
            f"SELECT hour, series, {', '.join(_SUMS)} FROM rollup_hour WHERE hour >= ? AND hour < ? "
            "ORDER BY hour, series",
            hours,
        )
        told: dict[int, WatchedHour] = {}
        for hour, cells in groupby(found, key=itemgetter(0)):
            own = [cell[1:] for cell in cells if cell[1] in self._series]
            if own:
                told[hour] = WatchedHour(sum(cell[1] for cell in own), hashlib.sha256(repr(own).encode()).digest())
        return told

    def kept_from(self) -> int:
        """Return the hour since 1970 before which rows were pruned for good."""
        ((day,),) = self._connection.execute("SELECT pruned_before FROM upkeep")
        return int(day) * HOURS_PER_DAY

    def rows(self, begins_us: int, ends_us: int, *, by_id: bool = True) -> WatchedRows:
        """Return the requests that came in a time.

        ``by_id``: where the ids of rows say about when they came, which holds but for clocks that were set back; else
        all rows are looked through.  Raises ``MissingExtraError`` where days are in files that cannot be read.
        """
        import numpy as np  # noqa: PLC0415 - of the extra plan, which the core install lacks

        empty = np.zeros((0, 6), dtype=np.int64)
        parts = [empty, *self._in_store(begins_us, ends_us, by_id=by_id), *self._in_files(begins_us, ends_us)]
        table = np.concatenate(parts)
        table = table[np.lexsort(table.T[::-1])]
        return WatchedRows(table[:, 0], table[:, 1], table[:, 2:], self._prices)

    def _in_store(self, begins_us: int, ends_us: int, *, by_id: bool) -> Iterator[Ints]:
        import numpy as np  # noqa: PLC0415 - as above

        price_of = np.full(max(self._series, default=0) + 2, -1, dtype=np.int64)
        for series, price in self._series.items():
            price_of[series] = self._prices.index(price)
        ids = [id_of_slot(import_slot(at_us)) for at_us in (begins_us - SLACK_US, ends_us + SLACK_US)]
        where, bounds = ("attempt_id >= ? AND attempt_id < ? AND ", ids) if by_id else ("", [])
        cursor = self._connection.execute(
            f"SELECT received_us, series, {', '.join(_COUNTS)} FROM attempt "
            f"WHERE {where}received_us >= ? AND received_us < ?",
            (*bounds, begins_us, ends_us),
        )
        while batch := cursor.fetchmany(_BATCH_ROWS):
            table = np.array(batch, dtype=np.int64)
            table[:, 1] = price_of[np.minimum(table[:, 1], len(price_of) - 1)]
            yield table[table[:, 1] >= 0]

    def _in_files(self, begins_us: int, ends_us: int) -> Iterator[Ints]:
        first, last = (at_us // HOUR_US // HOURS_PER_DAY for at_us in (begins_us, ends_us - 1))
        files = [file for file in day_files(self._connection) if first <= file.day <= last]
        if not files:
            return
        reader_of_files()
        from breakeven.ledger.virtual_files import answered_rows  # noqa: PLC0415 - pyarrow, which the core install lacks

        for file in files:
            path = days_folder(self._store) / file.name
            yield answered_rows(path, (begins_us, ends_us), self._models, self._prices)


def watch(store: Path, models: Sequence[str], work: Callable[[Watched], None]) -> None:
    """Have work done on what a store has of some models, in one transaction that reads alone.

    Raises ``InputError`` for a store that cannot be read.
    """
    try:
        with reading(store), closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN")
            work(Watched(connection, store, models))
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def seen_hours(store: Path) -> tuple[int, int]:
    """Return the hours [from, before) since 1970 of which the ledger knows what came; (0, 0) for an empty one."""
    ((first, last),) = _ask(store, "SELECT min(hour), max(hour) FROM rollup_hour")
    return (0, 0) if first is None else (int(first), int(last) + 1)


def known_digests(store: Path, pool: str) -> dict[int, str]:
    """Return, by hour, what the stored hours of a pool were worked out from."""
    return dict(_ask(store, "SELECT hour, derived_from FROM virtual_hour WHERE pool = ?", pool))


def stored_virtual_pools(store: Path) -> dict[str, PoolTerms]:
    """Return the virtual pools as they were last declared, by name."""
    found = _ask(store, "SELECT name, content FROM virtual_pool ORDER BY name")
    return {name: msgspec.json.decode(content, type=PoolTerms) for name, content in found}


def keep_terms(store: Path, terms: PoolTerms, hours: Iterable[int]) -> None:
    """Write down what is declared of a pool, and remove its hours that are none of these any more."""
    content = msgspec.json.encode(terms, order="deterministic").decode()
    wanted = set(hours)
    gone = [(terms.name, hour) for hour in known_digests(store, terms.name) if hour not in wanted]
    known = stored_virtual_pools(store).get(terms.name)
    if known == terms and not gone:
        return

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO virtual_pool VALUES (?, ?)", (terms.name, content))
        connection.executemany("DELETE FROM virtual_part WHERE pool = ? AND hour = ?", gone)
        connection.executemany("DELETE FROM virtual_hour WHERE pool = ? AND hour = ?", gone)

    _write(store, write)


def keep_hours(store: Path, hours: Sequence[VirtualHour]) -> None:
    """Write hours down, in place of what was known of them."""

    def write(connection: sqlite3.Connection) -> None:
        keys = [(found.pool, found.hour) for found in hours]
        connection.executemany("DELETE FROM virtual_part WHERE pool = ? AND hour = ?", keys)
        connection.executemany(
            "INSERT OR REPLACE INTO virtual_hour VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*f[:5], _packed(f.ttft_counts), _packed(f.queue_counts), f.derived_from) for f in hours],
        )
        connection.executemany(
            "INSERT INTO virtual_part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(found.pool, found.hour, *part) for found in hours for part in found.parts],
        )

    if hours:
        _write(store, write)


def stored_hours(connection: sqlite3.Connection, pool: str, hours: tuple[int, int]) -> Iterator[VirtualHour]:
    """Yield the hours [from, before) of a pool."""
    parts: dict[int, list[VirtualPart]] = {}
    bounds = (pool, *hours)
    which = "WHERE pool = ? AND hour >= ? AND hour < ? ORDER BY hour"
    for hour, *part in connection.execute(
        f"SELECT hour, {', '.join(VirtualPart._fields)} FROM virtual_part {which}", bounds
    ):
        parts.setdefault(hour, []).append(VirtualPart._make(part))
    found = connection.execute(
        f"SELECT hour, paid_us, busy_us, used_us, ttft_counts, queue_counts, derived_from FROM virtual_hour {which}",
        bounds,
    )
    for hour, paid_us, busy_us, used_us, ttft, queue, derived_from in found:
        own = tuple(parts.get(hour, ()))
        yield VirtualHour(pool, hour, paid_us, busy_us, used_us, _unpacked(ttft), _unpacked(queue), derived_from, own)


def _packed(counts: Mapping[int, int]) -> bytes:
    return zlib.compress(b"".join(struct.pack("<HI", *item) for item in sorted(counts.items())))


def _unpacked(data: bytes) -> dict[int, int]:
    return dict(struct.iter_unpack("<HI", zlib.decompress(data)))


def _ask(store: Path, question: str, *values: str) -> list[tuple[Any, ...]]:
    try:
        with closing(connect(store, read_only=True, busy_s=BUSY_S)) as connection:
            return connection.execute(question, values).fetchall()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _write(store: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    try:
        with closing(connect(store, busy_s=BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            work(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
