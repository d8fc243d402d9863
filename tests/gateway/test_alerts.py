"""Alerts of a running gateway: a process of its own looks, and tells each thing once, whatever is stopped or away."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from alerts.receivers import HttpReceiver, MailReceiver
from gateway import answers, payloads
from gateway.gateway import command_of, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway, Settings
    from gateway.scripted import ScriptedUpstream

TOKEN = "planted-token-of-the-hook"  # noqa: S105 - planted


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """A webhook and an Alertmanager."""
    with HttpReceiver() as started:
        yield started


def configured(upstream: ScriptedUpstream, to: Settings, **alerts: Any) -> Settings:
    """A target whose price is known, and one whose price nobody knows."""
    targets = {"priced": target(upstream.url("a")), "unpriced": {"url": upstream.url("a")}}
    models = {"priced": {"targets": ["priced"]}, "unpriced": {"targets": ["unpriced"]}}
    return settings(targets, models, alerts={"to": to, "every_s": 1, **alerts})


def ask(gateway: Gateway, model: str, count: int = 1) -> None:
    with gateway.line() as line:
        for _ in range(count):
            reply = line.chat(payloads.request(model))
            assert reply.status == 200, reply
            gateway.row(reply.request_id)


def listed(gateway: Gateway, *words: str) -> list[dict[str, Any]]:
    """What ``breakeven alerts list`` says."""
    command = [sys.executable, "-m", "breakeven", "alerts", "list", "--json", *words]
    done = subprocess.run(command, cwd=gateway.folder, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["alerts"]
    return found


def kinds(receiver: HttpReceiver) -> list[tuple[str, str]]:
    return [(item["kind"], item["state"]) for sent in receiver.sent for item in sent.body["alerts"]]


def test_an_unknown_price_is_told_once_even_over_restarts(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: HttpReceiver
) -> None:
    upstream.script("a", answers.whole())
    to = {"ops": {"webhook": f"{receiver.url}/hook", "headers": {"authorization": "file:hook.token"}}}
    plan = configured(upstream, to)
    gateway = start_gateway({**plan, "alerts": None})
    assert gateway.stop() == 0
    (gateway.folder / "hook.token").write_text(TOKEN)
    gateway.configure(plan)
    gateway.start()
    ask(gateway, "priced", 3)
    ask(gateway, "unpriced", 2)
    (sent,) = receiver.wait_for(1)
    assert sent.headers["authorization"] == TOKEN
    (alert,) = sent.body["alerts"]
    assert (alert["kind"], alert["state"], alert["severity"]) == ("unknown_price", "raised", "warning")
    assert "have no known price" in alert["said"]
    assert gateway.stop() == 0
    gateway.start()
    ask(gateway, "unpriced", 1)
    wait_for(lambda: listed(gateway)[0]["figures"]["attempts"] == 3, "another look")
    assert len(receiver.sent) == 1
    assert [item["told"] for item in listed(gateway)] == [{"ops": "raised"}]
    assert TOKEN not in gateway.said()


def test_a_receiver_that_is_away_is_told_when_it_is_back_and_the_others_meanwhile(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: HttpReceiver
) -> None:
    upstream.script("a", answers.whole())
    receiver.stop()
    with MailReceiver() as mail:
        to = {
            "ops": {"webhook": f"{receiver.url}/hook"},
            "mail": {
                "email": {
                    "to": ["a@example.com"], "sender": "b@example.com", "host": "localhost", "port": mail.port,
                    "security": "none",
                },
            },
        }  # fmt: skip
        gateway = start_gateway(configured(upstream, to))
        ask(gateway, "unpriced")
        wait_for(lambda: len(mail.mails) == 1, "a mail", gateway.said)
        wait_for(lambda: "Alerts cannot tell ops" in gateway.said(), "the gateway to say so", gateway.said)
        receiver.start()
        receiver.wait_for(1)
        wait_for(lambda: "Alerts can tell ops" in gateway.said(), "the gateway to say so", gateway.said)
        assert kinds(receiver) == [("unknown_price", "raised")]
        assert len(mail.mails) == 1
    assert gateway.said().count("Alerts cannot tell ops") == 1


def watchers(gateway: Gateway) -> list[int]:
    """The processes that look at the ledger for alerts."""
    return [pid for pid in gateway.alive() if "wiring.alerts" in command_of(pid)]


def reload(gateway: Gateway, plan: Settings, until: str = "in force") -> None:
    """Let the running gateway take these settings, and wait until it says that it has."""
    seen = gateway.said().count(until)
    gateway.configure(plan)
    command = [sys.executable, "-m", "breakeven", "config", "reload", str(gateway.folder / "breakeven.yaml")]
    subprocess.run(command, check=True, capture_output=True)
    wait_for(lambda: gateway.said().count(until) > seen, f"the gateway does not say {until!r}", gateway.said)


def test_a_reload_starts_and_changes_and_stops_what_tells(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: HttpReceiver
) -> None:
    upstream.script("a", answers.whole())
    plan = configured(upstream, {"ops": {"webhook": f"{receiver.url}/first"}})
    without = {name: value for name, value in plan.items() if name != "alerts"}
    gateway = start_gateway(without)
    ask(gateway, "unpriced")
    assert (watchers(gateway), receiver.sent) == ([], [])

    reload(gateway, plan)
    receiver.wait_for(1)
    (first,) = watchers(gateway)

    other = configured(upstream, {"new": {"webhook": f"{receiver.url}/second"}})
    reload(gateway, other)
    receiver.wait_for(2)
    assert [sent.path for sent in receiver.sent] == ["/first", "/second"], "each receiver is told once"
    reload(gateway, other | {"models": plan["models"] | {"more": {"targets": ["priced"]}}})
    ask(gateway, "more")
    wait_for(lambda: len(watchers(gateway)) == 1, "one process looks", gateway.said)
    assert watchers(gateway) != [first], "what was told to stop has stopped"

    reload(gateway, without)
    wait_for(lambda: not watchers(gateway), "the process does not end", gateway.said)
    ask(gateway, "unpriced")
    assert len(receiver.sent) == 2
    assert gateway.stop() == 0


def test_a_budget_is_told_and_an_alertmanager_is_kept_up_to_date(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: HttpReceiver
) -> None:
    upstream.script("a", answers.whole())
    to = {"am": {"alertmanager": receiver.url, "only": ["budget"]}}
    gateway = start_gateway(configured(upstream, to, budget={"share": 0.5, "day_usd": "0.0001"}))
    ask(gateway, "priced", 2)
    used = "everything a day: used"

    def subjects() -> list[dict[str, Any]]:
        return [{item["labels"]["subject"]: item for item in sent.body} for sent in receiver.sent]

    wait_for(lambda: sum(used in told for told in subjects()) >= 2, "it is told again", gateway.said)
    assert {item.path for item in receiver.sent} == {"/api/v2/alerts"}
    first, last = [told for told in subjects() if used in told][:2]
    assert set(last) == {"everything a day: 50%", "everything a day: used"}
    assert last[used]["labels"]["severity"] == "critical"
    assert first[used]["startsAt"] == last[used]["startsAt"]
    assert first[used]["endsAt"] <= last[used]["endsAt"]
