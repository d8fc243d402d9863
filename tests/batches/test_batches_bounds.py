"""What is too much is refused, and leaves nothing behind; settings change without a restart."""

from __future__ import annotations

import io
import os
import signal
from typing import TYPE_CHECKING

import openai
import pytest
from openai import OpenAI

from batches.served import BATCHES, echo, ended, jsonl, line, process, ready, submit, two_keys
from gateway.gateway import KEY, Gateway, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.gateway import Settings
    from gateway.scripted import ScriptedUpstream

SMALL = BATCHES | {"max_file_bytes": 100_000, "max_stored_bytes": 250_000, "max_requests": 3}


@pytest.fixture
def configured(upstream: ScriptedUpstream) -> Settings:
    return two_keys({"a": target(upstream.url("a"))}, {"a": {"targets": ["a"]}}, batches=SMALL)


@pytest.fixture
def small(tmp_path: Path, configured: Settings) -> Iterator[Gateway]:
    """A gateway with little room."""
    gateway = Gateway(tmp_path, configured)
    gateway.start()
    yield ready(gateway)
    gateway.kill()


def stored(gateway: Gateway) -> list[str]:
    return [path.name for path in (gateway.ledger_folder / "batches" / "files").iterdir()]


def test_files_beyond_the_bounds_are_refused_and_nothing_of_them_is_kept(small: Gateway) -> None:
    with OpenAI(base_url=small.base_url, api_key=KEY, max_retries=0) as client:
        for size_bytes in (100_001, 240_000):
            with pytest.raises(openai.APIStatusError) as refused:
                client.files.create(file=("x.jsonl", io.BytesIO(b"x" * size_bytes)), purpose="batch")
            assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
        for _ in range(2):
            client.files.create(file=("x.jsonl", io.BytesIO(b"x" * 100_000)), purpose="batch")
        with pytest.raises(openai.APIStatusError) as refused:
            client.files.create(file=("x.jsonl", io.BytesIO(b"x" * 60_000)), purpose="batch")
        assert (refused.value.status_code, refused.value.code) == (413, "storage_full")
        assert len(client.files.list().data) == 2
    assert len(stored(small)) == 2


def test_a_batch_with_too_many_lines_fails(small: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("a", echo)
    with OpenAI(base_url=small.base_url, api_key=KEY, max_retries=0) as client:
        batch = ended(client, submit(client, jsonl(line(str(number)) for number in range(4))), small)
        assert batch.errors is not None
        assert [error.code for error in batch.errors.data or []] == ["too_many_tasks"]
        assert (
            ended(client, submit(client, jsonl(line(str(number)) for number in range(3))), small).status == "completed"
        )


def test_an_upload_that_breaks_off_leaves_nothing(small: Gateway) -> None:
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 50000\r\n"
    with small.line() as connection:
        connection.send(f"{head}content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
        connection.send(b'content-disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"y" * 20_000)
        wait_for(lambda: bool(stored(small)), "the upload has not begun", small.said)
    wait_for(lambda: not stored(small), "something of it is left", small.said)


def test_what_is_no_upload_is_a_bad_request(small: Gateway) -> None:
    with small.line() as connection:
        reply = connection.ask("POST", "/v1/files", {"purpose": "batch"}, authorization=f"Bearer {KEY}")
    assert (reply.status, reply.code) == (400, "invalid_multipart")


def test_new_settings_hold_without_a_restart(small: Gateway, configured: Settings, upstream: ScriptedUpstream) -> None:
    upstream.script("a", echo)
    before = process(small)
    small.configure(configured | {"batches": SMALL | {"max_requests": 5}})
    os.kill(small.pid, signal.SIGHUP)
    wait_for(lambda: process(small) != before, "the process of batches is the same", small.said)
    with OpenAI(base_url=small.base_url, api_key=KEY, max_retries=8) as client:
        batch = ended(client, submit(client, jsonl(line(str(number)) for number in range(4))), small)
        assert batch.status == "completed"
    small.configure({name: value for name, value in configured.items() if name != "batches"})
    os.kill(small.pid, signal.SIGHUP)

    def is_gone() -> bool:
        with small.line() as connection:
            return connection.ask("GET", "/v1/files", authorization=f"Bearer {KEY}").status == 404

    wait_for(is_gone, "batches are still served", small.said)
