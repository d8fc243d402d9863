"""The page's section on what moves and what it brought: alerts, shifts with their buttons, outcomes, savings, pools."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Final

from breakeven.console.forms import form_code
from breakeven.console.markup import Html, sentence, shown, table
from breakeven.console.moved import looked, open_alerts, shift_views
from breakeven.console.plan import Role
from breakeven.errors import InputError
from breakeven.ledger.shifts import (
    ANY_TASK,
    END,
    FINISH,
    FINISHED,
    PAUSE,
    PAUSED,
    PROMOTE,
    RESUME,
    ROLL_BACK,
    ROLLED_BACK,
    RUNNING,
    START,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.console.call import Call, Console
    from breakeven.console.looks import Found, OutcomeRow
    from breakeven.console.markup import Cell
    from breakeven.console.moved import ShiftView, TaskView
    from breakeven.studies.alerts import Notice

MOST_ROWS: Final = 50
_WORKING: Final = "This is being worked out; it is here in a moment."
_STATES: Final = {RUNNING: "tested", PAUSED: "paused", FINISHED: "finished", ROLLED_BACK: "rolled back"}
_CHANGES: Final = {
    START: "started",
    PROMOTE: "promoted",
    FINISH: "finished",
    ROLL_BACK: "rolled back",
    PAUSE: "paused",
    RESUME: "resumed",
    END: "ended",
}
_BUTTONS: Final = {"pause": "Pause", "resume": "Resume", "roll_back": "Roll back …"}
_SMALL_USD: Final = Decimal("0.01")


def moved_section(console: Console, call: Call) -> str:
    """Render the section; what cannot be read says so in its place."""
    parts = (
        ("Alerts open now", _alerts),
        ("Shifts of traffic", _shifts),
        ("Outcomes of the last 7 days", _outcomes),
        ("Savings of this month so far", _savings),
        ("How far break-even is", _pools),
    )
    return "<h2>Moved and proven</h2>" + "".join(
        f"<h3>{title}</h3>{_safely(render, console, call)}" for title, render in parts
    )


def alerts_word(console: Console) -> str:
    """Return how many alerts are open, for the page's head; nothing where none is, or nobody knows."""
    try:
        many = len(open_alerts(console))
    except InputError:
        return ""
    return f" · {many} alert{'' if many == 1 else 's'} open" if many else ""


def confirm(console: Console, call: Call, number: str, task: str) -> str:
    """Render the question whether a task's traffic is really to be taken back."""
    of_task = "all its tasks" if task == ANY_TASK else f"the task {task!r}"
    what = f"Take the traffic of {of_task} of shift {number} back at once? To move it again takes a new shift."
    form = _form(console, call, (number, task), {"roll_back_now": "Roll back now", "nothing": "Leave it"})
    return f"{sentence(what, 'said')}{form}"


def _safely(render: Callable[[Console, Call], Iterator[str]], console: Console, call: Call) -> str:
    try:
        return "".join(render(console, call))
    except InputError as error:
        return sentence(str(error))


def _alerts(console: Console, call: Call) -> Iterator[str]:
    del call
    rows = [_alert(notice) for notice in open_alerts(console)[:MOST_ROWS]]
    yield table("", ("alert", "of", "since (UTC)", "what"), rows, none="None.")


def _alert(notice: Notice) -> list[Cell]:
    looks = "failed" if notice.severity == "critical" else ""
    said = f"{notice.said} {notice.todo}".strip()
    return [(notice.kind.replace("_", " "), looks), (notice.subject, ""), (_day(notice.since_s), ""), (said, "w")]


def _shifts(console: Console, call: Call) -> Iterator[str]:
    views, found = shift_views(console)
    if not views:
        yield sentence("None is under way, and none has ended in the last 7 days.")
        return
    may = call.role >= Role.OPERATOR
    for view in views:
        yield _shift(console, call if may and view.shift.ended_s is None else None, view)
    if any(view.shift.ended_s is None for view in views):
        yield _under(console, found)


def _shift(console: Console, call: Call | None, view: ShiftView) -> str:
    """Render one shift; with buttons where ``call`` is of somebody who may press them."""
    shift = view.shift
    ended = "" if shift.ended_s is None else f", ended {_day(shift.ended_s)}"
    head = f"Shift {shift.id}: {shift.model} to {shift.target}, begun {_day(shift.started_s)}{ended} (UTC)"
    heads = ["task", "state", "share", "next", "pairs", "still needed", "last change"]
    rows = [_task(task) for task in view.tasks]
    words = "".join(sentence(f"{_name(task)}: {task.words}", "said") for task in view.tasks if task.words)
    if call is not None:
        heads.append("")
        for task, row in zip(view.tasks, rows, strict=True):
            row.append((_buttons(console, call, shift.id, task), ""))
    if shift.ended_s is None and all(task.step.state == FINISHED for task in view.tasks):
        done = (
            f"All is done: make {shift.target} the model's target in the settings, then: breakeven shift end {shift.id}"
        )
        words += sentence(done, "said")
    return f"<h4>{shown(head, 200)}</h4>{table('', heads, rows)}{words}"


def _task(task: TaskView) -> list[Cell]:
    step, known, last = task.step, task.known, task.last
    state = _STATES.get(step.state, step.state)
    changed = "" if last is None else f"{_CHANGES.get(last.kind, last.kind)} {_day(last.at_s)} by {last.said_by}"
    return [
        (_name(task), ""),
        (state, "drained" if step.state in (PAUSED, ROLLED_BACK) else ""),
        (_percent(task.share_fraction), "n"),
        ("" if task.next_fraction is None else _percent(task.next_fraction), "n"),
        ("" if known is None else f"{known.pairs:,}", "n"),
        (_needed(task), "n"),
        (changed, ""),
    ]


def _name(task: TaskView) -> str:
    return "all tasks" if task.step.task == ANY_TASK else task.step.task


def _needed(task: TaskView) -> str:
    known = task.known
    if known is None:
        return ""
    if known.pairs_needed is None:
        return "more will not show it"
    if not known.pairs_needed:
        return "none"
    likely, high = _rough(known.pairs_needed), known.pairs_needed_high
    return likely if high is None else f"{likely} (to {_rough(high)})"


def _buttons(console: Console, call: Call, number: int, task: TaskView) -> Html:
    if task.step.state not in (RUNNING, PAUSED):
        return Html()
    held = "resume" if task.step.state == PAUSED else "pause"
    shown_as = {name: _BUTTONS[name] for name in (held, "roll_back")}
    return _form(console, call, (f"{number}", task.step.task), shown_as)


def _form(console: Console, call: Call, what: tuple[str, str], buttons: dict[str, str]) -> Html:
    """Return a form that says of a shift and its task what is to be done."""
    number, task = what
    code = form_code(console.form_secret, call.caller, number, task)
    fields = "".join(
        f'<input type=hidden name={name} value="{escape(value)}">' for name, value in (("code", code), ("task", task))
    )
    pressed = "".join(f"<button name=do value={name}>{shown(said)}</button>" for name, said in buttons.items())
    return Html(f'<form method=post action="/shifts/{escape(number)}">{fields}{pressed}</form>')


def _outcomes(console: Console, call: Call) -> Iterator[str]:
    del call
    found = looked(console, "outcomes")
    if (waiting := _waiting(console, found)) is not None or found is None:
        yield waiting or ""
        return
    rows = found.outcomes
    if not any(row.good or row.bad for row in rows):
        many = sum(row.unknown for row in rows)
        yield sentence(f"Of {many:,} answers nobody said whether they were good." if many else "No answers.")
    else:
        heads = ("task", "target", "good", "bad", "unknown", "USD a success", "95 %")
        yield table("", heads, map(_outcome, rows[:MOST_ROWS]))
        yield sentence("Episodes count once. Words on the newest may still come; unknown ones are taken as the others.")
    yield _under(console, found)


def _outcome(row: OutcomeRow) -> list[Cell]:
    price, ends = "", ""
    if row.usd_per_success is not None and row.low_usd is not None:
        price = _usd(row.usd_per_success)
        ends = f"{_usd(row.low_usd)} – {'any' if row.high_usd is None else _usd(row.high_usd)}"
    counts = (f"{row.good:,}", f"{row.bad:,}", f"{row.unknown:,}", price, ends)
    return [(row.task or "–", ""), (row.target or "–", ""), *((text, "n") for text in counts)]


def _savings(console: Console, call: Call) -> Iterator[str]:
    del call
    found = looked(console, "savings")
    if (waiting := _waiting(console, found)) is not None or found is None or found.savings is None:
        yield waiting or ""
        return
    for item in found.savings.against:
        yield sentence(item.said, "said")
        yield sentence(f"{item.against}: {item.title}.")
    for note in found.savings.notes:
        yield sentence(note)
    yield _under(console, found)


def _pools(console: Console, call: Call) -> Iterator[str]:
    del call
    found = looked(console, "outlook")
    if (waiting := _waiting(console, found)) is not None or found is None:
        yield waiting or ""
        return
    for pool in found.pools:
        yield sentence(pool.said, "said")
        if pool.note and pool.note not in pool.said:
            yield sentence(f"{pool.pool}: {pool.note}")
    if not found.pools:
        yield sentence("There is no pool, real or virtual.")
    yield _under(console, found)


def _waiting(console: Console, found: Found | None) -> str | None:
    """Return what stands in the place of something that is not known; None: it is."""
    if not console.store.is_file():
        return sentence("The ledger is empty.")
    if found is None:
        return sentence(_WORKING)
    return sentence(found.trouble) + _under(console, found) if found.trouble else None


def _under(console: Console, found: Found | None) -> str:
    """Return the line that says how old something is, with its notes."""
    if found is None:
        return sentence(f"What the pairs show: {_WORKING[0].lower()}{_WORKING[1:]}")
    age_s = max(console.clock.now() - found.at_s, 0.0)
    ago = f"{age_s:.0f} seconds" if age_s < 120 else f"{age_s / 60:.0f} minutes"
    trouble = [found.trouble] if found.trouble and found.look == "shifts" else []
    return sentence(" ".join([*trouble, *found.notes, f"Worked out {ago} ago."]), "age")


def _rough(count: int) -> str:
    """Return a count of two figures."""
    return f"{round(count, -max(len(str(count)) - 2, 0)):,}"


def _usd(amount_usd: float) -> str:
    exact = Decimal(amount_usd)
    return f"{exact:,.2f}" if abs(exact) >= 1 else f"{exact:,.4f}" if abs(exact) >= _SMALL_USD else f"{exact:.2g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def _day(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%d %b %H:%M}"
