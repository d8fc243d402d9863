"""A ledger of six hours of API traffic, a virtual pool beside it, and what the store then has of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from breakeven.wiring.kept_code import keep_compiled

keep_compiled()

# ruff: noqa: E402 - what is compiled is kept only where that was said before it is imported
from breakeven.capacity.corrected_pace import corrected_pace
from breakeven.capacity.fleet import OVERFLOW, Demand, Rules
from breakeven.capacity.simulate import Api, Simulation
from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.economics.pool_hours import HOUR_US, NodePrice, PaidNode, PoolTerms
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store, connect
from breakeven.ledger.virtual import stored_hours
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.studies.virtual.plan import VirtualPlan, VirtualPool
from breakeven.wiring.pool_text import deployment_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.capacity.simulate import Outcome
    from breakeven.ledger.virtual import VirtualHour

FIRST = 494_000
"""An hour since 1970: 2026-05-10T08:00Z."""

HOURS = 6
AFTER_S = (FIRST + HOURS + 2) * 3600.0
NODE = "1xL4:llama-3.1-8b:fp8"
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


def prices(input_usd: str = "2.5", output_usd: str = "10") -> CardSchedule:
    """What the API takes."""
    card = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal(input_usd)), output=TokenPrice(usd_per_mtok=Decimal(output_usd))
    )
    return CardSchedule([PriceList(provider="p", model="m", source="made up", entries=(PriceEntry(prices=card),))])


def pool(
    name: str = "llama", nodes: Sequence[PaidNode] = (PaidNode(name="n1", since_us=0),), **said: Any
) -> VirtualPool:
    """One small node at 0.8 dollars an hour, and a fixed line."""
    terms = PoolTerms(
        name=name,
        nodes=tuple(nodes),
        prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal("0.8")),),
        fixed_usd_per_hour=Decimal("0.25"),
    )
    plain = VirtualPool(terms=terms, deployment=NODE, engine="vllm", models=("fast",))
    return replace(plain, **said)


def plan(store: Path, *pools: VirtualPool) -> VirtualPlan:
    """What the process is told."""
    return VirtualPlan(store=str(store), pools=pools or (pool(),))


def put(folder: Path, many: Sequence[dict[str, Any]], schedule: CardSchedule | None = None) -> Path:
    """Write rows, each with ``at_us``, to a spool, and move them; at ``prices()`` where no others are said."""
    folder.mkdir(exist_ok=True)
    worker = sum(1 for _ in folder.iterdir())
    spool = Spool(folder / "spool", worker=worker)
    ids = RequestIds(worker)
    for item in many:
        said = dict(item)
        at_us = said.pop("at_us")
        labels = {"model": "fast", "target": "api", "priced_as": "p:m"} | said
        codes = {name: spool.code(kind, labels.pop(name, "")) for name, kind in _TEXTS.items()}
        row = rows.Attempt(
            attempt_id=ids.next(at_us // 1000),
            received_us=at_us,
            queued_us=100,
            first_byte_us=20_000,
            ended_us=900_000,
            **codes,
            status=200,
            outcome=rows.OK,
            processing=0,
            flags=0,
            input_tokens=100,
            cached_input_tokens=0,
            cache_write_tokens=0,
            output_tokens=10,
            episode="",
        )
        spool.add(row._replace(**labels))
    assert spool.flush()
    spool.close()
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), schedule or prices())
    mover.drain()
    assert not mover.trouble
    mover.close()
    return folder / "ledger.sqlite"


def traffic(seed: int = 1, bursts: int = 120, burst: int = 15, **said: Any) -> list[dict[str, Any]]:
    """Requests in bursts over all hours but the fourth, in which nobody comes."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(bursts):
        begin = FIRST * HOUR_US + int(rng.integers(0, HOURS * HOUR_US - 1_000_000))
        if begin // HOUR_US == FIRST + 3 or (begin + 1_000_000) // HOUR_US == FIRST + 3:
            continue
        for _ in range(burst):
            given = int(rng.integers(50, 6000))
            found.append(
                {
                    "at_us": begin + int(rng.integers(0, 1_000_000)),
                    "input_tokens": given,
                    "cached_input_tokens": int(rng.integers(0, given // 2)),
                    "output_tokens": int(rng.integers(1, 700)),
                    **said,
                }
            )
    return found


def hours_in(store: Path, name: str = "llama") -> list[VirtualHour]:
    """What the store has of a pool."""
    with closing(connect(store, read_only=True)) as connection:
        return list(stored_hours(connection, name, (0, 1 << 40)))


def direct_run(requests: Sequence[dict[str, Any]], hour: int) -> Outcome:
    """Run requests of one hour, in the order of their times, through the simulator itself."""
    columns = {key: np.array([item[key] for item in requests]) for key in requests[0]}
    isl, osl = (2 ** (round(2 * np.log2(columns[key].mean())) / 2) for key in ("input_tokens", "output_tokens"))
    deployment = deployment_of(NODE, load_book(), engine="vllm")
    pace = corrected_pace(deployment, load_roofline(), isl_tokens=isl, osl_tokens=osl)
    rules = Rules(OVERFLOW, 4, inf, 0.95, 0.7)
    simulation = Simulation(pace, 1, rules, apis=(Api(ttft_s=0.0, tpot_s=0.0),), span_s=7200)
    count = len(requests)
    simulation.feed(
        Demand(
            (columns["at_us"] - hour * HOUR_US) / 1e6,
            columns["input_tokens"],
            columns["output_tokens"],
            columns["cached_input_tokens"],
            np.zeros(count),
            np.zeros((count, 1)),
        )
    )
    return simulation.outcome()
