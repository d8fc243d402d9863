"""A ledger of several days for the tests of closed days, and what all its rows and sums are."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spooled import START_US, attempt, move, spool_of

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.days import days_folder
from breakeven.ledger.export import attempts
from breakeven.ledger.rollups import DAY_US, sum_days
from breakeven.ledger.store import connect

if TYPE_CHECKING:
    from pathlib import Path

FIRST_DAY = START_US // DAY_US
AFTER_ALL = FIRST_DAY + 1_000
DAYS = 5
PER_DAY = 60


def price_list(input_usd: str, output_usd: str = "0.60", name: str = "m", over: str = "0.30") -> PriceList:
    """Make a price list with a dearer tier above 1,000 tokens."""
    prices = TokenPrices(
        input=TokenPrice(usd_per_mtok=Decimal(input_usd), tiers=(Tier(over_tokens=1_000, usd_per_mtok=Decimal(over)),)),
        output=TokenPrice(usd_per_mtok=Decimal(output_usd)),
    )
    return PriceList(provider="p", model=name, source="made up", entries=(PriceEntry(prices=prices),))


def cards() -> CardSchedule:
    """Return the prices that the ledger is filled at: one of its two models has none."""
    return CardSchedule([price_list("0.15")])


def said(number: int) -> dict[str, Any]:
    """Return the labels and counts of the ``number``-th request of a day."""
    return {
        "key": ("search", "chat", "")[number % 3],
        "task": "sum" if number % 4 else "",
        "tags": f"team=t{number % 3},env=prod" if number % 5 else "",
        "model": ("fast", "deep")[number % 2],
        "target": "main",
        "priced_as": "p:m" if number % 7 else "q:unknown",
        "decision": "ordered",
        "flags": number % 4,
        "input_tokens": number * 40,
        "cached_input_tokens": number * 10,
        "episode": f"e{number}" if number % 2 else "",
        "status": 200,
    }


def fill(folder: Path, days: int = DAYS, per_day: int = PER_DAY, schedule: CardSchedule | None = None) -> Path:
    """Write so many days; every tenth request failed once before.  Returns the store."""
    spool = spool_of(folder)
    for number in range(days * per_day):
        day, place = divmod(number, per_day)
        row = attempt(spool, number, **said(place))
        row = row._replace(received_us=(FIRST_DAY + day) * DAY_US + place * (DAY_US // per_day) + 1)
        if place % 10 == 0:
            connect_failed = spool.code(rows.REASON, "connect")
            spool.add(
                row._replace(outcome=rows.FAILED, failure=connect_failed, status=0, first_byte_us=rows.UNKNOWN_US,
                             input_tokens=0, cached_input_tokens=0, output_tokens=0)
            )  # fmt: skip
            row = row._replace(attempt_id=row.attempt_id | 1, fallback=connect_failed)
        spool.add(row)
    spool.close()
    move(folder, schedule or cards())
    return folder / "ledger.sqlite"


def sum_up(store: Path, before_day: int = AFTER_ALL) -> None:
    """Sum days up that are over."""
    connection = connect(store)
    sum_days(connection, before_day)
    connection.close()


def sums(store: Path, *names: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Add all rows up, one by one: requests, attempts, input, output, unpriced, cost."""
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, 0, 0, 0, Decimal(0)])
    for row in attempts(store):
        group = found[tuple(value_of(row, name) for name in names)]
        for place, value in enumerate(
            (row.fallback is None, 1, row.input_tokens, row.output_tokens, row.cost_usd is None, row.cost_usd or 0)
        ):
            group[place] += value
    return {labels: tuple(group) for labels, group in found.items()}


def value_of(row: Any, name: str) -> Any:
    """Return a row's value of a label, as a question would."""
    if name == "day":
        return f"{row.time:%Y-%m-%d}"
    if name == "hour":
        return f"{row.time:%Y-%m-%dT%H:00Z}"
    if name.startswith("tag:"):
        tags = dict(pair.split("=") for pair in (row.tags or "").split(",") if pair)
        return tags.get(name[4:])
    return getattr(row, name)


def files(store: Path) -> list[str]:
    """Return the names of the day files that are there."""
    return sorted(path.name for path in days_folder(store).glob("*") if not path.name.startswith("."))
