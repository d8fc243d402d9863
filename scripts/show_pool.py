"""A recorded run: an hour of real chat traffic on a pool of real engines, with an API for what they cannot take.

show_pool.py [--speed 6] [--minutes 60]
    Two llama.cpp servers with a model of random weights, each on one thread, are a pool before a scripted API that is
    paid by the token.  The Azure chat trace is sent through `breakeven up`, faster than it happened and with shorter
    prompts and answers.  The first half calibrates the simulator, which then foretells the second.  Printed: what
    overflowed when, what the ledger says of the pool's hours, the bill beside all API and all nodes, TTFT, and how
    far the simulator was off.  It reports; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import gzip
import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import uvloop

from breakeven.capacity.calibrated_pace import faster, fit_pace
from breakeven.capacity.engine import decode_s, prompt_s
from breakeven.capacity.fleet import POLICY_NAMES, Demand, Rules
from breakeven.capacity.simulate import Api, Simulation
from breakeven.engines.random_gguf import LlamaShape, write_random_llama
from breakeven.traffic.sample import sample_path
from breakeven.wiring.bench import run_bench
from breakeven.wiring.bench_question import BenchRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome

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
API_PRICES: Final = {"input_usd_per_mtok": "10", "output_usd_per_mtok": "40"}
"""So dear that a token of these small requests costs what one of large ones would."""

API_TTFT_S: Final = 0.25
API_TPOT_S: Final = 0.01
SLO_TTFT_S: Final = 2.0
BASE_PORT: Final = 18_300
TYPICAL_TOKENS: Final = 91
"""Of a prompt, with what the chat template adds."""

HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of the trace, as it is sent."""

    at_s: float
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request as the ledger has it."""

    at_s: float
    call: Call
    """What was asked, in bytes of text, which are the API's tokens."""

    input_tokens: int
    """As whoever served it counts: a node has its template's on top."""

    on_pool: bool
    ttft_s: float


def main() -> None:
    """Run it and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=6.0)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the trace, as it happened")
    asked = parser.parse_args()
    calls = list(_calls(asked.speed, asked.minutes))
    with tempfile.TemporaryDirectory(prefix="breakeven-pool-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        _say(f"{len(calls):,} requests in {calls[-1].at_s / 60:.1f} minutes, at {asked.speed:g} times their speed")
        write_random_llama(folder / "m7.gguf", shape=SHAPE, name="m7")
        for number in range(NODES):
            stack.enter_context(_engine(folder, number))
        pace = _measured(f"http://127.0.0.1:{BASE_PORT}/v1")
        api_url = stack.enter_context(_scripted_api())
        began_s, wall_s = _through_gateway(folder, api_url, calls, pace)
        served = list(_served(folder, calls, began_s))
        _report(folder, served, wall_s, pace)


def _calls(speed: float, minutes: float) -> Iterator[Call]:
    """Yield the trace's requests, closer together and shorter."""
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
    _say("measuring one node alone …")
    result = run_bench(
        BenchRequest(
            url=url, model="m7", isl_tokens=(36, 144), osl_tokens=(14,), spread_fraction=0.3,
            concurrencies=(1, 2, 4), level_s=6.0, usd_per_hour=NODE_USD_PER_HOUR,
        )
    )  # fmt: skip
    fit = fit_pace(result.calibration.levels, max_requests=SLOTS, kv_tokens=SLOTS * 1024)
    _say(f"fitted within {fit.throughput_error_fraction:.1%} of throughput at the median")
    return fit.pace


class _Scripted(asyncio.Protocol):
    """The API: streams as many tokens as it is asked for, the first after its time and the rest after theirs."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._write = cast("asyncio.WriteTransport", transport).write
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole, one at a time on a connection."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if not end or len(body) < length:
            return
        self._data = body[length:]
        asked = json.loads(body[:length])
        prompt = sum(len(message["content"]) for message in asked["messages"])
        loop = asyncio.get_running_loop()
        loop.call_later(API_TTFT_S, self._begin)
        loop.call_later(API_TTFT_S + asked["max_tokens"] * API_TPOT_S, self._end, prompt, asked["max_tokens"])

    def _begin(self) -> None:
        self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self._event([{"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": None}], None)

    def _end(self, prompt: int, answer: int) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
        self._event([{"index": 0, "delta": {"content": "x" * (answer - 1)}, "finish_reason": "length"}], None)
        self._event([], usage)
        self._chunk(b"data: [DONE]\n\n")
        self._write(b"0\r\n\r\n")

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> None:
        event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "api", "choices": choices}
        self._chunk(b"data: %b\n\n" % json.dumps(event | {"usage": usage}).encode())

    def _chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(data), data))


@contextlib.contextmanager
def _scripted_api() -> Iterator[str]:
    """Serve the API in a process of its own."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:

        async def serve() -> None:
            server = await asyncio.get_running_loop().create_server(_Scripted, "127.0.0.1", 0)
            theirs.send(b"%d" % server.sockets[0].getsockname()[1])
            await server.serve_forever()

        uvloop.run(serve())
    port = int(ours.recv(16))
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _through_gateway(folder: Path, api_url: str, calls: list[Call], pace: Pace) -> tuple[float, float]:
    """Send the trace through the gateway; return when it began, in Unix seconds, and how long it took."""
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
    card = {"provider": "scripted", "model": "api", "source": "made up", "checked_on": "2026-01-01"}
    (folder / "cards.yaml").write_text(json.dumps({"rate_cards": [card | {"prices": [API_PRICES]}]}))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "listen": {"port": port},
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
        "targets": {"api": {"url": api_url, "model": "api", "prices": "scripted:api"}},
        "models": {"chat": {"targets": ["own", "api"], "policy": "overflow"}},
        "rate_cards": ["cards.yaml"],
        "ledger": {"folder": "ledger"},
    }
    (folder / "breakeven.yaml").write_text(json.dumps(settings))
    with _breakeven(folder, "gateway", ["up", "--config", "breakeven.yaml"]):
        _until_answers(f"http://127.0.0.1:{port}/health")
        _say("sending …")
        began_s, began = datetime.now(UTC).timestamp(), time.monotonic()
        uvloop.run(_replay(port, calls))
        return began_s, time.monotonic() - began


def _gpu_time(pace: Pace) -> dict[str, float]:
    """Return what tokens take of a node that is full."""
    read_s = prompt_s(pace, TYPICAL_TOKENS, TYPICAL_TOKENS**2 / 2, False) / TYPICAL_TOKENS  # noqa: FBT003 - by place
    write_s = decode_s(pace, SLOTS, SLOTS * TYPICAL_TOKENS) / SLOTS
    _say(f"a node, full: {1 / write_s:,.0f} tokens/s written, or {1 / read_s:,.0f} read")
    return {"prefill_s_per_mtok": read_s * 1e6, "decode_s_per_mtok": write_s * 1e6}


async def _replay(port: int, calls: list[Call]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting: set[asyncio.Task[None]] = set()
    for number, call in enumerate(calls):
        await asyncio.sleep(max(0.0, began + call.at_s - loop.time()))
        task = loop.create_task(_send(port, number, call))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)


def _words(call: Call) -> str:
    """Return a prompt that begins like no other, so that no cache of prefixes has it; a byte is a token."""
    drawn = np.random.default_rng(int(call.at_s * 1e6)).integers(97, 123, call.prompt_tokens, dtype=np.uint8)
    return drawn.tobytes().decode()


async def _send(port: int, number: int, call: Call) -> None:
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
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-breakeven-episode: %d\r\nconnection: close\r\n"
    writer.write(head % number + b"content-length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    if not answer.startswith(b"HTTP/1.1 200"):
        _say(answer[:300].decode(errors="replace"))
    writer.close()


def _served(folder: Path, calls: list[Call], began_s: float) -> Iterator[Served]:
    """Yield the requests as the ledger has them, in the order in which they came."""
    with contextlib.closing(sqlite3.connect(folder / "ledger" / "ledger.sqlite")) as store:
        columns = "received_us, episode, input_tokens, target, first_byte_us"
        said = store.execute(f"SELECT {columns} FROM attempt_said WHERE outcome = 'ok' ORDER BY received_us")  # noqa: S608 - ours
        for received_us, number, given, target, first_byte_us in said:
            yield Served(
                at_s=received_us / 1e6 - began_s,
                call=calls[int(number)],
                input_tokens=given,
                on_pool=target.startswith("own/"),
                ttft_s=(first_byte_us or 0) / 1e6,
            )


def _report(folder: Path, served: list[Served], wall_s: float, pace: Pace) -> None:
    """Print what happened, what it cost, and what the simulator says of it."""
    hours = wall_s / 3600
    over_usd = sum(_api_usd(item) for item in served if not item.on_pool)
    everything_usd = sum(map(_api_usd, served))
    nodes_usd = NODES * NODE_USD_PER_HOUR * hours
    print(f"\n{len(served):,} requests served; {_share(served):.1%} overflowed")
    print("by tenth of the time: " + " ".join(f"{_share(part):.0%}" for part in _tenths(served, wall_s)))
    for name, on_pool in (("nodes", True), ("the API", False)):
        ttft_s = [item.ttft_s for item in served if item.on_pool == on_pool]
        if ttft_s:
            p50, p95, p99 = np.quantile(ttft_s, (0.5, 0.95, 0.99))
            print(f"TTFT on {name}: p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s (SLO {SLO_TTFT_S:g} s)")
    print(f"\nnodes {nodes_usd:.4f} USD + overflow {over_usd:.4f} = {nodes_usd + over_usd:.4f} USD")
    print(f"all API: {everything_usd:.4f} USD")
    ratio, first = _calibrated(served, wall_s, pace)
    exact = faster(pace, ratio)
    most = next(n for n in range(1, 33) if _all_pool(served, wall_s, exact, n).pool_ttft.quantile_s(0.95) <= SLO_TTFT_S)
    print(f"all nodes: {most} of them for 95 % of first tokens in time: {most * NODE_USD_PER_HOUR * hours:.4f} USD")
    _second_half(served, wall_s, exact, first)
    print("\nThe ledger:\n", flush=True)
    command = ["ledger", "query", "--by", "pool,target", "--so-far", "--against", "scripted:api"]
    subprocess.run([sys.executable, "-m", "breakeven", *command], cwd=folder, check=False)


def _second_half(served: list[Served], wall_s: float, pace: Pace, first: Outcome) -> None:
    """Print what the simulator, as calibrated on the first half, says of the second, beside what happened."""
    later = [item for item in served if item.at_s >= HALF * wall_s]
    whole = _simulated(served, wall_s, pace)
    over_requests, over_usd = whole.api_requests - first.api_requests, whole.api_usd - first.api_usd
    nodes_usd = NODES * NODE_USD_PER_HOUR * HALF * wall_s / 3600
    real_usd = nodes_usd + sum(_api_usd(item) for item in later if not item.on_pool)
    share = over_requests / len(later)
    print(f"\nsecond half, simulated / measured: overflow {share:.1%} / {_share(later):.1%} "
          f"({share / max(_share(later), 1e-9) - 1:+.1%}), cost {nodes_usd + over_usd:.4f} / {real_usd:.4f} USD "
          f"({(nodes_usd + over_usd) / real_usd - 1:+.1%})")  # fmt: skip
    print(f"TTFT on nodes, whole run, simulated p50 {whole.pool_ttft.quantile_s(0.5):.2f} s, "
          f"p95 {whole.pool_ttft.quantile_s(0.95):.2f} s")  # fmt: skip


def _calibrated(served: list[Served], wall_s: float, pace: Pace) -> tuple[float, Outcome]:
    """Return how fast nodes were, of what one alone was, so that as much of the first half overflows as did."""
    first = [item for item in served if item.at_s < HALF * wall_s]
    wanted = _share(first)
    low, high = 0.1, 4.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        if _simulated(first, wall_s, faster(pace, middle)).api_requests / len(first) > wanted:
            low = middle
        else:
            high = middle
    found = _simulated(first, wall_s, faster(pace, high))
    print(f"calibrated on the first half: nodes at {high:.2f} times the speed of one alone; overflow "
          f"{found.api_requests / len(first):.1%} / {wanted:.1%}")  # fmt: skip
    return high, found


def _simulated(served: list[Served], wall_s: float, pace: Pace) -> Outcome:
    """Run requests through the pool and its overflow, by the policy and the limits of the gateway."""
    rules = Rules(POLICY_NAMES.index("overflow"), MOST_WAITING, math.inf, 1.0, BACK_RATIO)
    api = Api(ttft_s=API_TTFT_S, tpot_s=API_TPOT_S)
    simulation = Simulation(pace, NODES, rules, apis=(api,), span_s=wall_s)
    simulation.feed(_demand(served, apis=1))
    return simulation.outcome()


def _all_pool(served: list[Served], wall_s: float, pace: Pace, nodes: int) -> Outcome:
    rules = Rules(POLICY_NAMES.index("two_choices"), 1 << 30, math.inf)
    simulation = Simulation(pace, nodes, rules, span_s=wall_s)
    simulation.feed(_demand(served, apis=0))
    return simulation.outcome()


def _demand(served: list[Served], *, apis: int) -> Demand:
    """Return the requests as nodes count them, at the prices of the API, which counts no template."""
    count = len(served)
    added = [item.input_tokens - item.call.prompt_tokens for item in served if item.on_pool]
    template = round(sum(added) / max(1, len(added)))
    return Demand(
        arrived_s=np.array([item.at_s for item in served]),
        prompt=np.array([item.call.prompt_tokens + template for item in served]),
        output=np.array([item.call.answer_tokens for item in served]),
        cached=np.zeros(count, dtype=np.int64),
        uniform=np.random.default_rng(1).random(count),
        api_usd=np.array([[_api_usd(item)] * apis for item in served]).reshape(count, apis),
    )


def _api_usd(item: Served) -> float:
    given, made = (float(API_PRICES[key]) for key in ("input_usd_per_mtok", "output_usd_per_mtok"))
    return (item.call.prompt_tokens * given + item.call.answer_tokens * made) / 1e6


def _share(served: list[Served]) -> float:
    return sum(not item.on_pool for item in served) / max(1, len(served))


def _tenths(served: list[Served], wall_s: float) -> Iterator[list[Served]]:
    for tenth in range(10):
        yield [item for item in served if tenth <= item.at_s / wall_s * 10 < tenth + 1]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
