"""What a success cost, from a live gateway to the command: requests, words of a client, and the figures by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.client import Outcomes
from breakeven.ledger.outcomes import outcomes
from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

CHEAP_USD, DEAR_USD = Decimal("0.00021"), Decimal("0.0021")
"""1,000 tokens of input at 0.15 dollars the million and 100 of output at 0.60; ten times as many."""


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway before a cheap and a dear target; ``first`` falls back from one that is broken."""
    upstream.script("cheap", answers.whole(payloads.completion(usage=payloads.usage(1000, 100))))
    upstream.script("dear", answers.whole(payloads.completion(usage=payloads.usage(10_000, 1000))))
    upstream.script("broken", answers.failure(500))
    targets = {name: target(upstream.url(name)) for name in ("cheap", "dear", "broken")}
    models = {"cheap": ["cheap"], "dear": ["dear"], "first": ["broken", "dear"]}
    return start_gateway(settings(targets, {name: {"targets": among} for name, among in models.items()}))


def ask(gateway: Gateway, model: str, count: int, **headers: str) -> list[str]:
    with gateway.line() as line:
        replies = [line.chat(payloads.request(model), x_breakeven_task="sum", **headers) for _ in range(count)]
    assert [reply.status for reply in replies] == [200] * count
    return [reply.request_id for reply in replies]


def cost(gateway: Gateway, *options: str) -> dict[str, Any]:
    """What the command says now, as a person would ask it in the gateway's folder."""
    command = [sys.executable, "-m", "breakeven", "outcomes", "cost", "--json", "--so-far", "--mature-hours", "0"]
    done = subprocess.run([*command, *options], cwd=gateway.folder, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_commands_figures_are_those_by_hand(gateway: Gateway) -> None:
    cheap, dear = ask(gateway, "cheap", 10), ask(gateway, "dear", 4)
    episode = ask(gateway, "cheap", 1, x_breakeven_episode="e1") + ask(gateway, "dear", 1, x_breakeven_episode="e1")
    fallen = ask(gateway, "first", 1)
    gateway.rows(fallen[0], attempts=2)
    for name in (*cheap, *dear, *episode):
        gateway.row(name)
    with Outcomes(gateway.base_url, KEY) as client:
        client.say_all({"request_id": name, "success": number < 5} for number, name in enumerate(cheap[:8]))
        client.say_all({"request_id": name, "success": True} for name in dear[:3])
        client.say(request_id=dear[3], success=False, human_minutes=6, source="human")
        client.say(episode="e1", success=True)
        client.say(request_id=fallen[0], success=True)
        client.say(request_id=fallen[0], success=False)
        client.say(request_id=fallen[0], success=True)  # who thinks better of it has one word
    wait_for(lambda: len(outcomes(gateway.store)) == 14, "outcomes are not in the store", gateway.said)
    found = cost(gateway, "--human-usd-per-hour", "0.3", "--failure-usd", "0.01")
    rows = {row["target"]: row for row in found["rows"]}
    assert set(rows) == {"cheap", "dear"}
    there, here = rows["dear"], rows["cheap"]

    # cheap: 10 requests of 0.00021; 5 good, 3 bad, 2 of which nobody said anything.
    assert (here["episodes"], here["successes"], here["failures"], here["unknown"]) == (10, 5, 3, 2)
    assert Decimal(here["loaded_usd"]) == 10 * CHEAP_USD
    assert here["success_fraction"]["likely"] == pytest.approx(5 / 8)
    assert here["usd_per_success"]["likely"] == pytest.approx(float(CHEAP_USD) / (5 / 8))
    assert here["unknown_bounds"] == {
        "all_good_usd": pytest.approx(10 * float(CHEAP_USD) / 7),
        "none_good_usd": pytest.approx(10 * float(CHEAP_USD) / 5),
    }
    assert here["with_failures_usd_per_episode"] == pytest.approx(float(CHEAP_USD) + 0.01 * 3 / 8)

    # dear: 4 requests and the one that fell back, and an episode that ended here with a request to the cheap one.
    assert (there["episodes"], there["requests"], there["attempts"]) == (6, 7, 8)
    assert (there["successes"], there["failures"], there["unknown"]) == (5, 1, 0)
    paid = 6 * DEAR_USD + CHEAP_USD
    assert Decimal(there["loaded_usd"]) == paid
    assert (Decimal(there["elsewhere_usd"]), there["attempts_elsewhere"]) == (CHEAP_USD, 2)
    assert (there["human_minutes"], Decimal(there["human_usd"])) == ("6", Decimal("0.03"))
    with_people = float(paid) + 0.03
    assert there["inference_usd_per_success"]["likely"] == pytest.approx(float(paid) / 5)
    assert there["usd_per_success"]["likely"] == pytest.approx(with_people / 5)
    assert there["with_failures_usd_per_episode"] == pytest.approx(with_people / 6 + 0.01 / 6)

    # The dear one is 0.00712 dearer a piece and fails in 1/6 instead of 3/8: worth it from 0.034 a failure on.
    (rivals,) = found["rivals"]
    assert (rivals["cheaper"], rivals["dearer"]) == ("cheap", "dear")
    assert rivals["failure_price"]["likely_usd"] == pytest.approx(
        (with_people / 6 - float(CHEAP_USD)) / (5 / 6 - 5 / 8)
    )
    assert Decimal(found["total"]["billed_usd"]) == paid + 10 * CHEAP_USD
    assert found["total"]["billed_usd"] == found["total"]["attributed_usd"]


def test_what_the_command_adds_up_is_what_the_ledger_has(gateway: Gateway) -> None:
    names = ask(gateway, "cheap", 3) + ask(gateway, "dear", 2) + ask(gateway, "first", 2)
    for name in names[:5]:
        gateway.row(name)
    for name in names[5:]:
        gateway.rows(name, attempts=2)
    billed = sum((row["cost_usd"] or Decimal(0) for row in gateway.all_rows()), Decimal(0))
    for by in ("", "task", "target", "key,model", "day"):
        found = cost(gateway, "--by", by)
        assert Decimal(found["total"]["billed_usd"]) == billed
        assert sum(Decimal(row["loaded_usd"]) for row in found["rows"]) == billed
        assert sum(row["unknown"] for row in found["rows"]) == len(names)
