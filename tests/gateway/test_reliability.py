"""What keeps requests answered: breakers, retries within a cap, larger targets, streams that go on elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import TIMEOUTS, settings, target, wait_for
from gateway.wire import chat_bytes, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]


def _text(body: bytes) -> str:
    """The text of a streamed answer, put together as a client does."""
    chunks = [json.loads(data) for data in events(body) if data != "[DONE]"]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(piece for piece in pieces if piece)


def _begun(count: int) -> list[bytes]:
    """The beginning of a stream: its role and that many words."""
    return [payloads.event(payloads.chunk({"role": "assistant", "content": ""})), *payloads.words(count)]


# Breakers


def test_a_target_that_keeps_failing_is_left_alone_until_a_probe_finds_it_well(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    breaker = {"failed_requests": 3, "open_s": 0.5}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}, breaker=breaker))
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        served = [line.chat(payloads.request("pair")).headers["x-breakeven-target"] for _ in range(10)]
        assert served == ["b"] * 10
        assert len(upstream.calls("a")) == 3
        upstream.script("a", answers.whole())
        wait_for(
            lambda: line.chat(payloads.request("pair")).headers["x-breakeven-target"] == "a", "a probe that is answered"
        )
        assert line.chat(payloads.request("pair")).headers["x-breakeven-target"] == "a"


def test_retry_after_is_heeded(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}, breaker={}))
    upstream.script("a", answers.failure(429, "retry-after: 30"))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        for _ in range(5):
            assert line.chat(payloads.request("pair")).headers["x-breakeven-target"] == "b"
    assert len(upstream.calls("a")) == 1


def test_when_all_targets_are_down_they_are_asked_all_the_same(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(
        settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}}, breaker={"failed_requests": 1})
    )
    upstream.script("a", answers.failure(500))
    with gateway.line() as line:
        assert [line.chat(payloads.request("one")).status for _ in range(3)] == [500] * 3
        upstream.script("a", answers.whole())
        assert line.chat(payloads.request("one")).status == 200


def test_what_a_client_did_wrong_does_not_count_against_the_target(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}, breaker={"failed_requests": 2}))
    upstream.script("a", answers.failure(400))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        assert [line.chat(payloads.request("pair")).status for _ in range(6)] == [400] * 6
    assert len(upstream.calls("a")) == 6
    assert upstream.calls("b") == []


def test_a_name_that_nobody_knows_does_not_close_the_target_for_the_others(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"*": {"targets": ["a", "b"]}}, breaker={"refused_requests": 1}))
    upstream.script("a", answers.failure(404), answers.whole())
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        served = [line.chat(payloads.request(name)).headers["x-breakeven-target"] for name in ("gtp-4", "gpt-4")]
    assert served == ["b", "a"]


@pytest.mark.parametrize("usage", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_that_begins_with_an_error_goes_to_the_next_target(
    start_gateway: Start, upstream: ScriptedUpstream, usage: dict[str, Any]
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}))
    overloaded = b'data: {"error":{"message":"overloaded","code":502}}\n\n'
    upstream.script("a", answers.stream([b": wait\n\n", overloaded]))
    upstream.script("b", answers.stream(payloads.stream(2, payloads.TOLD)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("pair", **payloads.STREAMED, **usage))
    assert _text(reply.body.removeprefix(b": wait\n\n")) == " word0 word1"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert b"overloaded" not in reply.body


def test_what_an_error_within_a_stream_says_counts_as_a_status_would(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    breaker = {"failed_requests": 1, "open_s": 60}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"]}}, breaker=breaker))
    too_long = payloads.error("the prompt is too long for this model: prompt is too long")
    upstream.script("a", answers.stream([payloads.event(too_long)]))
    upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
    with gateway.line() as line:
        for _ in range(3):
            reply = line.chat(payloads.request("pair", **payloads.STREAMED))
            assert b"too long" in reply.body, "the client's own mistake goes back to it"
            assert b"[DONE]" not in reply.body
    assert len(upstream.calls("a")) == 3, "a mistake of a client closes the target for nobody"
    assert upstream.calls("b") == []


# Retries


def test_targets_are_asked_again_after_a_pause_and_never_more_often_than_the_cap(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "abc"}
    models = {
        "far": {"targets": ["a", "b"], "fallbacks": ["near"], "max_attempts": 5},
        "near": {"targets": ["c"]},
    }
    gateway = start_gateway(settings(targets, models))
    for name in "abc":
        upstream.script(name, answers.failure(503))
    with gateway.line() as line:
        reply = line.chat(payloads.request("far"))
    assert (reply.status, reply.headers["x-breakeven-attempts"]) == (503, "5")
    rows = gateway.rows(reply.request_id, 5)
    assert [row["target"] for row in rows] == ["a", "b", "c", "a", "b"]
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4]
    assert sum(len(upstream.calls(name)) for name in "abc") == 5


def test_a_target_that_recovers_within_the_pause_answers(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"], "max_attempts": 4}}))
    upstream.script("a", answers.failure(503), answers.failure(503), answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("one"))
    assert (reply.status, reply.headers["x-breakeven-attempts"]) == (200, "3")


def test_a_client_that_leaves_during_the_pause_ends_the_request(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"], "max_attempts": 15}}))
    upstream.script("a", answers.failure(503, "retry-after: 3"))
    with gateway.line() as line:
        line.send(_chat("one"))
        upstream.calls("a", at_least=1)
    with gateway.line() as line:
        assert line.ask("GET", "/health").status == 200
    wait_for(lambda: len(gateway.all_rows()) == 1, "the row of the one attempt")
    assert len(upstream.calls("a")) == 1


def test_a_model_that_falls_back_to_another_is_asked_for_by_its_name(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    models = {"first": {"targets": ["a"], "fallbacks": ["second"]}, "second": {"targets": ["b"]}}
    gateway = start_gateway(settings(targets, models))
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("first"))
    assert reply.status == 200
    assert upstream.calls("b")[-1].json["model"] == "second"
    assert [row["model"] for row in gateway.rows(reply.request_id, 2)] == ["first", "first"]


# What is wrong with the request itself

TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. Your messages resulted in 9000 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
    }
}


def test_a_prompt_that_is_too_long_goes_to_a_larger_target_alone(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    sizes = {"a": 8192, "b": 8192, "c": 128_000}
    targets = {name: target(upstream.url(name), context_tokens=size) for name, size in sizes.items()}
    models = {"any": {"targets": ["a", "b", "c"]}, "small": {"targets": ["a", "b"]}}
    gateway = start_gateway(settings(targets, models))
    for name in "ab":
        upstream.script(name, answers.whole(TOO_LONG, status=400))
    upstream.script("c", answers.whole())
    with gateway.line() as line:
        assert line.chat(payloads.request("any")).headers["x-breakeven-target"] == "c"
        refused = line.chat(payloads.request("small"))
    assert (refused.status, refused.json) == (400, TOO_LONG)
    assert len(upstream.calls("a")) == 2
    assert upstream.calls("b") == []


def test_a_refusal_by_a_content_filter_is_not_shopped_around(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"pair": {"targets": ["a", "b"], "max_attempts": 6}}))
    upstream.script("a", answers.whole(FILTERED, status=400))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("pair"))
    assert (reply.status, reply.json) == (400, FILTERED)
    assert upstream.calls("b") == []


# Streams that break


def _continuing(upstream: ScriptedUpstream, prefill: str = "continue_final_message") -> dict[str, Any]:
    targets = {
        "a": target(upstream.url("a")),
        "b": target(upstream.url("b"), prefill=prefill),
        "plain": target(upstream.url("plain")),
        "quick": target(upstream.url("quick"), timeouts=TIMEOUTS | {"between_tokens_s": 0.3}),
    }
    models = {
        "going-on": {"targets": ["a", "b"]},
        "past-another": {"targets": ["a", "plain", "b"]},
        "nowhere": {"targets": ["a", "plain"]},
        "forbidden": {"targets": ["a", "b"], "continue_streams": False},
        "silent": {"targets": ["quick", "b"]},
    }
    return settings(targets, models)


@pytest.mark.parametrize(
    ("prefill", "told"),
    [
        ("continue_final_message", {"continue_final_message": True, "add_generation_prompt": False}),
        ("prefix", {}),
        ("plain", {}),
    ],
)
@pytest.mark.parametrize("fault", [answers.close, answers.reset], ids=["closed", "reset"])
def test_a_stream_that_breaks_goes_on_elsewhere_from_what_was_sent(
    start_gateway: Start, upstream: ScriptedUpstream, prefill: str, told: dict[str, object], fault: Any
) -> None:
    gateway = start_gateway(_continuing(upstream, prefill))
    upstream.script("a", answers.stream(_begun(3), then=fault))
    upstream.script("b", answers.stream([*payloads.words(2), *payloads.stream(0, payloads.TOLD)]))
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert _text(reply.body) == " word0 word1 word2 word0 word1"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    asked = upstream.calls("b")[-1].json
    last = {"role": "assistant", "content": " word0 word1 word2"} | ({"prefix": True} if prefill == "prefix" else {})
    assert asked["messages"] == [*payloads.PROMPT, last]
    assert {name: asked[name] for name in told} == told
    rows = gateway.rows(reply.request_id, 2)
    assert [(row["target"], row["outcome"]) for row in rows] == [("a", "cut"), ("b", "ok")]
    assert (rows[0]["estimated"], rows[1]["output_tokens"]) == (True, 52)
    assert rows[1]["fallback"] == "connection_lost"


def test_a_silent_stream_and_one_with_an_error_event_go_on_too(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("quick", answers.stream(_begun(2), then=lambda call: call.wait()))
    upstream.script("a", answers.stream([*payloads.words(2), payloads.event(payloads.error("out of memory"))]))
    for model in ("silent", "going-on"):
        upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
        with gateway.line() as line:
            reply = line.chat(payloads.request(model, **payloads.STREAMED))
        assert _text(reply.body) == " word0 word1 word0"
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert b"out of memory" not in reply.body


def test_targets_that_cannot_continue_are_passed_over(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(1), then=answers.close))
    upstream.script("b", answers.stream(payloads.stream(1, payloads.TOLD)))
    upstream.script("plain", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("past-another", **payloads.STREAMED))
    assert _text(reply.body) == " word0 word0"
    assert upstream.calls("plain") == []


@pytest.mark.parametrize("model", ["nowhere", "forbidden"])
def test_a_stream_that_cannot_go_on_ends_in_an_error_and_never_in_done(
    start_gateway: Start, upstream: ScriptedUpstream, model: str
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(2), then=answers.close))
    with gateway.line() as line:
        reply = line.chat(payloads.request(model, **payloads.STREAMED))
    assert b"[DONE]" not in reply.body
    assert json.loads(events(reply.body)[-1])["error"]["code"] == "connection_lost"
    assert gateway.row(reply.request_id)["outcome"] == "cut"


def test_a_stream_whose_second_target_fails_too_ends_in_an_error(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_continuing(upstream))
    upstream.script("a", answers.stream(_begun(2), then=answers.close))
    upstream.script("b", answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert _text(reply.body.partition(b'data: {"error"')[0]) == " word0 word1"
    assert b"[DONE]" not in reply.body
    rows = gateway.rows(reply.request_id, 2)
    assert [(row["target"], row["outcome"]) for row in rows] == [("a", "cut"), ("b", "cut")]


def test_tool_calls_are_not_continued(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_continuing(upstream))
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a'}}
    begun = payloads.event(payloads.chunk({"role": "assistant", "tool_calls": [call]}))
    upstream.script("a", answers.stream([begun], then=answers.close))
    upstream.script("b", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("going-on", **payloads.STREAMED))
    assert b"[DONE]" not in reply.body
    assert upstream.calls("b") == []


# Policies


def test_the_cheapest_target_is_asked_first(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    cards = {
        "rate_cards": [
            {
                "provider": "tests", "model": name, "source": "made up", "checked_on": "2026-01-01",
                "prices": [{"input_usd_per_mtok": price, "output_usd_per_mtok": price}],
            }
            for name, price in (("dear", "9"), ("fair", "2"), ("cheap", "1"))
        ]
    }  # fmt: skip
    targets = {name: target(upstream.url(name), prices=f"tests:{name}") for name in ("dear", "fair", "cheap")}
    gateway = start_gateway(
        settings(targets, {"m": {"targets": ["dear", "fair", "cheap"], "policy": "cheapest"}}), cards
    )
    upstream.script("cheap", answers.whole(), answers.failure(500))
    upstream.script("fair", answers.whole())
    with gateway.line() as line:
        assert line.chat(payloads.request("m")).headers["x-breakeven-target"] == "cheap"
        assert line.chat(payloads.request("m")).headers["x-breakeven-target"] == "fair"


def test_the_target_with_fewest_requests_is_asked_first(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    gateway = start_gateway(settings(targets, {"m": {"targets": ["a", "b"], "policy": "least_busy"}}))
    upstream.script("a", answers.silent)
    upstream.script("b", answers.whole())
    with gateway.line() as busy, gateway.line() as line:
        busy.send(_chat("m"))
        upstream.calls("a", at_least=1)
        assert [line.chat(payloads.request("m")).headers["x-breakeven-target"] for _ in range(3)] == ["b"] * 3


def test_the_target_that_begins_soonest_serves_most(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in ("slow", "fast")}
    gateway = start_gateway(settings(targets, {"m": {"targets": ["slow", "fast"], "policy": "lowest_latency"}}))

    def late(call: Any) -> None:
        call.wait(0.05)
        answers.whole()(call)

    upstream.script("slow", late)
    upstream.script("fast", answers.whole())
    with gateway.line() as line:
        wait_for(
            lambda: line.chat(payloads.request("m")).headers["x-breakeven-target"] == "fast", "the fast one to be tried"
        )
        served = [line.chat(payloads.request("m")).headers["x-breakeven-target"] for _ in range(20)]
    assert served.count("fast") >= 19


def _chat(model: str) -> bytes:
    return chat_bytes(payloads.request(model))
