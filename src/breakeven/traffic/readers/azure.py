"""The traces of Azure/AzurePublicDataset: LLM inference 2023 and 2024.

Both have the columns TIMESTAMP, ContextTokens and GeneratedTokens.  The 2023 files write times
without a zone and seven decimals (``2023-11-16 18:15:46.6805900``), the 2024 files with one
(``2024-05-10 00:00:00.009930+00:00``); both mean UTC.  Nothing else is in them: no model, no cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.layout import Layout
from breakeven.traffic.schema import INPUT_TOKENS, OUTPUT_TOKENS, TIME
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

HEADER: Final = {TIME: "TIMESTAMP", INPUT_TOKENS: "ContextTokens", OUTPUT_TOKENS: "GeneratedTokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureReader:
    """Reads a file that has exactly the columns of the published traces."""

    name: str = "azure"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the header is that of the published files and the user names no columns."""
        return not options.mapping and {column.name for column in head.columns} == set(HEADER.values())

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the rows; times without a zone are UTC, as published."""
        by_name = {column.name: (column,) for column in head.columns}
        columns = {name: by_name[published] for name, published in HEADER.items()}
        return stage(backend, head, Layout(kind="trace", columns=columns, zone=options.zone or "UTC"))
