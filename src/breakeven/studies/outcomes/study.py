"""Joins outcomes with what attempts cost: what a success cost, by task, target, key, week, or whatever is asked."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.outcome_costs import failure_price
from breakeven.studies.outcomes.result import OutcomeCosts, Rivals
from breakeven.studies.outcomes.said import Outcomes
from breakeven.studies.outcomes.subjects import Evaluated, subjects
from breakeven.studies.outcomes.tally import Group, check_asked, is_chosen, labels_of
from breakeven.studies.outcomes.words import notes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from breakeven.ledger.costs import PoolCost
    from breakeven.ledger.labels import Labels
    from breakeven.ledger.outcome_costs import Said, Spending
    from breakeven.studies.outcomes.result import Asked, OutcomeCost
    from breakeven.studies.outcomes.subjects import Subject

COMPARED: Final = ("target", "pool", "model")
"""Labels whose values are set against each other, the first that results are grouped by."""


def outcome_costs(spending: Spending, asked: Asked, mature_before: datetime) -> OutcomeCosts:
    """Return what successes cost, of subjects that ended before a moment, so that what is said of them has been said.

    Reads the attempts once.  Raises ``InputError`` for what cannot be asked.
    """
    check_asked(asked)
    join = _Join(spending, asked, mature_before)
    join.run()
    return join.result()


def idle_ratios(pools: Iterable[PoolCost]) -> dict[str, Decimal]:
    """Return by pool what was idle over what was used, with the fixed lines of both; none where nothing was used."""
    used: dict[str, Decimal] = {}
    idle: dict[str, Decimal] = {}
    for pool in pools:
        used[pool.pool] = used.get(pool.pool, Decimal(0)) + pool.allocated_usd + pool.allocated_fixed_usd
        idle[pool.pool] = idle.get(pool.pool, Decimal(0)) + pool.idle_usd + pool.idle_fixed_usd
    return {name: idle[name] / used[name] for name in used if used[name]}


class _Join:
    """Adds subjects to groups."""

    def __init__(self, spending: Spending, asked: Asked, mature_before: datetime) -> None:
        self._spending = spending
        self._asked = asked
        self._outcomes = Outcomes(spending.outcomes, asked.rules)
        self._mature_before = mature_before
        self._mature_us = int(mature_before.timestamp() * 1_000_000)
        self._groups: dict[Labels, Group] = {}
        self._said_by: Counter[str] = Counter()
        self._attributed_usd = self._left_out_usd = Decimal(0)

    def run(self) -> None:
        """Read everything."""
        for found in subjects(self._spending.attempts, idle_ratios(self._spending.costs.pools)):
            if isinstance(found, Evaluated):
                self._evaluated(found)
            else:
                self._subject(found)

    def result(self) -> OutcomeCosts:
        """Return the answer."""
        costs, asked = self._spending.costs, self._asked
        groups = tuple(group.cost(labels, asked) for labels, group in sorted(self._groups.items(), key=_order))
        idle_usd = sum((pool.idle_usd + pool.idle_fixed_usd for pool in costs.pools), Decimal(0))
        loaded_usd = sum((group.loaded_usd for group in costs.groups), Decimal(0))
        by = tuple(map(str, asked.by))
        return OutcomeCosts(
            by=by,
            groups=groups,
            rivals=tuple(rivals_of(by, groups)),
            until=costs.until,
            mature_before=self._mature_before,
            said_by=tuple(sorted(self._said_by.items())),
            attributed_usd=self._attributed_usd,
            left_out_usd=self._left_out_usd,
            deleted_usd=loaded_usd - self._attributed_usd - self._left_out_usd,
            idle_usd=idle_usd,
            billed_usd=loaded_usd + idle_usd,
            notes=notes_of(groups, costs, self._outcomes, self._mature_before),
        )

    def _evaluated(self, found: Evaluated) -> None:
        spent = found.spent
        group = self._group_of(spent.loaded_usd, labels_at=(spent.said, spent.received_us))
        if group is not None:
            group.evaluation_usd += spent.loaded_usd

    def _subject(self, subject: Subject) -> None:
        loaded_usd = sum((part.loaded_usd for part in subject.parts.values()), Decimal(0))
        heard = self._outcomes.heard(subject)
        group = self._group_of(loaded_usd, labels_at=(subject.final, subject.began_us))
        if group is None:
            return
        if subject.ended_us >= self._mature_us:
            group.young += 1
            group.young_usd += loaded_usd
            return
        self._said_by[heard.said_by] += 1
        group.add(subject, heard, self._asked)

    def _group_of(self, loaded_usd: Decimal, labels_at: tuple[Said, int]) -> Group | None:
        """Return the group that something belongs to; None where it was not asked for."""
        if not is_chosen(self._asked.where, *labels_at):
            self._left_out_usd += loaded_usd
            return None
        self._attributed_usd += loaded_usd
        labels = labels_of(self._asked.by, *labels_at)
        return self._groups.setdefault(labels, Group())


def rivals_of(by: Sequence[str], groups: Iterable[OutcomeCost]) -> Iterator[Rivals]:
    """Yield the cheapest target of each task (or whatever else groups share) beside each dearer one."""
    compared = next((label for label in COMPARED if label in by), None)
    if compared is None:
        return
    place = by.index(compared)
    same: dict[Labels, list[OutcomeCost]] = {}
    for group in groups:
        if group.subject_count and group.labels[place] is not None:
            same.setdefault((*group.labels[:place], None, *group.labels[place + 1 :]), []).append(group)
    for labels, found in same.items():
        first, *others = sorted(found, key=lambda group: group.whole.usd_per_subject or 0.0)
        for other in others:
            yield Rivals(
                labels=labels,
                cheaper=first.labels[place],
                dearer=other.labels[place],
                cheaper_usd=first.whole.usd_per_subject or 0.0,
                dearer_usd=other.whole.usd_per_subject or 0.0,
                price=failure_price(first.whole, other.whole),
            )


def best_with_failures(found: OutcomeCosts) -> Iterator[tuple[Labels, str | None, float]]:
    """Yield the cheapest target of what groups share, with what failing costs; nothing where there is no choice."""
    compared = next((label for label in COMPARED if label in found.by), None)
    if compared is None:
        return
    place = found.by.index(compared)
    same: dict[Labels, list[tuple[float, str | None]]] = {}
    for group in found.groups:
        if group.with_failures_usd is not None:
            labels = (*group.labels[:place], None, *group.labels[place + 1 :])
            same.setdefault(labels, []).append((group.with_failures_usd, group.labels[place]))
    for labels, sums in same.items():
        if len(sums) > 1:
            usd, name = min(sums, key=lambda item: item[0])
            yield labels, name, usd


def _order(item: tuple[Labels, Group]) -> tuple[tuple[bool, str], ...]:
    return tuple((label is None, label or "") for label in item[0])
