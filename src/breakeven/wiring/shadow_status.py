"""How comparing goes: the process that does it, today's budget, and the pairs of each candidate so far."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakeven.errors import InputError
from breakeven.ledger.pairs import REPLAY
from breakeven.ledger.store import connect, trouble_of
from breakeven.trials.counts import OLD_S, TrialsState, read_state
from breakeven.trials.intake import is_listened_on
from breakeven.wiring.clock import current_s

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.wiring.ledger import LedgerPlace

_PAIRS = """
    SELECT p.model, p.candidate, p.task, count(*), sum(p.candidate_failure != ''), sum(p.incumbent_failure != ''),
        sum(EXISTS (SELECT 1 FROM pair_check c WHERE c.request_id = p.request_id AND c.candidate = p.candidate
            AND c.name = 'judge')),
        sum(EXISTS (SELECT 1 FROM pair_text t WHERE t.request_id = p.request_id AND t.candidate = p.candidate
            AND t.expires_s > ?)),
        max(p.at_us)
    FROM pair p WHERE p.origin != ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateStatus:
    """The live pairs of one candidate for one task."""

    model: str
    candidate: str
    task: str
    """Empty: of requests without one."""

    pairs_count: int
    candidate_failed_count: int
    incumbent_failed_count: int
    judged_count: int
    texts_count: int
    """Pairs whose texts are kept."""

    newest_s: float
    """When the request of the newest came: Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStatus:
    """All of it."""

    runs: bool
    """Whether the process is there now that takes copies."""

    state: TrialsState | None
    """How it was when it last said; None: it never ran here."""

    candidates: tuple[CandidateStatus, ...]


def shadow_status(place: LedgerPlace) -> ShadowStatus:
    """Return how comparing goes beside a ledger.  Raises ``InputError`` where the ledger cannot be read."""
    folder = place.spool.parent
    state = read_state(folder)
    now_s = current_s()
    runs = state is not None and now_s - state.at_s < OLD_S and is_listened_on(folder)
    return ShadowStatus(runs=runs, state=state, candidates=_candidates(place.store, now_s))


def _candidates(store: Path, now_s: float) -> tuple[CandidateStatus, ...]:
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            found = connection.execute(_PAIRS, (now_s, REPLAY)).fetchall()
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    return tuple(
        CandidateStatus(
            model=model,
            candidate=candidate,
            task=task,
            pairs_count=pairs,
            candidate_failed_count=failed,
            incumbent_failed_count=others_failed,
            judged_count=judged,
            texts_count=texts,
            newest_s=newest_us / 1e6,
        )
        for model, candidate, task, pairs, failed, others_failed, judged, texts, newest_us in found
    )
