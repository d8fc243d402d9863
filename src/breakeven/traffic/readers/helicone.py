"""Helicone: requests as its export tool, its API or its dashboard write them, in JSON, JSON lines or CSV.

Source of the fields: https://docs.helicone.ai/rest/request/post-v1requestquery-clickhouse and the tool behind
``npx @helicone/export`` (https://github.com/Helicone/helicone/tree/main/examples/export/typescript).  Answers from
Helicone's own cache reached no model and are skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
    KEY,
    MODEL,
    OUTPUT_TOKENS,
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

NEEDED: Final = frozenset({"request_created_at", "response_status", "prompt_tokens", "completion_tokens"})
NO_CACHE: Final = ("", "00000000-0000-0000-0000-000000000000")
LABELS: Final = {
    TIME: "request_created_at",
    MODEL: "request_model",
    KEY: "request_user_id",
    TASK: "request_properties.Helicone-Prompt-Id",
    EPISODE: "request_properties.Helicone-Session-Id",
    INPUT_TOKENS: "prompt_tokens",
    OUTPUT_TOKENS: "completion_tokens",
    CACHED_INPUT_TOKENS: "prompt_cache_read_tokens",
    CACHE_WRITE_TOKENS: "prompt_cache_write_tokens",
    FAILED: "response_status",
    PROMPT_ID: "request_body",
    SYSTEM_TOKENS: "request_body",
    HISTORY_TOKENS: "request_body",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeliconeReader:
    """Reads exported requests, bare or in pages (``data``)."""

    name: str = "helicone"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the first records have the fields that every export has."""
        if options.mapping:
            return False
        names = [{column.keys[0] for column in head.columns}]
        names += [set(inner or ()) for record in head.records for _, inner in _requests("", record)]
        return any(found >= NEEDED for found in names)

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage a row for each request that reached a model; times without a zone are UTC."""
        seen: Counter[str] = Counter()
        layout = Layout(kind="trace", columns=made_columns(LABELS), zone=options.zone or "UTC")
        rows = stage(backend, head, layout, _entries(head, seen))
        return rows.noting(_notes(head, seen))


def _entries(head: Head, seen: Counter[str]) -> Iterator[Entry]:
    for place, record in read_records(head):
        for inner_place, request in _requests(place, record):
            if request is None:
                yield Entry(place=inner_place, wrong="it is not an object with fields, and a request is")
            elif request.get("cache_reference_id") not in (None, *NO_CACHE):
                seen["from cache"] += 1
            else:
                yield Entry(place=inner_place, values=_values(request, seen))


def _requests(place: str, record: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield a record, or those of the page that it is; None where there is no object."""
    held = record.get("data") if record else None
    if not isinstance(held, list):
        yield place, record
        return
    for number, item in enumerate(held):
        yield within(place, f"data[{number}]"), item if isinstance(item, dict) else None


def _values(request: Mapping[str, Any], seen: Counter[str]) -> dict[str, Any]:
    properties = _object(request.get("request_properties"))
    read, written = request.get("prompt_cache_read_tokens"), request.get("prompt_cache_write_tokens")
    tokens = as_count(request.get("prompt_tokens"))
    if _leaves_out(request, tokens, added((read, written))):
        tokens = added((tokens, read, written))
        seen["completed"] += 1
    prompt = prompt_of(_object(request.get("request_body")))
    seen["prompts"] += prompt is not None
    models = (request.get(name) for name in ("request_model", "model", "response_model", "model_override"))
    return {
        TIME: request.get("request_created_at") or None,
        MODEL: next(filter(None, models), None),
        KEY: request.get("request_user_id") or None,
        TASK: properties.get("Helicone-Prompt-Id"),
        EPISODE: properties.get("Helicone-Session-Id"),
        INPUT_TOKENS: tokens,
        OUTPUT_TOKENS: request.get("completion_tokens"),
        CACHED_INPUT_TOKENS: read,
        CACHE_WRITE_TOKENS: written,
        FAILED: _failed(request.get("response_status")),
        "id": request.get("request_id") or request.get("response_id"),
        **(prompt.details(tokens) if prompt else {}),
    }


def _leaves_out(request: Mapping[str, Any], tokens: Any, parts: Any) -> bool:
    """Whether a request's input leaves out its cached tokens: Anthropic's does, and one smaller than its parts must."""
    if not (isinstance(tokens, int) and isinstance(parts, int) and parts > 0):
        return False
    return str(request.get("provider")).upper() == "ANTHROPIC" or parts > tokens


def _failed(status: Any) -> bool | None:
    """Return whether a status is no answer: an HTTP error, or Helicone's own negative ones (cancelled, timed out)."""
    code = as_count(status)
    if isinstance(code, str) and code.startswith("-"):
        return True
    return not 200 <= code < 400 if isinstance(code, int) else None


def _object(value: Any) -> dict[str, Any]:
    """Return an object, or one written as JSON; the export tool doubles the quotes of JSON in CSV once too often."""
    for text in (value, value.replace('""', '"')) if isinstance(value, str) and value[:1] == "{" else ():
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) else {}
    return value if isinstance(value, dict) else {}


def _notes(head: Head, seen: Counter[str]) -> Iterator[str]:
    if seen["from cache"]:
        yield f"{head.file}: {many(seen['from cache'], 'answer')} from Helicone's own cache skipped: no model was asked"
    if seen["completed"]:
        yield (
            f"{head.file}: cached tokens added to the input of {many(seen['completed'], 'request')} whose "
            "prompt_tokens leave them out, as Anthropic's do"
        )
    if seen["prompts"]:
        yield f"{head.file}: {NOTE}"
