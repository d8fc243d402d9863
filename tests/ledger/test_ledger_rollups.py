"""Sums by the hour and by the day: every question is answered as the rows would, whatever was summed up when."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from closed import AFTER_ALL, DAYS, FIRST_DAY, cards, fill, said, sum_up, sums, value_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spooled import ask, attempt, move, spool_of

from breakeven.errors import InputError
from breakeven.ledger.export import attempts
from breakeven.ledger.labels import NONE, tag_of
from breakeven.ledger.query import Question, ranked, sum_of
from breakeven.ledger.query import ask as question
from breakeven.ledger.rollups import DAY_US, shift_cells
from breakeven.ledger.schema import VERSION
from breakeven.ledger.store import connect

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 2, tzinfo=UTC)
LABELS = ("key", "task", "tags", "tag:team", "tag:env", "model", "target", "outcome", "hour", "day", "failure")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("ledger"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, DAYS + 1),
    st.lists(st.sampled_from(LABELS), max_size=3, unique=True),
    st.lists(st.tuples(st.sampled_from(["key", "tag:team", "model"]), st.integers(0, 3)), max_size=3),
    st.tuples(st.integers(-5, 130), st.integers(1, 130)),
)
def test_a_question_is_answered_as_its_rows_would(
    store: Path, summed: int, by: list[str], wanted: list[tuple[str, int]], hours: tuple[int, int]
) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM rollup_day")
        connection.execute("UPDATE upkeep SET days_summed = 0")
    sum_up(store, FIRST_DAY + summed)
    values = {
        "key": ["search", "chat", NONE, "search"],
        "tag:team": ["t0", "t1", NONE, "t9"],
        "model": ["fast", "deep", "fast", "deep"],
    }
    where = tuple((label, values[label][number]) for label, number in wanted)
    since, until = START + timedelta(hours=hours[0]), START + timedelta(hours=hours[0] + hours[1])
    chosen = {label: {None if value == NONE else value for name, value in where if name == label} for label, _ in where}
    expected: dict[tuple[object, ...], list[int]] = {}
    for row in attempts(store):
        if since <= row.time < until and all(value_of(row, label) in some for label, some in chosen.items()):
            group = expected.setdefault(tuple(value_of(row, label) for label in by), [0, 0, 0])
            group[0] += 1
            group[1] += row.input_tokens
            group[2] += row.cost_usd is None
    found = question(store, Question(by=tuple(by), since=since, until=until, where=where))
    assert {
        total.labels: [total.attempt_count, total.usage.input_tokens, total.unpriced_count] for total in found
    } == expected


def test_what_comes_late_for_a_day_that_was_summed_up_is_in_both_sums(tmp_path: Path) -> None:
    store = fill(tmp_path)
    sum_up(store, FIRST_DAY + 2)
    spool = spool_of(tmp_path, worker=1)
    for number in range(4):
        row = attempt(spool, 9_000 + number, **said(number))
        spool.add(row._replace(received_us=(FIRST_DAY + number) * DAY_US + 7))
    spool.close()
    move(tmp_path, cards())
    added = "SELECT hour / 24, series, sum(attempts), sum(input_tokens) FROM rollup_hour"
    by_day = f"{added} WHERE hour / 24 < {{}} GROUP BY 1, 2"
    days = "SELECT day, series, attempts, input_tokens FROM rollup_day ORDER BY 1, 2"
    assert ask(tmp_path, days) == sorted(ask(tmp_path, by_day.format(FIRST_DAY + 2)))
    sum_up(store)
    assert ask(tmp_path, days) == sorted(ask(tmp_path, by_day.format(AFTER_ALL)))
    assert {total.labels for total in question(store, Question(by=("day",)))} == set(sums(store, "day"))


def test_a_cell_that_nothing_is_left_in_is_gone(tmp_path: Path) -> None:
    store = fill(tmp_path, days=1)
    sum_up(store)
    ((hour, series, *counts),) = ask(tmp_path, "SELECT * FROM rollup_hour ORDER BY 1, 2 LIMIT 1")
    with closing(connect(store)) as connection:
        shift_cells(connection, {(hour, series): [-count for count in counts]})
    assert (hour, series) not in ask(tmp_path, "SELECT hour, series FROM rollup_hour")
    assert ask(tmp_path, "SELECT 1 FROM rollup_day WHERE attempts = 0") == []


@pytest.mark.parametrize(
    ("tags", "name", "value"),
    [
        ("team=search,env=prod", "team", "search"),
        ("team=search, env = prod", "env", "prod"),
        ("urgent,team=x", "urgent", "urgent"),
        ("team=", "team", ""),
        ("steam=x", "team", None),
        ("", "team", None),
        ("a=b=c", "a", "b=c"),
    ],
)
def test_a_tag_is_read_from_a_text_of_tags(tags: str, name: str, value: str | None) -> None:
    assert tag_of(tags, name) == value


def test_totals_are_ranked_from_the_largest_and_unknown_cost_comes_last(store: Path) -> None:
    totals = question(store, Question(by=("priced_as", "key")))
    for order, name in (("requests", "requests"), ("attempts", "attempt_count")):
        found = [getattr(total, name) for total in ranked(totals, order)]
        assert found == sorted(found, reverse=True)
    for order in ("input", "output"):
        found = [getattr(total.usage, f"{order}_tokens") for total in ranked(totals, order)]
        assert found == sorted(found, reverse=True)
    by_cost = ranked(totals, "cost")
    assert by_cost[-1].cost_usd is None
    assert by_cost[0].cost_usd == max(total.cost_usd for total in totals if total.cost_usd is not None)
    assert sum_of(by_cost) == sum_of(totals)
    with pytest.raises(InputError, match="ranked by"):
        ranked(totals, "colour")


@pytest.mark.parametrize("asked", [Question(by=("tag:",)), Question(where=(("tag:", "x"),))])
def test_a_tag_without_a_name_is_refused(store: Path, asked: Question) -> None:
    with pytest.raises(InputError, match="tag:NAME"):
        question(store, asked)


def test_a_store_of_the_first_version_is_brought_up_to_date_by_whoever_opens_it(tmp_path: Path) -> None:
    store = fill(tmp_path, days=1)
    before = question(store, Question(by=("hour",)))
    with closing(sqlite3.connect(store)) as connection:
        for table in ("rollup_day", "upkeep", "day_file", "import_file"):
            connection.execute(f"DROP TABLE {table}")
        for (name,) in connection.execute("SELECT name FROM pragma_table_info('key')").fetchall()[8:]:
            connection.execute(f"ALTER TABLE key DROP COLUMN {name}")
        connection.execute("PRAGMA user_version = 1")
    assert question(store, Question(by=("hour",))) == before
    assert ask(tmp_path, "PRAGMA user_version") == [(VERSION,)]
    sum_up(store)
    assert question(store, Question(by=("hour",))) == before
