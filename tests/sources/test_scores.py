"""Scores of other programs: what each format says, and what is told of records that say nothing."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.errors import InputError, Problem
from breakeven.sources.scores import langfuse, otel, tensorzero
from breakeven.sources.scores.score import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[Path], Iterator[Score | Problem]]

AT = "2026-11-20T10:00:00.000Z"
AT_US = 1_795_168_800_000_000


def read(reader: Read, path: Path, content: object) -> list[Score | Problem]:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return list(reader(path))


def one(reader: Read, path: Path, record: object) -> Score:
    (found,) = read(reader, path, record)
    assert isinstance(found, Score), found
    return found


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"value": 1, "dataType": "BOOLEAN"}, {"success": True}),
        ({"value": 0, "stringValue": "False", "dataType": "BOOLEAN"}, {"success": False}),
        ({"value": 0.25, "dataType": "NUMERIC"}, {"score": 0.25}),
        ({"value": 3}, {"score": 3.0}),
        ({"value": 2, "stringValue": "partly", "dataType": "CATEGORICAL"}, {"label": "partly"}),
        ({"stringValue": "Correct", "dataType": "CATEGORICAL"}, {"label": "Correct", "success": True}),
        ({"stringValue": "Bern", "dataType": "CORRECTION"}, {"demonstration": "Bern"}),
        ({"stringValue": "too long", "dataType": "TEXT"}, {"comment": "too long"}),
        ({"value": 1, "comment": "nice"}, {"score": 1.0, "comment": "nice"}),
    ],
    ids=str,
)
def test_a_score_of_langfuse_says_what_its_type_means(
    tmp_path: Path, said: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = one(langfuse.read, tmp_path / "s.json", [{"id": "s", "traceId": "t", "name": "n", "timestamp": AT, **said}])
    plain = {"success": None, "score": None, "label": "", "comment": "", "demonstration": ""}
    assert {name: getattr(found, name) for name in plain} == plain | expected
    assert (found.id, found.of, found.name, found.source, found.at_us) == ("s", ("t",), "n", "", AT_US)


def test_langfuses_exports_of_api_tables_and_storage_read_alike(tmp_path: Path) -> None:
    api = {
        "id": "s", "traceId": "t", "observationId": "o", "sessionId": "x", "name": "n", "value": 1,
        "dataType": "BOOLEAN", "source": "ANNOTATION", "timestamp": AT,
        "metadata": {"breakeven_request_id": "00b1a2c3d4e5f60"},
    }  # fmt: skip
    stored = {
        "id": "s", "trace_id": "t", "observation_id": "o", "session_id": "x", "name": "n", "value": "1",
        "data_type": "BOOLEAN", "source": "ANNOTATION", "timestamp": "2026-11-20 10:00:00.000000",
        "metadata": '{"breakeven_request_id": "00b1a2c3d4e5f60"}',
    }  # fmt: skip
    table = ",".join(stored) + "\n" + ",".join('"' + value.replace('"', '""') + '"' for value in stored.values()) + "\n"
    trace = {"trace": {"id": "t"}, "observations": [], "scores": [api]}
    contents = [{"data": [api], "meta": {}}, [api], trace, [stored], table.encode(), b"\xef\xbb\xbf" + table.encode()]
    contents += [json.dumps(api).encode() + b"\n" + b"\n", gzip.compress(json.dumps(stored).encode())]
    found = [one(langfuse.read, tmp_path / "s", content) for content in contents]
    for score in found:
        assert score.of == ("00b1a2c3d4e5f60", "o", "t", "x")
        assert (score.success, score.source, score.at_us) == (True, "human", AT_US)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"target_id": "i", "metric_name": "ok", "value": True}, {"success": True, "name": "ok"}),
        ({"target_id": "i", "metric_name": "ok", "value": "false"}, {"success": False, "name": "ok"}),
        ({"inference_id": "i", "metric_name": "stars", "value": 4.5}, {"score": 4.5, "name": "stars"}),
        ({"episode_id": "i", "metric_name": "stars", "value": "4.5"}, {"score": 4.5, "name": "stars"}),
        ({"target_id": "i", "target_type": "episode", "value": "late"}, {"comment": "late", "name": "comment"}),
        ({"inference_id": "i", "value": '[{"type":"text"}]'}, {"demonstration": '[{"type":"text"}]'}),
        (
            {"type": "demonstration", "inference_id": "i", "value": [{"text": "é"}]},
            {"demonstration": '[{"text": "é"}]', "name": "demonstration"},
        ),
        ({"target_id": "i", "metric_name": "ok", "value": True, "tags": {"tensorzero::human_feedback": "true"}},
         {"source": "human"}),
        ({"target_id": "i", "metric_name": "ok", "value": 1.0, "tags": {"tensorzero::evaluator_inference_id": "j"}},
         {"source": "judge"}),
        ({"target_id": "i", "metric_name": "ok", "value": 1, "tags": '{"breakeven_episode": "e"}'}, {"of": ("e", "i")}),
    ],
    ids=str,
)  # fmt: skip
def test_feedback_of_tensorzero_says_what_its_table_means(
    tmp_path: Path, said: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = one(tensorzero.read, tmp_path / "f.jsonl", {"id": "01938b27-6300-7000-8000-000000000000", **said})
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.at_us == 0x01938B276300 * 1000, "the time is in the id"
    assert "i" in found.of


def attributes(**said: object) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", float: "doubleValue", bool: "boolValue"}
    return [{"key": f"gen_ai.{name}", "value": {kinds[type(value)]: value}} for name, value in said.items()]


EVALUATION = {
    "evaluation.name": "Relevance", "evaluation.score.value": 4.0, "evaluation.score.label": "pass",
    "evaluation.explanation": "on topic", "response.id": "chatcmpl-1",
}  # fmt: skip


def test_evaluations_are_read_from_log_records_and_from_events_of_spans(tmp_path: Path) -> None:
    told = attributes(**EVALUATION)
    place = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}
    at_ns = str(AT_US * 1000)
    newer = {"eventName": "gen_ai.evaluation.result", "timeUnixNano": at_ns, "attributes": told, **place}
    name = {"key": "event.name", "value": {"stringValue": "gen_ai.evaluation.result"}}
    older = {"observedTimeUnixNano": at_ns, "attributes": [name, *told], **place}
    other = {"eventName": "gen_ai.user.message", "attributes": []}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [newer, other, older]}]}]}
    event = {"name": "gen_ai.evaluation.result", "timeUnixNano": at_ns, "attributes": told}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "chat", "events": [event], **place}]}]}]}
    found = read(otel.read, tmp_path / "o.jsonl", json.dumps(logs).encode() + b"\n" + json.dumps(spans).encode())
    expected = Score(
        where="", id="", of=("chatcmpl-1", place["spanId"], place["traceId"]), name="Relevance", success=True,
        score=4.0, label="pass", comment="on topic", at_us=AT_US,
    )  # fmt: skip
    for item in found:
        assert isinstance(item, Score)
        assert {field: getattr(item, field) for field in expected.__slots__ if field != "where"} == {
            field: getattr(expected, field) for field in expected.__slots__ if field != "where"
        }
    assert len(found) == 3


@pytest.mark.parametrize(
    ("reader", "record", "why"),
    [
        (langfuse.read, {"traceId": "t"}, "needs a name"),
        (langfuse.read, {"name": "n", "value": 1}, "a trace, observation or session"),
        (langfuse.read, {"name": "n", "traceId": "t"}, "has no value"),
        (langfuse.read, {"name": "n", "traceId": "t", "value": "x", "dataType": "BOOLEAN"}, "has no value"),
        (tensorzero.read, {"metric_name": "m", "value": 1}, "needs a target"),
        (tensorzero.read, {"metric_name": "m", "target_id": "t", "value": "x"}, "no number"),
        (langfuse.read, [3], "no object with fields"),
        (langfuse.read, b'{"name": "n"}\nnonsense', "no JSON"),
    ],
)
def test_a_record_that_says_nothing_is_told_and_never_lost_silently(
    tmp_path: Path, reader: Read, record: object, why: str
) -> None:
    found = read(reader, tmp_path / "s.jsonl", record)
    assert all(isinstance(item, Problem) for item in found)
    assert why in str(found[-1])


@pytest.mark.parametrize(("said", "source"), [("human", "human"), ("code", "code"), ("me", ""), (3.0, ""), (None, "")])
def test_an_event_that_a_gateway_sent_says_its_id_and_source(tmp_path: Path, said: object, source: str) -> None:
    own = {"breakeven.outcome_id": "k/1", "breakeven.request_id": "00b1a2c3d4e5f60"}
    told = [
        *attributes(**{"evaluation.name": "R", "evaluation.score.value": 1.0}),
        *({"key": name, "value": {"stringValue": value}} for name, value in own.items()),
        *([] if said is None else [{"key": "breakeven.source", "value": {"stringValue": said}}]),
    ]
    record = {"eventName": "gen_ai.evaluation.result", "attributes": told}
    found = one(otel.read, tmp_path / "o.json", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    assert (found.id, found.source, found.of) == ("k/1", source, ("00b1a2c3d4e5f60",))


def test_an_evaluation_that_failed_says_so(tmp_path: Path) -> None:
    told = [
        *attributes(**{"evaluation.name": "R", "response.id": "r"}),
        {"key": "error.type", "value": {"stringValue": "timeout"}},
    ]
    record = {"eventName": "gen_ai.evaluation.result", "attributes": told}
    (found,) = read(otel.read, tmp_path / "o.json", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    assert "it failed (timeout)" in str(found)


@pytest.mark.parametrize("content", [b"{", b"[1", b"\xff\xfe\x00", b"\x1f\x8bbroken", b"[" * 100_000], ids=repr)
def test_a_file_that_is_no_export_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="s\\.json"):
        read(langfuse.read, tmp_path / "s.json", content)


NAMES = st.sampled_from(
    [
        "id", "traceId", "observation_id", "sessionId", "name", "value", "stringValue", "dataType", "source",
        "timestamp", "metadata", "comment", "metric_name", "target_id", "target_type", "inference_id", "episode_id",
        "tags", "type", "resourceLogs", "scopeLogs", "logRecords", "attributes", "eventName",
        "resourceSpans", "scopeSpans", "spans",
        "events", "data", "scores", "key",
    ]
)  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["BOOLEAN", "CATEGORICAL", "true", "1e999", AT, "gen_ai.evaluation.result", "9" * 5000, 10**400])
)  # fmt: skip
ANYTHING = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6))


@given(
    content=st.dictionaries(NAMES, ANYTHING, max_size=8) | ANYTHING,
    reader=st.sampled_from([langfuse, tensorzero, otel]),
)
def test_whatever_stands_in_a_file_is_a_score_a_problem_or_no_export(content: object, reader: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.json"
        path.write_text(json.dumps(content))
        try:
            found = list(reader.read(path))
        except InputError:
            return
    for item in found:
        if isinstance(item, Score):
            assert item.name
            assert item.of
