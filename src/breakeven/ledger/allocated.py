"""Answers what was served in full: attempts at their price, pools' hours shared over what they served, the rest idle.

An hour's bill of a pool is shared over the roll-up's cells of that hour by the GPU time of their tokens, so the answer
needs no rows and is the same after they were moved or deleted.  An attempt counts to the hour in which its request
came, as in every other question to the ledger.  Sums are of whole units, so that in any grouping what is allocated and
what is idle add up to the bills, to the last digit.  Only hours that are over have a bill.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.economics.allocation import allocate_units, usd_of
from breakeven.economics.pool_hours import HOUR_US, NodePrices, hour_bill, pool_hours
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.against import ANSWERED
from breakeven.ledger.costs import Costs, GroupCost, PoolCost
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.labels import POOL, TIME_LABELS, column, condition_of, pool_of, served_pools, text_of, time_said
from breakeven.ledger.pools import all_terms, hours_kept, hours_of, stored_pools
from breakeven.ledger.query import answer, check, hours_asked, sum_of
from breakeven.ledger.row_sums import row_sums
from breakeven.ledger.store import connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.ledger.costs import Known
    from breakeven.ledger.labels import Labels
    from breakeven.ledger.query import Question, Total

    Cell = tuple[int, int, list[int]]
    """Series, attempts and four token counts."""

MEASURED: Final = "measured: the time that attempts took there"
_PS_PER_US: Final = 1_000_000
_US_PER_S: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CELLS: Final = (
    "SELECT hour, series, attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens "
    "FROM rollup_hour WHERE hour >= ? AND hour < ?"
)
_OF_NODES: Final = " AND series IN (SELECT s.id FROM series s JOIN text t ON t.id = s.target WHERE instr(t.text, '/'))"


def ask_costs(store: Path, question: Question, known: Known) -> Costs:
    """Answer a question with all costs.  Raises ``InputError`` for a wrong one and for a store that cannot be read."""
    check(question)
    until = _EPOCH + timedelta(hours=known.closed_hours)
    if question.since is not None and question.since >= until:
        raise InputError(f"--since {question.since:%Y-%m-%dT%H:%MZ}: no hour from there on is over yet.")
    question = replace(question, until=min(question.until or until, until))
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            connection.execute("BEGIN")
            walk = Walk(connection, store, question, known)
            walk.run()
            assert question.until is not None
            return Costs(groups=walk.groups(), pools=walk.pools(), until=question.until)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


class _Sums:
    """What is added up for one group, or for one pool; money in units."""

    __slots__ = ("allocated", "bill", "fixed", "paid_us", "spread", "unbilled", "unmeasured", "unpriced_us", "work")

    def __init__(self) -> None:
        self.allocated = self.spread = self.work = self.unbilled = 0
        self.bill = self.fixed = self.paid_us = self.unpriced_us = self.unmeasured = 0


class _Said(NamedTuple):
    """What a series says."""

    labels: Labels
    """Nothing of times."""

    pool: str | None
    outcome: int
    processing: int
    is_evaluation: bool
    """Whether it was asked only to compare targets or to judge answers: elsewhere nobody would have asked for it."""


class PoolWalked:
    """A pool while its hours are walked through."""

    __slots__ = ("declared", "prices", "served_us", "sums", "terms")

    def __init__(self, terms: PoolTerms, *, declared: bool) -> None:
        self.terms = terms
        self.declared = declared
        self.prices = NodePrices(terms.prices)
        self.sums: dict[str, _Sums] = {}
        self.served_us: dict[tuple[int, int], int] = {}
        """By hour and series, measured time of its attempts, where the GPU time of tokens is not known."""

    def work(self, hour: int, cells: Sequence[Cell]) -> list[int] | None:
        """Return the node time of each cell, in picoseconds; None where it was measured and the rows are gone."""
        weights = self.terms.gpu_time
        if weights is not None:
            return weights.work(counts for _, _, counts in cells)
        found = [self.served_us.get((hour, series)) for series, _, _ in cells]
        if None in found:
            return None
        return [served_us * _PS_PER_US // self.terms.slots_count for served_us in found if served_us is not None]


class Walk:
    """Goes through hours in their order, and shares each pool's bill over what it served."""

    def __init__(self, connection: sqlite3.Connection, store: Path, question: Question, known: Known) -> None:
        """Take the store, inside a transaction, and the question, which asks for hours that are over only."""
        self._connection = connection
        self._store = store
        self._hours = hours_asked(question)
        self._against = known.against
        self._reads_rows = known.reads_rows
        self._groups: dict[Labels, _Sums] = {}
        self._sums_of: dict[int, _Sums] = {}
        """By series, the group that it is added to in the hour at hand."""

        self._series: dict[int, _Said] = {}
        terms = all_terms(stored_pools(connection), known.declared, hours_kept(connection))
        declared = {item.name for item in known.declared}
        self._pools = {name: PoolWalked(item, declared=name in declared) for name, item in sorted(terms.items())}
        self._wanted = {value for label, value in question.where if label == POOL}
        unused = {(POOL, name) for name in self._wanted & (self._pools.keys() - served_pools(connection))}
        self._question = replace(question, where=tuple(item for item in question.where if item not in unused))
        condition, values = condition_of(connection, self._question.where)
        found = connection.execute(f"SELECT id FROM series s WHERE {condition}", values)  # noqa: S608 - columns of ours
        is_any_used = not unused or len(unused) < len(self._wanted)
        self._chosen = frozenset(number for (number,) in found if is_any_used)
        self._time = next((label for label in TIME_LABELS if label in question.by), "")

    def run(self) -> None:
        """Walk."""
        if self._reads_rows:
            self._measure()
        for hour, cells in self._by_hour():
            by_pool: dict[str, list[Cell]] = {}
            if self._time:
                self._sums_of.clear()
            for series, attempts, counts in cells:
                said = self._series.get(series) or self._said(series)
                if said.pool is not None and said.pool in self._pools and said.outcome != rows.CACHED:
                    by_pool.setdefault(said.pool, []).append((series, attempts, counts))
                if self._against is not None:
                    self._set_against(hour, series, (0, attempts, *counts), self._against.plain)
            for name, pool_state in self._pools.items():
                self._share(pool_state, hour, by_pool.get(name, []))
        if self._against is not None and self._against.tiered:
            for row in row_sums(self._connection, self._store, self._hours, self._against.thresholds_tokens):
                part = (row.over_tokens, row.attempts, *row.counts)
                self._set_against(row.hour, row.series, part, self._against.tiered)

    def groups(self) -> tuple[GroupCost, ...]:
        """Return what each group cost, in the order of their labels."""
        if not self._chosen:
            return ()
        by = self._question.by
        split = self._question if POOL in by else replace(self._question, by=(*by, POOL))
        at = split.by.index(POOL)
        parts: dict[Labels, list[tuple[bool, Total]]] = {}
        for total in answer(self._connection, split):
            labels = total.labels[: len(by)]
            parts.setdefault(labels, []).append((total.labels[at] in self._pools, total))
        return tuple(self._group(labels, found) for labels, found in parts.items())

    def pools(self) -> tuple[PoolCost, ...]:
        """Return what each pool's hours cost, whoever was served; of pools that are chosen, if some are."""
        return tuple(
            PoolCost(
                pool=name,
                time=time,
                bill_usd=usd_of(sums.bill),
                allocated_usd=usd_of(sums.allocated),
                fixed_usd=usd_of(sums.fixed),
                allocated_fixed_usd=usd_of(sums.spread),
                paid_s=Decimal(sums.paid_us) / _US_PER_S,
                unpriced_s=Decimal(sums.unpriced_us) / _US_PER_S,
                gpu_s=sums.work / _PS_PER_US / _US_PER_S,
                unmeasured_hours=sums.unmeasured,
                basis=pool.terms.basis if pool.terms.gpu_time else MEASURED,
            )
            for name, pool in self._pools.items()
            if not self._wanted or name in self._wanted
            for time, sums in sorted(pool.sums.items())
        )

    def _group(self, labels: Labels, parts: Sequence[tuple[bool, Total]]) -> GroupCost:
        api = [total for is_pool, total in parts if not is_pool]
        sums = self._groups.get(labels) or _Sums()
        marginal_usd = sum((total.cost_usd or Decimal(0) for total in api), Decimal(0))
        allocated_usd = marginal_usd + usd_of(sums.allocated)
        return GroupCost(
            labels=labels,
            total=replace(sum_of(total for _, total in parts), labels=labels),
            marginal_usd=marginal_usd,
            allocated_usd=allocated_usd,
            loaded_usd=allocated_usd + usd_of(sums.spread),
            unbilled_count=sums.unbilled + sum(total.unpriced_count for total in api),
            gpu_s=sums.work / _PS_PER_US / _US_PER_S,
            against_usd=self._against.priced(labels) if self._against is not None else {},
        )

    def _share(self, pool: PoolWalked, hour: int, cells: Sequence[Cell]) -> None:
        """Share one hour of one pool."""
        terms = pool.terms
        facts = pool_hours(terms, hour + 1, hour) if pool.declared else hours_of(self._connection, terms.name, hour)
        bill = hour_bill(terms, pool.prices, facts)
        if not cells and not bill.paid_us:
            return
        sums = pool.sums.setdefault(time_said(self._time, "hour", hour) if self._time else "", _Sums())
        work, paid = pool.work(hour, cells), bill.paid_us * _PS_PER_US
        if work is None:
            work, paid = [counts[0] + counts[3] for _, _, counts in cells], 0
            sums.unmeasured += 1
        shares = allocate_units(bill.bill, work, paid)
        spread = allocate_units(bill.fixed, work, paid)
        self.note_shares(pool, hour, cells, shares, spread)
        unbilled = bill.paid_us == bill.unpriced_us
        sums.bill += bill.bill
        sums.fixed += bill.fixed
        sums.paid_us += bill.paid_us
        sums.unpriced_us += bill.unpriced_us
        sums.allocated += sum(shares)
        sums.spread += sum(spread)
        sums.work += sum(work) if paid or not cells else 0
        for (series, attempts, _), share, also, piece in zip(cells, shares, spread, work, strict=True):
            if series in self._chosen:
                group = self._sums_of.get(series) or self._sums(series, hour)
                group.allocated += share
                group.spread += also
                group.work += piece
                group.unbilled += attempts if unbilled and piece else 0

    def note_shares(
        self, pool: PoolWalked, hour: int, cells: Sequence[Cell], shares: Sequence[int], spread: Sequence[int]
    ) -> None:
        """Be told what each cell of a pool's hour is charged, of the bill and of the fixed lines, in units."""

    def _sums(self, series: int, hour: int) -> _Sums:
        found = self._sums_of[series] = self._groups.setdefault(self._labels(series, hour), _Sums())
        return found

    def _set_against(self, hour: int, series: int, part: Sequence[int], names: Sequence[str]) -> None:
        said = self._said(series)
        if self._against is None or series not in self._chosen or said.outcome not in ANSWERED or said.is_evaluation:
            return
        labels = self._labels(series, hour)
        if names is self._against.plain:
            self._against.expect(labels, part[1])
        self._against.add(names, labels, hour, said.processing, part)

    def _measure(self) -> None:
        """Sum up how long attempts took at pools of which the GPU time of tokens is not known."""
        measured = {name: pool for name, pool in self._pools.items() if pool.terms.gpu_time is None}
        if not measured:
            return
        for row in row_sums(self._connection, self._store, self._hours):
            pool = measured.get(self._said(row.series).pool or "")
            if pool is not None:
                cell = row.hour, row.series
                pool.served_us[cell] = pool.served_us.get(cell, 0) + row.served_us

    def _by_hour(self) -> Iterator[tuple[int, list[Cell]]]:
        """Yield every hour that may have something, with its cells; those between are yielded where pools are paid."""
        known = [node.since_us // HOUR_US for pool in self._pools.values() for node in pool.terms.nodes]
        after = max(self._hours[0], min(known, default=self._hours[1]))
        cells = _CELLS + ("" if self._against is not None else _OF_NODES)
        found = self._connection.execute(f"{cells} ORDER BY hour, series", self._hours)
        for hour, group in groupby(found, key=itemgetter(0)):
            for between in range(after, hour):
                yield between, []
            yield hour, [(series, attempts, counts) for _, series, attempts, *counts in group]
            after = max(after, hour + 1)
        for between in range(after, self._hours[1]):
            yield between, []

    def _labels(self, series: int, hour: int) -> Labels:
        said = self._said(series).labels
        if not self._time:
            return said
        return tuple(
            time_said(label, "hour", hour) if label in TIME_LABELS else text
            for label, text in zip(self._question.by, said, strict=True)
        )

    def _said(self, series: int) -> _Said:
        if series not in self._series:
            by = self._question.by
            own = ["NULL" if label in TIME_LABELS else column(label) for label in by]
            columns = ", ".join([*own, "target", "outcome", "processing", "decision"])
            *codes, target, outcome, processing, decision = self._connection.execute(
                f"SELECT {columns} FROM series WHERE id = ?",  # noqa: S608 - columns of ours
                (series,),
            ).fetchone()
            said = tuple(text_of(self._connection, label, code) for label, code in zip(by, codes, strict=True))
            name = text_of(self._connection, "target", target)
            self._series[series] = _Said(
                labels=said,
                pool=pool_of(name) if name else None,
                outcome=outcome,
                processing=processing,
                is_evaluation=text_of(self._connection, "decision", decision) in EVALUATION,
            )
        return self._series[series]
