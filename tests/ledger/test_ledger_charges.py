"""Charges: each is its quantity times its unit price, and together they are all that was paid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pooled import CLOSED, FIRST, cards, fill, other, terms
from spooled import move, write

from breakeven.catalog.rate_card import RateCard, Tier, TokenPrice, TokenPrices
from breakeven.errors import InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.charges import Span, ask_charges, parts_of
from breakeven.ledger.costs import Known
from breakeven.ledger.query import Question
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.charges import Charge, Grain

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KNOWN = Known(closed_hours=CLOSED, declared=(terms(), other()))
PER = {"node_time": 1, "requests": 1}
PRICES = st.decimals(min_value="0", max_value="99", places=4).map(lambda usd: TokenPrice(usd_per_mtok=usd))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("charges"))


def paid(charges: tuple[Charge, ...]) -> Decimal:
    return sum((charge.cost_usd for charge in charges), Decimal(0))


@pytest.mark.parametrize("grain", ["day", "hour"])
def test_charges_add_up_to_all_that_was_paid(store: Path, grain: Grain) -> None:
    costs = ask_costs(store, Question(by=("key",)), KNOWN)
    bills = sum(pool.bill_usd for pool in costs.pools)
    fixed = sum(pool.fixed_usd for pool in costs.pools)
    found = ask_charges(store, Span(None, None, grain), KNOWN)
    assert paid(found.charges) == sum(group.marginal_usd for group in costs.groups) + bills
    loaded = sum(charge.loaded_usd for charge in found.charges)
    assert loaded == sum(group.marginal_usd for group in costs.groups) + bills + fixed
    idle = [charge for charge in found.charges if charge.used.line == "idle"]
    assert paid(tuple(idle)) == sum(pool.idle_usd for pool in costs.pools)
    assert found.unpriced_count == sum(group.unbilled_count for group in costs.groups)


def test_a_charge_is_its_quantity_times_its_unit_price(store: Path) -> None:
    for charge in ask_charges(store, Span(None, None, "day"), KNOWN).charges:
        product = charge.used_count * charge.unit_price_usd / PER.get(charge.meter, 1_000_000)
        assert abs(product - charge.cost_usd) <= abs(charge.cost_usd) * Decimal("1e-25")


def test_stretches_of_time_stay_within_what_is_asked_for(store: Path) -> None:
    since, until = EPOCH + timedelta(hours=FIRST + 3), EPOCH + timedelta(hours=FIRST + 41)
    whole = ask_charges(store, Span(since, until, "day"), KNOWN)
    assert min(charge.begins for charge in whole.charges) == since
    assert max(charge.ends for charge in whole.charges) == until
    assert all(charge.begins.date() == (charge.ends - timedelta(seconds=1)).date() for charge in whole.charges)
    by_hour = ask_charges(store, Span(since, until, "hour"), KNOWN)
    assert {charge.ends - charge.begins for charge in by_hour.charges} == {timedelta(hours=1)}
    assert paid(by_hour.charges) == paid(whole.charges)


def test_tokens_of_charges_are_those_of_the_api_requests(store: Path) -> None:
    found = ask_charges(store, Span(None, None, "day"), KNOWN).charges
    costs = ask_costs(store, Question(by=("target",)), KNOWN)
    (api,) = (group.total.usage for group in costs.groups if group.labels == ("api",))
    by_meter = {
        meter: sum(charge.used_count for charge in found if charge.meter == meter)
        for meter in ("input", "cached_input", "output")
    }
    assert by_meter["input"] + by_meter["cached_input"] == api.input_tokens
    assert by_meter["output"] == api.output_tokens


def test_what_compares_targets_is_a_line_of_its_own(tmp_path: Path) -> None:
    decisions = ("ordered", "shadow", "judge", "shadow")
    write(tmp_path, ({"decision": name, "target": "api", "priced_as": "p:m"} for name in decisions))
    move(tmp_path, cards())
    found = ask_charges(tmp_path / "ledger.sqlite", Span(None, None, "day"), Known(closed_hours=600_000)).charges
    lines = {line: paid(tuple(c for c in found if c.used.line == line)) for line in ("serving", "evaluation")}
    each = Decimal("0.15") * 100 / 1_000_000 + Decimal("0.60") * 10 / 1_000_000
    assert lines == {"serving": each, "evaluation": 3 * each}


def test_times_that_are_no_full_hours_are_refused(store: Path) -> None:
    with pytest.raises(InputError, match="Give a full hour"):
        ask_charges(store, Span(EPOCH + timedelta(hours=FIRST, minutes=1), None, "day"), KNOWN)


@given(
    prices=st.builds(
        TokenPrices,
        input=PRICES,
        output=st.none() | PRICES,
        cached_input=st.none() | PRICES,
        cache_write=st.none() | PRICES,
        request_usd=st.decimals(min_value="0", max_value="1", places=4),
    ),
    counts=st.tuples(*[st.integers(0, 10**9)] * 4),
    requests=st.integers(0, 1000),
)
def test_the_parts_of_a_price_add_up_to_it(prices: TokenPrices, counts: tuple[int, ...], requests: int) -> None:
    plain, cached, written, output = counts
    usage = TokenUsage(
        input_tokens=plain + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    card = RateCard(target="p:m", processing="standard", prices=prices)
    parts = parts_of(card, usage, requests=requests, over_tokens=0)
    whole = card.price_usd(usage, requests=requests, input_over_tokens=-1)
    assert (parts is None) == (whole is None)
    if parts is not None:
        assert sum(part.cost_usd for part in parts) == whole


def test_the_tier_of_a_charge_is_that_of_its_requests() -> None:
    price = TokenPrice(usd_per_mtok=Decimal(1), tiers=(Tier(over_tokens=1000, usd_per_mtok=Decimal(2)),))
    card = RateCard(target="p:m", processing="standard", prices=TokenPrices(input=price))
    usage = TokenUsage(input_tokens=500_000, output_tokens=0)
    for over_tokens, usd_per_mtok in ((0, 1), (1000, 2)):
        (part,) = parts_of(card, usage, requests=1, over_tokens=over_tokens) or ()
        assert part.unit_price_usd == usd_per_mtok
