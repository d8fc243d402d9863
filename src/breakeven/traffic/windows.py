"""Whether windows can be added up: each span of time once, whatever it was exported as.

Two windows of one series that overlap count the same tokens twice: a page exported twice, or hours beside their
day.  So do two exports of the same time that are grouped differently, though no series repeats.
"""

# ruff: noqa: S608 - names in the queries are made here

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breakeven.errors import InputError, Problem
from breakeven.traffic.faults import find_places, many
from breakeven.traffic.schema import INPUT_TOKENS, OUTPUT_TOKENS
from breakeven.traffic.sql import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.traffic.staging import Rows


def overlap_problem(backend: Any, files: Sequence[Rows]) -> tuple[int, Problem | None]:
    """Count the windows that begin before an earlier one of their series ends, over all files; tell the first."""
    earlier = "PARTITION BY series ORDER BY time, file, row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    query = f"""
        SELECT count(*), arg_min(file, (file, row)), arg_min(row, (file, row)), arg_min(time, (file, row))::VARCHAR,
            arg_min(before, (file, row))::VARCHAR, arg_min(series, (file, row))
        FROM (SELECT *, max(until) OVER ({earlier}) AS before FROM ({_all(files)})) WHERE time < before"""
    count, number, row, time, before, series = ask(backend, query)[0]
    if not count:
        return 0, None
    rows = files[number]
    return count, Problem(
        where=f"{rows.head.file}:{find_places(backend, rows, [row]).rows[row]}",
        what=f"{many(count, 'window')} begin before an earlier one of the same series ends; the first begins "
        f"at {time}, before {before} ({series}).",
        fix="Their tokens count twice: leave out what was exported twice, or hours where their days are given.",
    )


def check_grouping(backend: Any, files: Sequence[Rows]) -> None:
    """Raise where two files that are grouped differently hold usage of the same time."""
    query = f"""
        WITH spans AS (
            SELECT file, min(time) AS first, max(until) AS last,
                list_sort(list_distinct(flatten(list(json_keys(TRY_CAST(series AS JSON)))))) AS grouping
            FROM ({_all(files)}) WHERE used GROUP BY file)
        SELECT a.file, a.grouping, b.file, b.grouping FROM spans AS a JOIN spans AS b ON a.file < b.file
        WHERE a.first < b.last AND b.first < a.last AND a.grouping <> b.grouping ORDER BY ALL LIMIT 1"""
    for first, grouping, second, other_grouping in ask(backend, query):
        told = " and ".join(
            f"{files[number].head.file} (grouped by {', '.join(names) or 'nothing'})"
            for number, names in ((first, grouping), (second, other_grouping))
        )
        raise InputError(
            f"{told} hold usage of the same time, so the same tokens would count twice. "
            "Give one export of each time, grouped by model."
        )


def _all(files: Sequence[Rows]) -> str:
    return " UNION ALL ".join(
        f"SELECT {number} AS file, row, time, time + to_seconds(window_s) AS until, series, "
        f"{INPUT_TOKENS} + {OUTPUT_TOKENS} > 0 AS used FROM {rows.view} WHERE fault IS NULL"
        for number, rows in enumerate(files)
    )
