"""Signals of live answers as outcomes: each under its own name, said by the gateway, and none of them a success."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.evidence.retried import RecentQuestions, question_text
from breakeven.gateway.verification import AskedCheck, Question
from breakeven.ledger.ids import request_text
from breakeven.ledger.outcomes import CODE, SIGNAL, Outcome, outcome_id
from breakeven.ledger.pairs import CHECK
from breakeven.trials.answered import Score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.clock import Clock
    from breakeven.gateway.copies import Copy
    from breakeven.gateway.verification import Told
    from breakeven.trials.answered import Heard
    from breakeven.trials.plan import SignalsPlan

RETRIED: Final = "retried"
HTTP_CHECK: Final = "http_check"


class ShownQuestion(Question, frozen=True, kw_only=True):
    """What a user's check is told of an answer that is compared: its request too."""

    request: str


class Teller:
    """What is told from live answers."""

    def __init__(self, plan: SignalsPlan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._names = frozenset(plan.names)
        self._recent = RecentQuestions(within_s=plan.retry_s) if plan.retry_s else None
        self._check = AskedCheck(plan.http_check) if plan.http_check is not None else None

    async def told(self, copy: Copy, heard: Heard) -> list[Outcome]:
        """Return what is told from one answer."""
        at_us = copy.received_us + copy.ended_us
        found = [
            self._outcome(copy.request_id, signal.name, at_us, success=signal.good, comment=signal.detail)
            for signal in heard.signals
            if signal.name in self._names
        ]
        found.extend(self._retried(copy))
        check = self._check
        if check is not None and check.may_see(copy.sensitivities):
            said = await check.told(shown_question(copy, heard.shown))
            if said is not None:
                score = None if said.score is None else score_of(said)
                found.append(self._outcome(copy.request_id, HTTP_CHECK, at_us, success=said.ok, score=score))
        return found

    def _retried(self, copy: Copy) -> Iterator[Outcome]:
        """Yield what a question says of an earlier answer to it: asked again soon, it did not serve."""
        if self._recent is None:
            return
        owner = f"{copy.key}\0{_user_of(copy.body)}"
        text = question_text(copy.body)
        before = self._recent.asked(
            copy.request_id, text, episode=copy.episode, owner=owner, now_s=copy.received_us / 1e6
        )
        if before is not None:
            comment = f"asked again in {request_text(copy.request_id)}"
            yield self._outcome(before, RETRIED, copy.received_us, success=False, comment=comment)

    def _outcome(
        self, request_id: int, name: str, at_us: int, *, success: bool, score: float | None = None, comment: str = ""
    ) -> Outcome:
        return Outcome(
            id=outcome_id("", request_id, name, CODE),
            key="",
            request_id=request_id,
            name=name,
            source=CODE,
            success=success,
            score=score,
            comment=comment,
            at_us=at_us,
            received_us=int(self._clock.now() * 1e6),
            origin=SIGNAL,
        )


def score_of(said: Told) -> float:
    """Return what a user's check says, as a score from 0 to 1."""
    return float(said.ok) if said.score is None else min(max(said.score, 0.0), 1.0)


async def checked(check: AskedCheck, incumbent: ShownQuestion, candidate: ShownQuestion) -> Score | str:
    """Ask a user's check about both answers; return what it says of them, or why it says nothing of one."""
    first, second = await asyncio.gather(check.told_or_why(incumbent), check.told_or_why(candidate))
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    return Score(CHECK, "", score_of(first), score_of(second))


def shown_question(copy: Copy, answer: str) -> ShownQuestion:
    """Return what a user's check is told about an answer to the request of a copy."""
    return ShownQuestion(
        request_id=request_text(copy.request_id),
        model=copy.model,
        task=copy.task,
        answer=answer,
        request=copy.body.decode("utf-8", "replace"),
    )


class _Said(msgspec.Struct):
    user: object = None


def _user_of(body: bytes) -> str:
    try:
        user = msgspec.json.decode(body, type=_Said).user
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return user if isinstance(user, str) else ""
