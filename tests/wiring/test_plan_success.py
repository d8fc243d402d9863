"""A plan for a ledger with outcomes: what succeeds more often may cost more, and is said to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

import breakeven
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcomes import Outcome, keep_outcomes
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.reports.markdown import verdict_markdown
from breakeven.sources.genai import price_list

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.result import OptionResult, Verdict

DAY_US = 86_400_000_000
START_US = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp()) * 1_000_000
ON = date(2026, 11, 1)
SCENARIO = """
today: openai:gpt-4o
consider: [openai:gpt-4o-mini, openai:gpt-4.1-nano]
traffic: {total_tokens_per_month: 40000000000}
quality:
  - {model: "openai:gpt-4o-mini", evidence: word}
  - {model: "openai:gpt-4.1-nano", evidence: word, accuracy_ratio: 1.0}
"""


def ledger(folder: Path, said: dict[str, tuple[int, int]]) -> str:
    """Write 120 requests to either target, and of each how many are known to be good and bad."""
    spool, outcomes = Spool(folder / "spool", worker=0), list[Outcome]()
    for number in range(240):
        target = ("gpt-4o", "gpt-4o-mini")[number % 2]
        at_us, place = START_US + number * DAY_US // 20, number // 2
        spool.add(
            rows.Attempt(
                (number + 1) * 16, at_us, 1, 2, 3, 0, 0, 0, spool.code(rows.MODEL, "chat"),
                spool.code(rows.TARGET, target), spool.code(rows.PRICED_AS, f"openai:{target}"), 0, 0, 0, 200, rows.OK,
                0, 0, 2_000, 0, 0, 500, f"e{number // 4}" if number % 2 else f"f{number // 4}",
            )
        )  # fmt: skip
        good, bad = said.get(target, (0, 0))
        if place % 2 == 0 and place // 2 < good + bad:
            plain = Outcome(id="", key="", episode="", at_us=at_us, received_us=at_us, success=place // 2 < good)
            outcomes.append(replace(plain, id=f"{number}", request_id=(number + 1) * 16))
    spool.close()
    mover = Mover(
        folder / "spool",
        Store(folder / "ledger.sqlite"),
        CardSchedule([price_list("openai:gpt-4o"), price_list("openai:gpt-4o-mini")]),
    )
    mover.drain()
    mover.close()
    keep_outcomes(folder / "ledger.sqlite", outcomes)
    return f"ledger:{folder}"


def plan(folder: Path, said: dict[str, tuple[int, int]]) -> Verdict:
    scenario = folder / "scenario.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    return breakeven.plan(ledger(folder, said), scenario=scenario, as_of=ON)


def option(result: Verdict, name: str) -> OptionResult:
    return result.option(name)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return plan(tmp_path_factory.mktemp("known"), {"gpt-4o": (54, 6), "gpt-4o-mini": (3, 57)})


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return plan(tmp_path_factory.mktemp("unknown"), {"gpt-4o": (10, 2)})


def test_what_is_cheap_by_the_token_and_seldom_right_is_not_recommended(known: Verdict, unknown: Verdict) -> None:
    mini, today = option(known, "api:openai:gpt-4o-mini"), option(known, "today:openai:gpt-4o")
    assert mini.usd_per_month.likely < today.usd_per_month.likely
    assert mini.ranking_usd > today.ranking_usd
    assert known.options.index(mini) > known.options.index(today)
    assert unknown.options.index(option(unknown, mini.id)) < unknown.options.index(option(unknown, today.id))


def test_a_success_costs_the_bill_over_the_episodes_that_succeed(known: Verdict) -> None:
    """Two requests make an episode here, of whose outcomes nine in ten are good."""
    today = option(known, "today:openai:gpt-4o")
    assert known.requests_per_month is not None
    assert today.success is not None
    assert (today.success.basis, today.success.known_count) == ("your outcomes", 60)
    assert today.success.fraction.likely == pytest.approx(0.9)
    per_episode = today.usd_per_month.likely / (known.requests_per_month.likely / 2)
    assert today.success.usd_per_success.likely == pytest.approx(per_episode / 0.9)
    assert today.success.usd_per_success.low < today.success.usd_per_success.likely < today.success.usd_per_success.high


def test_a_models_success_is_its_own_else_what_you_say_of_it_else_todays(known: Verdict) -> None:
    found = {item.model: item.success for item in known.options}
    shares = {model: item.fraction.likely for model, item in found.items() if item is not None}
    bases = {model: item.basis for model, item in found.items() if item is not None}
    assert shares["openai:gpt-4o-mini"] == pytest.approx(0.05)
    assert shares["openai:gpt-4.1-nano"] == pytest.approx(0.9)
    assert (bases["openai:gpt-4o-mini"], bases["openai:gpt-4.1-nano"]) == ("your outcomes", "your word")


def test_the_draws_rank_on_cost_per_success_too(known: Verdict, unknown: Verdict) -> None:
    wins, without = dict(known.outlook.win_fractions), dict(unknown.outlook.win_fractions)
    assert wins["api:openai:gpt-4.1-nano"] > 0.9
    assert wins.get("api:openai:gpt-4o-mini", 0.0) == 0
    assert without["api:openai:gpt-4.1-nano"] > 0.9


def test_the_answer_says_what_a_success_costs_and_reports_show_it(known: Verdict) -> None:
    assert "a success (90.0% of 60 known)" in known.answer.paragraph
    assert "Per success the cheapest that may be recommended is openai:gpt-4.1-nano" in known.answer.paragraph
    assert "| a success |" in verdict_markdown(known)
    assert any("outcomes of openai:gpt-4o-mini are of the requests that went there" in text for text in known.warnings)


def test_with_few_outcomes_options_rank_on_cost_and_the_gap_is_said(unknown: Verdict) -> None:
    assert all(item.success is None for item in unknown.options)
    (gap,) = (text for text in unknown.warnings if "ranked on cost" in text)
    assert gap.startswith("options are ranked on cost, not on cost per success: 12 outcomes of openai:gpt-4o are known")
    assert "a success" not in unknown.answer.paragraph
