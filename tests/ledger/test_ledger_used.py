"""What limits begin with after a restart, against sums over the attempts themselves."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from spooled import attempt, move, spool_of

from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.export import attempts
from breakeven.ledger.used import Used, used_since

if TYPE_CHECKING:
    from pathlib import Path

HOUR_US = 3_600_000_000
START_US = int(datetime(2026, 10, 30, 12, tzinfo=UTC).timestamp()) * 1_000_000


def price(usd: str, over: str) -> TokenPrice:
    return TokenPrice(usd_per_mtok=Decimal(usd), tiers=(Tier(over_tokens=200, usd_per_mtok=Decimal(over)),))


CARDS = CardSchedule(
    [
        PriceList(
            provider="p",
            model="m",
            source="made up",
            entries=(
                PriceEntry(
                    prices=TokenPrices(
                        input=price("0.15", "0.3"), output=price("0.6", "0.9"), request_usd=Decimal("0.0001")
                    ),
                    starts_on=None,
                ),
                PriceEntry(
                    prices=TokenPrices(input=price("0.1", "0.2"), output=price("0.5", "0.8")),
                    starts_on=datetime(2026, 11, 1, tzinfo=UTC).date(),
                ),
            ),
        )
    ]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 400 requests over 100 hours across a month's end: some failed over, cut, left, or without a price."""
    folder = tmp_path_factory.mktemp("used")
    spool = spool_of(folder)
    for number in range(400):
        said: dict[str, Any] = {
            "key": ("search", "chat", "")[number % 3],
            "tags": ("env=prod,app=x", "env=dev", "")[number % 4 % 3],
            "model": ("fast", "deep")[number % 2],
            "target": ("one", "two")[number % 5 % 2],
            "priced_as": "p:m" if number % 7 else "",
            "outcome": (rows.OK, rows.OK, rows.CUT, rows.CLIENT_LEFT)[number % 4],
            "input_tokens": number,
            "output_tokens": number % 11,
        }
        row = attempt(spool, number, **said)._replace(received_us=START_US + number * HOUR_US // 4)
        if number % 10 == 0:  # the first attempt failed, at another target, and used a little
            failed = row._replace(outcome=rows.FAILED, target=spool.code(rows.TARGET, "three"), output_tokens=1)
            spool.add(failed)
            row = row._replace(attempt_id=row.attempt_id | 1, fallback=spool.code(rows.REASON, "status"))
        spool.add(row)
    spool.close()
    move(folder, CARDS)
    return folder / "ledger.sqlite"


def by_hand(store: Path, since: datetime) -> dict[tuple[str, ...], list[Any]]:
    sums: dict[tuple[str, ...], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    for row in attempts(store):
        if row.time < since:
            continue
        group = sums[row.key or "", row.tags or "", row.model or "", row.target or ""]
        group[0] += row.outcome != "failed"
        group[1] += row.input_tokens + row.output_tokens
        group[2] += row.cost_usd or 0
    return sums


def summed(found: tuple[Used, ...]) -> dict[tuple[str, ...], list[Any]]:
    sums: dict[tuple[str, ...], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    for used in found:
        group = sums[used.key, used.tags, used.model, used.target]
        group[0] += used.ended_requests
        group[1] += used.used_tokens
        group[2] += used.cost_usd
    return sums


@pytest.mark.parametrize(
    "since",
    [datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)],
)
def test_what_was_used_is_the_sum_of_the_attempts(store: Path, since: datetime) -> None:
    found = summed(used_since(store, since))
    assert found == by_hand(store, since)
    assert found


def test_every_request_counts_once_however_many_attempts_it_took(store: Path) -> None:
    found = used_since(store, datetime(2026, 10, 1, tzinfo=UTC))
    assert sum(used.ended_requests for used in found) == 400
    assert sum(used.ended_requests for used in found if used.target == "three") == 0
    assert sum(used.used_tokens for used in found if used.target == "three") > 0


def test_before_the_first_request_nothing_was_used_and_a_damaged_store_does_not_pass_for_that(tmp_path: Path) -> None:
    since = datetime(2026, 11, 1, tzinfo=UTC)
    assert used_since(tmp_path / "none.sqlite", since) == ()
    (tmp_path / "damaged.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="no SQLite database"):
        used_since(tmp_path / "damaged.sqlite", since)
