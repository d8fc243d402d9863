"""ServeGen: rates and mean lengths of a model, in two files that are worth nothing alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.errors import InputError
from breakeven.traffic.read import read_trace
from breakeven.traffic.schema import WINDOW_COLUMNS

if TYPE_CHECKING:
    from small_logs import Write

    from breakeven.traffic.trace import Trace

FIXTURES = Path(__file__).parent / "fixtures" / "servegen"
RATES, LENGTHS = FIXTURES / "one_model" / "rates.csv", FIXTURES / "one_model" / "lengths.csv"
TWO = sorted((FIXTURES / "two_models").iterdir())


def rows_of(trace: Trace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace.table.order_by("time").to_pyarrow().to_pylist()
    return found


@pytest.mark.parametrize("files", [[RATES, LENGTHS], [LENGTHS, RATES]], ids=["rates first", "lengths first"])
def test_a_window_has_its_rate_times_its_length_in_requests_and_those_times_the_mean_in_tokens(
    files: list[Path],
) -> None:
    trace = read_trace(files)
    rows = rows_of(trace)
    assert (trace.kind, trace.rows_read, trace.rows_lost) == ("windows", 4, 0)
    assert trace.table.columns == WINDOW_COLUMNS
    # 212.78/s for 600 s, each request with 359.7826797999722 input and 301.10665446028355 output tokens.
    assert (rows[0]["requests"], rows[0]["input_tokens"], rows[0]["output_tokens"]) == (127_668, 45_932_735, 38_441_684)
    assert [row["window_s"] for row in rows] == [600] * 4
    assert [row["time"] for row in rows] == [
        datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * window) for window in range(4)
    ]
    assert "estimates" in " ".join(trace.notes)


def test_windows_take_the_lengths_of_the_six_hours_they_lie_in() -> None:
    large = [row for row in rows_of(read_trace(TWO)) if row["model"] == "language_m-large"]
    last_of_first, first_of_second = large[35], large[36]
    # 225.11/s at 21,000 s with the first means, 231.76/s at 21,600 s with the second.
    assert last_of_first["requests"] == 135_066
    assert last_of_first["input_tokens"] == round(135_066 * 359.7826797999722) == 48_594_407
    assert first_of_second["requests"] == 139_056
    assert first_of_second["input_tokens"] == round(139_056 * 442.49000374777006) == 61_530_890


def test_the_files_of_several_models_find_each_other_by_name() -> None:
    trace = read_trace([*reversed(TWO)])
    assert trace.rows_read == 76
    first = {row["model"]: row for row in rows_of(trace)[:2]}
    assert first["language_m-small"]["requests"] == 485_857  # 809.7616666666668/s
    assert first["language_m-small"]["output_tokens"] == round(485_857 * 25.912230425526946)
    assert first["language_m-large"]["requests"] == 127_668
    assert not trace.problems


@pytest.mark.parametrize(("alone", "missing"), [(RATES, "mean_input_tokens"), (LENGTHS, "t,rps")])
def test_one_file_alone_names_the_other(alone: Path, missing: str) -> None:
    with pytest.raises(InputError, match="together with it") as caught:
        read_trace([alone])
    assert missing in str(caught.value)
    assert alone.name in str(caught.value)


def test_files_that_do_not_find_each_other_are_refused_by_name(log: Write) -> None:
    rates, lengths = RATES.read_bytes(), LENGTHS.read_bytes()
    files = [log(rates, "a_rps_10min.csv"), log(rates, "b_rps_10min.csv"), log(lengths, "a_lengths.csv")]
    with pytest.raises(InputError, match=r"b_rps_10min.csv: 0 files of lengths are named like these rates"):
        read_trace(files)


def test_a_window_without_lengths_or_with_a_rate_that_is_none_is_lost_with_its_line(log: Write) -> None:
    rates = log("t,rps\n0,1\n600,x\n1200,-1\n1800,2\n43200,3\n", "rates.csv")
    trace = read_trace([rates, log(LENGTHS.read_bytes(), "lengths.csv")], tolerate_fraction=1)
    assert (trace.rows_read, trace.rows_lost) == (5, 3)
    told = [str(problem) for problem in trace.problems]
    assert [line for line in told if line.startswith("rates.csv:3")]
    assert [line for line in told if line.startswith("rates.csv:6") and "43200" in line]


def test_lengths_that_are_no_numbers_are_refused_with_every_line(log: Write) -> None:
    lengths = log("t,mean_input_tokens,mean_output_tokens\n0,1,2\n21600,nan,2\n43200,1,\n", "lengths.csv")
    with pytest.raises(InputError) as caught:
        read_trace([RATES, lengths])
    assert [problem.where for problem in caught.value.problems] == ["lengths.csv:3", "lengths.csv:4"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chunk-0-trace.csv", "0,1.33,8.598,Weibull,0.375,0.397\n600,0,0,,0,0\n1200,0.27,6.01,Weibull,0.49,3.38\n"),
        ("chunk-0-dataset.json", '{"0": {"input_tokens": "{224: 0.5, 225: 0.5}", "output_tokens": "{1: 1.0}"}}'),
    ],
)
def test_one_clients_part_is_refused_with_what_to_sum(log: Write, name: str, content: str) -> None:
    with pytest.raises(InputError, match="one client of a ServeGen model"):
        read_trace([log(content, name)])
