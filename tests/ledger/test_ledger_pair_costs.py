"""What both answers of a pair cost: as their own attempts say, and with a pool's idle hours and people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pooled import CLOSED, FIRST, cards, fill, terms

from breakeven.economics.pool_hours import HOUR_US
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.costs import Known
from breakeven.ledger.export import attempts
from breakeven.ledger.ids import request_id
from breakeven.ledger.pairs import Pair, Side
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.query import Question
from breakeven.usage import TokenUsage
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import LedgerPlace
from breakeven.wiring.shadow_prices import TargetPrices, costs_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> LedgerPlace:
    folder = tmp_path_factory.mktemp("pairs")
    store = fill(folder)
    keep_pools(store, [terms(nodes=(terms().nodes[1],))], CLOSED)  # one whose time is over: its bill grows no more
    return LedgerPlace(store=store, spool=folder / "spool")


def pair(incumbent: Side, candidate: Side) -> Pair:
    at_us = FIRST * HOUR_US + 5
    return Pair(1 << 16, "llama", "api", "chat", "", "sum", "", at_us, incumbent, candidate, "shadow")


def side(number: int | None, tokens: tuple[int, int] = (100, 10)) -> Side:
    return Side(number, *tokens, 20_000, 900_000, 40, "")


def test_a_pool_bears_its_idle_hours_and_an_api_its_price(place: LedgerPlace) -> None:
    rows = [row for row in attempts(place.store) if row.outcome in ("ok", "cut") and row.attempt == 0]
    bought = next(row for row in rows if row.target == "api" and row.cached_input_tokens)
    served = next(row for row in rows if row.target == "llama/b")
    told = pair(side(request_id(bought.request_id)), side(request_id(served.request_id)))
    found, notes = costs_of([told], place, None, TargetPrices(place, None))
    api, pool = found[told.request_id, "llama"]

    usage = TokenUsage(
        input_tokens=bought.input_tokens,
        output_tokens=bought.output_tokens,
        cached_input_tokens=bought.cached_input_tokens,
    )
    card = cards().window("p:m", 0, told.at_us).known
    assert card is not None
    by_hand = cost_usd(card.card, usage, attempts=1, failed=False, over_tokens=0)
    assert by_hand is not None
    assert api.price_usd == pytest.approx(float(by_hand))
    assert api.loaded_usd == api.price_usd

    costs = ask_costs(place.store, Question(by=("target",)), Known(closed_hours=int(current_s() // 3600)))
    (whole,) = (item for item in costs.pools if item.pool == "llama")
    provisional = sum(
        (group.total.cost_usd or Decimal(0) for group in costs.groups if (group.labels[0] or "").startswith("llama/")),
        Decimal(0),
    )
    assert pool.price_usd is not None
    ratio = float((whole.bill_usd + whole.fixed_usd) / provisional)
    assert pool.loaded_usd == pytest.approx(pool.price_usd * ratio)
    assert any("bears its idle hours" in note for note in notes)


def test_without_its_attempts_a_pair_is_priced_by_its_tokens(place: LedgerPlace) -> None:
    told = pair(side(None, (1_000_000, 1_000_000)), side(999 << 40, (1_000_000, 0)))
    found, _ = costs_of([told], place, None, TargetPrices(place, None))
    api, pool = found[told.request_id, "llama"]
    assert api.price_usd == pytest.approx(0.75)
    assert pool.price_usd == pytest.approx(1.0)


def test_what_has_no_price_has_no_cost(place: LedgerPlace) -> None:
    told = pair(side(None), side(None))._replace(candidate="nobody-knows-this")
    found, notes = costs_of([told], place, None, TargetPrices(place, None))
    assert found[told.request_id, "nobody-knows-this"][1].price_usd is None
    assert any("No price is known for nobody-knows-this" in note for note in notes)


def test_a_target_whose_rows_are_still_on_their_way_is_priced_as_the_settings_say(tmp_path: Path) -> None:
    config = tmp_path / "breakeven.yaml"
    config.write_text(
        "targets:\n"
        "  today: {url: 'http://127.0.0.1:9/v1', prices: 'openai:gpt-4o'}\n"
        "  any: {url: 'http://127.0.0.1:9/v1', prices: 'openai:*'}\n"
    )
    prices = TargetPrices(LedgerPlace(store=tmp_path / "none.db", spool=tmp_path / "spool"), config)
    cost_usd = prices.usd("today", TokenUsage(input_tokens=1_000_000, output_tokens=0), 1_767_225_600_000_000)
    assert cost_usd == Decimal("2.5")
    assert prices.notes == []
    assert prices.name_of("any") == ""  # whatever model is asked for there: no one price


def test_what_the_ledger_was_paid_at_goes_before_the_settings(place: LedgerPlace, tmp_path: Path) -> None:
    config = tmp_path / "breakeven.yaml"
    config.write_text("targets:\n  api: {url: 'http://127.0.0.1:9/v1', prices: 'openai:gpt-4o'}\n")
    assert TargetPrices(place, config).name_of("api") == TargetPrices(place, None).name_of("api") == "p:m"
