"""Which prices hold for rows that no running gateway priced: named, of the settings, the gateway's, or public."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from closed import FIRST_DAY, fill, price_list
from spooled import move, write

from breakeven.catalog.rate_card import PriceList
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.rollups import DAY_US
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.ledger_prices import price_schedule, settings_path

if TYPE_CHECKING:
    from pathlib import Path

CARD = """
rate_cards:
  - provider: {}
    model: {}
    source: a letter
    checked_on: 2026-11-20
    prices:
      - input_usd_per_mtok: {}
        output_usd_per_mtok: 2
"""


def price(schedule: CardSchedule, name: str) -> str | None:
    known = schedule.window(name, 0, FIRST_DAY * DAY_US).known
    return str(known.card.prices.input.usd_per_mtok) if known and known.card.prices.input else None


def card(path: Path, provider: str, model: str, usd: str) -> Path:
    path.write_text(CARD.format(provider, model, usd))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a ledger whose gateway knew a price of its own for p:m, and one for gpt-4o that is not the public one."""
    fill(tmp_path)
    write(tmp_path, [{"number": 9_000}])
    own = price_list("7")
    move(tmp_path, CardSchedule([price_list("0.15"), price_list("7", name="n"), own]))
    return tmp_path


def test_a_card_that_is_named_goes_before_what_the_gateway_knew_and_that_before_the_catalogue(folder: Path) -> None:
    place = find_ledger(folder)
    plain = price_schedule(place, None, ())
    assert (price(plain, "p:m"), price(plain, "p:n"), price(plain, "p:none")) == ("7", "7", None)
    assert price(plain, "openai:gpt-4o") is not None
    named = price_schedule(place, None, [card(folder / "a.yaml", "p", "m", "3")])
    assert (price(named, "p:m"), price(named, "p:n")) == ("3", "7")


def test_cards_of_the_settings_go_before_the_catalogue_and_what_the_gateway_knew_comes_last(folder: Path) -> None:
    place = find_ledger(folder)
    card(folder / "own.yaml", "openai", "gpt-4o", "0.5")
    config = folder / "breakeven.yaml"
    config.write_text("rate_cards: [own.yaml]\ntargets: {t: {url: 'https://x.invalid', key: '${NOT_SET}'}}\n")
    found = price_schedule(place, config, ())
    assert (price(found, "openai:gpt-4o"), price(found, "p:m")) == ("0.5", "7")
    config.write_text("targets: {}\n")
    assert price(price_schedule(place, config, ()), "openai:gpt-4o") not in (None, "0.5")


def test_a_pools_own_prices_are_those_that_the_gateway_charged_whatever_the_settings_name(tmp_path: Path) -> None:
    fill(tmp_path)
    write(tmp_path, [{"number": 9_000}])
    pool = PriceList(provider="pool", model="llama", source="made up", entries=price_list("1").entries)
    move(tmp_path, CardSchedule([price_list("7"), pool]))
    config = tmp_path / "breakeven.yaml"
    config.write_text("targets: {}\n")
    found = price_schedule(find_ledger(tmp_path), config, ())
    assert price(found, "pool:llama") == "1"
    named = price_schedule(find_ledger(tmp_path), config, [card(tmp_path / "a.yaml", "pool", "llama", "3")])
    assert price(named, "pool:llama") == "3"


def test_settings_go_with_a_ledger_unless_its_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_path(None, None) is None
    (tmp_path / "breakeven.yaml").write_text("targets: {}\n")
    assert str(settings_path(None, None)) == "breakeven.yaml"
    assert settings_path(tmp_path, None) is None
    assert settings_path(None, tmp_path / "other.yaml") == tmp_path / "other.yaml"
