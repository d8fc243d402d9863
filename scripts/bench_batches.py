"""Batches beside people: their 99th percentile of time to first token with and without, and a million lines' memory.

People are an open Poisson stream of chats to a pool of real engines (llama.cpp with random weights, a process
each); phases with and without a batch alternate, so that what drifts hits both.  Each phase with a batch has the
arrivals of the one before it, with other words: who is late is mostly one of several who came at once, and that is not
to be left to chance.  The million lines go to a stand-in
that answers at once, so that only the queue itself is measured.  Everything else is the gateway as users run it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import json
import random  # noqa: TID251 - prompts and arrivals, drawn anew each time
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httptools
import uvloop
from gateway_process import KEY, GatewayProcess
from openai import OpenAI

from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT: Final = "/v1/chat/completions"
SLOTS: Final = 8
STRETCH_S: Final = 5.0
SHARES: Final = (0.5, 0.95, 0.99)
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }
).encode()


def chat(prompt_words: int, tokens: int, **fields: Any) -> dict[str, Any]:
    """Return a request; words differ from request to request, so that no cache of prompts helps."""
    words = " ".join(str(random.randrange(10_000)) for _ in range(prompt_words))  # noqa: S311 - a prompt
    message = {"role": "user", "content": words}
    return {"model": "m", "messages": [message], "max_tokens": tokens, "ignore_eos": True, **fields}


def input_file(count: int, prompt_words: int, tokens: int) -> io.BytesIO:
    """Lines of a batch."""
    file = io.BytesIO()
    for number in range(count):
        line = {"custom_id": f"line-{number}", "method": "POST", "url": CHAT, "body": chat(prompt_words, tokens)}
        file.write(json.dumps(line).encode() + b"\n")
    file.seek(0)
    return file


def submit(client: OpenAI, file: io.BytesIO) -> str:
    """Make a batch; return its id."""
    uploaded = client.files.create(file=("lines.jsonl", file), purpose="batch")
    return client.batches.create(input_file_id=uploaded.id, endpoint=CHAT, completion_window="24h").id


# The stand-in


class StandIn(asyncio.Protocol):
    """Answers every request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
        self.transport.write(head + ANSWER)


async def stand_in() -> None:
    """Serve until killed; the port is the first line of the output."""
    server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# People


class Person(asyncio.Protocol):
    """One streamed chat: remembers when its first event came."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.first_s = 0.0
        self.status = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Note the first event."""
        self.status = self.status or data[:12]
        if not self.first_s and b"data:" in data:
            self.first_s = time.perf_counter() - self.began_s

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        del exc
        if not self.over.done():
            self.over.set_result(None)


def arrivals(rate_per_s: float, seconds: float) -> list[float]:
    """Draw when people come, in seconds from the beginning."""
    found, at_s = [], random.expovariate(rate_per_s)
    while at_s < seconds:
        found.append(at_s)
        at_s += random.expovariate(rate_per_s)
    return found


async def people(port: int, come_s: list[float], words: int, tokens: int) -> list[float]:
    """Send a chat at each of these times; return their times to first token, NaN for what failed."""
    loop = asyncio.get_running_loop()
    begin_s = time.perf_counter()
    waiting: list[asyncio.Task[Person]] = []

    async def one() -> Person:
        person = Person(time.perf_counter())
        transport, _ = await loop.create_connection(lambda: person, "127.0.0.1", port)
        body = json.dumps(chat(words, tokens, stream=True)).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
        transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await person.over
        return person

    for at_s in come_s:
        await asyncio.sleep(max(0.0, begin_s + at_s - time.perf_counter()))
        waiting.append(loop.create_task(one()))
    done = await asyncio.gather(*waiting)
    failed = [person.status for person in done if not person.first_s]
    if failed:
        print(f"{len(failed)} of {len(done)} chats failed: {failed[:3]}")
    return [person.first_s or float("nan") for person in done]


class Stretch(NamedTuple):
    """The same few seconds of a phase without a batch and of the one with it: times to first token."""

    alone: list[float]
    beside: list[float]


def stretches(come_s: list[float], alone: list[float], beside: list[float]) -> list[Stretch]:
    """Cut two phases with the same arrivals into stretches."""
    found: dict[int, Stretch] = {}
    for at_s, alone_s, beside_s in zip(come_s, alone, beside, strict=True):
        if alone_s > 0 and beside_s > 0:
            cut = found.setdefault(int(at_s / STRETCH_S), Stretch([], []))
            cut.alone.append(alone_s)
            cut.beside.append(beside_s)
    return list(found.values())


def ratio(of: list[Stretch], share: float) -> str:
    """Return the ratio of a percentile and its 95 % interval: a bootstrap over stretches, as the late come together."""

    def once(cuts: list[Stretch]) -> float:
        beside, alone = ([value for cut in cuts for value in getattr(cut, kind)] for kind in ("beside", "alone"))
        return quantile(beside, share) / quantile(alone, share)

    drawn = sorted(once(random.choices(of, k=len(of))) for _ in range(1000))  # noqa: S311 - a bootstrap
    return f"{once(of):.3f} (95 %: {drawn[25]:.3f} to {drawn[974]:.3f})"


def quantile(values: list[float], share: float) -> float:
    """Return the value below which that share lies."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


# The two measurements


@contextmanager
def child(*arguments: str) -> Iterator[str]:
    """Run this script as another process; yields the first line it prints."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def peak_mib(gateway: GatewayProcess) -> float:
    """Return the most memory that the process of batches has had."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if b"wiring.batches" in (folder / "cmdline").read_bytes() and _under(int(folder.name), gateway):
                (line,) = [x for x in (folder / "status").read_text().splitlines() if x.startswith("VmHWM")]
                return int(line.split()[1]) / 1024
        except OSError:
            continue
    return float("nan")


def _under(pid: int, gateway: GatewayProcess) -> bool:
    parent = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return str(gateway.folder).encode() in (Path("/proc") / str(parent) / "cmdline").read_bytes()


def many_lines(count: int) -> None:
    """Drain a long batch into the stand-in."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(child("--stand-in"))
        settings = {
            "targets": {"fast": {"url": f"http://127.0.0.1:{port}/v1", "prices": "scripts:priced"}},
            "models": {"m": {"targets": ["fast"]}},
            "batches": {"max_requests": count},
        }
        gateway = stack.enter_context(GatewayProcess(folder, settings))
        client = stack.enter_context(OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEY))
        file = input_file(count, 20, 1)
        size_mib = file.getbuffer().nbytes / 2**20
        client.files.list()
        before_mib = peak_mib(gateway)
        began_s = time.perf_counter()
        name = submit(client, file)
        sent_s = time.perf_counter() - began_s
        del file
        while (batch := client.batches.retrieve(name)).status not in ENDED:
            time.sleep(1)
        took_s = time.perf_counter() - began_s
        print(f"{count:,} lines, {size_mib:.0f} MiB, sent in {sent_s:.1f} s: {batch.status}, {batch.request_counts}")
        print(
            f"{took_s:.0f} s, {count / took_s:,.0f} lines/s; peak {peak_mib(gateway):.0f} MiB ({before_mib:.0f} before)"
        )


def beside_people(args: argparse.Namespace) -> None:
    """Measure people's time to first token in phases without and with a batch."""
    found: list[Stretch] = []
    lines = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = folder / "random.gguf"
        write_random_llama(model)
        urls = [stack.enter_context(child("--engine", str(model))) for _ in range(args.nodes)]
        pool = {"engine": "llama.cpp", "nodes": [{"url": url} for url in urls], "slots": SLOTS}
        settings = {
            "pools": {"local": pool},
            "models": {"m": {"targets": ["local"], "policy": "least_busy"}},
            "batches": {"slots": args.slots},
        }
        gateway = stack.enter_context(GatewayProcess(folder, settings))
        client = stack.enter_context(OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEY))
        said = args.words, args.tokens
        uvloop.run(people(gateway.port, arrivals(args.rate, 10), *said))  # warm
        for phase in range(args.phases):
            come_s = arrivals(args.rate, args.seconds)
            alone = uvloop.run(people(gateway.port, come_s, *said))
            name = submit(client, input_file(200_000, args.words, args.tokens))
            while client.batches.retrieve(name).status == "validating":
                time.sleep(0.2)
            found += stretches(come_s, alone, uvloop.run(people(gateway.port, come_s, *said)))
            counts = client.batches.cancel(name).request_counts
            lines += counts.completed if counts else 0
            while client.batches.retrieve(name).status not in ENDED:
                time.sleep(0.2)
            print(f"phase {phase + 1}: {counts}", flush=True)
    for kind in Stretch._fields:
        values = [value for cut in found for value in getattr(cut, kind)]
        told = ", ".join(f"p{share * 100:.0f} {quantile(values, share) * 1e3:.1f} ms" for share in SHARES)
        print(f"{kind:7}: {len(values)} chats, TTFT {told}")
    for share in SHARES:
        print(f"p{share * 100:.0f} beside / alone: {ratio(found, share)}")
    print(f"{lines} lines of batches, {lines / args.phases / args.seconds:.1f} a second")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of the long batch; 0: none")
    parser.add_argument("--phases", type=int, default=4, help="phases with and without a batch, of each; 0: none")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=3, help="chats of people a second")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--stand-in", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stand_in:
        uvloop.run(stand_in())
    elif args.engine:
        with running_engine(Path(args.engine), EngineSettings(name="m", slot_count=SLOTS)) as url:
            print(url, flush=True)
            sys.stdin.read()
    else:
        if args.phases:
            beside_people(args)
        if args.lines:
            many_lines(args.lines)


if __name__ == "__main__":
    assert importlib.util.find_spec("xllamacpp"), "pip install 'breakeven[engine]'"
    main()
