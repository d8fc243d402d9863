"""BurstGPT: seconds from the first day's start, failures without an answer, conversations where they are known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from small_logs import read

from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.readers import detect

FIXTURES = Path(__file__).parent / "fixtures" / "burstgpt"


def test_the_published_columns_are_recognised_and_columns_of_ones_own_win() -> None:
    head = read_head(FIXTURES / "BurstGPT_excerpt.csv")
    assert detect(head, Options()).name == "burstgpt"
    assert detect(head, Options(mapping={"input_tokens": "Total tokens"})).name == "log"


def test_requests_are_placed_from_the_start_of_the_log_on() -> None:
    trace = read(FIXTURES / "BurstGPT_excerpt.csv")
    rows = trace.table.to_pyarrow().to_pylist()
    assert (trace.kind, trace.rows_read, trace.rows_lost) == ("trace", 11, 0)
    assert rows[0]["time"] == datetime(2024, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert (rows[2]["model"], rows[2]["input_tokens"], rows[2]["output_tokens"]) == ("GPT-4", 417, 276)
    assert sum(row["input_tokens"] for row in rows) == 6569
    assert sum(row["output_tokens"] for row in rows) == 4341
    assert {row["task"] for row in rows} == {"Conversation log"}
    assert {row["episode"] for row in rows} == {None}
    assert "2024-01-01" in " ".join(trace.notes)


def test_a_request_without_response_tokens_failed() -> None:
    rows = read(FIXTURES / "BurstGPT_excerpt.csv").table.to_pyarrow().to_pylist()
    assert [row["time"].minute for row in rows if row["failed"]] == [18]
    rows = read(FIXTURES / "with_sessions.csv").table.to_pyarrow().to_pylist()
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows if row["failed"]] == [(700, 0)]


def test_a_session_is_an_episode_and_calls_of_the_api_have_none() -> None:
    rows = read(FIXTURES / "with_sessions.csv").table.to_pyarrow().to_pylist()
    assert [row["episode"] for row in rows] == ["7", None, "7", "8", "8"]
    assert [row["task"] for row in rows].count("API log") == 1
    assert rows[-1]["time"] == datetime(2024, 1, 1, 1, 1, 40, 250_000, tzinfo=UTC)
