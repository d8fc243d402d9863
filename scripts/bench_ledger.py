"""How fast attempts go through the ledger: spool, mover, SQLite with roll-ups and rate cards.

Three figures that matter: rows a second sustained (writer and mover as two processes, one core each), CPU of
the mover per row (it shares a core with a worker in the smallest installation), and bytes per row.  Rows are
written one frame a row and twenty-five rows a frame, the two ends of what a gateway does.

Then a month of a million rows: its closed days on disk, and the questions of a page on one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store

if TYPE_CHECKING:
    import resource

START_US = int(datetime(2026, 11, 2, 9, tzinfo=UTC).timestamp()) * 1_000_000
GAP_US = 100
"""Between rows: 10,000 requests a second, so that hours change as they would."""

KEYS, MODELS, TASKS, TARGETS = 20, 4, 5, 3


def main() -> None:
    """Measure, and print one line a figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--month-rows", type=int, default=1_000_000, help="rows of the month that is asked")
    options.add_argument("--folder", type=Path, default=None, help="where to write; default: a temporary folder")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="breakeven-bench-", dir=given.folder))
    try:
        for rows_per_frame in (1, 25):
            for episodes in (False, True):
                _measure(folder, given.rows, rows_per_frame, episodes=episodes)
        if given.month_rows:
            from bench_ledger_month import measure  # noqa: PLC0415 - it needs the extra plan, and the rest does not

            shutil.rmtree(folder)
            measure(folder, given.month_rows)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, count: int, rows_per_frame: int, *, episodes: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    began_s = time.perf_counter()
    writer = os.fork()
    if not writer:
        _write(folder / "spool", count, rows_per_frame, episodes=episodes)
        os._exit(0)
    mover = os.fork()
    if not mover:
        os._exit(move(folder, count))
    writing = os.wait4(writer, 0)[2]
    _, status, moving = os.wait4(mover, 0)
    took_s = time.perf_counter() - began_s
    if status:
        raise SystemExit("the mover failed")
    store = folder / "ledger.sqlite"
    with sqlite3.connect(store) as connection:
        kept, hours = (connection.execute(f"SELECT {what}").fetchone()[0] for what in (
            "count(*) FROM attempt", "sum(attempts) FROM rollup_hour"))  # fmt: skip
    assert kept == hours == count, (kept, hours, count)
    print(
        f"{rows_per_frame:2} rows a frame, {'with' if episodes else 'no'} episodes: "
        f"{count / took_s:9,.0f} rows/s sustained, mover {_cpu_us(moving, count):.2f} us CPU a row, "
        f"writer {_cpu_us(writing, count):.2f} us a row, {store.stat().st_size / count:.0f} bytes a row"
    )


def _cpu_us(used: resource.struct_rusage, count: int) -> float:
    return (used.ru_utime + used.ru_stime) / count * 1e6


def _write(folder: Path, count: int, rows_per_frame: int, *, episodes: bool) -> None:
    spool = Spool(folder, worker=0)
    ids = RequestIds(0)
    codes = [
        [spool.code(kind, f"{name}-{n}") for n in range(size)]
        for kind, name, size in (
            (rows.KEY, "key", KEYS),
            (rows.TASK, "task", TASKS),
            (rows.MODEL, "model", MODELS),
            (rows.TARGET, "target", TARGETS),
        )
    ]
    priced = [spool.code(rows.PRICED_AS, f"bench:model-{n}") for n in range(MODELS)]
    reason = spool.code(rows.REASON, "ordered")
    for n in range(count):
        at_us = START_US + n * GAP_US
        key, task, model, target = (group[n * 7 % len(group)] for group in codes)
        spool.add(
            rows.Attempt(
                ids.next(at_us // 1000), at_us, 80, 41_000 + n % 5000, 900_000 + n % 70_000, key, task, 0, model,
                target, priced[n * 7 % MODELS], reason, 0, 0, 200, rows.OK, 0, rows.STREAMED,
                200 + n * 37 % 4000, n % 3 * 60, 0, 50 + n % 400, f"episode-{n // 5}" if episodes else "",
            )
        )  # fmt: skip
        if n % rows_per_frame == rows_per_frame - 1:
            spool.flush()
    spool.close()


def move(folder: Path, count: int) -> int:
    """Move so many rows from a spool into a store at made-up prices; return an exit code."""
    prices = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal("1.25"), tiers=(Tier(over_tokens=200_000, usd_per_mtok=Decimal("2.5")),)),
        cached_input=TokenPrice(usd_per_mtok=Decimal("0.125")),
        output=TokenPrice(usd_per_mtok=Decimal(10)),
    )
    lists = [
        PriceList(provider="bench", model=f"model-{n}", entries=(PriceEntry(prices=prices),), source="made up")
        for n in range(MODELS)
    ]
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CardSchedule(lists))
    moved = 0
    while moved < count:
        step = mover.step()
        moved += step
        if mover.trouble:
            print(mover.trouble)
            return 1
        if not step:
            time.sleep(0.05)
    mover.close()
    return 0


if __name__ == "__main__":
    main()
