"""What a simulation came to, as it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.quantities import Interval

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """By hour of the trace; the last one may be cut short."""

    requests: tuple[int, ...]
    overflow_fraction: tuple[float, ...]
    """Of requests."""

    paid_nodes_count: tuple[float, ...]
    """On average: starting, serving or draining."""

    down_nodes_count: tuple[float, ...]
    busy_fraction: tuple[float, ...]
    """Of the time of nodes that serve or drain, that within iterations."""

    used_fraction: tuple[float, ...]
    """Likewise, what the same tokens take in iterations as large as the cache allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Over the trace; without engineering, standby and the other fixed lines of a verdict."""

    nodes_busy_usd: Interval
    nodes_idle_usd: Interval
    nodes_starting_usd: Interval
    overflow_usd: float
    total_usd: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRun:
    """What became of the requests of one priority that could wait in line."""

    priority: int
    requests: int
    overflow_requests: int
    rejected_requests: int
    ttft_s: tuple[float, ...]
    """By ``QUANTILES``, of those that nodes answered; so is the next."""

    queue_s: tuple[float, ...]
    """Until a node began the prompt, in line and on the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRun:
    """What became of the requests of one key in one class."""

    priority: int
    key: str
    """Empty where the trace names none."""

    requests: int
    overflow_requests: int
    rejected_requests: int
    mean_ttft_s: float
    """Of those that nodes answered; NaN where they answered none."""

    node_input_tokens: int
    node_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRun:
    """Who waited in the gateway's line, and with what end."""

    no_room_requests: int
    """Turned away since the line was full; the next since their time was up."""

    too_late_requests: int
    classes: tuple[ClassRun, ...]
    """The most urgent first."""

    flows: tuple[FlowRun, ...]
    """Those with most requests first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pass, at one speed of the nodes."""

    speed_ratio: float
    """Of what is estimated, or of what was measured."""

    ttft_s: tuple[float, ...]
    """By ``QUANTILES``, of requests on nodes; so are the next three."""

    tpot_s: tuple[float, ...]
    total_s: tuple[float, ...]
    queue_s: tuple[float, ...]
    """Until a node began the prompt."""

    goal_ttft_s: float
    """At the goal's quantile, of all answers, by nodes and APIs."""

    goal_tpot_s: float
    keeps_goal: bool
    """What nobody answered counts as late; True where no goal was set."""

    busy_fraction: float
    """Of the time in which nodes serve or drain, that in which they do anything."""

    used_fraction: float
    """Of that time, what the same tokens would take in iterations as large as the cache allows: what is in use of what
    nodes could do with such requests."""

    prefix_hit_fraction: float
    """Of the input tokens of requests on nodes, what lay in their caches."""

    overflow_requests: int
    overflow_fraction: float
    """Of output tokens."""

    rejected_requests: int
    """That nobody took, those turned away from the line among them."""

    put_back_requests: int
    resent_requests: int
    """Sent again since their node failed."""

    lost_tokens: int
    """Computed by nodes that then failed, of prompts and answers."""

    node_failures_count: int
    node_starts_count: int
    paid_node_hours: float
    down_node_hours: float
    costs: Costs
    usd_per_month: Interval
    """Nodes and overflow, carried to a month."""

    hours: Hours
    line: LineRun | None = None
    """None where nobody waits in the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What came out; ``runs`` are slow, likely and fast."""

    nodes: int
    requests: int
    span_s: float
    node_usd_per_hour: Interval
    api_only_usd: float | None
    """What all requests would have cost at the first overflow's prices; None without overflow."""

    runs: tuple[Run, Run, Run]

    @property
    def likely(self) -> Run:
        """The run at the likely speed."""
        return self.runs[1]

    @property
    def usd_per_month(self) -> Interval:
        """Across speeds and prices: from the fast run at the lowest price to the slow one at the highest."""
        every = [run.usd_per_month for run in self.runs]
        return self.likely.usd_per_month.__class__(
            low=min(usd.low for usd in every),
            likely=self.likely.usd_per_month.likely,
            high=max(usd.high for usd in every),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The same trace with several numbers of nodes."""

    points: tuple[Simulated, ...]
    cheapest_nodes_count: int
    """At the likely speed and price."""

    cheapest_keeping_nodes_count: int | None
    """Of those that keep the goal at the likely speed; None: none does."""

    cheapest_surely_keeping_nodes_count: int | None
    """Of those that keep it at the slow speed too."""
