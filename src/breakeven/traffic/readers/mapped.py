"""Any log of one request a row: CSV, JSON lines or Parquet, with columns named by the user or guessed.

The user's names win and the rest is guessed.  Sums are allowed (``input_tokens=fresh+cached``),
because some logs keep a request's input in parts.  It does not read logs of totals; see ``bill``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.details import first_odd
from breakeven.traffic.layout import Layout
from breakeven.traffic.readers.names import ANTHROPIC_PARTS, KNOWN_NAMES, guess, normal, require, resolve
from breakeven.traffic.schema import (
    CACHE_WRITE_TOKENS,
    CACHED_INPUT_TOKENS,
    DETAILS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TIME,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.layout import Options

NEEDED: Final = (TIME, INPUT_TOKENS, OUTPUT_TOKENS)

Columns = dict[str, tuple["Column", ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedReader:
    """Reads what no other reader claims."""

    name: str = "log"

    def sniff(self, head: Head, options: Options) -> bool:  # noqa: ARG002 - the protocol's signature
        """Whether it can try: always, so it stands last in the registry."""
        return True

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the rows under the user's names and the guessed ones."""
        columns, notes = find_columns(head, options.mapping, KNOWN_NAMES)
        require(head, columns, NEEDED, KNOWN_NAMES)
        return stage(backend, head, Layout(kind="trace", columns=columns, zone=options.zone, notes=notes))


def find_columns(
    head: Head, mapping: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> tuple[Columns, tuple[str, ...]]:
    """Return canonical name → columns, with notes that say what was guessed, and what was left alone for its values."""
    columns: Columns = resolve(head, mapping, known)
    guesses = {name: column for name, names in known.items() if name not in columns and (column := guess(head, names))}
    odd = _odd_values(head, guesses)
    guessed: Columns = {
        name: (column,)
        for name, column in guesses.items()
        if name not in odd and (name not in DETAILS or any(map(str.strip, head.sample.get(column.name, ()))))
    }
    columns |= guessed
    notes = [
        f"{head.file}: {guesses[name].name} is not taken as {name}, since it holds {value!r}; "
        f"--column {name}={guesses[name].name} takes it, and counts what is none as not said"
        for name, value in odd.items()
    ]
    if INPUT_TOKENS in guessed and _is_anthropic(columns):
        parts = columns.get(CACHED_INPUT_TOKENS, ()) + columns.get(CACHE_WRITE_TOKENS, ())
        guessed[INPUT_TOKENS] = columns[INPUT_TOKENS] = guessed[INPUT_TOKENS] + parts
        notes.append(
            f"{head.file}: these are Anthropic's names, whose input_tokens leaves out cached ones, so they are added; "
            f"if yours counts them already, say --column {INPUT_TOKENS}={guessed[INPUT_TOKENS][0].name}"
        )
    told = {name: "+".join(part.name for part in parts) for name, parts in guessed.items()}
    if other := ", ".join(f"{name} = {column}" for name, column in told.items() if column != name):
        notes.insert(0, f"{head.file}: columns were guessed from their names: {other}")
    return columns, tuple(notes)


def _odd_values(head: Head, guesses: Mapping[str, Column]) -> dict[str, str]:
    """Return, by the details that some columns only look like, a value there that is none."""
    found = {
        name: first_odd(name, head.sample.get(column.name, ())) for name, column in guesses.items() if name in DETAILS
    }
    return {name: value for name, value in found.items() if value is not None}


def _is_anthropic(columns: Columns) -> bool:
    (first, *_), cached, written = (
        columns.get(name, (None,)) for name in (INPUT_TOKENS, CACHED_INPUT_TOKENS, CACHE_WRITE_TOKENS)
    )
    names = [normal(column.keys[-1]) if column else None for column in (first, cached[0], written[0])]
    return names[0] == ANTHROPIC_PARTS[0] and (names[1] == ANTHROPIC_PARTS[1] or names[2] == ANTHROPIC_PARTS[2])
