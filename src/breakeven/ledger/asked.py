"""Questions as people write them, and totals as programs read them: the same for the command and over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.ledger.query import Total


def moment_of(text: str) -> datetime:
    """Return the day or the time that a text says, in UTC unless it says otherwise.

    Raises ``ValueError`` for what is none, or lies beyond the calendar.
    """
    found = datetime.fromisoformat(text)
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is beyond the calendar") from error


def pair_of(text: str) -> tuple[str, str]:
    """Return the two sides of ``LABEL=VALUE``.  Raises ``ValueError`` for what is not of that form."""
    label, sign, value = text.partition("=")
    if not sign or not value:
        raise ValueError(f"{text} is not of the form LABEL=VALUE")
    return label, value


def record_of(total: Total) -> dict[str, object]:
    """Return the figures of a total but for its tokens; dollars are text, exact to the last digit."""
    return {
        "requests": total.requests,
        "attempts": total.attempt_count,
        "estimated_attempts": total.estimated_count,
        "unpriced_attempts": total.unpriced_count,
        "cached_requests": total.cached_count,
        "avoided_usd": f"{total.avoided_usd:f}",
        "cost_usd": None if total.cost_usd is None else f"{total.cost_usd:f}",
        "partial": total.is_partial,
    }
