"""Works out what the control plane's page shows and takes long: a process of its own, one line of JSON a look.

The control plane starts it when somebody looks, and reads ``console.looks.Found`` from its standard output.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.console.looks import LOOKS, Found, OutcomeRow, PoolKnown, SavedAgainst, SavingsKnown, TaskKnown
from breakeven.errors import BreakevenError
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import SPOOL_NAME, LedgerPlace
from breakeven.wiring.ledger_prices import settings_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.console.looks import Look

LIMIT_S: Final = 300
"""After which it is ended by the system, whatever it is at."""

OUTCOME_DAYS: Final = 7
_HOUR_S: Final = 3600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    place: LedgerPlace
    config: Path | None
    now_s: float

    @property
    def today(self) -> datetime:
        """The day's first moment, UTC."""
        return (_EPOCH + timedelta(seconds=self.now_s)).replace(hour=0, minute=0, second=0, microsecond=0)


def work_out(look: Look, asked: _Asked) -> Found:
    """Return what one look finds, or what keeps it from it, in words."""
    began_s = current_s()
    try:
        found = _WAYS[look](asked)
    except BreakevenError as error:
        found = _nothing(look, asked, str(error))
    except ModuleNotFoundError as error:
        what = f"This needs {error.name}, which the core install leaves out: pip install 'breakeven[plan]'."
        found = _nothing(look, asked, what)
    return msgspec.structs.replace(found, took_s=round(current_s() - began_s, 3))


def _shifts(asked: _Asked) -> Found:
    from breakeven.ledger.shifts import PAUSED, RUNNING, stored_shifts
    from breakeven.wiring.shift import shift_status

    tasks, notes = list[TaskKnown](), list[str]()
    for shift in stored_shifts(asked.place.store, under_way=True):
        status = shift_status(asked.place, shift)
        notes += [note for note in status.notes if note not in notes]
        steps = {step.task: step.step for step in shift.tasks}
        for task in status.tasks:
            if task.state not in (RUNNING, PAUSED):
                continue
            evidence = task.evidence
            tasks.append(
                TaskKnown(
                    shift=shift.id,
                    task=task.task,
                    state=task.state,
                    step=steps[task.task],
                    since_s=task.since_s,
                    would=str(evidence.get("would", task.kind)),
                    words=task.words,
                    pairs=int(evidence["pairs"]),
                    pairs_needed=evidence["pairs_needed"],
                    pairs_needed_high=evidence["pairs_needed_high"],
                )
            )
    return _found("shifts", asked, tasks=tasks, notes=notes)


def _outcomes(asked: _Asked) -> Found:
    from breakeven.ledger.query import Question
    from breakeven.wiring.outcome_costs import query_outcome_costs

    hour = _EPOCH + timedelta(seconds=asked.now_s // _HOUR_S * _HOUR_S)
    question = Question(since=hour - timedelta(days=OUTCOME_DAYS))
    found = query_outcome_costs(asked.place, asked.config, question, mature_hours=0.0, now_s=asked.now_s, so_far=True)
    rows = []
    for group in found.groups:
        task, target = group.labels
        price = group.usd_per_success
        rows.append(
            OutcomeRow(
                task=task or "",
                target=target or "",
                good=group.success_count,
                bad=group.failure_count,
                unknown=group.unknown_count,
                usd_per_success=None if price is None else price.likely,
                low_usd=None if price is None else price.low,
                high_usd=None if price is None else price.high,
            )
        )
    return _found("outcomes", asked, outcomes=rows, notes=list(found.notes))


def _savings(asked: _Asked) -> Found:
    from breakeven.reports.savings import savings_document
    from breakeven.wiring.pools import closed_hours
    from breakeven.wiring.proof_savings import TODAY, SavingsQuestion, savings

    month = asked.today.replace(day=1)
    if closed_hours(asked.now_s) * _HOUR_S <= month.timestamp():
        return _nothing("savings", asked, f"No hour of {month:%B} (UTC) is over yet.")
    question = SavingsQuestion(since=month, against=(TODAY,))
    found = savings(asked.place, asked.config, question, asked.now_s)
    against = [
        SavedAgainst(
            against=item.name,
            title=item.title,
            would_usd=None if item.would_usd is None else f"{item.would_usd:f}",
            saved_usd=None if (saved_usd := found.saved_usd(item)) is None else f"{saved_usd:f}",
            said=said,
        )
        for item, said in zip(found.counterfactuals, savings_document(found).lead, strict=True)
    ]
    known = SavingsKnown(
        since=f"{found.begins:%Y-%m-%dT%H:%MZ}",
        until=f"{found.ends:%Y-%m-%dT%H:%MZ}",
        paid_usd=f"{found.paid_usd:f}",
        partial=found.is_partial,
        against=against,
        notes=list(found.notes),
    )
    return _found("savings", asked, savings=known)


def _outlook(asked: _Asked) -> Found:
    from breakeven.reports.outlook import pool_sentence
    from breakeven.wiring.proof_outlook import OutlookQuestion, outlook

    found = outlook(asked.place, asked.config, OutlookQuestion(), asked.now_s)
    pools = [
        PoolKnown(
            pool=pool.name,
            virtual=pool.is_virtual,
            needed_mtok_per_month=None if pool.needed_mtok_per_month is None else pool.needed_mtok_per_month.likely,
            seen_mtok_per_month=pool.seen_mtok_per_month,
            reached_chance=pool.reached_fraction,
            said=pool_sentence(pool),
            note=pool.note,
        )
        for pool in found.pools
    ]
    return _found("outlook", asked, pools=pools, notes=list(found.notes))


_WAYS: Final[dict[Look, Callable[[_Asked], Found]]] = {
    "shifts": _shifts,
    "outcomes": _outcomes,
    "savings": _savings,
    "outlook": _outlook,
}


def _found(look: Look, asked: _Asked, **found: object) -> Found:
    return Found(look=look, at_s=asked.now_s, took_s=0.0, **found)  # type: ignore[arg-type]


def _nothing(look: Look, asked: _Asked, trouble: str) -> Found:
    return Found(look=look, at_s=asked.now_s, took_s=0.0, trouble=trouble.replace("--", ""))


def main(origin: str, store: str, folder: str, looks: Sequence[str]) -> int:
    """Work out some looks of the ledger there; ``origin`` is where the settings are, as ``wiring.reread`` takes it."""
    signal.alarm(LIMIT_S)
    config = msgspec.json.decode(origin)[0]
    asked = _Asked(
        place=LedgerPlace(store=Path(store), spool=Path(folder) / SPOOL_NAME),
        config=settings_path(None, Path(config) if config else None),
        now_s=current_s(),
    )
    for look in LOOKS:
        if look in looks:
            sys.stdout.buffer.write(msgspec.json.encode(work_out(look, asked)) + b"\n")
            sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(",")))
