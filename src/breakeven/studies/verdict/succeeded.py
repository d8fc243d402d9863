"""What the outcomes of a model's answers were, as a plan takes it from a ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """What is known of the outcomes of one model on the user's own requests."""

    model: str
    """As the verdict names it: an open model's id, or ``provider:model``."""

    subject_count: int
    """Episodes, and requests that belong to none."""

    request_count: int
    known_count: int
    success_count: int
