"""What a provider's batches cost is in the ledger once, however often their results are brought back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from breakeven.batches.plan import ProviderPlan
from breakeven.batches.provider_rows import ProviderRows
from breakeven.batches.records import Batch, Line
from breakeven.gateway.snapshot import Target, Timeouts
from gateway import ledger

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.ledger.intake import Incoming

ENDED_S = 1_790_000_000


def rows_of(path: Path) -> ProviderRows:
    target = Target(
        name="sold", host="localhost", port=1, tls=False, host_header="", base_path="", headers=(), model="its-name",
        priced_as="", timeouts=Timeouts(connect_s=1, first_token_s=1, between_tokens_s=1, total_s=1),
    )  # fmt: skip
    plan = ProviderPlan(
        target=target, models={"m": "its-name"}, prices={}, calls={}, last_s=1, max_requests=1, max_bytes=1
    )
    return ProviderRows(plan, path)


def results(rows: ProviderRows, numbers: range) -> list[Incoming]:
    labels = (("x-breakeven-task", "sum up"), ("x-breakeven-tags", "team=a"))
    batch = Batch(
        number=1, id="batch_1", owner="key:k", key="k", models=(), sensitivities=(), labels=labels,
        endpoint="/v1/chat/completions", input_file="f", window="24h", status="in_progress", created_s=ENDED_S,
        expires_s=ENDED_S, deadline_s=0, keep_s=1,
    )  # fmt: skip
    asked = json.dumps({"body": {"model": "m"}}).encode()
    body = json.dumps({"usage": {"prompt_tokens": 8, "completion_tokens": 4}}).encode()
    return [rows.row(batch, (Line(number, 0, len(asked)), asked), 200, body, ENDED_S) for number in numbers]


def test_results_that_come_again_after_a_crash_are_not_added_again(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    rows = rows_of(store)
    assert rows.added(results(rows, range(1, 1001)))
    again = rows_of(store)  # another process, which has other results beside those
    assert again.added(results(again, range(500, 1201))[::-1])
    found = ledger.all_rows(store)
    assert len(found) == 1200
    assert sorted(row["received_us"] for row in found) == [
        (ENDED_S * 1000 - number) * 1000 for number in range(1200, 0, -1)
    ]
    assert {(row["key"], row["task"], row["tags"], row["model"], row["input_tokens"]) for row in found} == {
        ("k", "sum up", "team=a", "m", 8)
    }


def test_a_store_that_cannot_be_written_is_told_and_nothing_is_taken_for_added(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, but some bytes" * 50)
    rows = rows_of(tmp_path / "ledger.sqlite")
    assert not rows.added(results(rows, range(1, 3)))
