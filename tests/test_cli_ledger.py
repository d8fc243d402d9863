"""``breakeven ledger`` and ``breakeven keys`` as people and programs see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import keys as keys_command
from breakeven.cli import ledger as ledger_command
from breakeven.errors import BreakevenError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import typer
    from typer.testing import Result


def run(app: typer.Typer, *arguments: object) -> Result:
    found = CliRunner().invoke(app, [str(item) for item in arguments])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def output(app: typer.Typer, *arguments: object) -> str:
    found = run(app, *arguments)
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a ledger of three attempts without a known price, the last of another model."""
    spool = Spool(tmp_path / "spool", worker=0)
    for number in range(3):
        model = spool.code(rows.MODEL, "deep" if number == 2 else "fast")
        spool.add(
            rows.Attempt(
                (number + 1) * 16, 1_790_000_000_000_000, 1, 2, 3, spool.code(rows.KEY, "search"), 0, 0, model, 0,
                spool.code(rows.PRICED_AS, "x:y"), 0, 0, 0, 200, rows.OK, 0, rows.ESTIMATED, 1_000, 0, 0, 10, "",
            )
        )  # fmt: skip
    spool.close()
    mover = Mover(tmp_path / "spool", Store(tmp_path / "ledger.sqlite"), CardSchedule())
    mover.drain()
    mover.close()
    return tmp_path


def test_a_query_shows_sums_and_says_what_its_cost_leaves_out(folder: Path) -> None:
    shown = output(ledger_command.app, "query", "--by", "model,key", "--ledger", folder)
    assert [line.split() for line in shown.splitlines()][1:4] == [
        ["deep", "search", "1", "1", "1,000", "0", "0", "10", "100.0%", "unknown"],
        ["fast", "search", "2", "2", "2,000", "0", "0", "20", "100.0%", "unknown"],
        ["all", "3", "3", "3,000", "0", "0", "30", "100.0%", "unknown"],
    ]
    assert "partial: 3 attempts have no known price" in shown


def test_a_query_as_json_has_everything(folder: Path) -> None:
    shown = json.loads(output(ledger_command.app, "query", "--where", "model=fast", "--ledger", folder, "--json"))
    assert shown["by"] == ["model"]
    (row,) = shown["rows"]
    assert row == {
        "model": "fast", "requests": 2, "attempts": 2, "estimated_attempts": 2, "unpriced_attempts": 2,
        "cached_requests": 0, "avoided_usd": "0",
        "usage": {"input_tokens": 2_000, "output_tokens": 20, "cached_input_tokens": 0, "cache_write_tokens": 0},
        "cost_usd": None, "partial": True,
    }  # fmt: skip
    assert shown["note"] == ""


def test_nothing_that_matches_is_said_so(folder: Path) -> None:
    shown = output(ledger_command.app, "query", "--since", "2031-01-01", "--ledger", folder)
    assert shown == "No attempts match.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "--since", "yesterday"], "is no time"),
        (["query", "--since", "0001-01-01T00:00+14:00"], "is no time"),
        (["query", "--where", "model"], "LABEL=VALUE"),
        (["query", "--by", "weather"], "can be grouped by"),
        (["query", "--since", "2026-11-02T10:30"], "full hour"),
        (["export", "out.doc"], "end its name in"),
    ],
)
def test_nonsense_is_refused(folder: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(BreakevenError, match=said):
        run(ledger_command.app, *arguments, "--ledger", folder)


def test_an_export_says_how_much_it_wrote(folder: Path, tmp_path: Path) -> None:
    assert output(ledger_command.app, "export", tmp_path / "a.csv", "--ledger", folder).startswith("wrote 3 attempts")
    shown = json.loads(output(ledger_command.app, "export", tmp_path / "a.jsonl", "--ledger", folder, "--json"))
    assert shown == {"file": str(tmp_path / "a.jsonl"), "attempts": 3, "note": ""}


def test_the_largest_groups_are_shown_with_the_sum_of_all(folder: Path) -> None:
    shown = output(ledger_command.app, "query", "--top", "1", "--order", "requests", "--ledger", folder)
    assert [line.split()[:2] for line in shown.splitlines()][1:3] == [["fast", "2"], ["all", "3"]]
    found = json.loads(output(ledger_command.app, "query", "--top", "1", "--ledger", folder, "--json"))
    assert len(found["rows"]) == 1
    assert found["total"]["requests"] == 3


def test_the_newest_requests_come_first(folder: Path) -> None:
    shown = output(ledger_command.app, "last", "-n", "2", "--ledger", folder)
    assert [line.split()[4] for line in shown.splitlines()[1:]] == ["deep", "fast"]
    found = json.loads(output(ledger_command.app, "last", "--ledger", folder, "--json"))
    assert [row["request_id"] for row in found] == ["000000000000003", "000000000000002", "000000000000001"]


def test_closed_days_are_listed_and_pruned_ones_counted(folder: Path) -> None:
    shown = output(ledger_command.app, "close", "--ledger", folder)
    assert shown.splitlines()[0].startswith("2026-09-21  3 rows")
    assert shown.splitlines()[1] == "closed 1 days; summed up 1"
    assert json.loads(output(ledger_command.app, "close", "--ledger", folder, "--json")) == {
        "days_summed": 0, "days": [], "has_parquet": True,
    }  # fmt: skip
    would = output(ledger_command.app, "prune", "--keep-days", "1", "--dry-run", "--ledger", folder)
    assert would == "would delete 3 rows of 1 days from 2026-09-21 to 2026-09-21\n"
    assert (
        json.loads(output(ledger_command.app, "prune", "--keep-days", "1", "--ledger", folder, "--json"))["rows"] == 3
    )
    assert output(ledger_command.app, "prune", "--keep-days", "1", "--ledger", folder) == "deleted 0 rows of 0 days\n"
    assert "3,000" in output(ledger_command.app, "query", "--ledger", folder), "the sums stay"


def test_without_pyarrow_days_are_summed_up_and_rows_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("breakeven.wiring.ledger_upkeep.find_spec", lambda _: None)
    shown = run(ledger_command.app, "close", "--ledger", folder)
    assert "closed 0 days; summed up 1" in shown.output
    assert "pip install" in shown.output
    assert output(ledger_command.app, "export", folder / "all.csv", "--ledger", folder).startswith("wrote 3 attempts")


def test_a_file_is_imported_once_and_what_it_adds_is_said(folder: Path, tmp_path: Path) -> None:
    output(ledger_command.app, "export", tmp_path / "kept.jsonl", "--ledger", folder)
    other = ("--ledger", tmp_path / "other", "--source", "old")
    first = output(ledger_command.app, "import", tmp_path / "kept.jsonl", *other)
    assert first == f"{tmp_path}/kept.jsonl: added 3 requests as old\n"
    (again,) = json.loads(output(ledger_command.app, "import", tmp_path / "kept.jsonl", *other, "--json"))["files"]
    assert (again["added"], again["repeated"]) == (0, 3)
    here = output(ledger_command.app, "import", tmp_path / "kept.jsonl", "--ledger", folder)
    assert "added 0 requests as kept, 3 were there already" in here


def test_a_corrected_rate_card_reprices_and_says_so(folder: Path, tmp_path: Path) -> None:
    card = tmp_path / "cards.yaml"
    card.write_text(CARD)
    arguments = ("--rate-card", card, "--ledger", folder)
    would = output(ledger_command.app, "reprice", *arguments, "--dry-run")
    assert would.splitlines()[1].split() == ["–", "x:y", "3", "0", "(3", "unpriced)", "0.00606", "+0.00606"]
    assert would.splitlines()[-1] == "would reprice 3 attempts of 1 days"
    for since, count in (("2026-09-22", 0), ("2026-09-21T00:00", 3)):
        done = json.loads(output(ledger_command.app, "reprice", *arguments, "--since", since, "--json"))
        assert sum(target["attempts"] for target in done["targets"]) == count
    assert done["targets"][0]["after_usd"] == "0.00606"
    assert "0.006060" in output(ledger_command.app, "query", "--ledger", folder)
    back = output(ledger_command.app, "reprice", "--target", "x:y", "--ledger", folder)
    assert "repriced 3 attempts" in back, "without that card nothing is known of it again"


CARD = """
rate_cards:
  - provider: x
    model: y
    source: a letter
    checked_on: 2026-11-20
    prices:
      - input_usd_per_mtok: 2
        output_usd_per_mtok: 2
"""


def make(folder: Path, *arguments: str) -> str:
    return output(keys_command.app, "create", *arguments, "--ledger", folder)


def test_a_key_is_shown_once_and_listed_without_its_secret(tmp_path: Path) -> None:
    secret = make(
        tmp_path, "search", "--models", "fast, deep", "--tags", "team=search", "--expires", "2999-01-01"
    ).strip()
    assert secret.startswith("sk-be-")
    shown = output(keys_command.app, "list", "--ledger", tmp_path)
    assert secret not in shown
    assert "search" in shown
    assert secret[-4:] in shown
    (key,) = json.loads(output(keys_command.app, "list", "--ledger", tmp_path, "--json"))
    created: Any = key.pop("created")
    assert key == {
        "name": "search", "shown": f"{secret[:8]}…{secret[-4:]}", "state": "valid", "models": ["fast", "deep"],
        "tags": "team=search", "expires": "2999-01-01", "revoked": None, "team": "", "former_until": None,
        "sensitivity": "",
        "priority": 0,
        "limits": dict.fromkeys(
            ("requests_per_minute", "tokens_per_minute", "parallel", "budget_day_usd", "budget_month_usd")
        ),
    }  # fmt: skip
    assert len(created) == 10


def test_a_key_shows_its_team_and_what_it_may_use(tmp_path: Path) -> None:
    limits = [
        "--requests-per-minute", "60", "--tokens-per-minute", "100000", "--parallel", "4",
        "--budget-day", "2.50", "--budget-month", "40",
    ]  # fmt: skip
    said = json.loads(make(tmp_path, "a", "--team", "web", *limits, "--json"))
    wanted = {
        "requests_per_minute": 60, "tokens_per_minute": 100_000, "parallel": 4,
        "budget_day_usd": "2.50", "budget_month_usd": "40",
    }  # fmt: skip
    assert (said["team"], said["limits"]) == ("web", wanted)
    (key,) = json.loads(output(keys_command.app, "list", "--ledger", tmp_path, "--json"))
    assert (key["team"], key["limits"]) == ("web", wanted)
    shown = " ".join(output(keys_command.app, "list", "--ledger", tmp_path).split())
    for part in ("web", "60", "100,000", "2.50", "40"):
        assert part in shown


def test_a_key_is_rotated_under_its_name(tmp_path: Path) -> None:
    first = make(tmp_path, "a").strip()
    before = run(keys_command.app, "rotate", "a", "--overlap", "30m", "--ledger", tmp_path)
    second = before.stdout.strip()
    assert second != first
    assert "works until" in before.stderr
    (key,) = json.loads(output(keys_command.app, "list", "--ledger", tmp_path, "--json"))
    assert (key["state"], key["former_until"][:2]) == ("valid", "20")
    assert key["shown"].endswith(second[-4:])
    said = json.loads(output(keys_command.app, "rotate", "a", "--overlap", "0s", "--ledger", tmp_path, "--json"))
    assert said["key"].startswith("sk-be-")
    (key,) = json.loads(output(keys_command.app, "list", "--ledger", tmp_path, "--json"))
    assert key["former_until"] is None, "without an overlap the former secret is over at once"


def test_a_revoked_key_is_listed_as_such(tmp_path: Path) -> None:
    made = json.loads(make(tmp_path, "a", "--json"))
    assert made["key"].startswith("sk-be-")
    assert "refuses it within a second" in output(keys_command.app, "revoke", "a", "--ledger", tmp_path)
    (key,) = json.loads(output(keys_command.app, "list", "--ledger", tmp_path, "--json"))
    assert key["state"] == "revoked"


def test_keys_are_refused_clearly(tmp_path: Path) -> None:
    make(tmp_path, "a")
    for arguments, said in (
        (["create", "a"], "there already"),
        (["create", "b", "--expires", "soon"], "is not a day"),
        (["create", "b", "--expires", "2020-01-01"], "expired already"),
        (["create", "b", "--models", ""], "model without a name"),
        (["create", "b", "--budget-day", "much"], "is no amount"),
        (["create", "b", "--budget-day", "0"], "to stop a key, revoke it"),
        (["create", "b", "--parallel", "0"], "at least 1"),
        (["create", "b", "--team", "two words"], "no name for a team"),
        (["rotate", "a", "--overlap", "1.5h"], "is no time"),
        (["rotate", "c"], "There are a"),
        (["revoke", "c"], "There are a"),
    ):
        with pytest.raises(BreakevenError, match=said):
            run(keys_command.app, *arguments, "--ledger", tmp_path)
    with pytest.raises(BreakevenError, match="There is no ledger"):
        run(keys_command.app, "list", "--ledger", tmp_path / "none")
