"""What requests cost, worked by hand from published prices, and the laws that every price list keeps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.catalog.rate_card import (
    PriceEntry,
    PriceList,
    Processing,
    Provisioned,
    RateCard,
    Tier,
    TokenPrice,
    TokenPrices,
)
from breakeven.errors import NoPriceError
from breakeven.sources.genai import price_list
from breakeven.usage import TokenUsage

NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _usage(input_tokens: int, output_tokens: int, cached: int = 0, written: int = 0) -> TokenUsage:
    return TokenUsage(
        input_tokens=input_tokens, output_tokens=output_tokens, cached_input_tokens=cached, cache_write_tokens=written
    )


@pytest.mark.parametrize(
    ("target", "at", "processing", "usage", "usd"),
    [
        # GPT-4o: 2.50 in, 10.00 out, 1.25 cached; half of it in batches.
        ("openai:gpt-4o", NOVEMBER, "standard", _usage(1_000, 1_000), "0.0125"),
        ("openai:gpt-4o", NOVEMBER, "batch", _usage(1_000, 1_000), "0.00625"),
        ("openai:gpt-4o", NOVEMBER, "priority", _usage(1_000, 1_000), "0.02125"),
        ("openai:gpt-4o", NOVEMBER, "standard", _usage(1_000, 0, cached=400), "0.002"),
        ("openai:gpt-4o", NOVEMBER, "standard", _usage(0, 0), "0"),
        # It quotes no price of cache writes: they are input.
        ("openai:gpt-4o", NOVEMBER, "standard", _usage(1_000, 0, written=1_000), "0.0025"),
        # Claude Sonnet 4.5: 3 and 15; over 200,000 input tokens 6 and 22.50 for *all* of them.
        ("anthropic:claude-sonnet-4-5", NOVEMBER, "standard", _usage(200_000, 1_000), "0.615"),
        ("anthropic:claude-sonnet-4-5", NOVEMBER, "standard", _usage(200_001, 1_000), "1.222506"),
        ("anthropic:claude-sonnet-4-5", NOVEMBER, "batch", _usage(200_001, 1_000), "0.611253"),
        # Cached 0.30, written 3.75: 10,000 plain, 80,000 cached, 10,000 written, 500 out.
        ("anthropic:claude-sonnet-4-5", NOVEMBER, "standard", _usage(100_000, 500, 80_000, 10_000), "0.099"),
        # Above the threshold 0.60 and 7.50, though fewer than 200,000 tokens are plain.
        ("anthropic:claude-sonnet-4-5", NOVEMBER, "standard", _usage(250_000, 0, 240_000, 10_000), "0.219"),
        # o3 fell from 10/40 to 2/8 on 10 June 2025, UTC.
        ("openai:o3", datetime(2025, 6, 9, 23, 59, 59, tzinfo=UTC), "standard", _usage(1_000, 1_000), "0.05"),
        ("openai:o3", datetime(2025, 6, 10, tzinfo=UTC), "standard", _usage(1_000, 1_000), "0.01"),
        ("openai:o3", NOVEMBER, "flex", _usage(1_000, 1_000), "0.005"),
        # DeepSeek: 0.27/1.10 from 00:30 to 16:30 UTC, half of it at night.
        ("deepseek:deepseek-chat", datetime(2025, 7, 1, 0, 29, tzinfo=UTC), "standard", _usage(10**6, 10**6), "0.685"),
        ("deepseek:deepseek-chat", datetime(2025, 7, 1, 0, 30, tzinfo=UTC), "standard", _usage(10**6, 10**6), "1.37"),
        ("deepseek:deepseek-chat", datetime(2025, 7, 1, 16, 29, tzinfo=UTC), "standard", _usage(10**6, 10**6), "1.37"),
        ("deepseek:deepseek-chat", datetime(2025, 7, 1, 16, 30, tzinfo=UTC), "standard", _usage(10**6, 10**6), "0.685"),
        # Perplexity charges 12 USD for a thousand requests beside 1 and 1.
        ("perplexity:sonar", NOVEMBER, "standard", _usage(1_000, 1_000), "0.014"),
    ],
)
def test_published_prices_give_the_costs_worked_by_hand(
    target: str, at: datetime, processing: Processing, usage: TokenUsage, usd: str
) -> None:
    assert price_list(target).card_at(at, processing).price_usd(usage) == Decimal(usd)


def test_the_hour_of_a_request_is_that_of_utc_wherever_it_was_sent() -> None:
    prices = price_list("deepseek:deepseek-chat")
    tokyo = datetime(2025, 7, 2, 1, 30, tzinfo=timezone(timedelta(hours=9)))  # 16:30 UTC the day before
    assert prices.card_at(tokyo) == prices.card_at(datetime(2025, 7, 1, 16, 30, tzinfo=UTC))


def _dollars(value: str, *tiers: tuple[int, str]) -> TokenPrice:
    return TokenPrice(
        usd_per_mtok=Decimal(value),
        tiers=tuple(Tier(over_tokens=size, usd_per_mtok=Decimal(price)) for size, price in tiers),
    )


def _list(*entries: PriceEntry, **fields: Any) -> PriceList:
    return PriceList(**{"provider": "p", "model": "m", "source": "a contract", "entries": entries, **fields})


def _flat(usd_per_mtok: str, **fields: Any) -> PriceEntry:
    price = _dollars(usd_per_mtok)
    return PriceEntry(prices=TokenPrices(input=price, output=price), **fields)


@pytest.mark.parametrize("size", [0, 1, 199_999, 200_000, 200_001, 300_001])
def test_a_tier_holds_for_requests_whose_input_exceeds_its_threshold(size: int) -> None:
    price = _dollars("1", (200_000, "2"), (300_000, "3"))
    assert price.at(size) == 1 + (size > 200_000) + (size > 300_000)


def test_dated_entries_hold_from_their_first_day_to_the_day_before_the_next() -> None:
    prices = _list(
        _flat("1", starts_on=date(2026, 1, 1), ends_on=date(2026, 7, 1)), _flat("2", starts_on=date(2026, 7, 1))
    )
    usage = _usage(1_000_000, 0)
    assert prices.card_at(datetime(2026, 1, 1, tzinfo=UTC)).price_usd(usage) == 1
    assert prices.card_at(datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)).price_usd(usage) == 1
    assert prices.card_at(datetime(2026, 7, 1, tzinfo=UTC)).price_usd(usage) == 2


def test_of_entries_that_hold_at_once_the_later_takes_precedence() -> None:
    prices = _list(_flat("1"), _flat("2", starts_on=date(2026, 7, 1)))
    assert prices.card_at(NOVEMBER).prices.input == _dollars("2")


def test_a_part_of_the_day_may_pass_midnight() -> None:
    night = _flat("1", daily_from=time(22), daily_until=time(6))
    assert [hour for hour in range(24) if night.holds(datetime(2026, 1, 1, hour, tzinfo=UTC))] == [
        *range(6),
        22,
        23,
    ]


def test_no_price_says_what_is_known_and_what_to_do() -> None:
    prices = _list(_flat("1", starts_on=date(2026, 1, 1), ends_on=date(2026, 7, 1)), checked_on=date(2026, 1, 2))
    with pytest.raises(NoPriceError) as caught:
        prices.card_at(NOVEMBER)
    assert str(caught.value) == (
        "p:m has no price on 2026-11-20: prices are known from 2026-01-01 until 2026-07-01 (a contract). "
        "A missing price is never taken as zero; choose another date with --as-of, "
        "or add a rate card that covers it."
    )


def test_the_dates_of_batch_prices_are_not_given_out_as_those_of_standard_prices() -> None:
    prices = _list(_flat("2", starts_on=date(2027, 1, 1)), _flat("1", processing="batch", starts_on=date(2020, 1, 1)))
    with pytest.raises(NoPriceError, match="known from 2027-01-01"):
        prices.card_at(NOVEMBER)


@pytest.mark.parametrize("processing", ["batch", "flex", "priority"])
def test_processing_that_is_not_sold_has_no_price(processing: Processing) -> None:
    prices = _list(_flat("1"))
    assert not prices.sells(processing, NOVEMBER)
    with pytest.raises(NoPriceError, match=f"p:m quotes no {processing} price on 2026-11-20"):
        prices.card_at(NOVEMBER, processing)


def test_unknown_processing_has_no_price_and_does_not_fall_back_to_standard() -> None:
    unknown: Any = "overnight"
    with pytest.raises(NoPriceError, match="quotes no overnight price"):
        _list(_flat("1")).card_at(NOVEMBER, unknown)


def test_processing_replaces_the_prices_it_quotes_and_keeps_the_others() -> None:
    batch = PriceEntry(prices=TokenPrices(input=_dollars("1")), processing="batch")
    card = _list(_flat("2"), batch).card_at(NOVEMBER, "batch")
    assert card.price_usd(_usage(1_000_000, 1_000_000)) == 1 + 2


def test_a_price_that_is_not_known_makes_the_cost_unknown_and_not_zero() -> None:
    card = _list(PriceEntry(prices=TokenPrices(input=_dollars("1")))).card_at(NOVEMBER)
    assert card.missing == ("output",)
    assert card.price_usd(_usage(1_000_000, 1)) is None
    assert card.price_usd(_usage(1_000_000, 0)) == 1
    without_input = _list(PriceEntry(prices=TokenPrices(output=_dollars("1")))).card_at(NOVEMBER)
    assert without_input.missing == ("input",)
    assert without_input.price_usd(_usage(1, 0, cached=1)) is None


def test_a_commitment_and_provisioned_units_stand_beside_the_token_prices() -> None:
    units = Provisioned(usd_per_unit_hour=Decimal(20), unit_output_tokens_per_s=1_000, min_units=2)
    prices = _list(_flat("1"), committed_usd_per_month=Decimal(10_000), provisioned=units)
    assert prices.committed_usd_per_month == 10_000
    assert prices.provisioned == units
    assert prices.card_at(NOVEMBER).price_usd(_usage(1_000_000, 0)) == 1
    assert _list(_flat("1")).committed_usd_per_month == 0


def test_every_moment_and_size_at_which_a_price_changes_is_known() -> None:
    assert price_list("deepseek:deepseek-chat").day_boundaries_s() == {1_800, 59_400}
    assert price_list("anthropic:claude-sonnet-4-5").thresholds_tokens() == {200_000}


prices_usd = st.decimals(0, 100, places=4)
counts = st.integers(0, 150_000)


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    def price() -> TokenPrice:
        sizes = sorted(draw(st.sets(st.sampled_from([100_000, 200_000, 272_000]), max_size=2)))
        tiers = tuple(Tier(over_tokens=size, usd_per_mtok=draw(prices_usd)) for size in sizes)
        return TokenPrice(usd_per_mtok=draw(prices_usd), tiers=tiers)

    prices = TokenPrices(
        input=price(),
        output=price(),
        cached_input=draw(st.none() | st.builds(price)),
        cache_write=draw(st.none() | st.builds(price)),
        request_usd=draw(prices_usd),
    )
    return RateCard(target="p:m", processing="standard", prices=prices)


@st.composite
def usages(draw: st.DrawFn) -> TokenUsage:
    plain, cached, written = draw(counts), draw(counts), draw(counts)
    return _usage(plain + cached + written, draw(counts), cached, written)


def _tier_of(usage: TokenUsage) -> int:
    return max(size for size in (0, 100_000, 200_000, 272_000) if usage.input_tokens > size or size == 0)


@settings(max_examples=200, deadline=None)
@given(card=cards(), requests=st.lists(usages(), min_size=1, max_size=6))
def test_requests_of_one_tier_cost_together_what_they_cost_one_by_one(
    card: RateCard, requests: list[TokenUsage]
) -> None:
    tier = _tier_of(requests[0])
    same = [usage for usage in requests if _tier_of(usage) == tier]
    total = same[0]
    for usage in same[1:]:
        total += usage
    one_by_one = [card.price_usd(usage) for usage in same]
    together = card.price_usd(total, requests=len(same), input_over_tokens=tier)
    assert together == sum(price for price in one_by_one if price is not None)


@settings(max_examples=100, deadline=None)
@given(card=cards(), usage=usages(), factor=st.sampled_from([Decimal("0.5"), Decimal(2), Decimal(10)]))
def test_dearer_prices_make_every_request_dearer_by_the_same_factor(
    card: RateCard, usage: TokenUsage, factor: Decimal
) -> None:
    def scaled(price: TokenPrice | None) -> TokenPrice | None:
        if price is None:
            return None
        tiers = tuple(Tier(over_tokens=t.over_tokens, usd_per_mtok=t.usd_per_mtok * factor) for t in price.tiers)
        return TokenPrice(usd_per_mtok=price.usd_per_mtok * factor, tiers=tiers)

    prices = card.prices
    dearer = RateCard(
        target=card.target,
        processing=card.processing,
        prices=TokenPrices(
            input=scaled(prices.input),
            output=scaled(prices.output),
            cached_input=scaled(prices.cached_input),
            cache_write=scaled(prices.cache_write),
            request_usd=prices.request_usd * factor,
        ),
    )
    before, after = card.price_usd(usage), dearer.price_usd(usage)
    assert before is not None
    assert after == before * factor
