"""What the requests of one worker share, and how its connections know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from breakeven.gateway.cache import Cache
from breakeven.gateway.copies import CopyLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.clock import Clock
    from breakeven.gateway.recollection import Recollection
    from breakeven.gateway.recorder import Recorder
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.gateway.state import State
    from breakeven.ledger.ids import RequestIds
    from breakeven.limits.reserve import Limits as Quotas


CACHE_S: Final = 3600.0
"""How long an answer is given again where only a request asks for it."""


class Carried(Protocol):
    """A request on its way, as its client's connection knows it."""

    def client_left(self) -> None:
        """Learn that nobody waits any more."""

    def pause(self) -> None:
        """Let the target wait: the client does not read."""

    def resume(self) -> None:
        """Let it go on."""

    def tick(self, now_s: float) -> None:
        """Look at the clock."""


class Shared:
    """One worker's lookups, recorder, ids, clock and chance; and whether it is stopping."""

    __slots__ = (
        "batches", "cache", "clock", "copies", "draining", "ids", "limits", "now_s", "quotas", "recorder",
        "reserved_output_tokens", "similar", "skipped_events", "state", "uniform",
    )  # fmt: skip

    def __init__(
        self,
        *,
        state: State,
        recorder: Recorder,
        ids: RequestIds,
        clock: Clock,
        snapshot: Snapshot,
        quotas: Quotas,
        uniform: Callable[[], float],
    ) -> None:
        """Take them; ``uniform`` returns numbers in [0, 1) for policies that draw."""
        self.state = state
        self.similar: Recollection | None = None
        """Answers that are given to similar questions, where some task asks for them."""

        self.recorder = recorder
        self.ids = ids
        self.clock = clock
        self.quotas = quotas
        self.copies: CopyLine | None = None
        """On which copies go to the process of trials; None: there is none."""

        self.take(snapshot)
        self.uniform = uniform
        self.draining = False
        self.skipped_events = 0
        """Events of streams that were no JSON and did not reach their client."""

        self.now_s = clock.monotonic()
        """The stopwatch as of the last tick: good enough for what is measured in seconds."""

    def take(self, snapshot: Snapshot) -> None:
        """Go by these settings from now on; answers that were kept under others are forgotten."""
        self.cache = Cache(snapshot.cache_bytes, snapshot.cache_entry_bytes, CACHE_S)
        self.batches = snapshot.ledger.folder if snapshot.batches else ""
        """Folder of the socket of the process that serves files and batches; empty: they are not served."""

        folder = snapshot.ledger.folder if snapshot.trials else ""
        if self.copies is not None and self.copies.folder != folder:
            self.copies.close()
            self.copies = None
        if folder and self.copies is None:
            self.copies = CopyLine(folder, self.clock.monotonic)
        self.limits = snapshot.limits
        self.reserved_output_tokens = snapshot.reserved_output_tokens
