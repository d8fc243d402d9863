"""A judge at an OpenAI-compatible address: asked twice about a pair, with the answers in either order."""

from __future__ import annotations

import asyncio
import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.evidence.answers import read_answer
from breakeven.evidence.judge import JUDGE_VERSION, combine, judge_messages, read_verdict
from breakeven.ledger.pairs import JUDGE
from breakeven.metering.completion import read_completion
from breakeven.trials.answered import Score
from breakeven.trials.judging import question_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.evidence.judge import Verdict
    from breakeven.ledger.pairs import Pair
    from breakeven.sources.recorded import Recorded
    from breakeven.trials.answered import Heard
    from breakeven.trials.seats import Seat

ORDERS_COUNT: Final = 2
"""In which it is shown a pair, both at once."""

_DIGITS: Final = 8
_OK: Final = 200


class EndpointJudge:
    """A model that says which of two answers is better; both being the same is a tie, and it is not asked."""

    def __init__(self, seat: Seat, criterion: str, *, answer_s: float) -> None:
        """``criterion``: what counts most, in the user's own words; empty: the question's own."""
        self._seat = seat
        self._criterion = criterion
        self._answer_s = answer_s
        mark = f" {hashlib.sha256(criterion.encode()).hexdigest()[:_DIGITS]}" if criterion.strip() else ""
        self.version = f"{seat.model} {JUDGE_VERSION}{mark}"
        self.failed_count = 0
        """Pairs of which it gave no verdict that could be read."""

        self.example = ""
        """What happened the first time."""

    async def __call__(
        self, item: Recorded, pair: Pair, incumbent: Heard, candidate: Heard
    ) -> tuple[Sequence[Score], Decimal]:
        """Return what it says, empty where it gave no verdict, and what that cost."""
        del pair  # it sees what was asked and answered, and not by whom
        first, second = incumbent.shown, candidate.shown
        if first.strip() == second.strip():
            return [Score(JUDGE, self.version, 0.5, 0.5, "equal")], Decimal(0)
        question = question_of(msgspec.json.encode(item.body))
        (one, one_usd), (other, other_usd) = await asyncio.gather(
            self._verdict(question, first, second), self._verdict(question, second, first)
        )
        found = combine(one, other)
        if found is None:
            self.failed_count += 1
            return [], one_usd + other_usd
        detail = "" if found.consistent else "the orders disagree"
        scores = found.incumbent_score, found.candidate_score
        return [Score(JUDGE, self.version, *scores, detail)], one_usd + other_usd

    async def _verdict(self, question: str, first: str, second: str) -> tuple[Verdict | None, Decimal]:
        messages = judge_messages(question, first, second, criterion=self._criterion)
        body = msgspec.json.encode({"model": self._seat.model, "messages": messages, "stream": False})
        assert self._seat.endpoint is not None, "a judge is always asked"
        heard = await self._seat.endpoint.ask_patiently(body, (), within_s=self._answer_s)
        if heard.failure or heard.status != _OK:
            self.example = self.example or heard.failure or f"HTTP {heard.status}"
            return None, Decimal(0)
        cost_usd = self._seat.price(read_completion(heard.body, len(body)).usage()) or Decimal(0)
        answer = read_answer(heard.body, streamed=False)
        verdict = read_verdict(answer.text) if answer else None
        self.example = self.example or ("" if verdict else "no verdict in its answer")
        return verdict, cost_usd
