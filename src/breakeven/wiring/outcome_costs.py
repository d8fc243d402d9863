"""Joins the ledger, its pools and what was said of answers into what a success cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.ledger.costs import Known
from breakeven.ledger.outcome_costs import spending
from breakeven.studies.outcomes import Asked, outcome_costs
from breakeven.studies.outcomes.result import MATURE_HOURS
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.ledger_costs import as_if_over
from breakeven.wiring.pools import closed_hours, declared_pools

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.query import Question
    from breakeven.studies.outcomes import OutcomeCosts
    from breakeven.wiring.ledger import LedgerPlace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_S = 3600


def query_outcome_costs(
    place: LedgerPlace,
    config: Path | None,
    hours: Question,
    asked: Asked | None = None,
    *,
    mature_hours: float = MATURE_HOURS,
    now_s: float | None = None,
    so_far: bool = False,
) -> OutcomeCosts:
    """Return what successes cost in the hours of a question; pools are as settings declare them.

    ``asked`` says how subjects are grouped; when they are old enough follows from ``mature_hours``.  ``so_far``: the
    hour that is not over counts as well, as if it ended now.  Raises ``InputError`` for a wrong question, settings or
    ledger.
    """
    if not 0 <= mature_hours < float("inf"):
        raise InputError(f"--mature-hours {mature_hours:g}: it is a number of hours from 0 on.")
    now_s = current_s() if now_s is None else now_s
    declared, closed = declared_pools(config), closed_hours(now_s)
    if so_far:
        closed, declared = as_if_over(place, declared if config is not None else None, now_s)
    before = _EPOCH + timedelta(seconds=max(now_s - mature_hours * _HOUR_S, 0.0))
    with spending(place.store, hours, Known(closed_hours=closed, declared=declared)) as spent:
        found = outcome_costs(spent, asked or Asked(), before)
    note = waiting_note(place)
    return replace(found, notes=(*found.notes, note)) if note else found
