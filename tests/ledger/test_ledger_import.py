"""Rows from files: each comes into the ledger once, however often and under whatever name a file is imported."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from closed import AFTER_ALL, DAYS, FIRST_DAY, cards, files, fill, price_list, sum_up
from hypothesis import given
from hypothesis import strategies as st
from spooled import ask

from breakeven.errors import InputError
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.close import close_days
from breakeven.ledger.export import ExportedAttempt, attempts
from breakeven.ledger.ids import ATTEMPTS, EPOCH_MS, id_of_slot, import_slot, received_ms
from breakeven.ledger.prune import prune
from breakeven.ledger.query import Question
from breakeven.ledger.query import ask as question
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path
from breakeven.wiring.ledger_export import export
from breakeven.wiring.ledger_import import Imported, import_file
from breakeven.wiring.ledger_rows import ImportOptions

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
START = datetime(2026, 11, 2, 9, tzinfo=UTC)


def take(store: Path, path: Path, schedule: CardSchedule | None = None, **said: Any) -> Imported:
    options = ImportOptions(**{"source": path.name.split(".")[0], "tolerate_fraction": 1, **said})
    return import_file(store, path, schedule or cards(), options, now_s=NOW_S)


def log(path: Path, many: list[dict[str, Any]]) -> Path:
    """Write a log as some proxy might."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["time", "model", "key", "input_tokens", "output_tokens"])
        writer.writeheader()
        for row in many:
            writer.writerow({"model": "m", "key": "k", "input_tokens": 10, "output_tokens": 5, **row})
    return path


def at(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat()


def rows_of(store: Path) -> list[ExportedAttempt]:
    return list(attempts(store))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "csv.gz"])
def test_an_export_comes_into_an_empty_ledger_as_it_was(tmp_path: Path, ending: str) -> None:
    store = fill(tmp_path)
    path = tmp_path / f"out.{ending.removesuffix('.gz')}"
    export(store, path)
    if ending.endswith("gz"):
        path = path.with_name("out.csv.gz")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    done = take(tmp_path / "new" / "ledger.sqlite", path, source="old")
    assert (done.added_count, done.repeated_count, done.left_out_count) == (DAYS * 66, 0, 0)
    expected = [row._replace(decision=f"import:old {row.decision}") for row in rows_of(store)]
    assert rows_of(tmp_path / "new" / "ledger.sqlite") == expected
    whole = Question(by=("hour", "key", "tags"))
    assert question(tmp_path / "new" / "ledger.sqlite", whole) == question(store, whole)


@pytest.mark.parametrize("closed", [0, 3, DAYS])
def test_an_export_of_this_ledger_adds_nothing_to_it(tmp_path: Path, closed: int) -> None:
    store = fill(tmp_path)
    export(store, tmp_path / "out.csv")
    close_days(store, FIRST_DAY + closed)
    before = rows_of(store)
    done = take(store, tmp_path / "out.csv")
    assert (done.added_count, done.repeated_count) == (0, DAYS * 66)
    assert rows_of(store) == before


def test_a_trace_comes_in_once_priced_and_under_its_name(tmp_path: Path) -> None:
    path = log(tmp_path / "proxy.csv", [{"time": at(n // 3), "input_tokens": n % 4} for n in range(90)])
    store = tmp_path / "led" / "ledger.sqlite"
    done = take(store, path, provider="p")
    assert (done.added_count, done.repeated_count, done.source) == (90, 0, "proxy")
    (total,) = question(store, Question(by=("decision", "priced_as", "key")))
    assert total.labels == ("import:proxy", "p:m", "k")
    assert total.requests == 90
    assert total.cost_usd == sum((row.cost_usd or Decimal(0) for row in rows_of(store)), Decimal(0)) > 0
    before = rows_of(store)
    again = take(store, path, provider="p")
    assert again.added_count == 0
    assert "imported as proxy before" in again.notes[0]
    renamed = log(tmp_path / "same.csv", [{"time": at(n // 3), "input_tokens": n % 4} for n in range(90)])
    renamed.write_text(renamed.read_text() + "\n")
    assert take(store, renamed, source="proxy", provider="p").added_count == 0, "another file with the same rows"
    assert rows_of(store) == before


def test_a_file_that_grew_adds_what_is_new(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    rows = [{"time": at(n // 5), "output_tokens": n % 3} for n in range(60)]
    take(store, log(tmp_path / "a.csv", rows[:40]))
    done = take(store, log(tmp_path / "a.csv", rows))
    assert (done.added_count, done.repeated_count) == (20, 40)
    assert len(rows_of(store)) == 60


def test_sources_with_requests_at_the_same_moments_are_all_kept_and_each_once(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    rows = [{"time": at(n // 4)} for n in range(20)]
    one, other = log(tmp_path / "one.csv", rows), log(tmp_path / "two.csv", rows)
    other.write_text(other.read_text() + "\n")
    for _ in range(2):
        take(store, one)
        take(store, other)
        one.write_text(one.read_text() + "\n")
        other.write_text(other.read_text() + "\n")
    assert ask(tmp_path, "SELECT decision, count(*) FROM attempt_said GROUP BY 1") == [
        ("import:one", 20), ("import:two", 20),
    ]  # fmt: skip


def test_rows_that_are_equal_in_all_are_told_apart_by_how_many_they_are(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    same = log(tmp_path / "a.csv", [*[{"time": at(0)}] * 5_000, {"time": at(9)}])
    assert take(store, same).added_count == 5_001
    same.write_text(same.read_text() + "\n")
    done = take(store, same)
    assert (done.added_count, done.repeated_count) == (0, 5_001)


def test_an_import_for_closed_days_joins_their_files_and_stays_idempotent(tmp_path: Path) -> None:
    store = fill(tmp_path)
    sum_up(store)
    close_days(store, AFTER_ALL)
    path = log(tmp_path / "late.csv", [{"time": at(n * 3_600)} for n in range(48)])
    assert take(store, path).added_count == 48
    close_days(store, AFTER_ALL)
    assert len(files(store)) == DAYS
    path.write_text(path.read_text() + "\n")
    done = take(store, path)
    assert (done.added_count, done.repeated_count) == (0, 48)
    days = question(store, Question(by=("day",)))
    assert sum(total.attempt_count for total in days) == len(rows_of(store)) == DAYS * 66 + 48


def test_failed_and_repeated_attempts_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        {"time": at(1), "model": "m", "input_tokens": 5, "output_tokens": 0, "failed": True, "retry": False},
        {"time": at(2), "model": "m", "input_tokens": 5, "output_tokens": 2, "failed": False, "retry": True},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = tmp_path / "ledger.sqlite"
    take(store, path)
    assert [(row.outcome, row.fallback, row.failure) for row in rows_of(store)] == [
        ("failed", None, "failed"), ("ok", "retry", None),
    ]  # fmt: skip
    assert question(store, Question())[0].requests == 1


def test_a_published_trace_of_years_ago_comes_in_whole_and_in_order(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    done = take(store, sample_path(), provider="openai")
    trace = read_trace([sample_path()])
    found = rows_of(store)
    assert done.added_count == trace.rows_read - trace.rows_lost == len(found)
    assert [row.time for row in found] == sorted(row.time for row in found)
    assert sum(row.input_tokens for row in found) == trace.table.input_tokens.sum().to_pyarrow().as_py()


def test_rows_of_pruned_days_and_of_the_future_are_left_out(tmp_path: Path) -> None:
    store = fill(tmp_path)
    export(store, tmp_path / "out.csv")
    prune(store, FIRST_DAY + 2)
    totals = question(store, Question(by=("day",)))
    done = take(store, tmp_path / "out.csv")
    assert (done.added_count, done.repeated_count, done.left_out_count) == (0, 3 * 66, 2 * 66)
    assert question(store, Question(by=("day",))) == totals
    late = log(tmp_path / "late.csv", [{"time": "2026-11-21T20:00:00Z"}, {"time": "2031-01-01T00:00:00Z"}])
    assert take(store, late).left_out_count == 1


def test_the_seller_is_the_one_said_or_the_likeliest_or_none(tmp_path: Path) -> None:
    many = [{"time": at(1), "model": "gpt-4o"}, {"time": at(2), "model": "my-own-finetune"}]
    for name, provider in (("one", ""), ("two", "acme")):
        take(tmp_path / name / "ledger.sqlite", log(tmp_path / f"{name}.csv", many), provider=provider)
    sellers = "SELECT priced_as FROM attempt_said ORDER BY attempt_id"
    assert ask(tmp_path / "one", sellers) == [("openai:gpt-4o",), (None,)]
    assert ask(tmp_path / "two", sellers) == [("acme:gpt-4o",), ("acme:my-own-finetune",)]


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    bill = tmp_path / "bill.csv"
    bill.write_text("month,model,requests,input_tokens,output_tokens\n2026-10,gpt-4o,1000,500000,90000\n")
    with pytest.raises(InputError, match="single requests"):
        take(store, bill)
    with pytest.raises(InputError, match="cannot be read"):
        take(store, tmp_path / "none.csv")
    for source in ("a\nb", ""):
        with pytest.raises(InputError, match="--source"):
            take(store, bill, source=source)
    broken = tmp_path / "broken.csv"
    broken.write_text(",".join(ExportedAttempt._fields) + "\n" + ",".join("x" for _ in ExportedAttempt._fields) + "\n")
    with pytest.raises(InputError, match="looks like an export"):
        take(store, broken)
    assert rows_of(store) == []


def test_prices_of_an_import_are_those_it_is_given(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    small, large = ([{"time": at(n), "input_tokens": size} for n in (1, 2)] for size in (10, 2_000))
    take(store, log(tmp_path / "a.csv", small), provider="p")
    take(store, log(tmp_path / "b.csv", large), CardSchedule([price_list("9", over="1")]), provider="p")
    costs = sorted(row.cost_usd for row in rows_of(store) if row.cost_usd is not None)
    assert costs == [Decimal("0.0000045")] * 2 + [Decimal("0.002003")] * 2


@given(st.lists(st.integers(0, 2_000_000_000_000_000), max_size=30))
def test_slots_are_in_the_order_of_time_and_ids_in_that_of_slots(times: list[int]) -> None:
    slots = [import_slot(time_us) for time_us in sorted(time for time in times if time // 1_000 < EPOCH_MS)]
    assert slots == sorted(slots)
    ids = [id_of_slot(slot + offset) for slot in slots for offset in (0, 1, 4_095, 4_096)]
    assert all(0 <= number < 1 << 63 and number % ATTEMPTS == 0 for number in ids)
    later = [time for time in times if time // 1_000 >= EPOCH_MS]
    assert [received_ms(id_of_slot(import_slot(time))) for time in later] == [time // 1_000 for time in later]
