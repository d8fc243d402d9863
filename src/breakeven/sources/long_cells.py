"""Cells of a CSV may be prompts: the reader's bound on them is raised for a while, for it holds in all the process."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_CELL: Final = 1 << 30


@contextmanager
def long_cells() -> Iterator[None]:
    """Let cells have up to ``LONGEST_CELL`` characters, and put back what held before."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
