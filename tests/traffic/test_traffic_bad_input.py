"""What cannot be read is told with its line, its value and what to do; the rest is never lost in silence."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_logs import GOOD, HEADER, read

from breakeven.errors import InputError
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from small_logs import Write

DAY = "2026-10-01T"


def refusal(*paths: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_trace(paths, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "trace.csv") == (
        f"{tmp_path}/trace.csv: there is no such file. Check the name and the folder."
    )


def test_a_directory_is_refused_with_what_to_name_instead(tmp_path: Path) -> None:
    assert f"is a directory, and a trace is one or more files. Name the files, as in {tmp_path}/*.csv." in refusal(
        tmp_path
    )


def test_naming_no_file_is_refused() -> None:
    assert "no file was named" in refusal()


def test_every_unusable_file_is_told_at_once(tmp_path: Path, log: Write) -> None:
    told = refusal(tmp_path / "none", log(""), log(HEADER + GOOD, "good"))
    assert told.startswith("2 of 3 files cannot be used.")
    assert "there is no such file" in told
    assert "log is empty (0 bytes)" in told


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("trace.csv", HEADER + GOOD)


def rowless(path: Path) -> None:
    pq.write_table(pa.table({"time": pa.array([], pa.string())}), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "log is empty (0 bytes): there is no traffic in it. Export the log again."),
        (b" \n\n", "log holds nothing but white space"),
        (HEADER.encode(), "log holds one line and no rows ('time,input_tokens,output_tokens')"),
        (b"\x00\x01\x02junk", "log is binary (a zero byte at offset 0), neither text nor Parquet."),
        (b"time,in\xe9\n1,2\n", "log is not UTF-8 text: byte 0xe9 at offset 7."),
        ((HEADER + GOOD).encode("utf-16"), "log is text in UTF-16; CSV, JSON lines and Parquet are read"),
        (b"PAR1 and nothing more", "log starts like Parquet but is damaged"),
        (gzip.compress(GOOD.encode())[:30], "log: cannot be read (Compressed file ended"),
        (b"[1, 2]", "log starts like JSON, but none of its first values is a JSON object with fields ('[1, 2]')"),
        (b"[]", "log starts like JSON, but none of its first values is a JSON object with fields ('[]')"),
        (b'[{"time": 1}', "log: the file ends inside entry [1] of line 1; it was cut off"),
        (b'{\n"time": 1', "log: the file ends inside the value of line 1; it was cut off"),
        (b'[{"time": 1}\n{"time": 2}]', "log: entry [1] of line 2 is not JSON (',' is missing before it)"),
        (b"{not json\n", "log starts like JSON, but none of its first values is a JSON object"),
        (zipped, "log is a zip archive (or a spreadsheet); CSV, JSON lines and Parquet are read"),
        (rowless, "log holds columns and no rows"),
    ],
    ids=lambda value: "" if isinstance(value, str) else getattr(value, "__name__", repr(value)[:12]),
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes | Callable[[Path], None], message: str) -> None:
    path = tmp_path / "log"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    assert refusal(path).startswith(message)


def test_a_gzip_cut_short_far_behind_its_head_is_refused(log: Write) -> None:
    rows = "".join(f"{1790848800 + i},{i * 7919 % 10007},{i * 104729 % 997}\n" for i in range(150_000))
    told = refusal(log(gzip.compress((HEADER + rows).encode(), compresslevel=1)[:-1000]))
    assert told.startswith("log: cannot be read to its end (")


def test_wrong_columns_are_told_with_the_nearest_name_and_how_to_map_it(log: Write) -> None:
    assert refusal(log("when,prompt_toks,completions\n" + GOOD)) == (
        "log: 3 of the 3 columns needed (time, input_tokens, output_tokens) cannot be told from the names found: "
        "when, prompt_toks, completions.\n"
        "  log: no column was recognised as time. Name it: --column time=COLUMN\n"
        "  log: no column was recognised as input_tokens. The nearest is prompt_toks. "
        "Name it: --column input_tokens=COLUMN\n"
        "  log: no column was recognised as output_tokens. The nearest is completions. "
        "Name it: --column output_tokens=COLUMN"
    )


def test_a_file_without_a_header_is_told_so(log: Write) -> None:
    assert "The first line looks like data: put a line of column names above it." in refusal(log(GOOD))


def test_a_mapping_to_what_is_not_there_is_told_in_full(log: Write) -> None:
    told = refusal(log(HEADER + GOOD), mapping={"time": "tiem", "inptu_tokens": "input_tokens", "model": "a+time"})
    assert "--column time=tiem: log has no column tiem. The nearest is time. Found: time, input_tokens" in told
    assert "--column inptu_tokens=input_tokens: inptu_tokens is not a column of the request table." in told
    assert "Did you mean input_tokens?" in told
    assert "log has no column a+time" in told


@pytest.mark.parametrize(
    ("row", "what", "fix"),
    [
        (
            f"{DAY}10:09:00Z,,5",
            "input_tokens is missing, and a request without it cannot be priced.",
            "Correct the row",
        ),
        (f"{DAY}10:09:00Z,5,", "output_tokens is missing", "Correct the row or leave it out."),
        (f"{DAY}10:09:00Z,NaN,5", "input_tokens is 'NaN', which is not a number.", "Write whole tokens"),
        (f"{DAY}10:09:00Z,inf,5", "input_tokens is 'inf', which is not a number.", "Write whole tokens"),
        (f"{DAY}10:09:00Z,12 tokens,5", "input_tokens is '12 tokens', which is not a number.", "without separators"),
        (f'{DAY}10:09:00Z,"1,000",5', "input_tokens is '1,000', which is not a number.", "without separators"),
        (f"{DAY}10:09:00Z,12.5,5", "input_tokens is 12.5, and tokens are whole;", "--column"),
        (f"{DAY}10:09:00Z,5,-3", "output_tokens is -3, and no count is negative.", "Correct the row"),
        (
            f"{DAY}10:09:00Z,10000001,5",
            "input_tokens is 10000001, more than the 10,000,000 that are believed of one row.",
            "If rows are totals and not requests, give monthly totals with a month column",
        ),
        (",5,5", "time is missing, so the request has no place in time.", "Correct the row"),
        ("5/10/2026 10:00,5,5", "time is '5/10/2026 10:00', which is no time", "Write 2026-10-31T18:15:46Z"),
        ("2026-02-30T10:00:00Z,5,5", "time is '2026-02-30T10:00:00Z', which is no time", "or seconds"),
        (f"{DAY}10:09:00 Europe/Berlin,5,5", "which is no time that can be read without guessing.", "Write"),
        (
            "1234,5,5",
            "time is '1234', which as a date or as seconds since 1970 lies outside 2000 to 2100.",
            "counts from",
        ),
        ("1999-12-31T23:00:00Z,5,5", "lies outside 2000 to 2100.", "add the time at which the log starts"),
        (f"{DAY}10:09:00Z,5", "the row has 2 values where the header names 3.", "Complete the row."),
        (f"{DAY}10:09:00Z,5,5,5,5", "the row has 5 values where the header names 3.", "Quote values that hold ','."),
        (f'{DAY}10:09:00Z,"5"x,5', "a quote is opened and not closed as it should be (", "Mend the quotes."),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_value_and_the_others_are_used(
    log: Write, row: str, what: str, fix: str
) -> None:
    trace = read(log(HEADER + GOOD + row + f"\n{DAY}10:10:00Z,1,1\n"))
    assert (trace.rows_read, trace.rows_lost, trace.table.count().to_pyarrow().as_py()) == (42, 1, 41)
    (problem,) = trace.problems
    assert problem.where == "log:42"
    assert what in problem.what
    assert fix in problem.fix


def test_more_cached_than_input_tokens_are_told_with_both(log: Write) -> None:
    header = "time,input_tokens,output_tokens,cached_tokens,cache_write_tokens\n"
    rows = "".join(f"{DAY}10:00:0{i}Z,10,{i},1,\n" for i in range(5))
    (problem,) = read(log(f"{header}{rows}{DAY}10:00:09Z,10,1,8,3\n")).problems
    assert str(problem) == (
        "log:7: cached and cache-write tokens are 11 of 10 input tokens, of which they are a part. "
        "If your input leaves out cached tokens, name the sum: --column input_tokens=INPUT+CACHED"
    )


def test_broken_json_lines_are_told_with_line_and_text(log: Write) -> None:
    good = "".join(f'{{"time": {1790848800 + i}, "input_tokens": {i}, "output_tokens": 1}}\n' for i in range(30))
    trace = read(log(good + '\n{"time": 1790848900,\n[1, 2]\n'))
    assert [str(problem) for problem in trace.problems] == [
        'log:32: the line is not a JSON object ({"time": 1790848900,). Correct the line or leave it out.',
        "log:33: the line is not a JSON object ([1, 2]). Correct the line or leave it out.",
    ]
    assert (trace.rows_read, trace.rows_lost) == (32, 2)


def test_line_numbers_are_those_of_the_file_behind_blank_lines_and_quoted_line_breaks(log: Write) -> None:
    content = (
        "\n" + HEADER.replace("\n", ",model\n") + f'{DAY}10:00:00Z,1,1,"two\nlines"\n\n{DAY}10:00:01Z,1\n'
        f"{DAY}10:00:02Z,-1,1,a\n{DAY}10:00:03Z,1,1,a\n"
    )
    trace = read(log(content))
    assert {problem.where for problem in trace.problems} == {"log:6", "log:7"}


def test_rows_of_parquet_are_told_by_number(tmp_path: Path) -> None:
    times = [f"{DAY}10:00:0{i}Z" for i in range(4)]
    table = pa.table({"time": times, "input_tokens": [1.0, 2.0, 2.5, None], "output_tokens": [1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "log")
    trace = read(tmp_path / "log")
    assert [(problem.where, problem.what.split(",")[0]) for problem in trace.problems] == [
        ("log:3", "input_tokens is 2.5"),
        ("log:4", "input_tokens is missing"),
    ]


def test_at_most_twenty_rows_of_a_kind_are_listed_and_then_counted(log: Write) -> None:
    bad = "".join(f"{DAY}10:10:{i}Z,-{i},1\n" for i in range(10, 35)) + f"{DAY}10:11:00Z,,1\n"
    problems = read(log(HEADER + GOOD + bad)).problems
    assert len(problems) == 20 + 1 + 1
    assert str(problems[20]) == "log: 25 rows have this fault (input_tokens: negative); the first 20 are listed above."


def test_too_many_lost_rows_are_refused_with_the_list_and_what_would_accept_them(log: Write) -> None:
    path = log(HEADER + GOOD.splitlines(keepends=True)[0] + GOOD + "x,1,1\ny,1,1\nz,1,1\n")
    told = refusal(path)
    assert told.startswith(
        "rows that cannot be used: 3 of 44 rows (6.8%); 5.0% is tolerated, because figures from the rest could "
        "mislead. Mend the file, or accept it with --tolerate 0.07."
    )
    assert told.count("which is no time that can be read without guessing") == 3
    assert read_trace([path], tolerate_fraction=0.07).rows_lost == 3


def test_a_file_of_which_nothing_remains_is_refused_whatever_is_tolerated(log: Write) -> None:
    assert refusal(log(HEADER + "x,1,1\n"), tolerate_fraction=1.0).startswith("no row can be used, of 1 read.")


def test_times_counted_from_the_start_of_the_log_are_refused_with_what_to_add(log: Write) -> None:
    told = refusal(log("timestamp,input_length,output_length\n0,1,2\n27,3,4\n"))
    assert "If it counts from the start of the log, add the time at which the log starts." in told


def test_a_file_that_mixes_times_with_and_without_a_zone_is_refused(log: Write) -> None:
    path = log(HEADER + GOOD + f"{DAY}10:01:00,1,2\n{DAY}10:01:01,1,3\n")
    assert refusal(path) == (
        "log: 2 times without a zone (first in line 42) and 40 times with one (first in line 2). The first kind cannot "
        "be placed among the second. Say what they mean: --zone UTC, or --zone Europe/Berlin."
    )
    assert read_trace([path], zone="UTC").rows_lost == 0


def test_a_single_instant_is_refused(log: Write) -> None:
    told = refusal(log(HEADER + f"{DAY}10:00:00Z,1,2\n{DAY}10:00:00Z,1,3\n"))
    assert told.startswith("log: no time but 2026-10-01 10:00:00+00:00 in 2 usable rows, so no rate can be derived.")


def test_a_log_without_any_tokens_is_refused(log: Write) -> None:
    told = refusal(log(HEADER + f"{DAY}10:00:00Z,0,0\n{DAY}10:00:01Z,0,0\n"))
    assert told.startswith("log: no tokens at all in 2 usable rows (every input and output count is 0)")


def test_rows_out_of_order_are_counted_and_used(log: Write) -> None:
    path = log(HEADER + GOOD + f"{DAY}09:00:00Z,1,2\n{DAY}09:30:00Z,1,2\n")
    trace = read_trace([path])
    (problem,) = trace.problems
    assert str(problem) == (
        "log:42: 1 row earlier than the row before; the first is of 2026-10-01 09:00:00+00, after 2026-10-01 "
        "10:00:39+00. No figure depends on order; but if it surprises you, files may have been joined wrongly."
    )
    assert trace.rows_lost == 0


def test_too_much_disorder_is_refused(log: Write) -> None:
    lines = GOOD.splitlines(keepends=True)
    told = refusal(log(HEADER + "".join(reversed(lines))))
    assert told.startswith("rows out of order: 39 of 40 rows (97.5%); 5.0% is tolerated")


def test_repeated_rows_are_counted_and_used(log: Write) -> None:
    lines = GOOD.splitlines(keepends=True)
    trace = read_trace([log(HEADER + "".join(lines[:30]) + lines[29] + "".join(lines[30:]))])
    assert str(trace.problems[0]).startswith(
        "log:32: 1 row the same as an earlier one in every column; the first is of 2026-10-01 10:00:29+00 with 129 "
        "input and 29 output tokens."
    )
    assert trace.rows_lost == 0


def test_a_log_given_twice_is_refused(log: Write) -> None:
    told = refusal(log(HEADER + GOOD, "one"), log(HEADER + GOOD, "two"))
    assert told.startswith("repeated rows: 40 of 80 rows (50.0%)")
    assert "two:2: 40 rows the same as an earlier one" in told


CELL = st.sampled_from(["", "0", "7", "12.0", "1.5", "-1", "nan", "x", "20000000", '"8"', '"9', "2026-10-01T10:00:00Z"])
TIMES = st.sampled_from([f"{DAY}10:00:00Z", f"{DAY}10:00:01Z", f"{DAY}10:00:02Z", "1790848803", "", "soon", "12"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TIMES, st.lists(CELL, min_size=1, max_size=3)), max_size=12))
def test_every_row_is_either_used_or_lost(log: Write, rows: list[tuple[str, list[str]]]) -> None:
    lines = [",".join([time, *cells]) for time, cells in rows]
    broken_quotes = any(cell == '"9' for _, cells in rows for cell in cells)
    trace = read(log(HEADER + f"{DAY}09:00:00Z,1,1\n{DAY}09:00:01Z,1,2\n" + "".join(f"{line}\n" for line in lines)))
    used = trace.table.count().to_pyarrow().as_py()
    assert trace.rows_read == used + trace.rows_lost
    if not broken_quotes:  # where a quote runs over the line's end, lines are not rows
        assert trace.rows_read == 2 + len(rows)


def test_a_damaged_byte_anywhere_in_a_parquet_is_told_or_harmless(log: Write, tmp_path: Path) -> None:
    columns = {
        "time": pa.array([1_760_000_000_000_000 + n * 1_000_000 for n in range(6)], pa.timestamp("us")),
        "input_tokens": list(range(6)),
        "output_tokens": [3] * 6,
        "note": [f"note {n}" for n in range(6)],
    }
    path = tmp_path / "sound.parquet"
    pq.write_table(pa.table(columns), path)
    sound = path.read_bytes()
    refused = 0
    for place in range(0, len(sound), 23):
        try:
            profile(read_trace([log(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])]))
        except InputError:
            refused += 1
    assert refused


def test_values_that_belie_the_statistics_of_a_parquet_are_judged_by_themselves(log: Write, tmp_path: Path) -> None:
    """A damaged value outside the stated least and greatest: a check of sign must not be skipped as needless."""
    columns = {
        "time": pa.array([1_760_000_000_000_000 + n * 1_000_000 for n in range(4)], pa.timestamp("us")),
        "input_tokens": [10, 7_654_321, 30, 9_000_000],
        "output_tokens": [3] * 4,
    }
    path = tmp_path / "sound.parquet"
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
    sound = path.read_bytes()
    value = (7_654_321).to_bytes(8, "little")
    assert sound.count(value) == 1
    damaged = log(sound.replace(value, (-7_654_321).to_bytes(8, "little", signed=True)))
    trace = read_trace([damaged], tolerate_fraction=0.5)
    assert trace.rows_lost == 1
    assert "is -7654321, and no count is negative" in str(trace.problems[0])


def test_a_parquet_that_breaks_off_under_a_readers_own_query_is_told(log: Write, tmp_path: Path) -> None:
    count = 6_000
    columns = {
        "timestamp": [0.5 + n for n in range(count)],
        "input_length": [30] * count,
        "output_length": [3] * count,
        "hash_ids": [[n] for n in range(count)],
        "chat_id": list(range(count)),
        "parent_chat_id": [-1] * count,
    }
    path = tmp_path / "sound.parquet"
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False, row_group_size=2_000)
    sound = path.read_bytes()
    group = pq.read_metadata(path).row_group(2)
    parent = next(
        group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "parent_chat_id"
    )
    start, size = parent.data_page_offset, parent.total_compressed_size
    with pytest.raises(InputError, match=r"cannot be read to its end \((.|\n)*\)\. Check the file, or export it anew"):
        read_trace([log(sound[:start] + b"\xff" * size + sound[start + size :])])
