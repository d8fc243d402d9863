"""Logs of observability tools: Langfuse, Helicone, OpenTelemetry; and what their prompts say without their words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import read

from breakeven.errors import InputError
from breakeven.traffic.read import read_trace
from breakeven.traffic.readers.prompts import prompt_of
from breakeven.traffic.schema import AT_US, REQUEST_COLUMNS

if TYPE_CHECKING:
    from small_logs import Write

    from breakeven.traffic.trace import Trace

FIXTURES = Path(__file__).parent / "fixtures"
LANGFUSE, HELICONE, OTEL = (FIXTURES / name for name in ("langfuse", "helicone", "otel"))
START = datetime(2026, 10, 9, 10, tzinfo=UTC)
COUNTS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
PARTS = ("system_tokens", "history_tokens")


def rows_of(trace: Trace, *names: str) -> list[tuple[Any, ...]]:
    rows = trace.table.order_by("time").to_pyarrow().to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


def notes_of(trace: Trace) -> list[str]:
    return [note.split(": ", 1)[1] for note in trace.notes]


@pytest.mark.parametrize(
    "name", ["observations.json", "observations.jsonl", "api_page.json", "blob_export.jsonl", "blob_export.csv"]
)
def test_generations_of_langfuse_are_read_however_they_were_exported(name: str) -> None:
    trace = read(LANGFUSE / name)
    assert (trace.kind, trace.rows_read, trace.rows_lost) == ("trace", 4, 0)
    assert trace.table.columns == (*REQUEST_COLUMNS, AT_US)
    assert rows_of(trace, "time", "failed", "episode", *COUNTS) == [
        (START + timedelta(seconds=0.25), False, "session-1", 1000, 400, 0, 50),
        (START + timedelta(seconds=2.25), False, "session-1", 1000, 400, 0, 50),
        (START + timedelta(seconds=3.25), True, "session-1", 0, 0, 0, 0),
        (START + timedelta(seconds=4.25), False, "trace-2", 1000, 700, 200, 50),
    ]
    assert rows_of(trace, *PARTS) == [(300, 600), (600, 0), (None, None), (0, 0)]
    assert rows_of(trace, "model", "key", "task") == [("gpt-4o-mini", "user-7", "answer")] * 4
    said = notes_of(trace)
    assert "observations skipped, being no generation: 1 of type SPAN" in said
    assert "system_tokens and history_tokens are apportioned from the logged prompts, by characters" in said
    assert "1 failed request without tokens, counted as such" in said


def observation(second: int, **fields: Any) -> dict[str, Any]:
    start = {"id": f"o{second}", "traceId": "t", "type": "GENERATION", "startTime": f"2026-10-09T10:00:{second:02}Z"}
    return start | {"parentObservationId": None, "model": "m"} | fields


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"usageDetails": {"input": 10, "output": 5}}, (10, 0, 0, 5)),
        ({"usageDetails": {"input": 10, "input_cached_tokens": 30, "output": 5}}, (40, 30, 0, 5)),
        ({"usageDetails": {"input": 40, "input_cached_tokens": 30, "output": 5, "total": 45}}, (40, 30, 0, 5)),
        ({"usageDetails": {"input": 10, "output": 5, "output_reasoning_tokens": 7, "total": 22}}, (10, 0, 0, 12)),
        ({"usageDetails": {"input": 10, "output": 12, "output_reasoning_tokens": 7, "total": 22}}, (10, 0, 0, 12)),
        ({"usageDetails": {"input": 1, "input_cache_creation": 2, "input_cache_read": 3, "output": 4}}, (6, 3, 2, 4)),
        ({"usage": {"input": 10, "output": 5, "total": 15, "unit": "TOKENS", "inputCost": 0.5}}, (10, 0, 0, 5)),
        ({"usageDetails": {}, "promptTokens": 10, "completionTokens": 5}, (10, 0, 0, 5)),
        ({"inputUsage": "10", "outputUsage": "5"}, (10, 0, 0, 5)),
    ],
)  # fmt: skip
def test_usage_of_langfuse_adds_up_as_it_was_logged(log: Write, usage: dict[str, Any], counts: tuple[int, ...]) -> None:
    path = log(json.dumps([observation(n, **usage) for n in range(2)]))
    assert rows_of(read(path), *COUNTS) == [counts, counts]


def test_observations_inside_their_traces_have_the_traces_session(log: Write) -> None:
    traces = [
        {"id": f"t{n}", "sessionId": f"s{n}", "observations": [observation(n, usageDetails={"input": n, "output": 1})]}
        for n in range(3)
    ]
    trace = read(log("".join(json.dumps(item) + "\n" for item in traces)))
    assert rows_of(trace, "episode", "input_tokens") == [("s0", 0), ("s1", 1), ("s2", 2)]


def test_langfuse_may_be_parquet(tmp_path: Path) -> None:
    kind = pa.map_(pa.string(), pa.int64())
    table = pa.table(
        {
            "id": ["a", "b"],
            "trace_id": ["t", "t"],
            "type": ["GENERATION"] * 2,
            "start_time": pa.array([START, START + timedelta(seconds=1)], pa.timestamp("us", "UTC")),
            "provided_model_name": ["m", "m"],
            "usage_details": pa.array([[("input", 5), ("output", 2)], [("input", 6), ("output", 3)]], kind),
        }
    )
    pq.write_table(table, tmp_path / "log")
    trace = read(tmp_path / "log")
    assert rows_of(trace, "time", "input_tokens", "output_tokens") == [
        (START, 5, 2),
        (START + timedelta(seconds=1), 6, 3),
    ]


def test_observations_without_a_generation_are_refused(log: Write) -> None:
    path = log(json.dumps([observation(n, type=("SPAN", "TOOL")[n % 2]) for n in range(3)]))
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(
        "log: these are Langfuse observations, but none is a generation (2 of type SPAN, 1 of type TOOL)"
    )


@pytest.mark.parametrize("name", ["requests.json", "requests.jsonl"])
def test_requests_of_helicone_are_read(name: str) -> None:
    trace = read(HELICONE / name)
    assert rows_of(trace, "time", "model", "failed", *COUNTS) == [
        (START, "gpt-4o-mini", False, 1000, 400, 0, 50),
        (START + timedelta(seconds=1), "gpt-4o-mini", True, 0, 0, 0, 0),
        (START + timedelta(seconds=2), "claude-sonnet-4-5", False, 1000, 700, 200, 50),
        (START + timedelta(seconds=4), "gpt-4o-mini", True, 1000, 400, 0, 0),
    ]
    assert rows_of(trace, *PARTS) == [(300, 600), (None, None), (750, 0), (300, 600)]
    assert rows_of(trace, "key", "episode") == [("user-7", "session-1")] * 4
    said = notes_of(trace)
    assert "1 answer from Helicone's own cache skipped: no model was asked" in said
    assert any(note.startswith("cached tokens added to the input of 1 request whose prompt_tokens") for note in said)


def test_helicones_csv_is_read_in_spite_of_its_quotes() -> None:
    trace = read(HELICONE / "output.csv")
    assert rows_of(trace, "input_tokens", "output_tokens", "failed", "episode", *PARTS) == [
        (1000, 50, False, "session-1", 300, 600),
        (0, 0, True, "session-1", None, None),
    ]


@pytest.mark.parametrize("name", ["trace.json", "traces.jsonl"])
def test_calls_among_spans_are_read(name: str) -> None:
    trace = read(OTEL / name)
    assert rows_of(trace, "time", "model", "failed", *COUNTS) == [
        (START + timedelta(seconds=0.25), "gpt-4o-mini", False, 1000, 400, 0, 50),
        (START + timedelta(seconds=3.25), "gpt-4o-mini", True, 0, 0, 0, 0),
        (START + timedelta(seconds=4.25), "claude-sonnet-4-5", False, 1000, 700, 200, 30),
    ]
    assert rows_of(trace, "processing", *PARTS) == [("standard", 300, 600), (None, None, None), (None, 750, 0)]
    assert [episode for (episode,) in rows_of(trace, "episode")] == ["conv_1"] + [
        "5b8efff798038103d269b633813fc60c"
    ] * 2
    assert "2 spans skipped, being no call of a model" in notes_of(trace)


def span(second: int, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    listed = [{"key": name, "value": {"intValue" if isinstance(value, int) else "stringValue": value}}
              for name, value in attributes.items()]  # fmt: skip
    start = 1_791_540_000_000_000_000 + second * 1_000_000_000
    return {"spanId": f"s{second}", "startTimeUnixNano": str(start), "attributes": listed} | fields


def spans(*listed: Any) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(listed)}]}]})


def test_spans_without_a_call_are_refused(log: Write) -> None:
    with pytest.raises(InputError, match="log holds 2 spans, and none is a call of a model"):
        read(log(spans(span(0, {"a": "b"}), span(1, {"gen_ai.operation.name": "invoke_agent"}))))


def test_damaged_spans_are_told_with_their_path(log: Write) -> None:
    good = [span(n, {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": n}) for n in range(30)]
    bad = [
        7,
        span(31, {"gen_ai.usage.input_tokens": 9}),
        span(32, {"gen_ai.usage.input_tokens": "all", "gen_ai.usage.output_tokens": 1}),
        span(33, {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1}, startTimeUnixNano=None),
        span(34, {}) | {"attributes": "none"},
    ]
    trace = read(
        log(spans(*good, *bad) + "\n" + '{"resourceSpans": 5}\n{"resourceSpans": [{"scopeSpans": [4]}]}\n[]\n')
    )
    assert [(problem.where, problem.what) for problem in trace.problems] == [
        (
            "log:1 resourceSpans[0].scopeSpans[0].spans[30]",
            "it is not an object with fields, and this part of OTLP is.",
        ),
        ("log:2", "it is not an object with fields, and this part of OTLP is."),
        ("log:3 resourceSpans[0].scopeSpans[0]", "it is not an object with fields, and this part of OTLP is."),
        ("log:4", "it is not an object with resourceSpans."),
        (
            "log:1 resourceSpans[0].scopeSpans[0].spans[31]",
            "output_tokens (gen_ai.usage.output_tokens) is missing, and a request without it cannot be priced.",
        ),
        (
            "log:1 resourceSpans[0].scopeSpans[0].spans[32]",
            "input_tokens (gen_ai.usage.input_tokens) is 'all', which is not a number.",
        ),
        (
            "log:1 resourceSpans[0].scopeSpans[0].spans[33]",
            "time (startTimeUnixNano) is missing, so the request has no place in time.",
        ),
    ]
    assert (trace.rows_read, trace.rows_lost) == (37, 7)
    assert "1 span skipped, being no call of a model" in notes_of(trace)


def test_a_span_exported_twice_is_told(log: Write) -> None:
    calls = [span(n, {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1}) for n in range(30)]
    trace = read_trace([log(spans(*calls, calls[3]))], tolerate_fraction=0.05)
    assert "1 row the same as an earlier one" in "".join(map(str, trace.problems))


def test_calls_alike_in_all_but_their_span_are_not_repeated(log: Write) -> None:
    calls = [span(n // 2, {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1}) for n in range(30)]
    for number, call in enumerate(calls):
        call["spanId"] = str(number)
    assert read(log(spans(*calls))).problems == ()


@pytest.mark.parametrize("path", [LANGFUSE / "observations.json", HELICONE / "requests.json", OTEL / "trace.json"])
def test_one_damaged_byte_anywhere_is_told_or_harmless(log: Write, path: Path) -> None:
    text = path.read_text()
    refused = []
    for place in range(0, len(text), 211):
        for damage in (text[:place], text[:place] + "\x01" + text[place + 1 :], text[:place] + text[place + 1 :]):
            try:
                trace = read(log(damage))
            except InputError as error:
                refused.append(str(error))
            else:
                assert trace.rows_read == trace.table.count().to_pyarrow().as_py() + trace.rows_lost
    assert refused
    assert all(message.startswith("log") for message in refused)


def test_a_user_mapping_overrides_these_formats(log: Write) -> None:
    mapping = {"time": "startTime", "input_tokens": "promptTokens", "output_tokens": "completionTokens"}
    path = log((LANGFUSE / "observations.jsonl").read_text())
    assert [row[0] for row in rows_of(read(path, mapping), "input_tokens")] == [1000, 0, 1000, 1000]


SYSTEM = {"role": "system", "content": "s" * 30}
FIRST = {"role": "user", "content": "u" * 20}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "a" * 40}]}
LAST = {"role": "user", "parts": [{"type": "text", "content": "q" * 10}]}


@pytest.mark.parametrize(
    ("logged", "instructions", "parts"),
    [
        ([SYSTEM, FIRST, ANSWER, LAST], None, (300, 600)),
        ([FIRST, ANSWER, LAST], "s" * 30, (300, 600)),
        ({"model": "m", "messages": [SYSTEM, FIRST, ANSWER, LAST]}, None, (300, 600)),
        ({"system": [{"type": "text", "text": "s" * 30}], "messages": [FIRST, ANSWER, LAST]}, None, (300, 600)),
        ({"instructions": "s" * 30, "input": [FIRST, ANSWER, LAST]}, None, (300, 600)),
        (json.dumps([SYSTEM, FIRST, ANSWER, LAST]), None, (300, 600)),
        ([SYSTEM, LAST, ANSWER], None, (375, 0)),
        ([LAST, {"role": "user", "content": [{"type": "image", "data": "data:image/png;AAAA"}]}], None, (0, 1000)),
        ("q" * 10, None, (0, 0)),
        ([ANSWER], None, (0, 0)),
    ],
)  # fmt: skip
def test_the_parts_of_a_prompt_are_told_whatever_its_shape(
    logged: Any, instructions: Any, parts: tuple[int, int]
) -> None:
    prompt = prompt_of(logged, instructions)
    assert prompt is not None
    details = prompt.details(1000)
    assert tuple(details[name] for name in PARTS) == parts


def test_equal_prompts_have_one_identity_whatever_they_were_sent_with() -> None:
    bodies = [{"messages": [SYSTEM, LAST], "temperature": 0.1}, {"messages": [SYSTEM, LAST], "model": "other"}]
    first, second, other = (prompt_of(body) for body in [*bodies, {"messages": [SYSTEM, FIRST]}])
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.identity == second.identity != other.identity


@pytest.mark.parametrize("logged", [None, "", [], {}, "{}", {"messages": []}, {"model": "m"}])
def test_no_prompt_says_nothing(logged: Any) -> None:
    assert prompt_of(logged) is None


TURNS = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text(max_size=50)}), min_size=1)  # fmt: skip  # noqa: E501


@given(turns=TURNS, input_tokens=st.integers(0, 1_000_000))
def test_the_parts_of_a_prompt_never_exceed_it(turns: list[dict[str, str]], input_tokens: int) -> None:
    prompt = prompt_of(turns)
    assert prompt is not None
    details = prompt.details(input_tokens)
    assert sum(details.get(name, 0) for name in PARTS) <= input_tokens
    assert not any(turn["content"] in str(details.values()) for turn in turns if len(turn["content"]) > 8)
