"""The demonstration of the gateway: a slice of a real trace through a real engine, and what the ledger says of it.

The engine is llama.cpp with a small model of random weights, the client is OpenAI's SDK, and the gateway is
``breakeven up`` in a process of its own, as a user runs it.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import importlib.util
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama
from breakeven.errors import InputError, MissingExtraError
from breakeven.ledger.query import Question, ask
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.ledger.query import Total

NEEDS: Final = ("xllamacpp", "gguf", "openai")
REQUESTS: Final = 150
SPEED: Final = 10
"""The slice is replayed so many times faster than it happened."""

PROMPT_SHARE: Final = 16
ANSWER_SHARE: Final = 8
"""Prompts and answers are so many times shorter than in the trace: the engine runs on one core."""

_LONGEST_TOKENS: Final = 1500
_START_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What was sent, and what the ledger kept of it."""

    requests: int
    streamed_requests: int
    duration_s: float
    totals: tuple[Total, ...]
    """By model, target and task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    offset_s: float
    prompt_tokens: int
    answer_tokens: int


def missing_parts() -> tuple[str, ...]:
    """Return the packages that the demonstration needs and that are not installed."""
    return tuple(name for name in NEEDS if importlib.util.find_spec(name) is None)


def replay_slice() -> Replay:
    """Start engine and gateway, replay the slice through the SDK, stop both, and ask the ledger.

    Raises ``MissingExtraError`` without the packages, ``InputError`` when the gateway does not start.
    """
    if missing := missing_parts():
        raise MissingExtraError(
            f"The gateway's demonstration needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )
    calls = list(_slice())
    with tempfile.TemporaryDirectory(prefix="breakeven-demo-") as name:
        folder = Path(name)
        write_random_llama(folder / "tiny.gguf")
        with running_engine(folder / "tiny.gguf", EngineSettings(name="tiny", slot_context_tokens=2048)) as engine_url:
            key = f"sk-be-{secrets.token_urlsafe(24)}"
            url, config = _configure(folder, engine_url, key)
            duration_s = _with_gateway(config, url, key, calls)
        place = find_ledger(folder / "ledger")
        totals = ask(place.store, Question(by=("model", "target", "task")))
    return Replay(requests=len(calls), streamed_requests=len(calls[::2]), duration_s=duration_s, totals=tuple(totals))


def _slice() -> Iterator[_Call]:
    """Yield the first requests of the bundled trace, shorter and closer together."""
    with gzip.open(sample_trace(), "rt", encoding="utf-8") as file:
        first: datetime | None = None
        for number, row in enumerate(csv.DictReader(file)):
            if number == REQUESTS:
                return
            at = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or at
            yield _Call(
                offset_s=(at - first).total_seconds() / SPEED,
                prompt_tokens=min(int(row["ContextTokens"]) // PROMPT_SHARE + 1, _LONGEST_TOKENS),
                answer_tokens=min(int(row["GeneratedTokens"]) // ANSWER_SHARE + 1, _LONGEST_TOKENS // 4),
            )


def _configure(folder: Path, engine_url: str, key: str) -> tuple[str, Path]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "breakeven.yaml"
    config.write_text(
        f"""listen: {{host: 127.0.0.1, port: {port}}}
targets:
  engine: {{url: "{engine_url}", model: tiny, prices: "openai:gpt-4o"}}
models:
  chat: {{targets: [engine]}}
keys:
  - {{name: demo, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}
ledger: {{folder: ledger}}
""",
        encoding="utf-8",
    )
    return f"http://127.0.0.1:{port}", config


def _with_gateway(config: Path, url: str, key: str, calls: list[_Call]) -> float:
    """Run the gateway around the replay; return how long the replay took."""
    command = [sys.executable, "-m", "breakeven", "up", "--config", str(config)]
    log = config.with_suffix(".log")
    with log.open("wb") as said:
        gateway = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)  # noqa: S603 - ourselves
    try:
        _wait(url, gateway, log)
        began_s = time.monotonic()
        asyncio.run(_replay(url, key, calls))
        return time.monotonic() - began_s
    finally:
        gateway.send_signal(signal.SIGTERM)  # it moves the last rows into the store, then ends
        gateway.wait()


def _wait(url: str, gateway: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and gateway.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise InputError(f"The gateway did not start: {log.read_text(errors='replace').strip()}")


async def _replay(url: str, key: str, calls: list[_Call]) -> None:
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        await asyncio.gather(*(_send(client, call, streamed=number % 2 == 0) for number, call in enumerate(calls)))


async def _send(client: Any, call: _Call, *, streamed: bool) -> None:
    await asyncio.sleep(call.offset_s)
    answer = await client.chat.completions.create(
        model="chat",
        messages=[{"role": "user", "content": "x" * call.prompt_tokens}],  # a byte is a token of this model
        max_tokens=call.answer_tokens,
        stream=streamed,
        extra_body={"ignore_eos": True},
        extra_headers={"x-breakeven-task": "streamed" if streamed else "whole"},
    )
    if streamed:
        async for _ in answer:
            pass
