"""What a verdict is: ranked options with intervals, break-even, drivers and reasons, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date

    from breakeven.economics.breakeven import BreakEven, FlatCost, StairCost
    from breakeven.economics.sensitivity import Swing
    from breakeven.economics.stack import Drain, Layer
    from breakeven.quantities import Interval
    from breakeven.records import TrafficProfile

OptionKind = Literal[
    "today", "today-optimised", "api", "open-model-api", "serverless", "self-hosted", "owned", "provisioned"
]
Standing = Literal["same model", "evidence", "no evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineInput:
    """A number that went into a line; an assumption when ``name`` is the key of one."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """One line of an option's bill with its interval, at the option's own low, likely and high end."""

    key: str
    layer: Layer
    usd_per_month: Interval
    formula: str
    inputs: tuple[LineInput, ...]
    drain: Drain | None
    sunk: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityEvidence:
    """What is known of a model's quality beside today's."""

    standing: Standing
    reason: str
    score_ratio: float | None = None
    """Median of its public scores over those of today's model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """USD per million of today's tokens on each named basis, at likely values.

    marginal: one more token on a pool already paid; allocated: the pool's bill with its idle and
    standby hours; fully loaded: with people, infrastructure, reliability and one-off work;
    avoidable: fully loaded without what is sunk.
    """

    marginal_usd_per_mtok: float
    allocated_usd_per_mtok: float
    fully_loaded_usd_per_mtok: float
    avoidable_usd_per_mtok: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The nodes of an option at likely values."""

    serving_nodes: int
    standby_nodes: int
    gpus_per_node: int
    gpu: str
    sized_by: str
    utilisation_fraction: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingResult:
    """Break-even of an option against one alternative, solved at three corners.

    Volumes are in millions of today's tokens a month.  ``favourable`` takes every assumption at the
    end that favours the option.  ``utilisation_fraction`` is where the pool costs what the
    alternative does, at likely values and the pool's size now; above 1 it cannot.
    """

    against: str
    favourable: BreakEven
    likely: BreakEven
    unfavourable: BreakEven
    utilisation_fraction: float | None
    pool: StairCost
    """The option's bill over volume, at likely values."""

    api: FlatCost
    """The alternative's bill over volume, at likely values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A price or measurement that an option rests on, with its age."""

    what: str
    source: str
    as_of: date | None
    age_days: int | None
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionResult:
    """One way to serve the traffic and everything known of its cost."""

    id: str
    title: str
    kind: OptionKind
    model: str
    usd_per_month: Interval
    usd_per_mtok: Interval
    usd_per_request: Interval | None
    bases: Bases
    lines: tuple[LineResult, ...]
    nodes: Nodes | None
    quality: QualityEvidence
    excluded_by: tuple[str, ...]
    partial: tuple[str, ...]
    paying_quality_loss_fraction: float | None
    break_even: tuple[CrossingResult, ...]
    swings: tuple[Swing, ...]
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurningPoint:
    """An assumption at an end of its interval that makes another option the cheapest.

    ``likely`` and ``value`` are in the assumption's own unit.
    """

    key: str
    likely: float
    value: float
    winner: str
    winner_title: str
    usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The verdict in words."""

    recommended: str
    paragraph: str
    would_change: tuple[str, ...]
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumptionUsed:
    """An assumption as it entered the verdict."""

    key: str
    meaning: str
    unit: str
    low: float
    likely: float
    high: float
    basis: str
    source: str
    as_of: date
    age_days: int
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to "should we run the model ourselves?", with everything behind it."""

    scenario: str
    as_of: date
    profile: TrafficProfile
    volume_mtok_per_month: Interval
    requests_per_month: Interval | None
    options: tuple[OptionResult, ...]
    """Ranked: those that may be recommended first, by fully loaded cost; excluded ones last."""

    answer: Answer
    turning_points: tuple[TurningPoint, ...]
    assumptions: tuple[AssumptionUsed, ...]
    limits: tuple[str, ...]
    """What the data cannot show, and what was assumed instead."""

    warnings: tuple[str, ...]

    def option(self, option_id: str) -> OptionResult:
        """Find an option by id."""
        return next(item for item in self.options if item.id == option_id)
