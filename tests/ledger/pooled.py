"""A ledger with two pools and an API for the tests of what an hour costs."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from spooled import attempt, move, spool_of

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.economics.allocation import GpuTime
from breakeven.economics.pool_hours import HOUR_US, NodePrice, PaidNode, PoolTerms
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule

if TYPE_CHECKING:
    from pathlib import Path

FIRST = 494_000
"""An hour since 1970: 2026-05-10T08:00Z."""

HOURS = 60
CLOSED = FIRST + HOURS
KEYS = ("search", "chat", "")


def terms(name: str = "llama", **changed: Any) -> PoolTerms:
    """Two nodes, one of them from the middle of an hour on, with a price that changes within an hour."""
    said: dict[str, Any] = {
        "nodes": (
            PaidNode(name="a", since_us=FIRST * HOUR_US),
            PaidNode(name="b", since_us=(FIRST + 5) * HOUR_US + 1_234_567, until_us=(FIRST + 31) * HOUR_US + 77),
        ),
        "prices": (
            NodePrice(node="a", since_us=0, usd_per_hour=Decimal("5.00")),
            NodePrice(node="b", since_us=0, usd_per_hour=Decimal("3.333333333333333")),
            NodePrice(node="", since_us=(FIRST + 20) * HOUR_US + 7_000_001, usd_per_hour=Decimal("4.7")),
        ),
        "gpu_time": GpuTime(prefill_us=400, cached_us=11, decode_us=90_000),
        "basis": "declared",
        "fixed_usd_per_hour": Decimal("27.1"),
        "further_node_usd_per_hour": Decimal("1.3"),
    }
    return PoolTerms(name=name, **(said | changed))


def other() -> PoolTerms:
    """One node that is idle most of the time."""
    node = PaidNode(name="n1", since_us=(FIRST - 3) * HOUR_US)
    return terms("tiny", nodes=(node,), prices=(NodePrice(node="n1", since_us=0, usd_per_hour=Decimal("0.7")),))


def list_of(provider: str, model: str, input_usd: str, output_usd: str, *tiers: Tier) -> PriceList:
    """Make a price list."""
    prices = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal(input_usd), tiers=tiers),
        output=TokenPrice(usd_per_mtok=Decimal(output_usd)),
    )
    return PriceList(provider=provider, model=model, source="made up", entries=(PriceEntry(prices=prices),))


def cards() -> CardSchedule:
    """Return the prices that the ledger is filled at: an API's, and the provisional ones of a pool."""
    return CardSchedule([list_of("p", "m", "0.15", "0.60"), list_of("pool", "llama", "1", "2")])


def fill(folder: Path, count: int = 900, seed: int = 7, schedule: CardSchedule | None = None) -> Path:
    """Write requests over all hours: to both nodes, the other pool and an API; some fail first, some come cached."""
    uniform = np.random.default_rng(seed).random

    def one_of(*values: Any) -> Any:
        return values[int(uniform() * len(values))]

    def below(limit: int) -> int:
        return int(uniform() * limit)

    spool = spool_of(folder)
    for number in range(count):
        target = one_of("llama/a", "llama/b", "llama/a", "api", "tiny/n1")
        given = below(3_000)
        row = attempt(
            spool, number, key=one_of(*KEYS), model=one_of("fast", "deep"), target=target,
            tags=f"team=t{below(3)}", task=one_of("sum", ""), flags=below(4),
            priced_as={"api": "p:m", "tiny/n1": ""}.get(target, "pool:llama"),
            input_tokens=given, cached_input_tokens=below(given + 1), output_tokens=below(900),
            outcome=rows.CACHED if number % 17 == 0 else one_of(rows.OK, rows.CUT),
            ended_us=100 + below(9_000_000),
        )  # fmt: skip
        row = row._replace(received_us=FIRST * HOUR_US + number * (HOURS * HOUR_US // count) + 5)
        if number % 11 == 0 and row.outcome != rows.CACHED:
            failed = spool.code(rows.REASON, "connect")
            nothing: dict[str, Any] = {
                "input_tokens": 0,
                "cached_input_tokens": 0,
                "output_tokens": 0,
                "queued_us": rows.UNKNOWN_US,
            }
            spool.add(row._replace(outcome=rows.FAILED, failure=failed, **nothing))
            row = row._replace(attempt_id=row.attempt_id | 1, fallback=failed)
        spool.add(row)
    spool.close()
    move(folder, schedule or cards())
    return folder / "ledger.sqlite"
