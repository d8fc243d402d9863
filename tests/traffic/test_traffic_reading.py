"""What can be read: forms, columns, times; and that the form makes no difference."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_logs import GOOD, HEADER

from breakeven.errors import InputError
from breakeven.traffic import checks, sql, staging
from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.readers import READERS, detect
from breakeven.traffic.schema import AT_US, REQUEST_COLUMNS, REQUEST_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from small_logs import Write

    from breakeven.records import TrafficProfile, TrafficTimes
    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Layout
    from breakeven.traffic.trace import Trace

START = datetime(2026, 10, 1, 10, tzinfo=UTC)
RECORDS: list[dict[str, Any]] = [
    {
        "created_at": (START + timedelta(seconds=7 * i, microseconds=i)).isoformat(),
        "model": ("large", "small")[i % 3 == 0],
        "usage": {
            "prompt_tokens": 100 + i * i % 977,
            "completion_tokens": i % 60,
            "prompt_tokens_details": {"cached_tokens": i % 50},
        },
    }
    for i in range(300)
]


def flat(record: dict[str, Any]) -> tuple[str, str, int, int, int]:
    usage = record["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return (record["created_at"], record["model"], usage["prompt_tokens"], usage["completion_tokens"], cached)


def as_csv(delimiter: str = ",", newline: str = "\n") -> str:
    names = ("created_at", "model", "prompt_tokens", "completion_tokens", "cached_tokens")
    return newline.join(delimiter.join(map(str, row)) for row in [names, *map(flat, RECORDS)]) + newline


def as_json_lines() -> str:
    return "".join(json.dumps(record) + "\n" for record in RECORDS)


def without_source(found: TrafficProfile) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__ if name != "source"}


def times_of(trace: Trace) -> TrafficTimes:
    times = profile(trace).times
    assert times is not None
    return times


@pytest.fixture
def expected(log: Write) -> dict[str, Any]:
    return without_source(profile(read_trace([log(as_csv(), "expected")]), input_thresholds_tokens=(500,)))


@pytest.mark.parametrize(
    "content",
    [
        as_csv(";"),
        as_csv("\t"),
        as_csv(newline="\r\n"),
        "\ufeff" + as_csv(),
        "\n\n" + as_csv(),
        as_csv().rstrip("\n"),
        gzip.compress(as_csv().encode()),
        as_json_lines(),
        as_json_lines().replace("\n", "\n\n"),
        gzip.compress(as_json_lines().encode()),
    ],
    ids=["semicolons", "tabs", "crlf", "bom", "blank top", "no last newline", "gz", "jsonl", "blank lines", "jsonl gz"],
)
def test_the_same_requests_give_the_same_profile_in_any_form_of_text(
    log: Write, expected: dict[str, Any], content: str | bytes
) -> None:
    trace = read_trace([log(content)])
    assert without_source(profile(trace, input_thresholds_tokens=(500,))) == expected


@pytest.mark.parametrize("time_type", [pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.string()], ids=str)
def test_the_same_requests_give_the_same_profile_as_nested_parquet(
    tmp_path: Path, expected: dict[str, Any], time_type: pa.DataType
) -> None:
    times = pa.array([datetime.fromisoformat(record["created_at"]) for record in RECORDS], pa.timestamp("us", "UTC"))
    if time_type == pa.string():
        times = pa.array([record["created_at"] for record in RECORDS])
    table = pa.table(
        {
            "created_at": times.cast(time_type),
            "model": [record["model"] for record in RECORDS],
            "usage": [record["usage"] for record in RECORDS],
        }
    )
    pq.write_table(table, tmp_path / "requests")
    assert without_source(profile(read_trace([tmp_path / "requests"]), input_thresholds_tokens=(500,))) == expected


def test_several_files_are_read_as_one_trace(log: Write, expected: dict[str, Any]) -> None:
    lines = as_json_lines().splitlines(keepends=True)
    halves = [log("".join(lines[150:]), "second"), log("".join(lines[:150]), "first")]
    trace = read_trace(halves)
    assert trace.source == "second, first"
    assert without_source(profile(trace, input_thresholds_tokens=(500,))) == expected


def test_every_reader_yields_the_canonical_table(log: Write) -> None:
    for content in (as_csv(), as_json_lines(), "TIMESTAMP,ContextTokens,GeneratedTokens\n" + GOOD):
        table = read_trace([log(content)]).table
        assert table.columns == (*REQUEST_COLUMNS, AT_US)
        assert {name: str(kind) for name, kind in table.schema().items()} == {
            name: str(kind) for name, kind in {**REQUEST_SCHEMA, AT_US: "int64"}.items()
        }


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n" + GOOD, "azure"),
        ("GeneratedTokens,TIMESTAMP,ContextTokens\n1,2023-11-16 18:15:46.6805900,374\n", "azure"),
        (HEADER + GOOD, "log"),
        (as_json_lines(), "log"),
        ("month,input_tokens,output_tokens\n2026-10,1,2\n", "bill"),
    ],
)
def test_a_format_is_told_by_content(log: Write, content: str | bytes, name: str) -> None:
    assert detect(read_head(log(content)), Options()).name == name


def test_a_user_mapping_overrides_every_published_layout(log: Write) -> None:
    path = log("TIMESTAMP,ContextTokens,GeneratedTokens\n2026-10-01 10:00,1,2\n2026-10-01 10:01,3,4\n")
    trace = read_trace([path], mapping={"input_tokens": "GeneratedTokens", "output_tokens": "ContextTokens"})
    assert profile(trace).usage.input_tokens == 6


def test_both_published_ways_to_write_times_are_utc(log: Write) -> None:
    header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    old = log(header + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n", "2023")
    new = log(header + "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00+00:00,2399,6\n", "2024")
    assert times_of(read_trace([old])).first_at == datetime(2023, 11, 16, 18, 15, 46, 680590, tzinfo=UTC)
    trace = read_trace([new], tolerate_fraction=0.5)
    assert times_of(trace).last_at == datetime(2024, 5, 10, 0, 0, 0, 9930, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("1790848800", "2 times given as a number, read by its size as seconds since 1970"),
        ("1790848800.0", "seconds since 1970"),
        ("1790848800000", "milliseconds since 1970"),
        ("1790848800000000", "microseconds since 1970"),
        ("1790848800000000000", "nanoseconds since 1970"),
        ("2026-10-01T10:00:00Z", None),
        ("2026-10-01 10:00:00 UTC", None),
        ("2026-10-01 10:00:00z", None),
        ("2026-10-01T10:00:00.0000000+00:00", None),
        ("2026-10-01T12:00:00+02:00", "2 times with an offset other than UTC, converted"),
        ("2026-10-01 05:30:00 -0430", "2 times with an offset other than UTC, converted"),
        ("2026-10-01T15:30:00+0530", "converted"),
        ("2026-10-01 10:00:00", "2 times without a zone, taken for UTC (say --zone NAME if that is wrong)"),
        ("2026/10/01 10:00", "without a zone"),
    ],
)
def test_a_time_is_understood_however_it_is_written(log: Write, written: str, note: str | None) -> None:
    later = written
    for earlier, after in (("10:00", "10:07"), ("12:00", "12:07"), ("5:30", "5:37"), ("17908488", "17908489")):
        later = later.replace(earlier, after)
    trace = read_trace([log(f"{HEADER}{written},1,2\n{later},3,4\n")])
    assert times_of(trace).first_at == START
    said = [text for text in trace.notes if "time" in text]
    assert (not said) if note is None else (note in said[0])


def test_times_without_a_zone_take_the_zone_given(log: Write) -> None:
    path = log(HEADER + "2026-10-01 12:00:00,1,2\n2026-10-01 12:01:00,1,2\n")
    trace = read_trace([path], zone="Europe/Berlin")
    assert times_of(trace).first_at == START
    assert "log: 2 times without a zone, read as Europe/Berlin" in trace.notes


def test_times_with_and_without_a_zone_are_read_once_the_zone_is_given(log: Write) -> None:
    path = log(HEADER + "2026-10-01 12:00:00,1,2\n2026-10-01 10:01:00Z,1,2\n")
    times = times_of(read_trace([path], zone="Europe/Berlin"))
    assert (times.first_at, times.last_at) == (START, START + timedelta(minutes=1))


def test_nested_keys_with_dots_are_named_as_they_are_written(log: Write) -> None:
    rows = [{"gen.time": f"2026-10-01T10:0{i}:00Z", "a": {"b.c": 5 + i}, "out": i} for i in range(3)]
    path = log("".join(json.dumps(row) + "\n" for row in rows))
    trace = read_trace([path], mapping={"time": "gen.time", "input_tokens": "a.b.c", "output_tokens": "out"})
    assert profile(trace).usage.input_tokens == 18


def test_a_mapping_may_name_a_sum_of_columns(log: Write) -> None:
    path = log("time,fresh,cached,out\n2026-10-01T10:00:00Z,10,90,1\n2026-10-01T10:01:00Z,20,,1\n")
    mapping = {"input_tokens": "fresh+cached", "cached_input_tokens": "cached", "output_tokens": "out"}
    usage = profile(read_trace([path], mapping=mapping)).usage
    assert (usage.input_tokens, usage.cached_input_tokens) == (120, 90)


def test_a_guess_is_reported_and_an_obvious_name_is_not(log: Write) -> None:
    path = log("createdAt,promptTokens,output_tokens\n2026-10-01T10:00:00Z,10,1\n2026-10-01T10:01:00Z,20,1\n")
    assert read_trace([path]).notes[0] == (
        "log: columns were guessed from their names: time = createdAt, input_tokens = promptTokens"
    )


def test_input_that_leaves_out_cached_tokens_is_completed(log: Write) -> None:
    rows = [
        {
            "created_at": 1790848800 + i,
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 5,
                "output_tokens": 7,
            },
        }
        for i in range(2)
    ]
    path = log("".join(json.dumps(row) + "\n" for row in rows))
    trace = read_trace([path])
    usage = profile(trace).usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens) == (230, 200, 10)
    assert any("if yours counts them already, say --column input_tokens=usage.input_tokens" in n for n in trace.notes)
    as_given = read_trace([path], mapping={"input_tokens": "usage.cache_read_input_tokens+usage.input_tokens"})
    assert profile(as_given, day_boundaries_s=()).usage.input_tokens == 220


def test_a_request_may_have_no_input_or_no_output(log: Write) -> None:
    path = log(HEADER + "2026-10-01T10:00:00Z,0,5\n2026-10-01T10:00:01Z,5,0\n2026-10-01T10:00:02Z,0,0\n")
    assert read_trace([path]).rows_lost == 0


def test_the_same_time_with_other_tokens_is_no_problem(log: Write) -> None:
    path = log(HEADER + "2026-10-01T10:00:00Z,1,5\n2026-10-01T10:00:00Z,2,5\n2026-10-01T10:00:02Z,2,5\n")
    assert read_trace([path]).problems == ()


@pytest.mark.parametrize("content", [as_csv(), as_json_lines()], ids=["csv", "jsonl"])
def test_staging_holds_no_join_since_a_join_would_lose_the_order_of_rows(
    log: Write, content: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []

    def explain(head: Head, layout: Layout, form: str, source: str) -> str:
        plans.append(built(head, layout, form, source))
        return plans[-1]

    built = staging._checked
    monkeypatch.setattr(staging, "_checked", explain)
    trace = read_trace([log(content)])
    backend = trace.table.get_backend()
    backend.raw_sql("DROP TABLE IF EXISTS rejects_0").fetchall()
    backend.raw_sql("DROP TABLE IF EXISTS rejects_0_scan").fetchall()
    plan = sql.ask(backend, f"EXPLAIN {plans[0]}")[0][1]
    assert "Projection" in plan
    assert "Join" not in plan


def test_the_last_reader_takes_what_no_other_claims() -> None:
    assert READERS[-1].name == "log"
    assert all(reader.name != "log" for reader in READERS[:-1])


def test_an_unknown_zone_is_refused(log: Write) -> None:
    with pytest.raises(InputError, match=r"--zone Berlin: there is no such time zone\. Give an IANA name"):
        read_trace([log(HEADER + GOOD)], zone="Berlin")


def test_rows_out_of_order_are_found_across_the_row_groups_of_a_parquet(tmp_path: Path) -> None:
    """The check streams through the file, and rests on DuckDB keeping its order."""
    times = [1_760_000_000_000_000 + i * 1_000 for i in range(300_000)]
    for place in (29_999, 150_000, 299_990):
        times[place], times[place + 1] = times[place + 1], times[place]
    counts = {"input_tokens": [7] * 300_000, "output_tokens": [1] * 300_000}
    table = pa.table({"time": pa.array(times, pa.timestamp("us")), **counts})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=30_000)
    (problem,) = read_trace([tmp_path / "log.parquet"]).problems
    assert problem.where == "log.parquet:30001"
    assert problem.what.startswith("3 rows earlier than the row before")


def test_repeated_rows_of_a_long_log_are_estimated_from_a_part(log: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "COMPARED_ROWS", 10)
    rows = [f"2026-10-01T10:{i // 60:02}:{i % 60:02}Z,{100 + i},{i}\n" for i in range(200)]
    (problem,) = read_trace([log(HEADER + "".join(sorted(rows * 2)))], tolerate_fraction=1.0).problems
    found = re.match(r"about ([\d,]+) rows", problem.what)
    assert found, problem.what
    assert 100 <= int(found[1].replace(",", "")) <= 300
