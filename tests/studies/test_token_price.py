"""Pricing by cells: exact, by tier and by time of day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.records import PriceCell
from breakeven.sources import genai
from breakeven.studies.verdict.token_price import PricingDay, price_traffic
from breakeven.usage import TokenUsage

ON = date(2026, 11, 21)


def _flat(usd: str) -> TokenPrices:
    return TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(usd)), output=TokenPrice(usd_per_mtok=Decimal(usd)))


def _cell(segment: int = 0, over: int = 0, *, input_tokens: int = 1_000_000, output_tokens: int = 0) -> PriceCell:
    usage = TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens)
    return PriceCell(input_over_tokens=over, day_segment=segment, requests=1, usage=usage)


NIGHT = PriceList(
    provider="acme",
    model="night",
    source="a test",
    entries=(
        PriceEntry(prices=_flat("1")),
        PriceEntry(prices=_flat("3"), daily_from=time(6), daily_until=time(12)),
    ),
)


def test_each_part_of_the_day_is_priced_at_its_own_card() -> None:
    day = PricingDay(on=ON, boundaries_s=(6 * 3600, 12 * 3600), timed=True)
    usd = [price_traffic([_cell(segment)], NIGHT, day).plain_input_usd for segment in (0, 1, 2)]
    assert usd == [1.0, 3.0, 1.0]


def test_a_bill_without_times_is_spread_over_the_day() -> None:
    day = PricingDay(on=ON, boundaries_s=(6 * 3600, 12 * 3600), timed=False)
    assert price_traffic([_cell()], NIGHT, day).plain_input_usd == pytest.approx(0.75 * 1 + 0.25 * 3)


def test_a_cell_above_a_threshold_is_priced_at_its_tier() -> None:
    """Sonnet 4.5: 3 USD up to 200,000 input tokens of a request, 6 above, for all of them."""
    prices = genai.price_list("anthropic:claude-sonnet-4-5")
    day = PricingDay(on=ON, boundaries_s=(), timed=True)
    assert price_traffic([_cell(over=0)], prices, day).plain_input_usd == 3.0
    assert price_traffic([_cell(over=200_000)], prices, day).plain_input_usd == 6.0


def test_cells_cost_what_their_requests_cost_one_by_one() -> None:
    tiered = PriceList(
        provider="acme",
        model="tiered",
        source="a test",
        entries=(
            PriceEntry(
                prices=TokenPrices(
                    input=TokenPrice(
                        usd_per_mtok=Decimal("0.7"), tiers=(Tier(over_tokens=1000, usd_per_mtok=Decimal("1.3")),)
                    ),
                    output=TokenPrice(usd_per_mtok=Decimal("2.1")),
                    request_usd=Decimal("0.001"),
                )
            ),
        ),
    )
    requests = [TokenUsage(input_tokens=i, output_tokens=o) for i, o in [(10, 3), (1000, 7), (1001, 9), (5000, 1)]]
    card = tiered.card_at(datetime(2026, 11, 21, tzinfo=UTC))
    one_by_one = sum(card.price_usd(item) or Decimal(0) for item in requests)
    small, large = requests[0] + requests[1], requests[2] + requests[3]
    cells = [
        PriceCell(input_over_tokens=0, day_segment=0, requests=2, usage=small),
        PriceCell(input_over_tokens=1000, day_segment=0, requests=2, usage=large),
    ]
    total = price_traffic(cells, tiered, PricingDay(on=ON, boundaries_s=(), timed=True))
    assert total.plain_input_usd + total.output_usd + total.requests_usd == pytest.approx(float(one_by_one), rel=1e-15)


def test_a_type_without_a_price_makes_the_result_partial_and_not_free() -> None:
    prices = PriceList(
        provider="acme",
        model="input-only",
        source="a test",
        entries=(PriceEntry(prices=TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(1)))),),
    )
    day = PricingDay(on=ON, boundaries_s=(), timed=True)
    assert price_traffic([_cell(output_tokens=5)], prices, day).partial == ("output price",)
