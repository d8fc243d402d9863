"""Closed days: in files of their own, one with the store to all who ask, each row once."""

from __future__ import annotations

import random  # noqa: TID251 - what traffic is made of
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from closed import AFTER_ALL, DAYS, FIRST_DAY, PER_DAY, cards, files, fill, said, sum_up, sums
from hypothesis import given, settings
from hypothesis import strategies as st
from spooled import ask, attempt, move, segments, spool_of

from breakeven.errors import InputError, MissingExtraError
from breakeven.ledger import close as closes
from breakeven.ledger import day_file
from breakeven.ledger import rows as codes
from breakeven.ledger.close import close_days
from breakeven.ledger.days import keeping, reading
from breakeven.ledger.export import attempts
from breakeven.ledger.prune import prune
from breakeven.ledger.query import Question
from breakeven.ledger.query import ask as question
from breakeven.ledger.rollups import DAY_US
from breakeven.ledger.said import SaidAttempt, in_order
from breakeven.ledger.store import connect
from breakeven.wiring.ledger import LedgerPlace, forget_ledger, id_floor
from breakeven.wiring.ledger_last import last_requests
from breakeven.wiring.ledger_trace import ledger_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = DAYS * (PER_DAY + PER_DAY // 10)
IN_STORE = "SELECT count(*) FROM attempt"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return fill(tmp_path)


def late(folder: Path, number: int, day: int, **changed: object) -> None:
    """Let a row come for a day that may be closed."""
    spool = spool_of(folder, worker=1)
    row = attempt(spool, number, **said(7))._replace(received_us=(FIRST_DAY + day) * DAY_US + 5, **changed)  # type: ignore[arg-type]  # fields of a row
    spool.add(row)
    spool.close()
    move(folder, cards())


def test_closed_days_are_files_and_their_rows_leave_the_store(store: Path) -> None:
    before = list(attempts(store))
    closed = close_days(store, FIRST_DAY + 3)
    assert [(str(item.day), item.rows) for item in closed] == [
        ("2026-11-02", 66), ("2026-11-03", 66), ("2026-11-04", 66),
    ]  # fmt: skip
    assert files(store) == ["2026-11-02.parquet", "2026-11-03.parquet", "2026-11-04.parquet"]
    assert ask(store.parent, IN_STORE) == [(ROWS - 3 * 66,)]
    assert list(attempts(store)) == before
    assert close_days(store, FIRST_DAY + 3) == ()


def test_a_plan_the_newest_requests_and_the_largest_id_see_both_parts_as_one(store: Path) -> None:
    name = f"ledger:{store.parent}"
    before = ledger_trace(name)
    rows = before.table.order_by("time").to_pyarrow()
    newest, floor = last_requests(store, 90), id_floor(LedgerPlace(store=store, spool=store.parent / "spool"))
    for day in (2, 3, AFTER_ALL):
        close_days(store, FIRST_DAY + day)
        found = ledger_trace(name)
        assert found.table.order_by("time").to_pyarrow() == rows
        assert (found.rows_read, found.rows_lost, found.notes) == (before.rows_read, before.rows_lost, before.notes)
        assert last_requests(store, 90) == newest
        assert id_floor(LedgerPlace(store=store, spool=store.parent / "spool")) == floor
    assert ask(store.parent, IN_STORE) == [(0,)]
    assert len({row.request_id for row in newest}) == 90
    assert last_requests(store, 1_000) == list(attempts(store))[::-1]


def test_what_comes_late_for_a_closed_day_joins_its_file(store: Path) -> None:
    close_days(store, AFTER_ALL)
    late(store.parent, 5_000, day=1)
    before = list(attempts(store))
    assert len(before) == ROWS + 1
    (closed,) = close_days(store, AFTER_ALL)
    assert (str(closed.day), closed.rows) == ("2026-11-03", 67)
    assert "2026-11-03.2.parquet" in files(store)
    assert "2026-11-03.parquet" not in files(store)
    assert list(attempts(store)) == before
    assert ask(store.parent, IN_STORE) == [(0,)]


def test_a_segment_that_is_copied_back_after_its_day_was_closed_counts_once(store: Path, tmp_path: Path) -> None:
    spool = spool_of(store.parent, worker=2)
    for number in range(3):
        spool.add(attempt(spool, 7_000 + number, **said(number)))
    assert spool.flush()
    (segment,) = segments(store.parent)
    copy = shutil.copy(segment, tmp_path / "copy")
    spool.close()
    move(store.parent, cards())
    sum_up(store)
    before, totals = list(attempts(store)), question(store, Question(by=("key", "hour")))
    close_days(store, AFTER_ALL)
    shutil.move(copy, segment.with_name("02-again-000000.spool"))
    move(store.parent, cards())
    assert len(list(attempts(store))) == len(before) + 3
    close_days(store, AFTER_ALL)
    assert list(attempts(store)) == before
    assert question(store, Question(by=("key", "hour"))) == totals
    assert ask(store.parent, "SELECT count(*) FROM rollup_day WHERE attempts <= 0") == [(0,)]


def test_a_late_row_that_only_shares_an_id_gets_another(store: Path) -> None:
    close_days(store, AFTER_ALL)
    late(store.parent, 65, day=1, output_tokens=4_321)
    close_days(store, AFTER_ALL)
    found = list(attempts(store))
    assert len(found) == ROWS + 1
    assert [row.output_tokens for row in found].count(4_321) == 1
    assert len({(row.request_id, row.attempt) for row in found}) == len(found)
    totals = question(store, Question())
    assert sum(total.attempt_count for total in totals) == ROWS + 1


def test_rows_that_come_while_a_day_is_written_are_neither_lost_nor_doubled(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = closes.write_day
    coming = iter([3, 4])

    def write_while_one_comes(*given: object) -> object:
        file = write(*given)  # type: ignore[arg-type]  # as they came
        if (number := next(coming, None)) is not None:
            late(store.parent, number, day=0, attempt_id=(number << 16) + 32)
        return file

    monkeypatch.setattr(closes, "write_day", write_while_one_comes)
    (closed,) = close_days(store, FIRST_DAY + 1)
    assert closed.rows == 68
    assert len(list(attempts(store))) == ROWS + 2
    assert len(files(store)) == 1


def test_a_day_that_keeps_growing_is_left_for_the_next_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = closes.write_day
    coming = iter(range(2, 60))

    def write_while_one_comes(*given: object) -> object:
        file = write(*given)  # type: ignore[arg-type]  # as they came
        late(store.parent, 3, day=0, attempt_id=(next(coming) << 16) + 32)
        return file

    with monkeypatch.context() as always:
        always.setattr(closes, "write_day", write_while_one_comes)
        assert close_days(store, FIRST_DAY + 1) == ()
    assert files(store) == []
    assert len(close_days(store, FIRST_DAY + 1)) == 1


def test_a_file_that_reads_back_wrong_does_not_count(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(attempts(store))
    with monkeypatch.context() as wrong:
        wrong.setattr(day_file, "check", lambda _: day_file.Sums(1))
        with pytest.raises(InputError, match="reads back as"):
            close_days(store, AFTER_ALL)
    assert files(store) == []
    assert list(attempts(store)) == before


def test_a_file_that_nobody_knows_is_left_alone(store: Path) -> None:
    with keeping(store) as folder:
        (folder / "2026-11-02.parquet").write_bytes(b"of another time")
    close_days(store, AFTER_ALL)
    assert (folder / "2026-11-02.parquet").read_bytes() == b"of another time"
    assert "2026-11-02.2.parquet" in files(store)


def test_only_one_at_a_time_changes_where_rows_are(store: Path) -> None:
    with keeping(store), pytest.raises(InputError, match="Another command"):
        close_days(store, AFTER_ALL)


def test_a_file_stays_while_it_is_read_and_goes_with_the_next_run(store: Path) -> None:
    close_days(store, AFTER_ALL)
    with reading(store):
        assert prune(store, AFTER_ALL).files_in_use == DAYS
        assert len(files(store)) == DAYS
    assert list(attempts(store)) == []
    assert close_days(store, AFTER_ALL) == ()
    assert files(store) == []


def test_an_export_under_way_is_whole_although_its_days_are_closed_meanwhile(store: Path) -> None:
    close_days(store, FIRST_DAY + 2)
    before = list(attempts(store))
    under_way = attempts(store)
    found = [next(under_way) for _ in range(10)]
    late(store.parent, 5_000, day=0)
    close_days(store, AFTER_ALL)
    prune(store, AFTER_ALL)
    assert [*found, *under_way] == before


@pytest.mark.parametrize("closed_days", [0, 3, DAYS])
def test_pruning_deletes_rows_and_keeps_sums(store: Path, closed_days: int) -> None:
    sum_up(store, FIRST_DAY + closed_days)
    close_days(store, FIRST_DAY + closed_days)
    kept = [row for row in attempts(store) if f"{row.time:%Y-%m-%d}" >= "2026-11-06"]
    totals = question(store, Question(by=("day", "key", "tags")))
    would = prune(store, FIRST_DAY + 4, dry_run=True)
    assert [(str(item.day), item.rows) for item in would.days] == [(f"2026-11-0{n}", 66) for n in range(2, 6)]
    assert [bool(item.file_bytes) for item in would.days] == [n < closed_days for n in range(4)]
    assert len(list(attempts(store))) == ROWS
    assert prune(store, FIRST_DAY + 4).days == would.days
    assert prune(store, FIRST_DAY + 4).days == ()
    assert list(attempts(store)) == kept
    assert len(kept) == 66
    assert question(store, Question(by=("day", "key", "tags"))) == totals
    assert len(files(store)) == max(closed_days - 4, 0)


def test_what_a_plan_counts_as_unanswered_does_not_depend_on_rows_that_were_pruned(store: Path) -> None:
    prune(store, FIRST_DAY + 4)
    trace = ledger_trace(f"ledger:{store.parent}")
    assert (trace.rows_read, trace.rows_lost) == (PER_DAY, 0)


def test_without_pyarrow_files_are_not_passed_over_in_silence(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_days(store, AFTER_ALL)
    monkeypatch.setattr("breakeven.ledger.export.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        list(attempts(store))
    assert question(store, Question())[0].attempt_count == ROWS, "sums need no files"
    assert len(prune(store, AFTER_ALL).days) == DAYS


def test_two_stores_in_one_folder_keep_their_days_apart(store: Path) -> None:
    other = Path(shutil.copy(store, store.parent / "old.sqlite"))
    close_days(store, AFTER_ALL)
    close_days(other, FIRST_DAY + 1)
    assert len(files(other)) == 1
    assert list(attempts(other)) == list(attempts(store))


def test_a_ledger_that_is_forgotten_leaves_no_day(store: Path) -> None:
    close_days(store, AFTER_ALL)
    forget_ledger(LedgerPlace(store=store, spool=store.parent / "spool"))
    assert list(store.parent.iterdir()) == []


def test_a_file_says_in_columns_what_the_view_says(store: Path) -> None:
    with closing(connect(store)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(attempt_said)")]
    close_days(store, FIRST_DAY + 1)
    found = pq.read_table(store.parent / "days" / "2026-11-02.parquet")
    assert set(found.column_names) == set(names) - {"request_id", "number"}


texts = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9))
u32 = st.integers(0, (1 << 32) - 1)
said_attempts = st.builds(
    SaidAttempt,
    attempt_id=st.integers(0, (1 << 63) - 1), received_us=st.integers(0, (1 << 62)),
    queued_us=st.one_of(st.none(), u32), first_byte_us=st.one_of(st.none(), u32), ended_us=u32,
    **dict.fromkeys(("key", "task", "tags", "episode", "model", "target", "priced_as", "decision"), texts),
    fallback=texts, failure=texts, status=st.one_of(st.none(), st.integers(1, 999)),
    outcome=st.sampled_from(codes.OUTCOMES), processing=st.sampled_from(codes.PROCESSINGS),
    estimated=st.integers(0, 1), streamed=st.integers(0, 1), input_tokens=u32, cached_input_tokens=u32,
    cache_write_tokens=u32, output_tokens=u32, rate_card=texts, over_tokens=u32,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(said_attempts, max_size=30))
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[SaidAttempt]
) -> None:
    path = tmp_path_factory.mktemp("file") / "x.parquet"
    written = day_file.write(path, iter(given_rows))
    assert day_file.check(path) == written == day_file.sums_of(given_rows)
    assert list(day_file.read(path)) == given_rows


@given(st.lists(st.lists(st.integers(0, 40), unique=True), max_size=5))
def test_parts_are_merged_by_id_and_opened_when_their_turn_comes(ids: list[list[int]]) -> None:
    opened: list[int] = []

    def part(number: int) -> Iterator[SaidAttempt]:
        opened.append(number)
        for attempt_id in sorted(ids[number]):
            yield SaidAttempt._make([attempt_id, *[0] * 25])

    def opener(number: int) -> tuple[int, Callable[[], Iterator[SaidAttempt]]]:
        return min(ids[number], default=0), lambda: part(number)

    found = [row.attempt_id for row in in_order(opener(number) for number in range(len(ids)))]
    assert found == sorted(number for some in ids for number in some)
    firsts = [min(ids[number], default=0) for number in opened]
    assert firsts == sorted(firsts)


def test_a_closed_day_takes_less_than_sixty_bytes_a_row_although_each_has_an_episode_of_its_own(tmp_path: Path) -> None:
    spool, chance = spool_of(tmp_path), random.Random(3)  # noqa: S311 - no secret
    for number in range(20_000):
        row = attempt(spool, number * 4, **{**said(chance.randrange(60)), "episode": f"{chance.getrandbits(64):016x}"})
        spool.add(
            row._replace(
                received_us=FIRST_DAY * DAY_US + number * 4_000_000 + chance.randrange(4_000_000),
                first_byte_us=chance.randrange(1_000_000),
                ended_us=1_000_000 + chance.randrange(9_000_000),
                input_tokens=int(chance.lognormvariate(6.5, 1.2)),
                output_tokens=int(chance.lognormvariate(5, 1)),
            )
        )
    spool.close()
    move(tmp_path, cards())
    (closed,) = close_days(tmp_path / "ledger.sqlite", AFTER_ALL)
    assert closed.size_bytes / closed.rows <= 60


def test_every_sum_is_that_of_the_rows_whatever_is_closed(store: Path) -> None:
    by_hand = {names: sums(store, *names) for names in ((), ("key", "day"), ("hour", "model"), ("tag:team", "task"))}
    for days in (2, DAYS):
        sum_up(store, FIRST_DAY + days)
        close_days(store, FIRST_DAY + days)
        late(store.parent, 20_000 + days, day=0)
        close_days(store, FIRST_DAY + days)
        for names, expected in by_hand.items():
            assert sums(store, *names) == {
                total.labels: (
                    total.requests, total.attempt_count, total.usage.input_tokens, total.usage.output_tokens,
                    total.unpriced_count, total.cost_usd or 0,
                )
                for total in question(store, Question(by=names))
            }  # fmt: skip
            assert sums(store, *names) != expected
