"""Parts of the process that serves batches, put together in the test's own process: no gateway stands behind them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batches.served import CHAT, jsonl, line
from breakeven.batches.calls import Answer
from breakeven.batches.drain import Drain
from breakeven.batches.plan import BatchesPlan
from breakeven.batches.records import ENDED, IN_PROGRESS, Batch
from breakeven.gateway.snapshot import Target, Timeouts
from breakeven.wiring.clock import SystemClock
from gateway.gateway import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from breakeven.batches.sheet import Sheet
    from breakeven.batches.store import Store


def plan(folder: Path) -> BatchesPlan:
    """A plan whose folder is the ledger's."""
    return BatchesPlan(
        folder=str(folder), store=str(folder / "ledger.sqlite"), slots=8, max_share_fraction=1.0, idle_s=3600.0,
        max_file_bytes=1 << 20, max_stored_bytes=1 << 30, max_requests=10_000, keep_s=86_400.0,
    )  # fmt: skip


def provider_at(url: str) -> Target:
    """A target at a URL ``http://127.0.0.1:PORT/PATH``."""
    port, _, path = url.removeprefix("http://127.0.0.1:").partition("/")
    return Target(
        name="sold", host="127.0.0.1", port=int(port), tls=False, host_header="", base_path=f"/{path}", headers=(),
        model="its-name", priced_as="", timeouts=Timeouts(connect_s=1, first_token_s=1, between_tokens_s=1, total_s=1),
    )  # fmt: skip


def submitted(store: Store, count: int, number: int = 1) -> Batch:
    """A batch of so many lines that was validated."""
    now_s = int(SystemClock().now())
    batch = Batch(
        number=0, id=f"batch_{number}", owner="key:k", key="k", models=(), sensitivities=(), labels=(), endpoint=CHAT,
        input_file=f"file-{number}", window="24h", status=IN_PROGRESS, created_s=now_s, expires_s=now_s + 86_400,
        deadline_s=now_s + 3600, keep_s=86_400, total=count,
    )  # fmt: skip
    store.path(batch.input_file).write_bytes(jsonl(line(str(number), "m") for number in range(count)))
    store.add_batch(batch)
    return batch


class FakeCalls:
    """The gateway, for lines: each gets an empty object, unless ``answer`` says otherwise."""

    def __init__(self, answer: Callable[[], Answer] = lambda: Answer(200, {}, b"{}")) -> None:
        self._answer = answer

    async def ask(self, *_: Any) -> Answer:
        """Answer a line."""
        await asyncio.sleep(0)
        return self._answer()


def draining(folder: Path, store: Store, calls: Any) -> Drain:
    """A drain with room for lines."""
    drain = Drain(plan(folder), store, calls, SystemClock(), lambda: 0.5)
    drain.slots = 4.0
    return drain


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < end_s, what
        await asyncio.sleep(0.01)


def drained(drain: Drain, *batches: Batch) -> None:
    """Work until these batches, as the drain has them, have ended."""

    async def run() -> None:
        end_s = asyncio.get_running_loop().time() + PATIENCE_S
        known = {batch.id: batch for batch in batches}

        def goes_on() -> bool:
            assert asyncio.get_running_loop().time() < end_s, f"they do not end: {list(known.values())}"
            known.update(drain.open)
            return not all(batch.status in ENDED for batch in known.values())

        await drain.run(goes_on)

    asyncio.run(run())


@contextmanager
def taking_nothing(store: Store) -> Iterator[None]:
    """Refuse every write, as on a disk that is full."""
    store.connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        store.connection.execute("PRAGMA query_only = OFF")


def output(store: Store, batch: Batch) -> list[bytes]:
    """The lines of a batch's results that went well."""
    return store.path(batch.id.replace("batch_", "file-") + "-output").read_bytes().splitlines()


def taken(sheet: Sheet, count: int) -> list[Any]:
    """So many lines of a sheet, which are out now, with their contents."""
    lines = sheet.open_to_providers()
    return [next(lines) for _ in range(count)]
