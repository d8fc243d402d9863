"""What targets tell of usage, in every shape that is known, and what is kept where they tell none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.payloads import ASKING, STREAMED, TOLD

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream


UNUSUAL: dict[str, list[bytes]] = {
    "a choice beside the usage": [
        *payloads.stream(5, done=False),
        payloads.event(payloads.chunk({}, usage=TOLD)),
        payloads.event("[DONE]"),
    ],
    "usage in every event": [
        *(payloads.event(payloads.chunk({"content": "x"}, usage=payloads.usage(157, n))) for n in range(1, 53)),
        payloads.event("[DONE]"),
    ],
    "no choices before the first": [
        payloads.event(payloads.chunk({}) | {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        *payloads.stream(5, TOLD),
    ],
    "no choices at all in an event": [payloads.event({"id": "x", "object": "ping"}), *payloads.stream(5, TOLD)],
    "comments and blank lines": [b": keep-alive\n\n", b"\n", b"retry: 100\n\n", *payloads.stream(5, TOLD)],
    "carriage returns": [data.replace(b"\n", b"\r\n") for data in payloads.stream(5, TOLD)],
    "no blank after the colon": [data.replace(b"data: ", b"data:", 1) for data in payloads.stream(5, TOLD)],
    "null where numbers may be": [
        payloads.event(payloads.chunk({"content": None}, usage=None)),
        *payloads.stream(5, {**TOLD, "prompt_tokens_details": None, "completion_tokens_details": None}),
    ],
}


@pytest.mark.parametrize("shape", UNUSUAL)
def test_unusual_streams_pass_byte_for_byte_and_their_usage_is_read_however_they_are_cut(
    gateway: Gateway, upstream: ScriptedUpstream, shape: str
) -> None:
    sent = UNUSUAL[shape]
    ids = []
    with gateway.line() as line:
        for packets in (None, answers.by_bytes(1), answers.by_bytes(7), answers.by_bytes(64)):
            upstream.script("a", answers.stream(sent, packets=packets))
            reply = line.chat(payloads.request("solo", **ASKING))
            assert reply.body == b"".join(sent)
            ids.append(reply.request_id)
    rows = [gateway.row(request_id) for request_id in ids]
    assert [(row["outcome"], row["input_tokens"], row["output_tokens"]) for row in rows] == [("ok", 157, 52)] * 4


@pytest.mark.parametrize("asked", [STREAMED, ASKING], ids=["usage hidden", "usage asked for"])
def test_an_event_that_is_no_json_is_skipped(
    gateway: Gateway, upstream: ScriptedUpstream, asked: dict[str, object]
) -> None:
    upstream.script("a", answers.stream([payloads.event("{not json"), *payloads.stream(5, TOLD)]))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **asked))
    assert b"not json" not in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("ok", 157, 52)


@pytest.mark.parametrize("shape", ["the usual", *UNUSUAL])
def test_who_did_not_ask_for_usage_sees_none_of_its_own_event(
    gateway: Gateway, upstream: ScriptedUpstream, shape: str
) -> None:
    sent = {"the usual": payloads.stream(5, TOLD), **UNUSUAL}[shape]
    hidden = [data for data in sent if b'"choices": []' in data and b'"usage"' in data]
    upstream.script("a", answers.stream(sent, packets=answers.by_bytes(11)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", **STREAMED))
    assert reply.body == b"".join(data for data in sent if data not in hidden)
    assert upstream.calls("a")[0].json["stream_options"] == {"include_usage": True}
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("ok", 157, 52)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_zeros_that_a_target_tells_are_believed(gateway: Gateway, upstream: ScriptedUpstream, stream: bool) -> None:
    zeros = payloads.usage(0, 0)
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=zeros)), answers.stream(payloads.stream(5, zeros)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == ("ok", 0, 0, False)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_cached_tokens_are_a_part_of_the_input_and_told_apart(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    told = payloads.usage(2000, 10, cached_tokens=1536)
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=told)), answers.stream(payloads.stream(5, told)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["input_tokens"], row["cached_input_tokens"], row["output_tokens"]) == (2000, 1536, 10)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_usage_that_is_not_told_is_estimated_and_said_to_be(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(
        "a", answers.either(answers.whole(payloads.completion(usage=None)), answers.stream(payloads.stream(30)))
    )
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo", stream=stream))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"]) == ("ok", True)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] >= (30 if stream else 5)


def test_a_target_that_cannot_tell_stream_usage_is_not_asked_to(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    sent = payloads.stream(12)
    upstream.script("uncounted", answers.stream(sent))
    with gateway.line() as line:
        reply = line.chat(payloads.request("uncounted", **STREAMED))
    assert reply.body == b"".join(sent)
    (call,) = upstream.calls("uncounted")
    assert call.json == payloads.request("uncounted", **STREAMED)
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"]) == ("ok", True)
    assert row["output_tokens"] >= 12


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_a_model_with_another_name_at_its_target_keeps_its_own_in_the_ledger(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("renamed", answers.either(answers.whole(), answers.stream(payloads.stream(5, TOLD))))
    with gateway.line() as line:
        reply = line.chat(payloads.request("renamed", stream=stream, seed=7))
    (call,) = upstream.calls("renamed")
    assert (call.json["model"], call.json["seed"]) == ("its-own-name", 7)
    row = gateway.row(reply.request_id)
    assert (row["model"], row["priced_as"]) == ("renamed", "tests:priced")
