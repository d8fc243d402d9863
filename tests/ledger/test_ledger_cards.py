"""Rate cards of rows, and cost: by row and by roll-up it is the same, to the last digit."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from spooled import START_US, ask, move, write

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.errors import NoPriceError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule, holds_between, known_card, read_card, read_list
from breakeven.ledger.export import attempts
from breakeven.ledger.query import Question
from breakeven.ledger.query import ask as ask_question
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY_US = 86_400_000_000
NAME = "acme:large"

prices = st.one_of(
    st.none(),
    st.builds(
        lambda base, tiers: TokenPrice(
            usd_per_mtok=base,
            tiers=tuple(Tier(over_tokens=over, usd_per_mtok=price) for over, price in sorted(tiers.items())),
        ),
        st.decimals(0, 100, places=6),
        st.dictionaries(st.sampled_from([1, 1_000, 128_000, 200_000]), st.decimals(0, 100, places=6), max_size=3),
    ),
)
entries = st.builds(
    PriceEntry,
    prices=st.builds(
        TokenPrices, input=prices, output=prices, cached_input=prices, cache_write=prices,
        request_usd=st.sampled_from([Decimal(0), Decimal("0.0125")]),
    ),
    processing=st.sampled_from(["standard", "standard", "batch", "flex"]),
    starts_on=st.sampled_from([None, date(2026, 11, 2), date(2026, 11, 3)]),
    ends_on=st.sampled_from([None, date(2026, 11, 3), date(2026, 11, 5)]),
    daily_from=st.just(None),
)  # fmt: skip
daily = st.builds(
    PriceEntry,
    prices=st.builds(TokenPrices, input=prices, output=prices),
    daily_from=st.sampled_from([time(22, 30), time(0), time(8, 0, 1)]),
    daily_until=st.sampled_from([time(6), time(0), time(16, 30, 0, 5)]),
)
lists = st.builds(
    lambda some: PriceList(provider="acme", model="large", entries=tuple(some), source="made up"),
    st.lists(st.one_of(entries, entries, daily), min_size=1, max_size=5),
)
usages = st.tuples(
    st.sampled_from([0, 1, 2, 1_000, 1_001, 128_001, 250_000]), st.integers(0, 3), st.integers(0, 500)
).map(
    lambda drawn: {
        "input_tokens": drawn[0],
        "cached_input_tokens": drawn[0] * drawn[1] // 4,
        "cache_write_tokens": drawn[0] // 4 if drawn[1] < 3 else 0,
        "output_tokens": drawn[2],
    }
)


@st.composite
def said_rows(draw: st.DrawFn) -> list[dict[str, object]]:
    found = []
    for number in range(draw(st.integers(1, 40))):
        at_us = START_US + draw(st.integers(0, 4 * 24 * 12)) * 300_000_000 + draw(st.sampled_from([0, 1, -1]))
        outcome = draw(st.sampled_from([rows.OK, rows.OK, rows.FAILED, rows.CUT]))
        processing = draw(st.integers(0, 3))
        name = draw(st.sampled_from([NAME, NAME, NAME, "acme:unheard", ""]))
        found.append({"number": number, "received_us": at_us, "outcome": outcome, "processing": processing,
                      "priced_as": name, **draw(usages)})  # fmt: skip
    return found


def price_of(prices: PriceList, row: dict[str, object]) -> Decimal | None:
    """Price one row as it would be by hand."""
    if row["priced_as"] != NAME:
        return None
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(str(row["received_us"])))
    try:
        card = prices.card_at(at, rows.PROCESSINGS[int(str(row["processing"]))])
    except NoPriceError:
        return None
    usage = TokenUsage(**{name: int(str(row[name])) for name in (
        "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")})  # fmt: skip
    if (usage.input_tokens and not card.prices.input) or (usage.output_tokens and not card.prices.output):
        return None
    return card.price_usd(usage, requests=0 if row["outcome"] == rows.FAILED else 1)


@settings(max_examples=60, deadline=None)
@given(lists, said_rows())
def test_cost_by_row_and_cost_by_roll_up_are_the_price_by_hand(
    tmp_path_factory: pytest.TempPathFactory, prices: PriceList, given_rows: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    by_hand = [price_of(prices, row) for row in given_rows]
    write(folder, [dict(row) for row in given_rows])
    move(folder, CardSchedule([prices], lambda _: None))
    store = folder / "ledger.sqlite"
    assert [row.cost_usd for row in attempts(store)] == by_hand
    known = [cost for cost in by_hand if cost is not None]
    for by in ((), ("hour",), ("model", "outcome"), ("day", "processing", "priced_as")):
        totals = ask_question(store, Question(by=by))
        assert sum((total.cost_usd or Decimal(0) for total in totals), Decimal(0)) == sum(known, Decimal(0))
        assert sum(total.unpriced_count for total in totals) == by_hand.count(None)
        assert sum(total.attempt_count for total in totals) == len(by_hand)


@settings(max_examples=200, deadline=None)
@given(lists, st.integers(0, 5 * 24 * 60), st.integers(-1, 1))
def test_a_card_holds_until_the_moment_that_is_told(prices: PriceList, minutes: int, off_us: int) -> None:
    at_us = START_US // DAY_US * DAY_US + minutes * 60_000_000 + off_us
    begins_us, ends_us = holds_between(prices, at_us)
    assert begins_us <= at_us < ends_us

    def held(moment_us: int) -> list[bool]:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)
        return [entry.holds(at) for entry in prices.entries]

    last_us = min(ends_us - 1, at_us + 9 * DAY_US)
    between = range(max(begins_us, at_us - 9 * DAY_US), last_us, DAY_US // 40 + 1)
    assert all(held(moment_us) == held(at_us) for moment_us in (*between, last_us, max(begins_us, 0)))


def one_price(**said: object) -> PriceList:
    token = TokenPrice(usd_per_mtok=Decimal("2.50"))
    entry = PriceEntry(prices=TokenPrices(**({"input": token, "output": token} | said)))  # type: ignore[arg-type]  # as each test says
    return PriceList(provider="acme", model="large", entries=(entry,), source="made up")


def test_equal_prices_are_one_card_and_different_ones_are_not() -> None:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    first, again = known_card(one_price().card_at(at)), known_card(one_price().card_at(at + timedelta(days=400)))
    other = known_card(one_price(request_usd=Decimal("0.01")).card_at(at))
    assert first == again
    assert first.id != other.id
    assert read_card(first.content) == first.card
    assert '"2.50"' in first.content


@given(lists)
def test_what_is_written_down_of_a_price_list_reads_back(prices: PriceList) -> None:
    ((target, content),) = CardSchedule([prices]).written_lists()
    assert (target, read_list(content)) == (NAME, prices)


def test_a_name_is_asked_for_once_and_its_absence_told_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def resolve(name: str) -> PriceList | None:
        asked.append(name)
        return one_price() if name == NAME else None

    cards = CardSchedule(resolve=resolve)
    write(tmp_path, [{"priced_as": name} for name in (NAME, "x:y", NAME, "x:y", "", "x:y")])
    move(tmp_path, cards)
    assert asked == [NAME, "x:y"]
    assert cards.take_warnings() == ["No price is known for x:y: its attempts are kept without one."]
    assert cards.take_warnings() == []
    assert ask(tmp_path, "SELECT priced_as, count(*), count(rate_card) FROM attempt_said GROUP BY 1 ORDER BY 1") == [
        (None, 1, 0), (NAME, 2, 2), ("x:y", 3, 0),
    ]  # fmt: skip


def test_a_pools_own_price_is_neither_looked_up_nor_missed() -> None:
    """Its hours say what it cost; a catalogue cannot know it, and asking takes a process."""
    asked: list[str] = []

    def resolve(name: str) -> PriceList | None:
        asked.append(name)
        return None

    cards = CardSchedule(resolve=resolve)
    assert cards.window("pool:llama", 0, 5).known is None
    assert asked == []
    assert cards.take_warnings() == []


def test_a_failed_attempt_without_tokens_costs_nothing_where_the_price_is_known(tmp_path: Path) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "outcome": rows.FAILED}
    write(tmp_path, [{**nothing, "priced_as": NAME}, {**nothing, "priced_as": "x:y"}])
    move(tmp_path, CardSchedule([one_price(request_usd=Decimal("0.01"))]))
    assert [row.cost_usd for row in attempts(tmp_path / "ledger.sqlite")] == [Decimal(0), None]


def test_the_lists_of_a_gateway_are_kept_in_its_store(tmp_path: Path) -> None:
    write(tmp_path, [{"priced_as": NAME}])
    move(tmp_path, CardSchedule([one_price()]))
    ((target, content),) = ask(tmp_path, "SELECT target, content FROM price_list")
    assert (target, read_list(content)) == (NAME, one_price())
