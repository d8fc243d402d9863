"""Questions to the roll-ups against sums in plain Python, and the refusals."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from spooled import START_US, ask, attempt, move, spool_of, write

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.export import attempts, write_csv, write_jsonl
from breakeven.ledger.ids import request_text
from breakeven.ledger.query import Question, sum_of
from breakeven.ledger.query import ask as question

if TYPE_CHECKING:
    from pathlib import Path

HOUR_US = 3_600_000_000
CARDS = CardSchedule(
    [
        PriceList(
            provider="p",
            model="m",
            source="made up",
            entries=(
                PriceEntry(
                    prices=TokenPrices(
                        input=TokenPrice(usd_per_mtok=Decimal("0.15")), output=TokenPrice(usd_per_mtok=Decimal("0.60"))
                    )
                ),
            ),
        )
    ]
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 300 requests over 30 hours: some without a key, some unpriced, some estimated, some with two attempts."""
    folder = tmp_path_factory.mktemp("ledger")
    spool = spool_of(folder)
    for number in range(300):
        said: dict[str, Any] = {
            "key": ("search", "chat", "")[number % 3],
            "model": ("fast", "deep")[number % 2],
            "priced_as": "p:m" if number % 5 else "",
            "flags": rows.ESTIMATED if number % 10 == 0 else 0,
            "input_tokens": number,
            "cached_input_tokens": number // 2,
        }
        row = attempt(spool, number, **said)._replace(received_us=START_US + number * HOUR_US // 10)
        if number % 50 == 0:
            failed = {"outcome": rows.FAILED, "failure": spool.code(rows.REASON, "connect"), "input_tokens": 0}
            spool.add(row._replace(**failed, output_tokens=0, cached_input_tokens=0))  # type: ignore[arg-type]  # fields of a row
            row = row._replace(attempt_id=row.attempt_id | 1, fallback=failed["failure"])
        spool.add(row)
    spool.close()
    move(folder, CARDS)
    return folder / "ledger.sqlite"


def by_hand(store: Path, *names: str) -> dict[tuple[Any, ...], list[Any]]:
    """Sum the exported rows up: requests, attempts, estimated, input, output, cost, unpriced."""
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, 0, 0, 0, Decimal(0), 0])
    for row in attempts(store):
        group = sums[tuple(getattr(row, name) for name in names)]
        group[0] += row.fallback is None
        group[1] += 1
        group[2] += int(row.estimated)
        group[3] += row.input_tokens
        group[4] += row.output_tokens
        group[5] += row.cost_usd or 0
        group[6] += row.cost_usd is None
    return sums


@pytest.mark.parametrize("names", [(), ("key",), ("model", "key"), ("outcome",), ("failure", "priced_as")])
def test_totals_are_the_sums_of_the_rows(ledger: Path, names: tuple[str, ...]) -> None:
    found: dict[tuple[Any, ...], list[Any]] = {
        total.labels: [
            total.requests, total.attempt_count, total.estimated_count, total.usage.input_tokens,
            total.usage.output_tokens, total.cost_usd or Decimal(0), total.unpriced_count,
        ]
        for total in question(ledger, Question(by=names))
    }  # fmt: skip
    assert found == by_hand(ledger, *names)
    assert sum(values[0] for values in found.values()) == 300, "a request counts once, however many attempts it took"


def test_the_sum_of_totals_is_the_total(ledger: Path) -> None:
    (whole,) = question(ledger, Question())
    assert sum_of(question(ledger, Question(by=("key", "hour")))) == whole
    assert whole.is_partial
    assert (whole.attempt_count, whole.unpriced_count) == (306, 66)


def test_hours_and_days_are_named_in_utc_and_bounded(ledger: Path) -> None:
    start = datetime(2026, 11, 2, 9, tzinfo=UTC)
    hours = question(ledger, Question(by=("hour",), since=start + timedelta(hours=2), until=start + timedelta(hours=4)))
    assert [(total.labels, total.requests) for total in hours] == [
        (("2026-11-02T11:00Z",), 10),
        (("2026-11-02T12:00Z",), 10),
    ]
    days = question(ledger, Question(by=("day",)))
    assert [(total.labels, total.requests) for total in days] == [(("2026-11-02",), 145), (("2026-11-03",), 155)]


def test_rows_are_chosen_by_value_and_values_of_one_label_are_alternatives(ledger: Path) -> None:
    def requests(*where: tuple[str, str]) -> int:
        return sum(total.requests for total in question(ledger, Question(where=where)))

    assert requests(("key", "search")) == 100
    assert requests(("key", "search"), ("key", "none")) == 200
    assert requests(("key", "search"), ("model", "deep")) == 50
    assert requests(("outcome", "failed")) == 6
    assert requests(("key", "chat"), ("outcome", "cut")) == 0


def test_a_group_without_any_price_has_no_cost(ledger: Path) -> None:
    (total,) = question(ledger, Question(where=(("priced_as", "none"),)))
    assert total.cost_usd is None
    assert total.unpriced_count == total.attempt_count


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Question(by=("colour",)), "can be grouped by key, task"),
        (Question(by=("key", "key")), "names a label twice"),
        (Question(where=(("hour", "5"),)), "by --since and --until"),
        (Question(where=(("outcome", "fine"),)), "one of ok, failed, cut, client_left"),
        (Question(where=(("key", "nobody"),)), "It has search, chat"),
        (Question(where=(("task", "x"),)), "It has none at all"),
        (Question(since=datetime(2026, 11, 2, 9, 30, tzinfo=UTC)), "full hour"),
        (
            Question(since=datetime(2026, 11, 3, tzinfo=UTC), until=datetime(2026, 11, 2, tzinfo=UTC)),
            "is not before",
        ),
    ],
)
def test_nonsense_is_refused_with_what_would_do(ledger: Path, asked: Question, said: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=said):
        question(ledger, asked)


def test_csv_has_iso_times_texts_and_exact_cost(tmp_path: Path) -> None:
    write(tmp_path, [
        {"key": 'a "b", c', "priced_as": "p:m", "episode": "e\n1", "input_tokens": 1, "output_tokens": 0},
        {"first_byte_us": rows.UNKNOWN_US, "outcome": rows.FAILED, "status": 0},
    ])  # fmt: skip
    move(tmp_path, CARDS)
    file = io.StringIO(newline="")
    assert write_csv(attempts(tmp_path / "ledger.sqlite"), file) == 2
    file.seek(0)
    first, second = csv.DictReader(file)
    assert first["time"] == "2026-11-02T09:30:00.000000Z"
    assert first["first_byte_at"] == "2026-11-02T09:30:00.020000Z"
    assert first["request_id"] == request_text(1 << 16)
    assert (first["key"], first["episode"], first["cost_usd"]) == ('a "b", c', "e\n1", "0.00000015")
    assert (second["first_byte_at"], second["status"], second["cost_usd"], second["outcome"]) == ("", "", "", "failed")


def test_json_lines_have_nulls_and_cost_as_text(tmp_path: Path) -> None:
    write(tmp_path, [{"priced_as": "p:m", "flags": rows.STREAMED}, {}])
    move(tmp_path, CARDS)
    file = io.StringIO()
    assert write_jsonl(attempts(tmp_path / "ledger.sqlite"), file) == 2
    first, second = map(json.loads, file.getvalue().splitlines())
    assert (first["cost_usd"], first["streamed"], first["estimated"]) == ("0.000021", True, False)
    assert (second["cost_usd"], second["key"]) == (None, None)


def test_exported_rows_come_in_the_order_of_their_ids_without_being_sorted_first(ledger: Path) -> None:
    steps = ask(ledger.parent, "EXPLAIN QUERY PLAN SELECT * FROM attempt_said ORDER BY attempt_id")
    assert not [row for row in steps if "TEMP B-TREE" in row[3]]
