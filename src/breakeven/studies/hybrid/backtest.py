"""Judges a sizing on days that it had not seen: against all API, against nodes for the peak, and against hindsight.

Three rules are judged beside hindsight's best fixed number of nodes.  *Plain*: the marginal rule on the days seen, as
if they came again.  *Held*: on the expected cost over the forecast and the days seen, weighed alike
(``with_the_seen_again``), nodes held throughout.  *Revised*: the same anew each midnight for the day that follows, from
all days by then; it needs nodes to be rented by the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.sizing import NOT_IN_DOUBT, representative_ratios, staircase
from breakeven.studies.hybrid.demand import ratios_from_windows, shape_to_come, with_the_seen_again

if TYPE_CHECKING:
    from breakeven.capacity.sizing import Staircase, Work
    from breakeven.economics.forecast import DailyPrior
    from breakeven.quantities import Array

DEMANDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What is paid beside tokens, in US dollars an hour; 0 but for the nodes where only GPU and API are counted."""

    node_usd_per_hour: float
    pool_fixed_usd_per_hour: float = 0.0
    api_fixed_usd_per_hour: float = 0.0
    standby_usd_per_hour: float = 0.0
    """Of nodes without an API behind them."""

    peak_quantile_fraction: float = 1.0
    """Of the windows that nodes without an API behind them serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What happened: nodes by rule, and US dollars an hour on the days judged."""

    plain_nodes: int
    held_nodes: int
    revised_nodes: tuple[int, ...]
    """By day."""

    hindsight_nodes: int
    peak_nodes: int
    all_api_usd_per_hour: float
    all_pool_usd_per_hour: float
    """Nodes for the peak of the windows judged: its size is hindsight too, which favours it."""

    plain_usd_per_hour: float
    held_usd_per_hour: float
    revised_usd_per_hour: float
    hindsight_usd_per_hour: float

    @property
    def pure_usd_per_hour(self) -> float:
        """The better of all API and all nodes."""
        return min(self.all_api_usd_per_hour, self.all_pool_usd_per_hour)

    @property
    def hybrid_can_win(self) -> bool:
        """Whether hindsight's best fixed number of nodes, with an overflow, beats both pure options."""
        return self.hindsight_nodes > 0 and self.hindsight_usd_per_hour < self.pure_usd_per_hour - 1e-9

    def regret_fraction(self, usd_per_hour: float) -> float:
        """Return how much more a bill is than hindsight's."""
        return usd_per_hour / self.hindsight_usd_per_hour - 1 if self.hindsight_usd_per_hour else 0.0


def judge(work: Work, seen_windows: int, windows_per_day: int, costs: Costs, prior: DailyPrior) -> Trial:
    """Size on the first windows of ``work``, which begins at midnight, and judge on all that follow, in whole days."""
    seen, later = work.at_windows(slice(0, seen_windows)), work.at_windows(slice(seen_windows, None))
    days = len(later.busy_nodes) // windows_per_day
    forecast = _ratios(seen, windows_per_day, prior, horizon_days=days)
    plain, held = _best(seen, NOT_IN_DOUBT, costs), _best(seen, forecast, costs)
    revised = tuple(
        _for_next_day(work.at_windows(slice(0, seen_windows + day * windows_per_day)), windows_per_day, costs, prior)
        for day in range(days)
    )
    true = _stairs(later, NOT_IN_DOUBT, costs)
    by_day = [
        _usd(later.at_windows(slice(day * windows_per_day, (day + 1) * windows_per_day)), nodes, costs)
        for day, nodes in enumerate(revised)
    ]
    peak = max(1, int(np.ceil(later.peak_nodes(costs.peak_quantile_fraction) - 1e-9)))
    pool_usd = peak * costs.node_usd_per_hour + costs.standby_usd_per_hour + costs.pool_fixed_usd_per_hour
    return Trial(
        plain_nodes=plain,
        held_nodes=held,
        revised_nodes=revised,
        hindsight_nodes=true.best,
        peak_nodes=peak,
        all_api_usd_per_hour=later.all_overflow_usd_per_hour + costs.api_fixed_usd_per_hour,
        all_pool_usd_per_hour=pool_usd,
        plain_usd_per_hour=_usd(later, plain, costs),
        held_usd_per_hour=_usd(later, held, costs),
        revised_usd_per_hour=float(np.mean(by_day)),
        hindsight_usd_per_hour=_usd(later, true.best, costs),
    )


def _for_next_day(known: Work, windows_per_day: int, costs: Costs, prior: DailyPrior) -> int:
    """Return the nodes for the day that follows: the shape of the last week, the level that all days forecast."""
    ratios = _ratios(known, windows_per_day, prior, horizon_days=1)
    return _best(shape_to_come(known, windows_per_day, horizon_days=1), ratios, costs)


def _ratios(seen: Work, windows_per_day: int, prior: DailyPrior, *, horizon_days: int) -> Array:
    drawn = ratios_from_windows(seen.busy_nodes, windows_per_day, prior, horizon_days=horizon_days)
    return representative_ratios(with_the_seen_again(drawn), DEMANDS)


def _stairs(work: Work, ratios: Array, costs: Costs) -> Staircase:
    return staircase(
        work,
        node_usd_per_hour=costs.node_usd_per_hour,
        fixed_usd_per_hour=costs.pool_fixed_usd_per_hour,
        ratios=ratios,
    )


def _best(work: Work, ratios: Array, costs: Costs) -> int:
    return _stairs(work, ratios, costs).best


def _usd(work: Work, nodes: int, costs: Costs) -> float:
    """Return what so many nodes and the overflow behind them come to with a demand, fixed lines counted."""
    stairs = staircase(
        work,
        node_usd_per_hour=costs.node_usd_per_hour,
        fixed_usd_per_hour=costs.pool_fixed_usd_per_hour,
        most_nodes=nodes,
    )
    return float(stairs.usd_per_hour[nodes]) + costs.api_fixed_usd_per_hour
