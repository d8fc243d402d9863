"""Whether files can be used as a whole: zones, how much was lost, order, repetition, and whether a rate follows.

Rows out of order and repeated rows are used (no figure of the profile depends on order) but told,
because many of them mean that files were joined or exported wrongly.
"""

# ruff: noqa: S608 - names in the queries are made here, and values from outside are quoted by traffic.sql

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, Problem
from breakeven.traffic.faults import find_places, many
from breakeven.traffic.layout import LOG_START
from breakeven.traffic.schema import AT_US, CACHE_WRITE_TOKENS, CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from breakeven.traffic.sql import ask
from breakeven.traffic.sums import time_of
from breakeven.traffic.times import EPOCH_UNITS, NAIVE, OFFSET, RELATIVE, UTC

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.traffic.staging import Rows


COMPARED_ROWS: Final = 500_000
"""To compare every row of a longer log with all others would hold them all: about so many are compared."""


def check_zones(backend: Any, rows: Rows) -> tuple[str, ...]:
    """Return what was understood of a file's times; raises where some have a zone and some do not."""
    forms = rows.survey.forms
    zoned = [forms[form] for form in (UTC, OFFSET) if form in forms]
    if NAIVE in forms and zoned and rows.layout.zone is None:
        naive, first_naive = forms[NAIVE]
        first_zoned = min(row for _, row in zoned)
        lines = find_places(backend, rows, [first_naive, first_zoned]).rows
        raise InputError(
            f"{rows.head.file}: {many(naive, 'time')} without a zone (first in line {lines[first_naive]}) and "
            f"{many(sum(count for count, _ in zoned), 'time')} with one (first in line {lines[first_zoned]}). "
            "The first kind cannot be placed among the second. Say what they mean: --zone UTC, or --zone Europe/Berlin."
        )
    return tuple(_form_notes(rows, forms))


def _form_notes(rows: Rows, forms: Mapping[int, tuple[int, int]]) -> list[str]:
    file, notes = rows.head.file, []
    if NAIVE in forms:
        said = f"read as {rows.layout.zone}" if rows.layout.zone else "taken for UTC (say --zone NAME if that is wrong)"
        notes.append(f"{file}: {many(forms[NAIVE][0], 'time')} without a zone, {said}")
    if OFFSET in forms:
        notes.append(f"{file}: {many(forms[OFFSET][0], 'time')} with an offset other than UTC, converted")
    if RELATIVE in forms:
        notes.append(
            f"{file}: times count from the start of the log, which is taken for {LOG_START:%A %Y-%m-%d %H:%M} UTC; "
            "parts of the day and of the week mean nothing else"
        )
    for form, unit in EPOCH_UNITS.items():
        if form in forms:
            notes.append(
                f"{file}: {many(forms[form][0], 'time')} given as a number, read by its size as {unit} since 1970"
            )
    return notes


def check_share(count: int, rows: int, what: str, tolerate_fraction: float, problems: Sequence[Problem]) -> None:
    """Raise where more than the tolerated share of rows is affected."""
    if count <= tolerate_fraction * rows:
        return
    needed = min(1.0, -(-count * 100 // rows) / 100)
    raise InputError(
        f"{what}: {count:,} of {many(rows, 'row')} ({count / rows:.1%}); {tolerate_fraction:.1%} is tolerated, because "
        f"figures from the rest could mislead. Mend the file, or accept it with --tolerate {needed:g}.",
        tuple(problems),
    )


def order_problem(backend: Any, rows: Rows) -> tuple[int, Problem | None]:
    """Count the rows earlier than their predecessor, and tell the first."""
    # A window without an order streams through the rows in that of the file; to sort them would hold them all.
    query = f"""
        SELECT count(*), min(row), arg_min(time, row)::VARCHAR, arg_min(before, row)::VARCHAR
        FROM (SELECT row, time, lag(time) OVER () AS before FROM {rows.view} WHERE fault IS NULL)
        WHERE time < before"""
    count, row, time, before = ask(backend, query)[0]
    if not count:
        return 0, None
    place = find_places(backend, rows, [row]).rows[row]
    return count, Problem(
        where=f"{rows.head.file}:{place}",
        what=f"{many(count, 'row')} earlier than the row before; the first is of {time}, after {before}.",
        fix="No figure depends on order; but if it surprises you, files may have been joined wrongly.",
    )


def repeat_problem(backend: Any, files: Sequence[Rows], row_count: int) -> tuple[int, Problem | None]:
    """Count the rows that repeat an earlier one in every column, over all files, and tell the first.

    Of many rows a share is compared, chosen by a hash of the time, so that equal rows are in it together.
    """
    one_in = max(1, row_count // COMPARED_ROWS)
    union = " UNION ALL ".join(
        f"SELECT {number} AS file, row, row_hash, time, {INPUT_TOKENS}, {OUTPUT_TOKENS} "
        f"FROM {rows.view} WHERE fault IS NULL AND hash({AT_US}) % {one_in} = 0"
        for number, rows in enumerate(files)
    )
    grouped = f"SELECT row_hash, count(*) AS times FROM ({union}) GROUP BY row_hash HAVING count(*) > 1"
    count = ask(backend, f"SELECT coalesce(sum(times - 1), 0)::BIGINT FROM ({grouped})")[0][0]
    if not count:
        return 0, None
    second = (
        f"SELECT file, row, time::VARCHAR, {INPUT_TOKENS}, {OUTPUT_TOKENS} FROM ({union}) "
        f"WHERE row_hash IN (SELECT row_hash FROM ({grouped})) "
        "QUALIFY row_number() OVER (PARTITION BY row_hash ORDER BY file, row) = 2 ORDER BY file, row LIMIT 1"
    )
    number, row, time, given_input, given_output = ask(backend, second)[0]
    count, about = count * one_in, "about " if one_in > 1 else ""
    rows = files[number]
    place = find_places(backend, rows, [row]).rows[row]
    return count, Problem(
        where=f"{rows.head.file}:{place}",
        what=f"{about}{many(count, 'row')} the same as an earlier one in every column; the first is of {time} with "
        f"{given_input:,} input and {given_output:,} output tokens.",
        fix="They count like any other; if a log was exported twice, leave the repeated rows out.",
    )


def check_usable(files: Sequence[Rows], source: str) -> None:
    """Raise where no rate or no cost could follow: no tokens at all, or one instant."""
    surveys = [rows.survey for rows in files if rows.survey.usable_count]
    count = sum(survey.usable_count for survey in surveys)
    if not any(survey.tokens for survey in surveys):
        raise InputError(
            f"{source}: no tokens at all in {many(count, 'usable row')} (every input and output count is 0), so there "
            "is nothing to price. Check which columns were read; name others with --column."
        )
    times_us = {time_us for survey in surveys for time_us in (survey.first_us, survey.last_us) if time_us is not None}
    if files[0].layout.kind == "trace" and len(times_us) == 1:
        raise InputError(
            f"{source}: no time but {time_of(times_us.pop())} in {many(count, 'usable row')}, so no rate can be "
            "derived. Give a log that spans some time, or monthly totals with a month column."
        )


def month_note(backend: Any, files: Sequence[Rows]) -> tuple[str, ...]:
    """Say where a bill skips months: they count neither as months nor as empty ones."""
    union = " UNION ALL ".join(f"SELECT time FROM {rows.view} WHERE fault IS NULL" for rows in files)
    query = f"SELECT count(DISTINCT time), date_diff('month', min(time), max(time)) + 1 FROM ({union})"
    months, spanned = ask(backend, query)[0]
    return (
        (f"the bill holds {months} of the {spanned} months it spans; the others are left out",)
        if months and months < spanned  # no usable month spans nothing; check_usable says so
        else ()
    )


def cached_note(files: Sequence[Rows]) -> tuple[str, ...]:
    """Say that the log is silent about caches, since their tokens then count at the full price."""
    known = {name for rows in files for name in rows.layout.columns}
    if known & {CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS}:
        return ()
    return ("no column says which input tokens were cached: all count as fresh",)


def doubt_notes(backend: Any, rows: Rows) -> tuple[str, ...]:
    """Say which details were given in words that are not understood, and so count as not given."""
    if not rows.survey.doubtful_count:
        return ()
    query = (
        f"SELECT split_part(doubt, '|', 1) AS name, count(*), min(doubt) FROM {rows.view} "
        "WHERE fault IS NULL AND doubt IS NOT NULL GROUP BY name ORDER BY name"
    )
    return tuple(
        f"{rows.head.file}: {name} of {many(count, 'row')} is not understood and counts as not said, "
        f"such as {doubt.split('|', 1)[1]!r}"
        for name, count, doubt in ask(backend, query)
    )


def silence_note(rows: Rows) -> tuple[str, ...]:
    """Say how many failed attempts state no tokens: they are requests all the same."""
    count = rows.survey.silent_count
    return (f"{rows.head.file}: {many(count, 'failed request')} without tokens, counted as such",) if count else ()
