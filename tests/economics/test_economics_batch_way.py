"""The rest of a batch goes where it is known to cost less."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from breakeven.catalog.rate_card import RateCard, TokenPrice, TokenPrices
from breakeven.economics.batch_way import cheaper_way, cheapest_call_usd
from breakeven.usage import TokenUsage

prices = st.decimals("0.000001", "100", places=6)
USAGE = TokenUsage(input_tokens=1000, output_tokens=500)


def card(usd_per_mtok: str | None) -> RateCard:
    price = TokenPrice(usd_per_mtok=Decimal(usd_per_mtok)) if usd_per_mtok else None
    return RateCard(target="a:b", processing="standard", prices=TokenPrices(input=price, output=price))


@given(prices, prices)
def test_the_cheaper_one_wins_and_a_tie_is_a_call(batch: Decimal, call: Decimal) -> None:
    assert cheaper_way(batch, call) == ("batch" if batch < call else "call")


def test_a_price_that_is_not_known_is_not_low() -> None:
    assert cheaper_way(None, Decimal(1)) == "call"
    assert cheaper_way(None, None) == "call"
    assert cheaper_way(Decimal(1), None) == "batch"


def test_a_call_costs_what_it_costs_where_it_costs_least_and_unknown_prices_do_not_count() -> None:
    assert cheapest_call_usd([card("2"), card("1"), card(None)], USAGE) == Decimal("0.0015")
    assert cheapest_call_usd([card(None)], USAGE) is None
    assert cheapest_call_usd([], USAGE) is None
