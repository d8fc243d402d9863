"""What recorded runs share: real chat traffic, sent through the gateway to llama.cpp servers, and what came of it.

The servers have a model of random weights and one thread each.  The traffic is the Azure chat trace, faster than it
happened and with shorter prompts and answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import hashlib
import json
import math
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from breakeven.capacity.calibrated_pace import faster, fit_pace
from breakeven.capacity.engine import decode_s, prompt_s
from breakeven.engines.random_gguf import LlamaShape, write_random_llama
from breakeven.traffic.sample import sample_path
from breakeven.wiring.bench import run_bench
from breakeven.wiring.bench_question import BenchRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from breakeven.capacity.pool import Pace

NODES: Final = 2
SLOTS: Final = 4
MOST_WAITING: Final = 2
BACK_RATIO: Final = 0.7
SHAPE: Final = LlamaShape(
    channel_count=384,
    feed_forward_count=1152,
    layers=4,
    head_count=6,
    kv_heads=2,
    head_size=64,
    context_tokens=4096,
)
"""About 7 million parameters: two nodes of one thread each are then as busy as nodes bought for the mean load."""

PROMPT_SHARE: Final = 16
ANSWER_SHARE: Final = 16
NODE_USD_PER_HOUR: Final = 2.0
BASE_PORT: Final = 18_300
TYPICAL_TOKENS: Final = 91
"""Of a prompt, with what the chat template adds."""

PROGRESS_S: Final = 30.0
LOWEST_SPEED: Final = 0.1
HIGHEST_SPEED: Final = 4.0
"""Between which a node's speed is looked for, as a ratio to that of one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of the trace, as it is sent."""

    at_s: float
    prompt_tokens: int
    answer_tokens: int
    key: str = ""
    """Whose it is; empty where the gateway asks for no keys."""

    deadline_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What its client knows of a request."""

    at_s: float
    refused: str
    """The code of the refusal; empty where there was an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request as the ledger has it."""

    at_s: float
    number: int
    call: Call
    """What was asked, in bytes of text, which are the API's tokens."""

    input_tokens: int
    """As whoever served it counts: a node has its template's on top."""

    on_pool: bool
    queued_s: float
    """Until it was sent on."""

    ttft_s: float


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def trace_calls(speed: float, minutes: float) -> Iterator[Call]:
    """Yield so many minutes of the trace's requests, closer together and shorter."""
    first: datetime | None = None
    with gzip.open(sample_path(), "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or at
            offset_s = (at - first).total_seconds()
            if offset_s > minutes * 60:
                return
            yield Call(
                at_s=offset_s / speed,
                prompt_tokens=int(row["ContextTokens"]) // PROMPT_SHARE + 1,
                answer_tokens=int(row["GeneratedTokens"]) // ANSWER_SHARE + 1,
            )


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[Pace]:
    """Run the nodes; yield the pace of one, measured alone."""
    write_random_llama(folder / "m7.gguf", shape=SHAPE, name="m7")
    with contextlib.ExitStack() as stack:
        for number in range(NODES):
            stack.enter_context(_engine(folder, number))
        yield _measured(f"http://127.0.0.1:{BASE_PORT}/v1")


@contextlib.contextmanager
def _engine(folder: Path, number: int) -> Iterator[None]:
    port = BASE_PORT + number
    command = ["engine", "run", "llama.cpp", str(folder / "m7.gguf"), "--name", "m7", "--port", str(port)]
    command += ["--slots", str(SLOTS), "--threads", "1", "--context-tokens", "1024"]
    with _breakeven(folder, f"engine-{number}", command):
        _until_answers(f"http://127.0.0.1:{port}/health")
        yield


@contextlib.contextmanager
def _breakeven(folder: Path, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "breakeven", *command], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _until_answers(url: str) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def _measured(url: str) -> Pace:
    """Return the pace of a node, measured alone."""
    say("measuring one node alone …")
    result = run_bench(
        BenchRequest(
            url=url, model="m7", isl_tokens=(36, 144), osl_tokens=(14,), spread_fraction=0.3,
            concurrencies=(1, 2, 4), level_s=6.0, usd_per_hour=NODE_USD_PER_HOUR,
        )
    )  # fmt: skip
    fit = fit_pace(result.calibration.levels, max_requests=SLOTS, kv_tokens=SLOTS * 1024)
    say(f"fitted within {fit.throughput_error_fraction:.1%} of throughput at the median")
    return fit.pace


@contextlib.contextmanager
def gateway(folder: Path, settings: dict[str, Any], pace: Pace) -> Iterator[int]:
    """Run a gateway of one worker before the nodes, its pool ``own``, with these settings besides; yield its port."""
    since = (datetime.now(UTC) - timedelta(minutes=1)).replace(second=0, microsecond=0)
    nodes = [
        {
            "name": f"n{number}",
            "url": f"http://127.0.0.1:{BASE_PORT + number}/v1",
            "usd_per_hour": str(NODE_USD_PER_HOUR),
            "since": since.isoformat(),
        }
        for number in range(NODES)
    ]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    common = {
        "listen": {"port": port},
        "workers": 1,
        "pools": {
            "own": {
                "engine": "llama.cpp",
                "model": "m7",
                "nodes": nodes,
                "slots": SLOTS,
                "observe_s": 0.1,
                "full": {"waiting": MOST_WAITING, "back": BACK_RATIO},
                "gpu_time": _gpu_time(pace),
            }
        },
        "ledger": {"folder": "ledger"},
    }
    (folder / "breakeven.yaml").write_text(json.dumps(common | settings))
    with _breakeven(folder, "gateway", ["up", "--config", "breakeven.yaml"]):
        _until_answers(f"http://127.0.0.1:{port}/health")
        yield port


def _gpu_time(pace: Pace) -> dict[str, float]:
    """Return what tokens take of a node that is full."""
    read_s = prompt_s(pace, TYPICAL_TOKENS, TYPICAL_TOKENS**2 / 2, False) / TYPICAL_TOKENS  # noqa: FBT003 - by place
    write_s = decode_s(pace, SLOTS, SLOTS * TYPICAL_TOKENS) / SLOTS
    say(f"a node, full: {1 / write_s:,.0f} tokens/s written, or {1 / read_s:,.0f} read")
    return {"prefill_s_per_mtok": read_s * 1e6, "decode_s_per_mtok": write_s * 1e6}


def secret_of(key: str) -> str:
    """Return what its holder brings."""
    return f"sk-be-{key}"


def key_entry(key: str, priority: int) -> dict[str, Any]:
    """Return what the settings say of a key."""
    digest = hashlib.sha256(secret_of(key).encode()).hexdigest()
    return {"name": key, "sha256": digest, "priority": priority}


async def replay(port: int, calls: Sequence[Call], first_number: int = 0) -> list[Sent]:
    """Send requests when their times have come, and wait for all answers; the first has that number."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked: list[asyncio.Task[Sent]] = []
    told_s = 0.0
    for number, call in enumerate(calls, first_number):
        await asyncio.sleep(max(0.0, began + call.at_s - loop.time()))
        asked.append(loop.create_task(_send(port, number, call, began)))
        if call.at_s >= told_s + PROGRESS_S:
            told_s = call.at_s
            under_way = sum(not task.done() for task in asked)
            say(f"  {told_s / 60:.1f} of {calls[-1].at_s / 60:.1f} minutes: {len(asked):,} sent, {under_way} under way")
    return await asyncio.gather(*asked)


def _words(call: Call) -> str:
    """Return a prompt that begins like no other, so that no cache of prefixes has it; a byte is a token."""
    drawn = np.random.default_rng(int(call.at_s * 1e6)).integers(97, 123, call.prompt_tokens, dtype=np.uint8)
    return drawn.tobytes().decode()


async def _send(port: int, number: int, call: Call, began: float) -> Sent:
    """Ask; the ledger has the request's number as its episode."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked: dict[str, Any] = {
        "model": "chat",
        "messages": [{"role": "user", "content": _words(call)}],
        "max_tokens": call.answer_tokens,
        "ignore_eos": True,
        "stream": True,
    }
    body = json.dumps(asked).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-breakeven-episode: %d\r\nconnection: close\r\n" % number
    if call.key:
        head += b"authorization: Bearer %b\r\n" % secret_of(call.key).encode()
    if math.isfinite(call.deadline_s):
        head += b"x-breakeven-deadline-s: %g\r\n" % call.deadline_s
    at_s = asyncio.get_running_loop().time() - began
    writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    writer.close()
    return Sent(at_s=at_s, refused="" if answer.startswith(b"HTTP/1.1 200") else _code(answer))


def _code(answer: bytes) -> str:
    """Return the code of a refusal, or as much of the answer as tells what else it is."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"])
    return answer[:300].decode(errors="replace") or "no answer"


def served_calls(folder: Path, calls: Sequence[Call], began_s: float = 0.0) -> Iterator[Served]:
    """Yield the requests as the ledger has them, in the order in which they came."""
    with contextlib.closing(sqlite3.connect(folder / "ledger" / "ledger.sqlite")) as store:
        columns = "received_us, episode, input_tokens, target, queued_us, first_byte_us"
        said = store.execute(f"SELECT {columns} FROM attempt_said WHERE outcome = 'ok' ORDER BY received_us")  # noqa: S608 - ours
        for received_us, number, given, target, queued_us, first_byte_us in said:
            yield Served(
                at_s=received_us / 1e6 - began_s,
                number=int(number),
                call=calls[int(number)],
                input_tokens=given,
                on_pool=target.startswith("own/"),
                queued_s=(queued_us or 0) / 1e6,
                ttft_s=(first_byte_us or 0) / 1e6,
            )


def template_tokens(served: Sequence[Served]) -> int:
    """Return how many tokens the nodes' template adds to a prompt."""
    added = [item.input_tokens - item.call.prompt_tokens for item in served if item.on_pool]
    return round(sum(added) / max(1, len(added)))


def speed_at_which(share_at: Callable[[Pace], float], wanted: float, pace: Pace) -> float:
    """Return how fast nodes were, of what one alone was, if that share of requests found no room on them."""
    low, high = LOWEST_SPEED, HIGHEST_SPEED
    for _ in range(24):
        middle = (low * high) ** 0.5
        if share_at(faster(pace, middle)) > wanted:
            low = middle
        else:
            high = middle
    return high
