"""Mooncake and Qwen-Bailian: blocks of prompts, equal prompts, and turns that follow one another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from small_logs import read

from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.readers import detect

if TYPE_CHECKING:
    from small_logs import Write

FIXTURES = Path(__file__).parent / "fixtures" / "mooncake"


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(path).table.to_pyarrow().to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "block_tokens"), [("synthetic_excerpt", 512), ("conversation_excerpt", 512), ("bailian", 16)]
)
def test_the_published_files_are_recognised_with_the_size_of_their_blocks(name: str, block_tokens: int) -> None:
    path = FIXTURES / f"{name}.jsonl"
    assert detect(read_head(path), Options()).name == "mooncake"
    trace = read(path)
    assert (trace.kind, trace.rows_lost, trace.block_tokens) == ("trace", 0, block_tokens)


def test_mooncake_counts_milliseconds_and_keeps_blocks_in_order() -> None:
    rows = rows_of(FIXTURES / "synthetic_excerpt.jsonl")
    assert len(rows) == 9
    assert rows[1]["time"] == datetime(2024, 1, 1, 0, 0, 2, 775_000, tzinfo=UTC)
    assert (rows[1]["input_tokens"], rows[1]["output_tokens"]) == (546, 78)
    assert rows[1]["prefix_blocks"] == [499, 500]
    assert sum(row["input_tokens"] for row in rows) == 14_762
    assert all(-(-row["input_tokens"] // 512) == len(row["prefix_blocks"]) for row in rows)


def test_equal_prompts_have_equal_ids_and_others_have_not() -> None:
    rows = rows_of(FIXTURES / "synthetic_excerpt.jsonl")
    ids = [row["prompt_id"] for row in rows]
    assert ids[2] == ids[3]  # the same 13 tokens, asked twice
    assert ids[4] == ids[5]
    assert ids[6] == ids[7]
    assert len(set(ids)) == 6
    assert {row["episode"] for row in rows} == {None}


def test_a_turn_belongs_to_the_conversation_of_its_parent() -> None:
    rows = rows_of(FIXTURES / "bailian.jsonl")
    assert [row["episode"] for row in rows] == ["0", "1", "0", "0", "4", "5"]
    assert [row["task"] for row in rows] == ["text", "search", "text", "text", "image", "search"]
    assert {row["target"] for row in rows} == {None}
    assert rows[3]["time"] == datetime(2024, 1, 1, 0, 1, 1, 114_000, tzinfo=UTC)


def test_history_is_what_the_parent_read_and_wrote_and_unknown_where_the_parent_is_not_in_the_file() -> None:
    rows = rows_of(FIXTURES / "bailian.jsonl")
    # First turns have none; 40 + 20, then 90 + 33; the parent of the fifth (77) came before the log.
    assert [row["history_tokens"] for row in rows] == [0, 0, 60, 123, None, 0]


def bailian_row(chat: int, parent: int, **more: Any) -> str:
    row = {"chat_id": chat, "parent_chat_id": parent, "timestamp": chat, "input_length": 20, "output_length": 5}
    return json.dumps({**row, "type": "text", "turn": 1, "hash_ids": [1, 2], **more}) + "\n"


def test_history_is_no_more_than_the_input_and_turns_in_a_circle_stay_by_themselves(log: Write) -> None:
    rows = rows_of(log(bailian_row(1, -1) + bailian_row(2, 1) + bailian_row(3, 4) + bailian_row(4, 3)))
    assert [row["history_tokens"] for row in rows] == [0, 20, 20, 20]
    assert [row["episode"] for row in rows] == ["1", "1", "3", "4"]


def test_a_conversation_may_be_long_and_be_logged_in_any_order(log: Write) -> None:
    turns = [bailian_row(0, -1), *(bailian_row(turn, turn - 1) for turn in range(1, 300))]
    rows = rows_of(log("".join(reversed(turns))))
    assert {row["episode"] for row in rows} == {"0"}


@pytest.mark.parametrize(("block_tokens", "told"), [(64, True), (512, False)])
def test_other_sizes_of_blocks_are_told_by_the_lengths(log: Write, block_tokens: int, *, told: bool) -> None:
    lengths = [(100 + 37 * i, -(-(100 + 37 * i) // block_tokens)) for i in range(30)]
    lines = "".join(
        json.dumps({"timestamp": i, "input_length": n, "output_length": 1, "hash_ids": list(range(blocks))}) + "\n"
        for i, (n, blocks) in enumerate(lengths)
    )
    trace = read(log(lines))
    assert trace.block_tokens == block_tokens
    assert (f"blocks of {block_tokens} tokens" in " ".join(trace.notes)) == told


def test_blocks_of_no_size_are_kept_without_one(log: Write) -> None:
    row = '{{"timestamp": {0}, "input_length": {1}, "output_length": 1, "hash_ids": [{0}]}}\n'
    trace = read(log(row.format(0, 3000) + row.format(1, 12)))
    assert trace.block_tokens is None
    rows = trace.table.to_pyarrow().to_pylist()
    assert [row["prefix_blocks"] for row in rows] == [[0], [1]]
    assert [row["prompt_id"] for row in rows] == [None, None]
    assert "no usual block size" in " ".join(trace.notes)
