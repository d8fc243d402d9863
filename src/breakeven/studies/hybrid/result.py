"""What a sizing came to: plain frozen figures, to be printed or written as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakeven.quantities import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """A line of a month's bill; low and high are with nodes fast and cheap, and slow and dear."""

    key: str
    usd_per_month: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to serve the traffic, fully loaded; ``nodes`` are those that are always up, or up at most."""

    name: str
    nodes: int
    usd_per_month: Interval
    lines: tuple[BillLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The bill with so many nodes, and what the last of them does."""

    nodes: int
    utilisation_fraction: float
    """Of the last node, beside those before it."""

    saved_usd_per_month: float
    """By the last node, at the overflow's price."""

    overflow_fraction: float
    """Of the work."""

    usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Nodes bought in one way."""

    purchase: str
    node_usd_per_hour: Interval
    least_count: int
    """Up in the quietest hour of the week."""

    most_count: int
    mean_nodes: float
    by_hour_of_week: tuple[int, ...]
    """From Monday 00:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloRun:
    """So many nodes, simulated."""

    nodes: int
    ttft_p95_s: float
    within_fraction: float
    """Of the requests on nodes whose first token came in time."""

    most_ttft_s: float
    """Expected time to the first token above which requests overflowed."""

    overflow_fraction: float
    """Of output tokens."""

    busy_fraction: float
    usd_per_month: float
    """Fully loaded, as in the staircase."""

    keeps_slo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """Nodes of one pool and purchase, of several that were to choose from."""

    pool: str
    purchase: str
    mean_nodes: float
    most_count: int
    served_fraction: float
    """Of all work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPools:
    """What an integer programme chose among all pools and purchases."""

    held: tuple[Mixed, ...]
    usd_per_month: float
    gap_fraction: float
    proven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridSize:
    """How many nodes to hold, and why."""

    pool: str
    basis: str
    overflow: str
    nodes: int
    """To hold always; 0: none pays."""

    least_count: int
    """With nodes slow and dear."""

    most_count: int
    """With nodes fast and cheap."""

    busy_nodes: Interval
    """Mean work next month, in nodes, by the throughput."""

    demand_ratio: Interval
    """Next month's load over the load observed."""

    node_usd_per_hour: Interval
    overflow_node_hour_usd: Interval
    """What the overflow asks for the work of a node-hour, by the throughput."""

    breakeven_utilisation_fraction: Interval
    """u*; above 1 no node pays."""

    capacity_fraction: float
    """Share of a node's throughput at which the SLO is taken to be kept."""

    overflow_fraction: float
    """Of the work, with the nodes to hold."""

    steps: tuple[Step, ...]
    ways: tuple[Way, ...]
    held: tuple[Held, ...]
    slo: tuple[SloRun, ...]
    mix: MixedPools | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTraffic:
    """What is held for one of several traffics that were sized together."""

    name: str
    overflow: str
    held: tuple[Mixed, ...]
    overflow_fraction: float
    """Of the work's price."""

    demand_ratio: Interval
    """Next month's load over the load observed."""

    ways: tuple[Way, ...]
    """All API, all nodes for the peak, and what is held: its own lines, without what it shares with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreGpus:
    """What so many GPUs more of a type would save."""

    gpus_count: int
    saved_usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLimit:
    """The GPUs of a type that there are, and what more of them would be worth."""

    gpu: str
    most_count: int
    used_count: int
    """In the busiest part of the week."""

    more: tuple[MoreGpus, ...]
    """One more, and as many as a node has, of each size; none where no limit costs anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSize:
    """What to hold for several traffics that share GPUs and what any pool costs."""

    traffics: tuple[JointTraffic, ...]
    ways: tuple[Way, ...]
    """All API, all nodes, the cheapest of the two for each traffic, and what is held: whole bills."""

    savings: tuple[BillLine, ...]
    """Of what is held over each of the other ways, by its name."""

    unserved: tuple[BillLine, ...]
    """What the nodes of each of the other ways cannot serve, at the overflow's price; it is not in their bills."""

    beyond_limits: tuple[str, ...]
    """Of the other ways, those that would take more GPUs than there are."""

    limits: tuple[JointLimit, ...]
    limits_usd_per_month: float
    """What all limits together cost."""

    gap_usd_per_month: float
    """How far the programme's bill may be above the best there is."""

    proven: bool
    """False where time ran out before the gap was closed."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
