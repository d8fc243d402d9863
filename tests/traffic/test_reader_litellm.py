"""LiteLLM's spend logs: the same requests in any form, caches inside and beside, no key in clear."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_logs import read

from breakeven.errors import InputError
from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.readers import detect

if TYPE_CHECKING:
    from small_logs import Write

FIXTURES = Path(__file__).parent / "fixtures" / "litellm"
JSON = FIXTURES / "spend_logs.json"
KEY = hashlib.sha256(b"invented").hexdigest()


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(path).table.order_by("time").to_pyarrow().to_pylist()
    return found


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "spend_logs.parquet"
    with (FIXTURES / "table.csv").open(newline="", encoding="utf-8") as stream:
        rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    for row in rows:
        row["startTime"] = datetime.fromisoformat(row["startTime"])
        row |= {name: int(row[name]) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_the_form_makes_no_difference(parquet: Path) -> None:
    expected = rows_of(JSON)
    for path in (FIXTURES / "spend_logs.jsonl", FIXTURES / "table.csv", parquet):
        assert detect(read_head(path), Options()).name == "litellm"
        assert rows_of(path) == expected


def test_counts_times_and_names_are_those_of_the_log() -> None:
    first = rows_of(JSON)[0]
    assert first["time"] == datetime(2026, 10, 1, 10, 0, 0, 125_000, tzinfo=UTC)
    assert (first["model"], first["target"], first["tags"]) == ("gpt-4o", "openai:gpt-4o", "team:support")
    assert (first["input_tokens"], first["cached_input_tokens"], first["output_tokens"]) == (1843, 1024, 212)
    assert [row["episode"] for row in rows_of(JSON)][:3] == ["s1", "s1", "s3"]


def test_cached_tokens_are_part_of_the_prompt_and_added_where_a_row_left_them_out() -> None:
    rows = {row["episode"]: row for row in rows_of(JSON)}
    inside, beside = rows["s3"], rows["s7"]
    assert (inside["input_tokens"], inside["cached_input_tokens"], inside["cache_write_tokens"]) == (5021, 4000, 1000)
    # 31 prompt tokens and 1,253 written to the cache cannot be one inside the other.
    assert (beside["input_tokens"], beside["cached_input_tokens"], beside["cache_write_tokens"]) == (1284, 0, 1253)
    assert "1 row with more cached tokens than prompt_tokens counts" in " ".join(read(JSON).notes)


def test_answers_from_litellms_own_cache_are_left_out_and_counted() -> None:
    trace = read(JSON)
    assert (trace.rows_read, trace.rows_lost) == (7, 0)
    assert "1 request answered from LiteLLM's own cache left out" in " ".join(trace.notes)


def test_failures_batches_and_tiers_are_told() -> None:
    rows = {row["episode"]: row for row in rows_of(JSON)}
    assert [name for name, row in rows.items() if row["failed"]] == ["s4"]
    assert rows["s6"]["processing"] == "batch"
    assert [row["processing"] for row in rows_of(JSON)][1] == "flex"
    assert rows["s3"]["processing"] is None


def test_a_key_is_kept_as_its_hash_and_never_in_clear() -> None:
    rows = rows_of(JSON)
    assert {row["key"] for row in rows} == {
        KEY, hashlib.sha256(b"another").hexdigest(), "litellm_proxy_master_key", None
    }  # fmt: skip
    assert [row["key"] for row in rows if row["processing"] == "batch"] == [None]


def test_the_provider_stands_before_the_model_once(log: Write) -> None:
    row = json.loads(JSON.read_text(encoding="utf-8"))[0]
    rows = rows_of(
        log(json.dumps(row | {"model": "openai/gpt-4o"}) + "\n" + json.dumps(row | {"startTime": 1790848900}))
    )
    assert (rows[0]["model"], rows[0]["target"]) == ("gpt-4o", "openai:gpt-4o")


def test_pages_are_read_and_missing_ones_are_told(log: Write) -> None:
    rows = json.loads(JSON.read_text(encoding="utf-8"))
    pages = [{"data": rows[:5], "total": 8, "page": 1, "page_size": 5, "total_pages": 2}, {"data": rows[5:], "page": 2}]
    whole, half = log(json.dumps(pages), "whole"), log(json.dumps(pages[0], indent=1), "half")
    assert rows_of(whole) == rows_of(JSON)
    assert len(rows_of(half)) == 4
    assert "1 page of the 2 there are" in " ".join(read(half).notes)
    assert "page" not in " ".join(read(whole).notes)


def test_a_summary_by_day_is_refused_with_the_question_to_ask(log: Write) -> None:
    day = {"startTime": "2026-10-01", "spend": 0.3, "users": {"a": 0.3}, "models": {"gpt-4o": 0.3}, "hash": 0.3}
    with pytest.raises(InputError, match="summarize=false"):
        read(log(json.dumps([day])))


@pytest.mark.parametrize(
    "metadata", [None, "", "{", [], "null", {"usage_object": "x"}, '{"usage_object": {"cached": 1}}']
)
def test_metadata_that_say_nothing_cost_no_row(log: Write, metadata: object) -> None:
    row = json.loads(JSON.read_text(encoding="utf-8"))[0]
    lines = [json.dumps(row | {"metadata": metadata, "startTime": f"2026-10-01T10:00:0{n}Z"}) for n in (1, 2)]
    rows = rows_of(log("\n".join(lines)))
    assert [(row["input_tokens"], row["cached_input_tokens"]) for row in rows] == [(1843, 0)] * 2
