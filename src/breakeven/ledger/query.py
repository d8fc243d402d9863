"""Questions to the roll-ups: how much was asked for, by whom, of what, and what it cost.

Cost is derived here, from token sums and the rate cards that held, exactly; the roll-ups have no dollars, so
a question that crosses a change of prices is right without a thought.  Attempts without a known price are
counted, never taken as free.  Times are whole hours, as the roll-ups are.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import cost_usd, read_card
from breakeven.ledger.labels import TIME_LABELS, check_labels, column, condition_of, text_of, time_said
from breakeven.ledger.rollups import NO_HOUR, cells_within
from breakeven.ledger.schema import SUMMED
from breakeven.ledger.store import connect, trouble_of
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound

ORDERS: Final = ("cost", "requests", "attempts", "input", "output")
"""What totals can be ranked by."""

_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to sum up; ``since`` and ``until`` are aware, on the hour, and bound [since, until)."""

    by: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Label and value; several values of one label are alternatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The sum over one group of attempts."""

    labels: tuple[str | None, ...]
    """Values of ``Question.by``; None where an attempt has none.  Hours and days are ISO 8601, UTC."""

    requests: int
    """Counted at their first attempts, so that every request counts once whatever the grouping."""

    attempt_count: int
    estimated_count: int
    """Attempts whose tokens were counted from what passed instead of told by the target."""

    unpriced_count: int
    """Attempts without a known price, whose cost is in no figure here."""

    cached_count: int
    """Requests that were answered again from memory, without an attempt; their tokens are in ``usage`` nowhere."""

    avoided_usd: Decimal
    """What those would have cost, as far as prices are known."""

    usage: TokenUsage
    cost_usd: Decimal | None
    """Unrounded; None where no attempt has a known price."""

    @property
    def is_partial(self) -> bool:
        """Whether the cost leaves attempts out."""
        return self.unpriced_count > 0


def ask(store: Path, question: Question) -> tuple[Total, ...]:
    """Answer a question: one total a group, in the order of their labels.

    Raises ``InputError`` for a label or a value that does not exist and for a store that cannot be read.
    """
    check(question)
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            return answer(connection, question)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def usage_of(given: int, cached: int, written: int, output: int) -> TokenUsage:
    """Return typed counts; parts that exceed the input, which no target should tell, raise it to their sum."""
    return TokenUsage(
        input_tokens=max(given, cached + written),
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


class Cards:
    """The rate cards of a store, each read once."""

    __slots__ = ("_connection", "_known")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, RateCard | None] = {"": None}

    def get(self, card_id: str) -> RateCard | None:
        """Return the card of that id; None for the empty one, and for one that is not there."""
        if card_id not in self._known:
            found = self._connection.execute("SELECT content FROM rate_card WHERE id = ?", (card_id,)).fetchone()
            self._known[card_id] = read_card(found[0]) if found else None
        return self._known[card_id]


class _Group:
    """Sums of one group while its parts are added."""

    __slots__ = ("attempts", "avoided_usd", "cached", "cost_usd", "estimated", "priced", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = self.attempts = self.estimated = self.priced = self.cached = 0
        self.tokens = [0, 0, 0, 0]
        self.cost_usd = self.avoided_usd = Decimal(0)

    def add_tokens(self, counts: Sequence[int]) -> None:
        for place, count in enumerate(counts):
            self.tokens[place] += count

    def total(self, labels: tuple[str | None, ...]) -> Total:
        return Total(
            labels=labels,
            requests=self.requests,
            attempt_count=self.attempts,
            estimated_count=self.estimated,
            unpriced_count=self.attempts - self.priced,
            cached_count=self.cached,
            avoided_usd=self.avoided_usd,
            usage=usage_of(*self.tokens),
            cost_usd=self.cost_usd if self.priced or (self.cached and not self.attempts) else None,
        )


def answer(connection: sqlite3.Connection, question: Question) -> tuple[Total, ...]:
    """Answer a question that was checked, from a store inside a transaction."""
    time = next((label for label in TIME_LABELS if label in question.by), "")
    cells = cells_within(connection, hours_asked(question), time)
    condition, values = condition_of(connection, question.where)
    # Series that the answer does not tell apart count as the first of them, so that only two numbers are sorted.
    parts = ", ".join([*(f"s.{column(label)}" for label in question.by if label not in TIME_LABELS), *_PRICED])
    found = connection.execute(
        f"WITH chosen AS MATERIALIZED (SELECT s.id AS series, min(s.id) OVER (PARTITION BY {parts}) AS first "
        f"FROM series s WHERE {condition}) "
        f"SELECT at, first, {SUMMED} FROM ({cells}) cells CROSS JOIN chosen ON chosen.series = cells.series "
        "GROUP BY at, first",
        values,
    )
    totals: dict[tuple[str | None, ...], _Group] = {}
    cards = Cards(connection)
    series: dict[int, tuple[list[str | None], Sequence[int | str]]] = {}
    for at, first, *sums in found:
        if first not in series:
            series[first] = _said_of(connection, question, first)
        said, priced = series[first]
        labels = tuple(
            time_said(label, time, at) if label in TIME_LABELS else text
            for label, text in zip(question.by, said, strict=True)
        )
        _add(totals.setdefault(labels, _Group()), (*priced, *sums), cards)
    return tuple(group.total(labels) for labels, group in sorted(totals.items(), key=_order))


def _said_of(
    connection: sqlite3.Connection, question: Question, series: int
) -> tuple[list[str | None], Sequence[int | str]]:
    """Return what a series says of each label, nothing of times, and what its price follows from."""
    columns = ["NULL" if label in TIME_LABELS else f"s.{column(label)}" for label in question.by]
    row = connection.execute(
        f"SELECT {', '.join([*columns, *_PRICED])} FROM series s WHERE id = ?", (series,)
    ).fetchone()
    width = len(columns)
    return [text_of(connection, label, code) for label, code in zip(question.by, row, strict=False)], row[width:]


def hours_asked(question: Question) -> tuple[int, int]:
    """Return the hours [from, before) since 1970 that a question is about."""
    since, until = question.since, question.until
    first = int(since.timestamp()) // _HOUR_S if since else 0
    return first, int(until.timestamp()) // _HOUR_S if until else NO_HOUR


def _add(group: _Group, part: Sequence[int | str], cards: Cards) -> None:
    card_id, over_tokens, outcome, estimated, first, attempts, *tokens = part
    assert isinstance(card_id, str)
    count, *counts = (int(number) for number in (attempts, *tokens))
    card = cards.get(card_id)
    usage = usage_of(counts[0], counts[1], counts[2], counts[3])
    cost = (
        cost_usd(card, usage, attempts=count, failed=outcome == rows.FAILED, over_tokens=int(over_tokens))
        if card
        else None
    )
    group.requests += count if first else 0
    if outcome == rows.CACHED:
        group.cached += count
        group.avoided_usd += cost or 0
        return
    group.attempts += count
    group.estimated += count if estimated else 0
    group.add_tokens(counts)
    if cost is not None:
        group.priced += count
        group.cost_usd += cost


_PRICED: Final = ("s.rate_card", "s.over_tokens", "s.outcome", "s.flags & 1", "s.fallback = 0")


def _order(item: tuple[tuple[str | None, ...], _Group]) -> tuple[tuple[bool, str], ...]:
    return tuple((label is None, label or "") for label in item[0])


def check(question: Question) -> None:
    """Raise ``InputError`` for a question that cannot be answered."""
    check_labels(question.by, question.where)
    for option, moment in (("--since", question.since), ("--until", question.until)):
        if moment is not None and moment.timestamp() % _HOUR_S:
            raise InputError(f"{option} {moment:%Y-%m-%dT%H:%M:%S}: the ledger sums up by the hour. Give a full hour.")
    if question.since and question.until and question.since >= question.until:
        raise InputError(
            f"--since {question.since:%Y-%m-%dT%H:%MZ} is not before --until {question.until:%Y-%m-%dT%H:%MZ}."
        )


def ranked(totals: Iterable[Total], order: str) -> tuple[Total, ...]:
    """Return totals from the largest down, by one of ``ORDERS``; those of unknown cost come last."""
    if order not in ORDERS:
        raise InputError(f"--order {order}: totals can be ranked by {', '.join(ORDERS)}.")

    def size(total: Total) -> Decimal:
        by: dict[str, Decimal | int] = {
            "cost": Decimal(-1) if total.cost_usd is None else total.cost_usd,
            "requests": total.requests,
            "attempts": total.attempt_count,
            "input": total.usage.input_tokens,
            "output": total.usage.output_tokens,
        }
        return Decimal(by[order])

    return tuple(sorted(totals, key=size, reverse=True))


def sum_of(totals: Iterable[Total]) -> Total:
    """Add totals up to one without labels."""
    group = _Group()
    for total in totals:
        usage = total.usage
        counts = (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens, usage.output_tokens)
        group.requests += total.requests
        group.attempts += total.attempt_count
        group.estimated += total.estimated_count
        group.priced += total.attempt_count - total.unpriced_count
        group.add_tokens(counts)
        group.cost_usd += total.cost_usd or 0
        group.cached += total.cached_count
        group.avoided_usd += total.avoided_usd
    return group.total(())
