"""One process at a time serves batches, and the next one begins when the last one has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from openai import OpenAI
from starlette.applications import Starlette

from batches.fake_provider import FakeProvider, answered
from batches.served import BATCHES, echo, ended, jsonl, kill, line, process, ready, results, submit, twice, two_keys
from breakeven.batches.adopt import Adoption
from breakeven.gateway.handover import SOCKET_NAME
from breakeven.wiring.batches import LOCK_NAME, hold
from gateway.gateway import KEY, Gateway, target, wait_for

if TYPE_CHECKING:
    from gateway.scripted import Call, ScriptedUpstream

COUNT = 300


def test_a_folder_is_held_by_one_and_waited_for_by_others_as_long_as_they_are_to_go_on(tmp_path: Path) -> None:
    first = hold(tmp_path, lambda: True)
    assert first is not None
    asked = iter([True, True, False])
    assert hold(tmp_path, lambda: next(asked)) is None
    next_one: list[int | None] = []
    thread = threading.Thread(target=lambda: next_one.append(hold(tmp_path, lambda: True)))
    thread.start()
    os.close(first)
    thread.join(15)
    assert next_one[0] is not None
    os.close(next_one[0])


def test_who_ends_leaves_the_socket_of_the_one_that_came_after_it(tmp_path: Path) -> None:
    def names() -> list[str]:
        return [path.name for path in tmp_path.iterdir()]

    async def run() -> None:
        old, new = Adoption(Starlette(), tmp_path), Adoption(Starlette(), tmp_path)
        old.listen()
        new.listen()
        await old.close()
        assert names() == [SOCKET_NAME]
        await new.close()
        assert names() == []

    asyncio.run(run())


def opened(pid: int) -> set[str]:
    """Names of the files that a process has open."""
    return {path.resolve().name for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_a_process_that_outlives_its_gateway_for_a_while_does_no_harm_to_the_next_one(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    asked = threading.Semaphore(0)

    def answer(call: Call) -> None:
        asked.release()
        echo(call)

    upstream.script("k", answer)
    configured = two_keys({"k": target(upstream.url("k"))}, {"k": {"targets": ["k"]}}, batches=BATCHES)
    gateway = Gateway(tmp_path, configured)
    gateway.start()
    old = process(ready(gateway))
    try:
        with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=8) as client:
            batch = submit(client, jsonl(line(str(number), "k") for number in range(COUNT)))
            for _ in range(COUNT // 10):
                assert asked.acquire(timeout=20), gateway.said()[-3000:]
            os.kill(old, signal.SIGSTOP)
            for pid in [gateway.pid, *(pid for pid in gateway.alive() if pid not in (old, gateway.pid))]:
                kill(pid)
            gateway.wait()
            gateway.start()
            new = process(gateway)
            wait_for(lambda: LOCK_NAME in opened(new), "it does not wait for the old one", gateway.said)
            os.kill(old, signal.SIGCONT)
            batch = ended(client, batch, ready(gateway))
            found = results(client, batch.output_file_id)
    finally:
        with contextlib.suppress(ProcessLookupError):
            kill(old)
        gateway.kill()
    assert batch.status == "completed"
    assert (len(found), twice(found)) == (COUNT, [])


def test_new_settings_do_not_wait_for_an_upload_and_it_is_paid_for_once(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    provider, began, goes_on = FakeProvider(answered), threading.Event(), threading.Event()

    def answer(call: Call) -> None:
        if (call.method, call.path) == ("POST", "/p/v1/files") and not began.is_set():
            began.set()
            goes_on.wait(120)
        provider(call)

    upstream.script("p", answer)
    prices = [{"input_usd_per_mtok": "1", "output_usd_per_mtok": "4"}]
    prices.append({"processing": "batch", "input_usd_per_mtok": "0.5", "output_usd_per_mtok": "0.5"})
    card = {"provider": "tests", "model": "priced", "source": "made up", "checked_on": "2026-01-01", "prices": prices}
    batches = BATCHES | {"hours": 0.0001, "provider": {"target": "sold", "hours": 1}}
    configured = two_keys({"sold": target(upstream.url("p"))}, {"m": {"targets": ["sold"]}}, batches=batches)
    gateway = Gateway(tmp_path, configured, {"rate_cards": [card]})
    try:
        gateway.start()
        before = process(ready(gateway))
        with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=8) as client:
            batch = submit(client, jsonl(line(str(number), "m") for number in range(3)))
            assert began.wait(15), gateway.said()
            gateway.configure(configured | {"batches": batches | {"slots": 7}})
            os.kill(gateway.pid, signal.SIGHUP)
            wait_for(lambda: before not in gateway.alive(), "it waits for its upload", gateway.said)
            batch = ended(client, batch, gateway)
        assert not goes_on.is_set()
    finally:
        goes_on.set()
        gateway.kill()
    assert batch.status == "completed"
    assert (len(provider.batches), len(provider.lines)) == (1, 3)
