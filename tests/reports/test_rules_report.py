"""The rules of thumb as people read them: on a terminal, in Markdown, as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from breakeven.reports.as_json import to_json
from breakeven.reports.rules import rules_markdown, rules_view
from breakeven.sources.rules import load_rules
from breakeven.studies.rules import Amount, Computed, Facts, Priced, RulesResult, Said, judge_rules

API = Priced(title="gpt-4o", usd_per_month=50_000, has_evidence=True)
POOL = Priced(title="a <b>|pool", usd_per_month=61_000, has_evidence=False, break_evens=("it never breaks even",))


def _result(**facts: Any) -> RulesResult:
    volume = Amount(low=6000, likely=12_000, high=20_000, source="your trace: log.csv")
    computed = Computed(recommended=API, leans="api", today=API, pool=POOL, managed=None, allowed_apis_count=3)
    return judge_rules(replace(Facts(volume_mtok_per_month=volume), **facts), load_rules(), computed)


def _shown(result: RulesResult, *, full: bool) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(rules_view(result, full=full))
    return captured.get()


def test_the_short_view_sums_up_each_list_and_says_why_they_part_only_once() -> None:
    text = _shown(_result(), full=False)
    assert "Volume bands of 001: disagrees" in text
    assert "Signals of 003: takes no side" in text
    assert text.count("Why: The cheapest pool of your own is a <b>|pool at 61,000 USD a month") == 1
    assert text.count("• team_exists in a scenario") == 1
    assert "below 60M tokens a month" not in text


def test_the_full_view_shows_every_item_with_its_value_threshold_and_source() -> None:
    text = _shown(_result(), full=True)
    row = next(line for line in text.splitlines() if "10 Billion+" in line and "at least" in line)
    assert "yes~" in row
    assert "12B (6B to 20B) tokens a month" in row
    assert "at least 10B tokens a month" in row
    assert "your trace: log.csv" in row
    assert "~ an end of the value's interval would turn this answer." in text


def test_only_the_corrections_of_items_that_hold_stand_below_a_list() -> None:
    text = _shown(_result(volume_mtok_per_month=Amount.exact(7000, "here")), full=False)
    assert "Correction: 001 has a gap here" in text
    assert "such platforms save 40 to 50 %" not in text


def test_markdown_tables_are_whole_and_their_cells_escaped() -> None:
    lines = rules_markdown(_result(team_exists=Said(holds=True, source="scenario: team_exists")))
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 8 + sum(len(group.rules) for group in load_rules())
    assert {row.replace(r"\|", "").count("|") for row in rows} == {7}
    assert "### Where rules and figures part" in lines
    text = "\n".join(lines)
    assert r"a \<b\>\|pool" in text
    assert "| Do we already have a dedicated MLOps/DevOps team? | yes | yes | yes |" in text
    assert "to answer, give constraints.fine\\_tuning in a scenario" in text
    assert r"\< 60 Million: Standard API" in text


def test_without_disagreements_no_reasons_are_promised() -> None:
    computed = Computed(recommended=None, leans=None, today=API, pool=None, managed=None, allowed_apis_count=0)
    result = judge_rules(Facts(), load_rules(), computed)
    assert "### Where rules and figures part" not in rules_markdown(result)
    assert "Where rules and figures part" not in _shown(result, full=False)


@pytest.mark.parametrize("key", ["reply", "certain", "value", "threshold", "source", "provide", "leans", "caveat"])
def test_every_item_is_in_the_json(key: str) -> None:
    data = json.loads(to_json(_result()))
    rules = [rule for group in data["groups"] for rule in group["rules"]]
    assert len(rules) == 40
    assert all(key in rule for rule in rules)
