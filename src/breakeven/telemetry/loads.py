"""What is sent, a load at a time: spans of the attempts in the outbox of the ledger's store, and events of outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from breakeven.ledger import outbox
from breakeven.ledger.by_id import rows_of, rows_of_requests
from breakeven.ledger.export import exported
from breakeven.ledger.outcomes import outcomes_by_id
from breakeven.ledger.query import Cards
from breakeven.telemetry.events import Events
from breakeven.telemetry.receiver import LOGS, TRACES
from breakeven.telemetry.spans import Spans

if TYPE_CHECKING:
    import sqlite3

    from breakeven.telemetry.plan import TelemetryPlan
    from breakeven.telemetry.receiver import Signal


class Load(NamedTuple):
    """What goes out in one request."""

    last: int
    """The number of the last entry of the outbox that is in it."""

    message: bytes
    item_count: int
    """Spans or events in the message; where there are none, nothing is to be sent."""

    gone: str = ""
    """What cannot be sent any more, in words; empty: nothing."""


class Loads(Protocol):
    """One kind of what is sent."""

    what: str
    """Its name in the plural, in lower case."""

    signal: Signal

    def first(self, connection: sqlite3.Connection) -> Load | None:
        """Return the load whose turn it is; None when nothing waits."""
        ...

    def drop(self, connection: sqlite3.Connection, last: int) -> None:
        """Take the entries up to that one out of the outbox."""
        ...


class SpanLoads:
    """Spans of attempts."""

    what: str = "spans"
    signal: Signal = TRACES

    def __init__(self, plan: TelemetryPlan, instance: str) -> None:
        """Take what spans say."""
        self._store = Path(plan.store)
        self._spans = Spans(plan, instance)

    def first(self, connection: sqlite3.Connection) -> Load | None:
        """Return the load whose turn it is; None when nothing waits."""
        entries = outbox.ATTEMPTS.waiting(connection)
        if not entries:
            return None
        ids = [attempt_id for entry in entries for attempt_id in entry.ids]
        rows = rows_of(connection, self._store, ids)
        teams = dict(connection.execute("SELECT name, team FROM key WHERE team != ''"))
        cards = Cards(connection)
        spans = [
            self._spans.span(row, exported(row, cards.get(row.rate_card or "")).cost_usd, teams.get(row.key, ""))
            for row in rows
        ]
        gone = len(ids) - len(rows)
        said = f"{gone} attempts were deleted from the ledger before their spans could be sent." if gone else ""
        return Load(entries[-1].number, self._spans.message(spans), len(spans), said)

    def drop(self, connection: sqlite3.Connection, last: int) -> None:
        """Take the entries up to that one out of the outbox."""
        outbox.ATTEMPTS.remove(connection, last)


class OutcomeLoads:
    """Events of outcomes: the newest word under each id."""

    what: str = "outcomes"
    signal: Signal = LOGS

    def __init__(self, plan: TelemetryPlan, instance: str) -> None:
        """Take who sends them."""
        self._store = Path(plan.store)
        self._events = Events(plan, instance)

    def first(self, connection: sqlite3.Connection) -> Load | None:
        """Return the load whose turn it is; None when nothing waits."""
        entries = outbox.OUTCOMES.waiting(connection)
        if not entries:
            return None
        ids = dict.fromkeys(outcome_id for entry in entries for outcome_id in entry.ids)
        found = outcomes_by_id(connection, ids)
        of = {item.request_id for item in found.values() if item.request_id is not None}
        rows = rows_of_requests(connection, self._store, of)
        said = [found[outcome_id] for outcome_id in ids if outcome_id in found]
        made = (self._events.event(item, rows.get(item.request_id or 0, ())) for item in said)
        events = [event for event in made if event is not None]
        gone = len(ids) - len(found)
        told = f"{gone} outcomes were deleted from the ledger before they could be sent." if gone else ""
        return Load(entries[-1].number, self._events.message(events), len(events), told)

    def drop(self, connection: sqlite3.Connection, last: int) -> None:
        """Take the entries up to that one out of the outbox."""
        outbox.OUTCOMES.remove(connection, last)


KINDS: Final = (SpanLoads, OutcomeLoads)
