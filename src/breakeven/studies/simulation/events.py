"""When nodes are wanted, and when they fail: a question's words as the times that the simulator takes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.arrays import NO_OUTAGES, as_many, timetable
from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from datetime import datetime

    from breakeven.capacity.compiled import Floats
    from breakeven.capacity.fleet import Scaling
    from breakeven.studies.simulation.question import Question, Upkeep

WEEK_HOURS: Final = 168


def scaling_of(question: Question, span_s: float) -> Scaling:
    """Return how many nodes are wanted when, and when nodes and APIs are in their hours, where somebody has any.

    Raises ``ValueError`` for a timetable without a first time.
    """
    scaling = _wanted(question, span_s)
    if not any(question.hours):
        return scaling
    if question.begins is None:
        raise ValueError("a timetable needs to know when the trace begins")
    begins_s = question.begins.timestamp()
    moments_s = set(scaling.changes[:, 0])
    for table in filter(None, question.hours):
        at_s = table.next_change_s(begins_s)
        while at_s is not None and at_s <= begins_s + span_s:
            moments_s.add(at_s - begins_s)
            at_s = table.next_change_s(at_s)
    times_s = np.array(sorted(moments_s))
    opened = [[table is None or table.is_open(begins_s + at_s) for at_s in times_s] for table in question.hours]
    wanted = scaling.changes[np.searchsorted(scaling.changes[:, 0], times_s, side="right") - 1, 1]
    return scaling._replace(changes=np.column_stack([times_s, wanted, *opened]))


def _wanted(question: Question, span_s: float) -> Scaling:
    upkeep = question.upkeep
    if upkeep.week_nodes:
        if question.begins is None:
            raise ValueError("a timetable needs to know when the trace begins")
        return timetable(_changes(upkeep.week_nodes, question.begins, span_s), start_s=upkeep.start_s)
    if upkeep.reactive is None:
        return as_many(question.nodes, start_s=upkeep.start_s)
    rule = upkeep.reactive
    return as_many(rule.min_nodes, start_s=upkeep.start_s)._replace(
        is_reactive=True,
        least=rule.min_nodes,
        most=question.nodes,
        waiting=float(rule.waiting_requests),
        used=float(rule.used_fraction),
        check_s=float(rule.check_s),
        up_after_s=float(rule.up_after_s),
        down_after_s=float(rule.down_after_s),
        idle_s=float(rule.idle_s),
    )


def outages_of(upkeep: Upkeep, nodes: int, span_s: float, seed: int) -> Floats:
    """Draw when nodes fail and may start again: exponential times, each node's own whatever the number of others."""
    if upkeep.mtbf_s is None:
        return NO_OUTAGES
    rows: list[tuple[float, float, float]] = []
    for node in range(nodes):
        chance = np.random.Generator(np.random.PCG64([seed, node]))
        at_s = chance.exponential(upkeep.mtbf_s)
        while at_s < span_s:
            until_s = at_s + chance.exponential(upkeep.repair_s)
            rows.append((at_s, float(node), until_s))
            at_s = until_s + chance.exponential(upkeep.mtbf_s)
    return np.array(sorted(rows)) if rows else NO_OUTAGES


def _changes(week: tuple[int, ...], begins: datetime, span_s: float) -> tuple[tuple[float, int], ...]:
    hour = begins.replace(minute=0, second=0, microsecond=0)
    changes: list[tuple[float, int]] = []
    while (at_s := (hour - begins).total_seconds()) <= span_s:
        nodes = week[hour.weekday() * 24 + hour.hour]
        if not changes or changes[-1][1] != nodes:
            changes.append((max(0.0, at_s), nodes))
        hour += timedelta(seconds=SECONDS_PER_HOUR)
    return tuple(changes)
