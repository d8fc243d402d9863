"""What users run: the official ``openai`` SDK and LangChain, against a real engine and scripted answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import openai
import pytest
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from gateway import answers, payloads
from gateway.gateway import KEY

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

    from gateway.gateway import Gateway
    from gateway.ledger import Row
    from gateway.scripted import ScriptedUpstream

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
ENDLESS = {"ignore_eos": True}
"""A model of random weights may end its turn at once; the engine is told not to let it."""

REQUEST_ID = "x-breakeven-request-id"


def tokens(row: Row) -> tuple[int, int]:
    return row["input_tokens"], row["output_tokens"]


def test_a_whole_answer_is_metered_exactly(gateway: Gateway, client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="tiny", messages=HELLO, max_tokens=7, extra_body=ENDLESS
    )
    answer = raw.parse()
    row = gateway.row(raw.headers[REQUEST_ID])
    assert answer.usage is not None
    assert tokens(row) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert row["output_tokens"] == 7
    assert (row["outcome"], row["status"], row["estimated"], row["streamed"]) == ("ok", 200, False, False)
    assert (row["key"], row["model"], row["target"]) == ("tests", "tiny", "engine")
    assert 0 <= row["queued_us"] <= row["first_byte_us"] <= row["ended_us"]


def test_the_asynchronous_client_is_served_many_requests_at_once(gateway: Gateway) -> None:
    async def ask(client: AsyncOpenAI, length: int) -> str:
        raw = await client.chat.completions.with_raw_response.create(
            model="tiny", messages=HELLO, max_tokens=length, extra_body=ENDLESS
        )
        return str(raw.headers[REQUEST_ID])

    async def ask_all() -> list[str]:
        async with AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(ask(client, length) for length in range(1, 17)))

    ids = asyncio.run(ask_all())
    assert [gateway.row(request_id)["output_tokens"] for request_id in ids] == list(range(1, 17))


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_shows_its_usage_to_those_who_asked_and_the_ledger_has_it_either_way(
    gateway: Gateway, client: OpenAI, asked: bool
) -> None:
    options: Any = {"include_usage": True} if asked else openai.omit
    raw = client.chat.completions.with_raw_response.create(
        model="tiny", messages=HELLO, max_tokens=9, stream=True, stream_options=options, extra_body=ENDLESS
    )
    chunks = list(raw.parse())
    row = gateway.row(raw.headers[REQUEST_ID])
    told = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert [len(chunk.choices) for chunk in chunks if chunk.usage is None] == [1] * (len(chunks) - len(told))
    assert len(told) == asked
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in told] == [tokens(row)] * asked
    assert (row["output_tokens"], row["outcome"], row["estimated"], row["streamed"]) == (9, "ok", False, True)
    assert row["input_tokens"] > 10


def test_an_asynchronous_stream_arrives_as_it_was_sent(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.stream(payloads.stream(40, payloads.usage(11, 40))))

    async def ask() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
            raw = await client.chat.completions.with_raw_response.create(model="solo", messages=HELLO, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in raw.parse()]
            return raw.headers[REQUEST_ID], "".join(pieces)

    request_id, text = asyncio.run(ask())
    assert text == "".join(f" word{number}" for number in range(40))
    assert tokens(gateway.row(request_id)) == (11, 40)


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_a_tool_call_comes_back_and_its_definition_goes_out_untouched(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.whole(payloads.tool_call("weather", {"city": "Zürich"})))
    raw = client.chat.completions.with_raw_response.create(
        model="solo", messages=HELLO, tools=[WEATHER], tool_choice="required"
    )
    (call,) = raw.parse().choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Z\\u00fcrich"}')
    (asked,) = upstream.calls("a")
    assert asked.json["tools"] == [WEATHER]
    assert asked.json["tool_choice"] == "required"
    assert tokens(gateway.row(raw.headers[REQUEST_ID])) == (157, 52)


def test_a_streamed_tool_call_is_put_together_by_the_client(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    events = payloads.tool_stream("weather", {"city": "Reykjavík", "days": 3}, payloads.usage(60, 21))
    upstream.script("a", answers.stream(events))
    with client.chat.completions.stream(model="solo", messages=HELLO, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
        request_id = stream._response.headers[REQUEST_ID]
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.arguments == '{"city": "Reykjav\\u00edk", "days": 3}'
    assert final.usage is None
    assert tokens(gateway.row(request_id)) == (60, 21)


class Trip(BaseModel):
    """What a constrained answer must be."""

    city: Literal["Rome", "Oslo"]
    nights: Literal[1, 2, 3]


def test_structured_output_is_constrained_by_the_engine_and_read_by_the_client(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Trip, max_tokens=500, seed=1)
    trip = answer.choices[0].message.parsed
    assert trip is not None
    assert trip.city in ("Rome", "Oslo")


def test_models_are_listed_and_found_by_name(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"tiny", "solo", "pair"} <= set(names)
    assert "a" not in names, "targets are nobody's business"
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    with OpenAI(base_url=gateway.base_url, api_key="sk-be-wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model="tiny", messages=HELLO)
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_an_unknown_model_is_refused_by_the_gateway_although_the_engine_would_answer_it(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert refused.value.code == "model_not_found"
    assert "no-such-model" in refused.value.message


def test_a_request_that_the_engine_refuses_is_a_bad_request_in_its_own_words(gateway: Gateway, client: OpenAI) -> None:
    nonsense: Any = "not a list"
    with pytest.raises(openai.BadRequestError, match="messages") as refused:
        client.chat.completions.create(model="engine-then-b", messages=nonsense)
    row = gateway.row(refused.value.response.headers[REQUEST_ID])
    assert (row["target"], row["outcome"], row["status"], tokens(row)) == ("engine", "failed", 400, (0, 0))


def test_targets_that_are_all_too_busy_are_a_rate_limit_error(client: OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.failure(429, "retry-after: 7"))
    upstream.script("b", answers.failure(429, "retry-after: 9"))
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="pair", messages=HELLO)
    assert refused.value.response.headers["retry-after"] == "9"
    assert (len(upstream.calls("a")), len(upstream.calls("b"))) == (1, 1)


def test_the_clients_own_retries_are_requests_of_their_own(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", answers.failure(429, "retry-after-ms: 1"), answers.whole())
    with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=1) as client:
        raw = client.chat.completions.with_raw_response.create(model="solo", messages=HELLO)
    assert len(upstream.calls("a")) == 2
    assert gateway.row(raw.headers[REQUEST_ID])["outcome"] == "ok"


def test_a_broken_stream_is_an_error_of_the_client_and_no_short_answer(
    client: OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.stream(payloads.words(3), then=answers.reset))
    received = []

    def read() -> None:
        for chunk in client.chat.completions.create(model="solo", messages=HELLO, stream=True):
            received.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(openai.APIError):
        read()
    assert received == [" word0", " word1", " word2"]


def test_a_client_that_times_out_stops_the_target(gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.script("c", answers.silent)
    upstream.script("a", answers.failure(500))
    upstream.script("b", answers.failure(500))
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model="trio", messages=HELLO, extra_headers={"x-breakeven-task": "times-out"}
        )
    (call,) = upstream.calls("c", at_least=1)
    assert call.gone.wait(5)
    assert gateway.newest_row(task="times-out", target="c")["outcome"] == "client_left"


@pytest.fixture
def chat_model(gateway: Gateway) -> ChatOpenAI:
    """LangChain as a team would set it up."""
    settings: dict[str, Any] = {
        "base_url": gateway.base_url,
        "api_key": KEY,
        "max_retries": 0,
        "include_response_headers": True,
    }
    return ChatOpenAI(model="tiny", max_tokens=300, seed=1, **settings)


def test_langchain_invokes(gateway: Gateway, chat_model: ChatOpenAI) -> None:
    answer = chat_model.invoke("hello", max_tokens=5, extra_body=ENDLESS)
    assert answer.usage_metadata is not None
    row = gateway.row(answer.response_metadata["headers"][REQUEST_ID])
    assert tokens(row) == (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"])
    assert row["output_tokens"] == 5


def test_langchain_streams(gateway: Gateway, chat_model: ChatOpenAI) -> None:
    pieces = list(chat_model.stream("hello", max_tokens=6, extra_body=ENDLESS))
    ids = {piece.response_metadata["headers"][REQUEST_ID] for piece in pieces if "headers" in piece.response_metadata}
    (request_id,) = ids
    assert gateway.row(request_id)["output_tokens"] == 6


def test_langchain_reads_structured_output(chat_model: ChatOpenAI) -> None:
    trip = chat_model.with_structured_output(Trip, method="json_schema").invoke("Where to?")
    assert isinstance(trip, Trip)
