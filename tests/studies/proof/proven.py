"""A ledger of two days for the tests of the proof: two APIs, a pool, memory, failures, a shadow and a judge."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.economics.allocation import GpuTime
from breakeven.economics.pool_hours import NodePrice, PaidNode, PoolTerms, pool_price_list
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.mover import Mover
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.wiring.ledger import LedgerPlace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BEGINS = datetime(2026, 11, 2, tzinfo=UTC)
BEGIN_US = int(BEGINS.timestamp()) * 1_000_000
DAY_US = 86_400_000_000
AFTER_S = BEGINS.timestamp() + 2 * 86_400 + 600
"""Two days later, and settled."""

NODE_USD_PER_HOUR = Decimal("1.97")
FIXED_USD_PER_HOUR = Decimal("0.531")
_TEXTS = {
    "key": rows.KEY,
    "task": rows.TASK,
    "tags": rows.TAGS,
    "model": rows.MODEL,
    "target": rows.TARGET,
    "priced_as": rows.PRICED_AS,
    "decision": rows.REASON,
    "fallback": rows.REASON,
    "failure": rows.REASON,
}


def prices(name: str, given: str, cached: str, output: str, batch: tuple[str, str] | None = None) -> PriceList:
    """Make a price list ``provider:model``, in dollars for a million tokens."""
    provider, _, model = name.partition(":")
    standard = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal(given)),
        cached_input=TokenPrice(usd_per_mtok=Decimal(cached)),
        output=TokenPrice(usd_per_mtok=Decimal(output)),
    )
    entries = [PriceEntry(prices=standard)]
    if batch:
        half = TokenPrices(
            input=TokenPrice(usd_per_mtok=Decimal(batch[0])), output=TokenPrice(usd_per_mtok=Decimal(batch[1]))
        )
        entries.append(PriceEntry(prices=half, processing="batch"))
    return PriceList(provider=provider, model=model, source="made up", entries=tuple(entries))


BIG = prices("openai:big", "2.50", "1.25", "10.00", ("1.25", "5.00"))
SMALL = prices("anthropic:small", "0.25", "0.025", "1.25")


def pool(until_days: int | None = None) -> PoolTerms:
    """A pool of one node that is paid from the second day's noon on."""
    since_us = BEGIN_US + DAY_US + DAY_US // 2
    until_us = None if until_days is None else since_us + until_days * DAY_US
    return PoolTerms(
        name="llama",
        nodes=(PaidNode(name="a", since_us=since_us, until_us=until_us),),
        prices=(NodePrice(node="a", since_us=0, usd_per_hour=NODE_USD_PER_HOUR),),
        gpu_time=GpuTime(prefill_us=40, cached_us=1, decode_us=900),
        basis="declared",
        fixed_usd_per_hour=FIXED_USD_PER_HOUR,
    )


def traffic() -> list[dict[str, Any]]:
    """Two days of requests, one every ten minutes; from the second noon on most go to the pool."""
    found: list[dict[str, Any]] = []
    for number in range(288):
        at_us = BEGIN_US + number * 600_000_000 + 7
        said: dict[str, Any] = {
            "at_us": at_us, "model": ("fast", "deep")[number % 5 == 0], "target": "big-api", "priced_as": "openai:big",
            "key": ("search", "chat")[number % 2], "task": ("sum", "")[number % 3 == 0],
            "input_tokens": 1000 + 37 * number, "cached_input_tokens": 64 * (number % 7), "output_tokens": 211 + number,
        }  # fmt: skip
        if number >= 216 and number % 5:
            said |= {"target": "llama/a", "priced_as": "pool:llama"}
        if number % 29 == 0:
            said |= {"outcome": rows.CACHED}
        elif number % 23 == 0:
            said |= {"outcome": rows.CUT}
        found.append(said)
        if number % 41 == 3:
            failed = {"outcome": rows.FAILED, "failure": "status_500", "output_tokens": 0, "status": 500}
            found.append(said | failed | {"at_us": at_us + 9})
        if number >= 150 and number % 20 == 0:
            found.append(
                said | {"target": "small-api", "priced_as": "anthropic:small", "decision": "shadow", "outcome": rows.OK}
            )
            found.append(said | {"decision": "judge", "output_tokens": 3, "outcome": rows.OK, "target": "big-api",
                                 "priced_as": "openai:big"})  # fmt: skip
    return found


def put(folder: Path, requests: Iterable[dict[str, Any]], lists: Iterable[PriceList] = (BIG, SMALL)) -> LedgerPlace:
    """Write requests to a ledger and move them into its store."""
    ids = RequestIds(0)
    spool = Spool(folder / "spool", worker=0)
    for item in requests:
        said = {"key": "", "task": "", "tags": "", "decision": "", "fallback": "", "failure": "", **item}
        at_us = int(said["at_us"])
        codes = {name: spool.code(kind, said[name]) for name, kind in _TEXTS.items()}
        spool.add(
            rows.Attempt(
                attempt_id=ids.next(at_us // 1000), received_us=at_us, queued_us=10, first_byte_us=20_000,
                ended_us=900_000, **codes, status=said.get("status", 200), outcome=said.get("outcome", rows.OK),
                processing=said.get("processing", 0), flags=said.get("flags", 0), input_tokens=said["input_tokens"],
                cached_input_tokens=said.get("cached_input_tokens", 0), cache_write_tokens=0,
                output_tokens=said["output_tokens"], episode="",
            )
        )  # fmt: skip
    assert spool.flush()
    spool.close()
    own = pool_price_list(pool())
    assert own is not None
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CardSchedule([*lists, own]))
    mover.drain()
    mover.close()
    return LedgerPlace(store=folder / "ledger.sqlite", spool=folder / "spool")


def two_days(folder: Path) -> LedgerPlace:
    """Return a ledger with the traffic, and with the pool's hours."""
    place = put(folder, traffic())
    keep_pools(place.store, [pool()], int(AFTER_S - 120) // 3600)
    return place
