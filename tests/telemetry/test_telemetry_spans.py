"""What a span says of an attempt: what the conventions have a name for, what we add, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from breakeven.ledger import rows
from telemetry.otlp import CLIENT, Seen
from telemetry.rows import INSTANCE, START_US, move, send_all, sender_of

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.otlp import OtlpReceiver

LABELS = {
    "key": "search-key", "task": "summary", "tags": "env=prod", "model": "fast", "target": "openai", "priced_as": "p:m",
    "decision": "first",
}  # fmt: skip


def spans(folder: Path, receiver: OtlpReceiver, *many: dict[str, Any]) -> list[Seen]:
    """The spans of rows, in the order of their ids."""
    move(folder, *many)
    send_all(sender_of(folder, receiver))
    return receiver.wait_for(len(many))


def test_a_span_says_what_the_row_says_in_the_words_of_the_conventions(tmp_path: Path, receiver: OtlpReceiver) -> None:
    row = {**LABELS, "cached_input_tokens": 20, "cache_write_tokens": 5, "flags": rows.STREAMED, "episode": "e-1"}
    (span,) = spans(tmp_path, receiver, row)
    assert (span.name, span.kind, span.failed) == ("chat fast", CLIENT, False)
    assert (span.starts_ns, span.ends_ns) == ((START_US + 100) * 1000, (START_US + 900_000) * 1000)
    assert span.values == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "fast",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.0199,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.usage.output_tokens": 10,
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "breakeven.request_id": "000000000001000",
        "breakeven.attempt": 0,
        "breakeven.outcome": "ok",
        "breakeven.cached": False,
        "breakeven.target": "openai",
        "breakeven.key": "search-key",
        "breakeven.team": "search",
        "breakeven.task": "summary",
        "breakeven.tags": "env=prod",
        "breakeven.episode": "e-1",
        "breakeven.decision": "first",
        "breakeven.estimated": False,
        "breakeven.cost_usd": 0.0002,
    }
    assert span.resource == {
        "service.name": "gateway-of-the-tests",
        "service.version": "1.2.3",
        "service.instance.id": INSTANCE,
    }


def test_a_failed_attempt_has_an_error_and_no_usage(tmp_path: Path, receiver: OtlpReceiver) -> None:
    failed = {"outcome": rows.FAILED, "failure": "connect_timeout", "input_tokens": 0, "output_tokens": 0}
    never_sent = {"queued_us": rows.UNKNOWN_US, "first_byte_us": rows.UNKNOWN_US, "status": 0}
    (span,) = spans(tmp_path, receiver, {**LABELS, **failed, **never_sent})
    assert span.failed
    assert span.values["error.type"] == "connect_timeout"
    assert span.starts_ns == START_US * 1000
    assert not [name for name in span.values if name.startswith(("gen_ai.usage", "http."))]


def test_a_client_that_left_is_no_error_of_the_target(tmp_path: Path, receiver: OtlpReceiver) -> None:
    (span,) = spans(tmp_path, receiver, {**LABELS, "outcome": rows.CLIENT_LEFT, "failure": "client_left"})
    assert not span.failed
    assert "error.type" not in span.values
    assert span.values["breakeven.outcome"] == "client_left"


def test_an_answer_given_again_cost_nothing_and_used_no_tokens(tmp_path: Path, receiver: OtlpReceiver) -> None:
    (span,) = spans(tmp_path, receiver, {**LABELS, "outcome": rows.CACHED})
    assert span.values["breakeven.cached"] is True
    assert (span.values["breakeven.cost_usd"], span.values["breakeven.avoided_usd"]) == (0.0, 0.0002)
    assert not [name for name in span.values if name.startswith("gen_ai.usage")]


def test_an_unknown_price_is_not_told_as_none(tmp_path: Path, receiver: OtlpReceiver) -> None:
    (span,) = spans(tmp_path, receiver, {**LABELS, "priced_as": ""})
    assert "breakeven.cost_usd" not in span.values


@pytest.mark.parametrize(
    ("row", "operation", "provider"),
    [
        ({"target": "gemini"}, "chat", "gcp.gemini"),
        ({"target": "old", "priced_as": "mistral:x"}, "text_completion", "mistral_ai"),
        ({"target": "vectors", "output_tokens": 0}, "embeddings", "vectors"),
        ({"target": "openai", "output_tokens": 0}, "embeddings", "openai"),
        ({"target": "gone", "priced_as": "groq:x"}, "chat", "groq"),
        ({"target": "gone"}, "chat", "gone"),
        ({}, "chat", "unknown"),
    ],
)
def test_operation_and_provider_are_told_as_far_as_they_are_known(
    tmp_path: Path, receiver: OtlpReceiver, row: dict[str, Any], operation: str, provider: str
) -> None:
    (span,) = spans(tmp_path, receiver, row)
    assert span.values["gen_ai.operation.name"] == operation
    assert span.values["gen_ai.provider.name"] == provider
    assert ("server.address" in span.values) == (row.get("target") in ("gemini", "old", "vectors", "openai"))


def test_the_attempts_of_a_request_share_a_trace_and_no_span(tmp_path: Path, receiver: OtlpReceiver) -> None:
    failed = {"number": 7, "outcome": rows.FAILED, "failure": "status_500"}
    second = {"number": 7, "attempt": 1, "fallback": "status_500"}
    first, then, other = spans(tmp_path, receiver, failed, second, {"number": 8})
    assert first.trace == then.trace != other.trace
    assert len({first.span, then.span, other.span}) == 3
    assert (first.values["breakeven.attempt"], then.values["breakeven.attempt"]) == (0, 1)
    assert first.values["breakeven.request_id"] == then.values["breakeven.request_id"]
    assert then.values["breakeven.fallback"] == "status_500"
    assert (len(first.trace), len(first.span)) == (32, 16)


def test_an_episode_that_is_a_trace_is_the_trace(tmp_path: Path, receiver: OtlpReceiver) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    found = spans(
        tmp_path, receiver, {"episode": trace}, {"episode": trace.upper()}, {"episode": "0" * 32}, {"episode": "e" * 31}
    )
    assert [span.trace == trace for span in found] == [True, True, False, False]
    assert len({span.span for span in found}) == 4


def test_ids_are_the_same_whenever_they_are_made_and_differ_between_gateways(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    for name, instance in (("one", INSTANCE), ("two", INSTANCE), ("three", "another-gateway")):
        (tmp_path / name).mkdir()
        move(tmp_path / name, {})
        send_all(sender_of(tmp_path / name, receiver, instance=instance))
    one, again, other = receiver.wait_for(3)
    assert (one.trace, one.span) == (again.trace, again.span)
    assert one.trace != other.trace
    assert one.span != other.span
