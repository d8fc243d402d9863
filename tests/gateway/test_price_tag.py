"""The cost that a client is told in a header is that of the rate card, to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.gateway.price_tag import PriceTag
from breakeven.ledger.cards import CardSchedule
from breakeven.metering.reading import Reading
from breakeven.sources.genai import price_list

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000

PRICES = st.decimals(min_value=0, max_value=500, places=7)


@st.composite
def token_prices(draw: st.DrawFn) -> TokenPrice:
    tiers = draw(st.lists(st.tuples(st.integers(1, 5000), PRICES), max_size=2, unique_by=lambda tier: tier[0]))
    return TokenPrice(
        usd_per_mtok=draw(PRICES),
        tiers=tuple(Tier(over_tokens=over, usd_per_mtok=price) for over, price in sorted(tiers)),
    )


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    input_tokens = draw(st.integers(0, 10_000))
    cached = draw(st.integers(0, input_tokens))
    written = draw(st.integers(0, input_tokens - cached))
    return Reading(input_tokens, draw(st.integers(0, 10_000)), cached, written, 0, estimated=False)


def told(tag: PriceTag, reading: Reading) -> Decimal | None:
    line = tag.line(reading, NOON_US).decode()
    return Decimal(line.removeprefix("x-breakeven-cost-usd: ").strip()) if line else None


@given(
    token_prices(),
    token_prices(),
    st.none() | token_prices(),
    st.none() | token_prices(),
    st.decimals(min_value=0, max_value=1, places=5),
    st.lists(readings(), min_size=1, max_size=6),
)
def test_the_header_says_what_the_rate_card_says(
    input_price: TokenPrice,
    output: TokenPrice,
    cached: TokenPrice | None,
    written: TokenPrice | None,
    request_usd: Decimal,
    seen: list[Reading],
) -> None:
    prices = TokenPrices(
        input=input_price, output=output, cached_input=cached, cache_write=written, request_usd=request_usd
    )
    known = PriceList(provider="p", model="m", entries=(PriceEntry(prices=prices),), source="made up")
    tag = PriceTag("p:m", CardSchedule([known]))
    for reading in seen:
        assert told(tag, reading) == known.card_at(NOON).price_usd(reading.usage())


@pytest.mark.parametrize("name", ["openai:gpt-4o", "google:gemini-2.5-pro", "anthropic:claude-sonnet-4-5"])
def test_real_prices_with_tiers_and_caches_are_told_exactly(name: str) -> None:
    known = price_list(name)
    tag = PriceTag(known.target, CardSchedule([known]))
    for size in (0, 1, 200_000, 200_001, 900_000, 1):
        reading = Reading(size, 321, size // 3, 0, 0, estimated=False)
        assert told(tag, reading) == known.card_at(NOON).price_usd(reading.usage())


def test_what_has_no_price_is_not_told() -> None:
    assert told(PriceTag("p:m", CardSchedule()), Reading(5, 5, 0, 0, 0, estimated=False)) is None
    only_input = TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(1)))
    known = PriceList(provider="p", model="m", entries=(PriceEntry(prices=only_input),), source="made up")
    tag = PriceTag("p:m", CardSchedule([known]))
    assert told(tag, Reading(5, 5, 0, 0, 0, estimated=False)) is None
    assert not tag.known(NOON_US)
