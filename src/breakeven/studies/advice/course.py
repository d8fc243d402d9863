"""Keeps advice from coming and going: it is given from one edge on, and withdrawn below a lower one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breakeven.studies.advice.advice import Given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.studies.advice.advice import Advice, Edges


def follow(
    known: Iterable[Given], found: Iterable[Advice], edges: Edges, paid_usd_per_month: float, now_s: float
) -> tuple[Given, ...]:
    """Return all advice after another look, what saves most first, then what is withdrawn.

    What was given and is not found any more (a pool that is gone, a task that nobody sends) is withdrawn.
    """
    least_usd = edges.least_usd(paid_usd_per_month)
    before = {item.name: item for item in known}
    after = dict(before)
    seen = set[tuple[str, str]]()
    for advice in found:
        name: tuple[str, str] = (advice.kind, advice.subject)
        seen.add(name)
        last = before.get(name)
        given = last is not None and last.state == "given"
        holds = _holds(advice, edges, least_usd, given=given)
        if holds and given and last is not None:
            after[name] = replace(last, advice=advice)
        elif holds:
            after[name] = Given(advice=advice, state="given", since_s=now_s)
        elif given:
            after[name] = Given(advice=advice, state="withdrawn", since_s=now_s)
    for item in before.values():
        if item.state == "given" and item.name not in seen:
            after[item.name] = replace(item, state="withdrawn", since_s=now_s)
    return tuple(sorted(after.values(), key=lambda item: (item.state != "given", -item.advice.gain.likely_usd)))


def _holds(advice: Advice, edges: Edges, least_usd: float, *, given: bool) -> bool:
    gain = advice.gain
    if given:
        return gain.likely_usd >= least_usd / 2 and gain.sure_fraction >= edges.unsure_fraction
    return gain.likely_usd >= least_usd and gain.sure_fraction >= edges.sure_fraction
