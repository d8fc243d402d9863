"""What takes long to work out, kept with its age: nobody who looks waits for it, and it is made when somebody looks.

A process of its own works it out (the shells of evidence, costs and forecasts are heavy) and writes one line of JSON a
look, a ``Found``.  The page shows what was found last, and how long ago.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from breakeven.clock import Clock

Look = Literal["shifts", "outcomes", "savings", "outlook"]
LOOKS: Final[tuple[Look, ...]] = get_args(Look)
LASTS_S: Final[dict[Look, float]] = {"shifts": 30.0, "outcomes": 300.0, "savings": 600.0, "outlook": 1800.0}
"""How long each is shown again before it is worked out anew."""

_LANES: Final[tuple[frozenset[Look], ...]] = (
    frozenset({"shifts"}),
    frozenset({"outcomes", "savings", "outlook"}),
)
"""Those of a lane are worked out in one process, one after the other; a lane does not wait for the other."""

_log = logging.getLogger("breakeven.console")


class TaskKnown(msgspec.Struct, frozen=True, kw_only=True):
    """What pairs and requests say of one task of a shift, as it stood then."""

    shift: int
    task: str
    state: str
    step: int
    since_s: float
    would: str
    """What would be done: promote, hold, roll_back or finish."""

    words: str
    pairs: int
    pairs_needed: int | None
    """More pairs, if they are like these; None: more will not show it."""

    pairs_needed_high: int | None
    """Enough 4 in 5 times."""


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of the answers of one target to one task; episodes count once."""

    task: str
    target: str
    good: int
    bad: int
    unknown: int
    usd_per_success: float | None
    low_usd: float | None
    high_usd: float | None
    """95 %; None: no upper end, or nothing is known."""


class SavedAgainst(msgspec.Struct, frozen=True, kw_only=True):
    """What was saved against one way to pay; dollars as text, exact."""

    against: str
    title: str
    would_usd: str | None
    saved_usd: str | None
    """Below 0: it cost more; None: not known."""

    said: str


class SavingsKnown(msgspec.Struct, frozen=True, kw_only=True):
    """A month so far."""

    since: str
    until: str
    paid_usd: str
    partial: bool
    against: list[SavedAgainst]
    notes: list[str]


class PoolKnown(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pool is from its break-even."""

    pool: str
    virtual: bool
    needed_mtok_per_month: float | None
    seen_mtok_per_month: float
    reached_chance: float
    said: str
    note: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One look; of what it did not look at, nothing."""

    look: Look
    at_s: float
    took_s: float
    trouble: str = ""
    """Why nothing was found."""

    tasks: list[TaskKnown] = []
    notes: list[str] = []
    outcomes: list[OutcomeRow] = []
    savings: SavingsKnown | None = None
    pools: list[PoolKnown] = []


class Looks:
    """Keeps what was found last."""

    def __init__(self, ask: Callable[[Sequence[Look]], Iterable[bytes]], clock: Clock) -> None:
        """``ask`` has looks worked out, and yields a line as each is done; it may raise ``OSError``."""
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[Look, Found] = {}
        self._asked_s: dict[Look, float] = {}
        self._due: set[Look] = set()
        self._under_way: set[frozenset[Look]] = set()

    def get(self, *looks: Look) -> dict[Look, Found]:
        """Return what is known of these; have what is not known, or is old, worked out, and do not wait for it."""
        now_s = self._clock.monotonic()
        with self._lock:
            for look in looks:
                if now_s - self._asked_s.get(look, -LASTS_S[look]) >= LASTS_S[look]:
                    self._asked_s[look] = now_s
                    self._due.add(look)
            for lane in _LANES:
                if self._due & lane and lane not in self._under_way:
                    self._under_way.add(lane)
                    threading.Thread(target=self._work, args=(lane,), daemon=True).start()
            return {look: self._found[look] for look in looks if look in self._found}

    def forget(self, look: Look) -> None:
        """Have it worked out anew when somebody looks next: something has changed."""
        with self._lock:
            self._asked_s.pop(look, None)

    def _work(self, lane: frozenset[Look]) -> None:
        """Have worked out what is due of a lane, and what becomes due meanwhile."""
        while True:
            with self._lock:
                due = [look for look in LOOKS if look in self._due & lane]
                self._due -= lane
                if not due:
                    self._under_way.discard(lane)
                    return
            self._work_out(due)

    def _work_out(self, due: Sequence[Look]) -> None:
        began_s, missing = self._clock.now(), set(due)
        try:
            for line in self._ask(due):
                found = msgspec.json.decode(line, type=Found)
                missing.discard(found.look)
                self._keep(found)
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("What was proven cannot be worked out: %s", error)
        took_s = self._clock.now() - began_s
        for look in missing:
            trouble = "This could not be worked out; the log says why. It is tried again."
            self._keep(Found(look=look, at_s=began_s, took_s=took_s, trouble=trouble))

    def _keep(self, found: Found) -> None:
        with self._lock:
            self._found[found.look] = found
