"""Reads published claims from CSV: those of the catalogue, or a file of the user's own.

It says what in the file cannot be used, all at once.  It computes nothing: an ``expression`` is
text here, and the study decides what it is worth.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, get_args

from breakeven.errors import InputError, Problem
from breakeven.sources.catalogue import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Verdict = Literal[
    "holds",
    "rounded",
    "narrowed",
    "wrong",
    "inconsistent",
    "ambiguous",
    "optimistic",
    "conservative",
    "conditional",
    "unsourced",
    "outlier",
    "stale",
    "partly",
    "unchecked",
]
VERDICTS: Final[dict[str, Verdict]] = {verdict: verdict for verdict in get_args(Verdict)}
"""What can be said of a claim; "unchecked" is said of one that brings neither arithmetic nor a verdict."""

COLUMNS: Final = ("id", "seed", "claim", "published", "recomputed", "verdict", "why")
OPTIONAL_COLUMNS: Final = ("expression",)
REQUIRED_CELLS: Final = ("id", "claim", "published")
MAX_CLAIMS_BYTES: Final = 1_000_000
"""Larger files are refused: the catalogue's own is 8 KB."""

_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A published figure, what a reviewer makes of it, and where it stands in its file.

    ``recomputed``, ``verdict`` and ``why`` are the reviewer's and may be empty.  ``built_in`` claims are
    the catalogue's, whose arithmetic the program knows; others bring an ``expression``.
    """

    id: str
    claim: str
    published: str
    where: str
    seed: str = ""
    recomputed: str = ""
    verdict: Verdict | None = None
    why: str = ""
    expression: str = ""
    built_in: bool = False


def read_claims(path: Path | None = None) -> tuple[Claim, ...]:
    """Read a file of claims, by default the catalogue's.  Raises ``InputError`` with every problem in it."""
    source = path or DATA / "claims.csv"
    rows, problems = _rows(source)
    claims: list[Claim] = []
    seen: dict[str, str] = {}
    for where, row in rows:
        found = _row_problems(where, row)
        if row["id"] in seen:
            found.append(Problem(where=where, what=f"the id {row['id']!r} stands already at {seen[row['id']]}."))
        seen.setdefault(row["id"], where)
        problems += found
        if not found:
            claims.append(_claim(where, row, built_in=path is None))
    if problems:
        raise InputError(f"{source.name} has {len(problems)} problem(s):", tuple(problems))
    return tuple(claims)


def _claim(where: str, row: dict[str, str], *, built_in: bool) -> Claim:
    return Claim(
        id=row["id"],
        claim=row["claim"],
        published=row["published"],
        where=where,
        seed=row["seed"],
        recomputed=row["recomputed"],
        verdict=VERDICTS[row["verdict"]] if row["verdict"] else None,
        why=row["why"],
        expression=row.get("expression", ""),
        built_in=built_in,
    )


def _rows(path: Path) -> tuple[list[tuple[str, dict[str, str]]], list[Problem]]:
    """Return every usable row with its ``file:line``, and the problems of those that are not."""
    reader = csv.reader(_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        problems = _header_problems(path.name, header)
        if problems:
            raise InputError(f"{path.name} cannot be read as claims:", tuple(problems))
        return _cells(path.name, header, reader)
    except csv.Error as error:
        raise InputError(f"{path.name}:{reader.line_num}: this is not valid CSV: {error}.") from error


def _cells(
    name: str, header: list[str], reader: Iterator[list[str]]
) -> tuple[list[tuple[str, dict[str, str]]], list[Problem]]:
    rows: list[tuple[str, dict[str, str]]] = []
    problems: list[Problem] = []
    line = 2
    for cells in reader:
        where, line = f"{name}:{line}", getattr(reader, "line_num", line) + 1
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) == len(header):
            rows.append((where, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
            continue
        what = f"this row has {len(cells)} cells where the header has {len(header)}."
        problems.append(Problem(where=where, what=what, fix="A cell with a comma in it needs quotes."))
    return rows, problems


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CLAIMS_BYTES:
            raise InputError(f"{path} is larger than {MAX_CLAIMS_BYTES:,} bytes: that is not a list of claims.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): it should be CSV.") from error


def _header_problems(name: str, header: list[str]) -> list[Problem]:
    known = (*COLUMNS, *OPTIONAL_COLUMNS)
    where = f"{name}:1"
    problems = [
        Problem(where=where, what=f"the column {column!r} is missing.", fix=f"Columns: {', '.join(known)}.")
        for column in COLUMNS
        if column not in header
    ]
    for index, column in enumerate(header):
        if column not in known:
            near = get_close_matches(column, known, n=1, cutoff=0.5)
            fix = f"Did you mean {near[0]!r}?" if near else ""
            problems.append(Problem(where=where, what=f"unknown column {column[:_MOST_SHOWN]!r}.", fix=fix))
        elif column in header[:index]:
            problems.append(Problem(where=where, what=f"the column {column!r} stands twice; only one can hold."))
    return problems


def _row_problems(where: str, row: dict[str, str]) -> list[Problem]:
    problems = [
        Problem(where=f"{where} {column}", what="this cell is empty, and a claim needs it.")
        for column in REQUIRED_CELLS
        if not row[column]
    ]
    problems += [
        Problem(where=f"{where} {column}", what="this cell holds control characters.", fix="Use plain text.")
        for column, cell in row.items()
        if not cell.isprintable()
    ]
    if row["verdict"] and row["verdict"] not in VERDICTS:
        what = f"unknown verdict {row['verdict'][:_MOST_SHOWN]!r}."
        problems.append(Problem(where=f"{where} verdict", what=what, fix=f"Known: {', '.join(VERDICTS)}."))
    return problems
