"""What to do next with one task of a shift: promote, hold, roll back or finish; a pure function of what is known.

The first promotion needs the pairs to have shown that the candidate is not worse by the margin (``betting``).  Each
needs the step to have lasted, enough live requests at the candidate, and every guard well.  Pairs that show the
opposite, or a guard that is broken, roll back at once.  While a person has paused the shift, nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from breakeven.evidence.betting import pairs_needed
from breakeven.evidence.guards import GuardLimits
from breakeven.evidence.words import needed_words, pairs_words, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.evidence.betting import Betting
    from breakeven.evidence.guards import Guard

Phase = Literal["running", "paused", "rolled_back", "finished"]
Kind = Literal["promote", "hold", "roll_back", "finish"]
Override = Literal["promote", "roll_back", "pause", "resume"]

MOST_STEPS: Final = 20
Facts = dict[str, "float | int | str | bool | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftPlan:
    """How a shift goes; the same for all its tasks."""

    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
    """Shares of a task's requests that go to the candidate, rising, each above 0 and at most 1."""

    margin_fraction: float = 0.03
    alpha_fraction: float = 0.05
    least_requests: int = 100
    """Live requests at the candidate since the step began."""

    least_step_s: float = 3600.0
    limits: GuardLimits = field(default_factory=GuardLimits)

    def __post_init__(self) -> None:
        rises = all(one < other for one, other in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or len(self.steps) > MOST_STEPS or not rises:
            raise ValueError(f"steps are up to {MOST_STEPS} rising shares, got {list(self.steps)}")
        if self.steps[0] <= 0 or self.steps[-1] > 1:
            raise ValueError(f"each step is a share above 0 and at most 1 (100 %), got {list(self.steps)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftState:
    """Where one task stands; ``step`` is a place in the plan's steps, from 0."""

    phase: Phase = "running"
    step: int = 0
    since_s: float
    """When the step began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, why, on what evidence, and the state after it (the same object if nothing changes)."""

    kind: Kind
    reason: str
    """promote, finish: ``proven``; roll_back: ``worse``, ``guard_errors``, ``guard_ttft``, ``guard_cost``; hold:
    ``paused``, ``over``, ``evidence``, ``requests``, ``dwell``, ``guard_…``; by a person: ``override``."""

    words: str
    """One or two sentences for people."""

    evidence: Facts
    state: ShiftState


def share_fraction(state: ShiftState, plan: ShiftPlan) -> float:
    """Return the share of the task's requests that goes to the candidate in a state."""
    return 0.0 if state.phase == "rolled_back" else plan.steps[state.step]


def decide(
    state: ShiftState, betting: Betting, guards: Sequence[Guard], *, plan: ShiftPlan, live_requests: int, now_s: float
) -> Decision:
    """Return what to do.

    ``betting``: all pairs of the task under one check and version, begun anew when either changes, with the bet for
    going back begun anew at this step (``Betting.with_new_reverse``).  ``guards``: ``GuardWatch.guards()`` since the
    step began.  ``live_requests``: requests that clients sent and the candidate answered (or failed) since then.
    """
    evidence = facts(betting, guards, live_requests)
    if state.phase in {"rolled_back", "finished"}:
        return Decision(
            kind="hold", reason="over", words=f"It is {_PHASES[state.phase]}.", evidence=evidence, state=state
        )
    kind, reason, words = _wanted(state, betting, guards, plan, (live_requests, now_s - state.since_s))
    if state.phase == "paused":
        would = "" if kind == "hold" else f" Unpaused it would {_VERBS[kind]}: {words}"
        held = f"Paused by a person at {percent(plan.steps[state.step])}.{would}"
        evidence |= {"would": kind, "would_reason": reason}
        return Decision(kind="hold", reason="paused", words=held, evidence=evidence, state=state)
    return Decision(kind=kind, reason=reason, words=words, evidence=evidence, state=_moved(state, kind, now_s))


def override(state: ShiftState, wanted: Override, *, plan: ShiftPlan, now_s: float) -> Decision:
    """Return the decision that a person takes.  Raises ``ValueError``, for people, where it makes no sense.

    A person may promote without evidence; what is promoted automatically after that still waits for it.
    """
    if state.phase in {"rolled_back", "finished"}:
        raise ValueError(f"this task is {_PHASES[state.phase]}; start a new shift to move it again")
    share = percent(plan.steps[state.step])
    if wanted in {"pause", "resume"}:
        phase: Phase = "paused" if wanted == "pause" else "running"
        if state.phase == phase:
            raise ValueError(f"this task is {phase} already, at {share}")
        words = f"A person {'paused' if wanted == 'pause' else 'resumed'} it at {share}."
        return Decision(kind="hold", reason="override", words=words, evidence={}, state=replace(state, phase=phase))
    last = state.step == len(plan.steps) - 1
    kind: Kind = "roll_back" if wanted == "roll_back" else "finish" if last else "promote"
    after = _moved(state, kind, now_s)
    words = f"A person took it from {share} to {percent(share_fraction(after, plan))}."
    if kind == "finish":
        words = f"A person called it finished at {share}."
    return Decision(kind=kind, reason="override", words=words, evidence={}, state=after)


def facts(betting: Betting, guards: Sequence[Guard], live_requests: int) -> Facts:
    """Return what a decision rests on, as a flat record for the ledger: numbers, texts and nothing else."""
    needed = pairs_needed(betting)
    found: Facts = {
        "pairs": betting.pairs_count,
        "differing_fraction": betting.differing_fraction,
        "mean_difference": betting.mean.mean_score,
        "low": betting.mean.low_score,
        "high": betting.mean.high_score,
        "margin": betting.margin_fraction,
        "alpha": betting.alpha_fraction,
        "e_value": betting.promote.e_value,
        "e_value_peak": betting.promote.peak_e_value,
        "e_value_worse": betting.reverse.e_value,
        "e_value_worse_peak": betting.reverse.peak_e_value,
        "pairs_needed": None if needed is None else needed.likely_count,
        "pairs_needed_high": None if needed is None else needed.high_count,
        "live_requests": live_requests,
    }
    for guard in guards:
        found |= {
            f"{guard.name}_state": guard.state,
            f"{guard.name}_candidate": guard.candidate_ratio,
            f"{guard.name}_incumbent": guard.incumbent_ratio,
            f"{guard.name}_limit": guard.limit_ratio,
            f"{guard.name}_nats": guard.sureness_nats,
        }
    return found


_PHASES: Final = {"rolled_back": "rolled back", "finished": "finished"}
_VERBS: Final = {"promote": "be promoted", "roll_back": "be rolled back", "finish": "be finished"}


def _wanted(
    state: ShiftState, betting: Betting, guards: Sequence[Guard], plan: ShiftPlan, seen: tuple[int, float]
) -> tuple[Kind, str, str]:
    """Return kind, reason and words; ``seen``: live requests, and seconds since the step began."""
    share = percent(plan.steps[state.step])
    if betting.is_worse:
        return "roll_back", "worse", f"Rolled back from {share}: {pairs_words(betting)}"
    broken = next((guard for guard in guards if guard.state == "broken"), None)
    if broken is not None:
        return "roll_back", f"guard_{broken.name}", f"Rolled back from {share}: {broken.words}."
    open_ = _open(betting, guards, plan, seen)
    if open_ is not None:
        return "hold", open_[0], f"Held at {share}: {open_[1]}"
    if state.step == len(plan.steps) - 1:
        return "finish", "proven", f"Finished at {share}: {pairs_words(betting)}"
    after = percent(plan.steps[state.step + 1])
    return "promote", "proven", f"Promoted from {share} to {after}: {pairs_words(betting)}"


def _open(
    betting: Betting, guards: Sequence[Guard], plan: ShiftPlan, seen: tuple[int, float]
) -> tuple[str, str] | None:
    """Return why a task that is not rolled back is not promoted either, as reason and words; None: it is."""
    live_requests, lasted_s = seen
    if not betting.is_as_good:
        return "evidence", f"{pairs_words(betting)} {needed_words(betting)}"
    unsure = next((guard for guard in guards if guard.state == "unsure"), None)
    if unsure is not None:
        return f"guard_{unsure.name}", f"{unsure.words}; that may be chance, so more requests are awaited."
    if live_requests < plan.least_requests:
        return "requests", f"{live_requests:,} of {plan.least_requests:,} live requests at the candidate in this step."
    if lasted_s < plan.least_step_s:
        return "dwell", f"{lasted_s / 3600:.1f} of {plan.least_step_s / 3600:.1f} hours of this step have passed."
    return None


def _moved(state: ShiftState, kind: Kind, now_s: float) -> ShiftState:
    match kind:
        case "promote":
            return ShiftState(phase="running", step=state.step + 1, since_s=now_s)
        case "roll_back":
            return ShiftState(phase="rolled_back", step=0, since_s=now_s)
        case "finish":
            return ShiftState(phase="finished", step=state.step, since_s=now_s)
        case "hold":
            return state
