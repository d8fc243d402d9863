"""A ledger in which something moves: a shift under way and one taken back, pairs, outcomes, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from breakeven.ledger.notices import StoredNotice, keep_notices
from breakeven.ledger.outcomes import Outcome, keep_outcomes
from breakeven.ledger.pairs import SERVED, SHIFT, Pair, PairCheck, Side, keep
from breakeven.ledger.shifts import (
    ROLL_BACK,
    ROLLED_BACK,
    TEST,
    Move,
    ShiftTerms,
    move_task,
    shift_of,
    start_shift,
)
from breakeven.studies.alerts import Notice
from breakeven.wiring.clock import current_s
from console.control import fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR_S = 3_600.0
DAY_S = 86_400.0
SETTINGS = """
pools:
  llama:
    nodes: [{name: a, url: "http://127.0.0.1:1/v1", usd_per_hour: "1.20", since: 2026-01-01T00:00Z}]
    gpu_time: {prefill_s_per_mtok: 100, decode_s_per_mtok: 1000}
models: {chat: {targets: [llama]}}
"""


def begin(store: Path, *tasks: str, model: str = "chat", ago_s: float = 3 * DAY_S) -> int:
    """Begin a shift of a model to ``new``."""
    terms = ShiftTerms(tasks=tasks, steps=(0.01, 0.05, 1.0), check="judge")
    return start_shift(store, model, "new", terms, now_s=current_s() - ago_s, said_by="ann")


def take_back(store: Path, number: int, ago_s: float = DAY_S) -> None:
    """Have the test take a shift of one task back."""
    shift = shift_of(store, number)
    (step,) = shift.tasks
    evidence = {"words": "Rolled back from 1 %: it was worse."}
    move = Move(step.task, ROLL_BACK, TEST, ROLLED_BACK, 0, evidence)
    assert move_task(store, shift, step, move, now_s=current_s() - ago_s)


def judge(store: Path, task: str, differences: Sequence[int], first: int = 1) -> None:
    """Keep judged pairs of a day ago."""
    at_us = int((current_s() - DAY_S) * 1e6)
    side = Side(None, 1, 1, None, 1, 1, "")
    numbers = range(first, first + len(differences))
    pairs = [Pair(n << 4, "new", "old", "chat", "k", task, "", at_us + n, side, side, SHIFT) for n in numbers]
    judged = [
        PairCheck(pair.request_id, "new", "judge", "1", float(d < 0), float(d > 0), "", pair.at_us)
        for pair, d in zip(pairs, differences, strict=True)
    ]
    served = [PairCheck(pair.request_id, "new", SERVED, "", 1.0, 1.0, "", pair.at_us) for pair in pairs]
    keep(store, pairs, [*judged, *served])


def answer(folder: Path, good: Sequence[bool | None], **changes: Any) -> None:
    """Fill a ledger with answers of an hour and a half ago, and what was said of them; None: nothing."""
    at_us = int((current_s() - 1.5 * HOUR_S) * 1e6)
    plain = {
        "key": "search",
        "model": "chat",
        "target": "new",
        "task": "sort",
        "priced_as": "p:m",
        "received_us": at_us,
    }
    fill(folder, [plain | changes for _ in good])
    key = str(changes.get("key", "search"))
    said = [
        Outcome(id=f"{n}", key=key, request_id=(n + 1) << 16, at_us=at_us, received_us=at_us, success=success)
        for n, success in enumerate(good)
        if success is not None
    ]
    keep_outcomes(folder / "ledger.sqlite", said)


def alert(store: Path, **said: Any) -> None:
    """Raise an alert."""
    since_s = current_s() - HOUR_S
    plain: dict[str, Any] = {
        "kind": "budget", "subject": "key search", "state": "raised", "since_s": since_s, "raised_s": since_s,
        "said": "Key search has used 83 % of its budget.",
    }  # fmt: skip
    notice = Notice(**(plain | said))
    detail = msgspec.json.encode(notice).decode()
    keep_notices(store, [StoredNotice(notice.kind, notice.subject, notice.state, notice.since_s, None, detail)])
