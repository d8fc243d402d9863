"""Next month's bills: today's API, what is recommended and the leading pool, as the volume may turn out.

Prices, node sizes and people stay at their likely values; only the volume is forecast (see ``studies.forecast``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.crossing import FlatDraws, StairDraws
from breakeven.studies.forecast import Forecast, Payer, forecast_bills
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.elastic_option import ServerlessOption
from breakeven.studies.verdict.evaluate import likely_flat, likely_stair
from breakeven.studies.verdict.hybrid_option import HybridOption

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.catalog.book import Book
    from breakeven.quantities import Array
    from breakeven.records import Moments
    from breakeven.studies.verdict.evaluate import Case
    from breakeven.studies.verdict.workload import Workload
    from breakeven.studies.verdict.worlds import Chance

_AS_OBSERVED = {"mean_to_observed_hour_ratio": 1.0, "mean_to_observed_days_ratio": 1.0, "traffic_growth_per_month": 0.0}


def bills_ahead(cases: Sequence[Case], workload: Workload, book: Book, chance: Chance) -> Forecast:
    """Return next month's bill of each option as intervals of 80 and 95 %."""
    payers = [
        Payer(
            id=case.option.id,
            title=case.option.title,
            volume_of=_volume_of(case),
            usd_per_month=_bill_of_total(case, workload)
            if workload.total_tokens_per_month is not None
            else _bill_of(case, _observed_mtok(case, workload)),
        )
        for case in cases
    ]
    return forecast_bills(workload.profile, payers, book.assumptions, count=chance.draw_count, seed=chance.seed)


def _bill_of_total(case: Case, workload: Workload) -> Callable[[Array], Array]:
    """Return the bill where the user states the month's tokens: what is forecast is how far they may be missed."""
    bill = _bill_of(case, float(workload.month(case.likely).volume_mtok))
    return lambda ratios: bill(ratios / np.median(ratios))


def _observed_mtok(case: Case, workload: Workload) -> float:
    """Return the volume of a month of average observed days."""
    return float(workload.month({**case.likely, **_AS_OBSERVED}).volume_mtok)


def _volume_of(case: Case) -> Callable[[Moments], float]:
    """Return how an option's bill weighs requests: by the price of their tokens, or by the work they are."""
    option = case.option
    if not isinstance(option, ApiOption):
        service = option.pool.service if isinstance(option, HybridOption) else option.service
        return lambda seen: float(
            service.node_seconds(
                input_tokens=seen.input_tokens,
                output_tokens=seen.output_tokens,
                input_output_tokens2=seen.input_output_tokens2,
                output_output_tokens2=seen.output_output_tokens2,
            )
        )
    usage, price = option.workload.profile.usage, option.standard
    input_usd = price.plain_input_usd + price.cached_input_usd + price.cache_write_usd
    each_input = input_usd / usage.input_tokens if usage.input_tokens else 0.0
    each_output = price.output_usd / usage.output_tokens if usage.output_tokens else 0.0
    return lambda seen: seen.input_tokens * each_input + seen.output_tokens * each_output


def _bill_of(case: Case, observed_mtok: float) -> Callable[[Array], Array]:
    """Return the bill at so many times the volume of a month of average observed days, without a migration."""
    option = case.option
    if isinstance(option, HybridOption):
        divided = option.over_volume(case.likely, moving=False)
        return lambda ratios: divided.usd_per_month(ratios * observed_mtok)
    one_off = sum(float(item.usd_per_month) for item in case.likely_bill.lines if item.layer == "one-off")
    if isinstance(option, ServerlessOption):
        standing = sum(float(item.usd_per_month) for item in option.overhead_lines(case.likely, 0)) - one_off
        planned = float(option.workload.month(case.likely).volume_mtok)
        return lambda ratios: (
            np.asarray(option.running_usd_per_month(case.likely, volume_ratio=ratios * observed_mtok / planned))
            + standing
        )
    bill: FlatDraws | StairDraws
    if isinstance(option, ApiOption):
        flat = likely_flat(case)
        bill = FlatDraws(
            fixed_usd_per_month=np.array(flat.fixed_usd_per_month - one_off),
            usd_per_mtok=np.array(flat.usd_per_mtok),
            committed_usd_per_month=option.committed_usd_per_month,
        )
    else:
        stair = likely_stair(case)
        bill = StairDraws(
            fixed_usd_per_month=np.array(stair.fixed_usd_per_month - one_off),
            node_usd_per_month=np.array(stair.node_usd_per_month),
            node_mtok_per_month=np.array(stair.node_mtok_per_month),
            standby_nodes=np.array(stair.standby_nodes),
            min_nodes=stair.min_nodes,
        )
    return lambda ratios: bill.usd_per_month(ratios * observed_mtok)
