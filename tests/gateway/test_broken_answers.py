"""Answers that break after a client has seen some of them: nothing is hidden, and nothing begins anew."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.payloads import STREAMED
from gateway.wire import CutOffError, chat_bytes, events

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream


BREAKS: dict[str, tuple[Answer, str]] = {
    "closed": (answers.close, "connection_lost"),
    "reset": (answers.reset, "connection_lost"),
    "ended without a word": (answers.end_body_and_close, "ended_without_done"),
    "silent": (answers.silent, "between_tokens_timeout"),
    "endless": (answers.trickle, "total_timeout"),
    "told of an error": (answers.last_event(payloads.error("the engine fell over")), "error_event"),
    "malformed": (answers.broken_framing, "malformed_answer"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_never_ends_as_if_it_were_whole(
    gateway: Gateway, upstream: ScriptedUpstream, fault: str
) -> None:
    answer, reason = BREAKS[fault]
    seen_by_client = threading.Event()
    upstream.script("hasty", answers.stream(payloads.words(4), then=answers.once(seen_by_client, answer)))
    upstream.script("b", answers.stream(payloads.stream(3)))
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("hasty-then-b", **STREAMED)))
        line.head()
        line.until(b" word3")
        seen_by_client.set()
        with contextlib.suppress(CutOffError):
            line.until(b"\r\n0\r\n\r\n")
    assert b"[DONE]" not in line.seen
    assert upstream.calls("b") == [], "what the client has seen cannot be taken back: no other target may begin anew"
    row = gateway.row(line.request_id)
    assert (row["outcome"], row["failure"], row["estimated"]) == ("cut", reason, True)
    assert row["output_tokens"] >= 4
    assert row["input_tokens"] > 0


def test_an_error_event_says_why_the_stream_ends(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.stream(payloads.words(2), then=answers.reset))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **STREAMED))
    *words, last = events(reply.body)
    assert len(words) == 2
    assert json.loads(last)["error"]["code"] == "connection_lost"


def test_a_large_answer_that_breaks_ends_early_instead_of_being_completed(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = json.dumps(payloads.completion("x" * 400_000)).encode()
    upstream.script("a", answers.raw(answers.head(200, f"content-length: {len(body)}"), body[:-1000]))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        with pytest.raises(CutOffError) as cut:
            line.chat(payloads.request("pair"))
        row = gateway.row(line.request_id)
    assert body.startswith(cut.value.received)
    assert upstream.calls("b") == []
    assert (row["outcome"], row["failure"], row["estimated"]) == ("cut", "connection_lost", True)
    assert row["output_tokens"] > 0


def test_a_large_answer_arrives_whole_and_is_metered_exactly(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = payloads.completion("y" * 1_000_000)
    upstream.script("a", answers.whole(answer))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"))
    assert reply.json == answer
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("ok", 157, 52, False)
