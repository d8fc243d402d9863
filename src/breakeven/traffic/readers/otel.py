"""OpenTelemetry: spans of calls to models in OTLP JSON: one document, or one a line as the collector's exporter writes.

The attributes are those of the semantic conventions for generative AI, in today's names and older ones:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (input counts cached tokens) and
https://github.com/open-telemetry/opentelemetry-proto/blob/main/examples/trace.json for the document.  Spans of
agents and tools are skipped: their tokens are those of the calls below them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.traffic.entries import Entry, added, as_count, made_columns, read_records, within
from breakeven.traffic.faults import many
from breakeven.traffic.layout import Layout
from breakeven.traffic.readers.prompts import NOTE, prompt_of
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    EPISODE,
    FAILED,
    HISTORY_TOKENS,
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    PROCESSING,
    PROMPT_ID,
    SYSTEM_TOKENS,
    TASK,
    TIME,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

OPERATION: Final = "gen_ai.operation.name"
CALLS: Final = ("chat", "text_completion", "generate_content", "completion")
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    MODEL: ("gen_ai.request.model", "gen_ai.response.model"),
    TASK: ("gen_ai.agent.name",),
    EPISODE: ("gen_ai.conversation.id", "session.id"),
    INPUT_TOKENS: ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    OUTPUT_TOKENS: ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    CACHED_INPUT_TOKENS: (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cached_tokens",
        "gen_ai.usage.input_tokens.cached", "gen_ai.usage.input_cached_tokens",
    ),
    CACHE_WRITE_TOKENS: (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
    ),
    PROCESSING: (
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier",
    ),
}  # fmt: skip
"""Newest first."""

PROMPTS: Final = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.content.prompt")
INSTRUCTIONS: Final = "gen_ai.system_instructions"
NUMBERED: Final = "gen_ai.prompt."
LABELS: Final = (
    {TIME: "startTimeUnixNano"}
    | {name: names[0] for name, names in NAMES.items()}
    | {
        FAILED: "status.code",
        PROMPT_ID: PROMPTS[0],
        SYSTEM_TOKENS: PROMPTS[0],
        HISTORY_TOKENS: PROMPTS[0],
    }
)
ERROR_CODES: Final = (2, "2", "STATUS_CODE_ERROR")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelReader:
    """Reads the spans of calls to models; the others are counted in a note."""

    name: str = "opentelemetry"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the first records are OTLP documents of spans."""
        return not options.mapping and any("resourceSpans" in record for record in head.records)

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        """Stage a row for each call; raises where there is none."""
        seen: Counter[str] = Counter()
        rows = stage(backend, head, Layout(kind="trace", columns=made_columns(LABELS)), _entries(head, seen))
        if seen["skipped"] and not seen["calls"]:
            raise InputError(
                f"{head.file} holds {many(seen['skipped'], 'span')}, and none is a call of a model: none counts tokens "
                f"or has {OPERATION} {', '.join(CALLS)}. Turn on the instrumentation of your model client."
            )
        return rows.noting(_notes(head, seen))


def _entries(head: Head, seen: Counter[str]) -> Iterator[Entry]:
    for place, record in read_records(head):
        if record is None:
            yield Entry(place=place, wrong="it is not an object with resourceSpans")
            continue
        for span_place, span in _spans(place, record):
            if span is None:
                yield Entry(place=span_place, wrong="it is not an object with fields, and this part of OTLP is")
                continue
            attributes = _attributes(span.get("attributes"))
            if _is_call(attributes):
                seen["calls"] += 1
                yield Entry(place=span_place, values=_values(span, attributes, seen))
            else:
                seen["skipped"] += 1


def _spans(place: str, record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield every span with its place; None where the way to one is broken."""
    found: list[tuple[str, Any]] = [(place, record)]
    for level in ("resourceSpans", "scopeSpans", "spans"):
        deeper: list[tuple[str, Any]] = []
        for above, item in found:
            older = "instrumentationLibrarySpans" if level == "scopeSpans" else level
            held = item.get(level, item.get(older, [])) if isinstance(item, dict) else None
            if not isinstance(held, list):
                yield above, None
                continue
            deeper += [(within(above, f"{level}[{number}]"), inner) for number, inner in enumerate(held)]
        found = deeper
    for span_place, span in found:
        yield span_place, span if isinstance(span, dict) else None


def _attributes(listed: Any) -> dict[str, Any]:
    """Return a list of key and value as a mapping, its values without their types."""
    if not isinstance(listed, list):
        return {}
    return {
        item["key"]: _plain(item.get("value"))
        for item in listed
        if isinstance(item, dict) and isinstance(item.get("key"), str)
    }


def _plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items() or ((None, None),)
    if kind == "intValue":
        return as_count(content)
    if kind == "arrayValue" and isinstance(content, dict):
        return [_plain(item) for item in content.get("values") or ()]
    if kind == "kvlistValue" and isinstance(content, dict):
        return _attributes(content.get("values"))
    return content


def _is_call(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get(OPERATION)
    if operation is not None:
        return operation in CALLS
    return any(name in attributes for name in (*NAMES[INPUT_TOKENS], *NAMES[OUTPUT_TOKENS]))


def _values(span: Mapping[str, Any], attributes: Mapping[str, Any], seen: Counter[str]) -> dict[str, Any]:
    said = {name: next((attributes[key] for key in keys if key in attributes), None) for name, keys in NAMES.items()}
    parts = added((said[CACHED_INPUT_TOKENS], said[CACHE_WRITE_TOKENS]))
    tokens = as_count(said[INPUT_TOKENS])
    if isinstance(tokens, int) and isinstance(parts, int) and parts > tokens:
        tokens = added((tokens, parts))
        seen["completed"] += 1
    prompt = prompt_of(_logged(span, attributes), attributes.get(INSTRUCTIONS))
    seen["prompts"] += prompt is not None
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    return said | {
        TIME: span.get("startTimeUnixNano"),
        INPUT_TOKENS: tokens,
        EPISODE: said[EPISODE] or span.get("traceId"),
        FAILED: code in ERROR_CODES or "error.type" in attributes,
        "id": span.get("spanId"),
        **(prompt.details(tokens) if prompt else {}),
    }


def _logged(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    """Return the prompt from the attributes, or as older conventions keep it: numbered, or in an event."""
    events = span.get("events")
    held = [attributes, *(_attributes(event.get("attributes")) for event in events or () if isinstance(event, dict))]
    whole = next((found[name] for found in held for name in PROMPTS if found.get(name)), None)
    return whole or _numbered(attributes)


def _numbered(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Gather ``gen_ai.prompt.0.role`` and its like into messages."""
    messages: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        number, _, field = name.removeprefix(NUMBERED).partition(".")
        if name.startswith(NUMBERED) and number.isdigit():
            messages.setdefault(int(number), {})[field] = value
    return [message for _, message in sorted(messages.items())]


def _notes(head: Head, seen: Counter[str]) -> Iterator[str]:
    if seen["skipped"]:
        yield f"{head.file}: {many(seen['skipped'], 'span')} skipped, being no call of a model"
    if seen["completed"]:
        yield (
            f"{head.file}: cached tokens added to the input of {many(seen['completed'], 'call')} whose input_tokens, "
            "being fewer, leave them out"
        )
    if seen["prompts"]:
        yield f"{head.file}: {NOTE}"
