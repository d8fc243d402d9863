"""Looks up anew which rate card holds for rows that are there already: the one way in which history changes its price.

Roll-ups say which days can change at all; only rows of those are looked at.  Rows and roll-ups change in one
transaction, those of a closed day with the file that takes the place of its old one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.economics.pool_hours import is_pool_price
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.batch import HOUR_US
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.days import count_file, day_files, days_in_store, keeping, reading, sweep
from breakeven.ledger.export import reader_of_files
from breakeven.ledger.query import Cards, usage_of
from breakeven.ledger.rollups import HOURS_PER_DAY, NO_HOUR, shift_cells
from breakeven.ledger.schema import SERIES_COLUMNS
from breakeven.ledger.store import Store, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard
    from breakeven.ledger.cards import CardSchedule, KnownCard
    from breakeven.ledger.days import DayFile, DayInStore
    from breakeven.ledger.rollups import Cell
    from breakeven.ledger.said import SaidAttempt
    from breakeven.ledger.store import SeriesKey

# ruff: noqa: S608 - the names in these statements stand in this package

Labels = tuple[str | int, ...]

BUSY_S: Final = 10.0
BATCH_ROWS: Final = 20_000
"""Rows of one transaction: others wait for it no longer than a moment."""

_KINDS: Final = (
    rows.KEY, rows.TASK, rows.TAGS, rows.MODEL, rows.TARGET, rows.PRICED_AS, rows.REASON, rows.REASON, rows.REASON,
)  # fmt: skip
_TARGET, _PRICED_AS, _OUTCOME, _PROCESSING, _RATE_CARD = (
    SERIES_COLUMNS.index(name) for name in ("target", "priced_as", "outcome", "processing", "rate_card")
)
_CELLS: Final = """
    SELECT hour, coalesce(t.text, ''), coalesce(p.text, ''), s.processing, s.rate_card
    FROM rollup_hour JOIN series s ON s.id = series
    LEFT JOIN text t ON t.id = s.target LEFT JOIN text p ON p.id = s.priced_as
    WHERE hour >= ? AND hour < ? GROUP BY 1, 2, 3, 4, 5"""
_ROWS: Final = (
    "SELECT attempt_id, received_us, series, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens "
    "FROM attempt WHERE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which rows are meant: of a time [since, until) in Unix microseconds, and of one target or all."""

    since_us: int = 0
    until_us: int = NO_HOUR * HOUR_US
    target: str = ""
    """A target's name, or what it is priced as; empty: all."""

    def takes(self, target: str, priced_as: str) -> bool:
        """Whether rows of that target are meant."""
        return not self.target or self.target in (target, priced_as)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed for one target.

    An answer that was given again costs nothing: its card changes, by which what it avoided is told, and no sum does.
    """

    attempt_count: int = 0
    cached_count: int = 0
    """Answers that were given again; they are in none of the other counts and sums."""

    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)
    unpriced_before_count: int = 0
    """Attempts that had no known price, and are in no sum of before."""

    unpriced_after_count: int = 0

    def plus(self, before_usd: Decimal | None, after_usd: Decimal | None) -> Change:
        """Add one attempt."""
        return replace(
            self,
            attempt_count=self.attempt_count + 1,
            before_usd=self.before_usd + (before_usd or 0),
            after_usd=self.after_usd + (after_usd or 0),
            unpriced_before_count=self.unpriced_before_count + (before_usd is None),
            unpriced_after_count=self.unpriced_after_count + (after_usd is None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """What a run changed, or would change."""

    changes: Mapping[tuple[str, str], Change]
    """By the target's name and what it is priced as."""

    day_count: int
    lost_day_count: int
    """Days whose prices differ and whose rows are gone: their sums stay as they are."""

    @property
    def attempt_count(self) -> int:
        """How many attempts changed."""
        return sum(change.attempt_count for change in self.changes.values())

    @property
    def cached_count(self) -> int:
        """How many answers that were given again avoided another amount than was told."""
        return sum(change.cached_count for change in self.changes.values())


NO_CHANGE: Final = Change()


class Held(NamedTuple):
    """A card, or none, and the tier of it."""

    known: KnownCard | None
    over_tokens: int

    @property
    def series_end(self) -> tuple[str, int]:
        """The last two of ``SERIES_COLUMNS``."""
        return self.known.id if self.known else "", self.over_tokens


class Priced(NamedTuple):
    """What the price of a row follows from, and what it was."""

    target: str
    priced_as: str
    processing: int
    outcome: int
    """One of those in ``rows``."""

    was: tuple[str, int]
    """Id of its card, empty for none, and tier."""

    received_us: int
    counts: tuple[int, int, int, int]
    """Input, cached input, cache writes, output."""


class Judge:
    """Says which card holds for a row now, and adds up what that changes.

    What a pool's own prices were keeps its card where no list of that pool is known: budgets were charged it, and are
    made good by the difference to it.
    """

    __slots__ = ("_cards", "_old_cards", "_span", "changes", "noted")

    def __init__(self, cards: CardSchedule, old_cards: Cards, span: Span) -> None:
        self._cards = cards
        self._old_cards = old_cards
        self._span = span
        self.changes: dict[tuple[str, str], Change] = {}
        self.noted = 0
        """Rows so far that change."""

    def may_change(self, hour: int, priced_as: str, processing: int, card_id: str) -> bool:
        """Whether some row of an hour may get another card than that one."""
        window = self._cards.window(priced_as, processing, hour * HOUR_US)
        if window.ends_us < (hour + 1) * HOUR_US:
            return True  # prices change within the hour: only its rows can say
        if window.known is None:
            return bool(card_id) and not is_pool_price(priced_as)
        return bool(window.known.card.missing) or window.known.id != card_id

    def changed(self, row: Priced) -> Held | None:
        """Return what holds for a row now; None where that is what held before, and where the row is not meant."""
        span = self._span
        if not (span.since_us <= row.received_us < span.until_us and span.takes(row.target, row.priced_as)):
            return None
        window = self._cards.window(row.priced_as, row.processing, row.received_us)
        known = window.known_for(row.counts[0], row.counts[3])
        if known is None and is_pool_price(row.priced_as):
            return None
        held = Held(known, known.over_tokens(row.counts[0]) if known else 0)
        return None if held.series_end == row.was else held

    def note(self, row: Priced, held: Held) -> None:
        """Add a row that changes to what is told."""
        name = row.target, row.priced_as
        change = self.changes.get(name, NO_CHANGE)
        if row.outcome == rows.CACHED:
            self.changes[name] = replace(change, cached_count=change.cached_count + 1)
        else:
            before_usd = _cost(row, self._old_cards.get(row.was[0]), row.was[1])
            after_usd = _cost(row, held.known.card if held.known else None, held.over_tokens)
            self.changes[name] = change.plus(before_usd, after_usd)
        self.noted += 1


def reprice(store: Path, cards: CardSchedule, span: Span, *, dry_run: bool = False) -> Repricing:
    """Give rows the rate cards that hold by these price lists; with ``dry_run`` only say what would change.

    Raises ``InputError`` where another command changes the ledger, and where the store or a file cannot be used, and
    ``MissingExtraError`` where files of closed days are concerned without the packages to read them.
    """
    place: AbstractContextManager[Path] = reading(store) if dry_run else keeping(store)
    writer = Store(store, busy_s=BUSY_S)
    try:
        with place as folder, closing(connect(store, read_only=dry_run, busy_s=BUSY_S)) as connection:
            judge = Judge(cards, Cards(connection), span)
            done = _go(connection, folder, judge, span, None if dry_run else writer)
            if not dry_run:
                sweep(connection, store, folder)
            return done
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    except OSError as error:
        raise InputError(f"The files of closed days of {store} cannot be read or written: {error}.") from error
    finally:
        writer.close()


def _go(connection: sqlite3.Connection, folder: Path, judge: Judge, span: Span, writer: Store | None) -> Repricing:
    """Reprice day by day; without a writer only look."""
    day_count = lost_day_count = 0
    in_store = {item.day: item for item in days_in_store(connection)}
    files = {file.day: file for file in day_files(connection)}
    for day in sorted(_days(connection, judge, span)):
        before = judge.noted
        if day in in_store:
            _in_store(connection, judge, in_store[day], writer)
        if day in files:
            _in_file(connection, judge, folder, files[day], writer)
        day_count += judge.noted > before
        lost_day_count += day not in in_store and day not in files
    return Repricing(changes=judge.changes, day_count=day_count, lost_day_count=lost_day_count)


def _days(connection: sqlite3.Connection, judge: Judge, span: Span) -> set[int]:
    """Return the days in which some row may change its card, by the roll-ups."""
    hours = span.since_us // HOUR_US, -(-span.until_us // HOUR_US)
    return {
        hour // HOURS_PER_DAY
        for hour, target, priced_as, processing, card_id in connection.execute(_CELLS, hours)
        if span.takes(target, priced_as) and judge.may_change(hour, priced_as, processing, card_id)
    }


def _in_store(connection: sqlite3.Connection, judge: Judge, found: DayInStore, writer: Store | None) -> None:
    """Reprice a day's rows in the store, batch by batch; without a writer only look."""
    known: dict[int, tuple[SeriesKey, str, str]] = {}
    batch: list[tuple[int, int, SeriesKey, Priced, Held]] = []
    for attempt_id, received_us, series, *counts in connection.execute(f"{_ROWS} {found.condition}"):
        if series not in known:
            known[series] = _series(connection, series)
        key, target, priced_as = known[series]
        was = str(key[_RATE_CARD]), int(key[-1])
        outcome = int(key[_OUTCOME])
        row = Priced(target, priced_as, int(key[_PROCESSING]), outcome, was, received_us, _four(counts))
        if (held := judge.changed(row)) is not None:
            judge.note(row, held)
            batch.append((attempt_id, series, key, row, held))
        if len(batch) == BATCH_ROWS:
            _write(batch, writer)
            batch.clear()
    _write(batch, writer)


def _series(connection: sqlite3.Connection, series: int) -> tuple[SeriesKey, str, str]:
    key = connection.execute(f"SELECT {', '.join(SERIES_COLUMNS)} FROM series WHERE id = ?", (series,)).fetchone()
    texts = [
        connection.execute("SELECT text FROM text WHERE id = ?", (key[place],)).fetchone()
        for place in (_TARGET, _PRICED_AS)
    ]
    return key, *(text[0] if text else "" for text in texts)


def _write(batch: list[tuple[int, int, SeriesKey, Priced, Held]], writer: Store | None) -> None:
    if writer is None or not batch:
        return
    deltas: dict[Cell, list[int]] = {}
    changed = []
    writer.begin()
    for attempt_id, old, key, row, held in batch:
        new = _series_for(writer, key, held)
        changed.append((new, attempt_id))
        _move(deltas, row.received_us // HOUR_US, (old, new), (1, *row.counts))
    writer.connection.executemany("UPDATE attempt SET series = ? WHERE attempt_id = ?", changed)
    shift_cells(writer.connection, deltas)
    writer.commit()


def _in_file(connection: sqlite3.Connection, judge: Judge, folder: Path, file: DayFile, writer: Store | None) -> None:
    """Reprice a closed day: a file with other cards takes the place of its own; without a writer only look."""
    read = reader_of_files()
    moves: dict[tuple[int, Labels, Held], list[int]] = {}
    for row in read(folder / file.name):
        priced = _priced(row)
        if (held := judge.changed(priced)) is not None:
            judge.note(priced, held)
            sums = moves.setdefault((row.received_us // HOUR_US, _labels(row), held), [0] * 5)
            for place, count in enumerate((1, *priced.counts)):
                sums[place] += count
    if writer is None or not moves:
        return
    from breakeven.ledger.close import write_day  # noqa: PLC0415 - pyarrow, which the core install leaves out

    new = write_day(connection, folder, file.day, _anew(read(folder / file.name), judge))
    deltas: dict[Cell, list[int]] = {}
    writer.begin()
    for (hour, labels, held), sums in moves.items():
        key = _key(writer, labels)
        _move(deltas, hour, (writer.series_id(key), _series_for(writer, key, held)), sums)
    shift_cells(writer.connection, deltas)
    count_file(writer.connection, new)
    writer.commit()


def _key(writer: Store, labels: Labels) -> SeriesKey:
    """Return a row's labels as the store has them: numbers for texts."""
    texts = (writer.text_id(kind, str(text)) for kind, text in zip(_KINDS, labels, strict=False))
    return (*texts, *labels[len(_KINDS) :])


def _anew(found: Iterable[SaidAttempt], judge: Judge) -> Iterator[SaidAttempt]:
    for row in found:
        if (held := judge.changed(_priced(row))) is None:
            yield row
        else:
            card_id, over_tokens = held.series_end
            yield row._replace(rate_card=card_id or None, over_tokens=over_tokens)


def _priced(row: SaidAttempt) -> Priced:
    return Priced(
        row.target or "",
        row.priced_as or "",
        rows.PROCESSINGS.index(row.processing),
        rows.OUTCOMES.index(row.outcome),
        (row.rate_card or "", row.over_tokens),
        row.received_us,
        (row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens),
    )


def _labels(row: SaidAttempt) -> Labels:
    """Return what ``SERIES_COLUMNS`` say of a row, with texts for their numbers."""
    return (
        *(getattr(row, name) or "" for name in SERIES_COLUMNS[: len(_KINDS)]),
        row.status or 0,
        rows.OUTCOMES.index(row.outcome),
        rows.PROCESSINGS.index(row.processing),
        row.estimated * rows.ESTIMATED | row.streamed * rows.STREAMED,
        row.rate_card or "",
        row.over_tokens,
    )


def _series_for(writer: Store, key: SeriesKey, held: Held) -> int:
    if held.known is not None:
        writer.keep_card(held.known)
    return writer.series_id((*key[:_RATE_CARD], *held.series_end))


def _move(deltas: dict[Cell, list[int]], hour: int, series: tuple[int, int], sums: Sequence[int]) -> None:
    """Take sums from one series of an hour, and add them to another."""
    for sign, number in zip((-1, 1), series, strict=True):
        cell = deltas.setdefault((hour, number), [0] * 5)
        for place, count in enumerate(sums):
            cell[place] += sign * count


def _cost(row: Priced, card: RateCard | None, over_tokens: int) -> Decimal | None:
    if card is None:
        return None
    return cost_usd(card, usage_of(*row.counts), attempts=1, failed=row.outcome == rows.FAILED, over_tokens=over_tokens)


def _four(counts: list[int]) -> tuple[int, int, int, int]:
    return counts[0], counts[1], counts[2], counts[3]
