"""Budgets that are shared through a server, made good when a pool's hour closes: all workers know, and all gateways."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from breakeven.gateway.snapshot import Key, LedgerPlan, SharedState, Snapshot, StoredKeys
from breakeven.gateway.snapshot import Limits as Bounds
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.export import attempts
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.used import used_since
from breakeven.limits.reserve import Refused, Reservation
from breakeven.limits.rules import NANO, Rule, nano_usd
from breakeven.limits.shared import SharedLimits
from breakeven.wiring.limits import open_limits
from breakeven.wiring.pools import SETTLE_S
from breakeven.wiring.true_up import TrueUp
from limits.workers import Clock, run

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from pooled import FIRST, fill, list_of, other, terms

if TYPE_CHECKING:
    from limits.server import Server

pytestmark = pytest.mark.usefixtures("patience")

HOURS = 60
BUDGET_USD = 1_000
MONTH = Rule("key", "search", "usd", BUDGET_USD * NANO, "month")
COUNTER = "key:search:usd:month:"


def known_to(store: Path, url: str, workers: int = 2) -> Snapshot:
    """What workers know, as far as their limits need it."""
    bounds = Bounds(header_bytes=1, body_bytes=1, header_s=1, body_s=1, idle_s=1, max_connections=1, drain_s=1)
    plan = LedgerPlan(
        folder=str(store.parent), store=str(store), drop_when_full=False, waiting_rows=1, keep_days=None, fresh=False,
        pools=(terms(), other()),
    )  # fmt: skip
    return Snapshot(
        host="127.0.0.1", port=1, workers=workers, targets=(), routes=(), keys=(Key(name="search", sha256="a"),),
        open_to_all=False, limits=bounds, ledger=plan, price_lists=(), rules=(MONTH,),
        shared_state=SharedState(url=url, slack_fraction=0.1),
    )  # fmt: skip


def opened(known: Snapshot, clock: Clock, true_up: TrueUp | None = None) -> SharedLimits:
    limits = open_limits(known, StoredKeys(), clock, true_up or TrueUp())
    assert isinstance(limits, SharedLimits)
    return limits


def before_all(known: Snapshot) -> Snapshot:
    """The same gateway before its ledger had a row."""
    return replace(known, ledger=replace(known.ledger, store=f"{known.ledger.store}.none"))


async def reserve(limits: SharedLimits, usd: int) -> Reservation | Refused:
    """Reserve as the gateway does, in billionths of a dollar."""
    subject = limits.subject("search", "", "", "fast")
    assert subject is not None
    found = limits.reserve(subject, 1, usd, limits._clock.now())
    if isinstance(found, Reservation) or not found.unsure:
        return found
    answer: asyncio.Future[Reservation | Refused] = asyncio.get_running_loop().create_future()
    limits.ask(subject, 1, usd, limits._clock.now(), answer.set_result)
    return await answer


def on_server(server: Server) -> int:
    """What the server has of the budget, from everybody."""
    (found,) = (fields for name, fields in server.counters().items() if name.startswith(COUNTER))
    return sum(found.values())


def allocated(store: Path) -> int:
    """What the ledger has of the key, the pools' hours as their bills came to."""
    begins = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=FIRST)
    parts = used_since(store, begins, FIRST + HOURS)
    return nano_usd(sum((part.cost_usd for part in parts if part.key == "search"), Decimal(0)))


async def serve(store: Path, workers: list[SharedLimits], *, all_by_first: bool) -> int:
    """Reserve and settle each attempt of the ledger at its provisional price; return what that came to."""
    charged = 0
    for number, row in enumerate(attempts(store)):
        if row.key != "search" or row.outcome == "cached" or not row.cost_usd:
            continue
        limits = workers[0 if all_by_first else number % len(workers)]
        held = await reserve(limits, 2 * nano_usd(row.cost_usd))
        assert isinstance(held, Reservation)
        limits.settle(held, 1, nano_usd(row.cost_usd))
        charged += nano_usd(row.cost_usd)
    for limits in workers * 2:
        await limits.round()
    return charged


@pytest.mark.parametrize("all_by_first", [True, False], ids=["one worker served", "both served"])
@pytest.mark.parametrize("dear", [True, False], ids=["it comes to less", "it comes to more"])
def test_what_an_hour_came_to_is_what_all_workers_and_gateways_count(
    tmp_path: Path, server: Server, dear: bool, all_by_first: bool
) -> None:
    factor = Decimal(100) if dear else Decimal("0.001")
    schedule = CardSchedule([list_of("p", "m", "0.15", "0.60"), list_of("pool", "llama", f"{factor}", f"{2 * factor}")])
    store = fill(tmp_path / "here", count=90, schedule=schedule)
    known = known_to(store, server.url)
    away = known_to(tmp_path / "there" / "ledger.sqlite", server.url, workers=1)
    (tmp_path / "there").mkdir()

    async def test() -> None:
        clock = Clock()
        clock.now_s = FIRST * 3600.0 + 1
        keep_pools(store, (terms(), other()), FIRST)
        corrected = [TrueUp(lambda look: look()) for _ in range(2)]
        workers = [opened(before_all(known), clock, true_up) for true_up in corrected]
        stranger = opened(away, clock)
        for limits in (*workers, stranger):
            await limits.round()
        charged = await serve(store, workers, all_by_first=all_by_first)
        assert on_server(server) == charged
        keep_pools(store, (terms(), other()), FIRST + HOURS)
        clock.now_s = (FIRST + HOURS) * 3600 + SETTLE_S + 1
        for limits, true_up in zip(workers, corrected, strict=True):
            limits.make_good(true_up(known, StoredKeys(), clock.now_s), clock.now_s)
        for limits in workers * 2:
            await limits.round()
        wanted = allocated(store)
        assert (wanted < charged / 2) if dear else (wanted > 2 * charged)
        assert abs(on_server(server) - wanted) <= 200, "each price was rounded up to a billionth"
        left = BUDGET_USD * NANO - on_server(server)
        refused = await reserve(stranger, left + 1000)
        assert isinstance(refused, Refused)
        assert abs(refused.used - wanted) <= 200, "another gateway counts it so too"
        assert isinstance(await reserve(stranger, left - 1000), Reservation), "and may have the rest"
        before = on_server(server)
        anew = opened(known, clock)
        await anew.round()
        assert on_server(server) == before, "a worker that starts anew begins with no more and no less"
        for limits in (*workers, stranger, anew):
            await limits.stop()

    run(test())
