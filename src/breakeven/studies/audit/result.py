"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One task, or one shape of requests."""

    task: str
    """Empty: requests that name no task."""

    requests: int
    requests_fraction: float
    tokens_fraction: float
    spend_usd: float
    """What its tokens cost at today's target, at list prices."""

    spend_fraction: float
    smaller_usd: float | None
    """What they would cost at the smaller target; None where it has no price."""

    allowed: bool | None
    """Whether the table allows it to the smaller target; None where nothing was measured."""

    difference_fraction: float | None
    """Mean score of the smaller target less today's, measured on pairs."""

    low_fraction: float | None
    """Its one-sided 95 % lower bound."""

    pairs_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything ``breakeven audit`` tells."""

    source: str
    grouped_by: str
    """``task``: as the log names them; ``classifier``: told from prompts; ``shape``: by lengths alone."""

    requests: int
    rows_lost: int
    total_tokens: int
    span_days: float | None
    """Time observed."""

    today: str
    smaller: str
    """Empty: none is known or named."""

    spend_usd: float
    partial: tuple[str, ...]
    """What of the spend has no price."""

    rows: tuple[AuditRow, ...]
    measured: bool
    """Whether a task table was given."""

    movable_requests_fraction: float | None
    """Share of requests that the table allows to the smaller target; None without a table."""

    movable_tokens_fraction: float | None
    saving_usd: float | None
    """For the time observed, of what is allowed."""

    saving_fraction: float | None
    """Of the spend."""

    quality_fraction: float | None
    """Change of the mean score over all requests that the measured means imply: -0.002 is 0.2 points of 100 worse."""

    quality_low_fraction: float | None
    """The same at every task's lower bound, which is lower than a joint bound would be."""

    expected_requests_fraction: float
    """What the first document expects: 0.8 of all calls are of tasks that a small model could handle."""

    expected_saving_usd: float | None
    """What it would save if that share of every task went to the smaller target: a claim, not a measurement."""

    short_requests_fraction: float
    """Share of requests with an answer of 20 tokens or fewer: labels, choices, yes or no."""

    undecided_tasks_count: int
    """Tasks of which nothing, or too little, was measured."""

    needed_pairs_count: int
    """Labelled pairs that would begin to decide those, 100 for each."""

    notes: tuple[str, ...]
