"""Engines that are really run: kept up, started again when they are killed or grow worse, and stopped."""

from __future__ import annotations

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
from contextlib import suppress
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any

import pytest
import yaml
from real_engines import WAIT_S, chat, random_model
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.engines import ENGINES
from breakeven.engines.canary import BAD_ANSWERS, Golden
from breakeven.engines.embedded import running_engine
from breakeven.settings.pools import PoolEntry
from breakeven.wiring.engine_ask import Door, NoAnswerError
from breakeven.wiring.engine_canary import Canary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_engine_serves_until_it_is_told_to_stop_and_prints_its_entry(run: Any, model: Path, number: int) -> None:
    port = _free_port()
    engine = run("llama.cpp", model, "--port", port, "--slots", 2, "--threads", 1)
    process = int(engine.await_line(r"started as process (\d+)")[1])
    engine.await_line("tiny is ready after")
    assert b"choices" in chat(f"http://127.0.0.1:{port}")
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
    assert b"choices" in chat(f"http://127.0.0.1:{port}")
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
        chat(f"http://127.0.0.1:{port}")
    assert b"choices" in chat(f"http://127.0.0.1:{port}", key="sk-secret-of-the-engine")
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
