"""Joins what the ledger's commands and the gateway's mover need: places, stores, price lists, the day.

Nothing here is imported by a worker.  What is heavy (settings, prices, pyarrow) is imported by the functions
that use it, since the mover's process carries this module too.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, NoPriceError
from breakeven.ledger.cards import CardSchedule, read_list
from breakeven.ledger.days import day_files, days_folder
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcome_spool import OUTCOME_SUFFIX
from breakeven.ledger.spool import SUFFIX
from breakeven.ledger.store import Store, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breakeven.catalog.rate_card import PriceList

STORE_NAME: Final = "ledger.sqlite"
SPOOL_NAME: Final = "spool"
LOCK_NAME: Final = "gateway.lock"
"""Held while a gateway keeps its ledger in the folder; its first process writes its number in it."""

DEFAULT_FOLDER: Final = Path("breakeven-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPlace:
    """Where a ledger is."""

    store: Path
    spool: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """What lies in a spool and not in the store."""

    size_bytes: int
    is_written: bool
    """A gateway is running: some worker holds its segment."""


def find_ledger(folder: Path | None = None, config: Path | None = None) -> LedgerPlace:
    """Return where the ledger is: in a folder that is named, else where the settings say, else the default folder.

    ``folder`` may also be the store's file.  Nothing has to be there yet.  Raises ``InputError`` when both are given.
    """
    if folder is not None and config is not None:
        raise InputError("The ledger is named twice, by --ledger and by --config. Keep one.")
    if folder is not None:
        if folder.is_file():
            return LedgerPlace(store=folder, spool=folder.parent / SPOOL_NAME)
        return LedgerPlace(store=folder / STORE_NAME, spool=folder / SPOOL_NAME)
    from breakeven.settings import CONFIG_NAME

    path = config or Path(CONFIG_NAME)
    if config is None and not path.is_file():
        return LedgerPlace(store=DEFAULT_FOLDER / STORE_NAME, spool=DEFAULT_FOLDER / SPOOL_NAME)
    from breakeven.settings.parts import parts_of
    from breakeven.settings.read import store_path
    from breakeven.sources.yaml_file import need_mapping, read_yaml

    document = read_yaml(path)
    need_mapping(document, "settings are a mapping of keys to values")
    ledger = parts_of(document.data).ledger
    return LedgerPlace(store=store_path(path.parent, ledger), spool=path.parent / ledger.folder / SPOOL_NAME)


def open_mover(
    place: LedgerPlace,
    lists: Iterable[PriceList],
    resolve: Callable[[str], PriceList | None] | None = None,
    *,
    tells: bool | None = None,
) -> Mover:
    """Return the mover of a ledger; ``resolve`` is asked once for each name that no list bears.

    ``tells``: whether what it moves is taken down in the outbox; None: as the store says.
    """
    return Mover(place.spool, Store(place.store, tells=tells), CardSchedule(lists, resolve))


def id_floor(place: LedgerPlace) -> int:
    """Return the largest id that the ledger has ever given, so that a clock set back repeats none; 0 for none.

    A store or a segment that cannot be read counts for nothing: its rows would be told from new ones later.
    """
    from breakeven.ledger.frames import ROW_BY_LABELS
    from breakeven.ledger.segments import Segment

    largest = 0
    with suppress(InputError, sqlite3.Error), closing(connect(place.store, read_only=True)) as connection:
        in_store = connection.execute("SELECT max(attempt_id) FROM attempt").fetchone()[0] or 0
        largest = max([in_store, *(file.last_id for file in day_files(connection))])
    for path in _segments(place):
        with suppress(OSError), closing(Segment(str(path.parent), path.name)) as segment:
            while (rows := segment.read(1 << 20)) is not None:
                largest = max(largest, max((row[0] for row in ROW_BY_LABELS.iter_unpack(rows.data)), default=0))
    return largest


def forget_ledger(place: LedgerPlace) -> None:
    """Remove all that a ledger holds: spool, store and the files of closed days."""
    for folder in (place.spool, days_folder(place.store)):
        shutil.rmtree(folder, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        place.store.with_name(place.store.name + suffix).unlink(missing_ok=True)


def look_into_spool(place: LedgerPlace) -> Spooled:
    """Return how much the spool holds that the store has not, and whether it is being written."""
    moved: dict[str, int] = {}
    with suppress(InputError, sqlite3.Error), closing(connect(place.store, read_only=True)) as connection:
        moved = dict(connection.execute("SELECT segment, moved_bytes FROM spool_position"))
    size_bytes, is_written = 0, False
    for path in (*_segments(place), *place.spool.glob(f"*{OUTCOME_SUFFIX}")):
        with suppress(OSError):
            size_bytes += max(path.stat().st_size - moved.get(path.name, 0), 0)
            with path.open("rb") as file:
                is_written = is_written or _is_locked(file.fileno())
    return Spooled(size_bytes=size_bytes, is_written=is_written)


def move_rest(place: LedgerPlace) -> str:
    """Move what a gateway left in its spool, when none is running; return what is to be told, or nothing.

    Prices are those that the gateway had, as the store has them, and those of the catalogue.  Without them rows stay
    where they are, since a row that is moved without its price keeps none.
    """
    spooled = look_into_spool(place)
    if spooled.is_written:
        return "A gateway is running: requests of the last moments may still be in its spool, and are not counted."
    if not spooled.size_bytes:
        return ""
    rest = f"{spooled.size_bytes:,} bytes of requests wait in {place.spool} and are not counted"
    try:
        lists = stored_lists(place.store)
    except InputError as error:
        return f"{rest}: {error}"
    mover = open_mover(place, lists, _only_known)
    try:
        mover.drain()
    except NoPriceError as error:
        return f"{rest}: {error}"
    finally:
        mover.close()
    return f"{rest}: {mover.trouble}" if mover.trouble else ""


def waiting_note(place: LedgerPlace) -> str:
    """Return what is to be told of rows that are not in the store yet; nothing when all are."""
    spooled = look_into_spool(place)
    if not spooled.size_bytes:
        return ""
    if spooled.is_written:
        return "A gateway is running: attempts of the last moments may not be counted yet."
    return (
        f"{spooled.size_bytes:,} bytes of attempts wait in {place.spool} and are not counted. "
        "Start the gateway again (breakeven up) to move them."
    )


def stored_lists(store: Path) -> tuple[PriceList, ...]:
    """Return the price lists of the gateway that writes a store.  Raises ``InputError`` when it cannot be read."""
    try:
        with closing(connect(store, read_only=True)) as connection:
            found = connection.execute("SELECT content FROM price_list ORDER BY target").fetchall()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    return tuple(read_list(content) for (content,) in found)


def _only_known(name: str) -> PriceList:
    from breakeven.settings.prices import named_price_list

    found = named_price_list(name, {})
    if found is None:
        raise NoPriceError(f"no price is known here for {name}. Start the gateway again (breakeven up) to move them.")
    return found


def _segments(place: LedgerPlace) -> list[Path]:
    return sorted(place.spool.glob(f"*{SUFFIX}"))


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
