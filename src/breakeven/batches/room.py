"""Finds out how much room batches have: asks the engines that they go to, and reads how soon people are answered.

Times to first token come from the ledger, which has a row of every request: those of batches carry the batch as their
episode.  What follows from it all is a pure function (``routing.idle``).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from contextlib import closing
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.engines.dialects import ENGINES, UNKNOWN
from breakeven.gateway.targets import address_of
from breakeven.ledger.ids import EPOCH_MS
from breakeven.ledger.rows import OK, UNKNOWN_US
from breakeven.routing.idle import TAILS, Bounds, People, PoolLoad, batch_slots, late_debts, latest_s, needs_rest
from breakeven.upstreams.ask import ask, question

if TYPE_CHECKING:
    from breakeven.batches.drain import Drain
    from breakeven.batches.plan import BatchesPlan
    from breakeven.clock import Clock
    from breakeven.engines.dialects import EngineLoad
    from breakeven.gateway.snapshot import Target

LOOK_S: Final = 0.5
"""How often it looks."""

WITHIN_S: Final = 2.0
RECENT_S: Final = 60.0
"""Rows of requests that came so long ago are read; a longer answer tells too late."""

MOST_ROWS: Final = 4000
MOST_ALONE: Final = 2000
_SHIFT: Final = 22
"""Bits below the milliseconds of an attempt's id."""

_ROWS: Final = """SELECT attempt_id, received_us, first_byte_us, text FROM attempt
    JOIN series s ON s.id = series LEFT JOIN text ON text.id = s.target
    WHERE attempt_id > ? AND outcome = ? AND first_byte_us < ? AND (episode IS NULL OR episode NOT LIKE 'batch\\_%'
    ESCAPE '\\') ORDER BY attempt_id DESC LIMIT ?"""
_log = logging.getLogger("breakeven.batches")


class Room:
    """What is known of the room that batches have."""

    def __init__(self, plan: BatchesPlan, drain: Drain, clock: Clock) -> None:
        """Set ``drain.slots`` from now on."""
        self._plan = plan
        self._drain = drain
        self._clock = clock
        self._nodes = {node.name: _Node(node) for node in plan.nodes}
        self._alone_s: deque[float] = deque(maxlen=MOST_ALONE)
        self._alone_at_s = 0.0
        self._seen: dict[int, float] = {}
        """Rows that were counted: when their requests came."""

        self._bounds = Bounds(plan.slots, plan.max_share_fraction)
        self._debts = (0.0,) * len(TAILS)
        self._rests_since_s: float | None = None
        self._slots = 0.0

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        used = [node for name, node in self._nodes.items() if name in self._drain.targets]
        await asyncio.gather(*(node.look() for node in used or self._nodes.values()))
        now_s = self._clock.now()
        ended, late = self._read()
        recent = sum(at_s > now_s - RECENT_S for at_s in self._seen.values())
        people = People(ended, late, recent)
        self._debts = late_debts(self._debts, people)
        rested_s = now_s - self._rests_since_s if self._rests_since_s is not None else 0.0
        rests = needs_rest(latest_s(self._alone_s), now_s - self._alone_at_s, recent, rests_for_s=rested_s)
        if rests:
            self._rests_since_s = self._rests_since_s or now_s
        else:
            self._rests_since_s = None
            if rested_s:
                self._alone_at_s = now_s  # looked for, whatever was found
        if not self._drain.open:
            self._slots = 0.0
        load = _together(used, self._drain.in_flight)
        self._slots = batch_slots(self._slots, load, people, self._debts, self._bounds)
        self._drain.slots = 0.0 if rests else self._slots

    def _read(self) -> tuple[int, tuple[int, ...]]:
        """Return how many requests of people ended while there were batches, and how many began too late beside them.

        Since the last look; the latter by ``TAILS``.
        """
        latest = latest_s(self._alone_s)
        beside_s: list[float] = []
        ended = 0
        now_s = self._clock.now()
        for attempt_id, received_us, first_byte_us, target in self._rows(now_s):
            if attempt_id in self._seen or (self._drain.targets and target not in self._drain.targets):
                continue
            at_s, ttft_s = received_us / 1e6, first_byte_us / 1e6
            self._seen[attempt_id] = at_s
            ended += bool(self._drain.open)
            if self._drain.busy.within(at_s, at_s + ttft_s):
                beside_s.append(ttft_s)
            else:
                self._alone_s.append(ttft_s)
                self._alone_at_s = max(self._alone_at_s, at_s)
        for attempt_id in [name for name, at_s in self._seen.items() if at_s < now_s - 2 * RECENT_S]:
            del self._seen[attempt_id]
        bounds = latest or (inf,) * len(TAILS)
        return ended, tuple(sum(ttft_s > bound for ttft_s in beside_s) for bound in bounds)

    def _rows(self, now_s: float) -> list[tuple[int, int, int, str]]:
        after = (int((now_s - RECENT_S) * 1000) - EPOCH_MS) << _SHIFT
        path = Path(self._plan.store)
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.1)) as store:
                return store.execute(_ROWS, (after, OK, UNKNOWN_US, MOST_ROWS)).fetchall()
        except sqlite3.Error as error:
            _log.debug("the ledger cannot be read now: %s", error)
            return []


class _Node:
    """One node, and what its engine told last."""

    def __init__(self, target: Target) -> None:
        assert target.node is not None, "only nodes are asked"
        self._engine = ENGINES[target.node.engine]
        self._address = address_of(target)
        self._asked = b""
        if self._engine.metrics_path is not None:
            path = target.base_path.removesuffix("/v1") + self._engine.metrics_path
            self._asked = question(path, target.host_header, target.headers)
        self.slots = target.node.slot_count or 0
        self.told: EngineLoad = UNKNOWN

    async def look(self) -> None:
        """Ask it."""
        page = await ask(self._address, self._asked, within_s=WITHIN_S) if self._asked else None
        self.told = told = self._engine.read_load(page) if page is not None else UNKNOWN
        if told.is_known and told.waiting_requests:
            self.slots = max(1, told.running_requests or 0)  # more does not fit, or it would be at work
        elif self.slots:
            self.slots = max(self.slots, told.running_requests or 0)


def _together(nodes: list[_Node], batch_requests: int) -> PoolLoad:
    known = [node for node in nodes if node.told.is_known]
    return PoolLoad(
        running_requests=sum(node.told.running_requests or 0 for node in known),
        batch_requests=batch_requests,
        waiting_requests=sum(node.told.waiting_requests or 0 for node in known),
        kv_use_fraction=max((node.told.kv_use_fraction or 0.0 for node in known), default=0.0),
        capacity_requests=sum(node.slots for node in nodes) if nodes and all(node.slots for node in nodes) else 0,
    )
