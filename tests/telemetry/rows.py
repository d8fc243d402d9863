"""Rows and outcomes for the tests of telemetry: written to a spool, moved to a store that takes them down."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcome_spool import OutcomeSpool
from breakeven.ledger.outcomes import Outcome
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.telemetry.loads import OutcomeLoads, SpanLoads
from breakeven.telemetry.plan import Place, TelemetryPlan
from breakeven.telemetry.receiver import Receiver
from breakeven.telemetry.sender import Sender

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.otlp import OtlpReceiver

START_US = int(datetime(2026, 11, 2, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000
TEXTS = {
    "key": rows.KEY, "task": rows.TASK, "tags": rows.TAGS, "model": rows.MODEL, "target": rows.TARGET,
    "priced_as": rows.PRICED_AS, "decision": rows.REASON, "fallback": rows.REASON, "failure": rows.REASON,
}  # fmt: skip
INSTANCE = "0123456789abcdef"
_DOLLARS = TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(1)), output=TokenPrice(usd_per_mtok=Decimal(10)))
_PRICES = PriceList(provider="p", model="m", source="made up", entries=(PriceEntry(prices=_DOLLARS),))


def request_id(number: int) -> int:
    """The id of the ``number``-th request."""
    return (number + 1) << 16


def move(folder: Path, *many: dict[str, Any], tells: bool | None = True) -> int:
    """Move rows, of one request each unless they say otherwise, to the store; return how many."""
    spool = Spool(folder / "spool", worker=0)
    for number, given in enumerate(many):
        said = dict(given)
        codes = {name: spool.code(kind, said.pop(name, "")) for name, kind in TEXTS.items()}
        row = rows.Attempt(
            attempt_id=request_id(said.pop("number", number)) + said.pop("attempt", 0),
            received_us=START_US,
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
        spool.add(row._replace(**said))
    assert spool.flush()
    spool.close()
    return _drain(folder, tells=tells)


def say(folder: Path, *many: dict[str, Any], tells: bool | None = True) -> int:
    """Move outcomes of one key to the store; return how many."""
    spool = OutcomeSpool(folder / "spool", worker=0)
    said = []
    for number, given in enumerate(many):
        plain: dict[str, Any] = {"id": f"k/{number}", "key": "k", "at_us": START_US + 1, "received_us": START_US + 2}
        said.append(Outcome(**plain | given))
    spool.keep(said)
    spool.close()
    return _drain(folder, tells=tells)


def _drain(folder: Path, *, tells: bool | None) -> int:
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite", tells=tells), CardSchedule([_PRICES]))
    moved = mover.drain()
    assert not mover.trouble, mover.trouble
    mover.close()
    return moved


def plan_of(folder: Path, receiver: OtlpReceiver, **changes: Any) -> TelemetryPlan:
    """A plan for a ledger and a receiver, with one target of each kind."""
    places = (
        Place(name="openai", provider="openai", host="api.openai.com", port=443, protocols=("chat", "embeddings")),
        Place(name="gemini", provider="google", host="g.example", port=443, protocols=("chat",)),
        Place(name="old", provider="", host="::1", port=8000, protocols=("completions",)),
        Place(name="vectors", provider="", host="e.example", port=80, protocols=("embeddings",)),
    )
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": receiver.port,
        "tls": False,
        "path": "",
        "shown": receiver.url,
        "headers": (),
        "ca_file": "",
        "service_name": "gateway-of-the-tests",
        "version": "1.2.3",
        "places": places,
        "teams": (("search-key", "search"),),
        "folder": str(folder),
        "store": str(folder / "ledger.sqlite"),
    }
    return TelemetryPlan(**fields | changes)


def sender_of(folder: Path, receiver: OtlpReceiver, instance: str = INSTANCE, **changes: Any) -> Sender:
    """A sender of spans as the gateway starts it."""
    return _sender(plan_of(folder, receiver, **changes), instance, SpanLoads)


def outcome_sender_of(folder: Path, receiver: OtlpReceiver, instance: str = INSTANCE, **changes: Any) -> Sender:
    """A sender of outcomes as the gateway starts it."""
    return _sender(plan_of(folder, receiver, **changes), instance, OutcomeLoads)


def _sender(plan: TelemetryPlan, instance: str, kind: type[SpanLoads | OutcomeLoads]) -> Sender:
    loads = kind(plan, instance)
    return Sender(plan, loads, Receiver(plan, loads.signal), uniform=lambda: 1.0)


def send_all(sender: Sender) -> None:
    """Send everything that waits; nothing may be in the way."""
    while not sender.step():
        pass
    sender.close()
    assert not sender.trouble, sender.trouble


def waiting(folder: Path, table: str = "outbox") -> int:
    """How many entries wait in the outbox."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
        return count
