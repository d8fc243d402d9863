"""The gateway before a real engine: what it counts is what the engine says, and an engine that dies is not noticed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic

from gateway.engine import Engine, counted, through, write_counting_model
from gateway.gateway import KEY, TIMEOUTS, running_gateway, settings, target, wait_for
from gateway.payloads import PROMPT
from gateway.wire import chat_bytes, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anthropic.types import MessageParam

    from gateway.gateway import Gateway
    from gateway.ledger import Row
    from gateway.scripted import ScriptedUpstream
    from gateway.wire import Reply

ASKED: dict[str, Any] = {"model": "animals", "max_tokens": 40, "temperature": 0}
CHAT = ASKED | {"messages": PROMPT}
COMPLETION = ASKED | {"prompt": "Count:"}
EMBEDDING = {"model": "animals", "input": ["an ant", "a bat and a bee"]}

HELLO: list[MessageParam] = [{"role": "user", "content": "hello"}]
ID = "x-breakeven-request-id"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that counts animals."""
    path = tmp_path_factory.mktemp("model") / "animals.gguf"
    write_counting_model(path)
    return path


@pytest.fixture(scope="module")
def one(model: Path) -> Iterator[Engine]:
    """An engine."""
    with Engine(model) as started:
        yield started


@pytest.fixture(scope="module")
def two(model: Path) -> Iterator[Engine]:
    """Another, with the same weights, that takes longer prompts."""
    with Engine(model, slot_context_tokens=8192) as started:
        yield started


@pytest.fixture(scope="module")
def animals(
    tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream, one: Engine, two: Engine
) -> Iterator[Gateway]:
    """A gateway before both engines; what ``first``, ``second`` and ``third`` are asked is remembered."""
    engine = {"provider": "llama.cpp"}
    targets = {
        "small": target(one.url, **engine, context_tokens=4096),
        "large": target(two.url, **engine, context_tokens=8192),
        "first": target(upstream.url("first"), **engine),
        "second": target(upstream.url("second"), **engine),
        "third": target(upstream.url("third"), **engine),
        "chat-alone": target(upstream.url("first"), **engine, protocols=["chat"]),
        "messages-alone": target(upstream.url("first"), **engine, protocols=["messages"]),
    }
    models = {
        "animals": ["small", "large"],
        "native": ["first"],
        "translated": ["chat-alone"],
        "translated-back": ["messages-alone"],
        "continued": ["first", "second"],
        "continued-twice": ["first", "second", "third"],
    }
    configured = settings(targets, {name: {"targets": order} for name, order in models.items()})
    with running_gateway(tmp_path_factory.mktemp("animals"), configured) as started:
        yield started


@pytest.fixture(scope="module")
def claude(animals: Gateway) -> Iterator[Anthropic]:
    """Anthropic's SDK, set up as a team would."""
    with Anthropic(base_url=animals.base_url.removesuffix("/v1"), api_key=KEY, max_retries=0) as opened:
        yield opened


def tokens(row: Row) -> tuple[int, int, bool]:
    return row["input_tokens"], row["output_tokens"], row["estimated"]


def attempts(gateway: Gateway, reply: Reply, count: int) -> list[Row]:
    """The rows of all attempts at a request, once there are that many."""
    rows = gateway.rows(reply.request_id, count)
    assert len(rows) == count
    return rows


def text_of(chunks: list[dict[str, Any]]) -> str:
    """The text of a streamed answer, put together as a client does."""
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)


def chunks_of(reply: Reply) -> list[dict[str, Any]]:
    """The events of a stream that ended as it should."""
    *chunks, last = events(reply.body)
    assert last == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def said_by(reply: Reply) -> str:
    """The text of a chat answer, whole or streamed."""
    if reply.headers["content-type"].startswith("text/event-stream"):
        return text_of(chunks_of(reply))
    return str(reply.json["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("path", "body", "output_tokens"),
    [("/chat/completions", CHAT, 40), ("/completions", COMPLETION, 40), ("/embeddings", EMBEDDING, 0)],
    ids=["chat", "completions", "embeddings"],
)
def test_the_ledger_holds_what_the_engine_says(
    animals: Gateway, one: Engine, path: str, body: dict[str, Any], output_tokens: int
) -> None:
    alone = one.ask(path, body)
    with animals.line() as line:
        reply = line.ask("POST", f"/v1{path}", body)
    told = reply.json["usage"]
    assert told["prompt_tokens"] == alone["usage"]["prompt_tokens"] > 1
    assert told.get("completion_tokens", 0) == output_tokens
    row = animals.row(reply.request_id)
    assert tokens(row) == (told["prompt_tokens"], output_tokens, False)
    assert row["cached_input_tokens"] == told.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    assert (row["target"], row["outcome"], row["streamed"]) == ("small", "ok", False)
    if path == "/embeddings":
        assert reply.json["data"] == alone["data"]
    else:
        assert [choice | {"index": 0} for choice in reply.json["choices"]] == alone["choices"]


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize(
    ("path", "body"), [("/chat/completions", CHAT), ("/completions", COMPLETION)], ids=["chat", "completions"]
)
def test_a_stream_is_counted_whether_or_not_its_client_asked_for_usage(
    animals: Gateway, one: Engine, path: str, body: dict[str, Any], include_usage: bool
) -> None:
    alone = one.ask(path, body)["usage"]
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    with animals.line() as line:
        reply = line.ask("POST", f"/v1{path}", body | {"stream": True} | options)
    chunks = chunks_of(reply)
    assert text_of(chunks) == counted(40)
    row = animals.row(reply.request_id)
    assert tokens(row) == (alone["prompt_tokens"], 40, False)
    assert (row["outcome"], row["streamed"]) == ("ok", True)
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in told[-1:]] == [tokens(row)[:2]] * bool(
        told
    )
    if path == "/chat/completions":  # of completions, this engine tells it unasked, in the last piece of text
        assert [chunk["choices"] for chunk in chunks if chunk.get("usage")] == [[]] * include_usage


@pytest.mark.parametrize(
    ("model_name", "path"), [("native", "/first/v1/messages"), ("translated", "/first/v1/chat/completions")]
)
def test_messages_reach_the_engine_in_its_own_words_or_translated(
    animals: Gateway, upstream: ScriptedUpstream, one: Engine, claude: Anthropic, model_name: str, path: str
) -> None:
    upstream.script("first", through(one))
    alone = one.ask("/messages", {"model": "animals", "max_tokens": 9, "messages": HELLO})["usage"]
    prompt_tokens = alone["input_tokens"] + alone["cache_read_input_tokens"]
    raw = claude.messages.with_raw_response.create(model=model_name, max_tokens=9, messages=HELLO)
    with claude.messages.stream(model=model_name, max_tokens=9, messages=HELLO) as stream:
        streamed = stream.get_final_message()
        stream_id = stream.response.headers[ID]
    for message, request_id in ((raw.parse(), raw.headers[ID]), (streamed, stream_id)):
        assert [block.to_dict() for block in message.content] == [{"type": "text", "text": counted(9)}]
        assert message.stop_reason == "max_tokens"
        row = animals.row(request_id)
        assert tokens(row) == (prompt_tokens, 9, False)
        assert (message.usage.cache_read_input_tokens, message.usage.output_tokens) == (row["cached_input_tokens"], 9)
        assert message.usage.input_tokens == prompt_tokens - row["cached_input_tokens"]
    assert [call.path for call in upstream.calls("first")] == [path] * 2


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_chat_reaches_an_engine_that_speaks_messages_alone(
    animals: Gateway, upstream: ScriptedUpstream, one: Engine, streamed: bool
) -> None:
    upstream.script("first", through(one))
    with animals.line() as line:
        reply = line.chat(CHAT | {"model": "translated-back", "stream": streamed})
    assert said_by(reply) == counted(40)
    assert upstream.calls("first")[-1].path == "/first/v1/messages"
    prompt_tokens = one.ask("/chat/completions", CHAT)["usage"]["prompt_tokens"]
    assert tokens(animals.row(reply.request_id)) == (prompt_tokens, 40, False)


def test_a_prompt_too_long_for_one_engine_is_answered_by_the_larger(animals: Gateway) -> None:
    long = [{"role": "user", "content": "x" * 5000}]
    with animals.line() as line:
        reply = line.chat(CHAT | {"messages": long})
    assert said_by(reply) == counted(40)
    refused, answered = attempts(animals, reply, 2)
    assert (refused["target"], refused["status"], tokens(refused)[:2]) == ("small", 400, (0, 0))
    assert (answered["target"], answered["fallback"]) == ("large", "status_400")
    assert answered["input_tokens"] > 5000


@pytest.mark.parametrize("cut_after_bytes", [1000, 1500, 2222, 4444, 8000])
def test_a_stream_that_breaks_at_one_engine_ends_at_the_other_as_if_nothing_had_happened(
    animals: Gateway, upstream: ScriptedUpstream, one: Engine, two: Engine, cut_after_bytes: int
) -> None:
    alone = one.ask("/chat/completions", CHAT)
    upstream.script("first", through(one, cut_after_bytes=cut_after_bytes))
    upstream.script("second", through(two))
    with animals.line() as line:
        reply = line.chat(CHAT | {"model": "continued", "stream": True})
    assert said_by(reply) == alone["choices"][0]["message"]["content"] == counted(40)
    broken, ended = attempts(animals, reply, 2)
    before = broken["output_tokens"]
    assert 0 < before < 40
    assert (broken["target"], broken["outcome"], broken["estimated"]) == ("first", "cut", True)
    (asked,) = upstream.calls("second")
    assert asked.json["messages"] == [*PROMPT, {"role": "assistant", "content": counted(before)}]
    assert asked.json["max_tokens"] == 40 - before
    assert (ended["target"], ended["outcome"], ended["fallback"]) == ("second", "ok", "connection_lost")
    assert tokens(ended) == (alone["usage"]["prompt_tokens"] + before, 40 - before, False)


def test_a_stream_that_breaks_before_its_first_word_is_asked_for_once_more(
    animals: Gateway, upstream: ScriptedUpstream, one: Engine, two: Engine
) -> None:
    upstream.script("first", through(one, cut_after_bytes=500))
    upstream.script("second", through(two))
    with animals.line() as line:
        reply = line.chat(CHAT | {"model": "continued", "stream": True})
    assert said_by(reply) == counted(40)
    assert upstream.calls("second")[-1].json["max_tokens"] == 40
    rows = attempts(animals, reply, 2)
    assert [(row["target"], row["output_tokens"]) for row in rows] == [("first", 0), ("second", 40)]


def test_a_stream_that_breaks_twice_ends_at_the_third_engine(
    animals: Gateway, upstream: ScriptedUpstream, one: Engine, two: Engine
) -> None:
    upstream.script("first", through(one, cut_after_bytes=1500))
    upstream.script("second", through(two, cut_after_bytes=1500))
    upstream.script("third", through(one))
    with animals.line() as line:
        reply = line.chat(CHAT | {"model": "continued-twice", "stream": True})
    assert said_by(reply) == counted(40)
    rows = attempts(animals, reply, 3)
    assert [(row["target"], row["outcome"]) for row in rows] == [("first", "cut"), ("second", "cut"), ("third", "ok")]
    assert sum(row["output_tokens"] for row in rows) == 40


CLIENTS, LONG = 20, 1000
PATIENT = TIMEOUTS | {"first_token_s": 15, "between_tokens_s": 15}
"""An engine makes its clients wait when there are more of them than it serves at once."""


def test_an_engine_killed_under_load_costs_no_client_its_answer(
    start_gateway: Callable[..., Gateway], model: Path, two: Engine
) -> None:
    with ExitStack() as stack, Engine(model) as dying, ThreadPoolExecutor(CLIENTS) as clients:
        engines = {"one": dying, "two": two}
        targets = {name: target(of.url, provider="llama.cpp", timeouts=PATIENT) for name, of in engines.items()}
        gateway = start_gateway(settings(targets, {"animals": {"targets": ["one", "two"]}}))
        lines = [stack.enter_context(gateway.line()) for _ in range(CLIENTS)]
        for number, line in enumerate(lines):
            line.send(chat_bytes(CHAT | {"max_tokens": LONG, "stream": number % 2 == 0}))
        asked = [clients.submit(line.reply) for line in lines]
        wait_for(lambda: any(b" ant" in line.seen for line in lines), "the first word of any stream")
        dying.kill()
        replies = [reply.result() for reply in asked]
    assert [said_by(reply) for reply in replies] == [counted(LONG)] * CLIENTS
    wait_for(lambda: sum(row["outcome"] == "ok" for row in gateway.all_rows()) == CLIENTS, "the rows of all answers")
    outcomes = set()
    for reply in replies:
        *failed, last = gateway.rows(reply.request_id)
        outcomes |= {row["outcome"] for row in failed}
        assert last["outcome"] == "ok"
        assert sum(row["output_tokens"] for row in (*failed, last)) == LONG
        assert {row["target"] for row in failed} <= {"one"}
    assert outcomes == {"cut", "failed"}
