"""One copy, from the queue to the store: signals, the other target asked, both answers compared, checked and judged.

Nothing is asked that the marks of the request forbid, that the day's budget has no room for, or that the gateway says
is not the time for; such a pair is counted, and is none.  A target that fails to answer makes a pair that says so.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

import msgspec

from breakeven.gateway.verification import AskedCheck
from breakeven.ledger.ids import request_id as id_of_text
from breakeven.ledger.pairs import SERVED, Pair, Side
from breakeven.ledger.sealing import Sealer, Words
from breakeven.metering.reading import Reading
from breakeven.routing.sticking import place_of, takes
from breakeven.trials.answered import Score, asked_of, compared, heard, reading_of, with_usage
from breakeven.trials.judging import judge, question_of
from breakeven.trials.telling import Teller, checked, shown_question

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.evidence.signals import Asked, SchemaCheck
    from breakeven.gateway.copies import Copy, Wanted
    from breakeven.ledger.pairs import PairText
    from breakeven.trials.answered import Heard
    from breakeven.trials.calls import Answer, Calls
    from breakeven.trials.counts import Counts
    from breakeven.trials.keeping import Keeper
    from breakeven.trials.plan import JudgePlan, TrialsPlan
    from breakeven.trials.prices import Prices
    from breakeven.trials.spending import Spending

LATER: Final = frozenset({408, 425, 429, 503, 529})
"""Statuses that say nothing of a target's answers: it, or a limit of ours, had no room."""

JUDGE_TURNS: Final = 2
"""Both orders."""

_JUDGE_WORDS_TOKENS: Final = 400
_JUDGE_ANSWER_TOKENS: Final = 200
"""What a judge is expected to use beside what it is shown."""


class Asker(NamedTuple):
    """What a copy's course needs beside the plan."""

    calls: Calls
    keeper: Keeper
    spending: Spending
    prices: Prices
    counts: Counts
    clock: Clock
    keeps_to: SchemaCheck | None


class _Other(NamedTuple):
    """What came of asking the other target."""

    side: Side
    heard: Heard | None


class Shadowing:
    """What becomes of copies."""

    def __init__(self, plan: TrialsPlan, asker: Asker) -> None:
        """Take what it works with.  Raises ``InputError`` where texts are to be kept and cannot be."""
        self._plan = plan
        self._asker = asker
        self._shadows = {(shadow.model, shadow.candidate): shadow for shadow in plan.shadows}
        self._sensitivities = {target.name: frozenset(target.sensitivities) for target in plan.targets}
        checks = [plan.check, *(shadow.check for shadow in plan.shadows)]
        self._checks = {check: AskedCheck(check) for check in checks if check is not None}
        self._teller = Teller(plan.signals, asker.clock) if plan.signals is not None else None
        self._sealer = Sealer(plan.texts.secret) if plan.texts is not None else None

    async def treat(self, copy: Copy) -> None:
        """Do all that is to be done with a copy."""
        asked = asked_of(copy.body)
        served = heard(copy.answer, asked, self._asker.keeps_to)
        if served is None:
            self._asker.counts.skipped["answer not readable"] += len(copy.wanted) or 1
            return
        work = [self._pair(copy, wanted, asked, served) for wanted in copy.wanted]
        if copy.signals and self._teller is not None:
            work.append(self._tell(self._teller, copy, served))
        await asyncio.gather(*work)

    async def _tell(self, teller: Teller, copy: Copy, served: Heard) -> None:
        outcomes = await teller.told(copy, served)
        self._asker.counts.outcomes_count += len(outcomes)
        self._asker.keeper.add_outcomes(outcomes)

    async def _pair(self, copy: Copy, wanted: Wanted, asked: Asked, served: Heard) -> None:
        other = await self._ask(copy, wanted.asked, asked)
        if isinstance(other, str):
            self._asker.counts.skipped[other] += 1
            return
        mine = _Other(_served(copy, served), served)
        by_candidate = wanted.asked == wanted.incumbent
        incumbent, candidate = (other, mine) if by_candidate else (mine, other)
        scores = [Score(SERVED, "", float(incumbent.heard is not None), float(candidate.heard is not None))]
        if incumbent.heard is not None and candidate.heard is not None:
            both = incumbent.heard, candidate.heard
            scores += compared(asked, *both)
            scores += await self._checked(copy, wanted, both)
            scores += await self._judged(copy, wanted, both)
        pair = Pair(
            request_id=copy.request_id,
            candidate=wanted.candidate,
            incumbent=wanted.incumbent,
            model=copy.model,
            key=copy.key,
            task=copy.task,
            tags=copy.tags,
            at_us=copy.received_us,
            of_incumbent=incumbent.side,
            of_candidate=candidate.side,
            origin=wanted.origin,
        )
        self._asker.counts.pairs_count += 1
        self._asker.keeper.add_pair(pair, scores, self._text(copy, wanted, (incumbent.heard, candidate.heard)))

    # The other target

    async def _ask(self, copy: Copy, name: str, asked: Asked) -> _Other | str:
        """Ask a target what the client asked; return why there is no pair, if that is so."""
        asker = self._asker
        if not self._sensitivities.get(name, frozenset()).issuperset(copy.sensitivities):
            return "marked data that the target may not have"
        known = Reading(copy.input_tokens, copy.output_tokens, 0, 0, 0, estimated=True)
        expected_usd = asker.prices.usd(copy.model, name, known, copy.received_us)
        if not asker.spending.fits(expected_usd, asker.clock.now()):
            return "the day's budget is spent"
        asker.spending.hold(expected_usd)
        cost_usd = Decimal(0)
        body = with_usage(copy.path, copy.body)
        try:
            answer = await asker.calls.ask(copy.path, copy.key, _headers(copy, f"shadow {name}"), copy.passed, body)
            if answer.status == 200:
                used = reading_of(copy.path, body, answer.body)
                cost_usd = asker.prices.usd(copy.model, name, used, copy.received_us)
        except OSError:  # time-outs are ones too
            return "the gateway did not answer"
        finally:
            asker.spending.settle(expected_usd, cost_usd)
        if answer.status in LATER:
            return "no room at the target"
        if "x-breakeven-request-id" not in answer.headers:
            return f"refused by the gateway ({_code(answer)})"
        return _other(answer, used if answer.status == 200 else None, heard(answer.body, asked, asker.keeps_to))

    # What is asked about both answers

    async def _checked(self, copy: Copy, wanted: Wanted, both: tuple[Heard, Heard]) -> list[Score]:
        shadow = self._shadows.get((copy.model, wanted.candidate))
        plan = (shadow.check if shadow is not None else None) or self._plan.check
        if plan is None:
            return []
        check = self._checks[plan]
        if not check.may_see(copy.sensitivities):
            self._asker.counts.skipped["marked data that the check may not have"] += 1
            return []
        said = await checked(check, *(shown_question(copy, one.shown) for one in both))
        if isinstance(said, str):
            self._asker.counts.skipped["the check did not answer"] += 1
            return []
        return [said]

    async def _judged(self, copy: Copy, wanted: Wanted, both: tuple[Heard, Heard]) -> list[Score]:
        shadow = self._shadows.get((copy.model, wanted.candidate))
        plan = (shadow.judge if shadow is not None else None) or self._plan.judge
        if plan is None or not _is_drawn(plan, copy):
            return []
        asker = self._asker
        shown = (copy.model, question_of(copy.body), both[0].shown, both[1].shown)
        expected_usd = self._judge_usd(plan, copy)
        if not asker.spending.fits(expected_usd, asker.clock.now()):
            asker.counts.skipped["the day's budget has no room for the judge"] += 1
            return []
        asker.spending.hold(expected_usd)
        cost_usd = Decimal(0)
        try:
            headers = _headers(copy, f"judge {plan.model}")
            found = await judge(plan, asker.calls, copy.key, headers, shown, cost_usd_of=asker.prices.told_usd)
            cost_usd = found.cost_usd
        finally:
            asker.spending.settle(expected_usd, cost_usd)
        if found.score is None:
            asker.counts.skipped[f"no verdict of the judge: {found.why_not}"] += 1
            return []
        return [found.score]

    def _judge_usd(self, plan: JudgePlan, copy: Copy) -> Decimal:
        """Return what asking the judge is expected to cost: as if both answers were as long as the known one."""
        shown_tokens = copy.input_tokens + 2 * copy.output_tokens + _JUDGE_WORDS_TOKENS
        expected = Reading(shown_tokens, _JUDGE_ANSWER_TOKENS, 0, 0, 0, estimated=True)
        return JUDGE_TURNS * self._asker.prices.judge_usd(plan.model, expected, copy.received_us)

    def _text(self, copy: Copy, wanted: Wanted, both: tuple[Heard | None, Heard | None]) -> PairText | None:
        plan = self._plan.texts
        if plan is None or self._sealer is None or not set(plan.sensitivities).issuperset(copy.sensitivities):
            return None
        incumbent, candidate = ("" if one is None else one.shown for one in both)
        request = copy.body.decode("utf-8", "replace")
        words = Words(path=copy.path, request=request, incumbent=incumbent, candidate=candidate)
        return self._sealer.seal(copy.request_id, wanted.candidate, words, self._asker.clock.now() + plan.keep_s)


def _is_drawn(plan: JudgePlan, copy: Copy) -> bool:
    """Whether the judge is shown a pair: by task, and by a draw that is the same whenever it is made."""
    if plan.tasks and copy.task not in plan.tasks:
        return False
    return takes(plan.share_fraction, place_of(crc32(plan.model.encode()), str(copy.request_id)))


def _headers(copy: Copy, aside: str) -> list[tuple[str, str]]:
    """Return what is said of a request beside its body: what the original's client said, as far as it counts."""
    said = [("task", copy.task), ("tags", copy.tags), ("sensitivity", ",".join(copy.sensitivities)), ("aside", aside)]
    return [(f"x-breakeven-{name}", value) for name, value in said if name == "tags" or value]


def _served(copy: Copy, served: Heard) -> Side:
    return Side(
        request_id=copy.request_id,
        input_tokens=copy.input_tokens,
        output_tokens=copy.output_tokens,
        first_byte_us=copy.first_byte_us,
        ended_us=copy.ended_us,
        characters=served.characters,
        failure="",
    )


def _other(answer: Answer, used: Reading | None, found: Heard | None) -> _Other:
    number = id_of_text(answer.headers["x-breakeven-request-id"])
    if answer.status != 200 or found is None or used is None:
        failure = _code(answer) if answer.status != 200 else "not_readable"
        return _Other(Side(number, None, None, None, None, None, failure), None)
    side = Side(
        request_id=number,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        first_byte_us=answer.first_byte_us,
        ended_us=answer.ended_us,
        characters=found.characters,
        failure="",
    )
    return _Other(side, found)


class _Refusal(msgspec.Struct):
    code: str | None = None


class _Error(msgspec.Struct):
    error: _Refusal


def _code(answer: Answer) -> str:
    """Return what an answer says why it is none."""
    try:
        return msgspec.json.decode(answer.body, type=_Error).error.code or f"http_{answer.status}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"http_{answer.status}"
