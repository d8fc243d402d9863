"""Answers to similar questions: checked first, given again when enough was measured, never to anybody else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Line, Reply

    Start = Callable[..., Gateway]

OTHER_KEY = "sk-be-of-somebody-else"
WAYS = ["explain", "describe", "teach", "outline", "detail", "clarify", "illustrate", "recount", "narrate", "sketch"]
"""So many ways to ask the same; none of these words turns a question round."""

CHECKS = 6
"""Before anything is given again where half of the hits may be false: ln 20 / ln(1 + 0.7), rounded up."""

TASK = {"similarity": 0.9, "most_false_hits": 0.5, "checked_share": 0.001, "ttl_s": 60}


def _vectors(call: Call) -> None:
    """Vectors that look at what a text is about, and hardly at how it is said."""
    data = []
    for index, text in enumerate(call.json["input"]):
        about = ["parcel" in text, "invoice" in text, 0.01 * len(text)]
        data.append({"object": "embedding", "index": index, "embedding": [float(number) for number in about]})
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    answers.whole({"object": "list", "data": data, "model": "small", "usage": usage})(call)


def _says(text: str) -> Callable[[Call], None]:
    streamed = [payloads.event(payloads.chunk({"content": text})), *payloads.stream(0, payloads.usage())[1:]]
    return answers.either(answers.whole(payloads.completion(text)), answers.stream(streamed))


def _configured(upstream: ScriptedUpstream, **task: Any) -> dict[str, Any]:
    named = {"tests": KEY, "other": OTHER_KEY}
    targets = {"a": target(upstream.url("a")), "vectors": target(upstream.url("vectors"))}
    models = {"one": {"targets": ["a"]}, "small": {"targets": ["vectors"]}}
    keys = [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "models": ["one"]}
        for name, key in named.items()
    ]
    semantic = {"embeddings": "small", "tasks": {"faq": TASK | task}, "timeout_s": 5}
    return settings(targets, models, semantic_cache=semantic) | {"keys": keys}


@pytest.fixture
def gateway(start_gateway: Start, upstream: ScriptedUpstream) -> Gateway:
    """A gateway with one task whose answers may be given again, and targets that answer it."""
    started = start_gateway(_configured(upstream))
    upstream.script("a", _says("Within fourteen days."))
    upstream.script("vectors", _vectors)
    return started


def _ask(line: Line, text: str, *, task: str = "faq", stream: bool = False, **headers: str) -> Reply:
    asked = payloads.request("one", stream=stream) | {"messages": [{"role": "user", "content": text}]}
    reply = line.chat(asked, x_breakeven_task=task, **headers)
    assert reply.status == 200
    return reply


def _learn(line: Line, *, stream: bool = False) -> None:
    """Ask in as many ways as it takes before answers are given again."""
    for way in WAYS[: CHECKS + 1]:
        assert "x-breakeven-cache" not in _ask(line, f"{way} the parcel", stream=stream).headers


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_given_again_once_enough_were_found_the_same(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    with gateway.line() as line:
        _learn(line, stream=stream)
        assert len(upstream.calls("a")) == CHECKS + 1
        replies = [_ask(line, f"{way} the parcel", stream=stream) for way in WAYS[CHECKS + 1 :]]
    given = [reply for reply in replies if "x-breakeven-cache" in reply.headers]
    assert len(given) >= 2  # one of a thousand is drawn to be checked
    reply = given[0]
    assert reply.headers["x-breakeven-cache"] == "similar"
    assert reply.headers["x-breakeven-decision"] == "similar"
    assert b"Within fourteen days." in reply.body
    assert len(upstream.calls("a")) == CHECKS + 1 + len(replies) - len(given)
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["target"], row["decision"]) == ("cached", "a", "similar")
    assert (row["input_tokens"], row["output_tokens"]) == (157, 52)


def test_what_the_vectors_cost_is_in_the_ledger(gateway: Gateway) -> None:
    with gateway.line() as line:
        _ask(line, "explain the parcel")
    row = gateway.newest_row(model="small")
    assert (row["target"], row["key"], row["task"], row["outcome"]) == ("vectors", "tests", "faq", "ok")
    assert row["input_tokens"] == 7


def test_other_tasks_and_other_questions_are_not_looked_up(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with gateway.line() as line:
        _ask(line, "explain the parcel", task="chat")
        _ask(line, "explain the parcel", task="")
        _ask(line, "explain the parcel", x_breakeven_cache="off")
        image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
        asked = payloads.request("one") | {"messages": [{"role": "user", "content": image}]}
        assert line.chat(asked, x_breakeven_task="faq").status == 200
    assert upstream.calls("vectors") == []


def test_nothing_is_given_to_another_key_another_prompt_or_another_number(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with gateway.line() as line:
        _learn(line)
        known = len(upstream.calls("a"))
        replies = [
            _ask(line, "narrate the parcel", authorization=f"Bearer {OTHER_KEY}"),
            _ask(line, "narrate the parcel", stream=True),
            _ask(line, "narrate the parcel 2"),
            _ask(line, "do not narrate the parcel"),
            _ask(line, "narrate the invoice"),
        ]
        system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "narrate the parcel"}]
        replies.append(line.chat(payloads.request("one") | {"messages": system}, x_breakeven_task="faq"))
    assert ["x-breakeven-cache" in reply.headers for reply in replies] == [False] * 6
    assert len(upstream.calls("a")) == known + 6


def test_false_hits_are_found_by_checks_and_end_the_giving(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_configured(upstream, checked_share=1))
    upstream.script("a", _says("Within fourteen days."))
    upstream.script("vectors", _vectors)
    with gateway.line() as line:
        _learn(line)
        assert "x-breakeven-cache" not in _ask(line, "narrate the parcel").headers
    wait_for(lambda: _hits(gateway)["checks"] == CHECKS + 1, "the checks")
    assert _hits(gateway) == {"given": 0, "checks": CHECKS + 1, "false_hits": 0, "checks_needed": 0}
    upstream.script("a", _says("Never."), _says("Always."), _says("Perhaps."))
    with gateway.line() as line:
        for number in range(3):
            _ask(line, f"{'so ' * (number + 1)}narrate the parcel")
    wait_for(lambda: _hits(gateway)["false_hits"] == 3, "the false hits")
    assert _hits(gateway)["checks_needed"] > 0


def test_answers_in_other_words_count_as_the_same_only_where_that_is_said(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_configured(upstream, checked_share=1, same_answer="similar"))
    said = ["the parcel may come back", "that parcel can be returned", "a parcel is taken back in 3 days", "an invoice"]
    upstream.script("a", *(_says(text) for text in said))
    upstream.script("vectors", _vectors)
    with gateway.line() as line:
        for way in WAYS[:4]:
            _ask(line, f"{way} the parcel")
    wait_for(lambda: _hits(gateway)["checks"] == 3, "the checks")
    assert _hits(gateway)["false_hits"] == 2  # the one with a number, and the invoice


@pytest.mark.parametrize("fails", [answers.failure(500), answers.silent, answers.whole({"data": []}), answers.reset])
def test_without_a_vector_the_request_is_sent_as_ever(
    start_gateway: Start, upstream: ScriptedUpstream, fails: Callable[[Call], None]
) -> None:
    configured = _configured(upstream)
    configured["semantic_cache"]["timeout_s"] = 0.3
    gateway = start_gateway(configured)
    upstream.script("a", _says("Within fourteen days."))
    upstream.script("vectors", fails)
    with gateway.line() as line:
        assert "x-breakeven-cache" not in _ask(line, "explain the parcel").headers
        assert _ask(line, "explain the parcel").headers["x-breakeven-cache"] == "hit"
    assert len(upstream.calls("a")) == 1


def test_a_client_that_leaves_while_it_is_looked_up_costs_no_request(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("vectors", answers.slow(0.5, _vectors))
    asked = payloads.request("one") | {"messages": [{"role": "user", "content": "explain the parcel"}]}
    with gateway.line() as line:
        line.send(chat_bytes(asked, x_breakeven_task="faq"))
        wait_for(lambda: len(upstream.calls("vectors")) == 1, "the lookup")
    gateway.newest_row(model="small", outcome="ok")
    with gateway.line() as line:
        _ask(line, "explain the invoice")
    assert len(upstream.calls("a")) == 1


def _hits(gateway: Gateway) -> dict[str, int]:
    """What the worker says of the task, once it has said anything."""
    path = gateway.ledger_folder / "state" / "worker-0.json"
    wait_for(path.exists, "the worker's file")
    found: dict[str, int] = json.loads(path.read_bytes())["similar"]["faq"]
    return found
