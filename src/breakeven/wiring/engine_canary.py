"""Asks an engine the golden prompt from time to time, beside its other requests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from breakeven.engines.canary import BAD_ANSWERS, Golden, is_good, text_of
from breakeven.wiring.engine_ask import NoAnswerError, ask

if TYPE_CHECKING:
    from breakeven.wiring.engine_ask import Door

_log = logging.getLogger(__name__)

_ANSWER_S: Final = 60.0


def golden_answer(door: Door, body: bytes, path: str = "/v1/chat/completions") -> str:
    """Ask the golden prompt and return the text of the answer.  Raises ``NoAnswerError`` where there is none."""
    text = text_of(ask(door, path, timeout_s=_ANSWER_S, body=body))
    if text is None:
        raise NoAnswerError("answers without a text")
    return text


class Canary:
    """Remembers the first answer of each life of an engine, and holds later ones against it."""

    def __init__(self, golden: Golden, model: str, *, every_s: float) -> None:
        self._golden, self._body, self._every_s = golden, golden.body(model), every_s
        self._first: str | None = None
        self._bad = 0
        self._asked_s = 0.0

    def begin(self, door: Door, now_s: float) -> None:
        """Ask once, when the engine has become ready; the first life's answer is that which later ones are held to."""
        self._bad, self._asked_s = 0, now_s
        if self._first is None:
            self._first = self._answer(door)
            _log.info("the golden prompt is answered by %.40r.", self._first)

    def look(self, door: Door, now_s: float) -> str | None:
        """Return that the engine is degraded once it is; None else, and while it is not yet time to ask."""
        if now_s - self._asked_s < self._every_s:
            return None
        self._asked_s = now_s
        answer = self._answer(door)
        if answer is None:
            return None  # whether it answers at all is what health checks are for
        if self._first is None:
            self._first = answer
        if is_good(self._golden, self._first, answer):
            self._bad = 0
            return None
        self._bad += 1
        _log.warning("the golden prompt was answered by %.40r (%d of %d).", answer, self._bad, BAD_ANSWERS)
        return f"gave {BAD_ANSWERS} bad answers to the golden prompt" if self._bad >= BAD_ANSWERS else None

    def _answer(self, door: Door) -> str | None:
        try:
            return golden_answer(door, self._body)
        except NoAnswerError as error:
            _log.warning("the golden prompt: the engine %s.", error)
            return None
