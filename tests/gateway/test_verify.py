"""Answers that are checked before a client gets any of them: who is asked next, and what the ledger has of both."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, messages_payloads, payloads
from gateway.gateway import KEY, running_gateway, settings, target, wait_for
from gateway.wire import chat_bytes, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.answers import Answer
    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

    Start = Callable[..., Gateway]

SCHEMA = {"type": "object", "required": ["due"], "properties": {"due": {"type": "string"}}}
RIGHT, WRONG = '{"due": "2026-05-03"}', "Due on the third of May."


def _stream(text: str) -> list[bytes]:
    size = max(5, len(text) // 50)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    first, *rest = payloads.stream(0, payloads.TOLD)
    return [first, *(payloads.event(payloads.chunk({"content": piece})) for piece in pieces), *rest]


def _says(text: str) -> Answer:
    return answers.either(answers.whole(payloads.completion(text)), answers.stream(_stream(text)))


def _message(text: str) -> Answer:
    content = [{"type": "text", "text": text}]
    began, opened, _, _, closed, delta, stop = messages_payloads.stream(1)
    piece = messages_payloads.event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    streamed = answers.stream([began, opened, piece, closed, delta, stop])
    return answers.either(answers.whole(messages_payloads.message(content=content)), streamed)


def _response(text: str) -> Answer:
    """As the Responses API answers (https://platform.openai.com/docs/api-reference/responses/object)."""
    item = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": 157,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 52,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 209,
    }
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": text},
        {"type": "response.completed", "response": whole},
    ]
    streamed = [f"event: {event['type']}\n".encode() + payloads.event(event) for event in said]
    return answers.either(answers.whole(whole), answers.stream(streamed))


PROTOCOLS: dict[str, tuple[str, Callable[[str], Answer], dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", _says, {"messages": payloads.PROMPT}),
    "messages": ("/v1/messages", _message, {"messages": payloads.PROMPT, "max_tokens": 100}),
    "responses": ("/v1/responses", _response, {"input": "Summarise the invoice."}),
}
EVERY = ["chat", "completions", "responses", "messages"]

CHECKS: dict[str, dict[str, Any]] = {
    "schema": {"json_schema": SCHEMA},
    "own": {"json_schema": "request"},
    "label": {"enum": ["spam", "ham"]},
    "date": {"regex": r"\d{4}-\d{2}-\d{2}"},
    "greedy": {"regex": "(a+)+"},
    "task": {"enum": ["spam", "ham"], "tasks": ["sort", "file"]},
    "short": {"json_schema": SCHEMA, "most_bytes": 2048},
    "short-passed": {"json_schema": SCHEMA, "most_bytes": 2048, "unverifiable": "pass"},
    "strict": {"json_schema": SCHEMA, "verify_last": True},
    "asked": {"http": {"url": "env:CHECK_URL", "timeout_s": 0.5}},
    "asked-passed": {"http": {"url": "env:CHECK_URL", "timeout_s": 0.5}, "unverifiable": "pass"},
    "patient": {"http": {"url": "env:CHECK_URL", "timeout_s": 30, "sensitivities": ["internal"]}},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway with a model for each check, in front of a cheap target and a strong one."""
    targets = {name: target(upstream.url(name), protocols=EVERY) for name in ("cheap", "strong")}
    targets["cheap-claude"] = target(upstream.url("cheap-claude"), protocols=["messages"])
    models: dict[str, Any] = {}
    for name, check in CHECKS.items():
        written = json.loads(json.dumps(check).replace("env:CHECK_URL", f"http://127.0.0.1:{upstream.port}/check/it"))
        models[name] = {"targets": ["cheap", "strong"], "verify": written}
    models["cached"] = {"targets": ["cheap", "strong"], "verify": CHECKS["schema"], "cache": {"ttl_s": 60}}
    models["cached-task"] = {"targets": ["cheap"], "verify": CHECKS["task"] | {"verify_last": True}, "cache": {}}
    models["translated"] = {"targets": ["cheap-claude", "strong"], "verify": CHECKS["schema"]}
    models["filed"] = {"targets": ["cheap", "strong"], "verify": {"json_schema": "schema.json"}}
    folder = tmp_path_factory.mktemp("verify")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    with running_gateway(folder, settings(targets, models)) as started:
        yield started


def _told(gateway: Gateway, request_id: str, attempts: int = 2) -> list[tuple[object, ...]]:
    rows = gateway.rows(request_id, attempts)
    return [(row["target"], row["outcome"], row["failure"], row["fallback"], row["status"]) for row in rows]


ESCALATED = [("cheap", "failed", "unverified", None, 200), ("strong", "ok", None, "unverified", 200)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_that_passes_goes_to_the_client_as_it_came(
    gateway: Gateway, upstream: ScriptedUpstream, protocol: str, stream: bool
) -> None:
    path, says, body = PROTOCOLS[protocol]
    upstream.script("cheap", says(RIGHT))
    upstream.script("strong", says("never asked"))
    with gateway.line() as line:
        reply = line.ask("POST", path, {"model": "strict", "stream": stream, **body})
        passed = line.ask("POST", path, {"model": "strict", "stream": stream, **body})  # the line still serves
    assert (reply.status, reply.headers["x-breakeven-target"]) == (200, "cheap")
    assert reply.headers["x-breakeven-verified"] == "yes"
    assert reply.body == passed.body
    assert b"due" in reply.body
    assert upstream.calls("strong") == []
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["estimated"], row["streamed"]) == ("ok", False, stream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_that_fails_is_kept_and_costed_and_another_target_is_asked(
    gateway: Gateway, upstream: ScriptedUpstream, protocol: str, stream: bool
) -> None:
    path, says, body = PROTOCOLS[protocol]
    upstream.script("cheap", says(WRONG))
    upstream.script("strong", says(RIGHT))
    with gateway.line() as line:
        reply = line.ask("POST", path, {"model": "schema", "stream": stream, **body})
    assert reply.status == 200
    assert WRONG.encode() not in reply.body
    assert b"due" in reply.body
    assert reply.headers["x-breakeven-fallback"] == "unverified"
    assert reply.headers["x-breakeven-verified"] == "no"  # the last is not checked
    assert _told(gateway, reply.request_id) == ESCALATED
    first, second = gateway.rows(reply.request_id, 2)
    assert first["output_tokens"] == second["output_tokens"] > 0
    assert first["cost_usd"] == second["cost_usd"] > 0
    assert not first["estimated"]


def test_a_stream_is_the_verified_answer_alone_byte_for_byte(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("cheap", answers.stream(_stream(RIGHT)))
    with gateway.line() as line:
        reply = line.chat(payloads.request("schema", **payloads.ASKING))
    assert reply.body == b"".join(_stream(RIGHT))
    assert reply.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("model", "right", "wrong"),
    [
        ("label", " spam\n", "spam!"),
        ("label", "ham", ""),
        ("date", "2026-05-03", "on 2026-05-03"),
        ("date", "2026-05-03\n", "2026-05-03\n2026-05-04"),
        ("greedy", "a" * 40, "a" * 40_000 + "b"),
        ("schema", RIGHT, '{"due": 3}'),
        ("schema", f" {RIGHT} ", f"```json\n{RIGHT}\n```"),
        ("schema", RIGHT, RIGHT[:-3]),
        ("filed", RIGHT, WRONG),
    ],
)
def test_each_check_tells_right_from_wrong(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, right: str, wrong: str
) -> None:
    upstream.script("cheap", _says(right), _says(wrong))
    upstream.script("strong", _says("from the strong one"))
    with gateway.line() as line:
        assert line.chat(payloads.request(model)).headers["x-breakeven-target"] == "cheap"
        reply = line.chat(payloads.request(model))
    assert reply.headers["x-breakeven-target"] == "strong"
    assert _told(gateway, reply.request_id) == ESCALATED


OWN: dict[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "due", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "due", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_schema_that_a_request_asks_for_is_checked(
    gateway: Gateway, upstream: ScriptedUpstream, protocol: str
) -> None:
    path, says, body = PROTOCOLS[protocol]
    upstream.script("cheap", says(WRONG))
    upstream.script("strong", says(RIGHT))
    with gateway.line() as line:
        unchecked = line.ask("POST", path, {"model": "own", **body})
        reply = line.ask("POST", path, {"model": "own", **body, **OWN[protocol]})
    assert unchecked.headers["x-breakeven-target"] == "cheap"
    assert "x-breakeven-verified" not in unchecked.headers
    assert reply.headers["x-breakeven-target"] == "strong"


def _lead(levels: int) -> dict[str, Any]:
    """A schema whose check would take two steps for each one of the level above."""
    definitions: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{levels}": {}}}


@pytest.mark.parametrize(
    "schema",
    [_lead(60), {"$ref": "http://127.0.0.1:1/schema"}, {"$ref": "#"}, {"type": 5}, {"pattern": "(?=a)"}],
    ids=["endless work", "elsewhere", "itself", "no schema", "no pattern"],
)
def test_a_schema_of_a_client_that_cannot_be_checked_escalates_at_once(
    gateway: Gateway, upstream: ScriptedUpstream, schema: dict[str, Any]
) -> None:
    upstream.script("cheap", _says("{}"))
    upstream.script("strong", _says("{}"))
    asked = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    with gateway.line() as line:
        reply = line.chat(payloads.request("own", **asked))
    assert _told(gateway, reply.request_id) == ESCALATED


def test_only_the_tasks_that_are_named_are_checked(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("cheap", _says(WRONG))
    upstream.script("strong", _says("spam"))
    with gateway.line() as line:
        served = [
            line.chat(payloads.request("task"), **headers).headers["x-breakeven-target"]
            for headers in ({}, {"x_breakeven_task": "chat"}, {"x_breakeven_task": "sort"})
        ]
    assert served == ["cheap", "cheap", "strong"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_when_the_last_ones_answer_fails_too_its_client_is_told(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("cheap", _says(WRONG))
    upstream.script("strong", _says(WRONG))
    with gateway.line() as line:
        reply = line.chat(payloads.request("strict", stream=stream))
    assert (reply.status, reply.code) == (502, "unverified")
    assert "the answer of strong does not keep to the JSON Schema" in reply.json["error"]["message"]
    assert _told(gateway, reply.request_id) == [
        ("cheap", "failed", "unverified", None, 200),
        ("strong", "failed", "unverified", "unverified", 200),
    ]


def test_the_last_ones_stream_flows_as_it_comes(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("cheap", _says(WRONG))
    read = threading.Event()
    first, *rest = _stream(RIGHT)
    upstream.script("strong", answers.stream([first], then=answers.once(read, lambda call: _send(call, rest))))
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("schema", **payloads.STREAMED)))
        line.until(b'"role"')
        read.set()
        line.until(b"[DONE]")


def _send(call: Call, rest: list[bytes]) -> None:
    for event in rest:
        call.send(answers.chunked(event))


LONG = "x" * 6000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_too_long_to_be_held_escalates(gateway: Gateway, upstream: ScriptedUpstream, stream: bool) -> None:
    upstream.script("cheap", _says(LONG))
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        reply = line.chat(payloads.request("short", stream=stream))
    assert reply.headers["x-breakeven-target"] == "strong"
    assert _told(gateway, reply.request_id) == ESCALATED


def test_a_target_that_says_too_much_is_told_to_stop(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("cheap", answers.flood())
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        reply = line.chat(payloads.request("short", stream=True))
    assert reply.headers["x-breakeven-target"] == "strong"
    (call,) = upstream.calls("cheap")
    assert call.gone.wait(5), "the target works on"


@pytest.mark.parametrize("size", [6000, 300_000])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_too_long_to_be_held_passes_where_that_is_said(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool, size: int
) -> None:
    text = "x" * size
    upstream.script("cheap", _says(text))
    with gateway.line() as line:
        reply = line.chat(payloads.request("short-passed", **(payloads.ASKING if stream else {})))
        again = line.chat(payloads.request("short-passed", **(payloads.ASKING if stream else {})))
    assert reply.headers["x-breakeven-verified"] == "unchecked"
    whole = json.dumps(payloads.completion(text)).encode()
    assert reply.body == (b"".join(_stream(text)) if stream else whole)
    assert again.body == reply.body
    assert gateway.row(reply.request_id)["outcome"] == "ok"


def test_what_is_passed_being_too_long_flows_on(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The client has the beginning before the target has said the end, and a stream that breaks then is cut."""
    read = threading.Event()
    upstream.script("cheap", answers.stream(_stream(LONG)[:-3], then=answers.once(read, answers.reset)))
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("short-passed", **payloads.STREAMED)))
        line.until(b"xxxxx")
        read.set()
        assert line.until(b"connection_lost")
    assert gateway.newest_row(model="short-passed", outcome="cut")["target"] == "cheap"


@pytest.mark.parametrize("fault", [answers.reset, answers.end_body_and_close, answers.silent])
def test_a_stream_that_breaks_while_it_is_held_is_asked_anew(
    gateway: Gateway, upstream: ScriptedUpstream, fault: Answer
) -> None:
    upstream.script("cheap", answers.stream(_stream(RIGHT)[:3], then=fault))
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        reply = line.chat(payloads.request("strict", **payloads.ASKING))
    assert reply.body == b"".join(_stream(RIGHT))
    assert reply.headers["x-breakeven-target"] == "strong"
    first, second = _told(gateway, reply.request_id)
    assert first[:2] == ("cheap", "failed")
    assert second[:2] == ("strong", "ok")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_was_translated_is_checked_as_its_client_reads_it(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("cheap-claude", _message(RIGHT), _message(WRONG))
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        passed = line.chat(payloads.request("translated", stream=stream))
        failed = line.chat(payloads.request("translated", stream=stream))
    assert passed.headers["x-breakeven-target"] == "cheap-claude"
    assert b"chat.completion" in passed.body
    assert not stream or events(passed.body)[-1] == "[DONE]"
    assert failed.headers["x-breakeven-target"] == "strong"


def test_an_answer_that_calls_a_tool_cannot_be_checked(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    call = payloads.tool_call("due", {"day": 3})
    streamed = answers.stream(payloads.tool_stream("due", {"day": 3}, payloads.TOLD))
    upstream.script("cheap", answers.either(answers.whole(call), streamed))
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        for stream in (False, True):
            escalated = line.chat(payloads.request("short", stream=stream))
            passed = line.chat(payloads.request("short-passed", stream=stream))
            assert escalated.headers["x-breakeven-target"] == "strong"
            assert passed.headers["x-breakeven-target"] == "cheap"
            assert passed.headers["x-breakeven-verified"] == "unchecked"


# A check of one's own


def _check(ok: bool) -> Answer:
    return answers.whole({"ok": ok})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_check_of_ones_own_is_told_the_answer_and_decides(
    gateway: Gateway, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("cheap", _says(WRONG))
    upstream.script("strong", _says(RIGHT))
    upstream.script("check", _check(ok=True), _check(ok=False))
    with gateway.line() as line:
        passed = line.chat(payloads.request("patient", stream=stream), x_breakeven_task="due")
        failed = line.chat(payloads.request("patient", stream=stream))
    assert passed.headers["x-breakeven-target"] == "cheap"
    assert failed.headers["x-breakeven-target"] == "strong"
    first, second = upstream.calls("check")
    assert first.json == {"request_id": passed.request_id, "model": "patient", "task": "due", "answer": WRONG}
    assert second.json["request_id"] == failed.request_id
    assert _told(gateway, failed.request_id) == ESCALATED


AWAY: dict[str, Answer] = {
    "slow": answers.silent,
    "away": answers.reset,
    "in trouble": answers.failure(500),
    "unclear": answers.whole({"verdict": "fine"}),
    "no JSON": answers.whole(b"true"),
}


@pytest.mark.parametrize("fault", AWAY)
def test_a_check_that_does_not_answer_escalates_or_passes_as_the_settings_say(
    gateway: Gateway, upstream: ScriptedUpstream, fault: str
) -> None:
    upstream.script("cheap", _says(RIGHT))
    upstream.script("strong", _says(RIGHT))
    upstream.script("check", AWAY[fault])
    with gateway.line() as line:
        escalated = line.chat(payloads.request("asked"))
        passed = line.chat(payloads.request("asked-passed"))
    assert escalated.headers["x-breakeven-target"] == "strong"
    assert passed.headers["x-breakeven-target"] == "cheap"
    assert passed.headers["x-breakeven-verified"] == "unchecked"


def test_a_client_that_leaves_during_the_check_ends_it_and_leaves_its_row(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    asked = threading.Event()

    def check(call: Call) -> None:
        asked.set()
        answers.silent(call)

    upstream.script("cheap", _says(RIGHT))
    upstream.script("strong", _says(RIGHT))
    upstream.script("check", check)
    with gateway.line() as line:
        line.send(chat_bytes(payloads.request("patient", user="leaver")))
        assert asked.wait(5)
    assert upstream.calls("check")[-1].gone.wait(5), "the check goes on"
    row = gateway.newest_row(model="patient", outcome="client_left")
    assert (row["target"], row["input_tokens"], row["output_tokens"]) == ("cheap", 157, 52)
    assert upstream.calls("strong") == []


# Together with the rest


def test_only_what_was_checked_is_given_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("cheap", _says(WRONG), _says(WRONG), _says(RIGHT))
    upstream.script("strong", _says(WRONG))
    asked = payloads.request("cached")
    with gateway.line() as line:
        replies = [line.chat(asked) for _ in range(4)]
    assert [reply.headers["x-breakeven-target"] for reply in replies] == ["strong", "strong", "cheap", "cheap"]
    assert ["x-breakeven-cache" in reply.headers for reply in replies] == [False, False, False, True]
    assert replies[3].body == replies[2].body


def test_what_was_kept_of_another_task_unchecked_is_not_given_to_one_that_is_checked(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("cheap", _says(WRONG))
    asked = payloads.request("cached-task")
    with gateway.line() as line:
        assert line.chat(asked).status == 200
        assert line.chat(asked).headers["x-breakeven-cache"] == "hit"
        assert line.chat(asked, x_breakeven_task="sort").status == 502


def test_a_hedge_that_wins_is_checked_too(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in ("cheap", "strong")}
    rule = {"after": 0.5, "share": 1, "least_s": 1}  # a busy machine holds up less
    pair = {"targets": ["cheap", "strong"], "hedging": rule, "verify": CHECKS["strict"], "max_attempts": 3}
    gateway = start_gateway(settings(targets, {"pair": pair}))
    upstream.script("cheap", _says(RIGHT))
    upstream.script("strong", _says(WRONG))
    with gateway.line() as line:
        for streamed in [False, True] * 4:
            assert line.chat(payloads.request("pair", stream=streamed)).headers["x-breakeven-target"] == "cheap"
        upstream.script("cheap", answers.silent, _says(RIGHT))
        reply = line.chat(payloads.request("pair"))
    assert (reply.status, reply.headers["x-breakeven-target"]) == (200, "cheap")
    assert [row[:3] for row in _told(gateway, reply.request_id, 3)] == [
        ("cheap", "failed", "overtaken"),
        ("strong", "failed", "unverified"),
        ("cheap", "ok", None),
    ]


def test_what_a_failed_try_used_counts_against_the_limits(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    key: dict[str, Any] = {"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    key |= {"quota": {"tokens_per_minute": 2 * (157 + 52) + 100}}
    targets = {name: target(upstream.url(name)) for name in ("cheap", "strong")}
    models = {"pair": {"targets": ["cheap", "strong"], "verify": CHECKS["schema"]}}
    gateway = start_gateway(settings(targets, models) | {"keys": [key]})
    upstream.script("cheap", _says(WRONG))
    upstream.script("strong", _says(RIGHT))
    asked = payloads.request("pair", max_tokens=100)
    with gateway.line() as line:
        assert line.chat(asked).headers["x-breakeven-target"] == "strong"
        assert line.chat(asked).status == 429
    wait_for(lambda: len(gateway.all_rows()) == 2, "both attempts")


def test_a_target_whose_answers_fail_is_not_taken_for_down(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    targets = {name: target(upstream.url(name)) for name in ("cheap", "strong")}
    models = {"pair": {"targets": ["cheap", "strong"], "verify": CHECKS["schema"]}}
    gateway = start_gateway(settings(targets, models, breaker={"failed_requests": 2}))
    upstream.script("cheap", _says(WRONG))
    upstream.script("strong", _says(RIGHT))
    with gateway.line() as line:
        for _ in range(6):
            assert line.chat(payloads.request("pair")).status == 200
    assert len(upstream.calls("cheap")) == 6
