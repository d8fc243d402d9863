"""Sends malformed HTTP requests to a running gateway, and looks at whatever comes back, and whatever gets through.

    python scripts/fuzz_requests.py --cases 1000000

Every case (``fuzz_cases.py``) is read first by an HTTP parser here, which says what must happen: a request that is
whole gets exactly one answer and its connection is used for the next case; anything else gets an answer or a closed
connection.  Answers may say 2xx (which needs the key, but for /health) or 4xx, and must be whole, well-formed HTTP
with JSON in them and no header that the request smuggled in.  A 5xx, silence, a process that dies or grows, or a
complaint in the log is a bug.  The upstream behind the gateway is as strict: it takes nothing but what the gateway
should send.  Equal seeds send the same bytes; what fails is written to ``--failures`` with the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import uvloop
from fuzz_cases import CANARY, PATHS, case
from gateway_process import KEY, GatewayProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S: Final = 10.0
"""A connection on which nothing happens for so long hangs."""

HEADER_S: Final = 2.0
"""What the gateway allows for a head, and for a pause in a body."""

WAITING_CASES: Final = 64
"""One in so many unfinished requests waits for the gateway to lose patience; from the others the client leaves."""

SETTLED_FRACTION: Final = 0.3
"""After so much of the run memory is compared with that at the end."""

MOST_GROWTH_KIB: Final = 8 * 1024
MOST_ALIKE: Final = 20
"""So many cases are written down that fail in the same way."""

_KEY: Final = KEY.encode()
_RENAMED: Final = "its-own-name"
_PLACES: Final = {b"plain": ("plain",), b"renamed": (_RENAMED,)}
_SUFFIXES: Final = frozenset(path.removeprefix(b"/v1") for path in PATHS)
_SENT_HEADERS: Final = frozenset(
    {b"host", b"content-type", b"accept", b"accept-encoding", b"user-agent", b"content-length", b"anthropic-version",
     b"anthropic-beta", b"openai-beta"}
)  # fmt: skip
_USAGE: Final = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_WHOLE: Final = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()
_EVENTS: Final = (
    b"data: %b\n\ndata: [DONE]\n\n"
    % json.dumps(
        {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ).encode()
)


class Upstream(asyncio.Protocol):
    """What stands behind the gateway; it says what is wrong with a request on its standard output."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Read; what is no HTTP is a bug of whoever sent it."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._report(f"this is no HTTP: {error}", data)
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Begin with nothing."""
        self._url = b""
        self._names: list[bytes] = []
        self._pieces: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Collect."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect."""
        del value
        self._names.append(name.lower())

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Look at the whole request, and answer it."""
        body = b"".join(self._pieces)
        streamed = False
        try:
            streamed = self._check(body)
        except AssertionError as error:
            self._report(str(error), body)
        except RecursionError:
            pass  # nested more deeply than this reader reads
        except ValueError as error:
            self._report(f"this is no JSON: {error}", body)
        kind, data = (b"text/event-stream", _EVENTS) if streamed else (b"application/json", _WHOLE)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (kind, len(data)) + data)

    def _check(self, body: bytes) -> bool:
        """Return whether the request asks for a stream; ``AssertionError`` says what is wrong with it."""
        _, place, suffix = self._url.split(b"/", 2)
        assert self._parser.get_method() == b"POST", f"method {self._parser.get_method()!r}"
        assert b"/" + suffix in _SUFFIXES, f"path {self._url!r}"
        odd = set(self._names) - _SENT_HEADERS
        assert not odd, f"headers {odd}"
        assert len(self._names) == len(set(self._names)), f"headers twice: {self._names}"
        members: list[tuple[str, Any]] = []

        def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            members[:] = pairs  # the outermost object ends last
            return dict(pairs)

        text = body.decode("utf-8", "replace")
        asked = json.JSONDecoder(object_pairs_hook=keep, strict=False, parse_int=str).decode(text)
        assert isinstance(asked, dict), "a body that is no object"
        named = [value for name, value in members if name == "model"]
        assert len(named) == 1 or place == b"plain", f"{len(named)} models"
        assert all(name in _PLACES[place] for name in named[-1:]), f"model {named}"
        streamed = asked.get("stream") is True
        if streamed and suffix == b"chat/completions":
            assert (asked.get("stream_options") or {}).get("include_usage") is True, "a stream without usage"
        return streamed

    def _report(self, what: str, data: bytes) -> None:
        print(json.dumps({"upstream": what, "url": repr(self._url), "bytes": data.hex()}), flush=True)


class Expected:
    """What a parser says of the bytes of a case."""

    def __init__(self, data: bytes) -> None:
        self.begun = self.whole = 0
        self.sure = True
        self.keeps_alive = False
        self.head = False
        """Some request is HEAD, so that answers are not what they look like."""

        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.sure = False
        self.unfinished = self.sure and self.begun > self.whole
        self.sure = self.sure and self.begun == self.whole == 1

    def on_message_begin(self) -> None:
        """Count."""
        self.begun += 1

    def on_message_complete(self) -> None:
        """Count; of the first, note what it means for the connection."""
        self.whole += 1
        self.head |= self._parser.get_method() == b"HEAD"
        if self.whole == 1:
            self.keeps_alive = self._parser.should_keep_alive()


class Prober(asyncio.Protocol):
    """One client that sends one case after the other, over a connection as long as it lasts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._number = -1
        self._pieces: tuple[bytes, ...] = ()
        self._at = 0
        self._expected = Expected(b"")
        self._received = b""
        self._answers = 0
        self._in_answer = self._ends_with_connection = False
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._used = False
        """Whether the connection has carried another case."""

        self.since_s = 0.0

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the case that waits for it."""
        self._transport = cast("asyncio.Transport", transport)
        self._used = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Go on with the next case over a new connection."""
        del exc
        self._transport = None
        if self._in_answer and self._ends_with_connection:
            self.on_message_complete()
        if self._in_answer:
            self._fail("the connection ended within an answer")
        elif self._expected.sure and not self._answers:
            if self._used:  # the gateway may close a kept connection just when it is used again: clients try once more
                self._run.counts["tried again"] += 1
                self._try()
                return
            self._fail("a whole request got no answer")
        self._run.counts["closed"] += not self._answers
        self._next()

    def eof_received(self) -> None:
        """Let the transport close."""

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        self.since_s = self._run.now_s
        self._received += data
        if self._expected.head:
            self._read_bare_head()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")
            self._in_answer, self._answers = False, 1  # told once
            self._leave()
            return
        if self._answers and not self._in_answer:
            self._answered()

    # The answer

    def _read_bare_head(self) -> None:
        """Read the answer to HEAD, which is a head alone; the parser would wait for a body."""
        head, end, rest = self._received.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head, end, rest = rest.partition(b"\r\n\r\n")
        if not end:
            return
        self._answers = 1
        self._headers = {b"connection": b"close"} if b"connection: close" in head else {}
        status = head.split(b" ", 2)[1]
        self._run.counts[status.decode()] += 1
        if status[:1] not in b"24":
            self._fail(f"status {status.decode()}")
        if rest and self._expected.sure and self._keeps_alive():
            self._fail("a body in the answer to HEAD, on a connection that stays open")
            self._leave()
        else:
            self._answered()

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._in_answer = True
        self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect."""
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._body.append(data)

    def on_headers_complete(self) -> None:
        """Note whether the answer ends with the connection."""
        names = self._headers.keys()
        self._ends_with_connection = not {b"content-length", b"transfer-encoding"} & names

    def on_message_complete(self) -> None:
        """Judge an answer; interim ones are passed over."""
        status = self._parser.get_status_code()
        self._in_answer = False
        if status < 200:
            return
        self._answers += 1
        self._run.counts[str(status)] += 1
        wrong = self._wrong(status, b"".join(self._body))
        if wrong:
            self._fail(wrong)

    def _wrong(self, status: int, body: bytes) -> str:
        """Return what is wrong with an answer, or nothing."""
        data = b"".join(self._pieces)
        if not (200 <= status < 300 or 400 <= status < 500):
            return f"status {status}"
        if CANARY in self._headers:
            return "a header was smuggled into the answer"
        if status < 300 and _KEY not in data and b"/health" not in data:
            return "an answer without a key"
        if self._headers.get(b"content-type") == b"application/json":
            try:
                said = json.loads(body)
            except ValueError:
                return "an answer that is no JSON"
            if status >= 400 and not (isinstance(said, dict) and isinstance(said.get("error"), dict)):
                return "an error without its object"
        return ""

    def _answered(self) -> None:
        """Go on: over the same connection where it stays open."""
        if self._expected.sure:
            if self._answers > 1:
                self._fail(f"{self._answers} answers to one request")
            if self._keeps_alive():
                self._next()
            # else the gateway has to close it
        elif self._at >= len(self._pieces):
            self._leave()

    def _keeps_alive(self) -> bool:
        return self._expected.keeps_alive and self._headers.get(b"connection") != b"close"

    # The case

    def begin(self) -> None:
        """Begin with the first case."""
        self._next()

    def _next(self) -> None:
        number = next(self._run.numbers, None)
        if number is None:
            self._number = -1
            self._leave()
            self._run.ended()
            return
        self._number = number
        self._pieces = case(self._run.seed, number, _KEY)
        self._expected = Expected(b"".join(self._pieces))
        self._used = self._transport is not None
        self._try()

    def _try(self) -> None:
        self._at = self._answers = 0
        self._in_answer = self._ends_with_connection = False
        self._received = b""
        self._parser = httptools.HttpResponseParser(self)
        self.since_s = self._run.now_s
        if self._transport is not None and not self._transport.is_closing():
            self._send()
        elif self._transport is None:
            self._run.connect(self)

    def _send(self) -> None:
        transport, number = self._transport, self._number
        if transport is None or transport.is_closing():
            return
        transport.write(self._pieces[self._at])
        self._at += 1
        if self._at < len(self._pieces):
            self._loop.call_later(0.001 * (self._at % 3), self._send_more, number)
        elif self._expected.unfinished and not self._expected.whole and number % WAITING_CASES:
            transport.write_eof()

    def _send_more(self, number: int) -> None:
        if number == self._number and (self._expected.sure or not self._answers):
            self._send()
        elif number == self._number:
            self._leave()

    def check(self) -> None:
        """Say that the connection hangs, if it does."""
        if self._number >= 0 and self._run.now_s - self.since_s > PATIENCE_S:
            self._fail(f"nothing for {PATIENCE_S:g} s")
            self.since_s = self._run.now_s
            self._leave()

    def _leave(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, why: str) -> None:
        self._run.fail(self._number, why, self._pieces, self._received)


class Run:
    """The cases of one process."""

    def __init__(self, port: int, seed: int, numbers: Iterator[int], failures: Path) -> None:
        self.port = port
        self.seed = seed
        self.numbers = numbers
        self.counts: Counter[str] = Counter()
        self.now_s = time.monotonic()
        self._failures = failures
        self._kinds: Counter[str] = Counter()
        self._open = 0
        self._done = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()

    async def all(self, connections: int) -> None:
        """Send all of them."""
        probers = [Prober(self) for _ in range(connections)]
        self._open = connections
        for prober in probers:
            prober.begin()
        while not self._done.is_set():
            await asyncio.sleep(0.25)
            self.now_s = time.monotonic()
            for prober in probers:
                prober.check()

    def connect(self, prober: Prober) -> None:
        """Make a connection for a prober."""
        task = asyncio.get_running_loop().create_task(self._connect(prober))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, prober: Prober) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: prober, "127.0.0.1", self.port)
        except OSError as error:
            self.fail(-1, f"no connection: {error}", (), b"")
            await asyncio.sleep(0.5)
            self.connect(prober)

    def ended(self) -> None:
        """Count a prober that has no more cases."""
        self._open -= 1
        if not self._open:
            self._done.set()

    def fail(self, number: int, why: str, pieces: tuple[bytes, ...], received: bytes) -> None:
        """Write down a case that failed."""
        self.counts["failed"] += 1
        self._kinds[why] += 1
        if self._kinds[why] > MOST_ALIKE:
            return
        self._failures.mkdir(parents=True, exist_ok=True)
        (self._failures / f"case-{self.seed}-{number}.bin").write_bytes(b"".join(pieces))
        about = {"why": why, "pieces": [len(piece) for piece in pieces], "received": repr(received[:2000])}
        (self._failures / f"case-{self.seed}-{number}.json").write_text(json.dumps(about, indent=1))
        print(f"case {number}: {why}", file=sys.stderr, flush=True)


def settings(upstream_port: int, workers: int) -> dict[str, Any]:
    """Return the gateway's settings: a target that knows models by their names, and one that does not."""
    base = f"http://127.0.0.1:{upstream_port}"
    protocols = ["chat", "completions", "responses", "embeddings", "messages"]
    targets = {
        "plain": {"url": f"{base}/plain", "prices": "scripts:priced", "protocols": protocols},
        "renamed": {"url": f"{base}/renamed", "model": _RENAMED, "protocols": protocols},
    }
    models = {name: {"targets": [name]} for name in targets}
    limits = {"header_s": HEADER_S, "body_s": HEADER_S, "body_bytes": 4 * 2**20}
    return {"targets": targets, "models": models, "limits": limits, "workers": workers}


def fuzz(given: argparse.Namespace, folder: Path) -> list[str]:
    """Run all processes, print what was found, and return what is wrong."""
    upstream_port = free_port()
    reports = folder / "upstream.txt"
    script = [sys.executable, __file__]
    with reports.open("wb") as out:
        upstream = subprocess.Popen([*script, "--serve", str(upstream_port)], stdout=out)
    try:
        with GatewayProcess(folder, settings(upstream_port, given.workers)) as gateway:
            counts, growth, wrong, wall_s = _probe(given, gateway, script)
            stopped = gateway.stop()
            complaints = gateway.complaints()
    finally:
        upstream.kill()
        upstream.wait()
    speed = given.cases / wall_s
    print(f"{given.cases:,} cases in {wall_s:.0f} s, {speed:,.0f} a second: {dict(sorted(counts.items()))}")
    print(f"KiB grown since {SETTLED_FRACTION:.0%} of it: {growth}")
    wrong += [f"{name} grew by {kib:,} KiB" for name, kib in growth.items() if kib > MOST_GROWTH_KIB]
    wrong += [f"{counts['failed']} cases failed: see {given.failures}"] if counts["failed"] else []
    wrong += [f"exit code {stopped}"] if stopped else []
    seen = reports.read_text().splitlines()
    if seen:
        given.failures.mkdir(parents=True, exist_ok=True)
        (given.failures / "upstream.txt").write_text("\n".join(seen[:1000]))
        kinds = Counter(json.loads(line)["upstream"][:60] for line in seen)
        wrong.append(f"the upstream got what it should not: {dict(kinds)}")
    return wrong + [f"the gateway says: {line}" for line in complaints[:20]]


def _probe(
    given: argparse.Namespace, gateway: GatewayProcess, script: list[str]
) -> tuple[Counter[str], dict[str, int], list[str], float]:
    """Return how often what happened, KiB grown by process, what is wrong with them, and the seconds that it took."""
    begin = [seen.pid for seen in gateway.seen()]
    began_s = time.monotonic()
    resident: list[dict[str, int]] = []
    options = ["--cases", str(given.cases), "--seed", str(given.seed), "--connections", str(given.connections)]
    options += ["--processes", str(given.processes), "--failures", str(given.failures), "--first", str(given.first)]
    children = [
        subprocess.Popen([*script, "--probe", str(gateway.port), "--turn", str(turn), *options], stdout=subprocess.PIPE)
        for turn in range(given.processes)
    ]
    while any(child.poll() is None for child in children):
        resident.append({seen.name: seen.resident_kib for seen in gateway.seen()})
        time.sleep(0.25)
    wall_s = time.monotonic() - began_s
    counts: Counter[str] = Counter()
    for child in children:
        counts.update(json.loads(child.communicate()[0] or '{"failed": 1}'))
    early = resident[int(len(resident) * SETTLED_FRACTION)]
    growth = {name: kib - early.get(name, 0) for name, kib in resident[-1].items()}
    wrong = [] if [seen.pid for seen in gateway.seen()] == begin else ["a process died"]
    return counts, growth, wrong, wall_s


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def _child(given: argparse.Namespace) -> None:
    numbers = iter(range(given.first + given.turn, given.first + given.cases, given.processes))
    run = Run(given.probe, given.seed, numbers, given.failures)
    await run.all(given.connections)
    print(json.dumps(run.counts))


def main() -> None:
    """Fuzz, and exit with 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case; --cases 1: it alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="clients; each sends every so-manieth case")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway")
    parser.add_argument("--connections", type=int, default=48, help="of each client")
    kept = Path(tempfile.gettempdir()) / "breakeven-fuzz-failures"
    parser.add_argument("--failures", type=Path, default=kept, help=f"folder for what fails; default: {kept}")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--turn", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve or given.probe:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(given.serve) if given.serve else _child(given))
        return
    with tempfile.TemporaryDirectory(prefix="breakeven-fuzz-") as folder:
        wrong = fuzz(given, Path(folder))
    print("\n".join(f"WRONG: {line}" for line in wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
