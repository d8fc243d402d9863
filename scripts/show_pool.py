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
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import uvloop
from recorded_pool import (
    BACK_RATIO,
    MOST_WAITING,
    NODE_USD_PER_HOUR,
    NODES,
    Call,
    Served,
    engines,
    gateway,
    replay,
    say,
    served_calls,
    speed_at_which,
    template_tokens,
    trace_calls,
)

from breakeven.capacity.calibrated_pace import faster
from breakeven.capacity.fleet import POLICY_NAMES, Demand, Rules
from breakeven.capacity.simulate import Api, Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome

API_PRICES: Final = {"input_usd_per_mtok": "10", "output_usd_per_mtok": "40"}
"""So dear that a token of these small requests costs what one of large ones would."""

API_TTFT_S: Final = 0.25
API_TPOT_S: Final = 0.01
SLO_TTFT_S: Final = 2.0
HALF: Final = 0.5


def main() -> None:
    """Run it and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=6.0)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the trace, as it happened")
    asked = parser.parse_args()
    calls = list(trace_calls(asked.speed, asked.minutes))
    with tempfile.TemporaryDirectory(prefix="breakeven-pool-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        say(f"{len(calls):,} requests in {calls[-1].at_s / 60:.1f} minutes, at {asked.speed:g} times their speed")
        pace = stack.enter_context(engines(folder))
        api_url = stack.enter_context(_scripted_api())
        began_s, wall_s = _through_gateway(folder, api_url, calls, pace)
        _report(folder, list(served_calls(folder, calls, began_s)), wall_s, pace)


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
    card = {"provider": "scripted", "model": "api", "source": "made up", "checked_on": "2026-01-01"}
    (folder / "cards.yaml").write_text(json.dumps({"rate_cards": [card | {"prices": [API_PRICES]}]}))
    settings = {
        "targets": {"api": {"url": api_url, "model": "api", "prices": "scripted:api"}},
        "models": {"chat": {"targets": ["own", "api"], "policy": "overflow"}},
        "rate_cards": ["cards.yaml"],
    }
    with gateway(folder, settings, pace) as port:
        say("sending …")
        began_s, began = datetime.now(UTC).timestamp(), time.monotonic()
        for sent in uvloop.run(replay(port, calls)):
            if sent.refused:
                say(sent.refused)
        return began_s, time.monotonic() - began


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
    ratio = speed_at_which(lambda tried: _simulated(first, wall_s, tried).api_requests / len(first), wanted, pace)
    found = _simulated(first, wall_s, faster(pace, ratio))
    print(f"calibrated on the first half: nodes at {ratio:.2f} times the speed of one alone; overflow "
          f"{found.api_requests / len(first):.1%} / {wanted:.1%}")  # fmt: skip
    return ratio, found


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
    template = template_tokens(served)
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


if __name__ == "__main__":
    main()
