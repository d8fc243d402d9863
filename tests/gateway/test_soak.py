"""The long checks in small: a soak of seconds, some thousand malformed requests, and whether both see what is wrong."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gateway import answers, payloads
from gateway.gateway import settings, target
from gateway.wire import chat_bytes, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """The scripts as modules."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import fuzz_cases  # noqa: PLC0415 - it can be found only now
        import soak  # noqa: PLC0415 - as above

        yield {"soak": soak, "fuzz_cases": fuzz_cases}
    finally:
        sys.path.remove(str(SCRIPTS))


def ran(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


# The soak


def test_a_short_soak_finds_one_row_for_each_attempt_and_no_wrong_answer() -> None:
    found = ran("soak", "--minutes", "0.1", "--clients", "12", "--workers", "2", "--unsettled")
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    assert found.stdout.endswith("nothing is wrong\n")
    assert "'missing': 0, 'surplus': 0" in found.stdout
    assert all(f"{name} " in found.stdout for name in ("supervisor", "mover", "worker 1", "worker 2"))


def alike_noise(rng: np.random.Generator, count: int) -> list[float]:
    """Noise of which each value resembles the one before, as memory does."""
    values, value = [], 0.0
    for step in rng.normal(0, 40, count):
        value = 0.8 * value + float(step)
        values.append(50_000 + value)
    return values


def test_noise_is_not_taken_for_growth_more_often_than_it_may(scripts: Any) -> None:
    minutes = [second / 60 for second in range(450)]
    noises = [alike_noise(np.random.default_rng(seed), 450) for seed in range(300)]
    found = [scripts["soak"].trend(minutes, noise, 0.0) for noise in noises]
    assert sum(one.grows for one in found) <= 15, "at 1 % three are expected"
    assert 0.7 < np.std([one.slope for one in found]) / np.mean([one.standard_error for one in found]) < 1.4


def test_growth_is_seen_through_the_noise(scripts: Any) -> None:
    minutes = [second / 60 for second in range(450)]
    for seed in range(20):
        noise = alike_noise(np.random.default_rng(seed), 450)
        grown = [value + 100 * at for value, at in zip(noise, minutes, strict=True)]
        found = scripts["soak"].trend(minutes, grown, 16.0)
        assert found.grows
        assert abs(found.slope - 100) < 4 * found.standard_error
        assert found.at_most > found.slope


def test_what_never_changes_is_flat(scripts: Any) -> None:
    assert scripts["soak"].trend([0, 1, 2, 3], [7, 7, 7, 7], 16.0) == (0, 0, 0, False)


def test_rows_that_are_missing_doubled_or_of_nobody_are_told_apart(scripts: Any, tmp_path: Path) -> None:
    store, told = tmp_path / "store", tmp_path / "told"
    told.write_text("".join(f"{number:015x} {attempts}\n" for number, attempts in ((1, 1), (2, 2), (3, 1), (4, 1))))
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("CREATE TABLE attempt (attempt_id INTEGER)")
        rows = [(1 << 4,), (2 << 4,), (3 << 4,), (3 << 4 | 1,), (5 << 4,)]
        opened.executemany("INSERT INTO attempt VALUES (?)", rows)
        opened.commit()
    found = scripts["soak"].check_rows(store, told)
    assert found == (5, 4, 2, 1, 1)
    assert len(scripts["soak"].wrong_rows(found, {})) == 3
    assert len(scripts["soak"].wrong_rows(found, {"left without a head": 1})) == 2


# What they found


def test_clients_that_leave_within_large_bodies_leave_nothing_behind(start_gateway: Callable[..., Gateway]) -> None:
    """A connection that had ended was kept, with all that had come of its request, until the collector ran."""
    configured = settings({"a": target("http://127.0.0.1:9/v1")}, {"solo": {"targets": ["a"]}})
    gateway = start_gateway(configured)
    request = chat_bytes(b"x" * (3 << 20)) + b"x"
    half = request[: len(request) // 2]

    def leave() -> None:
        with gateway.line() as line, gateway.line() as other:
            line.send(half)
            assert other.ask("GET", "/health").status == 200

    for _ in range(10):
        leave()
    before_kib = resident_kib(gateway)
    for _ in range(60):
        leave()
    assert resident_kib(gateway) - before_kib < 20 * 1024, "60 times 1.5 MiB were sent"


def test_an_answer_to_head_is_not_taken_for_the_next_one(gateway: Gateway) -> None:
    """The body of an answer to HEAD would be read as the head of what follows."""
    with gateway.line() as line:
        line.send(request_bytes("HEAD", "/health"))
        _, headers = line.head()
        if headers.get("connection") == "close":
            return
        assert line.ask("GET", "/health").status == 200


@pytest.mark.parametrize("model", ["solo", "renamed"])
@pytest.mark.parametrize(
    "odd",
    [b'"\xff": 1', b'"stream_options": {"\xff": 1}', b'"stream_options": {"a": "\xff"}', b'"model": "%b", "\xff": 1'],
    ids=["a key", "a key of an option", "an option", "two models"],
)
def test_a_body_that_is_no_text_is_the_clients_fault(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, odd: bytes
) -> None:
    for place in ("a", "renamed"):
        upstream.script(place, answers.either(answers.whole(), answers.stream(payloads.stream())))
    body = b'{"model": "%b", "stream": true, "stream_options": {}, "messages": [], %b}' % (
        model.encode(),
        odd.replace(b"%b", model.encode()),
    )
    with gateway.line() as line:
        assert line.chat(body).status in (200, 400)
        assert line.ask("GET", "/health").status == 200


@pytest.mark.parametrize("model", ["solo", "renamed"])
def test_no_depth_of_nesting_is_the_gateways_fault(gateway: Gateway, upstream: ScriptedUpstream, model: str) -> None:
    """Readers in C count the frames of their callers too: what one reads another, called from deeper, does not."""
    for place in ("a", "renamed"):
        upstream.script(place, answers.whole())
    with gateway.line() as line:
        for depth in range(900, 1010):
            deep = b'{"a":' * depth + b"1" + b"}" * depth
            fields = b'"model": "%b", "stream_options": null, "messages": []' % model.encode()
            reply = line.chat(b'{%b, "model": "%b", "stream": true, "deep": %b}' % (fields, model.encode(), deep))
            assert reply.status in (200, 400), depth


def resident_kib(gateway: Gateway) -> int:
    (worker,) = gateway.workers()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * resource.getpagesize() // 1024


# The malformed requests


def test_malformed_requests_do_the_gateway_no_harm(tmp_path: Path) -> None:
    options = ("--cases", "3000", "--connections", "16", "--failures", str(tmp_path / "failures"))
    found = ran("fuzz_requests", *options)
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    assert found.stdout.endswith("nothing is wrong\n")
    assert not (tmp_path / "failures").exists()


def test_a_case_is_always_the_same_bytes_and_seldom_those_of_another(scripts: Any) -> None:
    case = scripts["fuzz_cases"].case
    cases = [case(1, number, b"key") for number in range(2000)]
    assert cases == [case(1, number, b"key") for number in range(2000)]
    assert cases[0] != case(2, 0, b"key")
    assert len(set(cases)) > 1500
    assert all(all(pieces) for pieces in cases), "nothing is sent as an empty piece"
    assert sum(len(pieces) > 1 for pieces in cases) > 100


FAULTS = {
    "status 500": b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
    "an answer without a key": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a header was smuggled": b"HTTP/1.1 404 No\r\nx-injected: 1\r\ncontent-length: 0\r\n\r\n",
    "an answer that is no JSON": b"HTTP/1.1 404 No\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{",
    "an error without its object": b"HTTP/1.1 404 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    "the answer is no HTTP": b"SSH-2.0\r\n\r\n",
    "the connection ended within an answer": b"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n{",
    "a whole request got no answer": b"",
}


@contextlib.contextmanager
def server_that_says(answer: bytes) -> Iterator[int]:
    """A server that reads what comes, says always the same, and closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                with accepted, contextlib.suppress(OSError):
                    accepted.recv(1 << 20)
                    accepted.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_does_wrong_is_caught_and_the_bytes_are_kept(fault: str, tmp_path: Path, scripts: Any) -> None:
    options = ("--cases", "600", "--processes", "1", "--connections", "2", "--failures", str(tmp_path))
    with server_that_says(FAULTS[fault]) as port:
        found = ran("fuzz_requests", "--probe", str(port), *options)
    assert json.loads(found.stdout)["failed"] > 0
    told = {path: json.loads(path.read_text())["why"] for path in tmp_path.glob("*.json")}
    caught = [path for path, why in told.items() if why.startswith(fault)]
    assert caught, set(told.values())
    number = int(caught[0].stem.rsplit("-", 1)[1])
    kept = caught[0].with_suffix(".bin").read_bytes()
    assert kept == b"".join(scripts["fuzz_cases"].case(1, number, b"sk-be-of-the-scripts"))
