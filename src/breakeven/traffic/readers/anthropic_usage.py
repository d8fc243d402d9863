"""Anthropic's usage of an organization: tokens by time bucket, and by model, key, workspace or tier where grouped so.

Read are the answers of ``GET /v1/organizations/usage_report/messages``.  Source:
https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages.  Its input comes in parts (uncached,
read from the cache, written to it for 5 minutes or an hour), which are added; requests are not counted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.entries import Entry, added, made_columns
from breakeven.traffic.head import Column
from breakeven.traffic.layout import SERIES, Layout
from breakeven.traffic.readers.buckets import (
    Result,
    Shape,
    bounds,
    first_results,
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
    TIME,
    WINDOW_S,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

SHAPE: Final = Shape(start="starting_at", end="ending_at", result_fields=frozenset({"uncached_input_tokens"}))
DIMENSIONS: Final = (
    "account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier",
    "speed", "workspace_id",
)  # fmt: skip
FRESH: Final = "uncached_input_tokens"
READ: Final = "cache_read_input_tokens"
WRITTEN: Final = "cache_creation"
LABELS: Final = {
    TIME: SHAPE.start,
    WINDOW_S: "ending_at - starting_at",
    MODEL: "model",
    KEY: "api_key_id",
    PROCESSING: "service_tier",
    OUTPUT_TOKENS: "output_tokens",
    CACHED_INPUT_TOKENS: READ,
    SERIES: SERIES,
}
PARTS: Final = {INPUT_TOKENS: (FRESH, READ, WRITTEN), CACHE_WRITE_TOKENS: (WRITTEN,)}
"""Sums, which staging adds, so that a part at fault is told by its own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicUsageReader:
    """Reads pages or buckets of Anthropic's usage report as windows."""

    name: str = "anthropic usage"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether buckets hold Anthropic's parts of the input, or none holds anything."""
        if options.mapping:
            return False
        bounded = [result for result in first_results(head, SHAPE) if result.start is not None]
        results = [result.content for result in bounded if result.content]
        return bool(bounded) and (not results or any(content.keys() & {FRESH, READ, WRITTEN} for content in results))

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        """Stage a window for each result, and one of nothing for each empty bucket."""
        columns = made_columns(LABELS) | {
            name: tuple(Column(name=part, keys=(part,)) for part in parts) for name, parts in PARTS.items()
        }
        pages: list[bool] = []
        rows = stage(backend, head, Layout(kind="windows", columns=columns), _entries(head, pages))
        return rows.noting(more_note(head, more=any(pages[-1:])))


def _entries(head: Head, pages: list[bool]) -> Iterator[Entry]:
    for result in read_results(head, SHAPE):
        if result.more is not None:
            pages.append(result.more)
        else:
            yield _entry(result)


def _entry(result: Result) -> Entry:
    if result.wrong:
        return wrong_entry(result, result.wrong)
    window_s, wrong = bounds(result)
    if wrong:
        return wrong_entry(result, wrong)
    content = result.content or {FRESH: 0, "output_tokens": 0}
    written = content.get(WRITTEN)
    return Entry(
        place=result.place,
        values={
            TIME: result.start,
            WINDOW_S: window_s,
            MODEL: content.get("model"),
            KEY: content.get("api_key_id") or content.get("workspace_id"),
            PROCESSING: content.get("service_tier"),
            FRESH: content.get(FRESH),
            READ: content.get(READ),
            WRITTEN: added(written.values()) if isinstance(written, dict) else written,
            OUTPUT_TOKENS: content.get("output_tokens"),
            CACHED_INPUT_TOKENS: content.get(READ),
            SERIES: series_of(content, DIMENSIONS),
        },
    )
