"""What the traffic answers itself, in place of an assumption."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakeven.quantities import Interval
from breakeven.records import Destinations, Growth, Reuse, TrafficProfile
from breakeven.sources.catalogue import load_book
from breakeven.sources.scenario import parse_scenario, stated_profile
from breakeven.studies.verdict.observed import weighed, with_observed

TOTALS = "today: gpt-4o\ntraffic: {input_tokens_per_month: 900, output_tokens_per_month: 100, requests_per_month: 10}\n"


@pytest.fixture
def silent() -> TrafficProfile:
    found = stated_profile(parse_scenario(TOTALS)[0])
    assert found is not None
    return found


def test_a_silent_log_leaves_every_assumption_as_it_is(silent: TrafficProfile) -> None:
    book = load_book()
    assert with_observed(book, silent).assumptions == book.assumptions


def test_prefixes_that_return_say_what_a_cache_would_serve(silent: TrafficProfile) -> None:
    reuse = Reuse(duplicate_fraction=0.1, prefix_fraction=0.6, prefix_5min_fraction=0.3, prefix_1h_fraction=0.5)
    found = with_observed(load_book(), replace(silent, reuse=reuse)).assumption("cacheable_input_fraction")
    assert (found.low, found.likely, found.high, found.basis) == (0.3, 0.5, 0.6, "measured")


def test_at_most_half_of_the_history_counts_as_trimmable(silent: TrafficProfile) -> None:
    parts = Destinations(
        system_tokens=100,
        history_tokens=400,
        fresh_tokens=500,
        parted_input_tokens=1000,
        output_tokens=100,
        failed_usage=None,
        retry_usage=None,
    )
    found = with_observed(load_book(), replace(silent, destinations=parts)).assumption("history_trim_fraction")
    assert (found.low, found.likely, found.high) == (0.0, 0.0, 0.2)


def test_what_the_user_states_is_kept(silent: TrafficProfile) -> None:
    book = load_book()
    own = replace(book.assumption("batchable_fraction"), low=0.5, likely=0.5, high=0.5, basis="user")
    stated = book.with_assumptions([own])
    assert with_observed(stated, replace(silent, batchable_fraction=0.9)).assumption("batchable_fraction") == own
    assert with_observed(book, replace(silent, batchable_fraction=0.9)).assumption("batchable_fraction").likely == 0.9


def test_two_noisy_weeks_move_an_assumption_little_and_three_steady_months_much(silent: TrafficProfile) -> None:
    book = load_book()
    assumed = book.assumption("traffic_growth_per_month").interval
    for seen, nearest in (
        (Interval(low=-0.9, likely=1.0, high=30.0), assumed.likely),
        (Interval(low=0.19, likely=0.2, high=0.21), 0.2),
    ):
        growth = Growth(per_month_fraction=seen, fitted_days=14)
        found = with_observed(book, replace(silent, growth=growth)).assumption("traffic_growth_per_month")
        assert found.likely == pytest.approx(nearest, abs=0.02)
        assert found.high - found.low < min(seen.high - seen.low, 1.01 * (assumed.high - assumed.low))


def test_two_equal_views_meet_in_the_middle_and_are_surer_together() -> None:
    first, second = Interval(low=-0.1, likely=0.0, high=0.1), Interval(low=0.1, likely=0.2222, high=0.3444)
    both = weighed(first, second)
    assert first.likely < both.likely < second.likely
    assert both.high - both.low < first.high - first.low


def test_a_rate_that_is_certain_wins() -> None:
    certain = Interval.exact(0.05)
    assert weighed(certain, Interval(low=0, likely=0.1, high=0.2)) == certain
