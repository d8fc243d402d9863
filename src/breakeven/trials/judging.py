"""A judge asked about two answers, in both orders: through the gateway, in the name of the key whose request it was.

What the judge sees goes where the judge's model goes, so the request bears the marks of the original: a judge outside a
boundary is asked nothing from within it.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.evidence.answers import read_answer
from breakeven.evidence.judge import JUDGE_VERSION, combine, judge_messages, read_verdict
from breakeven.ledger.pairs import JUDGE
from breakeven.trials.answered import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.trials.calls import Answer, Calls
    from breakeven.trials.plan import JudgePlan

PATH: Final = "/v1/chat/completions"
MOST_ANSWER_TOKENS: Final = 1024
_BOUNDS: Final[dict[str, Any]] = {"temperature": 0, "max_tokens": MOST_ANSWER_TOKENS}
_NOT_SO: Final = 400
"""Status of models that take neither, as OpenAI's that reason do: they are asked without."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Judged(NamedTuple):
    """What came of asking."""

    score: Score | None
    """None: there was no verdict."""

    cost_usd: Decimal
    why_not: str = ""
    """Why there was none."""


def question_of(body: bytes) -> str:
    """Return a request as a judge is shown it: who said what, or the whole where it has no messages."""
    try:
        request = _decode(body)
    except _UNREADABLE:
        return ""
    system = request.get("system") or request.get("instructions")
    turns = request.get("messages") or request.get("input") or request.get("prompt")
    parts = [f"system: {_text(system)}"] if system else []
    if isinstance(turns, list):
        parts += [f"{turn.get('role', 'user')}: {_text(turn)}" for turn in turns if isinstance(turn, dict)]
    else:
        parts.append(_text(turns))
    return "\n\n".join(parts)


async def judge(
    plan: JudgePlan,
    calls: Calls,
    key: str,
    headers: Sequence[tuple[str, str]],
    shown: tuple[str, str, str, str],
    *,
    cost_usd_of: Callable[[Answer], Decimal],
) -> Judged:
    """Ask in both orders; ``shown``: the client's model, its request, the incumbent's answer and the candidate's.

    Answers that are equal are a tie without asking.
    """
    model, question, incumbent, candidate = shown
    version = f"{plan.model} {JUDGE_VERSION}"
    if incumbent.strip() == candidate.strip():
        return Judged(Score(JUDGE, version, 0.5, 0.5, "equal"), Decimal(0))
    bodies = [
        {"model": model, "messages": judge_messages(question, first, second, criterion=plan.criteria)}
        for first, second in ((incumbent, candidate), (candidate, incumbent))
    ]
    cost_usd = Decimal(0)
    answers: list[Answer | BaseException] = []
    for bounds in (_BOUNDS, {}):
        asked = [calls.ask(PATH, key, headers, b"", msgspec.json.encode({**body, **bounds})) for body in bodies]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        came = [answer for answer in answers if not isinstance(answer, BaseException)]
        cost_usd += sum(map(cost_usd_of, came), Decimal(0))
        if not any(answer.status == _NOT_SO for answer in came):
            break
    verdicts = [_verdict(answer) for answer in answers]
    found = combine(verdicts[0], verdicts[1])
    if found is None:
        return Judged(None, cost_usd, _why_not(answers))
    detail = "" if found.consistent else "the orders disagree"
    return Judged(Score(JUDGE, version, found.incumbent_score, found.candidate_score, detail), cost_usd)


def _verdict(answer: Answer | BaseException) -> Any:
    if isinstance(answer, BaseException) or answer.status != 200:
        return None
    said = read_answer(answer.body, streamed=False)
    return read_verdict(said.text) if said is not None else None


def _why_not(answers: Sequence[Answer | BaseException]) -> str:
    for answer in answers:
        if isinstance(answer, BaseException):
            return "the gateway did not answer"
        if answer.status != 200:
            return f"status {answer.status}"
    return "no verdict could be read"


def _text(turn: Any) -> str:
    content = turn.get("content") if isinstance(turn, dict) else turn
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        said = [part["text"] if isinstance(part.get("text"), str) else f"[{part.get('type')}]" for part in parts]
        text = "\n".join(said)
    else:
        text = "" if content is None else msgspec.json.encode(content).decode()
    calls = turn.get("tool_calls") if isinstance(turn, dict) else None
    return f"{text}\n[calls {msgspec.json.encode(calls).decode()}]" if calls else text
