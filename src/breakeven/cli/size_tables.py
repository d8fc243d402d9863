"""The form of the tables in which a sizing is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from breakeven.quantities import Interval


def table(*names: str) -> Table:
    """Return an empty table: the first column to the left, figures to the right."""
    from rich.table import Table

    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(names):
        found.add_column(name, justify="right" if number else "left")
    return found


def usd(value: float) -> str:
    """Return dollars, with cents where they matter."""
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def spread(value: Interval) -> str:
    """Return dollars from low to high, or once where they are the same."""
    return usd(value.likely) if value.is_exact else f"{usd(value.low)} to {usd(value.high)}"
