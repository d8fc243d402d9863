"""Marked requests stay inside: every fault with every feature, beside a server that records any contact."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from breakeven.console.drained import set_drained
from breakeven.ledger.keys import KeyLimits, create_key
from breakeven.wiring.clock import SystemClock
from gateway import answers, messages_payloads, payloads
from gateway.gateway import KEY, running_gateway, settings, target, wait_for
from gateway.scripted import scripted_upstream
from gateway.shadowed import state
from gateway.test_faults import FAILURES
from gateway.wire import CutOffError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Reply

    Start = Callable[..., Gateway]

SECRET = "patient-7f3a has gout"  # noqa: S105 - what must not get out
MARKED_KEY, TAGGED_KEY = "sk-be-marked", "sk-be-tagged"
EVERY = ["chat", "completions", "responses", "embeddings", "messages"]
QUICK = {"connect_s": 0.3, "first_token_s": 0.2, "between_tokens_s": 0.2, "total_s": 0.7}

MARKS: dict[str, dict[str, str]] = {
    "header": {"x_breakeven_sensitivity": "local-only"},
    "key": {"authorization": f"Bearer {MARKED_KEY}"},
    "tag": {"x_breakeven_tags": "team=ward, data=patient"},
}

PROMPT = [{"role": "user", "content": SECRET}]
CHAT = "/v1/chat/completions"


class Feature(NamedTuple):
    """A way through the gateway: the model's settings, and what is asked for."""

    model: dict[str, Any]
    asked: dict[str, Any]
    path: str = CHAT
    headers: dict[str, str] | None = None
    works: bool = True
    """Whether a request that is not marked gets outside where all is well inside."""


EAGER = {"after": 0.5, "share": 1, "least_s": 0.01}
STREAMED = {"messages": PROMPT, "stream": True}
WHOLE = {"messages": PROMPT}
CLAUDE = {"messages": PROMPT, "max_tokens": 50}
OUT_FIRST = ["outside", "abroad", "inside", "inside-too"]
IN_FIRST = ["inside", "inside-too", "outside", "abroad"]
INSIDE = {"inside", "inside-too", "inside-claude", "inside-chat"}
NOT_YET = False
"""What gets outside only where something fails inside."""

FEATURES: dict[str, Feature] = {
    "plain": Feature({"targets": OUT_FIRST}, WHOLE),
    "streamed": Feature({"targets": OUT_FIRST}, STREAMED),
    "fallback target": Feature({"targets": IN_FIRST}, WHOLE, works=NOT_YET),
    "fallback model": Feature({"targets": ["inside"], "fallbacks": ["open"]}, STREAMED, works=NOT_YET),
    "weighted": Feature({"targets": OUT_FIRST, "policy": "weighted"}, WHOLE, works=NOT_YET),
    "least_busy": Feature({"targets": OUT_FIRST, "policy": "least_busy"}, WHOLE, works=NOT_YET),
    "two_choices": Feature({"targets": OUT_FIRST, "policy": "two_choices"}, WHOLE, works=NOT_YET),
    "overflow": Feature({"targets": IN_FIRST, "policy": "overflow"}, WHOLE, works=NOT_YET),
    "marginal_cost": Feature({"targets": IN_FIRST, "policy": "marginal_cost"}, WHOLE, works=NOT_YET),
    "lowest_latency": Feature({"targets": OUT_FIRST, "policy": "lowest_latency"}, WHOLE, works=NOT_YET),
    "cheapest": Feature({"targets": OUT_FIRST, "policy": "cheapest"}, WHOLE),
    "hedging": Feature({"targets": IN_FIRST, "hedging": EAGER}, WHOLE, works=NOT_YET),
    "hedging, streamed": Feature({"targets": ["inside", "outside"], "hedging": EAGER}, STREAMED, works=NOT_YET),
    "cache": Feature({"targets": OUT_FIRST, "cache": {"ttl_s": 60}}, STREAMED),
    "semantic cache": Feature({"targets": OUT_FIRST}, WHOLE, headers={"x_breakeven_task": "faq"}),
    "continue_streams": Feature({"targets": IN_FIRST}, STREAMED, works=NOT_YET),
    "retries": Feature({"targets": ["inside", "outside"], "max_attempts": 4}, STREAMED, works=NOT_YET),
    "verify": Feature({"targets": IN_FIRST, "verify": {"http": {"url": "OUTSIDE/check"}, "verify_last": True}}, WHOLE),
    "verify, streamed": Feature(
        {"targets": IN_FIRST, "verify": {"http": {"url": "OUTSIDE/check"}, "unverifiable": "pass"}}, STREAMED
    ),
    "chat to messages": Feature({"targets": ["outside-claude", "inside-claude"]}, STREAMED),
    "messages": Feature({"targets": ["outside-claude", "inside-claude"]}, CLAUDE, "/v1/messages"),
    "messages to chat": Feature({"targets": ["outside-chat", "inside-chat"]}, CLAUDE, "/v1/messages"),
    "count_tokens": Feature({"targets": OUT_FIRST}, WHOLE, "/v1/messages/count_tokens"),
    "embeddings": Feature({"targets": OUT_FIRST}, {"input": SECRET}, "/v1/embeddings"),
    "completions": Feature({"targets": OUT_FIRST}, {"prompt": SECRET, "stream": True}, "/v1/completions"),
    "responses": Feature({"targets": OUT_FIRST}, {"input": SECRET, "stream": True}, "/v1/responses"),
    "any model": Feature({"targets": ["outside"]}, WHOLE),
    **{name: Feature({"targets": ["inside"]}, WHOLE) for name in ("shadow", "judge", "check", "signals")},
    "shadow, streamed": Feature({"targets": ["inside"]}, STREAMED),
}
COPIED = {"shadow", "judge", "check", "signals", "shadow, streamed"}

CHECK = {"url": "OUTSIDE/check"}
TRIALS = {
    "shadows": [
        {"model": "shadow", "candidate": "outside", "share": 1},
        {"model": "shadow, streamed", "candidate": "abroad", "share": 1},
        {"model": "judge", "candidate": "inside-other", "share": 1, "judge": {"model": "open"}},
        {"model": "check", "candidate": "inside-chat", "share": 1, "check": CHECK},
    ],
    "signals": {"models": ["signals"], "http_check": CHECK},
}
"""Who outside would be shown what is asked inside, after the answer: a candidate, a judge, a user's checks."""

BEGUN = payloads.stream(3, done=False)[:3]
FAULTS: dict[str, Answer] = {
    "none": answers.either(
        answers.whole(payloads.completion(SECRET)), answers.stream(payloads.stream(3, payloads.TOLD))
    ),
    "none, in messages": answers.either(
        answers.whole(messages_payloads.message()), answers.stream(messages_payloads.stream())
    ),
    **FAILURES,
    "too long a prompt": answers.whole(payloads.error("maximum context length is 8 tokens"), status=400),
    "filtered": answers.whole(payloads.error("no", "content_filter"), status=400),
    "out of quota": answers.whole(payloads.error("no", "insufficient_quota"), status=429),
    "model missing": answers.whole(payloads.error("no", "model_not_found"), status=404),
    "redirect": answers.whole(b"", "location: https://127.0.0.1:1/elsewhere", status=307),
    "no JSON": answers.whole(b"<html>"),
    "an error as a success": answers.whole(payloads.error(SECRET)),
    "a stream cut": answers.stream(BEGUN, then=answers.reset),
    "a stream without its end": answers.stream(BEGUN),
    "a stream with an error": answers.stream(BEGUN, then=answers.last_event(payloads.error("overloaded"))),
    "a stream that begins with an error": answers.stream([payloads.event(payloads.error("overloaded"))]),
    "a stream that pauses": answers.stream(BEGUN, then=answers.silent),
    "a stream that trickles": answers.stream(BEGUN, then=answers.trickle),
    "a broken framing": answers.stream(BEGUN, then=answers.broken_framing),
}


@pytest.fixture(scope="module")
def outside() -> Iterator[ScriptedUpstream]:
    """Where marked requests must not go; it answers everything at once and well."""
    with scripted_upstream() as started:
        chat = answers.stream(payloads.stream(3, payloads.TOLD))
        started.script("outside", answers.either(answers.whole(), chat))
        started.script("claude", answers.either(answers.whole(messages_payloads.message()), answers.stream([])))
        started.script("vectors", _vectors)
        started.script("check", answers.whole({"ok": True}))
        yield started


def _vectors(call: Call) -> None:
    data = [{"index": index, "embedding": [1.0, 0.5]} for index, _ in enumerate(call.json["input"])]
    answers.whole({"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}})(call)


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream, outside: ScriptedUpstream
) -> Iterator[Gateway]:
    """One gateway with a model for each feature, and targets on both sides."""
    local = {"sensitivities": ["local-only"], "timeouts": QUICK}
    prefill = {"protocols": EVERY, "prefill": "plain"}
    targets = {
        "outside": target(outside.url("outside"), **prefill),
        "abroad": target(outside.url("outside"), sensitivities=["eu"], **prefill),
        "outside-claude": target(outside.url("claude"), protocols=["messages"]),
        "outside-chat": target(outside.url("outside"), protocols=["chat"]),
        "outside-vectors": target(outside.url("vectors"), protocols=["embeddings"]),
        "inside": target(upstream.url("inside"), **prefill, **local),
        "inside-too": target(upstream.url("inside"), **prefill, **local),
        "inside-claude": target(upstream.url("inside"), protocols=["messages"], **local),
        "inside-chat": target(upstream.url("inside"), protocols=["chat"], **local),
        "inside-other": target(upstream.url("inside-other"), **prefill, **local),
        "inside-vectors": target(upstream.url("inside-vectors"), protocols=["embeddings"], **local),
    }
    models = {name: feature.model for name, feature in FEATURES.items() if name != "any model"}
    models["open"] = {"targets": ["outside", "abroad"]}
    models["vectors"] = {"targets": ["outside-vectors", "inside-vectors"]}
    models["*"] = {"targets": ["outside"]}
    there = f"http://127.0.0.1:{outside.port}"
    written, trials = (json.dumps(part).replace("OUTSIDE", there) for part in (models, TRIALS))
    semantic = {"embeddings": "vectors", "tasks": {"faq": {"similarity": 0.9, "ttl_s": 60}}, "timeout_s": 0.3}
    telemetry = {"endpoint": f"http://127.0.0.1:{upstream.port}/spans"}
    more = {"semantic_cache": semantic, "telemetry": telemetry, "trials": json.loads(trials)}
    configured = settings(targets, json.loads(written), **more)
    configured["sensitivity_of_tags"] = {"data=patient": "local-only"}
    digests = {key: hashlib.sha256(key.encode()).hexdigest() for key in (KEY, MARKED_KEY, TAGGED_KEY)}
    configured["keys"] = [
        {"name": "tests", "sha256": digests[KEY]},
        {"name": "marked", "sha256": digests[MARKED_KEY], "sensitivity": "local-only"},
        {"name": "tagged", "sha256": digests[TAGGED_KEY], "tags": "data=patient"},
    ]
    upstream.script("spans", answers.whole(b""))
    upstream.script("inside-vectors", _vectors)
    upstream.script("inside-other", answers.whole(payloads.completion("something else, so that there is one to judge")))
    with running_gateway(tmp_path_factory.mktemp("boundary"), configured) as started:
        yield started


def _ask(gateway: Gateway, name: str, headers: dict[str, str], more: str = "") -> Reply | None:
    """Ask as a feature does, with some text of one's own; None where the answer was cut off."""
    feature = FEATURES[name]
    written = json.dumps({"model": name, **feature.asked}).replace(SECRET, SECRET + more)
    with gateway.line() as line:
        try:
            return line.ask("POST", feature.path, written.encode(), **(feature.headers or {}), **headers)
        except (CutOffError, TimeoutError):  # cut in some way: what matters is where it went
            return None


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_takes_a_marked_request_outside_whatever_the_feature(
    gateway: Gateway, upstream: ScriptedUpstream, outside: ScriptedUpstream, fault: str
) -> None:
    """Features by marks at once: each of them alone would show the same, in a hundred times the time."""
    before, called = outside.connection_count, len(_calls(outside))
    upstream.script("inside", FAULTS[fault])
    upstream.script("inside-vectors", _vectors if fault.startswith("none") else FAULTS[fault])
    asked = [(name, mark) for name in FEATURES for mark in MARKS]
    with ThreadPoolExecutor(len(asked)) as pool:
        replies = list(pool.map(lambda way: _ask(gateway, way[0], MARKS[way[1]], f" {fault} {way[1]}"), asked))
    _settled(gateway)
    assert outside.connection_count == before, [(call.path, call.body) for call in _calls(outside)[called:]]
    served = {
        (reply.headers.get("x-breakeven-target"), name)
        for (name, _), reply in zip(asked, replies, strict=True)
        if reply is not None
    }
    assert {target for target, _ in served} <= {None, *INSIDE}
    assert len(upstream.calls("inside")) >= (len(FEATURES) - 1) * len(MARKS)
    if fault == "none":
        answered = {name for target, name in served if target is not None}
        assert answered == FEATURES.keys() - {"any model"}


def _settled(gateway: Gateway) -> None:
    """Wait until every copy was treated that came before now."""
    since = SystemClock().now()

    def over() -> bool:
        found = state(gateway)
        return found is not None and found.at_s > since + 0.2 and not found.waiting_count and not found.under_way_count

    wait_for(over, "copies are not treated", lambda: f"{state(gateway)}\n{gateway.said()[-2000:]}")


def _calls(outside: ScriptedUpstream) -> list[Call]:
    """Everything that was asked outside."""
    return [call for place in ("outside", "claude", "check", "vectors") for call in outside.calls(place)]


def test_a_target_that_leaves_service_between_two_attempts_leaves_nothing_to_others_that_may_not_have_it(
    start_gateway: Start, upstream: ScriptedUpstream, outside: ScriptedUpstream
) -> None:
    targets = {
        "inside": target(upstream.url("leaves"), sensitivities=["local-only"]),
        "outside": target(outside.url("outside")),
    }
    configured = settings(targets, {"m": {"targets": ["inside", "outside"]}})
    configured["keys"][0]["quota"] = {"parallel": 1}
    gateway = start_gateway(configured)
    before = outside.connection_count

    def leave(call: Call) -> None:
        set_drained(gateway.ledger_folder, "inside", out=True)
        answers.failure(503, "retry-after: 2")(call)

    def is_back() -> bool:
        with gateway.line() as line:
            return line.chat(payloads.request("m"), **MARKS["header"]).status == 200

    upstream.script("leaves", leave, answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("m"), **MARKS["header"])
    assert (reply.status, reply.code) == (503, "out_of_service")
    assert outside.connection_count == before
    assert len(upstream.calls("leaves")) == 1
    set_drained(gateway.ledger_folder, "inside", out=False)
    wait_for(is_back, "the request still holds its place among the key's, or the target is not asked again")
    assert outside.connection_count == before


@pytest.mark.parametrize("name", FEATURES)
def test_the_same_request_without_a_mark_does_go_outside(
    gateway: Gateway, upstream: ScriptedUpstream, outside: ScriptedUpstream, name: str
) -> None:
    """Otherwise the test above would show nothing."""
    before = len(_calls(outside))
    upstream.script("inside", FAULTS["none"] if FEATURES[name].works else answers.failure(500))
    for _ in range(8):
        _ask(gateway, name, {})
    wait_for(lambda: len(_calls(outside)) > before, "nothing goes outside", gateway.said)
    if name in COPIED:
        _settled(gateway)  # or what comes late would count against the next test


REFUSED = {
    "a header beside a key": {"authorization": f"Bearer {MARKED_KEY}", "x_breakeven_sensitivity": "eu"},
    "an empty header": {"authorization": f"Bearer {MARKED_KEY}", "x_breakeven_sensitivity": " "},
    "other tags than the key's": {"authorization": f"Bearer {TAGGED_KEY}", "x_breakeven_tags": "data=public"},
    "no tags at all": {"authorization": f"Bearer {TAGGED_KEY}", "x_breakeven_tags": " "},
    "a header beside a tag": {"x_breakeven_tags": "data=patient", "x_breakeven_sensitivity": "eu"},
    "a tag far behind": {"x_breakeven_tags": f"{'x' * 500},data=patient"},
    "a label far behind": {"x_breakeven_sensitivity": f"{'eu,' * 100}local-only"},
    "a label that nobody knows": {"x_breakeven_sensitivity": "Local-Only"},
}


@pytest.mark.parametrize("how", REFUSED)
def test_no_header_loosens_a_mark(gateway: Gateway, outside: ScriptedUpstream, how: str) -> None:
    before = outside.connection_count
    reply = _ask(gateway, "any model", REFUSED[how])
    assert reply is not None
    assert (reply.status, reply.code) == (403, "no_eligible_target")
    assert SECRET not in reply.body.decode()
    assert outside.connection_count == before


def test_marks_add_up_and_each_must_be_named(gateway: Gateway) -> None:
    asked = {"x_breakeven_sensitivity": "eu", "x_breakeven_tags": "data=patient"}
    reply = _ask(gateway, "plain", asked)
    assert reply is not None
    assert reply.status == 403
    assert "abroad: it is not marked for local-only data (only for eu)" in reply.json["error"]["message"]
    assert "inside: it is not marked for eu data (only for local-only)" in reply.json["error"]["message"]


def test_a_key_of_the_store_carries_its_mark(gateway: Gateway, outside: ScriptedUpstream) -> None:
    limits = KeyLimits(sensitivity="local-only")
    key = create_key(gateway.store, "ward", now_s=1_800_000_000.0, limits=limits)
    replies: list[Reply | None] = []

    def known() -> bool:
        replies.append(_ask(gateway, "any model", {"authorization": f"Bearer {key}"}))
        return replies[-1] is not None and replies[-1].status != 401

    before = outside.connection_count
    wait_for(known, "the key is not known")
    assert replies[-1] is not None
    assert replies[-1].code == "no_eligible_target"
    assert outside.connection_count == before


def test_nothing_that_was_kept_crosses_a_boundary(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("inside", FAULTS["none"])
    kept = {"x_breakeven_cache": "on"}
    ways = [{}, *MARKS.values(), {"x_breakeven_sensitivity": "local-only", "x_breakeven_tags": "data=public"}]
    told = []
    for way in ways:
        with gateway.line() as line:
            asked = {"model": "cache", "messages": [{"role": "user", "content": "kept"}]}
            first, second = (line.ask("POST", CHAT, asked, **way, **kept) for _ in range(2))
            told.append((first.headers["x-breakeven-target"], "x-breakeven-cache" in first.headers))
            assert second.headers["x-breakeven-cache"] == "hit"
            assert second.headers["x-breakeven-target"] == first.headers["x-breakeven-target"]
    assert told[0] == ("outside", False)
    assert [place for place, _ in told[1:]] == ["inside"] * 4
    assert [hit for _, hit in told] == [False, False, False, True, True]  # the same key and the same kinds share


def test_no_text_of_a_request_is_in_spans_logs_or_the_ledger(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("inside", FAULTS["none"])
    reply = _ask(gateway, "plain", MARKS["header"])
    assert reply is not None
    assert SECRET in reply.body.decode()
    gateway.rows(reply.request_id)
    spans = upstream.calls("spans", at_least=1)
    assert not any(SECRET.encode() in call.body for call in spans)
    assert SECRET not in gateway.said()
    files = [path for path in gateway.ledger_folder.rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def test_a_key_is_marked_where_it_is_made(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "breakeven", "keys"]
    made = [*command, "create", "ward", "--sensitivity", "local-only,eu", "--ledger", str(tmp_path)]
    subprocess.run(made, check=True, capture_output=True)
    listed = [*command, "list", "--json", "--ledger", str(tmp_path)]
    (key,) = json.loads(subprocess.run(listed, check=True, capture_output=True).stdout)
    assert (key["name"], key["sensitivity"]) == ("ward", "local-only,eu")
    refused = subprocess.run([*made, "--sensitivity", "local only"], check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "local only" in refused.stderr
    assert "Traceback" not in refused.stderr
