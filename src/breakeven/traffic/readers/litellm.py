"""LiteLLM: the proxy's spend logs, one row a request.

The table ``LiteLLM_SpendLogs`` exported as CSV, JSON lines or Parquet, the answer of ``/spend/logs``, or pages of
``/spend/logs/v2``.  Counts are ``prompt_tokens`` (cached ones included) and ``completion_tokens``; what was cached
stands in ``metadata``, which is JSON, or JSON in a text.  An API key is kept only as its hash.  Requests answered from
LiteLLM's own cache reached no model: they are left out, and counted in a note.  Embeddings and other calls stand
beside chats; their model tells.

Source: https://github.com/BerriAI/litellm/blob/main/schema.prisma and
https://docs.litellm.ai/docs/proxy/cost_tracking (MIT).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.traffic.documents import DECODER
from breakeven.traffic.entries import Entry, made_columns, read_records, within
from breakeven.traffic.faults import many
from breakeven.traffic.layout import Layout
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    EPISODE,
    FAILED,
    INPUT_TOKENS,
    KEY,
    MODEL,
    OUTPUT_TOKENS,
    PROCESSING,
    TAGS,
    TARGET,
    TIME,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

NEEDED: Final = ("call_type", "startTime", "model", "prompt_tokens", "completion_tokens")
TOLD: Final = ("request_id", "spend", "api_key", "cache_hit", "metadata")
"""Of these at least two: other logs have times and token counts as well."""

PAGE: Final = "data"
"""Where a page of ``/spend/logs/v2`` holds its rows."""

PAGES: Final = "pages"
PAGES_TOLD: Final = "pages told of"
FROM_CACHE: Final = "answered from LiteLLM's cache"
CACHE_BESIDE: Final = "cached tokens beside the prompt's"
"""What is counted while the rows go by."""

HASHED_KEY: Final = re.compile(r"[0-9a-f]{64}")
MASTER_KEY: Final = "litellm_proxy_master_key"
"""What stands for the master key where its hash is not to be stored."""

_LABELS: Final = {
    TIME: "startTime",
    MODEL: "model",
    TARGET: "custom_llm_provider",
    KEY: "api_key",
    EPISODE: "session_id",
    TAGS: "request_tags",
    INPUT_TOKENS: "prompt_tokens",
    CACHED_INPUT_TOKENS: "cache_read_input_tokens",
    CACHE_WRITE_TOKENS: "cache_creation_input_tokens",
    OUTPUT_TOKENS: "completion_tokens",
    PROCESSING: "call_type",
    FAILED: "status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteLlmReader:
    """Reads spend logs in any form."""

    name: str = "litellm"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the columns of the table are there, or a summary of it, and the user names none."""
        return not options.mapping and (_is_log(head) or _is_summary(head))

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the rows that reached a model."""
        if _is_summary(head):
            raise InputError(
                f"{head.file} is a summary of LiteLLM's spend by day, without token counts. Ask for the requests: "
                "/spend/logs?start_date=2026-10-01&end_date=2026-11-01&summarize=false"
            )
        counts = Counter[str]()
        rows = stage(
            backend,
            head,
            Layout(kind="trace", columns=made_columns(_LABELS), zone=options.zone or "UTC"),
            _rows(head, counts),
        )
        return replace(rows, layout=replace(rows.layout, notes=tuple(_notes(head.file, counts))))


def _notes(file: str, counts: Counter[str]) -> Iterator[str]:
    """Say what was left out or understood otherwise, which is known when all rows have gone by."""
    if counts[PAGES] < counts[PAGES_TOLD]:
        pages = f"{many(counts[PAGES], 'page')} of the {counts[PAGES_TOLD]:,} there are"
        yield f"{file}: {pages}; the requests of the others are missing"
    if counts[FROM_CACHE]:
        yield (
            f"{file}: {many(counts[FROM_CACHE], 'request')} answered from LiteLLM's own cache left out: such a request "
            "reaches no model and costs nothing"
        )
    if counts[CACHE_BESIDE]:
        yield (
            f"{file}: {many(counts[CACHE_BESIDE], 'row')} with more cached tokens than prompt_tokens counts; there "
            "they are added to it"
        )


def _is_log(head: Head) -> bool:
    first = head.records[0].get(PAGE) if head.records else None
    row = first[0] if isinstance(first, list) and first else None
    names = set(row) if isinstance(row, dict) else {column.keys[0] for column in head.columns}
    return names >= set(NEEDED) and len(names & set(TOLD)) >= 2


def _is_summary(head: Head) -> bool:
    """Whether it is the answer of ``/spend/logs`` with ``summarize`` left at its default."""
    names = {column.keys[0] for column in head.columns}
    return names >= {"startTime", "spend", "users", "models"} and not names & {"prompt_tokens", "request_id"}


def _records(head: Head, counts: Counter[str]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield every row, those of pages too."""
    for place, record in read_records(head):
        rows = (record or {}).get(PAGE)
        if record is None or not isinstance(rows, list):
            yield place, record
            continue
        counts[PAGES] += 1
        counts[PAGES_TOLD] = max(counts[PAGES_TOLD], _count(record.get("total_pages")) or 0)
        for number, row in enumerate(rows):
            yield within(place, f"{PAGE}[{number}]"), row if isinstance(row, dict) else None


def _rows(head: Head, counts: Counter[str]) -> Iterator[Entry]:
    for place, record in _records(head, counts):
        if record is None:
            yield Entry(place=place, wrong="it is not a row with the columns of the log")
        elif str(record.get("cache_hit")).lower() == "true":
            counts[FROM_CACHE] += 1
        else:
            yield Entry(place=place, values=_values(record, counts))


def _values(record: Mapping[str, Any], counts: Counter[str]) -> dict[str, Any]:
    metadata = _object(record.get("metadata"))
    usage = _object(metadata.get("usage_object")) or _object(metadata.get("additional_usage_values"))
    cached, written = _cached_tokens(usage), _written_tokens(usage)
    prompt = record.get("prompt_tokens")
    fresh = _count(prompt)
    if fresh is not None and cached + written > fresh:
        counts[CACHE_BESIDE] += 1
        prompt = fresh + cached + written
    provider = record.get("custom_llm_provider")
    model = str(record.get("model") or record.get("model_group") or "").removeprefix(f"{provider}/") or None
    return {
        "request_id": record.get("request_id"),  # keeps rows apart that are equal otherwise
        TIME: record.get("startTime"),
        MODEL: model,
        TARGET: f"{provider}:{model}" if provider and model else None,
        KEY: _key(record.get("api_key")),
        EPISODE: record.get("session_id") or None,
        TAGS: _tags(record.get("request_tags")),
        INPUT_TOKENS: prompt,
        CACHED_INPUT_TOKENS: cached,
        CACHE_WRITE_TOKENS: written,
        OUTPUT_TOKENS: record.get("completion_tokens"),
        PROCESSING: "batch" if "batch" in str(record.get("call_type")) else usage.get("service_tier"),
        FAILED: record.get("status") or metadata.get("status"),
    }


def _cached_tokens(usage: Mapping[str, Any]) -> int:
    details = _object(usage.get("prompt_tokens_details"))
    return _count(usage.get("cache_read_input_tokens")) or _count(details.get("cached_tokens")) or 0


def _written_tokens(usage: Mapping[str, Any]) -> int:
    details = _object(usage.get("prompt_tokens_details"))
    return _count(usage.get("cache_creation_input_tokens")) or _count(details.get("cache_creation_tokens")) or 0


def _key(value: Any) -> str | None:
    """Return a key's hash; a key in clear, which old versions logged, is not repeated."""
    return value if isinstance(value, str) and (HASHED_KEY.fullmatch(value) or value == MASTER_KEY) else None


def _tags(value: Any) -> str | None:
    """Return the tags as one text, whether they came as a list or as one in JSON."""
    tags = _decoded(value)
    if not isinstance(tags, list):
        return None
    return ",".join(str(tag) for tag in tags) or None


def _object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object that may have come as text; empty where there is none."""
    found = _decoded(value)
    return found if isinstance(found, dict) else {}


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return DECODER.decode(value)
    except (json.JSONDecodeError, RecursionError):
        return None


def _count(value: Any) -> int | None:
    """Return a whole number of 0 or more; None where it is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < 10**15 else None
