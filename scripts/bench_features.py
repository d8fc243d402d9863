"""What each feature of the gateway costs a request, in µs: its function alone, timed in a loop.

A plain relay parses two heads and writes two messages; what is listed here comes on top.  The parts are called as
the worker calls them, with the values of ``bench/gateway.yaml``.  Their sum is less than the gateway's cost less a
relay's, since the calls that join them and the colder caches of a real worker are not in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import timeit
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench_contenders import ANSWER, BODIES, ROOT, chat_body
from bench_streams import EVENTS, LAST, TOKEN

from breakeven.gateway.columns import Moment
from breakeven.gateway.requests import read_request
from breakeven.gateway.state import State
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.mover import Mover
from breakeven.ledger.rows import Attempt
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.metering.completion import read_completion
from breakeven.metering.stream import StreamMeter
from breakeven.routing.view import Request
from breakeven.settings import Overrides
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.settings import load_settings
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.gateway.snapshot import Snapshot

SECONDS: Final = 0.3
REPEATS: Final = 5
ROWS: Final = 200_000
BATCH: Final = 25
"""Rows of one turn of the event loop under load."""

NOW_MS: Final = 1_790_000_000_000


WHAT: Final = "chat completion request"


def us(call: Callable[[], object], per: int = 1) -> float:
    """Return the µs of a call, divided by what it does at once: the fastest of some repeats."""
    timer = timeit.Timer(call)
    count = 1
    while (took_s := timer.timeit(count)) < SECONDS / 10:
        count *= 4
    count = max(1, int(count * SECONDS / took_s))
    return min(timer.repeat(REPEATS, count)) / count / per * 1e6


def bare(payload: bytes) -> bytes:
    """Return the events of chunks, without the framing of HTTP."""
    parts = payload.split(b"\r\n")
    return b"".join(part for part in parts if part.startswith(b"data: "))


def request_features(snapshot: Snapshot, spool: Spool) -> dict[str, float]:
    """Time what happens before the request is sent."""
    state = State(snapshot, SystemClock(), spool)
    bodies = {prefix: chat_body(size).encode() for prefix, size in BODIES.items()}
    header = b"Bearer sk-bench"
    key = state.keyring.find(header, 0)
    route = state.route("tiny")
    assert key is not None
    assert route is not None
    asked = Request(180, 0, 0, 0, 0, inf, inf, 0)
    moment = Moment(0.0, 0.0, 0.5)
    return {
        "key check": us(lambda: state.keyring.find(header, 0)),
        **{
            f"decoding model and stream, body of {len(body) / 1024:.1f} KiB": us(
                partial(read_request, body, "chat completion request")
            )
            for body in bodies.values()
        },
        "routing: filter and policy": us(lambda: route.choose(key.asked[0], asked, route.untried, moment)),
    }


def metering_features() -> dict[str, float]:
    """Time what reads usage."""
    whole = json.dumps(ANSWER).encode()
    token, last = bare(TOKEN), bare(LAST)

    def stream() -> None:
        meter = StreamMeter(hide_usage=False)
        for _ in range(EVENTS):
            meter.feed(token)
        meter.feed(last)
        meter.close()
        meter.reading(400, complete=True)

    return {
        "metering a whole answer": us(lambda: read_completion(whole, 700)),
        "metering a streamed event": us(stream, per=EVENTS),
    }


def ledger_features(folder: Path, snapshot: Snapshot) -> dict[str, float]:
    """Time a row's way into the spool and from there into the store."""
    found = {f"spool, {batch} rows a write": _spool_us(folder / f"spool-{batch}", batch) for batch in (1, BATCH)}
    cards = CardSchedule(snapshot.price_lists)
    mover = Mover(folder / f"spool-{BATCH}", Store(folder / "ledger.sqlite"), cards)
    moved = 0

    def move() -> None:
        nonlocal moved
        while (rows := mover.step()) > 0:
            moved += rows

    took_s = timeit.timeit(move, number=1)
    if not moved:
        sys.exit(f"the mover moved nothing: {mover.trouble}")
    return found | {"mover, in a process of its own, niced": took_s / moved * 1e6}


def _spool_us(folder: Path, batch: int) -> float:
    spool = Spool(folder, worker=1)
    ids = RequestIds(1)
    codes = [spool.code(kind, text) for kind, text in ((1, "bench"), (4, "tiny"), (5, "unary"), (6, "bench:tiny"))]
    key, model, target, priced_as = codes

    def write() -> None:
        for _ in range(ROWS // batch):
            for _ in range(batch):
                row = (ids.next(NOW_MS), NOW_MS * 1000, 20, 900, 950, key, 0, 0, model, target, priced_as, 0, 0, 0)
                spool.add(Attempt(*row, 200, 0, 0, 0, 157, 0, 0, 52, ""))
            spool.flush()

    took_s = timeit.timeit(write, number=1)
    spool.close()
    return took_s / ROWS * 1e6


def features() -> dict[str, float]:
    """Time everything; return µs by name."""
    with tempfile.TemporaryDirectory() as name:
        snapshot = build_snapshot(load_settings(ROOT / "bench" / "gateway.yaml", Overrides()))
        spool = Spool(Path(name) / "codes", worker=2)
        return request_features(snapshot, spool) | metering_features() | ledger_features(Path(name), snapshot)


def table(found: dict[str, float]) -> str:
    """Return the costs as Markdown."""
    return "\n".join(["| feature | µs |", "|---|---|", *(f"| {name} | {cost:.2f} |" for name, cost in found.items())])


def main() -> None:
    """Print the table."""
    print(table(features()))


if __name__ == "__main__":
    main()
