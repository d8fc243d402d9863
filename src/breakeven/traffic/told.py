"""What a message may repeat of a file: no keys or tokens, no endless value, and nothing that steers a terminal.

Messages quote what was found, wherever it was found, and logs hold keys and prompts.  So everything that is said of
a file passes here once, on its way out of ``read_trace``; readers need not think of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec

from breakeven.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.traffic.trace import Trace

P = ParamSpec("P")

LONGEST_WORD: Final = 160
LONGEST_MESSAGE: Final = 1_200
_END: Final = 300
"""Of a message that is cut in its middle: what to do stands at its end."""

_SECRET: Final = re.compile(
    r"((?<![A-Za-z0-9])(?:sk-|pk-|rk-|key-|gsk_|hf_|gh[opsu]_|xai-|AKIA|AIza|eyJ|bearer\s+|basic\s+)|sk-(?=[\w-]*\d))"
    r"[\w.+/=-]{8,}",
    re.IGNORECASE,
)
"""The beginnings by which providers' keys, access tokens and authorization headers are known."""

_UNSHOWN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Controls, which could rewrite what stands on a terminal, and halves of surrogate pairs, which no encoding has."""

_LONG_WORD: Final = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def told(text: str) -> str:
    """Return a message without secrets, of a length that can be read, and of characters that a terminal can show."""
    text = _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    text = _SECRET.sub(r"\1…", text)
    text = _LONG_WORD.sub(lambda word: word[0][: LONGEST_WORD // 2] + "…", text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - _END]} … {text[-_END:]}"


def safely_told(read: Callable[P, Trace]) -> Callable[P, Trace]:
    """Let everything that reading says, in a trace or an error, pass through ``told``."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> Trace:
        try:
            trace = read(*args, **kwargs)
        except InputError as error:
            raise InputError(told(error.summary), _problems(error.problems)) from error
        return replace(trace, problems=_problems(trace.problems), notes=tuple(map(told, trace.notes)))

    return reading


def _problems(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(Problem(where=told(item.where), what=told(item.what), fix=told(item.fix)) for item in problems)
