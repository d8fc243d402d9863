"""What was used since a moment, by whom and at what: what limits begin with after a restart.

Tokens and dollars are of all attempts.  Requests are counted at the one attempt with which each ended, unless it
failed: so they add up to the same by key, tags, model and target.  Attempts without a known price cost nothing here.
Those that a pool served cost their provisional price until their hour closes, and their part of its bill from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.allocation import corrections
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.pools import weighed_pools
from breakeven.ledger.query import Question, ask
from breakeven.ledger.rows import CACHED, FAILED, OUTCOMES
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.ledger.query import Total

_BY: Final = ("key", "tags", "model", "target", "outcome", "decision")
_OURS: Final = ("shadow", "judge")
"""Decisions of requests of the gateway's own: they use up what a target may give, and nothing of a key's."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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


def true_up(store: Path, since: datetime, closed_hours: int) -> tuple[Used, ...]:
    """Return what is to be added to what pools' attempts were charged provisionally, from an hour on; none counted.

    After it they were charged what their closed hours allocate to them.  Hours whose bill is not known, and pools of
    which nobody says what tokens take, stay as they were charged.  Raises ``InputError`` as ``used_since``.
    """
    if since >= _EPOCH + timedelta(hours=closed_hours):
        return ()
    try:
        pools = weighed_pools(store)
    except StoreMissingError:
        return ()
    if not pools:
        return ()
    question = Question(by=(*_BY[:4], "decision", "hour"), since=since, where=tuple(("pool", name) for name in pools))
    found = ask_costs(store, question, Known(closed_hours=closed_hours, reads_rows=False))
    groups = [(_whose(group.labels, group.labels[4]), group) for group in found.groups]
    billed = [(labels, group) for labels, group in groups if not group.unbilled_count]
    more = corrections(
        ((labels, group.total.cost_usd or Decimal(0)) for labels, group in billed),
        ((labels, group.allocated_usd) for labels, group in billed),
    )
    return tuple(
        Used(key=key, tags=tags, model=model, target=target, ended_requests=0, used_tokens=0, cost_usd=more_usd)
        for (key, tags, model, target), more_usd in more.items()
    )


def _used(totals: tuple[Total, ...]) -> tuple[Used, ...]:
    return tuple(
        Used(
            key=key,
            tags=tags,
            model=model,
            target=target,
            ended_requests=0 if total.labels[4] == OUTCOMES[FAILED] else total.attempt_count,
            used_tokens=total.usage.total_tokens,
            cost_usd=total.cost_usd or Decimal(0),
        )
        for total in totals
        if total.labels[4] != OUTCOMES[CACHED]
        for key, tags, model, target in [_whose(total.labels, total.labels[5])]
    )


def _whose(labels: Sequence[str | None], decision: str | None) -> tuple[str, str, str, str]:
    """Return key, tags, model and target against whose limits something counts."""
    key, tags, model, target = (text or "" for text in labels[:4])
    return ("", "", "", target) if decision in _OURS else (key, tags, model, target)
