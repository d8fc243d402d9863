"""What is asked of a simulation, in the catalogue's terms."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.traffic.flows import Flow

if TYPE_CHECKING:
    from datetime import date, datetime

    from breakeven.capacity.calibrated_pace import PaceFit
    from breakeven.capacity.estimate import Deployment
    from breakeven.catalog.rate_card import PriceList
    from breakeven.routing.timetable import Timetable

FIRST_COME: Final = Flow(priority=0, key="")

COLD_START_S: Final = 180.0
"""From starting a node until it serves: a machine, an image and weights to be fetched.  Stated, not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """An API that takes what the pool does not."""

    prices: PriceList
    ttft_s: float
    tpot_s: float
    most_requests_per_s: float = float("inf")
    """Its rate limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactive:
    """How a pool follows its load, between ``min_nodes`` and the nodes that there are."""

    min_nodes: int
    waiting_requests: float = 4.0
    """For each node; with more, or with more of ``used_fraction``, for ``up_after_s``, one more node starts."""

    used_fraction: float = 0.8
    up_after_s: float = 60.0
    down_after_s: float = 600.0
    """For how long one node fewer must be enough, until it stops."""

    idle_s: float = 900.0
    """For how long there must be nothing to do, until the last node stops."""

    check_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """When nodes are there.  Without ``week_nodes`` and ``reactive``: all of them, at all times."""

    start_s: float = COLD_START_S
    mtbf_s: float | None = None
    """Mean time between failures of a node, or interruptions of a spot one; None: it never fails."""

    repair_s: float = 1800.0
    """Mean time until another can be started in its place."""

    week_nodes: tuple[int, ...] = ()
    """By hour of the week, Monday's first first, UTC."""

    reactive: Reactive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a pool should keep to: this share of all answers, whoever gives them, within these times."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    quantile_fraction: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How requests wait in the gateway while all nodes are full and no API takes them."""

    most_requests: int
    longest_s: float = 30.0
    flows: tuple[Flow, ...] = (FIRST_COME,)
    """Who waits in turn with whom, by rising priority; the one flow of requests that do not say whose they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is simulated."""

    deployment: Deployment | None
    """None: hardware that is known by what was ``measured`` alone."""

    gpus: int
    """Of a node, which the price of a GPU is multiplied by."""

    nodes: int
    """At most, where they change."""

    policy: str
    overflow: tuple[Overflow, ...]
    """In their order, which is that in which they are asked."""

    most_waiting_requests: int
    """Requests that wait at a node before others overflow."""

    most_ttft_s: float
    """Expected time to the first token above which requests overflow."""

    most_kv_fraction: float
    """Of a node's cache in use, above which requests overflow."""

    back_ratio: float | None
    """Of these limits, within which a full node has room again; None: as the policy has it in the gateway."""

    seed: int
    usd_per_gpu_hour: float | None
    """As stated; None: the catalogue's offers."""

    on: date
    """The day whose prices hold."""

    upkeep: Upkeep = Upkeep()
    goal: Goal = Goal()
    prefix_hit_fraction: float | None = None
    """Of every prompt, what nodes have cached; None: what the trace says."""

    block_tokens: int | None = None
    """Of the blocks by which the trace tells what prompts share; None: it does not."""

    begins: datetime | None = None
    """When the trace does; a timetable and the budget of a day need it."""

    most_usd: float = inf
    """What a request may cost at most, for policies that ask."""

    budget_day_usd: float = inf
    """Of all requests together, for policies that ask."""

    hours: tuple[Timetable | None, ...] = ()
    """Of the nodes and of each API, for policies that ask; None: always."""

    line: Line | None = None
    """None: full nodes take them."""

    measured: PaceFit | None = None
    """How fast such a node was measured to be; None: what the roofline says."""
