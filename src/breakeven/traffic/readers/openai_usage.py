"""OpenAI's usage of an organization: tokens by time bucket, and by model, project, key or batch where grouped so.

Read are the answers of ``GET /v1/organization/usage/completions`` and the dashboard's export of the same as CSV.
Source: https://platform.openai.com/docs/api-reference/usage/completions_object (``input_tokens`` counts cached
ones).  The usage of other services (embeddings, images, audio) has no completions and is left out, with a note.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.traffic.entries import Entry, made_columns
from breakeven.traffic.layout import SERIES, Layout
from breakeven.traffic.readers.buckets import (
    Result,
    Shape,
    bounds,
    first_results,
    is_flat,
    more_note,
    read_results,
    series_of,
    wrong_entry,
)
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    INPUT_TOKENS,
    KEY,
    MODEL,
    OUTPUT_TOKENS,
    PROCESSING,
    REQUESTS,
    TIME,
    WINDOW_S,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

SHAPE: Final = Shape(
    start="start_time", end="end_time", result_fields=frozenset({"input_tokens", "output_tokens", "num_model_requests"})
)
USAGE: Final = "organization.usage."
COMPLETIONS: Final = "organization.usage.completions.result"
DIMENSIONS: Final = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
LABELS: Final = {
    TIME: "start_time",
    WINDOW_S: "end_time - start_time",
    MODEL: "model",
    KEY: "api_key_id",
    PROCESSING: "service_tier",
    REQUESTS: "num_model_requests",
    INPUT_TOKENS: "input_tokens",
    OUTPUT_TOKENS: "output_tokens",
    CACHED_INPUT_TOKENS: "input_cached_tokens",
    CACHE_WRITE_TOKENS: "input_cache_write_tokens",
    SERIES: SERIES,
}
"""Canonical name → the API's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenaiUsageReader:
    """Reads pages, buckets or rows of OpenAI's usage as windows."""

    name: str = "openai usage"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether buckets hold results of usage, or the columns are those of the exported table."""
        if options.mapping:
            return False
        found = first_results(head, SHAPE)
        bounded = [result for result in found if result.start is not None and result.end is not None]
        results = [result.content for result in bounded if result.content]
        empty = bool(bounded) and not results
        return is_flat(head, SHAPE) or empty or any(_is_usage(content) for content in results)

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        """Stage a window for each result, and one of nothing for each empty bucket."""
        seen: Counter[str] = Counter()
        layout = Layout(kind="windows", columns=made_columns(LABELS))
        rows = stage(backend, head, layout, _entries(head, seen))
        others = {name: count for name, count in seen.items() if name not in ("windows", "more")}
        if others and not seen["windows"]:
            raise InputError(
                f"{head.file}: this is OpenAI usage of {', '.join(others)}, which holds no completions. "
                "Export GET /v1/organization/usage/completions, grouped by model."
            )
        told = ", ".join(f"{count:,} of {name}" for name, count in others.items())
        left_out = [f"{head.file}: results of other services than completions are left out: {told}"] if others else []
        return rows.noting([*left_out, *more_note(head, more=bool(seen["more"]))])


def _is_usage(content: Mapping[str, Any]) -> bool:
    return str(content.get("object", "")).startswith(USAGE) or SHAPE.result_fields <= content.keys()


def _entries(head: Head, seen: Counter[str]) -> Iterator[Entry]:
    for result in read_results(head, SHAPE):
        service = str((result.content or {}).get("object") or COMPLETIONS)
        if result.more is not None:
            seen["more"] = result.more
        elif service != COMPLETIONS:
            seen[service.removeprefix(USAGE).removesuffix(".result")] += 1
        else:
            seen["windows"] += 1
            yield _entry(result)


def _entry(result: Result) -> Entry:
    if result.wrong:
        return wrong_entry(result, result.wrong)
    window_s, wrong = bounds(result)
    if wrong:
        return wrong_entry(result, wrong)
    content = result.content or dict.fromkeys(SHAPE.result_fields, 0)
    return Entry(
        place=result.place,
        values={
            TIME: result.start,
            WINDOW_S: window_s,
            MODEL: content.get("model") or None,
            KEY: next((content[name] for name in ("api_key_id", "project_id", "user_id") if content.get(name)), None),
            PROCESSING: _processing(content),
            REQUESTS: content.get("num_model_requests"),
            INPUT_TOKENS: content.get("input_tokens"),
            OUTPUT_TOKENS: content.get("output_tokens"),
            CACHED_INPUT_TOKENS: content.get("input_cached_tokens") or None,
            CACHE_WRITE_TOKENS: content.get("input_cache_write_tokens") or None,
            SERIES: series_of(content, DIMENSIONS),
        },
    )


def _processing(content: Mapping[str, Any]) -> str | None:
    """Return the tier of a result; batch overrides it, and what is not batch and names no tier is standard."""
    batch = str(content.get("batch")).lower()
    if batch == "true":
        return "batch"
    tier = content.get("service_tier")
    return str(tier) if tier else ("standard" if batch == "false" else None)
