"""A virtual pool ahead: break-even by hand, the advice to rent it, and both only while settings declare it."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner
from virtually import prices, put

from breakeven.cli import app
from breakeven.economics.pool_hours import HOUR_US
from breakeven.quantities import DAYS_PER_MONTH
from breakeven.wiring.advise import advise
from breakeven.wiring.ledger import LedgerPlace
from breakeven.wiring.proof_outlook import OutlookQuestion, outlook
from breakeven.wiring.virtual_hours import declared_virtual_pools

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.proof.outlook import Outlook, PoolOutlook

FIRST = 494_016
"""An hour since 1970, the beginning of a day: 2026-05-11."""

DAYS = 3
EARLIER_HOURS = 6
"""Of the day before: no whole day, so it says nothing of volumes."""

NOW_S = (FIRST + DAYS * 24) * 3600 + 600.0
HOURLY = 10
INPUT_TOKENS, OUTPUT_TOKENS = 4000, 500
NODE_USD_PER_HOUR = 0.8
MTOK_PER_DAY = 24 * HOURLY * (INPUT_TOKENS + OUTPUT_TOKENS) / 1e6
GATEWAY = """
ledger: {folder: ledger}
targets: {api: {url: "http://127.0.0.1:9/v1", prices: none}}
models: {fast: {targets: [api]}}
"""
VIRTUAL = """
pools:
  llama:
    {virtual: true, runs: llama-3.1-8b, hardware: 1xL4, quantisation: fp8, watches: [fast],
     nodes: [{usd_per_hour: "0.8"}]}
"""


def traffic(days: int = DAYS, **said: Any) -> list[dict[str, Any]]:
    """Ten requests an hour, six minutes apart: one small node serves each of them at once."""
    return [
        {
            "at_us": (FIRST + hour) * HOUR_US + number * HOUR_US // HOURLY,
            "input_tokens": INPUT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            **said,
        }
        for hour in range(-EARLIER_HOURS, days * 24)
        for number in range(HOURLY)
    ]


def place_of(folder: Path, **said: Any) -> LedgerPlace:
    (folder / "breakeven.yaml").write_text(GATEWAY + VIRTUAL, encoding="utf-8")
    return LedgerPlace(store=put(folder / "ledger", traffic(), **said), spool=folder / "ledger" / "spool")


def ask(place: LedgerPlace, **said: Any) -> Outlook:
    config = place.store.parents[1] / "breakeven.yaml"
    return outlook(place, said.get("config", config), OutlookQuestion(), NOW_S)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> LedgerPlace:
    """Traffic that costs 2.50 and 10 dollars the million tokens, and settings with a virtual pool."""
    return place_of(tmp_path_factory.mktemp("outlook"))


@pytest.fixture(scope="module")
def pool(place: LedgerPlace) -> PoolOutlook:
    """The virtual pool as its outlook is while the settings declare it."""
    (found,) = ask(place).pools
    return found


def pool_usd_per_month(place: LedgerPlace) -> float:
    (declared,) = declared_virtual_pools(place.store.parents[1] / "breakeven.yaml")
    return 730 * (NODE_USD_PER_HOUR + float(declared.terms.fixed_usd_per_hour))


def test_break_even_of_a_virtual_pool_is_its_bill_over_the_price_of_a_token(
    place: LedgerPlace, pool: PoolOutlook
) -> None:
    assert (pool.name, pool.is_virtual, pool.nodes_count, pool.days_count) == ("llama", True, 1, DAYS)
    # Each request: 4,000 tokens at 2.50 dollars the million and 500 at 10 are 0.015 dollars for 4,500 tokens.
    usd_per_mtok = 0.015 / 0.0045
    assert pool.api_usd_per_mtok == pytest.approx(usd_per_mtok)
    assert pool.pool_usd_per_month == pytest.approx(pool_usd_per_month(place))
    assert pool.needed_mtok_per_month is not None
    assert pool.capacity_mtok_per_month is not None
    needed = pool_usd_per_month(place) / usd_per_mtok
    assert needed < pool.capacity_mtok_per_month, "one node is enough for it, so no further one is in the figure"
    assert pool.needed_mtok_per_month.likely == pytest.approx(needed)
    assert pool.seen_mtok_per_month == pytest.approx(MTOK_PER_DAY * DAYS_PER_MONTH)
    assert pool.watched_mtok_per_month == pytest.approx(MTOK_PER_DAY * DAYS_PER_MONTH)
    assert pool.saved_usd_per_month == pytest.approx(
        MTOK_PER_DAY * DAYS_PER_MONTH * usd_per_mtok - pool_usd_per_month(place)
    )
    assert (pool.reached_fraction, pool.is_reached) == (0.0, False)


def test_dearer_tokens_bring_the_same_pool_past_break_even(place: LedgerPlace, tmp_path: Path) -> None:
    (found,) = ask(place_of(tmp_path, schedule=prices("500", "2000"))).pools
    assert found.needed_mtok_per_month is not None
    assert found.needed_mtok_per_month.likely == pytest.approx(pool_usd_per_month(place) / (3 / 0.0045))
    assert found.needed_mtok_per_month.likely < MTOK_PER_DAY * DAYS_PER_MONTH
    assert found.seen_mtok_per_month == pytest.approx(MTOK_PER_DAY * DAYS_PER_MONTH)
    assert (found.reached_fraction, found.is_reached) == (1.0, True)
    assert found.crossing is not None
    assert found.crossing.likely == date(2026, 5, 13), "the last day that is over"


def test_a_virtual_pool_is_no_part_of_what_is_paid(place: LedgerPlace) -> None:
    (as_is,) = ask(place).bills
    assert as_is.scheduled_usd == 0
    assert as_is.so_far_usd == pytest.approx((DAYS * 24 + EARLIER_HOURS) * HOURLY * 0.015)


def test_settings_that_have_it_no_longer_end_its_outlook(place: LedgerPlace, tmp_path: Path) -> None:
    ask(place)
    other = tmp_path / "breakeven.yaml"
    other.write_text(GATEWAY, encoding="utf-8")
    assert ask(place, config=other).pools == (), "its hours are in the ledger, and it is declared no more"
    renamed = VIRTUAL.replace("llama:", "mistral:", 1)
    other.write_text(GATEWAY + renamed, encoding="utf-8")
    assert [item.name for item in ask(place, config=other).pools] == ["mistral"]


def test_without_settings_the_ledger_tells_of_it_as_it_was(place: LedgerPlace) -> None:
    (known,) = (item for item in ask(place).pools if item.name == "llama")
    (told,) = (item for item in ask(place, config=None).pools if item.name == "llama")
    assert told == known


def test_a_virtual_pool_that_is_rented_now_is_told_once_and_as_rented(place: LedgerPlace, tmp_path: Path) -> None:
    ask(place)
    rented = VIRTUAL.replace("virtual: true, ", "").replace(", watches: [fast]", "")
    rented = rented.replace('{usd_per_hour: "0.8"}', '{url: "http://a/v1", usd_per_hour: "0.8", since: 2026-05-10}')
    config = tmp_path / "breakeven.yaml"
    config.write_text(GATEWAY.replace("[api]", "[llama, api]") + rented, encoding="utf-8")
    assert [(item.name, item.is_virtual) for item in ask(place, config=config).pools] == [("llama", False)]


def test_the_command_tells_of_it_by_its_name_and_no_more_without_it(place: LedgerPlace, tmp_path: Path) -> None:
    config = place.store.parents[1] / "breakeven.yaml"
    run = CliRunner()
    said = run.invoke(app, ["outlook", "--config", str(config), "--json"])
    assert said.exit_code == 0, said.output
    (told,) = (item for item in json.loads(said.stdout)["pools"] if item["pool"] == "llama")
    assert told["virtual"] is True
    bare = tmp_path / "breakeven.yaml"
    bare.write_text(GATEWAY.replace("folder: ledger", f"folder: {place.store.parent}"), encoding="utf-8")
    said = run.invoke(app, ["outlook", "--config", str(bare), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["pools"] == []


def rent_advice(place: LedgerPlace, config: Path, now_s: float = NOW_S) -> list[tuple[str, str, float]]:
    given = advise(place, config, now_s=now_s).given
    return [(i.advice.subject, i.state, i.since_s) for i in given if i.advice.kind == "rent_pool"]


def test_a_virtual_pool_that_pays_is_advised_until_settings_declare_it_no_longer(tmp_path: Path) -> None:
    place, config = place_of(tmp_path, schedule=prices("500", "2000")), tmp_path / "breakeven.yaml"
    assert rent_advice(place, config) == [("llama", "given", NOW_S)]
    assert rent_advice(place, config, NOW_S + 600) == [("llama", "given", NOW_S)]
    config.write_text(GATEWAY, encoding="utf-8")
    assert rent_advice(place, config, NOW_S + 1200) == [("llama", "withdrawn", NOW_S + 1200)]


def test_a_virtual_pool_that_does_not_pay_is_not_advised(place: LedgerPlace) -> None:
    assert rent_advice(place, place.store.parents[1] / "breakeven.yaml") == []
