"""What was answered, ready to be priced as it would have been elsewhere: requests by day, model, target and card.

Requests that were answered from memory are among them: elsewhere they would have been paid.  What was sent to compare
targets or to judge answers (the evaluation line) is not: nobody would have asked for it.  Prices that depend on the
size of a request's input are looked up row by row, any other from the roll-ups.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.economics.pool_hours import HOUR_US
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.labels import pool_of
from breakeven.ledger.row_sums import row_sums
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from breakeven.catalog.rate_card import PriceList, RateCard
    from breakeven.ledger.cards import CardSchedule

EVALUATION: Final = ("shadow", "judge")
"""Decisions of attempts that were made to compare targets, and to judge answers."""

STANDARD, BATCH = (PROCESSINGS.index(name) for name in ("standard", "batch"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS_PER_DAY: Final = 24
_SERIES: Final = (
    "SELECT s.id, coalesce(m.text, ''), coalesce(t.text, ''), coalesce(p.text, ''), coalesce(d.text, ''), s.outcome, "
    "s.processing FROM series s LEFT JOIN text m ON m.id = s.model LEFT JOIN text t ON t.id = s.target "
    "LEFT JOIN text p ON p.id = s.priced_as LEFT JOIN text d ON d.id = s.decision"
)
_CELLS: Final = (
    "SELECT hour, series, attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens "
    "FROM rollup_hour WHERE hour >= ? AND hour < ? ORDER BY hour, series"
)


class Part(NamedTuple):
    """What a sum of answered requests is told by."""

    day: int
    """Since 1970, UTC."""

    model: str
    served_by: str
    """The pool, else the name of the prices it was paid by (``provider:model``), else the target."""

    from_memory: bool
    prices: str
    """The list that they are set against."""

    card: RateCard | None
    """None: that list has no price for them."""

    patient: RateCard | None
    """The batch card at that moment, where they were not processed as a batch and the list sells one."""

    over_tokens: int
    """The threshold of the card that each request's input exceeds; 0: none."""


class Answered(NamedTuple):
    """Requests of one part, and their four token counts: input, cached input, cache writes, output."""

    part: Part
    requests: int
    counts: tuple[int, int, int, int]


class _Series(NamedTuple):
    model: str
    served_by: str
    from_memory: bool
    processing: int


def first_prices(store: Path) -> dict[str, str]:
    """Return by model the prices (``provider:model``) that its first requests at an API were paid by.

    That is what is meant by today's model: what was used when metering began.  Where an hour has several, the one with
    the most requests.  Raises ``InputError`` for a store that cannot be read.
    """
    answered = ", ".join(map(str, ANSWERED))
    marks = ", ".join("?" * len(EVALUATION))
    question = (
        "SELECT m.text, p.text, r.hour, sum(r.attempts) FROM rollup_hour r JOIN series s ON s.id = r.series "  # noqa: S608 - our own names
        "JOIN text m ON m.id = s.model JOIN text p ON p.id = s.priced_as LEFT JOIN text t ON t.id = s.target "
        f"LEFT JOIN text d ON d.id = s.decision WHERE s.outcome IN ({answered}) AND p.text NOT LIKE 'pool:%' "
        f"AND NOT instr(coalesce(t.text, ''), '/') AND coalesce(d.text, '') NOT IN ({marks}) "
        "GROUP BY m.text, p.text, r.hour ORDER BY r.hour, 4 DESC, p.text"
    )
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            found: dict[str, str] = {}
            for model, priced_as, _, _ in connection.execute(question, EVALUATION):
                found.setdefault(model, priced_as)
            return found
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def answered_at(
    store: Path,
    hours: tuple[int, int],
    lists_of: Callable[[str], Sequence[str]],
    lists: Mapping[str, PriceList],
    schedule: CardSchedule,
) -> tuple[Answered, ...]:
    """Return what was answered between two hours [from, before), once for each list that its model is set against.

    ``lists_of`` gives the names of these lists for a model; ``schedule`` knows their cards.  A part without a card is
    what a list cannot price, or whose rows, which a price by size needs, are gone.  Raises ``InputError`` for a store
    that cannot be read and ``MissingExtraError`` for files of closed days without the packages to read them.
    """
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            walk = _Walk(connection, lists_of, lists, schedule)
            walk.roll_ups(hours)
            if walk.is_tiered:
                walk.rows(store, hours)
            return walk.found()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


class _Walk:
    """Adds cells of the roll-ups and sums of rows up."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        lists_of: Callable[[str], Sequence[str]],
        lists: Mapping[str, PriceList],
        schedule: CardSchedule,
    ) -> None:
        self._connection = connection
        self._schedule = schedule
        self._lists = lists
        self._series = dict(_answered_series(connection))
        models = {said.model for said in self._series.values()}
        tiered = {name for name, prices in lists.items() if prices.thresholds_tokens()}
        self._plain = {model: [name for name in lists_of(model) if name not in tiered] for model in models}
        self._tiered = {model: [name for name in lists_of(model) if name in tiered] for model in models}
        self._thresholds = sorted({over for name in tiered for over in lists[name].thresholds_tokens()})
        self._sums: dict[Part, list[int]] = {}
        self._expected: dict[Part, int] = {}

    @property
    def is_tiered(self) -> bool:
        """Whether some list needs rows."""
        return any(self._tiered.values())

    def roll_ups(self, hours: tuple[int, int]) -> None:
        """Add what lists price that do not ask how large a request is; count what the others must find."""
        for hour, series, attempts, *counts in self._connection.execute(_CELLS, hours):
            said = self._series.get(series)
            if said is None:
                continue
            for name in self._plain[said.model]:
                self._add(said, hour, name, 0, (attempts, *counts))
            for name in self._tiered[said.model]:
                key = _unpriced(said, hour, name)
                self._expected[key] = self._expected.get(key, 0) + attempts

    def rows(self, store: Path, hours: tuple[int, int]) -> None:
        """Add what the other lists price, from rows."""
        for row in row_sums(self._connection, store, hours, self._thresholds):
            said = self._series.get(row.series)
            if said is None:
                continue
            for name in self._tiered[said.model]:
                self._add(said, row.hour, name, row.over_tokens, (row.attempts, *row.counts))
                self._expected[_unpriced(said, row.hour, name)] -= row.attempts

    def found(self) -> tuple[Answered, ...]:
        """Return all sums in their order; requests whose rows are gone have no card."""
        for part, missing in self._expected.items():
            if missing > 0:
                self._put(part, (missing, 0, 0, 0, 0))
        return tuple(
            Answered(part, requests, (given, cached, written, output))
            for part, (requests, given, cached, written, output) in sorted(self._sums.items(), key=_order)
        )

    def _add(self, said: _Series, hour: int, name: str, over: int, sums: Sequence[int]) -> None:
        processing = said.processing if self._sells(name, said.processing, hour) else 0
        known = self._schedule.window(name, processing, hour * HOUR_US).known_for(sums[1], sums[4])
        if known is None:
            self._put(_unpriced(said, hour, name), sums)
            return
        patient = None
        if processing != BATCH and self._sells(name, BATCH, hour):
            batch = self._schedule.window(name, BATCH, hour * HOUR_US).known_for(sums[1], sums[4])
            patient = batch.card if batch is not None else None
        part = _unpriced(said, hour, name)
        at_size = known.over_tokens(over + 1) if over else 0
        self._put(part._replace(card=known.card, patient=patient, over_tokens=at_size), sums)

    def _sells(self, name: str, processing: int, hour: int) -> bool:
        """Whether a list has prices for a kind of processing; asked here, a list without is no warning."""
        if processing == STANDARD:
            return True
        prices = self._lists.get(name)
        return prices is not None and prices.sells(PROCESSINGS[processing], _EPOCH + timedelta(hours=hour))

    def _put(self, part: Part, sums: Sequence[int]) -> None:
        found = self._sums.setdefault(part, [0] * 5)
        for place, count in enumerate(sums):
            found[place] += count


def _unpriced(said: _Series, hour: int, name: str) -> Part:
    return Part(hour // _HOURS_PER_DAY, said.model, said.served_by, said.from_memory, name, None, None, 0)


def _order(item: tuple[Part, list[int]]) -> tuple[object, ...]:
    part = item[0]
    return (*part[:5], part.over_tokens, repr(part.card))


def _answered_series(connection: sqlite3.Connection) -> Iterator[tuple[int, _Series]]:
    for number, model, target, priced_as, decision, outcome, processing in connection.execute(_SERIES):
        if outcome in (*ANSWERED, rows.CACHED) and decision not in EVALUATION:
            served_by = pool_of(target) or priced_as or target
            yield number, _Series(model, served_by, outcome == rows.CACHED, processing)
