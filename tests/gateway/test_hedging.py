"""A second target beside one that is slow to begin: who serves, who is dropped, and what the ledger has of both."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.metering.reading import tokens_of_bytes
from gateway import answers, payloads
from gateway.gateway import KEY, settings, target
from gateway.wire import chat_bytes, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream
    from gateway.wire import Line

    Start = Callable[..., Gateway]

EAGER = {"after": 0.5, "share": 1, "least_s": 1}
"""Known after two answers, and every request may be hedged, but not one that only a busy machine holds up."""

STREAM = answers.stream(payloads.stream())
SERVES = answers.either(answers.whole(), STREAM)


@pytest.fixture
def hedged(start_gateway: Start, upstream: ScriptedUpstream) -> Gateway:
    """A gateway that knows its first target to be quick, with a second one that has not been asked."""
    return _known(start_gateway, upstream)


def _known(start_gateway: Start, upstream: ScriptedUpstream, rule: dict[str, Any] = EAGER, **model: Any) -> Gateway:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    models = {"pair": {"targets": ["a", "b"], "hedging": rule, **model}}
    gateway = start_gateway(settings(targets, models))
    upstream.script("a", SERVES)
    upstream.script("b", SERVES)
    with gateway.line() as line:
        for streamed in [False, True] * 4:
            assert line.chat(payloads.request("pair", stream=streamed)).headers["x-breakeven-target"] == "a"
    assert upstream.calls("b") == []
    return gateway


def _told(gateway: Gateway, request_id: str) -> list[tuple[object, ...]]:
    """Target, outcome, what failed and why the attempt was made, of both attempts in their order."""
    return [(row["target"], row["outcome"], row["failure"], row["fallback"]) for row in gateway.rows(request_id, 2)]


def _ask(line: Line, *, streamed: bool) -> tuple[str, str]:
    reply = line.chat(payloads.request("pair", stream=streamed))
    assert reply.status == 200
    assert not streamed or events(reply.body)[-1] == "[DONE]"
    return reply.headers["x-breakeven-target"], line.request_id


@pytest.mark.parametrize("streamed", [False, True])
def test_a_target_that_is_slow_to_begin_is_overtaken_and_stops(
    hedged: Gateway, upstream: ScriptedUpstream, streamed: bool
) -> None:
    upstream.script("a", answers.silent)
    with hedged.line() as line:
        served, request_id = _ask(line, streamed=streamed)
        assert served == "b"
        assert line.headers["x-breakeven-attempts"] == "2"
        assert line.headers["x-breakeven-fallback"] == "slow_to_begin"
    assert upstream.calls("a")[-1].gone.wait(5), "the target works on"
    assert _told(hedged, request_id) == [("a", "failed", "overtaken", None), ("b", "ok", None, "slow_to_begin")]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hedge_that_comes_too_late_is_dropped(hedged: Gateway, upstream: ScriptedUpstream, streamed: bool) -> None:
    asked = threading.Event()

    def late(call: Any) -> None:
        asked.set()
        answers.silent(call)

    upstream.script("a", answers.once(asked, SERVES))
    upstream.script("b", late)
    with hedged.line() as line:
        served, request_id = _ask(line, streamed=streamed)
        assert served == "a"
        assert "x-breakeven-fallback" not in line.headers
    assert upstream.calls("b")[-1].gone.wait(5), "the target works on"
    assert _told(hedged, request_id) == [("a", "ok", None, None), ("b", "failed", "overtaken", "slow_to_begin")]


@pytest.mark.parametrize("fails", [answers.failure(503), answers.reset, answers.lost_after_head])
def test_a_hedge_that_fails_leaves_the_first_attempt_alone(
    hedged: Gateway, upstream: ScriptedUpstream, fails: Callable[[Any], None]
) -> None:
    refused = threading.Event()

    def failing(call: Any) -> None:
        refused.set()
        fails(call)

    upstream.script("b", failing)
    upstream.script("a", answers.once(refused, answers.slow(0.3, SERVES)))
    with hedged.line() as line:
        if fails is answers.lost_after_head:  # a head that promises an answer has won, and is believed
            reply = line.chat(payloads.request("pair"))
            assert reply.status == 502
            return
        served, request_id = _ask(line, streamed=False)
    assert served == "a"
    first, second = _told(hedged, request_id)
    assert first == ("a", "ok", None, None)
    assert second[:2] == ("b", "failed")
    assert second[3] == "slow_to_begin"


def test_a_first_attempt_that_fails_leaves_the_request_to_its_hedge(
    hedged: Gateway, upstream: ScriptedUpstream
) -> None:
    asked = threading.Event()

    def second(call: Any) -> None:
        asked.set()
        answers.slow(0.3, SERVES)(call)

    upstream.script("a", answers.once(asked, answers.failure(500)))
    upstream.script("b", second)
    with hedged.line() as line:
        served, request_id = _ask(line, streamed=True)
    assert served == "b"
    assert _told(hedged, request_id) == [("a", "failed", "status_500", None), ("b", "ok", None, "slow_to_begin")]
    assert len(upstream.calls("b")) == 1


def test_a_client_that_leaves_stops_both(hedged: Gateway, upstream: ScriptedUpstream) -> None:
    asked = threading.Event()

    def second(call: Any) -> None:
        asked.set()
        answers.silent(call)

    upstream.script("a", answers.silent)
    upstream.script("b", second)
    with hedged.line() as line:
        line.send(chat_bytes(payloads.request("pair")))
        assert asked.wait(5)
    assert upstream.calls("a")[-1].gone.wait(5)
    assert upstream.calls("b")[-1].gone.wait(5)
    assert hedged.newest_row(target="a", outcome="client_left")["fallback"] is None
    assert hedged.newest_row(target="b", outcome="client_left")["fallback"] == "slow_to_begin"


def test_a_stream_that_has_begun_is_never_hedged(hedged: Gateway, upstream: ScriptedUpstream) -> None:
    slowly = answers.stream(payloads.stream(3), gap_s=0.5)
    upstream.script("a", slowly)
    with hedged.line() as line:
        assert _ask(line, streamed=True)[0] == "a"
    assert upstream.calls("b") == []


def test_a_request_that_is_wrong_is_answered_without_waiting_for_the_hedge(
    hedged: Gateway, upstream: ScriptedUpstream
) -> None:
    asked = threading.Event()

    def second(call: Any) -> None:
        asked.set()
        answers.silent(call)

    upstream.script("a", answers.once(asked, answers.failure(400)))
    upstream.script("b", second)
    with hedged.line() as line:
        assert line.chat(payloads.request("pair")).status == 400
        request_id = line.request_id
    assert _told(hedged, request_id) == [
        ("a", "failed", "status_400", None),
        ("b", "failed", "overtaken", "slow_to_begin"),
    ]


@pytest.mark.parametrize("why", ["cap", "share"])
def test_hedges_stay_within_the_cap_on_attempts_and_their_share(
    start_gateway: Start, upstream: ScriptedUpstream, why: str
) -> None:
    gateway = (
        _known(start_gateway, upstream, max_attempts=1)
        if why == "cap"
        else _known(start_gateway, upstream, EAGER | {"share": 0.01})
    )
    upstream.script("a", answers.slow(2, SERVES))
    with gateway.line() as line:
        assert _ask(line, streamed=False)[0] == "a"
    assert upstream.calls("b") == []


def test_what_a_dropped_hedge_used_counts_against_its_key(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    """The limit leaves room for one more request, but not beside the prompt that was sent twice."""
    asked = payloads.request("pair", max_tokens=10)
    prompt_tokens = tokens_of_bytes(len(json.dumps(asked)))
    answered = 157 + 52
    key: dict[str, Any] = {"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    key |= {"quota": {"tokens_per_minute": 5 * answered + prompt_tokens + 10 + prompt_tokens // 2}}
    targets = {name: target(upstream.url(name)) for name in "ab"}
    models = {"pair": {"targets": ["a", "b"], "hedging": EAGER}}
    gateway = start_gateway(settings(targets, models) | {"keys": [key]})
    sent_twice = threading.Event()

    def late(call: Any) -> None:
        sent_twice.set()
        answers.silent(call)

    upstream.script("a", SERVES)
    upstream.script("b", late)
    with gateway.line() as line:
        for _ in range(4):
            assert line.chat(asked).status == 200
        upstream.script("a", answers.once(sent_twice, SERVES), SERVES)
        assert line.chat(asked).headers["x-breakeven-target"] == "a"
        assert upstream.calls("b")[-1].gone.wait(5)
        assert line.chat(asked).status == 429
