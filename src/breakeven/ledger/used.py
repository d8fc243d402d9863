"""What was used since a moment, by whom and at what: what limits begin with after a restart.

Tokens and dollars are of all attempts.  Requests are counted at the one attempt with which each ended, unless it
failed: so they add up to the same by key, tags, model and target.  Attempts without a known price cost nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.ledger.query import Question, ask
from breakeven.ledger.rows import CACHED, FAILED, OUTCOMES
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_BY: Final = ("key", "tags", "model", "target", "outcome")


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


def used_since(store: Path, since: datetime) -> tuple[Used, ...]:
    """Return what was used since a full hour; nothing where there is no store yet.

    What waits in the spool is not in it.  Raises ``InputError`` for a store that cannot be read.
    """
    try:
        totals = ask(store, Question(by=_BY, since=since))
    except StoreMissingError:
        return ()
    return tuple(
        Used(
            key=total.labels[0] or "",
            tags=total.labels[1] or "",
            model=total.labels[2] or "",
            target=total.labels[3] or "",
            ended_requests=0 if total.labels[4] == OUTCOMES[FAILED] else total.attempt_count,
            used_tokens=total.usage.total_tokens,
            cost_usd=total.cost_usd or Decimal(0),
        )
        for total in totals
        if total.labels[4] != OUTCOMES[CACHED]
    )
