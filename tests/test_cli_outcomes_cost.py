"""``breakeven outcomes cost`` as people and programs see it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import outcomes as outcomes_command
from breakeven.errors import BreakevenError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcomes import Outcome, keep_outcomes
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.sources.genai import price_list

if TYPE_CHECKING:
    from pathlib import Path

AT_US = 1_793_538_000_000_000  # 2026-11-01T13:00Z
CONFIG = """
pools:
  llama:
    nodes:
      - {name: a, url: "http://a/v1", usd_per_hour: "7.20", since: 2026-11-01T12:00Z, until: 2026-11-01T15:00Z}
    gpu_time: {prefill_s_per_mtok: 100, decode_s_per_mtok: 1000}
models: {m: {targets: [llama]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a ledger of 60 requests to a pool and 30 to an API; of the first 80 % are good, of the others 90 %."""
    spool, outcomes = Spool(tmp_path / "breakeven-data" / "spool", worker=0), list[Outcome]()
    for number in range(90):
        is_api = number % 3 == 2
        spool.add(
            rows.Attempt(
                (number + 1) * 16, AT_US + number, 1, 2, 3, spool.code(rows.KEY, "search"),
                spool.code(rows.TASK, "sql"), 0, spool.code(rows.MODEL, "m"),
                spool.code(rows.TARGET, "api" if is_api else "llama/a"), spool.code(rows.PRICED_AS, "openai:gpt-4o"),
                0, 0, 0, 200, rows.OK, 0, 0, 100_000, 0, 0, 20_000, "",
            )
        )  # fmt: skip
        plain = Outcome(id=f"{number}", key="search", request_id=(number + 1) * 16, at_us=AT_US, received_us=AT_US)
        outcomes.append(replace(plain, success=number // 3 % 10 != 0 if is_api else number // 3 % 5 != 0))
    spool.close()
    outcomes[0] = replace(outcomes[0], human_minutes=Decimal("1.5"))
    mover = Mover(
        tmp_path / "breakeven-data" / "spool",
        Store(tmp_path / "breakeven-data" / "ledger.sqlite"),
        CardSchedule([price_list("openai:gpt-4o")]),
    )
    mover.drain()
    mover.close()
    keep_outcomes(tmp_path / "breakeven-data" / "ledger.sqlite", outcomes)
    (tmp_path / "breakeven.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def output(folder: Path, *arguments: str) -> str:
    found = CliRunner().invoke(
        outcomes_command.app,
        ["cost", *arguments, "--config", str(folder / "breakeven.yaml")],
        env={"COLUMNS": "160"},
    )
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    found = json.loads(
        CliRunner()
        .invoke(outcomes_command.app, ["cost", *arguments, "--config", str(folder / "breakeven.yaml"), "--json"])
        .stdout
    )
    assert isinstance(found, dict)
    return found


def test_programs_get_every_amount_to_the_last_digit(folder: Path) -> None:
    """Each request takes 30 s of a node's hour, at 7.20 USD: 6 cents; the API asks 45 cents."""
    found = answer(folder, "--mature-hours", "0", "--human-usd-per-hour", "40")
    api, llama = found["rows"]
    assert (api["task"], api["target"], api["episodes"], api["successes"], api["failures"]) == ("sql", "api", 30, 27, 3)
    assert Decimal(api["loaded_usd"]) == Decimal("13.5")
    assert api["usd_per_success"]["likely"] == pytest.approx(13.5 / 27)
    assert (llama["target"], llama["successes"], llama["human_minutes"]) == ("llama", 48, "1.5")
    assert Decimal(llama["human_usd"]) == 1
    bill = {name: Decimal(text) for name, text in found["total"].items()}
    assert bill["attributed_usd"] + bill["left_out_usd"] + bill["deleted_usd"] + bill["idle_usd"] == bill["billed_usd"]
    assert Decimal(llama["loaded_usd"]) + Decimal(api["loaded_usd"]) == bill["attributed_usd"]
    assert Decimal(llama["idle_usd"]).quantize(Decimal("1e-9")) == bill["idle_usd"].quantize(Decimal("1e-9"))
    assert llama["whole_usd_per_success"]["likely"] == pytest.approx(
        float(Decimal(llama["loaded_usd"]) + bill["idle_usd"] + 1) / 48
    )


def test_people_get_what_came_of_it_and_what_it_cost(folder: Path) -> None:
    found = output(folder, "--mature-hours", "0", "--failure-usd", "2", "--human-usd-per-hour", "40")
    assert "90.0% (74%–97%)" in found
    assert "at 2 USD a failure, api is cheapest: 0.6500 USD each" in found
    assert "As routed, targets may have got different requests" in found
    assert "whose word counted: explicit 90" in found


def test_minutes_without_a_rate_are_told(folder: Path) -> None:
    assert answer(folder, "--mature-hours", "0")["notes"][0].startswith("partial: 1.5 minutes of people's work")


def test_what_is_young_waits(folder: Path) -> None:
    (whole,) = answer(folder, "--by", "", "--mature-hours", "1e6")["rows"]
    assert (whole["episodes"], whole["young"]) == (0, 90)
    assert whole["usd_per_success"] is None


def test_nothing_to_show_is_said(folder: Path) -> None:
    assert "No request in these hours has these labels" in output(folder, "--where", "task=chat")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--by", "colour"), "--by colour: outcomes can be grouped by"),
        (("--failure-usd", "a lot"), "--failure-usd 'a lot' is no amount"),
        (("--human-usd-per-hour", "-1"), "a price is a number from 0 on"),
        (("--where", "task"), "should read LABEL=VALUE"),
        (("--since", "2099-01-01"), "no hour from there on is over yet"),
        (("--mature-hours", "inf"), "it is a number of hours from 0 on"),
    ],
)
def test_wrong_questions_are_refused_with_what_to_do(folder: Path, arguments: tuple[str, str], words: str) -> None:
    with pytest.raises(BreakevenError, match=words):
        output(folder, *arguments)
