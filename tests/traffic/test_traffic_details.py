"""The columns that only some logs fill: named or guessed, understood leniently, and never at the cost of a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_logs import read

from breakeven.errors import InputError
from breakeven.traffic.coverage import coverage_of
from breakeven.traffic.layout import LOG_START, Layout
from breakeven.traffic.read import read_trace
from breakeven.traffic.schema import DETAILS
from breakeven.traffic.staging import stage

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from small_logs import Write

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options
    from breakeven.traffic.staging import Rows


def minutes(values: list[Any], name: str) -> str:
    """Write a log of one request a minute, with one more column."""
    rows = [
        {"time": 1790848800 + 60 * n, "input_tokens": 100, "output_tokens": 1, name: value}
        for n, value in enumerate(values)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def said(path: Path, name: str, *, mapping: dict[str, str] | None = None) -> list[Any]:
    table = read(path, mapping).table.order_by("time").to_pyarrow()
    found: list[Any] = table[name].to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "values", "meanings"),
    [
        ("failed", [True, False, "FAILED", "success", 0, 1, 200, 429, "503", None], [1, 0, 1, 0, 0, 1, 0, 1, 1, None]),
        ("retry", [True, "false", 0, 1, 3, None], [1, 0, 0, 1, 1, None]),
        (
            "processing",
            ["default", "Standard", "batch", "flex", "priority", "priority_on_demand", None],
            ["standard", "standard", "batch", "flex", "priority", "priority", None],
        ),
        ("prefix_blocks", [[1, 2, 3], "[4,5]", [], None], [[1, 2, 3], [4, 5], [], None]),
        ("system_tokens", [0, 100, "7", 8.0, None], [0, 100, 7, 8, None]),
        ("history_tokens", [99, None], [99, None]),
        ("priority", [-100, 100, "-7", 8.0, 0, "1e1", None], [-100, 100, -7, 8, 0, 10, None]),
        ("deadline_s", [0.25, 30, "12.5", "1e3", None], [0.25, 30.0, 12.5, 1000.0, None]),
    ],
)
def test_a_detail_is_understood_however_it_is_written(
    log: Write, name: str, values: list[Any], meanings: list[Any]
) -> None:
    path = log(minutes(values, "mine"))
    assert said(path, name, mapping={name: "mine"}) == meanings
    assert not any("not understood" in note for note in read(path, {name: "mine"}).notes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("failed", "perhaps"),
        ("failed", "700"),
        ("retry", "-1"),
        ("processing", "scale"),
        ("prefix_blocks", "[1, null]"),
        ("prefix_blocks", "abc"),
        ("system_tokens", 101),
        ("system_tokens", -1),
        ("history_tokens", 1.5),
        ("priority", 1.5),
        ("priority", 101),
        ("priority", -101),
        ("priority", "high"),
        ("priority", "true"),
        ("deadline_s", 0),
        ("deadline_s", -1),
        ("deadline_s", "inf"),
        ("deadline_s", "nan"),
        ("deadline_s", "soon"),
    ],
)
def test_a_detail_that_is_not_understood_counts_as_not_said_and_is_told(log: Write, name: str, value: Any) -> None:
    path = log(minutes([value, None, value], "mine"))
    trace = read(path, {name: "mine"})
    assert trace.rows_lost == 0
    assert said(path, name, mapping={name: "mine"}) == [None, None, None]
    assert f"log: {name} of 2 rows is not understood and counts as not said, such as {str(value)!r}" in trace.notes


def test_the_words_of_a_prompt_stay_in_its_file(log: Write) -> None:
    path = log(minutes(["Tell me all.", "Tell me all.", "Nothing.", "", None], "prompt"))
    identities = said(path, "prompt_id", mapping={"prompt_id": "prompt"})
    assert identities[0] == identities[1]
    assert len({*identities[:3]}) == 2
    assert identities[3:] == [None, None]
    assert all(len(identity) == 32 for identity in identities[:3])


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("processing", "service_tier", ["default", "batch"]),
        ("failed", "response_status", [200, 500]),
        ("failed", "failed", ["true", "false"]),
        ("retry", "isRetry", [True, False]),
        ("prompt_id", "prompt_hash", ["a", "b"]),
        ("system_tokens", "system_prompt_tokens", [5, 6]),
        ("priority", "priority", [-100, 0, 100]),
        ("priority", "request_priority", ["1.0", "-2"]),
        ("deadline_s", "deadline_s", [0.5, 30]),
        ("deadline_s", "requestDeadlineS", ["1e2", ".5"]),
        ("processing", "service_tier", ["priority", "default"]),
    ],
)
def test_an_unmistakable_column_is_guessed(log: Write, name: str, column: str, values: list[Any]) -> None:
    assert None not in said(log(minutes(values, column)), name)


@pytest.mark.parametrize(
    ("name", "column", "values", "odd"),
    [
        ("processing", "service_tier", ["gold", "default"], "gold"),
        ("failed", "status_code", ["200", "12"], "12"),
        ("retry", "retry", [True, "yes, twice"], "yes, twice"),
        ("priority", "priority", ["high", "low"], "high"),
        ("priority", "priority", [1, 101], "101"),
        ("priority", "priority", [1, 1.5], "1.5"),
        ("priority", "priority", [True, False], "True"),
        ("deadline_s", "deadline_s", [5, 0], "0"),
        ("deadline_s", "deadline_s", [-1, 5], "-1"),
        ("deadline_s", "deadline_s", ["inf", "5"], "inf"),
        ("deadline_s", "deadline_s", ["2026-10-01T10:00:00Z", "5"], "2026-10-01T10:00:00Z"),
        ("priority", "priority", ["1", "word " * 20], ("word " * 20)[:40]),
    ],
)
def test_a_column_of_other_values_is_not_guessed_and_that_is_told(
    log: Write, name: str, column: str, values: list[Any], odd: str
) -> None:
    trace = read(log(minutes(values, column)))
    assert trace.table[name].count().to_pyarrow().as_py() == 0
    assert (
        f"log: {column} is not taken as {name}, since it holds {odd!r}; "
        f"--column {name}={column} takes it, and counts what is none as not said"
    ) in trace.notes


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_a_column_of_nothing_is_not_guessed(log: Write, nothing: str | None) -> None:
    trace = read(log(minutes([nothing] * 2, "failed")))
    assert trace.table.failed.count().to_pyarrow().as_py() == 0
    assert not any("failed" in note for note in trace.notes)


def test_a_failed_attempt_need_not_say_its_tokens(log: Write) -> None:
    rows = "".join(f"{1790848800 + 60 * n},100,1,200\n" for n in range(20)) + "1790850060,,,500\n1790850120,,,200\n"
    trace = read(log("time,input_tokens,output_tokens,status_code\n" + rows))
    assert [(problem.where, problem.what[:23]) for problem in trace.problems] == [("log:23", "input_tokens is missing")]
    assert trace.table.failed.sum().to_pyarrow().as_py() == 1
    assert "log: 1 failed request without tokens, counted as such" in trace.notes


def test_details_may_come_from_parquet(tmp_path: Path) -> None:
    times = [f"2026-10-01T10:0{n}:00Z" for n in range(3)]
    table = {
        "time": times,
        "input_tokens": [10, 10, 10],
        "output_tokens": [1, 1, 1],
        "prefix_blocks": [[1, 2], [1, 3], None],
        "failed": [True, False, None],
        "system_tokens": pa.array([3, None, 10], pa.int32()),
        "priority": pa.array([-5, None, 10], pa.int8()),
        "deadline_s": pa.array([None, 0.5, 30], pa.float32()),
    }
    pq.write_table(pa.table(table), tmp_path / "log")
    found = read(tmp_path / "log").table.order_by("time").to_pyarrow()
    names = ("prefix_blocks", "failed", "system_tokens", "priority", "deadline_s")
    assert [found[name].to_pylist() for name in names] == [
        [[1, 2], [1, 3], None],
        [True, False, None],
        [3, None, 10],
        [-5, None, 10],
        [None, 0.5, 30.0],
    ]


def test_priorities_and_deadlines_may_come_from_csv(log: Write) -> None:
    rows = "".join(f"{1790848800 + n},1,1,{said}\n" for n, said in enumerate(("-5,0.5", ",", "10,30")))
    path = log("time,input_tokens,output_tokens,priority,deadline_s\n" + rows)
    assert said(path, "priority") == [-5, None, 10]
    assert said(path, "deadline_s") == [0.5, None, 30.0]


def test_a_service_tier_and_a_priority_stand_side_by_side(log: Write) -> None:
    path = log(
        "time,input_tokens,output_tokens,service_tier,priority\n1790848800,1,1,priority,3\n1790848801,1,1,default,-3\n"
    )
    assert said(path, "processing") == ["priority", "standard"]
    assert said(path, "priority") == [3, -3]


def test_a_profile_does_not_read_who_waits_before_whom(log: Write) -> None:
    path = log("time,input_tokens,output_tokens,priority,deadline_s\n1790848800,1,1,3,2\n1790848900,1,1,4,2\n")
    seen = coverage_of(read(path).table.drop("priority", "deadline_s"))
    assert seen.requests == 2
    assert seen.said == {}


class CountedReader:
    """Reads times that count from the log's start, in milliseconds, and blocks of 16 tokens."""

    name = "counted"

    def sniff(self, head: Head, options: Options) -> bool:  # noqa: ARG002 - the protocol's signature
        return True

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        columns = {column.name: (column,) for column in head.columns}
        return stage(
            backend,
            head,
            Layout(kind="trace", columns=columns, time_unit_s=0.001, block_tokens=self.block_tokens(head)),
        )

    def block_tokens(self, head: Head) -> int:
        return 16 if head.file == "log" else 32


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("breakeven.traffic.readers.READERS", (CountedReader(),))


@pytest.mark.usefixtures("counted")
def test_times_that_count_from_the_start_are_placed_on_a_monday(log: Write) -> None:
    rows = "0,1,1,[1]\n1500,1,2,[1]\n86400000,1,3,[1]\n-1,1,4,[1]\nsoon,1,5,[1]\n400000000000,1,6,[1]\n"
    trace = read(log("time,input_tokens,output_tokens,prefix_blocks\n" + rows))
    times: list[datetime] = trace.table.order_by("time").to_pyarrow()["time"].to_pylist()
    assert [(time - LOG_START).total_seconds() for time in times] == [0, 1.5, 86400]
    assert LOG_START.strftime("%A") == "Monday"
    assert [problem.where for problem in trace.problems] == ["log:5", "log:6", "log:7"]
    assert "time is '-1', which is no time counted from the start of the log" in trace.problems[0].what
    assert any("is taken for Monday 2024-01-01 00:00 UTC" in note for note in trace.notes)
    assert trace.block_tokens == 16


@pytest.mark.usefixtures("counted")
def test_blocks_of_different_sizes_are_not_read_as_one(log: Write) -> None:
    files = [
        log(f"time,input_tokens,output_tokens,prefix_blocks\n{n},1,1,[1]\n9{n},1,1,[1]\n", name)
        for n, name in enumerate(("log", "other"))
    ]
    with pytest.raises(InputError, match="blocks of different sizes, in tokens: log has 16, other has 32"):
        read_trace(files)


def test_the_details_that_may_be_named_are_those_of_the_table(log: Write) -> None:
    path = log(minutes([1, 2], "x"))
    with pytest.raises(InputError, match=", ".join(DETAILS)):
        read_trace([path], mapping={"nothing": "x"})
