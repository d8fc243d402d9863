"""A bill elsewhere is the rate card's own, to the last digit, and using an API better never costs more."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.catalog.rate_card import RateCard, Tier, TokenPrice, TokenPrices
from breakeven.economics.counterfactual import (
    BetterUse,
    TokenCounts,
    TokenRatios,
    better_bill_usd,
    bill_lines_usd,
    token_bill_usd,
    waiting_bill_usd,
)
from breakeven.usage import TokenUsage

OVER = 200_000
PRICES = TokenPrices(
    input=TokenPrice(usd_per_mtok=Decimal("2.5"), tiers=(Tier(over_tokens=OVER, usd_per_mtok=Decimal(5)),)),
    cached_input=TokenPrice(usd_per_mtok=Decimal("0.25")),
    cache_write=TokenPrice(usd_per_mtok=Decimal("3.125")),
    output=TokenPrice(usd_per_mtok=Decimal("10.001")),
    request_usd=Decimal("0.0003"),
)
COUNT = st.integers(0, 10**9)
SHARE = st.decimals(0, 1, places=3)


def counts_of(plain: int, cached: int, written: int, output: int) -> TokenCounts:
    return TokenCounts.of(plain + cached + written, cached, written, output, TokenRatios())


@given(COUNT, COUNT, COUNT, COUNT, st.integers(0, 999), st.sampled_from([0, OVER]))
def test_a_bill_is_the_rate_cards_and_its_lines_add_up(
    plain: int, cached: int, written: int, output: int, requests: int, over_tokens: int
) -> None:
    card = RateCard(target="a:b", processing="standard", prices=PRICES)
    usage = TokenUsage(
        input_tokens=plain + cached + written,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )
    wanted = card.price_usd(usage, requests=requests, input_over_tokens=over_tokens or -1)
    counts = counts_of(plain, cached, written, output)
    assert token_bill_usd(PRICES, counts, requests=requests, over_tokens=over_tokens) == wanted
    lines = bill_lines_usd(PRICES, counts, requests=requests, over_tokens=over_tokens)
    assert lines is not None
    assert sum(lines.values(), Decimal(0)) == wanted
    assert all(lines.values())


def test_a_type_without_a_price_is_no_bill_unless_there_is_none_of_it() -> None:
    no_output = TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(1)))
    assert token_bill_usd(no_output, counts_of(1, 0, 0, 1), requests=1, over_tokens=0) is None
    assert token_bill_usd(no_output, counts_of(1_000_000, 0, 0, 0), requests=1, over_tokens=0) == 1


@given(COUNT, COUNT, COUNT, COUNT, st.tuples(SHARE, SHARE, SHARE, SHARE))
def test_better_use_never_costs_more(
    plain: int, cached: int, written: int, output: int, shares: tuple[Decimal, ...]
) -> None:
    use = BetterUse(
        cacheable_input_fraction=shares[0], cache_reads_per_write_ratio=Decimal(5), history_trim_fraction=shares[1],
        output_trim_fraction=shares[2], batchable_fraction=shares[3],
    )  # fmt: skip
    counts = counts_of(plain, cached, written, output)
    usual = token_bill_usd(PRICES, counts, requests=1, over_tokens=0)
    assert usual is not None
    in_use = better_bill_usd(PRICES, counts, use, requests=1, over_tokens=0, caches=True)
    better = better_bill_usd(PRICES, counts, use, requests=1, over_tokens=0, caches=False)
    assert in_use is not None
    assert better is not None
    assert better <= in_use <= usual
    assert waiting_bill_usd(better, usual * 2, use) == better
    assert waiting_bill_usd(better, better / 2, use) <= better


def test_caching_by_hand() -> None:
    use = BetterUse(cacheable_input_fraction=Decimal("0.5"), cache_reads_per_write_ratio=Decimal(5))
    found = better_bill_usd(PRICES, counts_of(1_000_000, 0, 0, 0), use, requests=0, over_tokens=0, caches=False)
    # A token saves 2.5 - 0.25 when read, and costs 0.625 / 5 more for its share of a write.
    assert found == Decimal("2.5") - (Decimal("2.25") - Decimal("0.125")) / 2


@pytest.mark.parametrize(("patient", "wanted"), [(None, "8"), ("4", "7"), ("9", "8")])
def test_what_waits_is_paid_at_batch_prices_where_they_are_lower(patient: str | None, wanted: str) -> None:
    use = BetterUse(batchable_fraction=Decimal("0.25"))
    assert waiting_bill_usd(Decimal(8), None if patient is None else Decimal(patient), use) == Decimal(wanted)
