"""What a verdict is: ranked options with intervals, break-even, drivers and reasons, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date

    from breakeven.economics.breakeven import BreakEven, FlatCost, StairCost
    from breakeven.economics.levers import LeverBill
    from breakeven.economics.sensitivity import Swing
    from breakeven.economics.stack import Drain, Layer
    from breakeven.quantities import Interval
    from breakeven.records import TrafficProfile
    from breakeven.studies.forecast import Forecast
    from breakeven.studies.rules import RulesResult

OptionKind = Literal[
    "today", "today-optimised", "api", "open-model-api", "serverless", "self-hosted", "owned", "hybrid", "provisioned"
]
Standing = Literal["same model", "evidence", "no evidence"]
SuccessBasis = Literal["your outcomes", "your word", "your shadow comparison", "as today's"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineInput:
    """A number that went into a line; an assumption when ``name`` is the key of one."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """One line of an option's bill: at likely values, between its 10th and 90th percentile over the draws."""

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
class HourOfWeek:
    """What nodes carry and what overflows in an hour of the week at likely values, both in nodes kept busy.

    None in hours that were not observed.
    """

    carried_nodes: float | None
    overflow_nodes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """What of a hybrid's work goes to an API, and how many nodes are held for the rest.

    ``held_nodes`` and ``overflow_fraction`` (of the work) run over the draws, none and all where no number of nodes
    pays; in ``held_fraction`` of the draws some does.  A node pays that is busy ``paying_fraction`` of its time.
    ``week`` has 168 hours from Monday 00:00 UTC, or none where no whole week was observed.
    """

    target: str
    model: str
    held_nodes: Interval
    held_fraction: float
    overflow_fraction: Interval
    paying_fraction: Interval
    week: tuple[HourOfWeek, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingResult:
    """Break-even of an option against one alternative, at likely values and over all draws.

    Volumes are in millions of today's tokens a month.  ``low_mtok`` and ``high_mtok`` are the 10th and 90th
    percentile of the first crossing over the draws, None where that draw never crosses; in ``never_fraction`` of
    them no volume makes the option cheaper.  ``utilisation_fraction`` is where the pool costs what the alternative
    does, at likely values and the pool's size now; above 1 it cannot.
    """

    against: str
    likely: BreakEven
    low_mtok: float | None
    high_mtok: float | None
    never_fraction: float
    utilisation_fraction: float | None
    pool: StairCost | None
    """The option's bill over volume, at likely values; None for a hybrid's, which has no steps."""

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
class Success:
    """How often an option's answers do their job, and what one that does costs.

    Outcomes are of episodes, and of requests that belong to none; intervals hold 80 % of the draws.
    """

    fraction: Interval
    basis: SuccessBasis
    known_count: int
    """Known outcomes behind it; 0 where it is assumed."""

    usd_per_success: Interval


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
    overflow: Overflow | None
    """Of a hybrid: what its nodes do not carry."""

    quality: QualityEvidence
    excluded_by: tuple[str, ...]
    partial: tuple[str, ...]
    paying_quality_loss_fraction: float | None
    break_even: tuple[CrossingResult, ...]
    levers: LeverBill | None
    """The bill at likely values, taken apart for re-weighing; None where it has no such parts (serverless)."""

    swings: tuple[Swing, ...]
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    success: Success | None = None
    """None where nothing is known of how often today's model succeeds: options then rank on cost."""

    @property
    def ranking_usd(self) -> float:
        """What it is ranked by: what a success costs where that is known of today's model, else its bill a month."""
        return self.usd_per_month.likely if self.success is None else self.success.usd_per_success.likely


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
class Driver:
    """How much an assumption decides between running a model and buying tokens.

    ``correlation`` is the rank correlation, over the draws, of the assumption with the saving of the cheapest
    self-hosted option over the cheapest bought one: positive where a larger value favours self-hosting.
    """

    key: str
    correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """One option month by month: 10th percentile, median and 90th over the draws, without the migration.

    ``saved_npv_usd`` is the present value of what it saves over today's option within the horizon, migration paid
    at the start and today's bill paid until it is done.  ``payback_fraction`` of the draws earn that back within
    the horizon, and those do after ``payback_months`` (None where fewer than half do).
    None for today's own.
    """

    option: str
    title: str
    usd_per_month: tuple[Interval, ...]
    saved_npv_usd: Interval | None
    payback_months: Interval | None
    payback_fraction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthAhead:
    """What the draws say of one month to come.

    ``first_mtok`` holds the 10th percentile, the median and the 90th of the volume at which the leading pool
    breaks even with today's API, None where that share of the draws never does.
    """

    month_count: int
    volume_mtok: Interval
    self_hosting_wins_fraction: float
    first_mtok: tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The simulation: every draw solves nodes, ranking and break-even anew, in every month.

    ``win_fractions`` says in which share of the draws each option that may be recommended is the cheapest at this
    volume; ``self_hosting_wins_fraction`` adds up those that run a model on GPUs.  ``if_good_enough_fraction`` is
    the same where every model were good enough.
    """

    draw_count: int
    seed: int
    win_fractions: tuple[tuple[str, float], ...]
    self_hosting_wins_fraction: float
    if_good_enough_fraction: float
    drivers: tuple[Driver, ...]
    months: tuple[MonthAhead, ...]
    projections: tuple[Projection, ...]
    leading_pool: str | None


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
    outlook: Outlook
    forecast: Forecast
    """Next month's bills: today's API beside what is recommended and the leading pool."""

    turning_points: tuple[TurningPoint, ...]
    assumptions: tuple[AssumptionUsed, ...]
    limits: tuple[str, ...]
    """What the data cannot show, and what was assumed instead."""

    warnings: tuple[str, ...]
    rules: RulesResult | None = None
    """Published rules of thumb beside this verdict; None where it was computed without them."""

    def option(self, option_id: str) -> OptionResult:
        """Find an option by id."""
        return next(item for item in self.options if item.id == option_id)
