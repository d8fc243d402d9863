"""Budgets of providers: one for all their targets, however many ask at once, and a way past them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for
from limits.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

ANSWER_USD = (157 * 0.15 + 52 * 0.6) / 1e6
"""What a scripted answer costs by the tests' prices."""

LONG = [{"role": "user", "content": "word " * 130}]
"""A prompt that by its size has the tokens which the scripted answers tell."""


def _budgeted(upstream: ScriptedUpstream, budget_usd: float, order: str, **fields: Any) -> dict[str, Any]:
    """Two targets at one provider and one at another, and a model that is served by those in ``order``."""
    provided = {"a": "openai", "b": "openai", "c": "anthropic"}
    targets = {
        name: target(upstream.url(name), provider=provider, protocols=["chat"], key_header="authorization")
        for name, provider in provided.items()
        if name in order
    }
    for name in order:
        upstream.script(name, answers.whole())
    quotas = {"providers": {"openai": {"budget_month_usd": budget_usd}}}
    return settings(targets, {"one": {"targets": list(order), **fields}}, quotas=quotas)


def _served(gateway: Gateway) -> tuple[int, str]:
    """Ask once; return the status and which target answered, or why none did."""
    with gateway.line() as line:
        reply = line.chat(payloads.request("one", max_tokens=52) | {"messages": LONG})
    return reply.status, reply.headers.get("x-breakeven-target", "")


def test_two_hundred_requests_at_two_targets_overdraw_their_providers_budget_by_one_reservation_at_most(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    budget_usd = 10.5 * ANSWER_USD
    gateway = start_gateway(_budgeted(upstream, budget_usd, "ab", policy="least_busy"))
    with ThreadPoolExecutor(50) as pool:
        found = [status for status, _ in pool.map(lambda _: _served(gateway), range(200))]
    served = found.count(200)
    assert found.count(429) == 200 - served
    assert served * ANSWER_USD <= budget_usd + ANSWER_USD
    assert served >= 9


def test_what_a_providers_budget_refuses_goes_to_another_provider(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_budgeted(upstream, 2.5 * ANSWER_USD, "abc"))
    served = [_served(gateway) for _ in range(5)]
    assert served == [(200, "a"), (200, "a"), (200, "c"), (200, "c"), (200, "c")]
    assert len(upstream.calls("a")) == 2
    assert not upstream.calls("b"), "another target of the same provider has no other budget"


def test_a_client_whose_request_no_other_provider_serves_is_told_whose_budget_it_was(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_budgeted(upstream, 1.5 * ANSWER_USD, "a"))
    assert _served(gateway) == (200, "a")
    with gateway.line() as line:
        reply = line.chat(payloads.request("one", max_tokens=52) | {"messages": LONG})
    assert (reply.status, reply.json["error"]["code"]) == (429, "insufficient_quota")
    assert "The provider 'openai' may use" in reply.json["error"]["message"]


def test_what_was_reserved_of_a_providers_budget_and_not_used_is_there_again(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_budgeted(upstream, 1.5 * ANSWER_USD, "a"))
    upstream.script("a", answers.failure(400))
    assert [_served(gateway)[0] for _ in range(3)] == [400] * 3
    upstream.script("a", answers.whole())
    assert _served(gateway) == (200, "a")


def test_a_providers_budget_survives_a_restart_and_counts_all_its_targets(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_budgeted(upstream, 3.5 * ANSWER_USD, "abc"))
    assert [_served(gateway)[1] for _ in range(3)] == ["a"] * 3
    wait_for(lambda: len(gateway.all_rows()) == 3, "the rows to be in the store")
    gateway.kill()
    gateway.start()
    assert _served(gateway) == (200, "c")


def test_keys_own_limits_and_a_providers_hold_at_once(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    configured = _budgeted(upstream, 1.5 * ANSWER_USD, "ac")
    quota = {"budget_day_usd": 3.5 * ANSWER_USD}
    key = {"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "quota": quota}
    gateway = start_gateway(configured | {"keys": [key]})
    assert [_served(gateway) for _ in range(4)] == [(200, "a"), (200, "c"), (200, "c"), (429, "")]


def test_a_providers_other_targets_cost_no_attempts_once_its_budget_is_used(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(_budgeted(upstream, 1.5 * ANSWER_USD, "abc", max_attempts=2))
    assert [_served(gateway) for _ in range(3)] == [(200, "a"), (200, "c"), (200, "c")]


def test_gateways_that_share_their_limits_share_a_providers_budget(
    start_gateway: Start, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        configured = _budgeted(upstream, 4.5 * ANSWER_USD, "ac") | {"shared_state": {"url": server.url}}
        gateways = [start_gateway(configured) for _ in range(2)]
        served = [_served(gateways[number % 2])[1] for number in range(8)]
        assert served[0] == "a", "what nobody has asked for yet is asked for, not refused"
        assert 3 <= served.count("a") <= 4
        assert served[-1] == "c"
    finally:
        server.kill()
