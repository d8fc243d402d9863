"""OpenTelemetry's evaluations: events ``gen_ai.evaluation.result`` in OTLP JSON, as log records or as events of spans.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/: an event belongs to the span of the call that was
evaluated, or names its response.  A document may hold anything else besides; it is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import Problem
from breakeven.sources.scores.records import records
from breakeven.sources.scores.score import (
    OUR_EPISODE,
    OUR_REQUEST,
    Score,
    as_text,
    ids,
    noted,
    number,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EVENT: Final = "gen_ai.evaluation.result"
NAME: Final = "gen_ai.evaluation.name"
VALUE: Final = "gen_ai.evaluation.score.value"
LABEL: Final = "gen_ai.evaluation.score.label"
EXPLANATION: Final = "gen_ai.evaluation.explanation"
RESPONSE: Final = "gen_ai.response.id"
CONVERSATION: Final = "gen_ai.conversation.id"
OUR_OUTCOME: Final = "breakeven.outcome_id"
OUR_SOURCE: Final = "breakeven.source"
"""In events that a gateway of ours sent."""

_SOURCES: Final = ("user", "code", "judge", "human")
_VALUES: Final = ("stringValue", "boolValue", "intValue", "doubleValue")

Event = tuple[dict[str, Any], dict[str, Any], object]
"""An event, or a log record; its attributes; and its time in nanoseconds."""


def read(path: Path) -> Iterator[Score | Problem]:
    """Yield the evaluations of a file, and a problem for each that says nothing.  Raises ``InputError``."""
    for item in records(path):
        if isinstance(item, Problem):
            yield item
            continue
        where, document = item
        for event, attributes, at_ns in _events(document):
            yield _score(where, event, attributes, at_ns)


def _score(where: str, event: Mapping[str, Any], attributes: Mapping[str, Any], at_ns: object) -> Score | Problem:
    name = as_text(attributes.get(NAME))
    about = ids(
        *noted(attributes, OUR_REQUEST),
        attributes.get(RESPONSE),
        event.get("spanId"),
        *noted(attributes, OUR_EPISODE),
        event.get("traceId"),
        attributes.get(CONVERSATION),
    )
    if not name or not about:
        return Problem(where=where, what=f"an event {EVENT} without {NAME}, or without a span and {RESPONSE}.")
    label, amount = as_text(attributes.get(LABEL)), number(attributes.get(VALUE))
    explanation = as_text(attributes.get(EXPLANATION))
    if amount is None and not label and not explanation:
        why = as_text(attributes.get("error.type"))
        return Problem(
            where=where, what=f"the evaluation {name!r} says nothing" + (f": it failed ({why})." if why else ".")
        )
    return Score(
        where=where,
        id=as_text(attributes.get(OUR_OUTCOME)),
        of=about,
        name=name,
        source=_source(attributes.get(OUR_SOURCE)),
        success=verdict(label),
        score=amount,
        label=label,
        comment=explanation,
        at_us=_at_us(at_ns),
    )


def _events(document: Mapping[str, Any]) -> Iterator[Event]:
    """Yield evaluations of a document of logs, or of spans, which lend their events their ids."""
    for record in _within(document, "resourceLogs", "scopeLogs", "logRecords"):
        attributes = _attributes(record)
        if EVENT in (record.get("eventName"), attributes.get("event.name")):
            yield record, attributes, record.get("timeUnixNano") or record.get("observedTimeUnixNano")
    for span in _within(document, "resourceSpans", "scopeSpans", "spans"):
        for event in _dicts(span.get("events")):
            if event.get("name") == EVENT:
                ours = {
                    name: value for name, value in _attributes(span).items() if name in (*OUR_REQUEST, *OUR_EPISODE)
                }
                yield span, ours | _attributes(event), event.get("timeUnixNano")


def _within(document: Mapping[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    found = [dict(document)]
    for name in names:
        found = [inner for outer in found for inner in _dicts(outer.get(name))]
    yield from found


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for item in _dicts(record.get("attributes")):
        value = item.get("value")
        if isinstance(value, dict):
            found[str(item.get("key"))] = next((value[name] for name in _VALUES if name in value), None)
    return found


def _source(said: object) -> str:
    return next((source for source in _SOURCES if source == said), "")


def _at_us(at_ns: object) -> int | None:
    try:
        return int(str(at_ns)) // 1000 or None
    except ValueError:
        return None
