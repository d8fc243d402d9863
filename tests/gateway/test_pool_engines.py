"""A pool of real engines: what overflows, and what happens to requests when one of the engines is stopped or killed."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.engine import Engine, write_counting_model
from gateway.gateway import TIMEOUTS, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

CHAT: dict[str, Any] = {"model": "chat", "max_tokens": 60, "temperature": 0, "messages": payloads.PROMPT}
API = answers.either(answers.whole(), answers.stream(payloads.stream()))
CLIENTS = 24
REQUESTS = 120


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[Engine]]:
    """Three engines with the same weights."""
    model = tmp_path / "animals.gguf"
    write_counting_model(model)
    with ExitStack() as stack:
        yield [stack.enter_context(Engine(model)) for _ in range(3)]


def start(start_gateway: Start, upstream: ScriptedUpstream, engines: list[Engine], **pool: Any) -> Gateway:
    """A gateway before the engines and an API."""
    upstream.script("api", API)
    nodes = [{"name": f"e{number}", "url": engine.url} for number, engine in enumerate(engines)]
    own = {"engine": "llama.cpp", "nodes": nodes, "observe_s": 0.05, "timeouts": TIMEOUTS | {"total_s": 30}, **pool}
    models = {"chat": {"targets": ["own", "api"], "policy": "overflow"}}
    return start_gateway(settings({"api": target(upstream.url("api"))}, models, pools={"own": own}))


class Clients:
    """Clients that ask at once, each again as soon as it has its answer."""

    def __init__(self, gateway: Gateway, requests: int = REQUESTS) -> None:
        self.gateway = gateway
        self.answered = threading.Semaphore(0)
        self._left = iter(range(requests))
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._asking = [self._pool.submit(self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> list[tuple[int, str, str]]:
        found: list[tuple[int, str, str]] = []
        with self.gateway.line() as line:
            while True:
                with self._lock:
                    number = next(self._left, None)
                if number is None:
                    return found
                reply = line.chat(CHAT | {"stream": number % 2 == 0})
                target_name = reply.headers.get("x-breakeven-target", "")
                found.append((reply.status, target_name, reply.request_id))
                self.answered.release()

    def wait_for(self, count: int) -> None:
        """Wait until so many have been answered."""
        for _ in range(count):
            assert self.answered.acquire(timeout=20)

    def results(self) -> list[tuple[int, str, str]]:
        """Status, who answered, and the request's id."""
        return [item for asking in self._asking for item in asking.result(60)]


def kept(gateway: Gateway, results: list[tuple[int, str, str]]) -> Counter[str]:
    """Count the ledger's good rows by target, once every request has one."""
    ids = {request_id for _, _, request_id in results}

    def settled() -> bool:
        return ids <= {row["request_id"] for row in gateway.all_rows() if row["outcome"] == "ok"}

    wait_for(settled, "a request has no row")
    return Counter(row["target"] for row in gateway.all_rows() if row["outcome"] == "ok")


def test_what_the_engines_cannot_take_at_once_overflows_and_every_request_is_answered(
    start_gateway: Start, upstream: ScriptedUpstream, engines: list[Engine]
) -> None:
    gateway = start(start_gateway, upstream, engines, slots=2, full={"waiting": 1})
    results = Clients(gateway).results()
    assert [status for status, _, _ in results] == [200] * REQUESTS
    by_target = Counter(name for _, name, _ in results)
    assert kept(gateway, results) == by_target
    assert set(by_target) == {"own/e0", "own/e1", "own/e2", "api"}


@pytest.mark.parametrize("how", [Engine.kill, Engine.hang], ids=["killed", "hung"])
def test_an_engine_that_goes_under_load_costs_no_request(
    start_gateway: Start, upstream: ScriptedUpstream, engines: list[Engine], how: Callable[[Engine], None]
) -> None:
    gateway = start(start_gateway, upstream, engines)
    clients = Clients(gateway)
    clients.wait_for(REQUESTS // 4)
    how(engines[0])
    results = clients.results()
    assert [status for status, _, _ in results] == [200] * REQUESTS
    by_target = kept(gateway, results)
    assert sum(by_target.values()) == REQUESTS  # each request has one good row, and none has two
    after = Clients(gateway, CLIENTS).results()
    assert {name for _, name, _ in after} <= {"own/e1", "own/e2", "api"}
    assert [status for status, _, _ in after] == [200] * CLIENTS


def test_engines_that_are_all_gone_leave_the_api(
    start_gateway: Start, upstream: ScriptedUpstream, engines: list[Engine]
) -> None:
    gateway = start(start_gateway, upstream, engines)
    for engine in engines:
        engine.kill()
    results = Clients(gateway, CLIENTS).results()
    assert {(status, name) for status, name, _ in results} == {(200, "api")}
