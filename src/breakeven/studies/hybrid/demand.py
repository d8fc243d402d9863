"""What a trace asks of nodes, window by window, what the same tokens cost at the overflow, and what may come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.load import load, windows_of
from breakeven.capacity.sizing import HOURS_PER_WEEK, Work, daily_shape
from breakeven.economics.draws import draw
from breakeven.economics.forecast import MOST_DAYS, DailyPrior, unseen_ratios, volume_ratios
from breakeven.quantities import DAYS_PER_MONTH, SECONDS_PER_HOUR, TOKENS_PER_MTOK
from breakeven.studies.forecast.daily import Days

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator

    from breakeven.capacity.service import Service
    from breakeven.catalog.assumptions import Assumption
    from breakeven.quantities import Array
    from breakeven.records import Moments, TrafficProfile, TrafficTimes
    from breakeven.studies.verdict.token_price import TrafficPrice

HORIZON_DAYS: Final = round(DAYS_PER_MONTH)
WEEK_DAYS: Final = 7
HOUR_RATIO: Final = "mean_to_observed_hour_ratio"
DAYS_RATIO: Final = "mean_to_observed_days_ratio"
GROWTH: Final = "traffic_growth_per_month"
SEEN_DAYS: Final = 14
"""Over which ``mean_to_observed_hour_ratio`` was measured."""

DRAWS: Final = 2000
NOT_WIDENED: Final = 1.0
"""An expectation takes the forecast as it is: its intervals are widened so that they hold often enough, and tails that
are widened too would have nodes bought for demands that hardly come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverflowPrice:
    """What the overflow asks on average for this trace's tokens, by type: cached reads, tiers and writes included."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    fee_usd_per_request: float

    @classmethod
    def of(cls, price: TrafficPrice, seen: Moments) -> OverflowPrice:
        """Return the means of a trace's bill: exact over all of it, and taken to hold in each window."""
        input_usd = price.plain_input_usd + price.cached_input_usd + price.cache_write_usd
        return cls(
            input_usd_per_mtok=input_usd / max(1, seen.input_tokens) * TOKENS_PER_MTOK,
            output_usd_per_mtok=price.output_usd / max(1, seen.output_tokens) * TOKENS_PER_MTOK,
            fee_usd_per_request=price.requests_usd / max(1, seen.requests),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRatios:
    """Tokens there over tokens here, since counts do not transfer: at the pool's model, and at the overflow's."""

    pool_input_ratio: float = 1.0
    pool_output_ratio: float = 1.0
    overflow_input_ratio: float = 1.0
    overflow_output_ratio: float = 1.0


def work_of(
    times: TrafficTimes,
    service: Service,
    price: OverflowPrice,
    *,
    capacity_fraction: float = 1.0,
    tokens: TokenRatios = TokenRatios(),
    peak_to_mean_ratio: float = 1.85,
    as_seen: bool = False,
) -> Work:
    """Return the windows of a trace as work for nodes of that service, priced at the overflow.

    ``capacity_fraction`` is the share of the service's throughput at which the SLO is kept.  A trace under a day shows
    no night: each of its windows is spread over a day with that ratio of its busiest hour to its mean.  One under
    a week shows no weekend: its days are taken for all days.  ``as_seen``: neither, just the windows there are.
    """
    windows = windows_of(times)
    seen = load(windows, service, input_ratio=tokens.pool_input_ratio, output_ratio=tokens.pool_output_ratio)
    busy, usd = np.zeros(times.window_count), np.zeros(times.window_count)
    busy[windows.index] = seen.busy_nodes / capacity_fraction
    fees = np.array([window.moments.requests for window in times.windows], dtype=float) * price.fee_usd_per_request
    input_usd = windows.sums[:, 0] * price.input_usd_per_mtok * tokens.overflow_input_ratio
    output_usd = windows.sums[:, 1] * price.output_usd_per_mtok * tokens.overflow_output_ratio
    usd[windows.index] = (input_usd + output_usd) / TOKENS_PER_MTOK + fees
    usd_per_hour = usd * (SECONDS_PER_HOUR / times.window_s)
    each = np.divide(usd_per_hour, busy, out=np.zeros_like(busy), where=busy > 0)
    found = Work(busy_nodes=busy, node_hour_usd=each, hour_of_week=_hours_of_week(times))
    if as_seen:
        return found
    if times.span_days < 1:
        return _spread_over_a_day(found, peak_to_mean_ratio)
    return found if times.span_days >= WEEK_DAYS else _repeated_over_a_week(found)


def shape_to_come(seen: Work, windows_per_day: float, *, horizon_days: int) -> Work:
    """Return the windows that the next days are expected to resemble, with the mean load of all that were seen.

    Up to a week ahead they are the last seven days', since the shape of a day drifts; further ahead, all.
    """
    count = round(WEEK_DAYS * windows_per_day)
    if horizon_days > WEEK_DAYS or len(seen.busy_nodes) <= count:
        return seen
    week = seen.at_windows(slice(-count, None))
    return week.scaled(seen.mean_nodes / week.mean_nodes) if week.mean_nodes else week


def ratios_to_come(
    profile: TrafficProfile,
    service: Service,
    assumptions: Mapping[str, Assumption],
    generator: Generator,
    *,
    horizon_days: int = HORIZON_DAYS,
) -> Array:
    """Draw the mean load of the next days over the load observed: growth and chance, as the forecast of bills has it.

    From the days seen (``volume_ratios``); under a day from the assumption about hours.  A share stated by the user
    wins.  Days are weighed by the work that they ask of this service.
    """
    times = profile.times
    assert times is not None, "a bill has no windows"
    said = assumptions[HOUR_RATIO if times.span_days < 1 else DAYS_RATIO]
    if said.basis == "user":
        return draw({said.key: said}, count=DRAWS, generator=generator)[said.key]
    prior = DailyPrior.of(assumptions[DAYS_RATIO].interval, assumptions[GROWTH].interval)
    days = Days.of(times)
    daily = days.volumes(lambda seen: _node_seconds(seen, service))
    if len(daily) and daily.sum() > 0:
        later = volume_ratios(
            daily,
            prior=prior,
            horizon_days=horizon_days,
            count=DRAWS,
            generator=generator,
            widening_ratio=NOT_WIDENED,
        )
        return later * float(daily.mean() / days.mean_volume(lambda seen: _node_seconds(seen, service)))
    short = times.span_days < 1
    seen_days = SEEN_DAYS if short else min(MOST_DAYS, max(1, round(times.span_days)))
    later = unseen_ratios(
        observed_days=seen_days, prior=prior, horizon_days=horizon_days, count=DRAWS, generator=generator
    )
    return later * draw({said.key: said}, count=DRAWS, generator=generator)[said.key] if short else later


def is_forecast(profile: TrafficProfile, assumptions: Mapping[str, Assumption]) -> bool:
    """Whether the demand to come is told from days that were seen, and nobody has stated it or its growth."""
    times = profile.times
    stated = any(assumptions[key].basis == "user" for key in (DAYS_RATIO, GROWTH))
    return times is not None and times.span_days >= 1 and not stated


def with_the_seen_again(ratios: Array) -> Array:
    """Return the demands to size for: as likely as the forecast, that the days seen come again at their level.

    Two forecasts weighed alike err less than either by itself, and weights that were fitted seldom do better (Bates and
    Granger, "The Combination of Forecasts", Operational Research Quarterly 20, 1969; Clemen, International Journal of
    Forecasting 5, 1989).  What it does out of sample: docs/model.md, "Sizing".
    """
    return np.concatenate([ratios, np.ones(len(ratios))])


def ratios_from_windows(busy_nodes: Array, windows_per_day: int, prior: DailyPrior, *, horizon_days: int) -> Array:
    """Draw the next days' mean work over that of the windows seen, which are whole days."""
    count = len(busy_nodes) // windows_per_day
    daily = busy_nodes[-count * windows_per_day :].reshape(count, windows_per_day).mean(axis=1)
    generator = np.random.default_rng(1)
    later = volume_ratios(
        daily,
        prior=prior,
        horizon_days=horizon_days,
        count=DRAWS,
        generator=generator,
        widening_ratio=NOT_WIDENED,
    )
    return later * float(daily.mean() / busy_nodes.mean())


def _node_seconds(seen: Moments, service: Service) -> float:
    work = service.node_seconds(
        input_tokens=float(seen.input_tokens),
        output_tokens=float(seen.output_tokens),
        input_output_tokens2=seen.input_output_tokens2,
        output_output_tokens2=seen.output_output_tokens2,
    )
    return float(work)


def _hours_of_week(times: TrafficTimes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    monday = times.first_at - timedelta(days=times.first_at.weekday())
    start = monday.replace(hour=0, minute=0, second=0, microsecond=0)
    first_hours = (times.first_at - start).total_seconds() / SECONDS_PER_HOUR
    hours = first_hours + np.arange(times.window_count) * (times.window_s / SECONDS_PER_HOUR)
    return np.asarray(np.floor(hours + 1e-9).astype(np.int64) % HOURS_PER_WEEK)


def _spread_over_a_day(seen: Work, peak_to_mean_ratio: float) -> Work:
    """Return the windows at each level of a day, for every day of the week."""
    shape = daily_shape(peak_to_mean_ratio)
    count = len(seen.busy_nodes)
    day = Work(
        busy_nodes=np.outer(shape, seen.busy_nodes).ravel(),
        node_hour_usd=np.tile(seen.node_hour_usd, len(shape)),
        hour_of_week=np.repeat(np.arange(len(shape)), count),
    )
    return _repeated_over_a_week(day)


def _repeated_over_a_week(seen: Work) -> Work:
    hours = seen.hour_of_week % 24
    return Work(
        busy_nodes=np.tile(seen.busy_nodes, WEEK_DAYS),
        node_hour_usd=np.tile(seen.node_hour_usd, WEEK_DAYS),
        hour_of_week=np.concatenate([hours + 24 * day for day in range(WEEK_DAYS)]),
    )
