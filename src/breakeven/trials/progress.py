"""What is known of one task of a shift: its pairs and its live requests, read from the store as they come.

Made again from the same store it says the same of the pairs, whenever and by whomever it is asked: the process that
decides, after a restart too, and the command that shows how a shift stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.evidence.betting import begin
from breakeven.evidence.guards import GuardLimits, LiveRequest, begin_watch, slow_limit_s
from breakeven.evidence.shift import ShiftPlan, ShiftState, decide
from breakeven.ledger.live_rows import live_rows
from breakeven.ledger.pairs import SERVED, Which, stored_checks
from breakeven.ledger.shifts import ANY_TASK

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.evidence.betting import Betting
    from breakeven.evidence.guards import GuardWatch
    from breakeven.evidence.shift import Decision
    from breakeven.ledger.live_rows import LiveRow
    from breakeven.ledger.pairs import Scored
    from breakeven.ledger.shifts import Shift, ShiftTerms, TaskStep

BEFORE_US: Final = 7 * 86_400_000_000
"""How far back the incumbent's times to the first token are looked at, before a step."""

MOST_BEFORE_COUNT: Final = 2_000
LOOKS_BACK_US: Final = 120_000_000
"""How long after it came a request is mostly in the store."""

WHOLE_EVERY: Final = 100
"""Every so many looks all requests of the step are read again, for those that came later still."""

_LAST_US: Final = 1 << 62


class Progress:
    """One task of a shift, at one step."""

    def __init__(self, store: Path, shift: Shift, step: TaskStep) -> None:
        """Know nothing yet; ``look`` reads."""
        self.shift, self.step = shift, step
        self.plan = plan_of(shift.terms)
        self.betting: Betting = _begun(self.plan)
        self.version: str | None = None
        """Of the check whose pairs are counted; None: there was no pair yet."""

        self.live_requests = 0
        """That clients sent and the target answered, or failed, since the step began."""

        self._store = store
        self._task = None if step.task == ANY_TASK else step.task
        self._after = (-1, 0)
        self._counted: set[int] = set()
        self._reversed = False
        self._since_us = int(step.since_s * 1e6)
        self._watch: GuardWatch | None = None
        self._incumbents: set[str] = set()
        self._seen: set[int] = set()
        self._looks = 0
        self._looked_us = 0

    def look(self, now_s: float) -> None:
        """Take in what has come since.  Raises ``InputError`` where the store cannot be read."""
        self._read_pairs()
        self._read_rows(int(now_s * 1e6))

    def decision(self, now_s: float) -> Decision:
        """Return what is to be done, on what was read."""
        state = ShiftState(phase=self.step.state, step=self.step.step, since_s=self.step.since_s)  # type: ignore[arg-type]
        guards = self._watch.guards() if self._watch is not None else ()
        return decide(state, self.betting, guards, plan=self.plan, live_requests=self.live_requests, now_s=now_s)

    # Pairs

    def _read_pairs(self) -> None:
        shift = self.shift
        from_us = 0 if shift.terms.counts_shadow else int(shift.started_s * 1e6)
        tasks = () if self._task is None else (self._task,)
        with_nodes = shift.terms.to_pool and shift.terms.counts_shadow  # a shadow is of one node
        which = Which(model=shift.model, candidate=shift.target, tasks=tasks, from_us=from_us, with_nodes=with_nodes)
        before: list[float] = []
        since: list[float] = []
        for scored in stored_checks(self._store, which, after=self._after):
            check = scored.check
            self._after = (check.at_us, check.request_id)
            if not self._counts(scored):
                continue
            if check.name == shift.terms.check and check.version != self.version:
                if self.version is not None:  # another judge, or another question to it: what was bet is void
                    self.betting, before, since = _begun(self.plan), [], []
                self.version = check.version
            self._counted.add(check.request_id)
            (before if check.at_us <= self._since_us else since).append(check.difference)
        self.betting = self.betting.after(before)
        if not self._reversed:
            self.betting, self._reversed = self.betting.with_new_reverse(), True
        self.betting = self.betting.after(since)

    def _counts(self, scored: Scored) -> bool:
        """Whether a check is the verdict on its pair: the one that was asked for, or that one of both did not answer.

        What was replayed from a file is no live request and does not count; each pair counts once.  Those of shadows of
        a pool's nodes count up to the start alone: each node may have a judge of its own.
        """
        check = scored.check
        if check.request_id < 0 or check.request_id in self._counted:
            return False
        if check.candidate != self.shift.target and scored.received_us >= int(self.shift.started_s * 1e6):
            return False
        if check.name == self.shift.terms.check:
            return True
        return check.name == SERVED and check.difference != 0

    # Live requests

    def _read_rows(self, now_us: int) -> None:
        watch = self._watch if self._watch is not None else self._begun_watch()
        whole = self._looks % WHOLE_EVERY == 0
        from_us = self._since_us if whole else max(self._since_us, self._looked_us - LOOKS_BACK_US)
        self._looks, self._looked_us = self._looks + 1, now_us
        found = live_rows(self._store, self.shift.model, self._task, from_us=from_us, until_us=_LAST_US)
        new = [row for row in found if row.attempt_id not in self._seen]
        if whole:
            self._seen.clear()
        self._seen.update(row.attempt_id for row in found)
        there = {row.target for row in new if self.shift.goes_to(row.target)}
        self._incumbents |= {row.target for row in new if not row.is_mirrored} - there
        self.live_requests += sum(row.target in there and not row.is_mirrored for row in new)
        both = there | self._incumbents  # a mirrored one may have gone to somebody else's candidate
        self._watch = watch.after(_live(row, of_candidate=row.target in there) for row in new if row.target in both)

    def _begun_watch(self) -> GuardWatch:
        before = live_rows(
            self._store, self.shift.model, self._task, from_us=self._since_us - BEFORE_US, until_us=self._since_us,
            most_count=MOST_BEFORE_COUNT,
        )  # fmt: skip
        theirs = [row for row in before if not (row.is_mirrored or self.shift.goes_to(row.target))]
        self._incumbents |= {row.target for row in theirs}
        slow_s = slow_limit_s(row.first_byte_s for row in theirs if row.first_byte_s is not None and not row.failed)
        return begin_watch(self.plan.limits, slow_s=slow_s, alpha_fraction=self.plan.alpha_fraction)


def plan_of(terms: ShiftTerms) -> ShiftPlan:
    """Return what was said of a shift as the rules of decisions take it.  Raises ``ValueError`` for what is none."""
    return ShiftPlan(
        steps=terms.steps,
        margin_fraction=terms.margin_fraction,
        alpha_fraction=terms.alpha_fraction,
        least_requests=terms.least_requests,
        least_step_s=terms.least_s,
        limits=GuardLimits(
            error_fraction=terms.guard_error_fraction,
            ttft_ratio=terms.guard_ttft_ratio,
            cost_ratio=terms.guard_cost_ratio,
        ),
    )


def _begun(plan: ShiftPlan) -> Betting:
    return begin(margin_fraction=plan.margin_fraction, alpha_fraction=plan.alpha_fraction)


def _live(row: LiveRow, *, of_candidate: bool) -> LiveRequest:
    return LiveRequest(of_candidate=of_candidate, failed=row.failed, ttft_s=row.first_byte_s, cost_usd=row.cost_usd)
