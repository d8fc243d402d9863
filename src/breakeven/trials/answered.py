"""What an answer says and what it used, and all that can be told of two answers without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from breakeven.evidence.answers import ReadAnswer, read_answer
from breakeven.evidence.sameness import likeness
from breakeven.evidence.signals import Signal, read_asked, signals_of
from breakeven.gateway.dialects import BY_PATH
from breakeven.gateway.failures import ERROR_EVENT, NO_DONE
from breakeven.ledger.pairs import EXACT, FIELDS, JSON_EQUAL, NORMAL
from breakeven.protocols.texts import asked_schema

if TYPE_CHECKING:
    from breakeven.evidence.signals import Asked, SchemaCheck
    from breakeven.metering.reading import Reading

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Score(NamedTuple):
    """What a check says of both answers, each between 0 and 1."""

    name: str
    version: str
    incumbent_score: float
    candidate_score: float
    detail: str = ""


class Heard(NamedTuple):
    """An answer that was read."""

    said: ReadAnswer
    signals: tuple[Signal, ...]

    @property
    def characters(self) -> int:
        """Return the length of what was said, arguments of tools included."""
        return len(self.said.text) + len(self.said.refusal) + sum(len(call.arguments) for call in self.said.calls)

    @property
    def shown(self) -> str:
        """Return the answer as a person or a judge is shown it."""
        calls = [f"[calls {call.name} with {call.arguments}]" for call in self.said.calls]
        refusal = [f"[refuses: {self.said.refusal}]"] if self.said.refusal else []
        return "\n".join([*filter(None, [self.said.text]), *refusal, *calls])


def asked_of(body: bytes) -> Asked:
    """Return what a request asks for that answers can be held against."""
    return read_asked(body, schema=asked_schema(body))


def heard(body: bytes, asked: Asked, keeps_to: SchemaCheck | None) -> Heard | None:
    """Read an answer, whole or as events; None of an error, or of what cannot be read."""
    said = read_answer(body, streamed=is_streamed(body))
    return Heard(said, signals_of(asked, said, keeps_to=keeps_to)) if said is not None else None


def is_streamed(answer: bytes) -> bool:
    """Whether an answer came as events: no event begins as a JSON object does."""
    return answer.lstrip()[:1] != b"{"


def reading_of(path: str, body: bytes, answer: bytes) -> Reading:
    """Return the tokens that an answer tells, in the protocol of a path; estimated where it tells none."""
    dialect = BY_PATH[path.encode()]
    if not is_streamed(answer):
        return dialect.read_answer(answer, len(body))
    meter = dialect.meter()
    meter.feed(answer)
    meter.close()
    return meter.reading(len(body), complete=True)


def ended_badly(path: str, answer: bytes) -> str:
    """Return why events are no whole answer, as the ledger calls it; empty: they are."""
    meter = BY_PATH[path.encode()].meter()
    meter.feed(answer)
    meter.close()
    if meter.error:
        return ERROR_EVENT
    return "" if meter.done else NO_DONE


def with_usage(path: str, body: bytes) -> bytes:
    """Return a request whose stream ends in its usage, where its protocol has to be asked for that."""
    try:
        request = _decode(body)
    except _UNREADABLE:
        return body
    if not BY_PATH[path.encode()].asks_for_usage or not request.get("stream"):
        return body
    options = request.get("stream_options")
    request["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return msgspec.json.encode(request)


def compared(asked: Asked, incumbent: Heard, candidate: Heard) -> list[Score]:
    """Return how alike two answers are, and the signals of both that concern either."""
    one, other = incumbent.shown, candidate.shown
    alike = likeness(one, other, schema=asked.schema)
    found = [Score(EXACT, "", 1.0, float(alike.exact)), Score(NORMAL, "", 1.0, float(alike.normal))]
    if alike.json_equal is not None:
        found.append(Score(JSON_EQUAL, "", 1.0, float(alike.json_equal)))
    if alike.fields is not None:
        found.append(Score(FIELDS, "", 1.0, alike.fields.equal_fraction, ", ".join(alike.fields.differing)[:500]))
    ours = {signal.name: signal for signal in incumbent.signals}
    theirs = {signal.name: signal for signal in candidate.signals}
    for name in dict.fromkeys((*ours, *theirs)):
        first, second = ours.get(name), theirs.get(name)
        if (first is None or second is None) and name == "tool_call_parsed":
            continue  # one answered in words: whether it should have called is not told by this
        detail = "; ".join(item.detail for item in (first, second) if item is not None and item.detail)
        found.append(Score(name, "", _score(first), _score(second), detail[:500]))
    return found


def _score(signal: Signal | None) -> float:
    return 1.0 if signal is None or signal.good else 0.0
