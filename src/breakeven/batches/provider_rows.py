"""Lines that a provider's batch API answered, as rows of the ledger: what was paid there is known like any call's.

A row's time is made of when its job ended and of its line's number, so that a line which is brought back twice, since a
process died in between, is found to be there.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.catalog.rate_card import PROCESSINGS
from breakeven.errors import InputError
from breakeven.gateway.dialects import BY_PATH
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.intake import Incoming, Intake
from breakeven.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.batches.plan import ProviderPlan
    from breakeven.batches.records import Batch, Line

DECISION: Final = "provider_batch"
"""Why such a line went where it went, as its row says."""

_log = logging.getLogger("breakeven.batches")


class _Asked(msgspec.Struct):
    body: _Body


class _Body(msgspec.Struct):
    model: str = ""


_ASKED: Final = msgspec.json.Decoder(_Asked)


class ProviderRows:
    """What notes them in the ledger."""

    def __init__(self, plan: ProviderPlan, store: Path) -> None:
        """Take the provider, and the ledger's store."""
        self._plan = plan
        self._store = store
        self._cards = CardSchedule(plan.prices.values())
        self._trouble = ""

    def row(self, batch: Batch, line: tuple[Line, bytes], status: int, body: bytes, ended_s: int) -> Incoming:
        """Return the row of a line, which is given with its content; ``ended_s``: when its job ended."""
        where, asked = line
        try:
            model = _ASKED.decode(asked).body.model
        except ValueError:
            model = ""  # of a file that was changed under our hands
        plan, labels = self._plan, dict(batch.labels)
        prices = plan.prices.get(model)
        theirs = plan.models.get(model, model)
        well = 200 <= status < 300
        reading = BY_PATH[batch.endpoint.encode()].read_answer(body, len(asked)) if well else None
        return Incoming(
            attempt_id=None,
            received_us=(ended_s * 1000 - where.number) * 1000,
            queued_us=rows.UNKNOWN_US,
            first_byte_us=rows.UNKNOWN_US,
            ended_us=0,
            labels=(
                batch.key,
                labels.get("x-breakeven-task", ""),
                labels.get("x-breakeven-tags", ""),
                model,
                plan.target.name,
                plan.target.priced_as.replace("*", theirs) if prices is None else prices.target,
                DECISION,
                "",
                "" if well else "provider_batch_failed",
            ),
            status=status,
            outcome=rows.OK if well else rows.FAILED,
            processing=PROCESSINGS.index("batch"),
            flags=rows.ESTIMATED if reading is not None and reading.estimated else 0,
            tokens=(0, 0, 0, 0)
            if reading is None
            else (
                reading.input_tokens,
                reading.cached_input_tokens,
                reading.cache_write_tokens,
                reading.output_tokens,
            ),
            episode=batch.id,
        )

    def added(self, found: Sequence[Incoming]) -> bool:
        """Add rows that are not there yet, all or none; return whether they are there now, and say why not."""
        store = Store(self._store)
        try:
            intake = Intake(store, self._cards, lambda _at_us, _id: None)
            store.begin()
            intake.add(sorted(found, key=lambda row: row.received_us))
            store.commit()
        except (sqlite3.Error, InputError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("what a provider's batch cost is not in the ledger yet: %s", error)
            store.give_up()
            return False
        finally:
            store.close()
        self._trouble = ""
        return True
