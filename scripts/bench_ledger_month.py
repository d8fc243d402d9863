"""A month of made traffic in a ledger: what a closed day takes on disk, and how long a page's questions take.

Labels, sizes and hours are drawn as traffic has them: few keys do most, days have a shape, one request in a hundred
fails, one in five belongs to an episode of its own.  `bench_ledger.py` runs this after its own figures.
"""

from __future__ import annotations

import argparse
import gc
import os
import random  # noqa: TID251 - made traffic, drawn from a seed
import shutil
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench_ledger import START_US, move

from breakeven.ledger import rows
from breakeven.ledger.close import close_days
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.query import Question, ask, ranked
from breakeven.ledger.rollups import DAY_US, sum_days
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import connect
from breakeven.wiring.ledger_last import last_requests

if TYPE_CHECKING:
    from collections.abc import Callable

DAYS = 30
KEYS, MODELS, TASKS, TARGETS, TAGS = 40, 6, 8, 5, 24
FIRST_US = START_US // DAY_US * DAY_US
REPEATS = 3


def main() -> None:
    """Measure, and print one line a figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="breakeven-bench-"))
    try:
        measure(folder, options.parse_args().rows)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, count: int) -> None:
    """Fill a ledger, close all days but the last, and ask it what a page would."""
    if not (child := os.fork()):
        write(folder / "spool", count)
        os._exit(move(folder, count))
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the mover failed")
    store = folder / "ledger.sqlite"
    began_s = time.perf_counter()
    with closing(connect(store)) as connection:
        sum_days(connection, FIRST_US // DAY_US + DAYS - 1)
    print(f"{count:,} rows of {DAYS} days: summed up by the day in {time.perf_counter() - began_s:.2f} s")
    began_s = time.perf_counter()
    closed = close_days(store, FIRST_US // DAY_US + DAYS - 1)
    took_s = time.perf_counter() - began_s
    kept, size_bytes = sum(item.rows for item in closed), sum(item.size_bytes for item in closed)
    print(f"{len(closed)} days closed: {size_bytes / kept:.1f} bytes a row, {took_s / kept * 1e6:.1f} us a row")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name, question in questions(store).items():
        best_s, found = _timed(question)
        print(f"  {name:28} {best_s * 1000:6.0f} ms of one core  {found:,} rows")


def questions(store: Path) -> dict[str, Callable[[], int]]:
    """Return what a page asks."""
    start = datetime.fromtimestamp(FIRST_US / 1e6, UTC)
    week = {"since": start + timedelta(days=DAYS - 7)}
    groups = {
        "total of the month": Question(),
        "by hour, a week": Question(by=("hour",), **week),  # type: ignore[arg-type]  # a time
        "by hour, the month": Question(by=("hour",)),
        "by hour and model, the month": Question(by=("hour", "model")),
        "by day": Question(by=("day",)),
        "by day and key": Question(by=("day", "key")),
        "by key": Question(by=("key",)),
        "by model": Question(by=("model",)),
        "by target": Question(by=("target",)),
        "by task": Question(by=("task",)),
        "by tag team": Question(by=("tag:team",)),
        "one key by day": Question(by=("day",), where=(("key", "key-3"),)),
    }
    found: dict[str, Callable[[], int]] = {name: partial(_count, store, asked) for name, asked in groups.items()}
    found["ten dearest of key and model"] = lambda: len(ranked(ask(store, Question(by=("key", "model"))), "cost")[:10])
    found["last 100 requests"] = lambda: len(last_requests(store, 100))
    return found


def _count(store: Path, asked: Question) -> int:
    return len(ask(store, asked))


def write(folder: Path, count: int) -> None:
    """Write a month of traffic to a spool."""
    chance = random.Random(7)  # noqa: S311 - no secret
    spool, ids = Spool(folder, worker=0), RequestIds(0)
    codes = [
        [spool.code(kind, f"{name}-{n}") for n in range(size)]
        for kind, name, size in (
            (rows.KEY, "key", KEYS),
            (rows.MODEL, "model", MODELS),
            (rows.TASK, "task", TASKS),
            (rows.TARGET, "target", TARGETS),
        )
    ]
    tags = [spool.code(rows.TAGS, f"team=t{n % 8},env={'prod' if n % 3 else 'dev'}") for n in range(TAGS)]
    priced = [spool.code(rows.PRICED_AS, f"bench:model-{n % 4}") for n in range(MODELS)]
    ordered, connect_failed = spool.code(rows.REASON, "ordered"), spool.code(rows.REASON, "connect")
    times_us = sorted(
        FIRST_US + chance.randrange(DAYS) * DAY_US + int(min(max(chance.gauss(0.55, 0.18), 0), 0.999) * DAY_US)
        for _ in range(count)
    )
    chosen = chance.choices(range(KEYS), [1 / (n + 1) for n in range(KEYS)], k=count)
    for n, (at_us, key) in enumerate(zip(times_us, chosen, strict=True)):
        model = (key if chance.random() < 0.8 else chance.randrange(MODELS)) % MODELS
        task = (key if chance.random() < 0.7 else chance.randrange(TASKS)) % TASKS
        failed = chance.random() < 0.01
        given = 0 if failed else int(chance.lognormvariate(6.5, 1.2))
        spool.add(
            rows.Attempt(
                ids.next(at_us // 1000), at_us, 60 + chance.randrange(80), 200_000 + chance.randrange(900_000),
                1_000_000 + chance.randrange(9_000_000), codes[0][key], codes[2][task],
                tags[key % TAGS] if chance.random() < 0.8 else 0, codes[1][model], codes[3][model % TARGETS],
                priced[model], ordered, 0, connect_failed if failed else 0, 503 if failed else 200,
                rows.FAILED if failed else rows.OK, 0, rows.STREAMED if chance.random() < 0.6 else 0, given,
                given // 2 if chance.random() < 0.4 else 0, 0, 0 if failed else int(chance.lognormvariate(5, 1)),
                f"{chance.getrandbits(64):016x}" if chance.random() < 0.2 else "",
            )
        )  # fmt: skip
        if n % 25 == 24:
            spool.flush()
    spool.close()


def _timed(question: Callable[[], int]) -> tuple[float, int]:
    """Ask some times; return the least time of one core, and how many rows came."""
    best_s, found = float("inf"), 0
    for _ in range(REPEATS):
        gc.collect()
        began_s = time.process_time()
        found = question()
        best_s = min(best_s, time.process_time() - began_s)
    return best_s, found


if __name__ == "__main__":
    main()
