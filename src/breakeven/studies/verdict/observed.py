"""Assumptions that the traffic itself answers: what a log shows replaces what the catalogue assumes.

A figure that the user stated stays as stated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breakeven.quantities import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.catalog.assumptions import Assumption
    from breakeven.catalog.book import Book
    from breakeven.records import TrafficProfile

LONGEST_TRIM_RATIO = 0.5
"""At most half of the history sent again is counted as trimmable: the latest turns are needed."""


def with_observed(book: Book, profile: TrafficProfile) -> Book:
    """Return the book with every assumption that the profile answers."""
    return book.with_assumptions(_observed(book, profile))


def _observed(book: Book, profile: TrafficProfile) -> Iterator[Assumption]:
    for key, interval, source in _answers(profile):
        known = book.assumption(key)
        if known.basis == "user":
            continue
        yield replace(
            known,
            low=interval.low,
            likely=interval.likely,
            high=interval.high,
            distribution="fixed" if interval.is_exact else "triangular",
            basis="measured",
            as_of=profile.times.last_at.date() if profile.times else known.as_of,
            source=f"{profile.source}: {source}",
        )


def _answers(profile: TrafficProfile) -> Iterator[tuple[str, Interval, str]]:
    """Yield key, interval and where in the traffic it stands."""
    growth, reuse, parts = profile.growth, profile.reuse, profile.destinations
    if growth is not None:
        yield "traffic_growth_per_month", growth.per_month_fraction, f"trend of {growth.fitted_days} whole days"
    if reuse is not None and reuse.prefix_fraction is not None:
        soon = reuse.prefix_5min_fraction or 0.0
        hour = max(soon, reuse.prefix_1h_fraction or soon)
        yield (
            "cacheable_input_fraction",
            Interval(low=soon, likely=hour, high=max(hour, reuse.prefix_fraction)),
            "prefixes seen again within 5 minutes, an hour, and ever",
        )
    if profile.batchable_fraction is not None:
        seen = profile.batchable_fraction
        yield "batchable_fraction", Interval.exact(seen), "share of tokens sent by unattended keys"
    if parts is not None and parts.history_tokens is not None and parts.parted_input_tokens:
        share = parts.history_tokens / parts.parted_input_tokens
        yield (
            "history_trim_fraction",
            Interval(low=0.0, likely=0.0, high=share * LONGEST_TRIM_RATIO),
            f"{share:.0%} of the input is history sent again, of which at most half can go",
        )
