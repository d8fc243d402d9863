"""Files and batches as the official SDK asks for them, against a gateway and scripted answers."""

from __future__ import annotations

import io
import socket
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import OpenAI

from batches.served import CHAT, COLLEAGUE_KEY, OTHER_KEY, echo, ended, jsonl, line, ready, results, submit, twice
from gateway import answers
from gateway.gateway import KEY

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream


def test_every_line_of_a_batch_is_answered_once(gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream) -> None:
    ready(gateway)
    upstream.script("a", echo)
    names = [f"line-{number}" for number in range(40)]
    batch = ended(client, submit(client, jsonl(map(line, names)), metadata={"for": "tests"}), gateway)
    assert (batch.status, batch.error_file_id, batch.metadata) == ("completed", None, {"for": "tests"})
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 40, "completed": 40, "failed": 0}
    found = results(client, batch.output_file_id)
    assert not twice(found)
    assert {item["custom_id"]: item["response"]["body"]["choices"][0]["message"]["content"] for item in found} == {
        name: name for name in names
    }
    assert {(item["response"]["status_code"], item["error"]) for item in found} == {(200, None)}


def test_a_file_is_kept_as_it_came_listed_and_deleted(gateway: Gateway, client: OpenAI) -> None:
    ready(gateway)
    content = b"\r\n--not the boundary\r\n" + bytes(range(256)) * 4000 + b"\r\n"
    file = client.files.create(file=("räquests.jsonl", io.BytesIO(content)), purpose="batch")
    assert (file.bytes, file.filename, file.purpose, file.status) == (
        len(content),
        "räquests.jsonl",
        "batch",
        "processed",
    )
    assert client.files.content(file.id).read() == content
    assert client.files.retrieve(file.id) == file
    assert file.id in [item.id for item in client.files.list(purpose="batch")]
    assert client.files.delete(file.id).deleted is True
    with pytest.raises(openai.NotFoundError) as refused:
        client.files.retrieve(file.id)
    assert refused.value.code == "file_not_found"


def test_an_empty_file_is_a_file(gateway: Gateway, client: OpenAI) -> None:
    ready(gateway)
    file = client.files.create(file=("empty.jsonl", io.BytesIO(b"")), purpose="batch")
    assert file.bytes == 0
    assert client.files.content(file.id).read() == b""


def test_lists_come_in_pages(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    ready(gateway)
    upstream.script("a", echo)
    with OpenAI(base_url=gateway.base_url, api_key=OTHER_KEY, max_retries=0) as other:
        batches = [submit(other, jsonl([line("only")])) for _ in range(5)]
        files = [batch.input_file_id for batch in batches]
        assert [item.id for item in other.batches.list(limit=2)] == [batch.id for batch in batches[::-1]]
        assert other.batches.list(limit=2).has_more is True
        listed = [item.id for item in other.files.list(limit=2, order="asc", purpose="batch")]
        assert [name for name in listed if name in files] == files
        for batch in batches:
            ended(other, batch, gateway)
        assert other.files.list(purpose="batch_output").data
        with pytest.raises(openai.BadRequestError, match="limit"):
            other.batches.list(limit=101)


def test_what_one_key_made_is_nobody_elses_but_its_teams(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    ready(gateway)
    upstream.script("a", echo)
    with (
        OpenAI(base_url=gateway.base_url, api_key=OTHER_KEY, max_retries=0) as other,
        OpenAI(base_url=gateway.base_url, api_key=COLLEAGUE_KEY, max_retries=0) as colleague,
    ):
        batch = submit(other, jsonl([line("secret")]))
        for ask in (
            lambda: client.files.retrieve(batch.input_file_id),
            lambda: client.files.content(batch.input_file_id),
            lambda: client.files.delete(batch.input_file_id),
            lambda: client.batches.retrieve(batch.id),
            lambda: client.batches.cancel(batch.id),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        with pytest.raises(openai.BadRequestError, match="There is no file"):
            client.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
        assert batch.id not in [item.id for item in client.batches.list()]
        assert colleague.batches.retrieve(batch.id).id == batch.id
        found = results(colleague, ended(colleague, batch, gateway).output_file_id)
    row = gateway.rows(found[0]["response"]["request_id"])[0]
    assert (row["key"], row["episode"], row["model"]) == ("other", batch.id, "a"), "its key is charged"


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ("{nonsense", "invalid_json_line", None),
        (line("first"), "duplicate_custom_id", "custom_id"),
        (line("x", url="/v1/embeddings"), "url_mismatch", "url"),
        (line("x", method="GET"), "invalid_method", "method"),
        ({"custom_id": "x", "url": CHAT, "body": {}}, "missing_required_parameter", "method"),
        ({"custom_id": "x", "method": "POST", "body": {}}, "missing_required_parameter", "url"),
        ({"method": "POST", "url": CHAT, "body": {}}, "missing_required_parameter", "custom_id"),
        ({"custom_id": "x", "method": "POST", "url": CHAT}, "missing_required_parameter", "body"),
        (line("x", body=[1]), "invalid_body", "body"),
        ({"custom_id": 7, "method": "POST", "url": CHAT, "body": {}}, "invalid_request", None),
    ],
)
def test_a_wrong_line_fails_the_batch_and_is_named(
    gateway: Gateway, client: OpenAI, wrong: dict[str, Any] | str, code: str, param: str | None
) -> None:
    ready(gateway)
    batch = ended(client, submit(client, jsonl([line("first"), "", wrong])), gateway)
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert batch.errors is not None
    (error,) = batch.errors.data or []
    assert (error.code, error.line, error.param) == (code, 3, param)
    assert batch.failed_at is not None


def test_an_empty_file_makes_a_failed_batch(gateway: Gateway, client: OpenAI) -> None:
    ready(gateway)
    batch = ended(client, submit(client, b"\n\n"), gateway)
    assert batch.errors is not None
    assert [error.code for error in batch.errors.data or []] == ["empty_file"]


def test_what_a_batch_may_not_be_is_refused_at_once(gateway: Gateway, client: OpenAI) -> None:
    ready(gateway)
    file = client.files.create(file=("r.jsonl", io.BytesIO(jsonl([line("x")]))), purpose="batch").id
    create: Any = client.batches.create
    for fields, param in (
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"completion_window": "9999d"}, "completion_window"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(number): "v" for number in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after"),
        ({"output_expires_after": "tomorrow"}, "output_expires_after"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            create(**{"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", **fields})
        assert refused.value.param == param
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("r.jsonl", io.BytesIO(b"")), purpose="assistants")
    assert refused.value.param == "purpose"


def test_errors_that_stay_go_to_the_error_file_and_errors_that_pass_are_tried_again(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    ready(gateway)
    upstream.script("a", answers.failure(500), answers.failure(429), echo)
    upstream.script("b", answers.failure(400))
    lines = [line("passes"), line("stays", "b"), line("unknown", "no-such-model")]
    batch = ended(client, submit(client, jsonl(lines)), gateway)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 3, "completed": 1, "failed": 2}
    assert [item["custom_id"] for item in results(client, batch.output_file_id)] == ["passes"]
    errors = {item["custom_id"]: item["response"] for item in results(client, batch.error_file_id)}
    assert {name: response["status_code"] for name, response in errors.items()} == {"stays": 400, "unknown": 404}
    assert errors["unknown"]["body"]["error"]["code"] == "model_not_found"


def test_an_error_that_never_passes_is_given_up(gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream) -> None:
    ready(gateway)
    upstream.script("a", answers.failure(500))
    batch = ended(client, submit(client, jsonl([line("hopeless")])), gateway)
    (found,) = results(client, batch.error_file_id)
    assert (found["custom_id"], found["response"]["status_code"] >= 500) == ("hopeless", True)
    assert batch.output_file_id is None
    assert len(upstream.calls("a")) >= 5


def test_embeddings_completions_and_responses_are_endpoints_too(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    ready(gateway)
    for suffix in ("embeddings", "completions", "responses"):
        endpoint = f"/v1/{suffix}"
        upstream.script("a", answers.whole({"object": suffix, "usage": {"prompt_tokens": 1, "total_tokens": 1}}))
        asked = line("x", url=endpoint, body={"model": "a", "input": "x"})
        batch = ended(client, submit(client, jsonl([asked]), endpoint=endpoint), gateway)
        (found,) = results(client, batch.output_file_id)
        assert found["response"]["body"]["object"] == suffix
        assert upstream.calls("a")[0].path == f"/a/v1/{suffix}"


def test_a_cancelled_batch_keeps_what_it_has_and_says_what_was_not_asked(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    ready(gateway)
    gate = threading.Event()
    counted = threading.Semaphore(10)

    def answer(call: Call) -> None:
        if not counted.acquire(blocking=False):
            gate.wait(25)
        echo(call)

    upstream.script("a", answer)
    batch = submit(client, jsonl(line(str(number)) for number in range(50)))
    upstream.calls("a", at_least=14)
    with pytest.raises(openai.ConflictError):
        client.files.delete(batch.input_file_id)
    assert client.batches.cancel(batch.id).status == "cancelling"
    gate.set()
    batch = ended(client, batch, gateway)
    assert (batch.status, batch.cancelled_at is not None, batch.cancelling_at is not None) == ("cancelled", True, True)
    well, ill = results(client, batch.output_file_id), results(client, batch.error_file_id)
    asked = {call.json["messages"][0]["content"] for call in upstream.calls("a")}
    assert {item["custom_id"] for item in well} == asked, "what was asked was answered, and kept"
    assert len(well) >= 10
    assert {item["error"]["code"] for item in ill} == {"batch_cancelled"}
    assert {item["custom_id"] for item in well + ill} == {str(number) for number in range(50)}
    assert len(well) + len(ill) == 50
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_an_expired_batch_keeps_what_it_has_and_says_what_was_not_asked(
    gateway: Gateway, client: OpenAI, upstream: ScriptedUpstream
) -> None:
    ready(gateway)
    upstream.script("a", echo, echo, echo, answers.failure(503, "retry-after: 60"))
    batch = ended(client, submit(client, jsonl(line(str(number)) for number in range(20)), window="4s"), gateway)
    assert (batch.status, batch.expired_at is not None) == ("expired", True)
    well, ill = results(client, batch.output_file_id), results(client, batch.error_file_id)
    kept = min(3, len(upstream.calls("a")))  # fewer than three on a machine that was too busy to ask them in time
    assert (len(well), len(ill)) == (kept, 20 - kept)
    assert {item["error"]["code"] for item in ill} == {"batch_expired"}
    assert all(item["response"] is None for item in ill)


def test_nobody_speaks_for_a_key_without_the_secret(gateway: Gateway) -> None:
    ready(gateway)
    with gateway.line() as connection:
        reply = connection.ask("POST", "/v1/chat/completions", {}, authorization="Bearer be-batch-guess:tests")
    assert reply.status == 401


@pytest.mark.parametrize("digits", ["0" * 8 + "1" + "9" * 20, "0" * 8 + "1" + "9" * 5000])
def test_a_limit_of_many_digits_is_a_bad_request(gateway: Gateway, client: OpenAI, digits: str) -> None:
    ready(gateway)
    for path in ("/files", "/batches"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.get(path, cast_to=object, options={"params": {"limit": digits}})
        assert refused.value.param == "limit"


def test_a_body_that_is_no_text_is_a_bad_request(gateway: Gateway) -> None:
    ready(gateway)
    with gateway.line() as connection:
        reply = connection.ask("POST", "/v1/batches", b'{"input_file_id": "\xff"}', authorization=f"Bearer {KEY}")
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_strangers_paths_and_methods_are_refused(gateway: Gateway) -> None:
    ready(gateway)
    for method, path, key, status in (
        ("GET", "/v1/files", "sk-be-wrong", 401),
        ("GET", "/v1/batches", "sk-be-wrong", 401),
        ("PATCH", "/v1/files", KEY, 405),
        ("GET", "/v1/files/a/b/c", KEY, 404),
        ("GET", "/v1/filesystem", KEY, 404),
        ("POST", "/v1/batches", KEY, 400),
    ):
        with gateway.line() as connection:
            reply = connection.ask(method, path, authorization=f"Bearer {key}")
        assert reply.status == status, (method, path)
        assert reply.json["error"]["message"]


def test_a_kept_connection_is_closed_after_a_file_and_an_ordinary_request_before_it_is_served(gateway: Gateway) -> None:
    ready(gateway)
    with gateway.line() as connection:
        assert connection.ask("GET", "/v1/models", authorization=f"Bearer {KEY}").status == 200
        reply = connection.ask("GET", "/v1/files?limit=1", authorization=f"Bearer {KEY}")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert connection.socket.recv(1) == b""


def test_a_head_that_comes_byte_by_byte_is_handed_over_whole(gateway: Gateway) -> None:
    ready(gateway)
    head = f"GET /v1/files?limit=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
    with gateway.line() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(head)):
            connection.send(head[at : at + 1])
        assert connection.reply().status == 200
