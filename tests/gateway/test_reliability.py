"""What keeps requests answered: breakers, retries within a cap, larger targets, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import answers, payloads
from gateway.gateway import settings, target, wait_for
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]


# Breakers


def test_a_target_that_keeps_failing_is_left_alone_until_a_probe_finds_it_well(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    breaker = {"failed_requests": 3, "open_s": 4}
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

    def served() -> str:
        return line.chat(payloads.request("m")).headers["x-breakeven-target"]

    upstream.script("slow", answers.failure(500))  # of which nothing is learned: the fast one is known first
    upstream.script("fast", answers.whole())
    with gateway.line() as line:
        assert served() == "fast"
        upstream.script("slow", answers.slow(1, answers.whole()))
        wait_for(lambda: served() == "slow", "the slow one to be tried")
        assert [served() for _ in range(20)].count("fast") >= 19


def test_a_target_that_refuses_at_once_is_not_taken_for_one_that_begins_soon(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    targets = {name: target(upstream.url(name)) for name in ("refuses", "serves")}
    gateway = start_gateway(settings(targets, {"m": {"targets": ["refuses", "serves"], "policy": "lowest_latency"}}))
    upstream.script("refuses", answers.failure(400))  # no fault of its own, so that no breaker helps
    upstream.script("serves", answers.slow(0.02, answers.whole()))
    with gateway.line() as line:
        statuses = [line.chat(payloads.request("m")).status for _ in range(150)]
    assert statuses.count(200) > 100  # where its refusals counted it would be asked nearly always


def _chat(model: str) -> bytes:
    return chat_bytes(payloads.request(model))
