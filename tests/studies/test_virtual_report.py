"""What hours of virtual pools would have cost: dollars follow from prices, node time and tokens, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.capacity.fleet import BUCKET_RATIO, SHORTEST_S
from breakeven.catalog.rate_card import RateCard, TokenPrice, TokenPrices
from breakeven.economics.pool_hours import HOUR_US, NodePrice, PaidNode, PoolTerms
from breakeven.ledger.virtual import VirtualHour, VirtualPart
from breakeven.studies.virtual import report
from breakeven.studies.virtual.plan import VirtualPool, as_if_there, changes_around, paid_hours
from breakeven.studies.virtual.report import quantile_s, sentence_of, virtual_answer

FIRST = 494_000
TERMS = PoolTerms(
    name="llama",
    nodes=(PaidNode(name="n1", since_us=0), PaidNode(name="n2", since_us=0)),
    prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(8)),),
    fixed_usd_per_hour=Decimal(3),
    further_node_usd_per_hour=Decimal(1),
)
CARD = RateCard(
    target="p:m",
    processing="standard",
    prices=TokenPrices(input=TokenPrice(usd_per_mtok=Decimal("2.5")), output=TokenPrice(usd_per_mtok=Decimal(10))),
)


def hour(number: int, *parts: VirtualPart, used_us: int = 0, paid_us: int = 2 * HOUR_US) -> VirtualHour:
    return VirtualHour("llama", FIRST + number, paid_us, used_us, used_us, {}, {}, "", parts)


def served(mtok: int, went_over: int = 0, card: str = "c") -> VirtualPart:
    """A million input tokens each, which cost 2.50 dollars."""
    return VirtualPart(card, 0, went_over, 10, mtok * 1_000_000, 0, 0, 0)


def cards(card_id: str) -> RateCard | None:
    return CARD if card_id == "c" else None


def test_saving_is_what_was_not_paid_to_the_api_less_the_bill() -> None:
    found = virtual_answer(TERMS, [hour(0, served(4), served(1, went_over=1), used_us=HOUR_US // 2)], cards, "hour")
    assert found is not None
    whole = found.whole
    assert (whole.bill_usd, whole.avoided_usd, whole.left_usd) == (Decimal(16), Decimal(10), Decimal("2.5"))
    assert (whole.idle_usd, whole.fixed_usd) == (Decimal(12), Decimal(4))
    assert (whole.saved_usd, whole.saved_loaded_usd) == (Decimal(-6), Decimal(-10))
    assert (whole.requests, whole.served_requests, whole.utilisation_fraction) == (20, 10, 0.25)
    assert whole.served.input_tokens == 4_000_000


def test_a_price_that_changes_within_an_hour_changes_its_bill() -> None:
    later = NodePrice(node="n2", since_us=FIRST * HOUR_US + HOUR_US // 4, usd_per_hour=Decimal(4))
    found = virtual_answer(replace(TERMS, prices=(*TERMS.prices, later)), [hour(0)], cards)
    assert found is not None
    assert found.whole.bill_usd == Decimal(8) + Decimal(2) + Decimal(3)


@given(st.lists(st.integers(0, 3 * HOUR_US), min_size=1, max_size=60))
def test_days_and_hours_add_up_to_the_whole(used: list[int]) -> None:
    hours = [hour(number, served(number % 5), used_us=us) for number, us in enumerate(used)]
    for by in ("hour", "day"):
        found = virtual_answer(TERMS, hours, cards, by)
        assert found is not None
        for name in ("bill_usd", "idle_usd", "fixed_usd", "avoided_usd", "paid_s", "used_s", "requests"):
            assert sum(getattr(group, name) for group in found.groups) == getattr(found.whole, name)
        assert 0 <= found.whole.idle_usd <= found.whole.bill_usd


def test_it_pays_since_the_sum_of_savings_stays_above_nothing() -> None:
    """20 dollars an hour against 2.50 a million tokens: it is 12.50 ahead after the second hour."""
    hours = [hour(0, served(1)), hour(1, served(20)), hour(2, served(4)), hour(3, served(30))]
    found = virtual_answer(TERMS, hours, cards)
    assert found is not None
    assert found.pays_since == datetime.fromtimestamp((FIRST + 1) * 3600, UTC)
    behind_again = virtual_answer(TERMS, [*hours[:2], hour(2, served(1)), hours[3]], cards)
    assert behind_again is not None
    assert behind_again.pays_since == datetime.fromtimestamp((FIRST + 3) * 3600, UTC)
    assert "worth it since 2026-05-10T09:00Z" in sentence_of(found, "2xH100")
    not_yet = virtual_answer(TERMS, hours[:1], cards)
    assert not_yet is not None
    assert not_yet.pays_since is None


@pytest.mark.parametrize(
    ("mtok", "said"),
    [
        (1, "not yet worth it: 13.50 USD more than the API on the bill alone, 17.50 USD more with people"),
        (
            7,
            "not yet worth it: it saves 1.50 USD on the bill alone, and people and infrastructure (4.00 USD) make that",
        ),
        (9, "worth it since 2026-05-10T08:00Z: with people and infrastructure (4.00 USD) it saves 2.50 USD"),
    ],
)
def test_the_sentence_says_whether_it_is_worth_it(mtok: int, said: str) -> None:
    found = virtual_answer(TERMS, [hour(0, served(mtok))], cards)
    assert found is not None
    told = sentence_of(found, "2xH100")
    assert said in told
    assert "with 2 × 2xH100 at 8 USD/h each you would have paid 16.00 USD" in told


def test_requests_without_a_price_are_counted_and_never_free() -> None:
    found = virtual_answer(TERMS, [hour(0, served(1), served(2, card="unknown"))], cards)
    assert found is not None
    assert (found.whole.unpriced_count, found.whole.avoided_usd) == (10, Decimal("2.5"))


def test_no_hours_are_no_answer() -> None:
    assert virtual_answer(TERMS, [], cards) is None


def test_times_are_in_the_buckets_of_the_simulator() -> None:
    assert (report._SHORTEST_S, report._BUCKET_RATIO) == (SHORTEST_S, BUCKET_RATIO)
    assert quantile_s({}, 0.5) is None
    counts = {100: 98, 900: 1, 1000: 1}
    assert quantile_s(counts, 0.5) == pytest.approx(SHORTEST_S * BUCKET_RATIO**100.5)
    assert quantile_s(counts, 0.99) == pytest.approx(SHORTEST_S * BUCKET_RATIO**900.5)
    assert quantile_s(counts, 1.0) == pytest.approx(SHORTEST_S * BUCKET_RATIO**1000.5)


def test_nodes_come_and_go_within_the_hour() -> None:
    begins_us = FIRST * HOUR_US
    nodes = (
        PaidNode(name="a", since_us=begins_us - HOUR_US // 2, until_us=begins_us + HOUR_US // 4),
        PaidNode(name="b", since_us=begins_us + HOUR_US // 4),
        PaidNode(name="c", since_us=begins_us + HOUR_US // 2),
        PaidNode(name="d", since_us=begins_us + 2 * HOUR_US),
    )
    terms = PoolTerms(name="p", nodes=nodes)
    found = changes_around(terms, FIRST)
    assert found.by_time == ((0.0, 0), (1800.0, 1), (5400.0, 2))
    assert found.paid_us == HOUR_US // 4 + HOUR_US * 3 // 4 + HOUR_US // 2
    assert paid_hours(terms, (FIRST - 5, FIRST + 2)) == [FIRST - 1, FIRST, FIRST + 1]


def test_as_if_it_had_been_there_takes_the_first_price_of_each_node() -> None:
    later = (FIRST + 50) * HOUR_US
    terms = PoolTerms(
        name="p",
        nodes=(PaidNode(name="a", since_us=later, until_us=later + 1),),
        prices=(NodePrice(node="a", since_us=later, usd_per_hour=Decimal(5)),),
    )
    there = as_if_there(VirtualPool(terms=terms, deployment="1xL4:llama-3.1-8b", engine="vllm"), (FIRST, FIRST + 2))
    assert there.terms.nodes == (PaidNode(name="a", since_us=FIRST * HOUR_US),)
    assert there.terms.prices[0].since_us == FIRST * HOUR_US


def test_as_if_it_had_been_there_leaves_a_later_price_of_the_pool_where_it_is() -> None:
    """A node's own price was known first: what the pool's nodes cost since then holds since then, for each of them."""

    def price(node: str, number: int, usd: str) -> NodePrice:
        return NodePrice(node=node, since_us=(FIRST + number) * HOUR_US, usd_per_hour=Decimal(usd))

    later = price("", 100, "4.2")
    nodes = tuple(PaidNode(name=name, since_us=(FIRST + 90) * HOUR_US) for name in ("a", "b", "c"))
    terms = PoolTerms(name="p", nodes=nodes, prices=(price("a", 0, "5"), price("b", 60, "6"), later))
    pool = VirtualPool(terms=terms, deployment="1xL4:llama-3.1-8b", engine="vllm")
    there = as_if_there(pool, (FIRST + 50, FIRST + 120)).terms
    found = virtual_answer(there, [hour(at, paid_us=3 * HOUR_US) for at in (50, 99, 100, 119)], cards, "hour")
    assert found is not None
    assert [group.bill_usd for group in found.groups] == [Decimal(usd) for usd in ("15.2", "15.2", "12.6", "12.6")]


def test_hours_that_were_worked_out_for_other_nodes_are_in_no_figure_and_counted() -> None:
    """Their rows were pruned before a second node was declared: its bill says nothing of what one would have done."""
    one = [hour(number, served(1), paid_us=HOUR_US, used_us=HOUR_US) for number in (0, 1)]
    found = virtual_answer(TERMS, [*one, hour(2, served(1), used_us=HOUR_US)], cards)
    assert found is not None
    assert (found.unbilled_hours, found.whole.hours) == (2, 1)
    assert (found.whole.bill_usd, found.whole.paid_s, found.whole.requests) == (Decimal(16), Decimal(7200), 10)
    assert found.begins == datetime.fromtimestamp((FIRST + 2) * 3600, UTC)
    assert virtual_answer(TERMS, one, cards) is None
