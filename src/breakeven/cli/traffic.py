"""The arguments that say which traffic is meant, for every command that reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breakeven.errors import InputError

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Traces, logs or bills: CSV, JSONL, Parquet (also .gz); or ledger:FOLDER."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="Column mapping NAME=COLUMN, such as input_tokens=prompt; repeat."),
]
Zone = Annotated[str | None, typer.Option(help="Time zone of times that carry none, such as UTC.")]
Tolerate = Annotated[float, typer.Option(help="Share of rows that may be unusable or out of order.")]


def mapping(items: list[str]) -> dict[str, str]:
    """Return NAME=COLUMN items as a mapping; raises ``InputError`` for another form."""
    bad = [item for item in items if "=" not in item]
    if bad:
        raise InputError(f"--column {bad[0]!r} should read NAME=COLUMN, such as --column input_tokens=prompt_tokens.")
    return dict(item.split("=", 1) for item in items)
