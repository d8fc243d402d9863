"""Engines that are really run: kept up, started again when they are killed or grow worse, stopped, and asked."""

from __future__ import annotations

import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.console.canaries import CanaryState, write_canaries
from breakeven.economics.pool_hours import NodePrices
from breakeven.engines import ENGINES
from breakeven.engines.canary import BAD_ANSWERS, Golden
from breakeven.engines.degraded import Watched
from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama
from breakeven.settings import read_settings
from breakeven.settings.pools import PoolEntry
from breakeven.wiring.clock import current_s
from breakeven.wiring.engine_ask import Door, NoAnswerError, ask
from breakeven.wiring.engine_canary import Canary
from breakeven.wiring.engine_status import node_statuses, usd_per_hour_at
from breakeven.wiring.pools import declared_entries, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_random_llama(path)
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Running:
    """``engine run`` in a process of its own, and what it says, line by line."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "breakeven", "engine", "run", *(str(part) for part in arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        self.output = self.process.stdout

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def await_line(self, pattern: str) -> re.Match[str]:
        """Wait for a line that holds the pattern."""
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} was not said: {''.join(self.said)}")

    def entry(self) -> str:
        """Return the lines that it prints for breakeven.yaml."""
        return "".join(takewhile(str.strip, self.output))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            for process in re.findall(r"started as process (\d+)", "".join(self.said)):
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
        self._reader.join(WAIT_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def run() -> Iterator[Any]:
    started: list[Running] = []

    def start(*arguments: object) -> Running:
        started.append(Running(*arguments))
        return started[-1]

    yield start
    for item in started:
        item.close()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _chat(url: str, *, tokens: int = 4, key: str = "") -> bytes:
    body: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": tokens}
    body["ignore_eos"] = True
    door = Door(url, {"authorization": f"Bearer {key}"} if key else {})
    return ask(door, "/v1/chat/completions", timeout_s=WAIT_S, body=json.dumps(body).encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_engine_serves_until_it_is_told_to_stop_and_prints_its_entry(run: Any, model: Path, number: int) -> None:
    port = _free_port()
    engine = run("llama.cpp", model, "--port", port, "--slots", 2, "--threads", 1)
    process = int(engine.await_line(r"started as process (\d+)")[1])
    engine.await_line("tiny is ready after")
    assert b"choices" in _chat(f"http://127.0.0.1:{port}")
    assert engine.stop(number) == 0
    assert not _is_alive(process)


def test_the_entry_that_is_printed_is_one_that_settings_take(run: Any, model: Path) -> None:
    port = _free_port()
    engine = run("llama.cpp", model, "--port", port, "--threads", 1, "--name", "org/my model")
    entry = engine.entry()
    pools = yaml.safe_load(entry)["pools"]
    assert PoolEntry.model_validate(pools["my-model"]).nodes[0].url == f"http://127.0.0.1:{port}/v1"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
        assert ENGINES["llama.cpp"].read_models(answer.read()) == ("org/my model",)
    assert engine.stop() == 0


def test_an_engine_that_is_killed_is_started_again(run: Any, model: Path) -> None:
    port = _free_port()
    engine = run("llama.cpp", model, "--port", port, "--threads", 1)
    for _ in range(2):
        process = int(engine.await_line(r"started as process (\d+)")[1])
        engine.await_line("is ready")
        os.kill(process, signal.SIGKILL)
        engine.await_line(r"was ended by SIGKILL; it is started again in (0\.5|1) s")
    engine.await_line("is ready")
    assert b"choices" in _chat(f"http://127.0.0.1:{port}")
    assert engine.stop() == 0


@pytest.mark.parametrize("is_ready", [True, False], ids=["ready", "just started"])
def test_an_engine_whose_keeper_is_killed_ends_too(run: Any, model: Path, is_ready: bool) -> None:
    engine = run("llama.cpp", model, "--port", _free_port(), "--threads", 1)
    process = int(engine.await_line(r"started as process (\d+)")[1])
    if is_ready:
        engine.await_line("is ready")
    handle = os.pidfd_open(process)
    engine.process.kill()
    try:
        assert select.select([handle], [], [], WAIT_S)[0], "readable once it has ended"
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def test_a_key_is_asked_for_and_stands_in_no_argument(run: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", "sk-secret-of-the-engine")
    port = _free_port()
    engine = run("llama.cpp", model, "--port", port, "--threads", 1, "--key", "env:ENGINE_KEY")
    process = int(engine.await_line(r"started as process (\d+)")[1])
    engine.await_line("is ready")
    with pytest.raises(NoAnswerError, match="answers 401"):
        _chat(f"http://127.0.0.1:{port}")
    assert b"choices" in _chat(f"http://127.0.0.1:{port}", key="sk-secret-of-the-engine")
    with open(f"/proc/{process}/cmdline", "rb") as arguments:  # noqa: PTH123 - of the kernel
        assert b"sk-secret" not in arguments.read()
    assert engine.stop() == 0


SCRIPT = """#!{python}
import http.server, os, sys, time
mark = {mark!r}
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b'{{"data": [{{"id": "m"}}]}}')
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        said = open(mark).read() if os.path.exists(mark) else ""
        if said == "silence":
            time.sleep(600)
        text = "worse" if said == str(os.getpid()) else "good"
        self.answer(b'{{"choices": [{{"message": {{"content": "%s"}}}}]}}' % text.encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def fake_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program called vllm on PATH: it answers well, until the file that is returned holds its process number.

    Where that holds ``silence``, it does not answer at all.
    """
    mark, program = tmp_path / "worse", tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(SCRIPT.format(python=sys.executable, mark=str(mark)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return mark


def test_another_engine_is_found_on_path_and_its_models_are_looked_at(run: Any, fake_vllm: Path) -> None:
    assert not fake_vllm.exists()
    engine = run("vllm", "some/model", "--port", _free_port(), "--", "--max-num-seqs", "8")
    engine.await_line("it does not list the model some/model, but m")
    assert "engine: vllm" in engine.entry()
    assert engine.stop() == 0


def test_worse_answers_to_the_golden_prompt_start_the_engine_afresh(run: Any, fake_vllm: Path) -> None:
    engine = run("vllm", "m", "--port", _free_port(), "--canary", "Say it", "--canary-s", 1)
    process = engine.await_line(r"started as process (\d+)")[1]
    engine.await_line("the golden prompt is answered by 'good'")
    fake_vllm.write_text(process, encoding="utf-8")
    engine.await_line(r"answered by 'worse'")
    engine.await_line(f"gave {BAD_ANSWERS} bad answers to the golden prompt; it is started again")
    engine.await_line("is ready")
    assert engine.stop() == 0


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_stop_does_not_wait_for_the_answer_to_a_golden_prompt(run: Any, fake_vllm: Path, when: str) -> None:
    if when == "first":
        fake_vllm.write_text("silence", encoding="utf-8")
    engine = run("vllm", "m", "--port", _free_port(), "--canary", "Say it", "--canary-s", 1)
    engine.await_line("is ready")
    if when == "later":
        engine.await_line("the golden prompt is answered by 'good'")
        fake_vllm.write_text("silence", encoding="utf-8")
    time.sleep(2)  # it is asked meanwhile, which nothing tells
    began_s = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - began_s < 30  # an answer may take a minute


def test_one_bad_answer_is_no_reason(model: Path) -> None:
    with running_engine(model) as url:
        door = Door(url.removesuffix("/v1"), {})
        canary = Canary(Golden(prompt="hello", expected="\x00 never"), "tiny", every_s=10)
        canary.begin(door, 0.0)
        said = [canary.look(door, 5.0 * step) for step in range(1, 2 * BAD_ANSWERS + 1)]
    assert [bool(item) for item in said] == [*[False] * (2 * BAD_ANSWERS - 1), True]


def test_greedy_answers_of_a_real_engine_stay_good(model: Path) -> None:
    with running_engine(model) as url:
        door = Door(url.removesuffix("/v1"), {})
        canary = Canary(Golden(prompt="hello", expected=None), "tiny", every_s=1)
        canary.begin(door, 0.0)
        assert [canary.look(door, float(step)) for step in range(1, 9)] == [None] * 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vllm", "m"], "is started by vllm, which is not on PATH: pip install vllm"),
        (["llama.cpp", "no.gguf"], "There is no file no.gguf"),
        (["tensorflow", "m"], "choose one of vllm, sglang"),
        (["llama.cpp", "no.gguf", "--quantisation", "q9"], "is none of bf16"),
        (["vllm", "m", "--name", "a\x07b"], "say another with --name"),
        (["vllm", "m", "--random"], "use it with llama.cpp"),
        (["vllm", "m", "--canary-expect", "x"], "--canary says no prompt"),
        (["vllm", "m", "--canary", ""], "tells nothing of the answers"),
        (["vllm", "m", "--canary", "x", "--canary-expect", ""], "tells nothing of the answers"),
        (["vllm", "m", "--key", "sk-pasted-secret"], "not the secret"),
        (["llama.cpp", "no.gguf", "--log", "/no/such/folder/x.log"], "There is no file"),
    ],
)
def test_what_cannot_be_run_says_what_to_do(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    failed = CliRunner().invoke(app, ["engine", "run", *arguments])
    assert said in str(failed.exception)
    assert "sk-pasted" not in str(failed.exception)


def test_a_context_that_llama_cpp_cannot_count_is_told(model: Path) -> None:
    asked = ["--slots", "2", "--context-tokens", str(2**30)]
    failed = CliRunner().invoke(app, ["engine", "run", "llama.cpp", str(model), *asked])
    assert "--slots 2 of --context-tokens 1,073,741,824 are more tokens than" in str(failed.exception)


def test_a_port_that_is_taken_is_told(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = CliRunner().invoke(app, ["engine", "run", "llama.cpp", str(model), "--port", str(port)])
    assert "Choose another with --port" in str(failed.exception)


def test_a_file_that_is_no_model_ends_the_first_start(run: Any, tmp_path: Path) -> None:
    bad, log = tmp_path / "bad.gguf", tmp_path / "engine.log"
    bad.write_text("no model", encoding="utf-8")
    engine = run("llama.cpp", bad, "--port", _free_port(), "--log", log)
    engine.await_line("ended with code 2 before it served .*what it said is in")
    assert engine.process.wait(WAIT_S) == 2
    assert "Is it a GGUF file" in log.read_text(encoding="utf-8")


POOLS = """
pools:
  tiny:
    engine: llama.cpp
    model: tiny
    prices: [{{since: 2026-01-01, usd_per_hour: "0.75"}}]
    nodes:
{nodes}
  quiet:
    nodes: [{{url: "{first}/v1", usd_per_hour: "2", since: 2999-01-01}}]
  gone:
    engine: vllm
    model: other
    nodes: [{{url: "http://127.0.0.1:{closed}/v1"}}, {{url: "{first}/v1"}}]
  later: {{runs: llama-3.3-70b, hardware: 2xH100, virtual: true, nodes: [{{usd_per_hour: "5", since: 2026-01-01}}]}}
models:
  tiny: {{targets: [tiny]}}
"""


@pytest.fixture
def pool(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Eight real engines, and settings that name them beside a port where nothing listens."""
    with ExitStack() as engines, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = EngineSettings(slot_count=1)
        urls = [engines.enter_context(running_engine(model, settings)).removesuffix("/v1") for _ in range(8)]
        nodes = "\n".join(f'      - {{url: "{url}/v1", usd_per_hour: "1.25", since: 2026-01-01}}' for url in urls)
        path = tmp_path / "breakeven.yaml"
        text = POOLS.format(nodes=nodes, first=urls[0], closed=closed.getsockname()[1])
        path.write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        yield path


def test_the_status_of_a_real_pool_is_its_engines_own_word(pool: Path) -> None:
    settings = read_settings(pool, has_stored_keys=lambda _: False)
    url = settings.file.pools["tiny"].nodes[2].url
    assert url is not None
    _chat(url.removesuffix("/v1"), tokens=5)
    found = {f"{item.pool}/{item.node}": item for item in node_statuses(settings)}
    assert len(found) == 11
    tiny = [found[f"tiny/n{number}"] for number in range(1, 9)]
    assert all(item.is_well and item.models == ("tiny",) and not item.unserved for item in tiny)
    assert [item.load.running_requests for item in tiny] == [0] * 8
    assert tiny[2].load.output_tokens == 5
    assert tiny[2].load.input_tokens
    assert {item.load.output_tokens for item in tiny} == {0, 5}
    assert [item.usd_per_hour for item in tiny] == [Decimal("0.75")] * 8
    assert found["quiet/n1"].usd_per_hour == 0
    assert "counts what it has in flight" in found["quiet/n1"].note
    assert found["gone/n1"].trouble == "nothing listens there"
    assert found["gone/n1"].usd_per_hour is None
    assert (found["gone/n2"].unserved, found["gone/n2"].load.is_known) == ("other", False)


@pytest.mark.usefixtures("pool")
def test_status_is_shown_as_a_table_and_as_json() -> None:
    shown = CliRunner().invoke(app, ["engine", "status"])
    assert shown.exit_code == 0, shown.output
    assert "11 nodes, 2 of them without a price: 6.00 USD an hour now." in shown.output
    assert "gone/n2 does not list 'other', the model of its pool." in shown.output
    assert "later is a virtual pool" in shown.output
    told = json.loads(CliRunner().invoke(app, ["engine", "status", "--json"]).output)
    assert told["usd_per_hour"] == "6.00"
    assert told["virtual_pools"] == ["later"]
    assert [node["well"] for node in told["nodes"]] == [*[True] * 9, False, True]


def test_status_tells_what_a_golden_prompt_shows(pool: Path) -> None:
    well, bad = Watched(begins="Rome"), Watched(begins="Rome", bad_count=2)
    degraded = Watched(begins="Rome", bad_count=3, is_degraded=True)
    nodes = {
        "tiny/n1": well,
        "tiny/n2": bad,
        "tiny/n3": degraded,
        "tiny/n4": replace(degraded, is_out=True),
        "tiny/n5": replace(degraded, is_out=True, is_restarting=True),
        "tiny/n6": Watched(),
    }
    settings = read_settings(pool)
    write_canaries(settings.ledger_folder, CanaryState(at_s=current_s(), nodes=nodes))
    assert [item.canary for item in node_statuses(settings)][:7] == [
        "well",
        "bad answers: 2",
        "degraded, in service, since nothing else is",
        "degraded, out of service",
        "degraded, being started afresh",
        "no answer yet",
        "",
    ]
    write_canaries(settings.ledger_folder, CanaryState(at_s=current_s() + 4, nodes=nodes))  # asking may take a while
    shown = CliRunner().invoke(app, ["engine", "status"]).output
    assert "tiny/n4, golden prompt: degraded, out of service." in shown
    assert "tiny/n1, golden" not in shown


def test_a_busy_engine_says_how_many_wait(model: Path) -> None:
    with running_engine(model, EngineSettings(slot_count=1)) as url, ThreadPoolExecutor(3) as clients:
        root, read = url.removesuffix("/v1"), ENGINES["llama.cpp"].read_load
        asked = [clients.submit(_chat, root, tokens=1500) for _ in range(3)]
        loads = [read(ask(Door(root, {}), "/metrics", timeout_s=WAIT_S))]
        while not all(item.done() for item in asked):
            loads.append(read(ask(Door(root, {}), "/metrics", timeout_s=WAIT_S)))
    assert max(load.running_requests or 0 for load in loads) == 1
    assert max(load.waiting_requests or 0 for load in loads) >= 1


def test_a_price_holds_from_its_moment_and_nothing_is_paid_outside() -> None:
    pool = PoolEntry.model_validate(
        {
            "nodes": [
                {"name": "a", "url": "http://h/v1", "usd_per_hour": "5", "since": "2026-01-01", "until": "2026-06-01"}
            ],
            "prices": [
                {"node": "a", "since": "2026-02-01", "usd_per_hour": "4"},
                {"since": "2026-03-01", "usd_per_hour": "3"},
                {"node": "b", "since": "2026-03-02", "usd_per_hour": "1"},
            ],
        }
    )  # fmt: skip
    prices = [
        usd_per_hour_at(pool, "a", pool.nodes[0], datetime(2026, month, day, tzinfo=UTC))
        for month, day in ((1, 1), (1, 31), (2, 1), (3, 1), (5, 31), (6, 1))
    ]
    assert prices == [5, 5, 4, 3, 3, 0]
    before = datetime(2025, 12, 31, tzinfo=UTC)
    assert usd_per_hour_at(pool, "a", pool.nodes[0], before) == 0


def test_of_prices_from_one_moment_on_the_last_is_the_one_of_the_bill(tmp_path: Path) -> None:
    config = tmp_path / "breakeven.yaml"
    config.write_text(
        "pools: {p: {nodes: [{name: a, url: 'http://h/v1', usd_per_hour: '5', since: 2026-01-01}], prices: ["
        "{node: a, since: 2026-02-01, usd_per_hour: '4'}, {since: 2026-02-01, usd_per_hour: '3'}]}}",
        encoding="utf-8",
    )
    (pool,) = declared_entries(config).values()
    shown = usd_per_hour_at(pool, "a", pool.nodes[0], datetime(2026, 2, 2, tzinfo=UTC))
    (terms,) = declared_pools(config)
    moment_us = 1_769_990_400_000_000  # 2026-02-02
    ((_, billed),) = NodePrices(terms.prices).between("a", moment_us, moment_us + 1)
    assert shown == billed == Decimal(3)
