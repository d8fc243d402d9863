"""Assumptions that the traffic itself answers: what a log shows replaces what the catalogue assumes.

A figure that the user stated stays as stated.
"""

from __future__ import annotations

from dataclasses import replace
from math import expm1, log1p
from typing import TYPE_CHECKING, Final

from breakeven.quantities import Interval
from breakeven.studies.forecast import month_to_observed
from breakeven.studies.verdict.workload import mean_ratio_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.catalog.assumptions import Assumption, Distribution
    from breakeven.catalog.book import Book
    from breakeven.records import TrafficProfile, TrafficTimes

_FAMILIES: Final[Mapping[str, Distribution]] = {
    "mean_to_observed_hour_ratio": "lognormal",
    "mean_to_observed_days_ratio": "lognormal",
}
LONGEST_TRIM_RATIO = 0.5
"""At most half of the history sent again is counted as trimmable: the latest turns are needed."""


def with_observed(book: Book, profile: TrafficProfile) -> Book:
    """Return the book with every assumption that the profile answers."""
    return book.with_assumptions(_observed(book, profile))


def _observed(book: Book, profile: TrafficProfile) -> Iterator[Assumption]:
    for key, interval, source in _answers(profile, book):
        known = book.assumption(key)
        if known.basis == "user":
            continue
        yield replace(
            known,
            low=interval.low,
            likely=interval.likely,
            high=interval.high,
            distribution="fixed" if interval.is_exact else _FAMILIES.get(key, "triangular"),
            basis="measured",
            as_of=profile.times.last_at.date() if profile.times else known.as_of,
            source=f"{profile.source}: {source}",
        )


def _month_to_come(profile: TrafficProfile, times: TrafficTimes, book: Book) -> tuple[str, Interval, str]:
    """Return what the days that were seen say of the month to come; hours of one day leave its middle as assumed."""
    key = mean_ratio_key(times)
    found, likely = month_to_observed(profile, book.assumptions), book.assumption(key).likely
    if key == "mean_to_observed_hour_ratio" and book.assumption("traffic_growth_per_month").basis != "user":
        found = Interval(low=min(found.low, likely), likely=likely, high=max(found.high, likely))
    return key, found, f"forecast of the month to come from {times.span_days:,.2g} days (see `make bench-forecast`)"


def weighed(assumed: Interval, seen: Interval) -> Interval:
    """Return what two independent views of one rate of growth say together, each by its certainty.

    Both are taken as normal in log(1 + rate), with 10th and 90th percentile at their ends: precisions add up, and
    the mean is that of both, weighed by them.  Two weeks say little against an assumption, three months much.
    """
    views = [(log1p(item.likely), (log1p(item.high) - log1p(item.low)) / 2) for item in (assumed, seen)]
    if any(width <= 0 for _, width in views):
        return next(item for item, (_, width) in zip((assumed, seen), views, strict=True) if width <= 0)
    weights = [1 / width**2 for _, width in views]
    middle = sum(weight * likely for weight, (likely, _) in zip(weights, views, strict=True)) / sum(weights)
    width = sum(weights) ** -0.5
    return Interval(low=expm1(middle - width), likely=expm1(middle), high=expm1(middle + width))


def _answers(profile: TrafficProfile, book: Book) -> Iterator[tuple[str, Interval, str]]:
    """Yield key, interval and where in the traffic it stands."""
    if profile.times is not None:
        yield _month_to_come(profile, profile.times, book)
    growth, reuse, parts = profile.growth, profile.reuse, profile.destinations
    if growth is not None:
        assumed, shown = book.assumption("traffic_growth_per_month").interval, growth.per_month_fraction
        trend = f"trend of {growth.fitted_days} whole days ({shown.low:+.0%} to {shown.high:+.0%} a month)"
        against = f"weighed against an assumed {assumed.low:+.0%} to {assumed.high:+.0%}"
        yield "traffic_growth_per_month", weighed(assumed, shown), f"{trend}, {against}"
    if reuse is not None and reuse.prefix_fraction is not None:
        soon = reuse.prefix_5min_fraction or 0.0
        hour = max(soon, reuse.prefix_1h_fraction or soon)
        yield (
            "cacheable_input_fraction",
            Interval(low=soon, likely=hour, high=max(hour, reuse.prefix_fraction)),
            "prefixes seen again within 5 minutes, an hour, and ever",
        )
    if profile.batchable_fraction is not None:
        yield (
            "batchable_fraction",
            Interval.exact(profile.batchable_fraction),
            "share of tokens sent by unattended keys",
        )
    if parts is not None and parts.history_tokens is not None and parts.parted_input_tokens:
        share = parts.history_tokens / parts.parted_input_tokens
        yield (
            "history_trim_fraction",
            Interval(low=0.0, likely=0.0, high=share * LONGEST_TRIM_RATIO),
            f"{share:.0%} of the input is history sent again, of which at most half can go",
        )
