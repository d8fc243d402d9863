"""Which answers are copied on their way, and that a copy is what the target said, in every protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, messages_payloads, payloads
from gateway.gateway import running_gateway, target, wait_for
from gateway.shadowed import ask, pairs, ready, says, shadowing, state, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

EVERY = ["chat", "completions", "responses", "messages"]


def message(text: str, gap_s: float = 0.0) -> Answer:
    """An answer as Anthropic's API gives it."""
    began, opened, _, _, closed, delta, stop = messages_payloads.stream(1)
    piece = messages_payloads.event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    streamed = answers.stream([began, opened, piece, closed, delta, stop], gap_s=gap_s)
    whole = answers.whole(messages_payloads.message(content=[{"type": "text", "text": text}]))
    return answers.either(whole, streamed)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway with models that go different ways, each shadowed by the same candidate."""
    targets = {
        "native": target(upstream.url("native"), protocols=EVERY),
        "claude": target(upstream.url("claude"), protocols=["messages"]),
        "first": target(upstream.url("first"), protocols=EVERY, prefill="plain"),
        "second": target(upstream.url("second"), protocols=EVERY, prefill="plain"),
        "candidate": target(upstream.url("candidate"), protocols=EVERY),
        "claude-candidate": target(upstream.url("claude-candidate"), protocols=["messages"]),
    }
    check = {"regex": "[a-z ]+"}
    models: dict[str, Any] = {
        "plain": {"targets": ["native"]},
        "crossed": {"targets": ["claude"]},
        "pair": {"targets": ["first", "second"]},
        "verified": {"targets": ["first", "second"], "verify": check},
        "hedged": {"targets": ["first", "second"], "hedging": {"after": 0.5, "share": 1, "least_s": 0.01}},
        "cached": {"targets": ["native"], "cache": {"ttl_s": 60}},
    }
    shadows = [{"model": name, "candidate": "candidate", "share": 1} for name in models]
    shadows.append({"model": "plain", "candidate": "claude-candidate", "share": 1})
    configured = shadowing(upstream, {"shadows": shadows}, targets=targets, models=models)
    with running_gateway(tmp_path_factory.mktemp("copies"), configured) as started:
        yield ready(started)


@pytest.fixture(autouse=True)
def candidates(upstream: ScriptedUpstream) -> None:
    """What both candidates say."""
    upstream.script("candidate", says("other"))
    upstream.script("claude-candidate", message("another"))


def pair_of(gateway: Gateway, request_id: str, candidate: str = "candidate") -> dict[str, Any]:
    """The pair of a request, once it is there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        number = int(request_id, 16) << 4
        rows = table(gateway, "pair")
        found[:] = [row for row in rows if (row["request_id"], row["candidate"]) == (number, candidate)]
        return bool(found)

    wait_for(there, f"{request_id} has no pair", lambda: f"{state(gateway)}\n{gateway.said()[-2000:]}")
    return found[0]


def never_copied(gateway: Gateway, request_id: str) -> None:
    """Show that a request left no copy: one that came after it did, and has its pair."""
    later = ask(gateway, model="plain")
    pair_of(gateway, later.request_id)
    assert int(request_id, 16) << 4 not in {row["request_id"] for row in table(gateway, "pair")}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["plain", "crossed"])
def test_both_answers_are_read_whatever_is_spoken(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, stream: bool
) -> None:
    upstream.script("native", says("chat"))
    upstream.script("claude", message("claude"))
    reply = ask(gateway, model=model, stream=stream)
    assert reply.status == 200
    pair = pair_of(gateway, reply.request_id)
    assert (pair["incumbent_characters"], pair["candidate_characters"]) == (
        len("chat" if model == "plain" else "claude"),
        5,
    )
    assert pair["candidate_failure"] == ""
    if model == "plain":
        crossed = pair_of(gateway, reply.request_id, "claude-candidate")
        assert (crossed["candidate_failure"], crossed["candidate_characters"]) == ("", 7)


@pytest.mark.parametrize("model", ["plain", "crossed", "pair", "verified"])
def test_events_that_come_one_by_one_are_copied_too(gateway: Gateway, upstream: ScriptedUpstream, model: str) -> None:
    """Each is then a packet and a chunk, which goes past the parser."""
    text = "as many words as make eight pieces"
    upstream.script("native", says(text, gap_s=0.02))
    upstream.script("claude", message(text, gap_s=0.02))
    upstream.script("first", says("WRONG") if model == "verified" else answers.failure(500))
    upstream.script("second", says(text, gap_s=0.02))
    reply = ask(gateway, model=model, stream=True)
    assert reply.status == 200
    assert pair_of(gateway, reply.request_id)["incumbent_characters"] == len(text)


@pytest.mark.parametrize("stream", [False, True])
def test_messages_are_copied_as_messages(gateway: Gateway, upstream: ScriptedUpstream, stream: bool) -> None:
    upstream.script("claude", message("claude"))
    upstream.script("candidate", message("other"))
    reply = ask(gateway, path="/v1/messages", model="crossed", stream=stream, max_tokens=50)
    pair = pair_of(gateway, reply.request_id)
    assert (pair["incumbent_characters"], pair["candidate_characters"]) == (6, 5)
    assert pair["candidate_output_tokens"] == pair["incumbent_output_tokens"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["pair", "verified"])
def test_the_copy_is_of_the_attempt_that_served(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, stream: bool
) -> None:
    upstream.script("first", says("WRONG") if model == "verified" else answers.failure(500))
    upstream.script("second", says("right words"))
    reply = ask(gateway, model=model, stream=stream)
    assert reply.headers["x-breakeven-target"] == "second"
    pair = pair_of(gateway, reply.request_id)
    assert (pair["incumbent"], pair["incumbent_characters"]) == ("second", len("right words"))


def test_a_hedge_that_serves_is_copied(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("first", says("slow words"))
    upstream.script("second", says("quick"))
    for _ in range(12):  # until it is known what a first byte takes
        ask(gateway, model="hedged")
    upstream.script("first", answers.silent)
    reply = ask(gateway, model="hedged")
    assert reply.headers["x-breakeven-target"] == "second"
    pair = pair_of(gateway, reply.request_id)
    assert (pair["incumbent"], pair["incumbent_characters"]) == ("second", len("quick"))


def test_an_answer_that_is_given_again_is_not_copied_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("native", says("kept"))
    first = ask(gateway, "the same", model="cached")
    pair_of(gateway, first.request_id)
    again = ask(gateway, "the same", model="cached")
    assert again.headers["x-breakeven-cache"] == "hit"
    never_copied(gateway, again.request_id)


def test_a_stream_that_went_on_elsewhere_is_not_copied(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    begun = payloads.stream(3, done=False)[:3]
    upstream.script("native", says("plain"))
    upstream.script("first", answers.stream(begun, then=answers.reset))
    upstream.script("second", says("and so on"))
    reply = ask(gateway, model="pair", stream=True)
    assert b"[DONE]" in reply.body
    never_copied(gateway, reply.request_id)


@pytest.mark.parametrize("where", ["request", "answer"])
def test_what_is_too_long_is_not_copied(gateway: Gateway, upstream: ScriptedUpstream, where: str) -> None:
    upstream.script("native", says("x" * 300_000) if where == "answer" else says("short"), says("plain"))
    long = "y" * (300_000 if where == "request" else 10)
    reply = ask(gateway, long, model="plain", x_breakeven_cache="off")
    assert reply.status == 200
    never_copied(gateway, reply.request_id)


def test_a_client_that_asked_for_no_usage_gets_none_and_the_pair_has_it(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("native", says("chat"))
    reply = ask(gateway, model="plain", stream=True)
    assert b'"usage": {' not in reply.body
    pair = pair_of(gateway, reply.request_id)
    assert (pair["candidate_input_tokens"], pair["incumbent_input_tokens"]) == (157, 157)
    asked = [call.json for call in upstream.calls("candidate")]
    assert asked[-1]["stream_options"] == {"include_usage": True}
    assert json.dumps(asked[-1]["messages"])


def test_embeddings_are_not_copied(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    pairs(gateway)
    before = len(upstream.calls("candidate"))
    reply = ask(gateway, path="/v1/embeddings", model="plain")
    assert reply.status != 200
    assert len(upstream.calls("candidate")) == before
