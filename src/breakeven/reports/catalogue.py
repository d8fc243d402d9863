"""A section of the catalogue as a terminal table, with date, age and source of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from breakeven.studies.catalogue import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.catalogue import CatalogueRow


def catalogue_table(section: str, rows: Sequence[CatalogueRow]) -> Table:
    """Return the rows as a table; figures older than 90 days are marked."""
    stale = sum(row.stale for row in rows)
    caption = f"{len(rows)} rows" + (f"; {stale} marked ! are older than 90 days: check before use" if stale else "")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption=caption, caption_justify="left")
    for name in COLUMNS[section]:
        table.add_column(name, overflow="fold")
    table.add_column("as of", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold", style="dim")
    for row in rows:
        age = "unknown !" if row.age_days is None else f"{row.age_days} d{' !' if row.stale else ''}"
        table.add_row(*row.cells, str(row.as_of or "–"), age, row.source)
    return table
