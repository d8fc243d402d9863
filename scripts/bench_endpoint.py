"""How many streams `breakeven bench` reads from one core, and how it compares with other tools at a real engine.

bench_endpoint.py [--streams 500,1000,2000,4000]
    A made endpoint in another process streams a chunk every GAP_S to each client, with the time at which it was
    sent in it; the client runs on a core of its own.  Printed: CPU a chunk, and how late the client noted one.

bench_endpoint.py --engine llama|vllm [--streams 1,4,8] [--peers FOLDER]
    An 88M-parameter model of random weights on this machine's CPU, measured by us and by the tools that FOLDER
    has (guidellm/ and vllm/, virtual environments), one after the other, at the same lengths and streams.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import httptools
import numpy as np
import uvloop

import breakeven.bench.load as bench_load
from breakeven.bench.call import Call
from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import CHAT_TEMPLATE, MARKS, LlamaShape, vocabulary, write_random_llama
from breakeven.wiring.bench import run_bench
from breakeven.wiring.bench_question import BenchRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.capacity.calibration import Level

EVENTS: Final = 200
GAP_S: Final = 0.05
FIRST_S: Final = 0.2
MODEL: Final = "made"
_PHASES: Final = 50
_STAMP: Final = b'"content":"'
_STAMP_DIGITS: Final = 16
_EVERY: Final = 8
"""Of so many packets one has its delay noted: reading the stamp is not the client's work."""


def _chunk(payload: bytes) -> bytes:
    event = b"data: %b\n\n" % payload
    return b"%x\r\n%b\r\n" % (len(event), event)


def _stamped() -> bytes:
    """Return a chunk whose text is the time in nanoseconds; the kernel's stopwatch is the same for all processes."""
    return _chunk(
        b'{"id":"c","object":"chat.completion.chunk","created":1730000000,"model":"made",'
        b'"choices":[{"index":0,"delta":{"content":"%016d"},"finish_reason":null}]}' % time.monotonic_ns()
    )


_NAME: Final = "m76"
_SHAPE: Final = LlamaShape(
    channel_count=768,
    feed_forward_count=2048,
    layers=12,
    head_count=12,
    kv_heads=4,
    head_size=64,
    context_tokens=2048,
)
"""76 million parameters with the vocabulary of bytes."""

_ISL: Final = 256
_OSL: Final = 64
_TEMPLATE_TOKENS: Final = 19
"""What the chat template adds to a prompt, which other tools do not count when they make one."""

_SECONDS: Final = 20.0
_VLLM_PORT: Final = 18_101
_PATIENCE_S: Final = 180
_QUIET: Final = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}  # noqa: TID251 - for the tools


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Made(asyncio.Protocol):
    """A connection of the made endpoint; its chunks go out with those of its phase."""

    phases: Final[list[set[Made]]] = [set() for _ in range(_PHASES)]
    made_count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._body_bytes = self._left = 0
        self._asked = b""
        Made.made_count += 1
        self._phase = Made.phases[Made.made_count % _PHASES]

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Keep what is asked."""
        self._asked += data

    def on_message_complete(self) -> None:
        """Begin to answer."""
        asked = json.loads(self._asked)
        self._words = len(asked["messages"][0]["content"].split()) + 9
        self._output = self._left = asked["max_tokens"]
        self._asked = b""
        self._transport.write(_HEAD)
        asyncio.get_running_loop().call_later(FIRST_S, self._phase.add, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._phase.discard(self)
        self._left = -1

    def send(self) -> None:
        """Send the next chunk, or the end."""
        if self._left < 0:
            self._phase.discard(self)
        elif self._left:
            self._left -= 1
            self._transport.write(_stamped())
        else:
            self._phase.discard(self)
            usage = {"prompt_tokens": self._words, "completion_tokens": self._output}
            last = _chunk(json.dumps({"choices": [], "usage": usage}).encode())
            self._transport.write(last + _chunk(b"[DONE]") + b"0\r\n\r\n")


async def serve_made(port: int) -> None:
    """Serve for ever, a phase at a time."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Made, "127.0.0.1", port, backlog=8192)
    due_s, step_s = loop.time(), GAP_S / _PHASES
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    turn = 0
    while True:
        for connection in list(Made.phases[turn % _PHASES]):
            connection.send()
        turn += 1
        due_s += step_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


class StampedCall(Call):
    """The client's own call, which now and then notes how long ago its packet was sent."""

    __slots__ = ("_packets",)
    delays_ns: Final[list[int]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._packets = 0

    def _take(self, data: bytes) -> None:
        super()._take(data)
        self._packets += 1
        if self._packets % _EVERY == 0 and (at := data.find(_STAMP)) >= 0:
            start = at + len(_STAMP)
            self.delays_ns.append(time.monotonic_ns() - int(data[start : start + _STAMP_DIGITS]))


def scale(streams: tuple[int, ...]) -> None:
    """Print what many streams cost one core."""
    cores = sorted(os.sched_getaffinity(0))
    port = 18_099
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port)], stdout=subprocess.PIPE)
    os.sched_setaffinity(server.pid, {cores[0]})
    os.sched_setaffinity(0, {cores[-1]})
    vars(bench_load)["Call"] = StampedCall
    print(f"A chunk every {GAP_S * 1e3:g} ms to each stream, {EVENTS} a request; the client on one core.\n")
    print("| streams | chunks/s | CPU of the core | µs a chunk | noted late, ms p50 p99 | clock late, ms p99 ", end="")
    print("| TPOT ms p50 p99 |")
    print("|---|---|---|---|---|---|---|")
    try:
        assert server.stdout is not None
        server.stdout.readline()
        for count in streams:
            _print_scale(
                count, _measured(f"http://127.0.0.1:{port}/v1", MODEL, count, (100, EVENTS), seconds=20.0, spread=0.3)
            )
    finally:
        server.kill()
        server.wait()


def _print_scale(count: int, level: Level) -> None:
    late = np.array(StampedCall.delays_ns) / 1e6
    StampedCall.delays_ns.clear()
    rate = level.output_tokens_per_s
    print(
        f"| {count:,} | {rate:,.0f} | {level.client_busy_fraction:.0%} | {1e6 * level.client_busy_fraction / rate:.1f} "
        f"| {np.quantile(late, 0.5):.2f} {np.quantile(late, 0.99):.2f} | {level.lag_p99_ms:.1f} "
        f"| {level.tpot.p50_ms:.2f} {level.tpot.p99_ms:.2f} |"
    )


def _measured(url: str, model: str, count: int, lengths: tuple[int, int], *, seconds: float, spread: float) -> Level:
    found = run_bench(
        BenchRequest(
            url=url,
            model=model,
            isl_tokens=(lengths[0],),
            osl_tokens=(lengths[1],),
            spread_fraction=spread,
            concurrencies=(count,),
            level_s=seconds,
            narrow_fraction=0.02,
            most_requests=1_000_000,
        )
    )
    return found.calibration.levels[0]


def compare(engine: str, streams: tuple[int, ...], peers: Path) -> None:
    """Print what each tool says of one engine, one tool after the other at each number of streams."""
    print(f"{engine}, {_ISL} tokens in, {_OSL} out, {_SECONDS:g} s each; the engine begins anew for each.\n")
    print("| streams | tool | tok/s | TTFT ms p50 | TPOT ms p50 | requests | input, output tokens |")
    print("|---|---|---|---|---|---|---|")
    for count, (name, tool) in product(streams, _TOOLS.items()):
        tools = peers / name / "bin"
        if tool is _ours or tools.is_dir():
            with tempfile.TemporaryDirectory() as folder, _engine(engine, Path(folder), peers) as url:
                _print_row(count, name, tool(url, count, tools, Path(folder)))


class Row(NamedTuple):
    """What one tool said."""

    output_tokens_per_s: float
    ttft_ms: float
    tpot_ms: float
    requests: int
    isl_tokens: float
    osl_tokens: float


def _print_row(count: int, tool: str, row: Row | None) -> None:
    if row is None:
        print(f"| {count} | {tool} | failed | | | | |", flush=True)
    else:
        told = f"{row.output_tokens_per_s:,.0f} | {row.ttft_ms:,.1f} | {row.tpot_ms:.2f} | {row.requests:,}"
        print(f"| {count} | {tool} | {told} | {row.isl_tokens:,.0f}, {row.osl_tokens:,.0f} |", flush=True)


def _ours(url: str, count: int, tools: Path, folder: Path) -> Row:
    del tools, folder
    command = [
        sys.executable, "-m", "breakeven", "bench", url, "--model", _NAME, "--isl", str(_ISL), "--osl", str(_OSL),
        "--concurrency", str(count), "--seconds", str(_SECONDS), "--narrow", "0", "--json",
    ]  # fmt: skip
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    level = json.loads(told)["calibration"]["levels"][0]
    return Row(
        level["output_tokens_per_s"], level["ttft"]["p50_ms"], level["tpot"]["p50_ms"], level["requests"],
        level["isl_tokens"], level["osl_tokens"],
    )  # fmt: skip


def _guidellm(url: str, count: int, tools: Path, folder: Path) -> Row | None:
    out = folder / "guidellm.json"
    command = [
        tools / "guidellm", "run", "--backend", f"kind=openai_http,target={url.removesuffix('/v1')}",
        "--profile", f"kind=concurrent,streams={count}", "--constraint", f"kind=max_duration,seconds={_SECONDS:g}",
        "--tokenizer", f"kind=huggingface_auto,model={folder}",
        "--data", f"kind=synthetic_text,prompt_tokens={_ISL - _TEMPLATE_TOKENS},output_tokens={_OSL}",
        "--output", f"kind=json,path={out}", "--disable-console",
    ]  # fmt: skip
    if not _ran(command):
        return None
    found = json.loads(out.read_text())["benchmarks"][0]["metrics"]

    def median(name: str) -> float:
        return float(found[name]["successful"]["median"])

    return Row(
        float(found["output_tokens_per_second"]["successful"]["mean"]), median("time_to_first_token_ms"),
        median("inter_token_latency_ms"), int(found["request_totals"]["successful"]), median("prompt_token_count"),
        median("output_token_count"),
    )  # fmt: skip


def _vllm_bench(url: str, count: int, tools: Path, folder: Path) -> Row | None:
    out = folder / "vllm.json"
    out.unlink(missing_ok=True)
    command = [
        tools / "vllm", "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions",
        "--base-url", url.removesuffix("/v1"), "--model", _NAME, "--tokenizer", folder, "--dataset-name", "random",
        "--random-input-len", str(_ISL - _TEMPLATE_TOKENS), "--random-output-len", str(_OSL), "--ignore-eos",
        "--num-prompts", str(8 * count + 8), "--max-concurrency", str(count), "--save-result",
        "--result-filename", out,
    ]  # fmt: skip
    if not _ran(command):
        return None
    found = json.loads(out.read_text())
    count_ended = int(found["completed"])
    return Row(
        found["output_throughput"], found["median_ttft_ms"], found["median_tpot_ms"], count_ended,
        found["total_input_tokens"] / count_ended, found["total_output_tokens"] / count_ended,
    )  # fmt: skip


def _ran(command: list[Any]) -> bool:
    done = subprocess.run([str(part) for part in command], env=_QUIET, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:] + done.stdout[-2000:])
    return done.returncode == 0


_TOOLS: Final[dict[str, Callable[[str, int, Path, Path], Row | None]]] = {
    "breakeven bench": _ours,
    "guidellm": _guidellm,
    "vllm": _vllm_bench,
}


@contextlib.contextmanager
def _engine(kind: str, folder: Path, peers: Path) -> Iterator[str]:
    """Serve the model with a real engine in a process of its own; yields its base URL."""
    _write_tokenizer(folder)
    if kind == "llama":
        write_random_llama(folder / "model.gguf", shape=_SHAPE, name=_NAME)
        command = [sys.executable, __file__, "--llama", str(folder / "model.gguf")]
    else:
        command = [
            str(peers / "vllm/bin/vllm"), "serve", str(folder), "--served-model-name", _NAME, "--host", "127.0.0.1",
            "--port", str(_VLLM_PORT), "--load-format", "dummy", "--enforce-eager", "--max-model-len", "2048",
            "--kv-cache-memory-bytes", str(1 << 29), "--no-enable-prefix-caching",
        ]  # fmt: skip
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, env=_QUIET, stdout=subprocess.PIPE if kind == "llama" else log, stderr=log)
    cores = sorted(os.sched_getaffinity(0))
    if kind == "llama" and len(cores) > 1:  # it has one thread: a core for it, the others for the tools
        os.sched_setaffinity(process.pid, cores[:1])
        os.sched_setaffinity(0, cores[1:])
    try:
        told = process.stdout.readline().decode().strip() if process.stdout is not None else ""
        url = told or f"http://127.0.0.1:{_VLLM_PORT}/v1"
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(_PATIENCE_S):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/models") as answer:  # noqa: S310 - our own
            answer.read()
            return
        if process.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit(f"The engine did not come up at {url}.")


def _serve_llama(model: str) -> None:
    settings = EngineSettings(name=_NAME, slot_count=16, thread_count=1)
    with running_engine(Path(model), settings) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        signal.pause()


def _write_tokenizer(folder: Path) -> None:
    """Write what tools of the Hugging Face kind want: the byte vocabulary of our models, and their shape."""
    words = vocabulary()
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [
        {"id": at, "content": mark, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for at, mark in enumerate(MARKS)
    ]  # fmt: skip
    model = {"type": "BPE", "vocab": {word: at for at, word in enumerate(words)}, "merges": [["t", "h"]]}
    whole = {"version": "1.0", "added_tokens": added, "pre_tokenizer": level, "decoder": level, "model": model}
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _SHAPE.context_tokens, "eos_token": MARKS[2],
        "pad_token": MARKS[3], "chat_template": CHAT_TEMPLATE,
    }  # fmt: skip
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": _SHAPE.channel_count,
        "intermediate_size": _SHAPE.feed_forward_count, "num_hidden_layers": _SHAPE.layers,
        "num_attention_heads": _SHAPE.head_count, "num_key_value_heads": _SHAPE.kv_heads,
        "head_dim": _SHAPE.head_size, "max_position_embeddings": _SHAPE.context_tokens, "vocab_size": len(words),
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "rms_norm_eps": 1e-5, "bos_token_id": 0,
        "eos_token_id": 2, "pad_token_id": 3,
    }  # fmt: skip
    for name, data in (("tokenizer", whole), ("tokenizer_config", told), ("config", config)):
        (folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="")
    parser.add_argument("--engine", choices=["llama", "vllm"])
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "bench-peers")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--llama", help=argparse.SUPPRESS)
    args = parser.parse_args()
    streams = tuple(int(item) for item in args.streams.split(",")) if args.streams else ()
    if args.llama:
        _serve_llama(args.llama)
    elif args.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
            runner.run(serve_made(args.serve))
    elif args.engine:
        compare(args.engine, streams or (1, 4, 8), args.peers)
    else:
        scale(streams or (500, 1000, 2000))


if __name__ == "__main__":
    main()
