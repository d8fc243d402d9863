"""What the page's buttons do: a form comes in, proves that it is of our page, and the page comes back with the word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.console.call import RefusedError
from breakeven.console.forms import check_code, form_of
from breakeven.console.markup import sentence
from breakeven.console.moved import change
from breakeven.console.moved_page import confirm
from breakeven.console.page import page

if TYPE_CHECKING:
    from breakeven.console.call import Answer, Call, Console
    from breakeven.console.moved import Wanted

_CHANGES: Final[dict[str, Wanted]] = {"pause": "pause", "resume": "resume", "roll_back_now": "roll_back"}


def press(console: Console, call: Call) -> Answer:
    """Pause, resume or roll back one task of a shift; rolling back is asked for twice."""
    number = call.path["number"]
    try:
        given = form_of(call)
        task, wanted = given.get("task", ""), given.get("do", "")
        check_code(console.form_secret, given.get("code", ""), call.caller, number, task)
        if wanted == "roll_back":
            return page(console, call, above=confirm(console, call, number, task), is_asked=True)
        if wanted == "nothing":
            return page(console, call, above=sentence("Nothing is changed.", "said"))
        chosen = _chosen(wanted)
        done = change(console, call.caller, number, chosen, task)
    except RefusedError as refused:
        return page(console, call, above=sentence(str(refused), "failed"))._replace(status=refused.status)
    return page(console, call, above="".join(sentence(f"Shift {number}, {words}", "said") for words in done))


def _chosen(wanted: str) -> Wanted:
    if wanted not in _CHANGES:
        raise RefusedError(400, "invalid_body", "Nothing is changed: there is no such button.")
    return _CHANGES[wanted]
