"""Joins shifts of traffic in the store with the settings, the evidence and the time, for the commands."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.pairs import CHECK, EXACT, FIELDS, JSON_EQUAL, JUDGE, SERVED
from breakeven.ledger.shifts import (
    ANY_TASK,
    FINISH,
    FINISHED,
    PAUSE,
    PAUSED,
    PROMOTE,
    RESUME,
    ROLL_BACK,
    ROLLED_BACK,
    RUNNING,
    Move,
    end_shift,
    move_task,
    shift_events,
    shift_of,
    start_shift,
    stored_shifts,
)
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import find_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.evidence.shift import Decision, Override
    from breakeven.ledger.shifts import Shift, ShiftEvent, ShiftTerms, TaskStep
    from breakeven.settings.parts import Parts
    from breakeven.settings.trials import ShadowEntry, TrialsEntry
    from breakeven.wiring.ledger import LedgerPlace

TRIALS_MISSING: Final = (
    "The settings have no trials:, so nothing compares the two targets. Add this, with a strong model as judge, and "
    "run `breakeven config reload`:\n\n  trials:\n    judge: {model: NAME}\n    budget_day_usd: 10\n"
)
SIGNALS: Final = ("schema_valid", "tool_call_parsed", "refusal", "truncated")
"""Names of checks that are signals of both answers."""

_TRIES: Final = 5
_ALL_BUT_SPENT: Final = Decimal("0.95")
"""Of a day's budget: what is left has hardly room for another pair."""

_KINDS: Final = {"promote": PROMOTE, "finish": FINISH, "roll_back": ROLL_BACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """What is known of one task of a shift."""

    task: str
    state: str
    share_fraction: float
    since_s: float
    next_fraction: float | None
    """Share of the next step; None: there is none."""

    kind: str
    """What would be done now: promote, hold, roll_back or finish."""

    reason: str
    words: str
    """What is known, how sure it is and what is missing."""

    evidence: Mapping[str, Any]
    last: ShiftEvent | None
    """What was last decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftStatus:
    """A shift and where its tasks stand."""

    shift: Shift
    tasks: tuple[TaskStatus, ...]
    notes: tuple[str, ...]
    """What keeps it from going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A shift that was begun."""

    shift: Shift
    notes: tuple[str, ...]
    """What should be known of it."""


def who() -> str:
    """Return the name of the user who runs this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def run_start(model: str, target: str, terms: ShiftTerms, *, config: Path | None, said_by: str) -> Started:
    """Begin a shift.  ``terms.check`` may be empty: the judge, else the check that the settings have.

    Raises ``InputError`` and ``UnknownNameError`` for what the settings do not have, or what makes no sense.
    """
    import msgspec

    from breakeven.settings import CONFIG_NAME
    from breakeven.settings.parts import parts_of
    from breakeven.settings.pooled import with_nodes
    from breakeven.sources.yaml_file import need_mapping, read_yaml
    from breakeven.trials.progress import plan_of

    path = config or Path(CONFIG_NAME)
    document = read_yaml(path)
    need_mapping(document, "settings are a mapping of keys to values")
    parts = parts_of(with_nodes(document).data)
    places = _checked_places(model, target, parts)
    if parts.trials is None:
        raise InputError(TRIALS_MISSING)
    shadow = next((it for it in parts.trials.shadows if it.model == model and it.candidate in places), None)
    check, notes = _check_of(terms.check, shadow, parts.trials)
    terms = msgspec.structs.replace(terms, check=check, to_pool=target in parts.pools)
    try:
        plan_of(terms)
    except ValueError as error:
        raise InputError(f"This shift cannot be: {error}.") from error
    place = find_ledger(None, config)
    now_s = current_s()
    number = start_shift(place.store, model, target, terms, now_s=now_s, said_by=said_by)
    shift = shift_of(place.store, number)
    notes += [*_unseen(place.store, shift, now_s), *_former(place.store, shift), *_unheard(place.spool.parent)]
    return Started(shift=shift, notes=tuple(notes))


def find_shift(store: Path, number: int | None, *, or_last: bool = False) -> Shift:
    """Return the shift of that number; None: the only one that is under way, ``or_last``: or else the newest of all.

    Raises ``InputError`` and ``UnknownNameError``.
    """
    if number is not None:
        return shift_of(store, number)
    under_way = stored_shifts(store, under_way=True)
    if len(under_way) == 1:
        return under_way[0]
    if not under_way and or_last and (ended := stored_shifts(store)):
        return ended[-1]
    if not under_way:
        raise InputError(
            "No shift is under way. Begin one with `breakeven shift start`, or name an earlier one by its number."
        )
    known = ", ".join(f"{shift.id} ({shift.model} to {shift.target})" for shift in under_way)
    raise InputError(f"Several shifts are under way: {known}. Name one by its number.")


def shift_status(place: LedgerPlace, shift: Shift) -> ShiftStatus:
    """Return where a shift stands, worked out from its pairs and requests.  Raises ``InputError``."""
    from breakeven.trials.progress import Progress

    now_s, store = current_s(), place.store
    events = shift_events(store, shift.id)
    found = []
    for step in shift.tasks:
        last = next((event for event in reversed(events) if event.task == step.task), None)
        progress = Progress(store, shift, step)
        progress.look(now_s)
        decision = progress.decision(now_s)
        is_over = step.state in (FINISHED, ROLLED_BACK) or shift.ended_s is not None
        words = str(last.evidence.get("words") or decision.words) if is_over and last is not None else decision.words
        after = step.step + 1
        found.append(
            TaskStatus(
                task=step.task,
                state=step.state,
                share_fraction=shift.share_fraction(step),
                since_s=step.since_s,
                next_fraction=shift.terms.steps[after] if after < len(shift.terms.steps) and not is_over else None,
                kind=decision.kind,
                reason=decision.reason,
                words=words,
                evidence=decision.evidence,
                last=last,
            )
        )
    notes = _unheard(place.spool.parent) if shift.ended_s is None else []
    return ShiftStatus(shift=shift, tasks=tuple(found), notes=tuple(notes))


def run_override(store: Path, shift: Shift, wanted: Override, task: str | None, said_by: str) -> tuple[str, ...]:
    """Carry out what a person wants of one task, or of all that it can be said of; return what was done, in words.

    Raises ``InputError`` where it cannot be said of the task, or of any.
    """
    if task is not None and task not in {step.task for step in shift.tasks}:
        known = ", ".join(step.task for step in shift.tasks)
        raise UnknownNameError(f"Shift {shift.id} has no task {task!r}. It has {known}.")
    done, refused = [], []
    for step in shift.tasks:
        if task is not None and step.task != task:
            continue
        try:
            done.append(f"{task_named(step.task)}: {_override(store, shift, step.task, wanted, said_by)}")
        except ValueError as error:
            refused.append(f"{task_named(step.task)}: {error}")
    if not done:
        raise InputError(f"Nothing is changed. {'; '.join(refused)}.")
    return (*done, *(f"{words}; it stays as it is." for words in refused))


def run_end(store: Path, shift: Shift, said_by: str) -> None:
    """End a shift.  Raises ``InputError`` where it has ended."""
    if shift.ended_s is not None:
        raise InputError(f"Shift {shift.id} has ended already.")
    end_shift(store, shift, now_s=current_s(), said_by=said_by)


def _override(store: Path, shift: Shift, task: str, wanted: Override, said_by: str) -> str:
    """Make a change; where the process that decides was quicker, look anew.  Raises ``ValueError`` for people."""
    from breakeven.evidence.shift import ShiftState, override
    from breakeven.trials.progress import plan_of

    plan = plan_of(shift.terms)
    for _ in range(_TRIES):
        shift = shift_of(store, shift.id)
        if shift.ended_s is not None:
            raise ValueError("the shift has ended; start a new one to move it again")
        step = next(item for item in shift.tasks if item.task == task)
        now_s = current_s()
        state = ShiftState(phase=step.state, step=step.step, since_s=step.since_s)  # type: ignore[arg-type]
        decision = override(state, wanted, plan=plan, now_s=now_s)
        if move_task(store, shift, step, _move(step, decision, wanted, said_by), now_s=now_s):
            return decision.words
    raise ValueError("it was changed by somebody else each time; try again")


def _move(step: TaskStep, decision: Decision, wanted: Override, said_by: str) -> Move:
    states = {"promote": RUNNING, "finish": FINISHED, "roll_back": ROLLED_BACK}
    held = {"pause": (PAUSE, PAUSED), "resume": (RESUME, RUNNING)}
    kind, state = held.get(wanted) or (_KINDS[decision.kind], states[decision.kind])
    return Move(
        task=step.task,
        kind=kind,
        said_by=said_by,
        state=state,
        step=step.step if decision.kind == "roll_back" else decision.state.step,
        evidence={"reason": "override", "words": decision.words},
    )


def _checked_places(model: str, target: str, parts: Parts) -> frozenset[str]:
    """Return the targets that a shift goes to: that one, or the nodes of that pool.

    Raises ``UnknownNameError``, ``InputError``.
    """
    from breakeven.settings.pools import node_target

    named = sorted(parts.model_names - {"*"})
    if model == "*" or model not in parts.model_names:
        known = f"There are {', '.join(named)}." if named else "There is none with a name of its own."
        raise UnknownNameError(f"The settings have no model {model!r} whose traffic could be shifted. {known}")
    serving = {
        name: {node_target(name, node) for node in pool.node_names()}
        for name, pool in parts.pools.items()
        if not pool.virtual
    }
    if target in parts.pools and target not in serving:
        known = f"Name a target, or a pool that serves: {', '.join(sorted(parts.target_names | serving.keys()))}."
        raise InputError(f"The pool {target!r} is virtual: it is only simulated, and serves nobody. {known}")
    places = frozenset(serving.get(target, {target}))
    if not places <= parts.target_names:
        known = ", ".join(sorted(parts.target_names | serving.keys()))
        raise UnknownNameError(f"The settings have no target {target!r}. There are {known}.")
    entry = parts.models.get(model)
    if entry is not None and places.issuperset(item.target for item in entry.targets):
        raise InputError(f"All traffic of {model!r} goes to {target!r} already: there is nobody to compare it with.")
    return places


def _check_of(check: str, shadow: ShadowEntry | None, trials: TrialsEntry) -> tuple[str, list[str]]:
    """Return the check whose scores are compared, and what should be known of it; ``shadow``: of that target.

    Raises ``InputError``.
    """
    without = (SERVED, EXACT, JSON_EQUAL, FIELDS, *SIGNALS)
    has = {
        JUDGE: trials.judge is not None or (shadow is not None and shadow.judge is not None),
        CHECK: trials.check is not None or (shadow is not None and shadow.check is not None),
    }
    if not check:
        check = next((name for name, there in has.items() if there), "")
        if not check:
            raise InputError(
                "Nothing in the settings says which of two answers is better. Give trials: a judge (judge: {model: "
                f"NAME}}) or a check of your own (check: {{url: …}}), or compare by --check {', '.join(without)}."
            )
    if check not in (*has, *without):
        raise InputError(f"There is no check {check!r}. There are {', '.join((*has, *without))}.")
    if check in has and not has[check]:
        raise InputError(
            f"--check {check} needs trials: {'judge: {model: NAME}' if check == JUDGE else 'check: {url: …}'} in the "
            "settings."
        )
    notes = []
    judge = (shadow.judge if shadow is not None else None) or trials.judge
    if check == JUDGE and judge is not None and judge.share < 1:
        notes.append(f"The judge sees {judge.share:.0%} of the pairs, so evidence comes that much later.")
    return check, notes


def _unseen(store: Path, shift: Shift, now_s: float) -> list[str]:
    """Return a note for each task of which no request came in a week: its name may be a slip of the pen."""
    from breakeven.ledger.live_rows import live_rows

    until_us = int(now_s * 1e6)
    from_us = until_us - 7 * 86_400_000_000
    return [
        f"No request of {shift.model!r} with the task {task!r} came in the last 7 days: look whether it is called so."
        for task in shift.terms.tasks
        if task != ANY_TASK
        and not live_rows(store, shift.model, task, from_us=from_us, until_us=until_us, most_count=1)
    ]


def _former(store: Path, shift: Shift) -> list[str]:
    """Return a note for each task that went to this target before and was rolled back."""
    notes = []
    for former in stored_shifts(store):
        same = shift.goes_to(former.target) or former.goes_to(shift.target)
        if former.id >= shift.id or former.model != shift.model or not same:
            continue
        notes += [
            f"Shift {former.id} of the task {step.task!r} to {former.target} was rolled back: begin again only if "
            f"something has changed there since (breakeven shift events {former.id})."
            for step in former.tasks
            if step.state == ROLLED_BACK and step.task in shift.terms.tasks
        ]
    return notes


def task_named(task: str) -> str:
    """Return a task of a shift as people read it."""
    return "all tasks" if task == ANY_TASK else task


def _unheard(folder: Path) -> list[str]:
    """Return a note where nobody compares at the moment, or hardly anybody will today."""
    from breakeven.trials.counts import read_state
    from breakeven.trials.intake import is_listened_on

    if is_listened_on(folder):
        state = read_state(folder)
        if state is None or Decimal(state.spent_usd) < _ALL_BUT_SPENT * Decimal(state.budget_usd):
            return []
        spent = f"{Decimal(state.spent_usd):.2f} of {Decimal(state.budget_usd):.2f} USD"
        return [f"Today's budget for comparing is spent ({spent}): few pairs more, or none, before midnight UTC."]
    return ["No gateway compares answers here now: start it, or let it read trials: (breakeven config reload)."]
