"""One look over the rows of a file: how many are at fault, what forms their times have, their span and their tokens.

Everything that judges a file as a whole asks for these figures, and a large file is worth looking at only once.
"""

# ruff: noqa: S608 - names in the queries are made here

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from breakeven.traffic.schema import AT_US, FAILED, INPUT_TOKENS, OUTPUT_TOKENS
from breakeven.traffic.sql import ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the rows of a file come to; times and tokens are those of the rows that can be used.

    ``silent_count`` are failed attempts that state no tokens.  ``first_us`` and ``last_us`` are microseconds since
    1970, None where no row can be used.  ``forms`` maps each form of time (see ``times``) to how many rows have it
    and the number of the first.
    """

    usable_count: int
    faulty_count: int
    doubtful_count: int
    silent_count: int
    tokens: int
    first_us: int | None
    last_us: int | None
    forms: Mapping[int, tuple[int, int]]

    @property
    def sound(self) -> bool:
        """Whether there is nothing to tell about any row."""
        return not self.faulty_count and not self.doubtful_count


class _Group(NamedTuple):
    """Rows that are alike in whether they can be used, whether their time can be read, and its form."""

    usable: bool
    timed: bool
    form: int
    rows: int
    first_row: int
    doubtful: int
    silent: int
    tokens: int
    first_us: int
    last_us: int


def survey(backend: Any, view: str) -> Survey:
    """Look over the rows of a view of ``staging``."""
    tokens = f"{INPUT_TOKENS} + {OUTPUT_TOKENS}"
    query = (
        "SELECT fault IS NULL AS usable, time IS NOT NULL AS timed, form, count(*), min(row), count(doubt), "
        f"count(CASE WHEN {FAILED} AND {tokens} = 0 THEN 1 END), sum({tokens})::HUGEINT, min({AT_US}), max({AT_US}) "
        f"FROM {view} GROUP BY usable, timed, form ORDER BY form"
    )
    groups = [_Group(*row) for row in ask(backend, query)]
    usable = [group for group in groups if group.usable]
    timed = [group for group in groups if group.timed]
    forms = dict.fromkeys(group.form for group in timed)
    return Survey(
        usable_count=sum(group.rows for group in usable),
        faulty_count=sum(group.rows for group in groups if not group.usable),
        doubtful_count=sum(group.doubtful for group in usable),
        silent_count=sum(group.silent for group in usable),
        tokens=sum(group.tokens for group in usable),
        first_us=min((group.first_us for group in usable), default=None),
        last_us=max((group.last_us for group in usable), default=None),
        forms={form: _counted(group for group in timed if group.form == form) for form in forms},
    )


def _counted(groups: Iterable[_Group]) -> tuple[int, int]:
    """Return how many rows some groups hold, and the first of them."""
    found = list(groups)
    return sum(group.rows for group in found), min(group.first_row for group in found)
