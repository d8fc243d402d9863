"""Answers that are given again: to equal requests of the same key, where that is asked for, and told in the ledger."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

OTHER_KEY = "sk-be-of-somebody-else"


def _keys() -> list[dict[str, str]]:
    named = {"tests": KEY, "other": OTHER_KEY}
    return [{"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()} for name, key in named.items()]


def _configured(upstream: ScriptedUpstream, **model: Any) -> dict[str, Any]:
    targets = {"a": target(upstream.url("a"))}
    return settings(targets, {"one": {"targets": ["a"], **model}}) | {"keys": _keys()}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_equal_request_gets_the_same_answer_without_a_call(
    start_gateway: Start, upstream: ScriptedUpstream, stream: bool
) -> None:
    gateway = start_gateway(_configured(upstream, cache={"ttl_s": 60}))
    upstream.script("a", answers.either(answers.whole(), answers.stream(payloads.stream(4, payloads.usage()))))
    asked = payloads.request("one", stream=stream)
    with gateway.line() as line:
        first = line.chat(asked)
        again = line.chat(asked)
        other = line.chat(asked | {"seed": 2})
    assert again.body == first.body
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("x-breakeven-cache"), again.headers.get("x-breakeven-cache")) == (None, "hit")
    assert again.headers["x-breakeven-decision"] == "cached"
    assert "x-breakeven-cache" not in other.headers
    assert len(upstream.calls("a")) == 2
    row = gateway.row(again.request_id)
    assert (row["outcome"], row["target"], row["input_tokens"], row["output_tokens"]) == ("cached", "a", 157, 52)


def test_what_was_avoided_is_told_apart_from_what_was_spent(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_configured(upstream, cache={"ttl_s": 60}))
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        for _ in range(4):
            assert line.chat(payloads.request("one")).status == 200
    wait_for(lambda: len(gateway.all_rows()) == 4, "the rows")
    command = [sys.executable, "-m", "breakeven", "ledger", "query", "--json", "--ledger", str(gateway.ledger_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = json.loads(done.stdout)
    total = text["total"] if "total" in text else text["rows"][0]
    assert (total["requests"], total["attempts"], total["cached_requests"]) == (4, 1, 3)
    assert Decimal(total["avoided_usd"]) == 3 * Decimal(total["cost_usd"])
    assert total["usage"]["input_tokens"] == 157


def test_no_key_gets_what_was_made_for_another(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_configured(upstream, cache={"ttl_s": 60}))
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        line.chat(payloads.request("one"))
        theirs = line.chat(payloads.request("one"), authorization=f"Bearer {OTHER_KEY}")
        assert "x-breakeven-cache" not in theirs.headers
        marked = line.chat(payloads.request("one"), x_breakeven_sensitivity="health")
    assert marked.status == 403
    assert len(upstream.calls("a")) == 2


def test_nothing_is_kept_unless_it_is_asked_for(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_configured(upstream))
    upstream.script("a", answers.whole())
    with gateway.line() as line:
        for said in ("", "", "on", "refresh", "off"):
            reply = line.chat(payloads.request("one"), x_breakeven_cache=said)
            assert "x-breakeven-cache" not in reply.headers
        assert line.chat(payloads.request("one"), x_breakeven_cache="on").headers["x-breakeven-cache"] == "hit"
    assert len(upstream.calls("a")) == 5


@pytest.mark.parametrize(
    "answer",
    [
        answers.failure(500),
        answers.stream(payloads.stream(2, done=False), then=answers.close),
        answers.stream([*payloads.words(1), payloads.event(payloads.error("no"))]),
    ],
    ids=["failed", "cut", "error event"],
)
def test_what_is_no_whole_answer_is_not_kept(start_gateway: Start, upstream: ScriptedUpstream, answer: Any) -> None:
    gateway = start_gateway(_configured(upstream, cache={"ttl_s": 60}))
    upstream.script("a", answer)
    for _ in range(2):
        with gateway.line() as line:
            assert "x-breakeven-cache" not in line.chat(payloads.request("one", stream=True)).headers
    assert len(upstream.calls("a")) == 2


def test_an_answer_grows_old(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_configured(upstream, cache={"ttl_s": 0.3}))
    upstream.script("a", answers.whole())

    def hit() -> bool:
        with gateway.line() as line:
            return "x-breakeven-cache" in line.chat(payloads.request("one")).headers

    assert not hit()
    wait_for(lambda: not hit() and len(upstream.calls("a")) >= 2, "the answer to be too old")
