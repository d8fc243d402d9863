"""Every protocol that clients speak: passed through, metered by what it says, and in its own words when it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from gateway import answers, messages_payloads, payloads
from gateway.gateway import KEY, running_gateway, settings, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

HELLO: list[anthropic.types.MessageParam] = [{"role": "user", "content": "hello"}]
ID = "x-breakeven-request-id"
OPENAI = ["chat", "completions", "responses", "embeddings"]


@pytest.fixture(scope="module")
def protocols(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway in front of a target for each family of protocols."""
    targets = {
        "openai-like": target(upstream.url("openai-like"), protocols=OPENAI),
        "native": target(upstream.url("native"), protocols=["messages"], model="claude-sonnet-4-5"),
        "both": target(upstream.url("both"), protocols=["chat", "messages"]),
    }
    models = {
        "gpt": {"targets": ["openai-like"]},
        "claude": {"targets": ["native"]},
        "any": {"targets": ["both"]},
        "gpt-then-claude": {"targets": ["openai-like", "native"]},
        "claude-then-gpt": {"targets": ["native", "openai-like"]},
    }
    with running_gateway(tmp_path_factory.mktemp("protocols"), settings(targets, models)) as started:
        yield started


@pytest.fixture(scope="module")
def claude(protocols: Gateway) -> Iterator[Anthropic]:
    """Anthropic's SDK, set up as a team would."""
    base = protocols.base_url.removesuffix("/v1")
    with Anthropic(base_url=base, api_key=KEY, max_retries=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def gpt(protocols: Gateway) -> Iterator[OpenAI]:
    """OpenAI's SDK."""
    with OpenAI(base_url=protocols.base_url, api_key=KEY, max_retries=0) as opened:
        yield opened


def counted(row: dict[str, Any]) -> tuple[int, int, int, int, bool]:
    """The row's input, cached, written and output tokens, and whether they are estimated."""
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "estimated")
    return tuple(row[name] for name in names)


def test_a_message_is_passed_on_and_cached_tokens_are_added_to_its_input(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("native", answers.whole(messages_payloads.message()))
    raw = claude.messages.with_raw_response.create(
        model="claude", max_tokens=50, messages=HELLO, extra_headers={"anthropic-beta": "context-1m-2025-08-07"}
    )
    assert raw.parse().content[0].to_dict()["text"] == "Due on the third of May."
    call = upstream.calls("native")[-1]
    assert call.path == "/native/v1/messages"
    assert call.json == {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": HELLO}
    assert call.headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert "x-api-key" not in call.headers
    assert counted(protocols.row(raw.headers[ID])) == (135, 100, 10, 12, False)


def test_a_streamed_message_is_passed_event_by_event_and_metered_by_its_last_usage(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("native", answers.stream(messages_payloads.stream(4)))
    with claude.messages.stream(model="claude", max_tokens=50, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        request_id = stream.response.headers[ID]
        final = stream.get_final_message()
    assert text == " word0 word1 word2 word3"
    assert final.stop_reason == "end_turn"
    row = protocols.row(request_id)
    assert counted(row) == (135, 100, 10, 15, False)
    assert (row["outcome"], row["streamed"]) == ("ok", True)


def test_a_message_stream_that_breaks_ends_in_an_error_event(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("native", answers.stream(messages_payloads.stream(4, whole=False), then=answers.close))
    with claude.messages.stream(model="claude", max_tokens=50, messages=HELLO) as stream:
        with pytest.raises(anthropic.APIStatusError, match="The stream broke"):
            stream.until_done()
        assert protocols.row(stream.response.headers[ID])["outcome"] == "cut"


def test_tokens_are_counted_by_the_target_and_cost_nothing(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("native", answers.whole({"input_tokens": 2095}))
    raw = claude.messages.with_raw_response.count_tokens(model="claude", messages=HELLO)
    assert raw.parse().input_tokens == 2095
    assert upstream.calls("native")[-1].path == "/native/v1/messages/count_tokens"
    assert counted(protocols.row(raw.headers[ID])) == (0, 0, 0, 0, False)


@pytest.mark.parametrize("model", ["gpt-then-claude", "claude-then-gpt"])
def test_tokens_are_never_counted_through_a_translation(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic, model: str
) -> None:
    upstream.script("openai-like", answers.failure(404))
    upstream.script("native", answers.whole({"input_tokens": 2095}))
    raw = claude.messages.with_raw_response.count_tokens(model=model, messages=HELLO)
    assert raw.parse().input_tokens == 2095
    assert not upstream.calls("openai-like")
    assert [row["target"] for row in protocols.rows(raw.headers[ID])] == ["native"]


def test_who_asks_for_a_count_that_nobody_makes_is_told_so_at_once(
    upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("openai-like", answers.whole())
    with pytest.raises(anthropic.NotFoundError, match="Nobody counts tokens for 'gpt'") as caught:
        claude.messages.count_tokens(model="gpt", messages=HELLO)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"], body["error"]["code"]) == ("error", "not_found_error", "not_supported")
    assert not upstream.calls("openai-like")
    upstream.script("native", answers.failure(503))
    with pytest.raises(anthropic.APIStatusError) as failed:
        claude.messages.count_tokens(model="claude-then-gpt", messages=HELLO)
    assert failed.value.status_code == 503, "a target that cannot just now is no target that never can"
    assert not upstream.calls("openai-like")
    claude.messages.create(model="gpt", max_tokens=50, messages=HELLO)


def test_a_target_that_cannot_count_tokens_is_not_left_alone_for_it(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    targets = {"native": target(upstream.url("native"), protocols=["messages"])}
    breaker = {"refused_requests": 1, "refused_open_s": 60}
    gateway = start_gateway(settings(targets, {"claude": {"targets": ["native"]}}, breaker=breaker))
    upstream.script("native", answers.failure(404))
    body = {"model": "claude", "max_tokens": 50, "messages": HELLO}
    with gateway.line() as line:
        for _ in range(3):
            assert line.ask("POST", "/v1/messages/count_tokens", body, authorization=f"Bearer {KEY}").status == 404
        upstream.script("native", answers.whole(messages_payloads.message()))
        assert line.ask("POST", "/v1/messages", body, authorization=f"Bearer {KEY}").status == 200


@pytest.mark.parametrize(
    ("status", "raised"), [(400, anthropic.BadRequestError), (529, anthropic.APIStatusError)], ids=["client", "server"]
)
def test_an_error_of_the_target_reaches_its_client_as_it_came(
    upstream: ScriptedUpstream, claude: Anthropic, status: int, raised: type[anthropic.APIStatusError]
) -> None:
    body = messages_payloads.error("invalid_request_error", "max_tokens: Field required")
    upstream.script("native", answers.whole(body, status=status))
    with pytest.raises(raised) as caught:
        claude.messages.create(model="claude", max_tokens=50, messages=HELLO)
    assert caught.value.body == body


def test_the_gateway_s_own_errors_are_in_the_words_of_the_client_s_protocol(
    protocols: Gateway, claude: Anthropic
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="does not exist here"):
        claude.messages.create(model="nobody", max_tokens=50, messages=HELLO)
    opened = Anthropic(base_url=str(claude.base_url), api_key="sk-be-nobody", max_retries=0)
    with opened as stranger, pytest.raises(anthropic.AuthenticationError) as caught:
        stranger.messages.create(model="claude", max_tokens=50, messages=HELLO)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    with protocols.line() as line:
        reply = line.ask("POST", "/v1/messages", b"{", authorization=f"Bearer {KEY}")
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")


def test_a_completion_is_passed_on_whole_and_streamed(
    protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI
) -> None:
    body: dict[str, Any] = {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": payloads.usage(5, 7),
        "choices": [{"text": " there was", "index": 0, "logprobs": None, "finish_reason": "length"}],
    }  # fmt: skip
    upstream.script("openai-like", answers.whole(body))
    raw = gpt.completions.with_raw_response.create(model="gpt", prompt="Once")
    assert raw.parse().choices[0].text == " there was"
    assert upstream.calls("openai-like")[-1].path == "/openai-like/v1/completions"
    assert counted(protocols.row(raw.headers[ID])) == (5, 0, 0, 7, False)
    events = [payloads.event(body | {"usage": None, "choices": [body["choices"][0] | {"text": " a"}]})] * 3
    told = payloads.event(body | {"choices": []})
    upstream.script("openai-like", answers.stream([*events, told, b"data: [DONE]\n\n"]))
    streamed = gpt.completions.with_raw_response.create(model="gpt", prompt="Once", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed.parse()) == " a a a"
    assert upstream.calls("openai-like")[-1].json["stream_options"] == {"include_usage": True}
    assert counted(protocols.row(streamed.headers[ID])) == (5, 0, 0, 7, False)


RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "tools": [],
    "error": None, "incomplete_details": None, "instructions": None, "parallel_tool_calls": True, "tool_choice": "auto",
    "output": [
        {
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "In a grove", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 36, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 123,
    },
}  # fmt: skip


def _response_events() -> list[bytes]:
    """Events of https://platform.openai.com/docs/api-reference/responses-streaming."""
    delta: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    written: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": RESPONSE | {"status": "in_progress", "output": [], "usage": None}}),
        ("response.output_text.delta", delta | {"delta": "In a"}),
        ("response.output_text.delta", delta | {"delta": " grove"}),
        ("response.completed", {"response": RESPONSE}),
    ]
    return [
        f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **fields})}\n\n".encode()
        for number, (kind, fields) in enumerate(written)
    ]


def test_a_response_is_passed_on_whole_and_streamed(
    protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI
) -> None:
    upstream.script("openai-like", answers.whole(RESPONSE))
    raw = gpt.responses.with_raw_response.create(model="gpt", input="hello")
    assert raw.parse().output_text == "In a grove"
    assert counted(protocols.row(raw.headers[ID])) == (36, 30, 0, 87, False)
    upstream.script("openai-like", answers.stream(_response_events()))
    streamed = gpt.responses.with_raw_response.create(model="gpt", input="hello", stream=True)
    kinds = [event.type for event in streamed.parse()]
    assert kinds[-1] == "response.completed"
    row = protocols.row(streamed.headers[ID])
    assert (counted(row), row["outcome"]) == ((36, 30, 0, 87, False), "ok")


def test_a_response_that_breaks_off_ends_in_an_error_event_and_never_completed(
    protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI
) -> None:
    upstream.script("openai-like", answers.stream(_response_events()[:-1], then=answers.close))
    streamed = gpt.responses.with_raw_response.create(model="gpt", input="hello", stream=True)
    *_, last = streamed.parse()
    assert last.type == "error"
    assert last.message.startswith("The stream broke")
    assert protocols.row(streamed.headers[ID])["outcome"] == "cut"


def test_embeddings_are_passed_on(protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.25] * 1000}]
    body = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    upstream.script("openai-like", answers.whole(body))
    raw = gpt.embeddings.with_raw_response.create(model="gpt", input="hello", encoding_format="float")
    assert raw.parse().data[0].embedding == [0.25] * 1000
    assert counted(protocols.row(raw.headers[ID])) == (8, 0, 0, 0, False)


def test_a_target_that_does_not_speak_the_protocol_is_not_asked(protocols: Gateway, gpt: OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="does not speak embeddings"):
        gpt.embeddings.create(model="claude", input="hello")
    with protocols.line() as line:
        reply = line.ask("POST", "/v1/responses", {"model": "any", "input": "x"}, authorization=f"Bearer {KEY}")
    assert reply.status == 403


# Crossing from one protocol to another


def test_a_chat_client_is_answered_by_a_messages_target_when_it_must_be(
    protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI
) -> None:
    upstream.script("openai-like", answers.failure(500))
    upstream.script("native", answers.whole(messages_payloads.message()))
    raw = gpt.chat.completions.with_raw_response.create(
        model="gpt-then-claude",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    )
    answer = raw.parse()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Due on the third of May.", "stop")
    asked = upstream.calls("native")[-1].json
    assert asked["system"] in ("Be brief.", [{"type": "text", "text": "Be brief."}])
    assert asked["max_tokens"] > 0
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (135, 12)
    rows = protocols.rows(raw.headers[ID])
    assert [(row["target"], row["outcome"]) for row in rows] == [("openai-like", "failed"), ("native", "ok")]
    assert counted(rows[1]) == (135, 100, 10, 12, False)
    assert raw.headers["x-breakeven-attempts"] == "2"
    assert raw.headers["x-breakeven-fallback"] == "status_500"


def test_a_chat_stream_from_a_messages_target_ends_in_done(
    protocols: Gateway, upstream: ScriptedUpstream, gpt: OpenAI
) -> None:
    upstream.script("native", answers.stream(messages_payloads.stream(4)))
    streamed = gpt.chat.completions.with_raw_response.create(
        model="claude", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    chunks = list(streamed.parse())
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == " word0 word1 word2 word3"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert counted(protocols.row(streamed.headers[ID])) == (135, 100, 10, 15, False)


def test_a_messages_client_s_bound_is_named_as_the_provider_knows_it(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    mistral = target(upstream.url("mistral"), provider="mistral", protocols=["chat"])
    gateway = start_gateway(settings({"mistral": mistral}, {"one": {"targets": ["mistral"]}}))
    upstream.script("mistral", answers.whole())
    with gateway.line() as line:
        asked = {"model": "one", "max_tokens": 50, "messages": HELLO}
        assert line.ask("POST", "/v1/messages", asked).status == 200
    sent = upstream.calls("mistral")[-1].json
    assert sent["max_tokens"] == 50
    assert "max_completion_tokens" not in sent


def test_a_messages_client_is_answered_by_a_chat_target(
    protocols: Gateway, upstream: ScriptedUpstream, claude: Anthropic
) -> None:
    upstream.script("openai-like", answers.whole())
    raw = claude.messages.with_raw_response.create(model="gpt", max_tokens=50, messages=HELLO)
    message = raw.parse()
    assert message.content[0].to_dict()["text"] == "Due on the third of May."
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 157, 52)
    asked = upstream.calls("openai-like")[-1]
    assert asked.path == "/openai-like/v1/chat/completions"
    assert asked.json["messages"][-1]["role"] == "user"
    assert counted(protocols.row(raw.headers[ID])) == (157, 0, 0, 52, False)
    upstream.script("openai-like", answers.stream(payloads.stream(3, payloads.usage())))
    with claude.messages.stream(model="gpt", max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == " word0 word1 word2"
        assert stream.get_final_message().usage.output_tokens == 52


def test_a_translated_stream_that_breaks_never_ends_cleanly(
    upstream: ScriptedUpstream, claude: Anthropic, gpt: OpenAI
) -> None:
    upstream.script("openai-like", answers.stream(payloads.stream(3, done=False), then=answers.close))
    with (
        claude.messages.stream(model="gpt", max_tokens=50, messages=HELLO) as broken,
        pytest.raises(anthropic.APIStatusError, match="The stream broke"),
    ):
        broken.until_done()
    upstream.script("native", answers.stream(messages_payloads.stream(3, whole=False), then=answers.close))
    streamed = gpt.chat.completions.create(model="claude", messages=[{"role": "user", "content": "hi"}], stream=True)
    with pytest.raises(openai.APIError, match="The stream broke"):
        list(streamed)


def test_a_request_that_has_no_counterpart_is_refused_in_the_client_s_words(gpt: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"logprobs|n"):
        gpt.chat.completions.create(model="claude", messages=[{"role": "user", "content": "hi"}], n=3)


def test_an_error_of_a_target_with_another_protocol_is_translated(
    upstream: ScriptedUpstream, gpt: OpenAI, claude: Anthropic
) -> None:
    upstream.script("native", answers.whole(messages_payloads.error("invalid_request_error", "too odd"), status=400))
    with pytest.raises(openai.BadRequestError, match="too odd"):
        gpt.chat.completions.create(model="claude", messages=[{"role": "user", "content": "hi"}])
    upstream.script("openai-like", answers.failure(400))
    with pytest.raises(anthropic.BadRequestError, match="scripted failure 400"):
        claude.messages.create(model="gpt", max_tokens=50, messages=HELLO)
