"""The world of ``month.py``: a clock that is moved by hand, an API and nodes that answer at once, a team's traffic.

Everything in it is scripted but for Breakeven itself, which runs as users run it.  The API keeps its own books: what it
charges is counted from what it was asked, by day, and never looked up in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import mmap
import os
import signal
import socket
import struct
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY: Final = timedelta(days=1)
API_USD_PER_MTOK: Final = {"input": Decimal("2.50"), "output": Decimal("10.00")}
"""What the API charges, as in the rate card that the gateway is given."""

QUALITY: Final = {"api": {"extract": 0.95, "reason": 0.95}, "node": {"extract": 0.95, "reason": 0.75}}
"""How often an answer is right: of one task the candidate is as good as the API, of the other it is not."""

SHARE: Final = {"extract": 0.6, "reason": 0.4}
_ZERO: Final = Decimal(0)


def _machine_s() -> float:
    return time.time()  # noqa: TID251 - the world's own clock


class HandClock:
    """The date of every process of Breakeven, in a file; it goes on by itself from where it was put."""

    variable: Final = "BREAKEVEN_CLOCK"

    def __init__(self, path: Path, start: datetime) -> None:
        """Put the date to ``start``."""
        path.write_bytes(struct.pack("d", start.timestamp() - _machine_s()))
        self.path = path
        with path.open("r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)

    def put(self, at: datetime) -> None:
        """Move the date on to a moment; never back."""
        ahead_s = max(at.timestamp() - _machine_s(), struct.unpack("d", self._ahead[:8])[0])
        self._ahead[:8] = struct.pack("d", ahead_s)

    def now(self) -> datetime:
        """Return the moment that it is."""
        return datetime.fromtimestamp(_machine_s() + struct.unpack("d", self._ahead[:8])[0], UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of the team."""

    number: int
    at: datetime
    task: str
    input_tokens: int
    output_tokens: int

    @property
    def user(self) -> str:
        """One of some hundred people."""
        return f"user-{self.number * 7919 % 211}"

    def body(self) -> dict[str, Any]:
        """Return it as a chat request; the scripted models read what they are to do in the prompt."""
        told = {"task": self.task, "number": self.number, "in": self.input_tokens, "out": self.output_tokens}
        return {"model": "chat", "user": self.user, "messages": [{"role": "user", "content": json.dumps(told)}]}


def traffic(start: datetime, days: int, per_day: int) -> Iterator[Call]:
    """Yield the requests of some days: busy by day, quiet by night and on weekends, growing 1 % a week."""
    chance, number = np.random.default_rng(2026), 0
    for hour in range(days * 24):
        at = start + timedelta(hours=hour)
        level = 1 - 0.85 * math.cos((at.hour - 3) / 24 * 2 * math.pi)
        level *= (0.55 if at.weekday() >= 5 else 1.0) * 1.01 ** (hour / 168)
        for offset_s in sorted(chance.uniform(0, 3600, chance.poisson(level * per_day / 24))):
            task = "extract" if chance.random() < SHARE["extract"] else "reason"
            yield Call(
                number=number,
                at=at + timedelta(seconds=float(offset_s)),
                task=task,
                input_tokens=int(chance.lognormal(10.7, 0.5)),
                output_tokens=int(chance.lognormal(9.1, 0.4)),
            )
            number += 1


def is_right(place: str, task: str, number: int) -> bool:
    """Whether the answer to a request is right there; the same whenever it is asked."""
    drawn = hashlib.blake2b(f"{place}/{task}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) / 2**64 < QUALITY[place][task]


class _Answers(asyncio.Protocol):
    """API and nodes, by the path ``/api/v1/…`` or ``/node/v1/…``; the API's bill, ``/costs``; the team's ``/check``."""

    def __init__(self, clock: HandClock, books: dict[str, list[int]]) -> None:
        self._clock = clock
        self._books = books
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._write = cast("asyncio.WriteTransport", transport).write

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0]) if lengths else 0
            if not end or len(rest) < length:
                return
            self._data = rest[length:]
            path = head.split(b" ", 2)[1].decode()
            found = json.dumps(self._answer(path, rest[:length])).encode()
            said = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(found)
            self._write(said + found)

    def _answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/costs":
            return costs_page(self._books)
        if path == "/check":  # the team's own check of an answer
            return {"ok": json.loads(json.loads(body)["answer"])["answer"] == "right"}
        if not body:
            return {"object": "list", "data": [{"id": "m", "object": "model"}]}
        place = path.split("/")[1]
        asked = json.loads(body)
        told = json.loads(asked["messages"][-1]["content"])
        used = {"prompt_tokens": told["in"], "completion_tokens": told["out"]}
        if place == "api":
            day = self._books.setdefault(f"{self._clock.now():%Y-%m-%d}", [0, 0])
            day[0] += told["in"]
            day[1] += told["out"]
        right = "right" if is_right(place, told["task"], told["number"]) else "wrong"
        message = {"role": "assistant", "content": json.dumps({"answer": right})}
        return {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": used | {"total_tokens": told["in"] + told["out"]},
        }


def costs_page(books: dict[str, list[int]]) -> dict[str, Any]:
    """Return the API's bill as OpenAI's costs endpoint does: a bucket a day, a result a line item."""
    buckets = []
    for day, (given, made) in sorted(books.items()):
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        results = [
            {
                "object": "organization.costs.result",
                "amount": {"value": str(API_USD_PER_MTOK[kind] * count / 1_000_000), "currency": "usd"},
                "line_item": f"api-large, {kind}",
                "project_id": None,
            }
            for kind, count in (("input", given), ("output", made))
        ]
        buckets.append(
            {
                "object": "bucket",
                "start_time": int(start.timestamp()),
                "end_time": int((start + DAY).timestamp()),
                "results": results,
            }
        )
    return {"object": "page", "data": buckets, "has_more": False, "next_page": None}


@contextlib.contextmanager
def scripted(clock: HandClock) -> Iterator[str]:
    """Serve API and nodes in a process of their own; yield their address."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        books: dict[str, list[int]] = {}

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: _Answers(clock, books), "127.0.0.1", 0)
            theirs.send(b"%d" % server.sockets[0].getsockname()[1])
            await server.serve_forever()

        uvloop.run(serve())
        os._exit(0)
    port = int(ours.recv(16))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def invoice(url: str, path: Path) -> Decimal:
    """Fetch the API's bill into a file; return what it comes to."""
    with urllib.request.urlopen(f"{url}/costs") as answer:  # noqa: S310 - our own
        page = json.loads(answer.read())
    path.write_text(json.dumps(page, indent=1))
    return sum((Decimal(line["amount"]["value"]) for bucket in page["data"] for line in bucket["results"]), _ZERO)
