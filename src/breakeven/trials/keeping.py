"""What is to be written down: gathered, and put into the store once a second, all of it together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.outcomes import keep_outcomes
from breakeven.ledger.pairs import Pair, PairCheck, PairText, keep
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.clock import Clock
    from breakeven.ledger.outcomes import Outcome
    from breakeven.trials.answered import Score

MOST_WAITING: Final = 10_000
"""Pairs, or outcomes, that wait while the store cannot be written; beyond, the newest are dropped."""

_log = logging.getLogger("breakeven.trials")


class Keeper:
    """Pairs, checks, texts and outcomes on their way to the store."""

    def __init__(self, store: Path, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pairs: list[tuple[Pair, tuple[Score, ...], PairText | None]] = []
        self._outcomes: list[Outcome] = []
        self._last_us = 0
        self.trouble = ""
        self.dropped_count = 0
        """Pairs and outcomes for which there was no room."""

    def add_pair(self, pair: Pair, scores: Sequence[Score], text: PairText | None) -> None:
        """Take a pair with what was said of it."""
        if len(self._pairs) < MOST_WAITING:
            self._pairs.append((pair, tuple(scores), text))
        else:
            self.dropped_count += 1

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes."""
        if len(self._outcomes) + len(outcomes) <= MOST_WAITING:
            self._outcomes.extend(outcomes)
        else:
            self.dropped_count += len(outcomes)

    def flush(self) -> None:
        """Write what there is; what cannot be written waits for the next time.  To be called in a thread."""
        pairs, self._pairs = self._pairs, []
        outcomes, self._outcomes = self._outcomes, []
        now_us = self._last_us = max(int(self._clock.now() * 1e6), self._last_us + 1)
        checks = [
            PairCheck(pair.request_id, pair.candidate, *score, now_us) for pair, scores, _ in pairs for score in scores
        ]
        texts = [text for _, _, text in pairs if text is not None]
        try:
            keep(self._store, [pair for pair, _, _ in pairs], checks, texts)
            pairs = []
            if outcomes:
                keep_outcomes(self._store, outcomes)
        except InputError as error:
            self._pairs[:0] = pairs  # in one step: the event loop may be adding to them
            self._outcomes[:0] = outcomes
            if not isinstance(error, StoreMissingError):  # the gateway has just begun, and the mover will make it
                self._say(str(error))
        else:
            self._say("")

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.log(logging.ERROR if trouble else logging.WARNING, "%s", trouble or "Pairs can be written again.")
        self.trouble = trouble
