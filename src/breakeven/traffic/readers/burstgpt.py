"""BurstGPT: four months and 110 days of ChatGPT and GPT-4 traffic of a university, some ten million requests.

CSV with ``Timestamp`` (seconds from midnight, local time, of the first day), ``Model``, ``Request tokens``,
``Response tokens``, ``Total tokens`` and ``Log Type``; the files of release 2 also have ``Session ID`` (of a
conversation; empty for API calls) and ``Elapsed time``.  A request without response tokens failed, as published.
Which weekday the first day was is not said.  Source: https://github.com/HPMLL/BurstGPT (data CC-BY-4.0).
"""

# ruff: noqa: S608 - names in the queries are made by staging

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.layout import Layout
from breakeven.traffic.schema import EPISODE, FAILED, INPUT_TOKENS, MODEL, OUTPUT_TOKENS, TASK, TIME
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

HEADER: Final = {
    TIME: "Timestamp",
    MODEL: "Model",
    INPUT_TOKENS: "Request tokens",
    OUTPUT_TOKENS: "Response tokens",
    TASK: "Log Type",
}
SESSION: Final = "Session ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstGptReader:
    """Reads a file that has the columns of the published traces."""

    name: str = "burstgpt"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the columns of the published files are there and the user names none."""
        return not options.mapping and {column.name for column in head.columns} >= set(HEADER.values())

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        """Stage the rows, and mark those without an answer as failed."""
        by_name = {column.name: (column,) for column in head.columns}
        columns = {name: by_name[published] for name, published in HEADER.items()}
        if session := head.column(SESSION):
            columns[EPISODE] = (session,)
        note = f"{head.file}: requests with 0 response tokens are failures, as BurstGPT publishes them"
        rows = stage(backend, head, Layout(kind="trace", columns=columns, time_unit_s=1.0, notes=(note,)))
        view = f"{rows.view}_answered"
        backend.raw_sql(
            f"CREATE TEMP VIEW {view} AS SELECT * REPLACE ({OUTPUT_TOKENS} = 0 AS {FAILED}, "
            f"nullif({EPISODE}, '') AS {EPISODE}) FROM {rows.view}"
        )
        return replace(rows, view=view)
