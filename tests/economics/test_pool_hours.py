"""Hours that are paid, their bills, and the provisional price of a pool's tokens."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.allocation import GpuTime, units_of, usd_of
from breakeven.economics.pool_hours import (
    HOUR_US,
    HourBill,
    NodePrice,
    NodePrices,
    PaidNode,
    PoolTerms,
    hour_bill,
    own_prices,
    pool_hours,
    pool_price_list,
)
from breakeven.errors import NoPriceError
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from breakeven.catalog.rate_card import PriceList

DAY_US = 24 * HOUR_US
DAY = date(2026, 11, 1)
FIRST_US = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
WEIGHTS = GpuTime(prefill_us=40, cached_us=1, decode_us=900)


def usd(*prices: tuple[str, int, str]) -> tuple[NodePrice, ...]:
    return tuple(NodePrice(node=node, since_us=since, usd_per_hour=Decimal(price)) for node, since, price in prices)


def pool(**said: object) -> PoolTerms:
    given_terms: dict[str, object] = {
        "name": "llama",
        "nodes": (PaidNode(name="a", since_us=FIRST_US),),
        "prices": usd(("a", 0, "6")),
        "gpu_time": WEIGHTS,
        "basis": "declared",
    }
    return PoolTerms(**(given_terms | said))  # type: ignore[arg-type]  # fields of the terms


@given(
    since_us=st.integers(0, 50 * HOUR_US),
    lasts_us=st.none() | st.integers(1, 50 * HOUR_US),
    until_hour=st.integers(0, 60),
    since_hour=st.integers(0, 60),
)
def test_hours_add_up_to_the_time_that_is_paid(
    since_us: int, lasts_us: int | None, until_hour: int, since_hour: int
) -> None:
    until_us = None if lasts_us is None else since_us + lasts_us
    terms = pool(nodes=(PaidNode(name="a", since_us=since_us, until_us=until_us),))
    found = list(pool_hours(terms, until_hour, since_hour))
    begins, ends = max(since_us, since_hour * HOUR_US), until_hour * HOUR_US
    ends = ends if until_us is None else min(ends, until_us)
    assert sum(item.paid_us for item in found) == max(0, ends - begins)
    assert len({item.hour for item in found}) == len(found)
    assert all(0 < item.paid_us <= HOUR_US - item.from_us for item in found)


@given(
    prices=st.lists(st.tuples(st.integers(0, 3 * HOUR_US), st.decimals(0, 1000, places=6)), min_size=1, max_size=5),
    begins_us=st.integers(0, 2 * HOUR_US),
    lasts_us=st.integers(1, HOUR_US),
)
def test_prices_cover_a_stretch_without_gap_or_overlap(
    prices: list[tuple[int, Decimal]], begins_us: int, lasts_us: int
) -> None:
    dated = [NodePrice(node="", since_us=since_us, usd_per_hour=price) for since_us, price in prices]
    found = list(NodePrices(dated).between("a", begins_us, begins_us + lasts_us))
    assert sum(length_us for length_us, _ in found) == lasts_us
    at_us = begins_us
    for length_us, price in found:
        held = [(since_us, place) for place, (since_us, _) in enumerate(prices) if since_us <= at_us]
        assert price == (prices[max(held)[1]][1] if held else None)
        at_us += length_us


def test_a_price_that_changes_within_an_hour_holds_for_its_part_of_it() -> None:
    hour = FIRST_US // HOUR_US
    terms = pool(prices=usd(("a", 0, "6"), ("a", FIRST_US + HOUR_US // 4, "2")))
    bill = hour_bill(terms, NodePrices(terms.prices), pool_hours(terms, hour + 1, hour))
    assert usd_of(bill.bill) == Decimal(3)
    assert (bill.paid_us, bill.unpriced_us) == (HOUR_US, 0)


def test_time_without_a_price_is_no_part_of_the_bill_and_is_told() -> None:
    hour = FIRST_US // HOUR_US
    terms = pool(prices=usd(("a", FIRST_US + HOUR_US // 2, "6")))
    bill = hour_bill(terms, NodePrices(terms.prices), pool_hours(terms, hour + 1, hour))
    assert (usd_of(bill.bill), bill.unpriced_us) == (Decimal(3), HOUR_US // 2)


def test_fixed_lines_are_of_the_time_in_which_there_is_a_node_at_all() -> None:
    hour = FIRST_US // HOUR_US
    nodes = (PaidNode(name="a", since_us=FIRST_US + HOUR_US // 2), PaidNode(name="b", since_us=FIRST_US + HOUR_US // 2))
    terms = pool(nodes=nodes, fixed_usd_per_hour=Decimal(20), further_node_usd_per_hour=Decimal(2))
    prices = NodePrices(terms.prices)
    assert usd_of(hour_bill(terms, prices, pool_hours(terms, hour + 1, hour)).fixed) == 11
    assert usd_of(hour_bill(terms, prices, pool_hours(terms, hour + 2, hour + 1)).fixed) == 22
    assert hour_bill(terms, prices, ()) == HourBill(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("stretches", "fixed_usd"),
    [
        ({"a": (0, 30), "b": (30, 60)}, "10"),  # one takes the other's place
        ({"a": (0, 20), "b": (40, 60)}, "6.666666666667"),  # with a time without any between
        ({"a": (0, 60), "b": (59, 60)}, "10.016666666667"),  # a further one is there for a minute
        ({"a": (10, 40), "b": (0, 60), "c": (30, 50)}, "10.833333333333"),
        ({"a": (0, 60), "b": (0, 60), "c": (0, 60)}, "12"),
    ],
)
def test_fixed_lines_follow_who_is_there_when(stretches: dict[str, tuple[int, int]], fixed_usd: str) -> None:
    minute_us = HOUR_US // 60
    nodes = tuple(
        PaidNode(name=name, since_us=FIRST_US + begins * minute_us, until_us=FIRST_US + ends * minute_us)
        for name, (begins, ends) in stretches.items()
    )
    terms = pool(nodes=nodes, fixed_usd_per_hour=Decimal(10), further_node_usd_per_hour=Decimal(1))
    hour = FIRST_US // HOUR_US
    assert usd_of(hour_bill(terms, NodePrices(()), pool_hours(terms, hour + 1, hour)).fixed) == Decimal(fixed_usd)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5))
def test_fixed_lines_are_those_of_each_minute_by_itself(stretches: list[tuple[int, int]]) -> None:
    minute_us = HOUR_US // 60
    nodes = tuple(
        PaidNode(name=f"n{place}", since_us=begins * minute_us, until_us=ends * minute_us)
        for place, (begins, ends) in enumerate(stretches)
    )
    terms = pool(nodes=nodes, fixed_usd_per_hour=Decimal(600), further_node_usd_per_hour=Decimal(60))
    counts = [sum(begins <= minute < ends for begins, ends in stretches) for minute in range(60)]
    assert usd_of(hour_bill(terms, NodePrices(()), pool_hours(terms, 1)).fixed) == sum(
        10 + count - 1 for count in counts if count
    )


@given(price=st.decimals(0, 10_000, places=6), times=st.integers(1, 100), part_us=st.integers(1, HOUR_US))
def test_a_bill_follows_its_price(price: Decimal, times: int, part_us: int) -> None:
    hour = FIRST_US // HOUR_US
    node = PaidNode(name="a", since_us=FIRST_US, until_us=FIRST_US + part_us)

    def bill(usd_per_hour: Decimal) -> int:
        terms = pool(nodes=(node,), prices=(NodePrice(node="", since_us=0, usd_per_hour=usd_per_hour),))
        return hour_bill(terms, NodePrices(terms.prices), pool_hours(terms, hour + 1, hour)).bill

    assert bill(price) == units_of(Fraction(price) * part_us / HOUR_US)
    assert abs(bill(price * times) - bill(price) * times) <= times


def priced(prices: PriceList | None, day: date, usage: TokenUsage) -> Decimal | None:
    assert prices is not None
    return prices.card_at(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)).price_usd(usage)


def test_a_provisional_price_is_node_time_at_the_assumed_utilisation() -> None:
    prices = pool_price_list(pool(), utilisation_fraction=0.5)
    assert prices is not None
    assert prices.target == "pool:llama"
    million = TokenUsage(input_tokens=1_000_000, output_tokens=0)
    assert priced(prices, DAY, million) == Decimal("0.133333333"), "6 USD / 3600 s x 40 s / 0.5"
    assert priced(prices, DAY, TokenUsage(input_tokens=0, output_tokens=1_000_000)) == Decimal("3.000000000")
    cached = TokenUsage(input_tokens=1_000_000, cached_input_tokens=1_000_000, output_tokens=0)
    assert priced(prices, DAY, cached) == Decimal("0.003333333")


def test_at_the_assumed_utilisation_what_was_charged_is_the_bill() -> None:
    """An hour in which half of the node's time served somebody is charged provisionally what it costs."""
    prices = pool_price_list(pool())
    busy = TokenUsage(input_tokens=0, output_tokens=2_000_000)  # 1,800 s at 900 µs a token
    assert priced(prices, DAY, busy) == Decimal(6)


def test_provisional_prices_follow_nodes_and_their_prices_by_the_day() -> None:
    nodes = (
        PaidNode(name="a", since_us=FIRST_US),
        PaidNode(name="b", since_us=FIRST_US + 2 * DAY_US, until_us=FIRST_US + 4 * DAY_US),
    )
    dated = usd(("a", 0, "6"), ("b", 0, "2"), ("a", FIRST_US + 5 * DAY_US + 3, "12"))
    prices = pool_price_list(pool(nodes=nodes, prices=dated), utilisation_fraction=1)
    output = TokenUsage(input_tokens=0, output_tokens=4_000_000)  # an hour of a node
    found = [priced(prices, date(2026, 11, day), output) for day in range(1, 8)]
    assert found == [Decimal(usd_per_hour) for usd_per_hour in (6, 6, 4, 4, 6, 12, 12)]


def test_an_unknown_price_is_none_and_never_zero() -> None:
    assert pool_price_list(pool(gpu_time=None)) is None
    assert pool_price_list(pool(prices=())) is None
    assert pool_price_list(pool(nodes=())) is None
    owned = pool_price_list(pool(prices=usd(("a", 0, "0"))))
    assert priced(owned, DAY, TokenUsage(input_tokens=5, output_tokens=5)) == 0
    later = pool_price_list(pool(prices=usd(("a", FIRST_US + 3 * DAY_US, "6"))))
    with pytest.raises(NoPriceError):
        priced(later, DAY, TokenUsage(input_tokens=5, output_tokens=5))


@given(st.lists(st.tuples(st.sampled_from(("", "a", "b")), st.integers(0, 9), st.integers(0, 99)), max_size=9))
def test_prices_that_are_written_as_a_nodes_own_are_the_same_for_it(dated: list[tuple[str, int, int]]) -> None:
    prices = usd(*((node, since_us, str(price)) for node, since_us, price in dated))
    own = own_prices(prices, "a")
    assert {item.node for item in own} <= {"a"}
    assert list(NodePrices(own).between("a", 0, 12)) == list(NodePrices(prices).between("a", 0, 12))
    assert len({item.since_us for item in own}) == len(own)


@pytest.mark.parametrize("until", [datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_a_node_may_be_paid_until_the_end_of_all_dates(until: datetime) -> None:
    until_us = int(until.timestamp()) * 1_000_000
    prices = pool_price_list(pool(nodes=(PaidNode(name="a", since_us=FIRST_US, until_us=until_us),)))
    assert priced(prices, DAY, TokenUsage(input_tokens=0, output_tokens=2_000_000)) == Decimal(6)
