"""What an evaluation of routing policies found; every number out of the part of the data that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.routing.task_table import TaskRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What a policy saves while it keeps a share of the strong target's quality; shares of the cost of all strong."""

    level_fraction: float
    saving_fraction: float
    """Read off the policy's own curve: what the best threshold would have saved."""

    low_fraction: float
    """2.5th percentile of that over draws of the rows."""

    high_fraction: float
    sure_saving_fraction: float
    """Saved by thresholds that other rows showed to keep the level with 95 % confidence: what to count on."""

    sure_quality_fraction: float | None
    """Share of the strong target's quality that those thresholds kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a curve."""

    strong_fraction: float
    cost_fraction: float
    """Of the cost of all strong."""

    quality_fraction: float
    """Mean score, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """How one policy did."""

    policy: str
    rows_read: int
    """Rows that it was judged on."""

    apgr_fraction: float | None
    """Mean performance gap recovered; None where the strong target is no better."""

    apgr_low_fraction: float | None
    apgr_high_fraction: float | None
    savings: tuple[Saving, ...]
    points: tuple[Point, ...]
    unseen_apgr_fraction: float | None = None
    """The same on tasks that it has learned nothing of; None where it is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """What the task table allows at one margin, judged on rows that it was not made from."""

    margin_fraction: float
    moved_fraction: float
    """Share of requests that go to the weak target."""

    saving_fraction: float
    quality_fraction: float | None
    """Of the strong target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything ``breakeven route eval`` tells."""

    source: str
    rows_read: int
    rows_lost: int
    """Left out because a score was missing."""

    tasks: tuple[TaskRow, ...]
    task_margin_fraction: float
    """At which these are allowed or not."""

    weak: str
    strong: str
    weak_quality_fraction: float
    strong_quality_fraction: float
    union_quality_fraction: float
    """With the better answer of each row."""

    gain_fraction: float
    """Mean of strong less weak, and its 95 % interval."""

    gain_low_fraction: float
    gain_high_fraction: float
    cost_ratio: float
    """Weak over strong, all rows."""

    best_single: str
    pgr_undefined: str
    """Why there is no APGR, in words; empty where there is one."""

    policies: tuple[PolicyResult, ...]
    tables: tuple[TableResult, ...]
    notes: tuple[str, ...]
    seed: int
