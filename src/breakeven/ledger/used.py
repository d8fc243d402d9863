"""What was used since a moment, by whom and at what: what limits begin with after a restart.

Tokens and dollars are of all attempts.  Requests are counted at the one attempt with which each ended, unless it
failed: so they add up to the same by key, tags, model and target.  Attempts without a known price cost nothing here.
Those that a pool served cost their provisional price until their hour closes, and their part of its bill from then on.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from breakeven.economics.allocation import corrections, usd_of
from breakeven.economics.pool_hours import hour_bill
from breakeven.errors import InputError
from breakeven.ledger.allocated import Walk
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.costs import Known
from breakeven.ledger.pools import hours_of, weighed_pools
from breakeven.ledger.query import Cards, Question, ask, usage_of
from breakeven.ledger.rollups import HOURS_PER_DAY
from breakeven.ledger.rows import CACHED, FAILED, KEY, OUTCOMES
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard
    from breakeven.ledger.allocated import Cell, PoolWalked
    from breakeven.ledger.query import Total

Whose = TypeVar("Whose", bound="Hashable")

_BY: Final = ("key", "tags", "model", "target", "outcome", "decision")
_OURS: Final = ("shadow", "judge")
"""Decisions of requests of the gateway's own: they use up what a target may give, and nothing of a key's."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_SERIES: Final = 10_000
"""Clients choose tags, so no more series than that are remembered while hours are walked through."""

_SAID: Final = (
    "SELECT k.text, t.text, m.text, g.text, d.text, s.rate_card, s.over_tokens, s.outcome FROM series s "
    "LEFT JOIN text k ON k.id = s.key LEFT JOIN text t ON t.id = s.tags LEFT JOIN text m ON m.id = s.model "
    "LEFT JOIN text g ON g.id = s.target LEFT JOIN text d ON d.id = s.decision WHERE s.id = ?"
)


class By(NamedTuple):
    """By whom something was used and at what; each is empty where there is none."""

    key: str
    tags: str
    model: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What the attempts of one key, with the same tags, for one model, at one target used."""

    key: str
    """Empty where there is none; the other texts too."""

    tags: str
    model: str
    target: str
    ended_requests: int
    """That did not fail."""

    used_tokens: int
    """Input and output together."""

    cost_usd: Decimal
    """Below zero in a correction of what was charged too much."""


def used_since(store: Path, since: datetime, closed_hours: int = 0) -> tuple[Used, ...]:
    """Return what was used since a full hour; nothing where there is no store yet.

    Pools are made good for the hours before ``closed_hours``, since 1970.  What waits in the spool is not in it.
    Raises ``InputError`` for a store that cannot be read.
    """
    try:
        totals = ask(store, Question(by=_BY, since=since))
    except StoreMissingError:
        return ()
    return (*_used(totals), *true_up(store, since, closed_hours))


def known_keys(store: Path, names: Iterable[str]) -> set[str]:
    """Return which of these keys the store has attempts of.  Raises ``InputError`` as ``used_since``."""
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            statement = "SELECT text FROM text WHERE kind = ? AND text = ?"
            found = (connection.execute(statement, (KEY, name)).fetchone() for name in names)
            return {str(row[0]) for row in found if row is not None}
    except StoreMissingError:
        return set()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def true_up(store: Path, since: datetime, closed_hours: int) -> tuple[Used, ...]:
    """Return what is to be added to what pools' attempts were charged provisionally, from an hour on; none counted.

    As ``true_up_by_day``, of all days together, by those who used it.
    """
    sums: dict[By, Decimal] = {}
    for (_, by), more_usd in true_up_by_day(store, since, closed_hours, lambda by: (by,)).items():
        sums[by] = sums.get(by, Decimal(0)) + more_usd
    return tuple(
        Used(**by._asdict(), ended_requests=0, used_tokens=0, cost_usd=more_usd)
        for by, more_usd in sums.items()
        if more_usd
    )


def true_up_by_day(
    store: Path, since: datetime, closed_hours: int, whose: Callable[[By], Iterable[Whose]]
) -> dict[tuple[int, Whose], Decimal]:
    """Return what is to be added to what pools' attempts were charged provisionally from a full hour on.

    By day since 1970 and by those to whom ``whose`` counts an attempt.  After it they were charged what the closed
    hours allocate to them.  Hours whose bill is not known, and pools of which nobody says what tokens take, stay as
    they were charged.  It takes memory for a day's series, however many hours there are.  Raises ``InputError`` as
    ``used_since``.
    """
    until = _EPOCH + timedelta(hours=closed_hours)
    if since >= until:
        return {}
    try:
        if not weighed_pools(store):
            return {}
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            walk = _TrueUpWalk(connection, store, (since, until), whose)
            walk.run()
            return walk.more_usd
    except StoreMissingError:
        return {}
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


class _Said(NamedTuple):
    """What a series says that matters here."""

    by: By
    card: RateCard | None
    over_tokens: int
    failed: bool


class _TrueUpWalk(Walk, Generic[Whose]):
    """The walk of ``ledger query --costs`` that sums up, day by day, what attempts were charged too little."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        store: Path,
        between: tuple[datetime, datetime],
        whose: Callable[[By], Iterable[Whose]],
    ) -> None:
        since, until = between
        known = Known(closed_hours=int(until.timestamp()) // 3600, reads_rows=False)
        super().__init__(connection, store, Question(since=since, until=until), known)
        self.more_usd: dict[tuple[int, Whose], Decimal] = {}
        self._whose = whose
        self._cards = Cards(connection)
        self._of_series: dict[int, _Said] = {}
        self._day = 0
        self._day_sums: dict[int, list[int]] = {}
        """By series, of the day at hand: units that were allocated, attempts, and four token counts."""

    def run(self) -> None:
        """Walk."""
        super().run()
        self._end_day()

    def note_shares(
        self, pool: PoolWalked, hour: int, cells: Sequence[Cell], shares: Sequence[int], spread: Sequence[int]
    ) -> None:
        """Add one hour of one pool."""
        del spread
        if pool.terms.gpu_time is None or not (any(shares) or self._is_billed(pool, hour)):
            return
        if hour // HOURS_PER_DAY != self._day:
            self._end_day()
            self._day = hour // HOURS_PER_DAY
        for (series, attempts, counts), share in zip(cells, shares, strict=True):
            sums = self._day_sums.setdefault(series, [0] * 6)
            for place, more in enumerate((share, attempts, *counts)):
                sums[place] += more

    def _is_billed(self, pool: PoolWalked, hour: int) -> bool:
        bill = hour_bill(pool.terms, pool.prices, hours_of(self._connection, pool.terms.name, hour))
        return bill.paid_us > bill.unpriced_us

    def _end_day(self) -> None:
        provisional: list[tuple[tuple[int, Whose], Decimal]] = []
        allocated: list[tuple[tuple[int, Whose], Decimal]] = []
        for series, (units, attempts, *counts) in self._day_sums.items():
            said = self._said_by(series)
            cost = None
            if said.card is not None:
                usage = usage_of(counts[0], counts[1], counts[2], counts[3])
                cost = cost_usd(said.card, usage, attempts=attempts, failed=said.failed, over_tokens=said.over_tokens)
            for whose in self._whose(said.by):
                provisional.append(((self._day, whose), cost or Decimal(0)))
                allocated.append(((self._day, whose), usd_of(units)))
        self.more_usd |= corrections(provisional, allocated)
        self._day_sums.clear()
        if len(self._series) > _MOST_SERIES:
            self._series.clear()
            self._sums_of.clear()

    def _said_by(self, series: int) -> _Said:
        if series not in self._of_series:
            if len(self._of_series) >= _MOST_SERIES:
                self._of_series.clear()
            *labels, card_id, over_tokens, outcome = self._connection.execute(_SAID, (series,)).fetchone()
            card = self._cards.get(card_id)
            self._of_series[series] = _Said(_whose(labels, labels[4]), card, over_tokens, outcome == FAILED)
        return self._of_series[series]


def _used(totals: tuple[Total, ...]) -> tuple[Used, ...]:
    return tuple(
        Used(
            **_whose(total.labels, total.labels[5])._asdict(),
            ended_requests=0 if total.labels[4] == OUTCOMES[FAILED] else total.attempt_count,
            used_tokens=total.usage.total_tokens,
            cost_usd=total.cost_usd or Decimal(0),
        )
        for total in totals
        if total.labels[4] != OUTCOMES[CACHED]
    )


def _whose(labels: Sequence[str | None], decision: str | None) -> By:
    """Return against whose limits something counts."""
    key, tags, model, target = (text or "" for text in labels[:4])
    return By("", "", "", target) if decision in _OURS else By(key, tags, model, target)
