"""Savings equal plain SQL on the exported Parquet, to the last digit, and count everything that was paid."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest
from proven import AFTER_S, BEGINS, FIXED_USD_PER_HOUR, NODE_USD_PER_HOUR, pool, prices, put, traffic, two_days
from typer.testing import CliRunner

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.cli import app
from breakeven.economics.counterfactual import BetterUse, TokenRatios
from breakeven.errors import BreakevenError, UnknownNameError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.counterfactual import answered_at, first_prices
from breakeven.ledger.pools import keep_pools
from breakeven.studies.proof.savings import would_cost
from breakeven.wiring.ledger_export import export
from breakeven.wiring.proof_savings import SavingsQuestion, savings, today_of

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.wiring.ledger import LedgerPlace

HOURS = (int(BEGINS.timestamp()) // 3600, int(BEGINS.timestamp()) // 3600 + 48)
POOL_HOURS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> LedgerPlace:
    return two_days(tmp_path_factory.mktemp("savings"))


def test_savings_equal_plain_sql_on_the_exported_parquet(place: LedgerPlace, tmp_path: Path) -> None:
    """The sum below is SQL and the two numbers of the pool's contract: nothing of ours but the file."""
    export(place.store, tmp_path / "rows.parquet")
    ((would, api, evaluation),) = duckdb.sql(
        """
        SELECT
          sum(CASE WHEN outcome IN ('ok', 'cut', 'client_left', 'cached') AND coalesce(decision, '') NOT IN
              ('shadow', 'judge') THEN (input_tokens - cached_input_tokens) * 0.0000025::DECIMAL(18, 8)
              + cached_input_tokens * 0.00000125::DECIMAL(18, 8) + output_tokens * 0.00001::DECIMAL(18, 8) END),
          sum(CASE WHEN outcome <> 'cached' AND target NOT LIKE '%/%' AND coalesce(decision, '') NOT IN
              ('shadow', 'judge') THEN cost_usd END),
          sum(CASE WHEN decision IN ('shadow', 'judge') THEN cost_usd END)
        FROM read_parquet(?)
        """,
        params=[str(tmp_path / "rows.parquet")],
    ).fetchall()
    paid = api + evaluation + POOL_HOURS * (NODE_USD_PER_HOUR + FIXED_USD_PER_HOUR)
    found = savings(place, None, SavingsQuestion(against=("openai:big",)), AFTER_S)
    (against,) = found.counterfactuals
    assert against.would_usd == would
    assert found.paid_usd == paid
    assert found.saved_usd(against) == would - paid
    assert found.paid_of("evaluation") == evaluation
    assert found.paid_of("api") == api
    assert found.paid_of("pool") + found.paid_of("idle") + found.paid_of("fixed") == paid - api - evaluation


def test_todays_model_is_what_the_first_requests_were_paid_by(place: LedgerPlace) -> None:
    assert first_prices(place.store) == {"fast": "openai:big", "deep": "openai:big"}
    today, named = savings(place, None, SavingsQuestion(against=("today", "openai:big")), AFTER_S).counterfactuals
    assert today.would_usd == named.would_usd


def test_another_today_may_be_said_for_a_model(place: LedgerPlace) -> None:
    question = SavingsQuestion(against=("today",), today=(("fast", "anthropic:small"),))
    (found,) = savings(place, None, question, AFTER_S).counterfactuals
    assert {(line.model, line.prices) for line in found.lines} == {("fast", "anthropic:small"), ("deep", "openai:big")}


def test_days_add_up_to_the_whole_to_the_last_digit(place: LedgerPlace) -> None:
    found = savings(place, None, SavingsQuestion(), AFTER_S)
    for item in found.counterfactuals:
        days = found.days(item)
        assert [day.day.isoformat() for day in days] == ["2026-11-02", "2026-11-03"]
        assert sum((day.would_usd or Decimal(0) for day in days), Decimal(0)) == item.would_usd
        assert sum((day.paid_usd for day in days), Decimal(0)) == found.paid_usd


def test_shadows_and_judges_are_paid_and_priced_at_no_counterfactual(tmp_path: Path, place: LedgerPlace) -> None:
    plain = [item for item in traffic() if item.get("decision") not in ("shadow", "judge")]
    without = put(tmp_path, plain)
    keep_pools(without.store, [pool()], int(AFTER_S - 120) // 3600)
    question = SavingsQuestion(against=("openai:big",))
    with_, bare = savings(place, None, question, AFTER_S), savings(without, None, question, AFTER_S)
    assert with_.counterfactuals[0].would_usd == bare.counterfactuals[0].would_usd
    assert with_.paid_usd - bare.paid_usd == with_.paid_of("evaluation") > 0
    assert bare.paid_of("evaluation") == 0


def test_a_pool_that_nobody_uses_is_a_loss_of_its_whole_bill(tmp_path: Path) -> None:
    place = put(tmp_path, [item for item in traffic() if item["target"] == "big-api" and "decision" not in item])
    keep_pools(place.store, [pool()], int(AFTER_S - 120) // 3600)
    found = savings(place, None, SavingsQuestion(against=("today",)), AFTER_S)
    (today,) = found.counterfactuals
    assert found.paid_of("pool") == 0
    assert found.paid_of("idle") == POOL_HOURS * NODE_USD_PER_HOUR
    failed = sum(
        Decimal(item["input_tokens"] - item["cached_input_tokens"]) * Decimal("2.5")
        + item["cached_input_tokens"] * Decimal("1.25")
        for item in traffic()
        if item.get("outcome") == rows.FAILED and item["target"] == "big-api"
    ) / 1_000_000  # fmt: skip
    lost = POOL_HOURS * (NODE_USD_PER_HOUR + FIXED_USD_PER_HOUR) + failed - today.memory_usd
    assert found.saved_usd(today) == -lost


def test_requests_without_a_price_there_leave_the_whole_unknown_and_are_named(tmp_path: Path) -> None:
    rows_ = [{**item, "model": "new", "priced_as": "acme:x", "target": "acme"} for item in traffic()[:3]]
    found = savings(put(tmp_path, rows_), None, SavingsQuestion(against=("today", "openai:big")), AFTER_S)
    today, named = found.counterfactuals
    assert today.would_usd is None
    assert found.saved_usd(today) is None
    assert named.would_usd is not None
    assert found.unbilled_count == 2, "one of the three came from memory"
    assert any("--today new=PROVIDER:MODEL" in note for note in found.notes)
    assert any("less was saved than is said" in note for note in found.notes)


def test_optimised_takes_prompt_cache_and_batch_off_to_the_last_digit(place: LedgerPlace) -> None:
    use = BetterUse(
        cacheable_input_fraction=Decimal("0.2"), batchable_fraction=Decimal("0.1"),
        history_trim_fraction=Decimal("0.05"), output_trim_fraction=Decimal("0.03"),
    )  # fmt: skip
    lists = {"openai:big": prices("openai:big", "2.50", "1.25", "10.00", ("1.25", "5.00"))}
    parts = answered_at(place.store, HOURS, lambda _: ("openai:big",), lists, CardSchedule(lists.values()))
    plain = sum(item.counts[0] - item.counts[1] for item in parts)
    cached, output = sum(item.counts[1] for item in parts), sum(item.counts[3] for item in parts)
    usual = plain * Decimal("2.5") * Decimal("0.95") + cached * Decimal("1.25") + output * 10 * Decimal("0.97")
    batch = plain * Decimal("1.25") * Decimal("0.95") + cached * Decimal("1.25") + output * 5 * Decimal("0.97")
    wanted = (usual - (usual - batch) / 10) / 1_000_000
    assert would_cost("optimised", "", parts, better=use).would_usd == wanted
    uncached = [item._replace(counts=(item.counts[0], 0, 0, item.counts[3])) for item in parts]
    without = would_cost("optimised", "", uncached, better=replace(use, batchable_fraction=Decimal(0))).would_usd
    given = sum(item.counts[0] for item in parts)
    each = Decimal("2.5") - Decimal("0.2") * Decimal("1.25")
    assert without == (given * each * Decimal("0.95") + output * 10 * Decimal("0.97")) / 1_000_000


def test_measured_ratios_rescale_counts(place: LedgerPlace) -> None:
    lists = {"openai:big": prices("openai:big", "2.50", "1.25", "10.00")}
    parts = answered_at(place.store, HOURS, lambda _: ("openai:big",), lists, CardSchedule(lists.values()))
    twice = TokenRatios(input_ratio=Decimal(2), output_ratio=Decimal(2))
    as_is, scaled = would_cost("x", "", parts), would_cost("x", "", parts, ratios=lambda _by, _at: twice)
    assert as_is.would_usd is not None
    assert scaled.would_usd == 2 * as_is.would_usd


def test_ratios_that_pairs_measured_rescale_what_the_pool_served(tmp_path: Path) -> None:
    place = two_days(tmp_path)
    columns = (
        "request_id, candidate, incumbent, model, key, task, tags, at_us, incumbent_input_tokens, "
        "incumbent_output_tokens, incumbent_failure, candidate_input_tokens, candidate_output_tokens, "
        "candidate_failure, origin"
    )
    with closing(sqlite3.connect(place.store)) as store, store:
        store.executemany(
            f"INSERT INTO pair ({columns}) VALUES (?, ?, ?, 'fast', '', '', '', 0, ?, ?, '', ?, ?, '', 'shadow')",  # noqa: S608
            [(n, "llama", "big-api", 110, 60, 100, 80) for n in range(20)]
            + [(n + 99, "big-api", "llama/a", 100, 80, 110, 60) for n in range(20)],
        )
    plain, scaled = (
        savings(place, None, SavingsQuestion(against=("openai:big",), measured_tokens=measured), AFTER_S)
        for measured in (False, True)
    )
    by = [
        {line.served_by: line.amount_usd for line in found.counterfactuals[0].lines if not line.from_memory}
        for found in (plain, scaled)
    ]
    assert by[0]["openai:big"] == by[1]["openai:big"]
    pool_lines = [line for line in plain.counterfactuals[0].lines if line.served_by == "llama" and not line.from_memory]
    cached = sum(line.cached_input_tokens for line in pool_lines)
    given = sum(line.input_tokens for line in pool_lines) - cached
    output = sum(line.output_tokens for line in pool_lines)
    wanted = (given * Decimal("2.75") + cached * Decimal("1.375") + output * Decimal("7.5")) / 1_000_000
    assert by[1]["llama"] == wanted
    assert any("1.100000 times the input" in note for note in scaled.notes)


def test_prices_by_size_are_looked_up_row_by_row(place: LedgerPlace) -> None:
    over = 6000
    card = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal(1), tiers=(Tier(over_tokens=over, usd_per_mtok=Decimal(2)),)),
        output=TokenPrice(usd_per_mtok=Decimal(3)),
    )
    tiered = PriceList(provider="t", model="m", source="made up", entries=(PriceEntry(prices=card),))
    parts = answered_at(place.store, HOURS, lambda _: ("t:m",), {"t:m": tiered}, CardSchedule([tiered]))
    wanted = sum(
        Decimal(item["input_tokens"]) * (2 if item["input_tokens"] > over else 1) + 3 * item["output_tokens"]
        for item in traffic()
        if item.get("outcome", rows.OK) != rows.FAILED and item.get("decision") not in ("shadow", "judge")
    )
    assert would_cost("t:m", "", parts).would_usd == wanted / 1_000_000


def test_only_the_hours_asked_for_count(place: LedgerPlace) -> None:
    noon = BEGINS + timedelta(days=1, hours=12)
    first = savings(place, None, SavingsQuestion(until=noon), AFTER_S)
    last = savings(place, None, SavingsQuestion(since=noon), AFTER_S)
    whole = savings(place, None, SavingsQuestion(), AFTER_S)
    assert first.paid_of("pool") == 0
    assert first.paid_usd + last.paid_usd == whole.paid_usd
    for one, other, both in zip(first.counterfactuals, last.counterfactuals, whole.counterfactuals, strict=True):
        if both.name == "today":
            assert both.would_usd == (one.would_usd or 0) + (other.would_usd or 0)
    assert whole.begins == BEGINS
    assert last.begins == noon


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (SavingsQuestion(against=("yesterday",)), "today, optimised or a price list"),
        (SavingsQuestion(against=("openai:gpt-9o",)), "no price is known"),
        (SavingsQuestion(today=(("fast", "acme:none"),)), "--today acme:none"),
        (SavingsQuestion(since=datetime(2100, 1, 1, tzinfo=UTC)), "over yet"),
    ],
)
def test_a_wrong_question_is_refused_in_words(place: LedgerPlace, question: SavingsQuestion, said: str) -> None:
    with pytest.raises(BreakevenError, match=said):
        savings(place, None, question, AFTER_S)


def test_the_command_tells_people_and_programs_the_same(place: LedgerPlace, tmp_path: Path) -> None:
    folder = str(place.store.parent)
    files = ("--html", str(tmp_path / "s.html"), "--markdown", str(tmp_path / "s.md"))
    run = CliRunner().invoke(
        app, ["savings", "--ledger", folder, "--until", "2026-11-04", "--against", "today", "--json", *files]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    whole = savings(place, None, SavingsQuestion(against=("today",), until=BEGINS + timedelta(days=2)), AFTER_S)
    assert Decimal(found["paid_usd"]) == whole.paid_usd == sum(Decimal(line["usd"]) for line in found["paid_lines"])
    (today,) = found["counterfactuals"]
    assert Decimal(today["would_usd"]) == sum(Decimal(line["usd"]) for line in today["lines"])
    assert Decimal(today["saved_usd"]) == Decimal(today["would_usd"]) - Decimal(found["paid_usd"])
    shown = CliRunner().invoke(app, ["savings", "--ledger", folder, "--until", "2026-11-04", "--by-day"])
    assert shown.exit_code == 0, shown.output
    saved = whole.saved_usd(whole.counterfactuals[0])
    assert saved is not None
    assert saved < 0, "a node for hours, for a few requests"
    assert f"Against today: {-saved:,.2f} USD lost" in shown.stdout
    assert "evaluation: shadows and judges" in shown.stdout
    assert "By day, against optimised" in shown.stdout
    for path in (tmp_path / "s.html", tmp_path / "s.md"):
        assert f"{abs(saved):,.2f}" in path.read_text(encoding="utf-8")


def test_a_today_of_a_model_that_nobody_asked_for_is_told(place: LedgerPlace) -> None:
    found = savings(place, None, SavingsQuestion(today=(("fats", "openai:gpt-4o"),)), AFTER_S)
    assert "--today fats: no request in these hours asked for that model." in found.notes


def test_before_the_first_hour_is_over_it_says_that_nothing_is_counted(place: LedgerPlace) -> None:
    found = savings(place, None, SavingsQuestion(), BEGINS.timestamp())
    assert not found.paid
    assert found.notes[0] == "Nothing was asked or paid in hours that are over, before 2026-11-01T23:00Z."


@pytest.mark.parametrize("text", ["fast", "=openai:gpt-4o", "fast=gpt-4o"])
def test_a_today_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(BreakevenError, match="MODEL=PROVIDER:MODEL"):
        today_of(text)


def test_a_list_that_nobody_knows_is_an_error_that_names_it(place: LedgerPlace) -> None:
    with pytest.raises(UnknownNameError, match="pool:nowhere"):
        savings(place, None, SavingsQuestion(against=("pool:nowhere",)), AFTER_S)
