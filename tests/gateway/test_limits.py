"""Limits and budgets on live requests: what is reserved, what is given back, and what cannot be raced."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import OpenAI

from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for
from gateway.wire import chat_bytes
from limits.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

    Start = Callable[..., Gateway]

ANSWER_USD = (157 * 0.15 + 52 * 0.6) / 1e6
"""What a scripted answer costs by the tests' prices."""


def _limited(upstream: ScriptedUpstream, quota: dict[str, Any], **fields: Any) -> dict[str, Any]:
    key = {"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "team": "search", "quota": quota}
    configured = settings({"a": target(upstream.url("a"))}, {"one": {"targets": ["a"]}}, **fields)
    return configured | {"keys": [key]}


LONG = [{"role": "user", "content": "word " * 130}]
"""A prompt that by its size has the tokens which the scripted answers tell."""


def _ask(gateway: Gateway, **fields: Any) -> tuple[int, dict[str, Any]]:
    with gateway.line() as line:
        reply = line.chat(payloads.request("one", **fields) | {"messages": LONG})
        return reply.status, reply.json


def test_two_hundred_requests_at_once_overdraw_a_budget_by_one_reservation_at_most(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    budget_usd = 10.5 * ANSWER_USD
    gateway = start_gateway(_limited(upstream, {"budget_day_usd": budget_usd}))
    upstream.script("a", answers.whole())
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: _ask(gateway, max_tokens=52)[0], range(200)))
    served = found.count(200)
    assert found.count(429) == 200 - served
    assert served * ANSWER_USD <= budget_usd + ANSWER_USD
    assert served >= 9


def test_a_request_over_budget_is_told_so_and_none_reaches_the_target(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_limited(upstream, {"budget_month_usd": 2.5 * ANSWER_USD}))
    upstream.script("a", answers.whole())
    statuses = [_ask(gateway, max_tokens=52)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    opened = OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0)
    with opened as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="one", messages=[{"role": "user", "content": "x"}], max_tokens=150)
    assert caught.value.code == "insufficient_quota"
    assert "The key 'tests' may use" in caught.value.message
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert len(upstream.calls("a")) == statuses.count(200)


@pytest.mark.parametrize("fault", [answers.failure(500), answers.close, answers.silent], ids=["error", "lost", "late"])
def test_what_failed_gives_its_reservation_back(
    start_gateway: Start, upstream: ScriptedUpstream, fault: Callable[[Call], None]
) -> None:
    configured = _limited(upstream, {"budget_day_usd": 1.8 * ANSWER_USD, "parallel": 1})
    configured["targets"]["a"]["timeouts"] = {"connect_s": 1, "first_token_s": 2, "between_tokens_s": 1, "total_s": 5}
    gateway = start_gateway(configured)
    upstream.script("a", fault)
    assert _ask(gateway, max_tokens=52)[0] >= 500
    upstream.script("a", answers.whole())
    if fault is not answers.silent:  # a late one may have used what was sent to it
        assert _ask(gateway, max_tokens=52)[0] == 200


def test_a_client_that_leaves_frees_its_place(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_limited(upstream, {"parallel": 1}))
    upstream.script("a", answers.silent)
    with gateway.line() as waiting:
        waiting.send(chat_bytes(payloads.request("one")))
        upstream.calls("a", at_least=1)
        status, body = _ask(gateway)
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    upstream.script("a", answers.whole())
    wait_for(lambda: _ask(gateway)[0] == 200, "the place of a client that left")


def test_requests_and_tokens_a_minute_are_limited(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    gateway = start_gateway(_limited(upstream, {"requests_per_minute": 3}))
    assert [_ask(gateway)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    other = start_gateway(_limited(upstream, {"tokens_per_minute": 500}))
    assert [_ask(other, max_tokens=52)[0] for _ in range(4)] == [200, 200, 429, 429]


def test_quotas_of_teams_tags_models_targets_and_providers_hold_too(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole())
    two = {"requests_per_minute": 2}
    for section, name in (
        ("teams", "search"), ("tags", "env=prod"), ("models", "one"), ("targets", "a"), ("providers", "openai"),
    ):  # fmt: skip
        configured = _limited(upstream, {}, quotas={section: {name: two}})
        configured["targets"]["a"]["provider"] = "openai"
        gateway = start_gateway(configured)
        with gateway.line() as line:
            asked = chat_bytes(payloads.request("one"), x_breakeven_tags="team=x,env=prod")
            found = []
            for _ in range(3):
                line.send(asked)
                found.append(line.reply().status)
        assert found == [200, 200, 429], section


def test_an_exhausted_target_is_passed_over_for_another(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in "ab"}
    quotas = {"targets": {"a": {"budget_day_usd": 1.5 * ANSWER_USD}}}
    gateway = start_gateway(settings(targets, {"one": {"targets": ["a", "b"]}}, quotas=quotas))
    for name in "ab":
        upstream.script(name, answers.whole())
    with gateway.line() as line:
        served = [line.chat(payloads.request("one", max_tokens=52)).headers["x-breakeven-target"] for _ in range(4)]
    assert served[0] == "a"
    assert served[-1] == "b"


def test_a_budget_survives_a_restart(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(_limited(upstream, {"budget_day_usd": 3.5 * ANSWER_USD}))
    upstream.script("a", answers.whole())
    first = [_ask(gateway, max_tokens=52)[0] for _ in range(5)]
    gateway.kill()
    gateway.start()
    assert first.count(200) >= 2
    assert _ask(gateway, max_tokens=52)[0] == 429


def test_keys_made_with_limits_are_held_to_them_at_once(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.whole())
    gateway = start_gateway(_limited(upstream, {}))
    command = [sys.executable, "-m", "breakeven", "keys", "create", "intern", "--requests-per-minute", "1"]
    done = subprocess.run(
        [*command, "--config", str(gateway.folder / "breakeven.yaml"), "--json"],
        capture_output=True, text=True, check=True, cwd=gateway.folder,
    )  # fmt: skip
    secret = json.loads(done.stdout)["key"]

    def ask() -> int:
        with gateway.line() as line:
            return line.chat(payloads.request("one"), authorization=f"Bearer {secret}").status

    wait_for(lambda: ask() == 200, "the key to be known")
    assert ask() == 429


def test_requests_under_way_when_limits_change_are_settled_under_the_new_ones(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    released = threading.Event()

    def hold(call: Call) -> None:
        released.wait(10)
        answers.whole()(call)

    gateway = start_gateway(_limited(upstream, {"parallel": 1}))
    upstream.script("a", hold, answers.whole())
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("one")))
        upstream.calls("a", at_least=1)
        released.set()
        assert line.reply().status == 200
    assert _ask(gateway)[0] == 200


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    """A real server, for limits that workers share."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def test_two_workers_and_two_gateways_share_one_limit(
    start_gateway: Start, upstream: ScriptedUpstream, redis: Server
) -> None:
    upstream.script("a", answers.whole())
    shared = {"shared_state": {"url": redis.url, "slack": 0}, "workers": 2}
    gateways = [start_gateway(_limited(upstream, {"requests_per_minute": 20}, **shared)) for _ in range(2)]
    found: list[int] = []

    def ask_on(pool: ThreadPoolExecutor) -> bool:
        """Ask; return whether all is served: what a worker took in advance in vain is the others' a round later."""
        found.extend(pool.map(lambda n: _ask(gateways[n % 2])[0], range(80)))
        return found.count(200) >= 20

    with ThreadPoolExecutor(16) as pool:
        wait_for(lambda: ask_on(pool), "the whole limit to be served")
        ask_on(pool)
    assert (found.count(200), found.count(429)) == (20, len(found) - 20)


def test_traffic_goes_on_while_the_server_is_away(
    start_gateway: Start, upstream: ScriptedUpstream, redis: Server
) -> None:
    upstream.script("a", answers.whole())
    quota = {"requests_per_minute": 1000}
    gateway = start_gateway(_limited(upstream, quota, shared_state={"url": redis.url, "slack": 0.1}))
    assert _ask(gateway)[0] == 200
    redis.kill()
    assert [_ask(gateway)[0] for _ in range(20)] == [200] * 20
    redis.start()
    wait_for(lambda: "limits are back" in gateway.said(), "the server to be found again", gateway.said)
    assert _ask(gateway)[0] == 200
