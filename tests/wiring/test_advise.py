"""Advice from a ledger of four weeks: what it says, that it is kept, and that it does not come and go."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.cli import app
from breakeven.economics.pool_hours import HOUR_US
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.outcomes import Outcome, keep_outcomes
from breakeven.sources.genai import price_list
from breakeven.wiring.advise import advise
from breakeven.wiring.advise_hardware import hardware_offers
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.pools import declared_entries, declared_pools

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from spooled import attempt, move, spool_of

if TYPE_CHECKING:
    from breakeven.studies.advice import Given
    from breakeven.wiring.advise import Advised

FIRST = 494_016
"""An hour since 1970, the beginning of a day: 2026-05-11."""

DAYS = 14
NOW_S = (FIRST + DAYS * 24) * 3600 + 600.0
TODAY = (("m", "openai:gpt-4o"),)
CONFIG = """
pools:
  llama:
    nodes:
      - {{name: a, url: "http://a/v1", usd_per_hour: "{price}", since: 2026-05-10}}
      - {{name: b, url: "http://b/v1", usd_per_hour: "{price}", since: 2026-05-10}}
    gpu_time: {{prefill_s_per_mtok: 0, decode_s_per_mtok: 1000}}
    {more}
targets: {{openai: {{provider: openai, key: "env:NONE"}}}}
models: {{m: {{targets: [llama, openai]}}}}
ledger: {{folder: data}}
"""


def ledger_of(folder: Path, pool_seconds: Any, api_seconds: Any, *, price: str, more: str = "") -> Path:
    """Write a request an hour to a pool's nodes and to an API; node seconds by hour of the day; 1,000 tokens each."""
    spool = spool_of(folder / "data")
    number = 0
    for hour in range(DAYS * 24):
        for target, seconds in (("llama/a", pool_seconds(hour % 24)), ("openai", api_seconds(hour % 24))):
            number += 1
            row = attempt(
                spool, number, model="m", target=target, priced_as="openai:gpt-4o",
                input_tokens=0, output_tokens=int(seconds * 1000),
            )  # fmt: skip
            if seconds:
                spool.add(row._replace(received_us=(FIRST + hour) * HOUR_US + 5))
    spool.close()
    move(folder / "data", CardSchedule([price_list("openai:gpt-4o")]))
    path = folder / "breakeven.yaml"
    path.write_text(CONFIG.format(price=price, more=more), encoding="utf-8")
    return path


def ask(config: Path, now_s: float = NOW_S, **said: Any) -> Advised:
    return advise(find_ledger(None, config), config, now_s=now_s, today=TODAY, **said)


def told(found: Advised) -> dict[str, Given]:
    return {item.advice.kind: item for item in found.given if item.state == "given"}


def test_a_pool_that_idles_is_advised_to_have_fewer_nodes(tmp_path: Path) -> None:
    # A node second is worth 0.01 USD at gpt-4o's 10 USD a million: an hour at 60 % is 21.60, and a node costs 5.
    found = told(ask(ledger_of(tmp_path, lambda _: 2400, lambda _: 0, price="5")))
    assert set(found) == {"drop_node"}
    advice = found["drop_node"].advice
    assert advice.figures["advised_nodes"] == 1
    further_usd = advice.gain.likely_usd / (365 / 12 * 24) - (5 - 0.01 * (2400 - 2160))
    assert 0.1 < further_usd < 0.5, "what the second node adds to people"
    assert advice.gain.sure_fraction == 1.0
    assert found["drop_node"].since_s == NOW_S


def test_a_pool_that_overflows_is_advised_to_have_another_node(tmp_path: Path) -> None:
    found = told(ask(ledger_of(tmp_path, lambda _: 4320, lambda _: 3000, price="10")))
    assert "add_node" in found
    gain = found["add_node"].advice.gain
    assert gain.likely_usd == pytest.approx((2160 * 0.01 - 10) * 24 * 365 / 12, rel=0.05)


def test_a_pool_that_never_pays_is_advised_to_be_given_up(tmp_path: Path) -> None:
    found = told(ask(ledger_of(tmp_path, lambda _: 100, lambda _: 0, price="10")))
    assert set(found) == {"back_to_api"}
    assert "go back to the API" in found["back_to_api"].advice.said
    assert "saved only if they are" in found["back_to_api"].advice.evidence[-1]


def test_nights_without_requests_are_advised_to_be_off_or_filled(tmp_path: Path) -> None:
    def by_day(hour: int) -> int:
        return 4320 if 6 <= hour < 22 else 0

    config = ledger_of(tmp_path, by_day, lambda _: 0, price="5")
    found = told(ask(config))
    assert "nights_off" in found
    assert found["nights_off"].advice.gain.likely_usd == pytest.approx(2 * 5 * 8 * 365 / 12, rel=0.01)
    assert found["nights_off"].advice.figures["night_begins_hour"] == 22


def test_what_the_api_answers_by_day_could_wait_for_the_night(tmp_path: Path) -> None:
    config = ledger_of(
        tmp_path, lambda h: 4320 if 6 <= h < 22 else 3000, lambda h: 9000 if 6 <= h < 22 else 0, price="10"
    )
    weighed = {item.kind: item for item in ask(config).weighed}
    # A tenth of 16 hours' overflow is less than the room at night, (4320 - 3000) x 8.
    assert weighed["night_batches"].gain.likely_usd == pytest.approx(
        min(0.1 * 16 * 9000, 8 * 1320) * 0.01 * 365 / 12, rel=0.01
    )


def test_nodes_that_are_dearer_than_elsewhere_are_renegotiated(tmp_path: Path) -> None:
    more = "runs: llama-3.3-70b\n    hardware: 2xH100\n    quantisation: fp8"
    found = told(ask(ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="19", more=more)))
    advice = found["renegotiate"].advice
    assert "19.00 USD an hour are paid for 2xH100" in advice.said
    assert "on demand in the catalogue" in advice.evidence[0]


def test_advice_is_kept_with_its_date_and_withdrawn_when_it_does_not_hold(tmp_path: Path) -> None:
    config = ledger_of(tmp_path, lambda _: 2400, lambda _: 0, price="5")
    assert told(ask(config, keeps=False))["drop_node"].since_s == NOW_S
    first = told(ask(config, NOW_S))["drop_node"]
    later = ask(config, NOW_S + 1800)
    assert told(later)["drop_node"].since_s == first.since_s
    (tmp_path / "breakeven.yaml").write_text(CONFIG.format(price="0.01", more=""), encoding="utf-8")
    last = ask(config, NOW_S + 3000)
    assert [(item.advice.kind, item.state, item.since_s) for item in last.given] == [
        ("drop_node", "withdrawn", NOW_S + 3000)
    ]


def test_the_command_says_what_to_do_and_on_what_it_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger_of(tmp_path, lambda _: 2400, lambda _: 0, price="5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("breakeven.wiring.advise.current_s", lambda: NOW_S)
    said = CliRunner().invoke(app, ["advise", "--today", "m=openai:gpt-4o"])
    assert said.exit_code == 0, said.output
    assert "1. Drop nodes of the pool llama (2 to 1)" in said.output
    assert "a node hour replaces 21.60 USD" in said.output
    assert "advised since 2026-05-25" in said.output
    record = json.loads(CliRunner().invoke(app, ["advise", "--json", "--dry-run", "--today", "m=openai:gpt-4o"]).stdout)
    assert [item["kind"] for item in record["advice"]] == ["drop_node"]
    assert datetime.fromisoformat(record["to"]).replace(tzinfo=UTC).timestamp() == (FIRST + DAYS * 24) * 3600


def test_a_ledger_without_a_whole_day_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger_of(tmp_path, lambda _: 2400, lambda _: 0, price="5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("breakeven.wiring.advise.current_s", lambda: FIRST * 3600.0 + 7200)
    found = CliRunner().invoke(app, ["advise"])
    assert "no whole day" in str(found.exception)


def retold(config: Path, price: str, more: str = "") -> None:
    config.write_text(CONFIG.format(price=price, more=more), encoding="utf-8")


RUNS = "runs: llama-3.3-70b\n    hardware: 2xH100\n    quantisation: fp8"


def hardware(found: Advised) -> dict[str, Any]:
    """What is advised, or was weighed, of hardware and its price."""
    return {item.kind: item for item in found.weighed if item.kind in ("change_gpu", "renegotiate")}


def test_nodes_at_a_usual_price_are_not_renegotiated_and_then_they_are_and_then_not_at_once(tmp_path: Path) -> None:
    """Two nodes; what others ask is the median of the catalogue, from 1.1 times which on it is worth a word."""
    config = ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="19", more="hardware: 2xH100")
    asked = float(hardware(ask(config, keeps=False))["renegotiate"].figures["offered_usd_per_hour"])
    cases: tuple[tuple[float, set[str]], ...] = ((1.05, set()), (1.2, {"given"}), (1.05, {"withdrawn"}))
    for ratio, state in cases:
        retold(config, f"{asked * ratio:.4f}", "hardware: 2xH100")
        found = ask(config, NOW_S + ratio)
        assert {item.state for item in found.given if item.advice.kind == "renegotiate"} == state
        weighed = hardware(found).get("renegotiate")
        saved = None if weighed is None else weighed.gain.likely_usd
        assert saved == (pytest.approx(2 * 730 * 0.2 * asked, rel=1e-3) if ratio > 1.1 else None)


def test_other_gpus_are_compared_at_their_price_and_their_speed(tmp_path: Path) -> None:
    """Nodes are busy all the time; at 19 USD something else of the catalogue is cheaper, at 1 USD nothing is."""
    config = ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="19", more=RUNS)
    found = told(ask(config))["change_gpu"].advice
    assert str(found.figures["hardware"]).startswith("2x")
    (entry,) = declared_entries(config).values()
    offers = {item.name: item for item in hardware_offers(entry)}
    best = offers[str(found.figures["hardware"])]
    count = int(found.figures["advised_nodes"] or 0)
    # 4,320 s an hour here are so many there, and what does not fit goes to the API, at 0.01 USD for a second here.
    room_s = count * 2160
    over_s = max(4320 * best.time_ratio - room_s, 0) / best.time_ratio
    further_usd = float(declared_pools(config)[0].further_node_usd_per_hour)
    hourly = 2 * 19 + further_usd - (count * best.usd_per_hour + further_usd * (count - 1) + 0.01 * over_s)
    assert found.gain.likely_usd == pytest.approx(hourly * 24 * 365 / 12, rel=1e-6)
    retold(config, "1", RUNS)
    assert [(item.advice.kind, item.state) for item in ask(config).given if item.advice.kind == "change_gpu"] == [
        ("change_gpu", "withdrawn")
    ]


def test_a_pool_of_which_nothing_is_known_but_its_price_is_compared_with_no_other_gpu(tmp_path: Path) -> None:
    found = ask(ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="19"))
    assert hardware(found) == {}
    assert "llama: other GPUs are compared where settings say runs: and hardware:." in found.notes


def test_nights_in_which_much_is_asked_are_neither_given_back_nor_filled(tmp_path: Path) -> None:
    found = ask(ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="5"))
    assert {item.kind for item in found.weighed} >= {"nights_off", "night_batches"}
    assert not {"nights_off", "night_batches"} & set(told(found))


def test_night_batches_are_advised_once_and_not_where_batches_are_served(tmp_path: Path) -> None:
    """By night there is room for 11,520 s, and a tenth of 16 x 9,000 s can wait: 115.20 USD a night."""
    config = ledger_of(
        tmp_path, lambda h: 4320 if 6 <= h < 22 else 2880, lambda h: 9000 if 6 <= h < 22 else 0, price="10"
    )
    assert told(ask(config))["night_batches"].advice.gain.likely_usd == pytest.approx(115.2 * 365 / 12, rel=0.01)
    assert told(ask(config, NOW_S + 600))["night_batches"].since_s == NOW_S
    config.write_text(CONFIG.format(price="10", more="") + "batches: {}\n", encoding="utf-8")
    states = {item.advice.kind: item.state for item in ask(config, NOW_S + 1200).given}
    assert states["night_batches"] == "withdrawn"


def test_nights_that_have_a_schedule_are_not_advised_to_have_one(tmp_path: Path) -> None:
    config = ledger_of(tmp_path, lambda h: 4320 if 6 <= h < 22 else 0, lambda _: 0, price="5")
    assert told(ask(config))["nights_off"].since_s == NOW_S
    retold(config, "5", 'schedule: {hours: "Mon-Sun 06-22", start: [up, "{node}"], stop: [down, "{node}"]}')
    states = {item.advice.kind: item.state for item in ask(config, NOW_S + 600).given}
    assert states["nights_off"] == "withdrawn"


def test_a_pool_that_pays_is_not_advised_to_be_given_up(tmp_path: Path) -> None:
    config = ledger_of(tmp_path, lambda _: 4320, lambda _: 0, price="5")
    assert "back_to_api" not in told(ask(config))
    retold(config, "30")
    assert told(ask(config, NOW_S + 600))["back_to_api"].since_s == NOW_S + 600


def tasks_of(folder: Path, there_usd: str) -> Path:
    """Write 60 requests of a task to a dear target and 40 to another, all of which did their job but each tenth."""
    spool, said = spool_of(folder / "data"), list[Outcome]()
    for number in range(100):
        dear = number < 60
        row = attempt(
            spool, number, model="m", task="sum", target="dear" if dear else "other",
            priced_as="p:dear" if dear else "p:other", input_tokens=1_000_000, output_tokens=0,
        )  # fmt: skip
        at_us = (FIRST + number) * HOUR_US + 5
        spool.add(row._replace(received_us=at_us, ended_us=900_000))
        said.append(
            Outcome(
                id=str(number), key="", request_id=row.attempt_id, success=number % 10 != 0, at_us=at_us,
                received_us=at_us,
            )
        )  # fmt: skip
    spool.close()
    cards = [
        PriceList(
            provider="p", model=name, source="made up",
            entries=(PriceEntry(prices=TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(usd)),
                                                   output=TokenPrice(usd_per_mtok=Decimal(usd)))),),
        )
        for name, usd in (("dear", "10"), ("other", there_usd))
    ]  # fmt: skip
    move(folder / "data", CardSchedule(cards))
    keep_outcomes(folder / "data" / "ledger.sqlite", said)
    path = folder / "breakeven.yaml"
    path.write_text("models: {m: {targets: [dear, other]}}\nledger: {folder: data}\n", encoding="utf-8")
    return path


def test_a_task_whose_success_is_cheaper_elsewhere_is_advised_to_be_moved(tmp_path: Path) -> None:
    """54 successes for 600 USD here, 36 for 200 there: 5.56 USD less for each of 54 successes in 14 days."""
    config = tasks_of(tmp_path, "5")
    found = told(advise_tasks(config))
    assert set(found) == {"move_task"}
    advice = found["move_task"].advice
    assert advice.subject == "sum: dear to other"
    assert advice.gain.likely_usd == pytest.approx((600 / 54 - 200 / 36) * 54 * 30.4 / DAYS)
    assert advice.todo == "breakeven shift start MODEL --to other --tasks sum"


def test_a_task_that_costs_about_the_same_elsewhere_stays_where_it_is(tmp_path: Path) -> None:
    found = advise_tasks(tasks_of(tmp_path, "9"))
    assert told(found) == {}
    (weighed,) = (item for item in found.weighed if item.kind == "move_task")
    assert "intervals at 95 % overlap" in weighed.evidence


def advise_tasks(config: Path) -> Advised:
    return advise(find_ledger(None, config), config, now_s=NOW_S)
