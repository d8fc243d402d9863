"""Bills: totals by month, without times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_logs import GOOD, HEADER, profiled, read

from breakeven.errors import InputError
from breakeven.traffic.read import read_trace
from breakeven.traffic.schema import BILL_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from small_logs import Write

BILL = "month,model,requests,input_tokens,cached_input_tokens,output_tokens\n"


def test_a_bill_is_summed_by_month_and_model(log: Write) -> None:
    found = profiled(log(BILL + "2026-08,a,10,3000000000,500,200\n2026-09,a,20,4000000000,,300\n2026-09,b,5,10,0,1\n"))
    assert (found.kind, found.months, found.times) == ("bill", 2.0, None)
    assert (found.usage.input_tokens, found.usage.cached_input_tokens, found.usage.output_tokens) == (
        7_000_000_010,
        500,
        501,
    )
    assert [(share.model, share.requests) for share in found.models] == [("a", 30), ("b", 5)]
    assert (found.input_lengths, found.output_lengths) == (None, None)


def test_a_bill_that_states_requests_has_them_and_no_second_moments(log: Write) -> None:
    moments = profiled(log(BILL + "2026-08,a,10,3000,500,200\n")).moments
    assert (moments.requests, moments.input_tokens, moments.output_tokens) == (10, 3000, 200)
    assert (moments.input_output_tokens2, moments.output_output_tokens2) == (0.0, 0.0)


@pytest.mark.parametrize(
    "content", ["month,input_tokens,output_tokens\n2026-08,5,6\n", BILL + "2026-08,a,10,5,0,6\n2026-08,b,,5,0,6\n"]
)
def test_requests_that_are_not_stated_for_every_row_are_unknown(log: Write, content: str) -> None:
    assert profiled(log(content)).moments.requests == 0


def test_a_bill_has_one_cell_whatever_the_thresholds(log: Write) -> None:
    found = profiled(log(BILL + "2026-08,a,10,3000,500,200\n"), input_thresholds_tokens=(100,))
    (cell,) = found.cells
    assert (cell.input_over_tokens, cell.day_segment, cell.requests, cell.usage) == (0, 0, 10, found.usage)


@pytest.mark.parametrize(
    "month", ["2026-10", "2026/10", "2026-10-01", "2026-10-01 00:00:00", "Oct 2026", "October 2026"]
)
@pytest.mark.parametrize("column", ["month", "Billing Period", "period"])
def test_a_month_is_understood_however_it_is_written(log: Write, month: str, column: str) -> None:
    trace = read(log(f"{column},input_tokens,output_tokens\n{month},5,6\n"))
    assert trace.kind == "bill"
    assert trace.table.columns == BILL_COLUMNS
    assert [row["month"].isoformat() for row in trace.table.to_pyarrow().to_pylist()] == ["2026-10-01"]


def test_a_bill_may_be_json_lines_or_parquet(tmp_path: Path, log: Write) -> None:
    rows = [{"month": f"2026-0{n}", "input_tokens": n, "output_tokens": 2 * n} for n in (7, 8)]
    lines = profiled(log("".join(json.dumps(row) + "\n" for row in rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table")
    assert profiled(tmp_path / "table").usage == lines.usage
    assert lines.months == 2.0


def test_the_user_may_name_the_month(log: Write) -> None:
    path = log("created,in,out\n2026-10-01,5,6\n2026-11-01,5,7\n")
    mapping = {"month": "created", "input_tokens": "in", "output_tokens": "out"}
    assert read_trace([path], mapping=mapping).kind == "bill"


def test_months_that_are_none_are_told(log: Write) -> None:
    trace = read(log(BILL + "2026-08,a,10,5,0,6\n2026-08-15,a,1,5,0,6\nAugust,a,1,5,0,6\n2026-09,a,-1,5,0,6\n"))
    assert [str(problem) for problem in trace.problems] == [
        (
            "log:3: month is '2026-08-15', a day inside a month, and a bill has months. "
            "Add the days up by month, or give the requests with their times."
        ),
        "log:4: month is 'August', which is no month. Write 2026-10.",
        "log:5: requests is -1, and no count is negative. Correct the row or leave it out.",
    ]
    assert (trace.rows_read, trace.rows_lost) == (4, 3)


def test_a_bill_that_skips_months_says_so(log: Write) -> None:
    trace = read(log(BILL + "2026-08,a,10,5,0,6\n2026-11,a,1,5,0,6\n"))
    assert "the bill holds 2 of the 4 months it spans; the others are left out" in trace.notes


def test_a_bill_and_a_trace_are_not_read_as_one(log: Write) -> None:
    bill, trace = log(BILL + "2026-08,a,10,5,0,6\n", "bill"), log(HEADER + GOOD, "trace")
    with pytest.raises(InputError, match="cannot be read as one: bill is a bill, trace is a trace"):
        read_trace([bill, trace])


def test_a_month_column_beside_a_time_is_no_bill(log: Write) -> None:
    rows = "2026-10,2026-10-01T10:00:00Z,1,2\n2026-10,2026-10-01T10:00:01Z,1,2\n"
    assert read(log("month,time,input_tokens,output_tokens\n" + rows)).kind == "trace"
