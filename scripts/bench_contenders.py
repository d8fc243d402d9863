"""What the gateway is measured against and how each is started: nginx as a plain proxy, installed peers, our own.

nginx is the practical limit: a proxy in C that parses HTTP and passes bytes on, and does nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
UNARY_PORT: Final = 9001
STREAM_PORT: Final = 9101
"""Where the upstreams are, as ``bench/gateway.yaml`` has it."""

BODIES: Final = {"": 700, "8k_": 8 * 1024, "64k_": 64 * 1024}
"""Bytes of a request's body, by the prefix of its figures."""

GATEWAY_CORE: Final = 0
OTHER_CORE: Final = 1
TASKSET: Final = shutil.which("taskset") or "taskset"
READY_S: Final = 90.0
STOP_S: Final = 60.0
"""A gateway that keeps a ledger may still be writing it when it is asked to stop."""

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 2**20

ANSWER: Final = {
    "id": "chatcmpl-abc123",
    "object": "chat.completion",
    "created": 1_730_000_000,
    "model": "tiny",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The invoice is due on the third of May. " * 5},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 157, "completion_tokens": 52, "total_tokens": 209},
}
_MODELS: Final = {"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "vllm"}]}

_NGINX: Final = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600; client_body_buffer_size 256k;
  {servers}
}}
"""
_PROXY: Final = """
  upstream to{upstream} {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://to{upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering};
  }} }}
"""
_ANSWERS: Final = """
  server {{ listen 127.0.0.1:{port}; default_type application/json;
    location = /v1/models {{ return 200 '{models}'; }}
    location = /health {{ return 200 ok; }}
    location = /v1/chat/completions {{ return 200 '{answer}'; }}
  }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A command that serves on a port."""

    command: tuple[str, ...]
    port: int
    headers: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    ledger: Path | None = None
    """The store whose rows must be as many as the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something that is measured; the two endpoints are one process where their commands are the same."""

    name: str
    unary: Endpoint
    streamed: Endpoint


class Process:
    """A running command, pinned to a core, with what it and its children have used."""

    def __init__(
        self, command: Sequence[str], core: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [TASKSET, "-c", str(core), *command],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},  # noqa: TID251 - what it starts is no part of the program
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_s(self) -> float:
        """Return the CPU seconds of the whole tree so far, with those of children that have ended."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in _family(self._process.pid)) / _TICKS_PER_S

    def resident_mib(self) -> tuple[float, float]:
        """Return the resident memory of the largest process, and of all together."""
        sizes = [int(_stat(pid)[21]) * _PAGE_BYTES / _MIB for pid in _family(self._process.pid)]
        return max(sizes), sum(sizes)


def _family(pid: int) -> list[int]:
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50


def upstreams(folder: Path) -> tuple[Process, Process]:
    """Start the two upstreams: nginx with a fixed answer, and a steady stream."""
    texts = {"models": json.dumps(_MODELS), "answer": json.dumps(ANSWER)}
    command = _nginx(folder, "answers", _ANSWERS.format(port=UNARY_PORT, **texts))
    streams = [sys.executable, str(Path(__file__).parent / "bench_streams.py"), "serve", str(STREAM_PORT)]
    return Process(command, OTHER_CORE, folder / "answers.log"), Process(streams, OTHER_CORE, folder / "streams.log")


def contenders(folder: Path, peers: Path) -> list[Contender]:
    """Return nginx, every peer that is installed, and our gateway: on plain routes, and in front of pools."""
    ours = [_ours("breakeven", "gateway.yaml"), _ours("breakeven with pools", "pools.yaml")]
    found = [_limit(folder), _vllm_router(peers), _litellm(folder, peers), *ours]
    return [contender for contender in found if contender is not None]


def _limit(folder: Path) -> Contender:
    servers = _PROXY.format(upstream=UNARY_PORT, port=9201, buffering="on")
    servers += _PROXY.format(upstream=STREAM_PORT, port=9202, buffering="off")
    command = tuple(_nginx(folder, "proxy", servers))
    return Contender(
        name="nginx",
        unary=Endpoint(command=command, port=9201),
        streamed=Endpoint(command=command, port=9202),
    )


def _vllm_router(peers: Path) -> Contender | None:
    program = _program(peers, "vllm-router")
    if program is None:
        return None

    def endpoint(port: int, upstream: int) -> Endpoint:
        arguments = ["--worker-urls", f"http://127.0.0.1:{upstream}", "--host", "127.0.0.1", "--port", str(port)]
        arguments += ["--prometheus-port", str(port + 2), "--log-level", "error", "--policy", "round_robin"]
        return Endpoint(command=(program, *arguments), port=port)

    return Contender(name="vllm-router", unary=endpoint(9211, UNARY_PORT), streamed=endpoint(9212, STREAM_PORT))


def _litellm(folder: Path, peers: Path) -> Contender | None:
    program = _program(peers, "litellm")
    if program is None:
        return None
    models = {"tiny": UNARY_PORT, "tiny-stream": STREAM_PORT}
    parameters = {
        name: {"model": f"openai/{name}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-x"}
        for name, port in models.items()
    }
    config = folder / "litellm.yaml"
    listed = [{"model_name": name, "litellm_params": values} for name, values in parameters.items()]
    config.write_text(json.dumps({"model_list": listed, "litellm_settings": {"telemetry": False}}))
    arguments = ("--config", str(config), "--host", "127.0.0.1", "--port", "9231", "--num_workers", "1")
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    endpoint = Endpoint(command=(program, *arguments), port=9231, environment=environment)
    return Contender(name="litellm", unary=endpoint, streamed=endpoint)


def _ours(name: str, config_name: str) -> Contender:
    config = ROOT / "bench" / config_name
    endpoint = Endpoint(
        command=(str(ROOT / ".venv/bin/breakeven"), "up", "--config", str(config)),
        port=9400,
        headers=("Authorization: Bearer sk-bench",),
        ledger=config.parent / "ledger" / "ledger.sqlite",
    )
    return Contender(name=name, unary=endpoint, streamed=endpoint)


def _program(peers: Path, name: str) -> str | None:
    installed = peers / name / "bin" / name
    return str(installed) if installed.exists() else shutil.which(name)


def _nginx(folder: Path, name: str, servers: str) -> list[str]:
    config = folder / f"{name}.conf"
    config.write_text(_NGINX.format(folder=folder, name=name, servers=servers))
    return ["nginx", "-c", str(config)]


def why_not_ready(endpoint: Endpoint, model: str) -> str:
    """Wait until a chat request succeeds; return an empty text, or the last reason why it did not."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = dict(header.split(": ", 1) for header in (*endpoint.headers, "Content-Type: application/json"))
    url = f"http://127.0.0.1:{endpoint.port}/v1/chat/completions"
    why, until = "it never answered", time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
                if b"usage" in answer.read():
                    return ""
                why = "it answered without usage"
        except urllib.error.HTTPError as error:
            why = f"{error.code} {error.read()[:200]!r}"
        except OSError as error:
            why = str(error)
        time.sleep(0.3)
    return why


def rows_kept(ledger: Path, at_least: int) -> int:
    """Wait until a store has that many rows, as long as more of them come; return how many there are."""
    count, grown_at = -1, time.monotonic()
    while count < at_least and time.monotonic() - grown_at < STOP_S / 6:
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as store,
        ):
            now = store.execute("SELECT count(*) FROM attempt").fetchone()[0]
            if now != count:
                count, grown_at = now, time.monotonic()
        time.sleep(0.1)
    return max(count, 0)


def chat_body(size_bytes: int) -> str:
    """Return a chat request of about that many bytes."""
    filling = "lorem ipsum dolor sit amet " * (size_bytes // 27 + 1)
    messages = [
        {"role": "system", "content": "You answer questions about invoices."},
        {"role": "user", "content": ""},
    ]
    fields = {"model": "tiny", "temperature": 0.2, "max_tokens": 256, "messages": messages}
    messages[1]["content"] = filling[: max(0, size_bytes - len(json.dumps(fields)))]
    return json.dumps(fields)
