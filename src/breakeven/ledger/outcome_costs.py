"""Each attempt with what it cost in full: an API's price, and its own part of the hour that a pool's nodes were paid.

A pool's hour is shared over the roll-ups' cells exactly as ``allocated`` does, and each cell's share over its attempts
by the same weights, in whole units.  So whatever attempts are put together, what they cost, what is idle and what was
deleted since add up to what ``ledger query --costs`` says, to the last digit.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.economics.allocation import usd_of
from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.allocated import Walk
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.costs import Costs
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.export import reader_of_files
from breakeven.ledger.labels import pool_of
from breakeven.ledger.outcomes import read_outcomes
from breakeven.ledger.query import Cards, Question, check, hours_asked, usage_of
from breakeven.ledger.rollups import HOURS_PER_DAY
from breakeven.ledger.row_sums import SERIES
from breakeven.ledger.said import BATCH_ROWS, in_order
from breakeven.ledger.schema import SERIES_COLUMNS
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from breakeven.economics.allocation import GpuTime
    from breakeven.ledger.allocated import Cell, PoolWalked
    from breakeven.ledger.costs import Known
    from breakeven.ledger.outcomes import Outcome
    from breakeven.ledger.said import SaidAttempt

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Final = Decimal(0)
_ROWS: Final = (
    "SELECT attempt_id, received_us, queued_us, ended_us, series, input_tokens, cached_input_tokens, "
    "cache_write_tokens, output_tokens, episode FROM attempt WHERE received_us >= ? AND received_us < ? "
    "ORDER BY attempt_id"
)


class Said(NamedTuple):
    """What every attempt of a series says; texts are None where there is nothing."""

    key: str | None
    task: str | None
    tags: str | None
    model: str | None
    target: str | None
    priced_as: str | None
    decision: str | None
    pool: str | None
    """Of a node's target."""

    outcome: int
    """A code of ``rows.OUTCOMES``."""

    rate_card: str
    over_tokens: int


class Spent(NamedTuple):
    """One attempt, and what it cost."""

    attempt_id: int
    received_us: int
    ended_us: int
    """Unix microseconds, both."""

    said: Said
    episode: str
    api_usd: Decimal | None
    """Its price; 0 at a pool; None where no price is known."""

    pool_units: int
    """Its part of the bill and of the fixed lines of a pool's hour, in units of ``allocation.UNIT_USD``."""

    @property
    def loaded_usd(self) -> Decimal:
        """Fully loaded; what has no price is left out."""
        return (self.api_usd or _NOTHING) + self.pool_usd

    @property
    def pool_usd(self) -> Decimal:
        """Its part of a pool's hour."""
        return usd_of(self.pool_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """A ledger's attempts of some hours, one at a time, and what all of them cost."""

    costs: Costs
    """Of everything: one group, and the pools."""

    attempts: Iterator[Spent]
    """By id: those of one request follow each other."""

    outcomes: tuple[Outcome, ...]
    """All that was said since the first of these hours began: a word may come late."""


@contextmanager
def spending(store: Path, question: Question, known: Known) -> Iterator[Spending]:
    """Open what attempts cost in the hours of a question, whose labels and conditions are not looked at.

    Raises ``InputError`` for a wrong question and a store that cannot be read, ``MissingExtraError`` where rows of
    closed days cannot be.
    """
    check(question)
    until = _EPOCH + timedelta(hours=known.closed_hours)
    until = min(question.until or until, until)
    if question.since is not None and question.since >= until:
        raise InputError(f"--since {question.since:%Y-%m-%dT%H:%MZ}: no hour from there on is over yet.")
    question = replace(question, by=(), where=(), until=until)
    try:
        with reading(store) as folder, closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            walk = _CellWalk(connection, store, question, known)
            walk.run()
            first, end = hours_asked(question)
            spread = _Spread(connection, walk)
            yield Spending(
                costs=Costs(groups=walk.groups(), pools=walk.pools(), until=until),
                attempts=map(spread.spent, _rows(connection, folder, (first, end))),
                outcomes=tuple(read_outcomes(connection, first * HOUR_US)),
            )
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


class _Row(NamedTuple):
    """A row of the table ``attempt``, or of a day's file, as it is shared out."""

    attempt_id: int
    received_us: int
    queued_us: int
    ended_us: int
    series: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    episode: str | None


class _Cell:
    """What a cell of the roll-ups is charged, and how far that is shared out."""

    __slots__ = ("done", "gpu_time", "is_measured", "units", "weight")

    def __init__(self, units: int, weight: int, gpu_time: GpuTime | None, *, is_measured: bool) -> None:
        self.units = units
        self.weight = weight
        self.gpu_time = gpu_time
        self.is_measured = is_measured
        self.done = 0

    def take(self, row: _Row) -> int:
        """Return the next row's part; parts of all rows add up to the whole."""
        if not self.weight:
            return 0
        before = self.done
        # Rows of odd counts weigh more one by one than together; the sum is the cell's all the same.
        self.done = min(before + self._weight_of(row), self.weight)
        return self.units * self.done // self.weight - self.units * before // self.weight

    def _weight_of(self, row: _Row) -> int:
        if self.gpu_time is not None:
            return self.gpu_time.work([row[5:9]])[0]
        if self.is_measured:
            return max(row.ended_us - row.queued_us, 0) if row.queued_us < rows.UNKNOWN_US else 0
        return row.input_tokens + row.output_tokens


class _CellWalk(Walk):
    """The walk of ``ledger query --costs`` that remembers what each cell was charged."""

    def __init__(self, connection: sqlite3.Connection, store: Path, question: Question, known: Known) -> None:
        self.cells: dict[tuple[int, int], _Cell] = {}
        """By hour and series."""

        super().__init__(connection, store, question, known)
        self.pool_names = frozenset(self._pools)

    def note_shares(
        self, pool: PoolWalked, hour: int, cells: Sequence[Cell], shares: Sequence[int], spread: Sequence[int]
    ) -> None:
        """Keep the parts of one hour."""
        weights = pool.work(hour, cells)
        is_measured = pool.terms.gpu_time is None and weights is not None
        for place, (series, _, counts) in enumerate(cells):
            if weights is None:
                weight = counts[0] + counts[3]
            else:
                weight = pool.served_us[hour, series] if is_measured else weights[place]
            units = shares[place] + spread[place]
            self.cells[hour, series] = _Cell(units, weight, pool.terms.gpu_time, is_measured=is_measured)


class _Spread:
    """Gives each row its part, in the order in which they come."""

    __slots__ = ("_cards", "_said", "_walk")

    def __init__(self, connection: sqlite3.Connection, walk: _CellWalk) -> None:
        self._cards = Cards(connection)
        self._said = {number: _said(said) for number, *said in connection.execute(SERIES)}
        self._walk = walk

    def spent(self, row: _Row) -> Spent:
        """Return an attempt with its cost."""
        said = self._said[row.series]
        units = 0
        api_usd: Decimal | None = _NOTHING
        if said.outcome != rows.CACHED:
            if said.pool in self._walk.pool_names:
                cell = self._walk.cells.get((row.received_us // HOUR_US, row.series))
                units = cell.take(row) if cell is not None else 0
            else:
                api_usd = self._price(row, said)
        return Spent(
            attempt_id=row.attempt_id,
            received_us=row.received_us,
            ended_us=row.received_us + row.ended_us,
            said=said,
            episode=row.episode or "",
            api_usd=api_usd,
            pool_units=units,
        )

    def _price(self, row: _Row, said: Said) -> Decimal | None:
        card = self._cards.get(said.rate_card)
        if card is None:
            return None
        failed = said.outcome == rows.FAILED
        return cost_usd(card, usage_of(*row[5:9]), attempts=1, failed=failed, over_tokens=said.over_tokens)


def _said(texts: Sequence[Any]) -> Said:
    said = dict(zip(SERIES_COLUMNS, texts, strict=True))
    names = ("key", "task", "tags", "model", "target", "priced_as", "decision")
    return Said(
        **{name: said[name] or None for name in names},
        pool=pool_of(said["target"]) if said["target"] else None,
        outcome=said["outcome"],
        rate_card=said["rate_card"],
        over_tokens=said["over_tokens"],
    )


def _rows(connection: sqlite3.Connection, folder: Path, hours: tuple[int, int]) -> Iterator[_Row]:
    """Yield rows of the store and of closed days' files, by id."""
    begins_us, ends_us = hours[0] * HOUR_US, min(hours[1] * HOUR_US, (1 << 63) - 1)
    parts: list[tuple[int, Callable[[], Iterator[_Row]]]] = [(0, partial(_in_store, connection, begins_us, ends_us))]
    days = range(hours[0] // HOURS_PER_DAY, -(-hours[1] // HOURS_PER_DAY))
    files = [file for file in day_files(connection) if file.day in days]
    if files:
        read = reader_of_files()
        series = {tuple(said): number for number, *said in connection.execute(SERIES)}
        parts += [(file.first_id, partial(_in_file, read(folder / file.name), series)) for file in files]
    for row in in_order(parts):
        if begins_us <= row.received_us < ends_us:
            yield row


def _in_store(connection: sqlite3.Connection, begins_us: int, ends_us: int) -> Iterator[_Row]:
    found = connection.execute(_ROWS, (begins_us, ends_us))
    while batch := found.fetchmany(BATCH_ROWS):
        yield from map(_Row._make, batch)


def _in_file(found: Iterable[SaidAttempt], series: dict[tuple[Any, ...], int]) -> Iterator[_Row]:
    for row in found:
        yield _of_file(row, series)


def _of_file(row: SaidAttempt, series: dict[tuple[Any, ...], int]) -> _Row:
    labels = (
        *(text or "" for text in row[5:8]), row.model or "", row.target or "", row.priced_as or "",
        row.decision or "", row.fallback or "", row.failure or "", row.status or 0, rows.OUTCOMES.index(row.outcome),
        rows.PROCESSINGS.index(row.processing), row.estimated * rows.ESTIMATED | row.streamed * rows.STREAMED,
        row.rate_card or "", row.over_tokens,
    )  # fmt: skip
    queued_us = rows.UNKNOWN_US if row.queued_us is None else row.queued_us
    return _Row(
        row.attempt_id, row.received_us, queued_us, row.ended_us, series[labels], row.input_tokens,
        row.cached_input_tokens, row.cache_write_tokens, row.output_tokens, row.episode,
    )  # fmt: skip
