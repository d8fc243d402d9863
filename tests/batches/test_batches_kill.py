"""kill -9 while a batch is drained, again and again: every line has one result, and the right one."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from openai import OpenAI

from batches.served import (
    BATCHES,
    echo,
    jsonl,
    kill,
    line,
    peak_bytes,
    process,
    ready,
    results,
    submit,
    twice,
    two_keys,
)
from gateway import answers
from gateway.gateway import KEY, PATIENCE_S, Gateway, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openai.types import Batch

    from gateway.scripted import Call, ScriptedUpstream

LINES = 1500


@pytest.fixture
def own_gateway(tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway that a test may kill."""
    configured = two_keys({"k": target(upstream.url("k"))}, {"k": {"targets": ["k"]}}, batches=BATCHES)
    gateway = Gateway(tmp_path, configured)
    gateway.start()
    yield gateway
    gateway.kill()


def batches_process(gateway: Gateway) -> None:
    kill(process(gateway))


def whole_gateway(gateway: Gateway) -> None:
    gateway.kill()
    gateway.start()


def one_worker(gateway: Gateway) -> None:
    spared = process(gateway)
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in gateway.workers() if pid != spared]
        return bool(found)

    wait_for(there, "no worker lives", gateway.said)
    kill(found[0])


def patient_client(gateway: Gateway) -> OpenAI:
    """The SDK as it is by default, which tries again when the gateway is away."""
    return OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=8)


def finished(client: OpenAI, batch: Batch, gateway: Gateway, status: str = "completed") -> Batch:
    found: list[Batch] = []

    def over() -> bool:
        found[:] = [client.batches.retrieve(batch.id)]
        return found[0].status == status

    patiently(over, lambda: f"{found}\n{gateway.said()[-3000:]}")
    return found[0]


def patiently(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    """Wait longer than anything else waits: there is much to do, for a process to which everybody else is preferred."""
    until_s = time.monotonic() + 8 * PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, why()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("victim", "kills"), [(batches_process, 6), (whole_gateway, 3), (one_worker, 3)], ids=["batches", "all", "worker"]
)
def test_every_line_is_answered_exactly_once(
    own_gateway: Gateway, upstream: ScriptedUpstream, victim: Callable[[Gateway], None], kills: int
) -> None:
    ready(own_gateway)
    asked = threading.Semaphore(0)

    def answer(call: Call) -> None:
        asked.release()
        echo(call)

    upstream.script("k", answer)
    names = [f"line-{number}" for number in range(LINES)]
    with patient_client(own_gateway) as client:
        batch = submit(client, jsonl(line(name, "k") for name in names))
        for _ in range(kills):
            for _ in range(LINES // (kills + 3)):
                assert asked.acquire(timeout=20), own_gateway.said()[-3000:]
            victim(own_gateway)
        batch = finished(client, batch, own_gateway)
        found = results(client, batch.output_file_id)
    assert twice(found) == []
    assert {item["custom_id"]: item["response"]["body"]["choices"][0]["message"]["content"] for item in found} == {
        name: name for name in names
    }
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": LINES, "completed": LINES, "failed": 0}
    assert batch.error_file_id is None


def test_while_nobody_serves_batches_clients_are_told_to_come_again(own_gateway: Gateway) -> None:
    ready(own_gateway)
    killed = process(own_gateway)
    os.kill(own_gateway.pid, signal.SIGSTOP)  # or it would start another one
    kill(killed)
    wait_for(lambda: killed not in own_gateway.alive(), "it outlives SIGKILL")
    with own_gateway.line() as connection:
        reply = connection.ask("GET", "/v1/files", authorization=f"Bearer {KEY}")
    os.kill(own_gateway.pid, signal.SIGCONT)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "batches_away", "2")
    with patient_client(own_gateway) as client:
        assert client.files.list().data == []


def test_a_gateway_without_the_section_serves_no_batches(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    gateway = Gateway(tmp_path, two_keys({"k": target(upstream.url("k"))}, {"k": {"targets": ["k"]}}))
    try:
        gateway.start()
        with gateway.line() as connection:
            reply = connection.ask("GET", "/v1/files", authorization=f"Bearer {KEY}")
        assert (reply.status, reply.code) == (404, "unknown_path")
    finally:
        gateway.kill()


def test_a_hundred_thousand_lines_take_no_memory_to_speak_of(own_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    ready(own_gateway)
    upstream.script("k", answers.whole())
    count = 100_000
    with patient_client(own_gateway) as client:
        assert client.files.list().data == []
        before_bytes = peak_bytes(process(own_gateway))
        content = jsonl(line(f"line-{number}", "k") for number in range(count))
        batch = submit(client, content)
        patiently(lambda: len(upstream.calls("k")) >= 200, own_gateway.said)
        client.batches.cancel(batch.id)
        batch = finished(client, batch, own_gateway, "cancelled")
        well, ill = results(client, batch.output_file_id), results(client, batch.error_file_id)
        grown_bytes = peak_bytes(process(own_gateway)) - before_bytes
    assert len(well) >= 200
    assert twice(well + ill) == []
    assert {item["custom_id"] for item in well + ill} == {f"line-{number}" for number in range(count)}
    assert grown_bytes < 48 * 1024 * 1024
