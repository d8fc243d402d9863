"""The two sides of a hybrid in money: a pool's nodes and the lines that come with any, and the overflow's own lines.

All of it is what ``plan`` bills a self-hosted option, an API option and a hybrid, taken from the same places: with an
API behind them no node stands by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from breakeven.capacity.schedule import Terms
from breakeven.economics.stack import line
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.studies.hybrid.demand import TokenRatios, work_of
from breakeven.studies.verdict.candidates import stated_candidate
from breakeven.studies.verdict.configs import RATIO_KEY
from breakeven.studies.verdict.lines import engineering_lines, one_off_lines, reliability_lines
from breakeven.studies.verdict.node_cost import PRICE_KEY
from breakeven.studies.verdict.token_price import transfer_ratios

if TYPE_CHECKING:
    from breakeven.capacity.sizing import Work
    from breakeven.economics.stack import StackLine
    from breakeven.quantities import Interval
    from breakeven.sources.scenario import Pool
    from breakeven.studies.hybrid.demand import OverflowPrice
    from breakeven.studies.verdict.candidates import Candidate
    from breakeven.studies.verdict.context import Context

World = Literal["likely", "cheap", "dear"]
"""Throughput and the price of nodes: likely, both at the end that favours nodes, both at the other end."""

WORLDS: Final[tuple[World, ...]] = ("cheap", "likely", "dear")
ALWAYS_UP: Final = ("reserved", "on-demand")
BY_THE_HOUR: Final = ("on-demand", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sided:
    """A pool with its overflow, in one world: hourly figures over a month of ``hours_per_month``."""

    work: Work
    terms: tuple[Terms, ...]
    """The ways to buy a node; the first is the cheapest of those that are always up."""

    pool_lines: tuple[StackLine, ...]
    """What any pool costs before its nodes, a month."""

    standby_lines: tuple[StackLine, ...]
    """Standby nodes, where no API stands by."""

    api_lines: tuple[StackLine, ...]
    """What any API costs beside its tokens, a month."""

    api_alone_lines: tuple[StackLine, ...]
    """What its failures cost where there are no nodes; with nodes it is the pool's that do."""

    hours_per_month: float

    @property
    def node_usd_per_hour(self) -> float:
        """What a node costs that is always up."""
        return self.terms[0].node_usd_per_hour

    @property
    def pool_fixed_usd_per_hour(self) -> float:
        """What any pool costs before its nodes, less what an API alone would have cost in failures."""
        return self._usd_per_hour(self.pool_lines) - self._usd_per_hour(self.api_alone_lines)

    @property
    def api_fixed_usd_per_hour(self) -> float:
        """What an API alone costs beside its tokens."""
        return self._usd_per_hour((*self.api_lines, *self.api_alone_lines))

    def _usd_per_hour(self, lines: tuple[StackLine, ...]) -> float:
        return sum(float(np.asarray(item.usd_per_month)) for item in lines) / self.hours_per_month


def candidates_of(pool: Pool, context: Context) -> list[Candidate]:
    """Return a pool by every way to buy its nodes that has a current price; raises ``InputError`` without any.

    A stated price is that of nodes on demand, and the only one.
    """
    if pool.usd_per_gpu_hour is not None:
        return [stated_candidate(pool.model_copy(update={"purchase": "on-demand"}), context)]
    found, last = [], None
    for purchase in dict.fromkeys((*ALWAYS_UP, *BY_THE_HOUR)):
        try:
            found.append(stated_candidate(pool.model_copy(update={"purchase": purchase}), context))
        except InputError as error:
            last = error
    if not any(item.option.purchase in ALWAYS_UP for item in found):
        raise last or InputError(f"No price of {pool.gpu} is known.")
    return found


def sided(
    candidates: list[Candidate],
    context: Context,
    price: OverflowPrice,
    *,
    world: World = "likely",
    capacity_fraction: float | None = None,
) -> Sided:
    """Return a pool's costs and work in one world.

    ``capacity_fraction``: see ``capacity_share``.
    """
    option = candidates[0].option
    values = [_values(item, context, world) for item in candidates]
    likely = values[0]
    share = capacity_share(candidates[0], context, likely, capacity_fraction)
    times = context.workload.profile.times
    assert times is not None, "traffic without times is refused before"
    work = work_of(
        times,
        option.service,
        price,
        capacity_fraction=share,
        tokens=token_ratios(context, option.model, likely),
        peak_to_mean_ratio=likely["hourly_peak_to_mean_ratio"],
    )
    terms = _terms(candidates, values)
    standby = float(np.rint(likely["standby_count"]))
    standby_usd = terms[0].node_usd_per_hour * likely["hours_per_month"] * standby
    formula, inputs = "node_usd_per_month x standby_nodes", {"standby_nodes": standby}
    moved = one_off_lines(likely, "api_switch_weeks") if context.targets.others else ()
    return Sided(
        work=work,
        terms=terms,
        pool_lines=option.overhead_lines(likely, 1),
        standby_lines=(line("standby nodes", "standby", standby_usd, formula, inputs),),
        api_lines=(*engineering_lines(likely, "api_engineering_fte"), *moved),
        api_alone_lines=reliability_lines(likely, "api"),
        hours_per_month=likely["hours_per_month"],
    )


def capacity_share(
    candidate: Candidate, context: Context, values: dict[str, float], capacity_fraction: float | None
) -> float:
    """Return the share of the service's throughput that a node gives within the SLO.

    As assumed and at the throughput of ``values``; where ``capacity_fraction`` was simulated, at the likely
    throughput, that takes the place of both and moves with the throughput.
    """
    share = float(candidate.option.slo_capacity_fraction(values))
    if capacity_fraction is None:
        return share
    likely = context.with_own(candidate.own)[RATIO_KEY].likely
    return share * capacity_fraction / (values["slo_capacity_fraction"] * likely)


def _values(candidate: Candidate, context: Context, world: World) -> dict[str, float]:
    intervals = context.with_own(candidate.own)
    values = {key: item.likely for key, item in intervals.items()}
    if world != "likely":
        good = world == "cheap"
        values[PRICE_KEY] = _end(intervals[PRICE_KEY], low=good)
        values[RATIO_KEY] = _end(intervals[RATIO_KEY], low=not good)
    return values


def _end(interval: Interval, *, low: bool) -> float:
    return interval.low if low else interval.high


def _terms(candidates: list[Candidate], values: list[dict[str, float]]) -> tuple[Terms, ...]:
    """Return the ways to buy a node, the cheapest that is always up first; a node's share of engineers is in each."""
    always, hourly = [], []
    for item, own in zip(candidates, values, strict=True):
        option = item.option
        people_usd = float(option.node_engineering_usd(own)) / own["hours_per_month"]
        usd = own[PRICE_KEY] * option.gpus_per_node + people_usd
        if option.purchase in ALWAYS_UP:
            always.append(Terms(name=option.purchase, node_usd_per_hour=usd, by_the_hour=False))
        if option.purchase in BY_THE_HOUR:
            lost = own["spot_interruption_fraction"] if option.purchase == "spot" else 0.0
            start_hours = own["cold_start_s"] / SECONDS_PER_HOUR
            hourly.append(
                Terms(
                    name=f"{option.purchase}, by the hour",
                    node_usd_per_hour=usd,
                    by_the_hour=True,
                    interruption_fraction=lost,
                    start_hours=start_hours,
                )
            )
    cheapest = min(always, key=lambda item: item.node_usd_per_hour)
    return (cheapest, *hourly)


def token_ratios(context: Context, model: str, values: dict[str, float]) -> TokenRatios:
    """Return how counts change at the pool's model and at the overflow; ``targets.others`` names one that differs."""
    pool_in, pool_out = transfer_ratios(values, same_model=context.same_model(model), model=model)
    others = context.targets.others
    over_in, over_out = transfer_ratios(values, same_model=not others, model=others[0] if others else "")
    return TokenRatios(
        pool_input_ratio=float(pool_in),
        pool_output_ratio=float(pool_out),
        overflow_input_ratio=float(over_in),
        overflow_output_ratio=float(over_out),
    )
