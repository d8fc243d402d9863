"""``breakeven ledger export --format focus`` as people and programs meet it."""

from __future__ import annotations

import csv
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from breakeven.cli import ledger as ledger_command
from breakeven.errors import BreakevenError, InputError
from breakeven.ledger.pools import keep_pools
from breakeven.reports.focus import COLUMNS, kind_of

sys.path.insert(0, str(Path(__file__).parent / "ledger"))
from pooled import CLOSED, fill, other, terms


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = fill(tmp_path_factory.mktemp("focus"))
    keep_pools(found, (terms(), other()), CLOSED)
    return found


def run(store: Path, *words: object) -> str:
    """Run a command of the ledger; its errors are raised, as the main program would tell them."""
    done = CliRunner().invoke(ledger_command.app, [*map(str, words), "--ledger", str(store)])
    if isinstance(done.exception, BreakevenError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_usage_and_idle_time_add_up_to_what_the_ledger_says_was_paid(store: Path, tmp_path: Path) -> None:
    until = ("--until", "2026-05-13")
    said = json.loads(run(store, "query", "--costs", "--json", *until))
    run(store, "export", tmp_path / "focus.csv", "--format", "focus", "--against", "openai:gpt-4o", *until)
    rows = read(tmp_path / "focus.csv")
    billed = sum(Decimal(row["BilledCost"]) for row in rows if row["ChargeCategory"] != "Credit")
    total = said["total"]
    assert billed == Decimal(total["marginal_usd"]) + Decimal(total["bill_usd"])
    idle = sum(Decimal(row["BilledCost"]) for row in rows if row["x_Line"] == "idle")
    assert idle == Decimal(total["idle_usd"])


def test_savings_are_what_each_answer_would_have_cost_minus_all_that_was_paid(store: Path, tmp_path: Path) -> None:
    until = ("--until", "2026-05-13")
    run(store, "export", tmp_path / "focus.csv", "--format", "focus", "--against", "openai:gpt-4o", *until)
    run(store, "export", tmp_path / "rows.csv")
    rows = read(tmp_path / "focus.csv")
    saved = -sum(Decimal(row["BilledCost"]) for row in rows if row["ChargeCategory"] == "Credit")
    loaded = sum(Decimal(row["x_LoadedCost"]) for row in rows if row["ChargeCategory"] != "Credit")
    answered = [row for row in read(tmp_path / "rows.csv") if row["outcome"] != "failed" and row["time"] < "2026-05-13"]
    would = sum(map(at_gpt_4o, answered))
    assert saved == would - loaded
    assert len([row for row in rows if row["ChargeCategory"] == "Credit"]) == 3


def at_gpt_4o(row: dict[str, str]) -> Decimal:
    given, cached, output = (int(row[name]) for name in ("input_tokens", "cached_input_tokens", "output_tokens"))
    return (Decimal("2.5") * (given - cached) + Decimal("1.25") * cached + Decimal(10) * output) / 1_000_000


def test_parquet_has_the_rows_of_the_csv_with_numbers_and_times(store: Path, tmp_path: Path) -> None:
    for name in ("focus.csv", "focus.parquet"):
        run(store, "export", tmp_path / name, "--format", "focus", "--until", "2026-05-13")
    rows, table = read(tmp_path / "focus.csv"), pq.read_table(tmp_path / "focus.parquet")
    assert table.column_names == list(COLUMNS)
    assert table.num_rows == len(rows)
    for said, row in zip(table.to_pylist(), rows, strict=True):
        for name in COLUMNS:
            assert same(said[name], row[name], name), (name, said[name], row[name])


def same(value: Any, text: str, name: str) -> bool:
    if kind_of(name) == "number":
        return (value is None) == (not text) and (not text or abs(value - Decimal(text)) < Decimal("1e-15"))
    if kind_of(name) == "time":
        return f"{value:%Y-%m-%dT%H:%M:%SZ}" == text
    return (value or "") == text


def test_json_says_what_was_written(store: Path, tmp_path: Path) -> None:
    said = json.loads(run(store, "export", tmp_path / "f.csv", "--format", "focus", "--by", "hour", "--json"))
    assert said["rows"] == len(read(tmp_path / "f.csv"))
    assert said["file"] == str(tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("x.jsonl", "--format", "focus"), "written as .csv or .parquet"),
        (("x.csv", "--format", "fokus"), "one of rows, focus"),
        (("x.csv", "--since", "2026-05-11"), "goes with --format focus"),
        (("x.csv", "--format", "focus", "--by", "week"), "by day or hour"),
        (("x.csv", "--format", "focus", "--since", "yesterday"), "is no time"),
        (("x.csv", "--format", "focus", "--against", "openai:gpt-none"), "no price is known"),
        (("x.csv", "--format", "focus", "--account", ""), "has a name of one line"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(
    store: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises((InputError, BreakevenError), match=told):
        run(store, "export", tmp_path / words[0], *words[1:])
    assert not list(tmp_path.iterdir())


def test_where_nothing_was_charged_it_says_so(store: Path, tmp_path: Path) -> None:
    found = json.loads(
        run(store, "export", tmp_path / "none.csv", "--format", "focus", "--until", "2020-01-01", "--json")
    )
    assert found["rows"] == 0
    assert found["notes"] == ["Nothing was charged in hours that are over, so there is no row."]
