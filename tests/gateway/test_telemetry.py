"""Spans and events of a running gateway: of every attempt and verdict, sent by a process that nobody waits for."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import KEY, command_of, settings, target, wait_for
from gateway.wire import chat_bytes
from telemetry.otlp import CLIENT, OtlpReceiver, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway, Settings
    from gateway.scripted import ScriptedUpstream

TOKEN = "planted-token-of-the-receiver"  # noqa: S105 - planted
UPSTREAM_KEY = "sk-planted-at-the-upstream-1f8a"
PROMPT = "planted words of a prompt 5d1e"
ANSWER = "planted words of an answer 9b3c"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A receiver of spans and events."""
    started = OtlpReceiver()
    yield started
    started.stop()


def configured(upstream: ScriptedUpstream, receiver: OtlpReceiver, **fields: Any) -> Settings:
    """Two targets, of which the second takes what the first fails at, and a receiver of spans."""
    targets = {"a": target(upstream.url("a")), "b": target(upstream.url("b"))}
    models = {"one": {"targets": ["b"]}, "pair": {"targets": ["a", "b"]}}
    return settings(targets, models, telemetry={"endpoint": receiver.url, **fields})


def ask(gateway: Gateway, model: str = "one", count: int = 1, said: dict[str, str] | None = None) -> list[str]:
    """Send requests that are answered, with headers; return their ids."""
    with gateway.line() as line:
        found = []
        for _ in range(count):
            reply = line.chat(payloads.request(model), **said or {})
            assert reply.status == 200, reply
            found.append(reply.request_id)
        return found


def say(gateway: Gateway, *said: dict[str, Any]) -> None:
    """Say what answers were worth."""
    with gateway.line() as line:
        reply = line.ask("POST", "/breakeven/v1/outcomes", list(said))
        assert reply.status == 200, reply


def test_every_attempt_is_a_span_and_those_of_a_request_share_a_trace(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver, service_name="our-gateway"))
    (request_id,) = ask(gateway, "pair", said={"x-breakeven-task": "summary", "x-breakeven-tags": "env=prod"})
    first, second = receiver.wait_for(2)
    row, _ = gateway.rows(request_id, 2)
    assert first.trace == second.trace
    assert first.span != second.span
    assert {first.kind, second.kind} == {CLIENT}
    assert (first.failed, second.failed) == (True, False)
    assert first.values["error.type"] == row["failure"]
    assert first.values["breakeven.request_id"] == second.values["breakeven.request_id"] == request_id
    assert (first.values["breakeven.target"], second.values["breakeven.target"]) == ("a", "b")
    assert second.values["breakeven.fallback"] == row["failure"]
    assert second.values["gen_ai.usage.input_tokens"] == payloads.TOLD["prompt_tokens"]
    assert second.values["breakeven.cost_usd"] == pytest.approx((157 * 0.15 + 52 * 0.6) / 1e6)
    assert second.values["server.address"] == "127.0.0.1"
    assert (second.values["breakeven.task"], second.values["breakeven.tags"]) == ("summary", "env=prod")
    assert second.values["breakeven.key"] == "tests"
    assert first.ends_ns <= second.ends_ns
    assert first.resource["service.name"] == "our-gateway"
    assert first.resource["service.instance.id"] == (gateway.ledger_folder / "gateway.id").read_text()


def test_a_receiver_that_is_away_is_told_once_and_gets_everything_when_it_is_back(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    receiver.stop()
    gateway = start_gateway(configured(upstream, receiver))
    ids = ask(gateway, count=5)
    wait_for(lambda: "cannot be sent" in gateway.said(), "the gateway to say so", gateway.said)
    ids += ask(gateway, count=5)
    receiver.start()
    receiver.wait_for(10)
    wait_for(lambda: "Spans are sent again" in gateway.said(), "the gateway to say so", gateway.said)
    assert gateway.said().count("cannot be sent") == 1
    assert sorted(span.values["breakeven.request_id"] for span in receiver.seen) == sorted(ids)
    assert gateway.stop() == 0
    assert len(receiver.seen) == 10


def test_a_verdict_is_an_event_of_the_span_of_the_answer(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver, service_name="our-gateway"))
    (request_id,) = ask(gateway, "pair", said={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    remark = {"request_id": request_id, "comment": ANSWER}
    say(gateway, {"request_id": request_id, "success": True, "comment": ANSWER}, {"episode": "e", "score": 0.5}, remark)
    _, answered = receiver.wait_for(2)
    of_request, of_episode = receiver.wait_for_events(2)
    assert (of_request.trace, of_request.span) == (TRACE, answered.span)
    assert of_request.values["gen_ai.evaluation.score.label"] == "pass"
    assert of_request.values["gen_ai.response.id"] == request_id
    assert of_request.values["breakeven.key"] == "tests"
    assert (of_episode.values["gen_ai.conversation.id"], of_episode.trace) == ("e", "")
    assert of_request.resource == answered.resource
    assert gateway.stop() == 0
    assert len(receiver.events) == 2
    assert [body for _, _, body in receiver.requests if ANSWER.encode() in body] == []


def test_verdicts_survive_whatever_is_killed_and_a_receiver_that_takes_none_yet(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    receiver.script_of_logs += [Reply(404)] * 100
    gateway = start_gateway(configured(upstream, receiver))
    (request_id,) = ask(gateway)
    say(gateway, {"request_id": request_id, "success": False})
    wait_for(lambda: "Outcomes cannot be sent" in gateway.said(), "the gateway to say so", gateway.said)
    receiver.wait_for(1)
    gateway.kill()
    receiver.stop()
    receiver.script_of_logs.clear()
    gateway.start()
    say(gateway, {"episode": "e", "success": True})
    receiver.start()
    found = {event.values.get("gen_ai.response.id") for event in receiver.wait_for_events(2)}
    assert found == {request_id, None}
    assert gateway.stop() == 0


def test_a_stop_sends_the_last_spans_and_a_start_goes_on_behind_them(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver))
    ids = ask(gateway)
    receiver.wait_for(1)  # the sender is there
    ids += ask(gateway, count=3)
    assert gateway.stop() == 0
    assert len(receiver.seen) == 4
    receiver.stop()
    gateway.start()
    ids += ask(gateway, count=3)
    assert gateway.stop() == 0  # nothing holds it up though the receiver is away
    receiver.start()
    gateway.start()
    ids += ask(gateway, count=3)
    receiver.wait_for(10)
    assert gateway.stop() == 0
    assert [span.values["breakeven.request_id"] for span in receiver.seen] == ids


def test_whatever_is_killed_every_attempt_is_sent(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver))
    ids = ask(gateway, count=2)
    receiver.wait_for_all(ids)
    (sender,) = _senders(gateway)
    os.kill(sender, signal.SIGKILL)
    ids += ask(gateway, count=2)
    receiver.wait_for_all(ids)
    assert _senders(gateway) != [sender]
    ids += ask(gateway, count=2)
    gateway.kill()
    gateway.start()
    receiver.wait_for_all(ids)
    assert len({span.span for span in receiver.seen}) == len(ids)  # what came twice is told by its id
    assert gateway.stop() == 0


def test_a_sender_that_waits_ends_with_the_gateway_s_first_process(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    receiver.script += [Reply(503, headers=(("retry-after", "300"),))] * 9
    gateway = start_gateway(configured(upstream, receiver))
    (request_id,) = ask(gateway)
    wait_for(lambda: "it answers 503" in gateway.said(), "the gateway to say so", gateway.said)
    os.kill(gateway.pid, signal.SIGKILL)
    wait_for(lambda: gateway.alive() == [], "every process to end", gateway.said)
    receiver.script.clear()
    gateway.start()
    (span,) = receiver.wait_for(1)
    assert span.values["breakeven.request_id"] == request_id


def test_new_settings_begin_and_end_the_sending(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    with_spans = configured(upstream, receiver)
    without = {name: value for name, value in with_spans.items() if name != "telemetry"}
    gateway = start_gateway(without)
    (before,) = ask(gateway)
    gateway.row(before)
    assert _senders(gateway) == []
    first = gateway.mover()
    _reload(gateway, with_spans)
    wait_for(lambda: len(_senders(gateway)) == 1, "a sender", gateway.said)
    wait_for(lambda: gateway.mover() != first, "the new mover", gateway.said)
    second = gateway.mover()
    (during,) = ask(gateway)
    receiver.wait_for(1)
    _reload(gateway, without)
    wait_for(lambda: _senders(gateway) == [], "the sender's end", gateway.said)
    wait_for(lambda: gateway.mover() != second, "the new mover", gateway.said)
    (after,) = ask(gateway)
    gateway.row(after)
    assert gateway.stop() == 0
    assert [span.values["breakeven.request_id"] for span in receiver.seen] == [during]


def test_a_client_s_trace_is_joined(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver))
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    headers: list[dict[str, str]] = [
        {"traceparent": parent},
        {"Traceparent": parent, "x-breakeven-task": "t"},
        {"traceparent": parent, "x-breakeven-episode": "own"},
        {"traceparent": parent.upper()},
        {"x-breakeven-episode": TRACE},
        {},
    ]
    ids = [ask(gateway, said=item)[0] for item in headers]
    found = {span.values["breakeven.request_id"]: span for span in receiver.wait_for(len(ids))}
    assert [found[name].trace == TRACE for name in ids] == [True, True, False, False, True, False]
    assert [gateway.row(name)["episode"] for name in ids] == [TRACE, TRACE, "own", None, TRACE, None]
    assert len({span.span for span in found.values()}) == len(ids)


def test_requests_on_one_connection_have_each_its_own_trace(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver
) -> None:
    upstream.script("b", answers.whole())
    gateway = start_gateway(configured(upstream, receiver))
    traces = [f"{number:032x}" for number in (1, 1, 2, 3)]
    ids = []
    with gateway.line() as line:
        for trace in traces:
            line.send(chat_bytes(payloads.request("one"), traceparent=f"00-{trace}-00f067aa0ba902b7-00"))
            ids.append(line.reply().request_id)
        ids.append(line.chat(payloads.request("one")).request_id)
    found = {span.values["breakeven.request_id"]: span for span in receiver.wait_for(len(ids))}
    assert [found[name].values.get("breakeven.episode") for name in ids] == [*traces, None]


def test_planted_secrets_are_found_in_no_span_log_or_file(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    key_file, token_file = tmp_path / "upstream.key", tmp_path / "receiver.token"
    key_file.write_text(f"Bearer {UPSTREAM_KEY}")
    token_file.write_text(TOKEN)
    plan = configured(upstream, receiver, headers={"x-token": f"file:{token_file}"})
    plan["targets"] = {
        name: entry | {"headers": {"authorization": f"file:{key_file}"}} for name, entry in plan["targets"].items()
    }
    upstream.script("a", answers.whole(payloads.error(f"Incorrect API key provided: {UPSTREAM_KEY}"), status=401))
    upstream.script("b", answers.whole(payloads.completion(ANSWER)))
    gateway = start_gateway(plan)
    with gateway.line() as line:
        line.chat({**payloads.request("pair"), "messages": [{"role": "user", "content": PROMPT}]})
    receiver.wait_for(2)
    receiver.stop()
    ask(gateway)
    wait_for(lambda: "cannot be sent" in gateway.said(), "the gateway to say so", gateway.said)
    seen = [command_of(pid) + _environment(pid) for pid in gateway.alive()]
    gateway.stop()
    assert [headers["x-token"] for _, headers, _ in receiver.requests] == [TOKEN] * len(receiver.requests)
    seen += [gateway.said(), *(body.decode("latin-1") for _, _, body in receiver.requests)]
    seen += [file.read_bytes().decode("latin-1") for file in gateway.folder.rglob("*") if file.is_file()]
    for secret in (TOKEN, UPSTREAM_KEY, KEY, PROMPT, ANSWER):
        assert [text[:200] for text in seen if secret in text] == [], secret


def _reload(gateway: Gateway, plan: Settings) -> None:
    seen = gateway.said().count("in force")
    gateway.configure(plan)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: gateway.said().count("in force") > seen, "the new settings", gateway.said)


def _senders(gateway: Gateway) -> list[int]:
    return [pid for pid in gateway.alive() if "wiring.telemetry" in command_of(pid)]


def _environment(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return ""
